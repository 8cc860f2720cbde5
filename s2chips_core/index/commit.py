"""The commit of one source of a day: its parts, its outcomes, and the removal of what nobody claims any more.

Artefacts are written before the commit, so a run that is killed leaves some that no part names. The journal, written
before the first of them, lists every chip that the run may write or drop; the run that commits next for the same day and
source deletes what the journal lists and no part claims. Two sources may name the same chip: what a part or the journal
of another source lists is left to that source.

A chip that is cut anew is staged: its artefacts wait in a folder of the run until the commit. Then the chip leaves
`tiles.parquet`, the files take their place, and it comes back with its new row. So whoever opens what the index names has
the pixels of that row, at any moment; a run that is given up or killed before has changed nothing.

Here: the commit, the sweep. Not here: the journal (`journal`), what is in the parts (`day`, `records`).
"""

import dataclasses
from collections import Counter
from collections.abc import Collection, Mapping
from datetime import date

import pandas as pd
import pyarrow as pa

from s2chips_core import layout, tables
from s2chips_core.index.chip_files import MASKS_SUFFIX, delete_artefacts
from s2chips_core.index.geojson import feature_bytes
from s2chips_core.index.journal import Journal, paths_of_other_journals
from s2chips_core.index.outcomes import OUTCOME_SCHEMA
from s2chips_core.index.parts import COMMIT_LOCK, join_parts, parts_of_scene_day, parts_of_source
from s2chips_core.index.records import PART_SCHEMA, rows_one_by_one, sidecar, unique_chips
from s2chips_core.index.tiles import paths_in_index, put_tiles_index
from s2chips_core.storage import Storage

Parts = dict[date, dict[str, pa.Table]]
"""By scene day, then by key."""


def commit_source(
    storage: Storage,
    ais_day: date,
    source_id: str,
    *,
    rows: pd.DataFrame,
    outcomes: pd.DataFrame,
    fresh: Mapping[str, date],
    staged: Collection[str] = (),
    journal: Journal | None,
    masks: bool,
) -> set[date]:
    """Replace the parts and outcomes of a source of a day. Whatever is interrupted here, the next run completes.

    Args:
        storage: the dataset.
        ais_day: the day.
        source_id: the source.
        rows: its chips, `PART_SCHEMA`; all artefacts are in place, or staged.
        outcomes: its outcomes, `OUTCOME_SCHEMA`.
        fresh: chips that this run has written.
        staged: those of them whose artefacts are staged, because the index has a chip there.
        journal: the journal of this run; none when it writes and drops no chip.
        masks: whether chips of this run have `_masks.tif`; an older one is deleted if not.

    Returns:
        The scene days whose chips may have changed.
    """
    listed = {} if journal is None else {**journal.drops, **fresh}
    with storage.lock(COMMIT_LOCK):
        earlier = set(parts_of_source(storage, ais_day, source_id))
        withheld = False
        if journal is not None:
            withheld = _replace(storage, ais_day, source_id, {path: fresh[path] for path in staged}, journal)
        days: pd.Series = rows["scene_datetime"].dt.date
        by_day: dict[date, pd.DataFrame] = {scene_day: rows[days == scene_day] for scene_day in sorted(set(days))}
        for scene_day, part in by_day.items():
            key = layout.index_part(scene_day, ais_day, source_id)
            tables.put_changed(storage, key, tables.conform(part, PART_SCHEMA, key))
        for scene_day in sorted(earlier - set(by_day)):
            storage.delete(layout.index_part(scene_day, ais_day, source_id))
        paths = {**listed, **dict(zip(rows["path"], days, strict=True))}
        parts = parts_of_paths(storage, paths)
        settle_sidecars(storage, paths, parts, fresh)
        key = layout.outcomes_part(ais_day, source_id)
        tables.put_changed(storage, key, tables.conform(outcomes, OUTCOME_SCHEMA, key))
        _sweep(storage, listed, parts, paths_of_other_journals(storage, ais_day, source_id), set() if masks else set(fresh))
        storage.delete(layout.journal(ais_day, source_id))
        if withheld and storage.exists(layout.tiles_index()):
            put_tiles_index(storage)
    return earlier | set(by_day) | set(listed.values())


def _replace(storage: Storage, ais_day: date, source_id: str, staged: Mapping[str, date], journal: Journal) -> bool:
    """Let what is staged take its place; whether chips are kept out of `tiles.parquet` until the journal is gone."""
    withheld = bool(journal.replaces)
    if not staged:
        return withheld
    replaces = {**journal.replaces, **staged}
    # From here on no index names them, whoever makes it, until a run of this day and source has committed.
    storage.put(layout.journal(ais_day, source_id), dataclasses.replace(journal, replaces=replaces).to_json())
    if not paths_in_index(storage, staged.values()).isdisjoint(staged):
        put_tiles_index(storage)
        withheld = True
    for path in sorted(staged):
        waiting = layout.chip_artefacts(layout.staged_chip(ais_day, source_id, path))
        for source, target in zip(waiting, layout.chip_artefacts(path), strict=True):
            if storage.exists(source):
                storage.move(source, target)
    return withheld


def withdraw_source(storage: Storage, ais_day: date, source_id: str, *, fresh: Mapping[str, date], journal: Journal) -> None:
    """Give up a run before its commit: delete what it wrote and no part claims. Parts and outcomes stay as they are."""
    listed = {**journal.drops, **fresh}
    with storage.lock(COMMIT_LOCK):
        storage.delete_folder(layout.staged(ais_day, source_id))
        others = paths_of_other_journals(storage, ais_day, source_id)
        _sweep(storage, listed, parts_of_paths(storage, listed), others, set())
        key = layout.journal(ais_day, source_id)
        if journal.replaces:  # a commit before this run was killed between two files: that still has to be made good
            storage.put(key, dataclasses.replace(journal, writes=journal.replaces).to_json())
        else:
            storage.delete(key)


def parts_of_paths(storage: Storage, paths: Mapping[str, date]) -> Parts:
    """All parts of the days of some chips."""
    return {scene_day: parts_of_scene_day(storage, scene_day) for scene_day in sorted(set(paths.values()))}


def settle_sidecars(storage: Storage, paths: Mapping[str, date], parts: Parts, fresh: Mapping[str, date]) -> None:
    """Make the sidecars of `paths` tell what the index tells, where a ship or the source that owns it has changed."""
    for scene_day, found in parts.items():
        union = join_parts(found.values())
        claims = Counter(union["path"].to_pylist())
        chips = unique_chips(union)
        looked_at = [
            paths.get(path) == scene_day and not (path in fresh and claims[path] == 1) for path in chips["path"].to_pylist()
        ]
        for row in rows_one_by_one(chips.filter(pa.array(looked_at, pa.bool_()))):
            path = row["path"]
            text_key, feature_key = layout.chip_artefacts(path, (".json", ".geojson"))
            if not storage.exists(text_key) or storage.get(text_key) != sidecar(row):
                # The one that is compared goes last: an interruption between the two is seen again.
                storage.put(feature_key, feature_bytes(row))
                storage.put(text_key, sidecar(row))


def _sweep(storage: Storage, paths: Mapping[str, date], parts: Parts, others: set[str], no_masks: set[str]) -> None:
    """Delete the artefacts of `paths` that no part claims and no other journal lists, the `.tif` first."""
    claims = Counter(path for found in parts.values() for path in join_parts(found.values())["path"].to_pylist())
    listed = sorted(set(paths) - others)
    unclaimed = {path: paths[path] for path in listed if path not in claims}
    if not paths_in_index(storage, unclaimed.values()).isdisjoint(unclaimed):
        put_tiles_index(storage)  # what it names must be there
    for path in listed:
        if path in unclaimed:
            delete_artefacts(storage, path)
        elif path in no_masks and claims[path] == 1:
            storage.delete(layout.chip_artefacts(path, (MASKS_SUFFIX,))[0])
