"""Prune: chips that recorded AIS does not vouch for go into a trash. The door that does it; a dry run only says which.

A chip that a run is working with is left to that run: the locks of all sources that have a row of it are held while it goes,
and chips in the journal of another run stay. Everything else about interruptions is in `prune_moves`.

Not here: judging (`prune_selection`), putting back (`prune_restore`).
"""

import contextlib
import dataclasses
import logging
import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime

import numpy as np
import pandas as pd
import pyarrow as pa

from s2chips_core import layout, tables
from s2chips_core.ais.recorded import RecordedAis
from s2chips_core.config import Settings
from s2chips_core.errors import InputError, LockedError
from s2chips_core.index.journal import paths_of_all_journals
from s2chips_core.index.outcomes import Outcome
from s2chips_core.index.parts import COMMIT_LOCK, parts_of_scene_day, scene_days
from s2chips_core.index.prune_moves import Action, Move, Tell, carry_out, finish_moves, put_move
from s2chips_core.index.prune_selection import CHIP_COLUMNS, PRUNE_SCHEMA, Tolerances, judge_chips
from s2chips_core.index.prune_trash import TrashNote, fill_trash, free_trash_id
from s2chips_core.index.spreadsheet import format_csv
from s2chips_core.storage import Storage

logger = logging.getLogger(__name__)

PRUNE_LOCK = "prune"
"""Held by the one prune or restore that works on a dataset."""
IN_JOURNAL = "a run that works or was killed has it in its journal; run that day again"
MOST_SOURCES = 500
"""Sources of days that are held at once: each is an open file, of which a process may have 1024."""
DAY_S = 86_400.0
_CLAIM = ("part", "chip_id", "path", "position_method", "ais_source")
"""What a verdict rests on, beside what the chip id holds."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PruneResult:
    """What was judged, and what became of it."""

    judged: pd.DataFrame
    """PRUNE_SCHEMA: every chip of the days asked for."""
    dry_run: bool
    left: Mapping[str, str]
    """chip_id -> why it is still there although it should go; none in a dry run."""
    trash_id: str | None
    """Where the chips are that were removed; none when none was."""
    finished: tuple[Move, ...]
    """Earlier moves that had been broken off, and are done now."""
    ais_days: tuple[date, ...]
    """Days whose outcomes have changed, sorted; those of `finished` too."""
    scene_days: tuple[date, ...]
    """Days whose chips have changed, sorted; those of `finished` too."""
    seconds: float

    @property
    def going(self) -> pd.DataFrame:
        """PRUNE_SCHEMA: the chips that have been removed, in a dry run those that would be."""
        return self.judged[~self.judged["stays"] & ~self.judged["chip_id"].isin(list(self.left))].reset_index(drop=True)


def prune_chips(
    *,
    settings: Settings,
    storage: Storage,
    now: datetime,
    software_version: str,
    dry_run: bool,
    first_day: date | None = None,
    last_day: date | None = None,
    tell: Tell | None = None,
) -> PruneResult:
    """Move every chip that recorded AIS does not vouch for into a new trash.

    Args:
        settings: `prune` has the tolerances; `ais.max_gap_min` tells how far from a fix a ship is still placed.
        storage: the dataset.
        now: names the trash, aware UTC.
        software_version: of s2chips.
        dry_run: change nothing; write what would go to `layout.prune_proposal`.
        first_day, last_day: look at chips sensed on these days only, UTC, ends included.
        tell: told how far it is.

    Raises:
        InputError: the last day is before the first.
        StorageError: the dataset cannot be read or written, or another prune or restore is at work.
        SchemaError: a table was written by another version.
    """
    if first_day is not None and last_day is not None and last_day < first_day:
        raise InputError("the days to prune", f"{first_day} to {last_day}", "a last day that is not before the first")
    began = time.monotonic()
    tolerances = Tolerances(time_s=settings.prune.time_tolerance_min * 60.0, distance_m=settings.prune.distance_tolerance_m)
    with storage.lock(PRUNE_LOCK):
        with storage.lock(COMMIT_LOCK):
            finished = finish_moves(storage, tell)
            chips = _read_chips(storage, first_day, last_day)
        judged = _judge_days(chips, storage, tolerances, settings.ais.max_gap_min * 60.0, tell)
        going = judged[~judged["stays"]]
        left: dict[str, str] = {}
        move = None
        if dry_run:
            _write_proposal(storage, judged)
        elif len(going):
            note = TrashNote(
                trash_id="",
                created_at=now,
                software_version=software_version,
                time_tolerance_s=tolerances.time_s,
                distance_tolerance_m=tolerances.distance_m,
                chips=0,
                row_keys=(),
                outcome_keys=(),
            )
            left, move = _remove(storage, chips[chips["chip_id"].isin(going["chip_id"])], going, note, tell)
    moves = [*finished, *([] if move is None else [move])]
    result = PruneResult(
        judged=judged,
        dry_run=dry_run,
        left=left,
        trash_id=None if move is None else move.trash_id,
        finished=tuple(finished),
        ais_days=tuple(sorted({day for each in moves for day in each.ais_days})),
        scene_days=tuple(sorted({day for each in moves for day in each.paths.values()})),
        seconds=time.monotonic() - began,
    )
    logger.info(
        "prune%s: %d chips judged, %d go, %d left to other runs, %.1f s",
        *(" (dry run)" if dry_run else "", len(judged), len(result.going), len(left), result.seconds),
    )
    return result


def _read_chips(storage: Storage, first_day: date | None, last_day: date | None) -> pd.DataFrame:
    """CHIP_COLUMNS and `part` of every index row, one for each source of a chip. Call under the commit lock."""
    days = [d for d in scene_days(storage) if (first_day is None or d >= first_day) and (last_day is None or d <= last_day)]
    return _read_days(storage, days)


def _read_days(storage: Storage, days: Iterable[date]) -> pd.DataFrame:
    frames = []
    for day in days:
        for key, table in parts_of_scene_day(storage, day).items():
            frames.append(tables.to_frame(table.select(CHIP_COLUMNS)).assign(part=key))
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=[*CHIP_COLUMNS, "part"])


def _judge_days(
    chips: pd.DataFrame, storage: Storage, tolerances: Tolerances, max_gap_s: float, tell: Tell | None
) -> pd.DataFrame:
    """Day by day: AIS of a year does not fit into memory."""
    if chips.empty:
        return tables.empty(PRUNE_SCHEMA)
    recorded = RecordedAis(storage, chips["mmsi"].to_numpy(dtype=np.int64))
    reach = 1 + math.ceil(tolerances.time_s / DAY_S)
    judged = []
    for day, of_day in chips.groupby(chips["scene_datetime"].dt.date, sort=True):
        ais_days = {layout.source_of_index_part(part)[0] for part in of_day["part"].unique()}
        around = [d for d in recorded.days() if d in ais_days or abs((d - day).days) <= reach]
        verdicts = judge_chips(of_day, recorded.fixes(around), tolerances=tolerances, max_gap_s=max_gap_s)
        judged.append(verdicts)
        if tell is not None:
            tell(f"{day}: {len(verdicts)} chips judged, {int((~verdicts['stays']).sum())} without AIS that vouches for them")
    return tables.concat(judged, PRUNE_SCHEMA)


def _write_proposal(storage: Storage, judged: pd.DataFrame) -> None:
    table = tables.write_table(storage, layout.prune_proposal("parquet"), judged, PRUNE_SCHEMA)
    storage.put(layout.prune_proposal("csv"), format_csv(tables.to_frame(table)))


def _remove(
    storage: Storage, chips: pd.DataFrame, going: pd.DataFrame, note: TrashNote, tell: Tell | None
) -> tuple[dict[str, str], Move | None]:
    """Remove what nobody is working with: (why chips are left, what has moved)."""
    sources = sorted({layout.source_of_index_part(part) for part in chips["part"]})
    with hold_sources(storage, sources) as busy, storage.lock(COMMIT_LOCK):
        left = _left_to_others(storage, chips, busy)
        chips, going = (frame[~frame["chip_id"].isin(list(left))] for frame in (chips, going))
        if going.empty:
            return left, None
        trash_id = free_trash_id(storage, note.created_at)
        rows = _by_key(chips["part"], chips["chip_id"])
        targets = _targets_of(storage, rows)
        note = dataclasses.replace(
            note, trash_id=trash_id, chips=len(going), row_keys=list(rows), outcome_keys=list(targets)
        )
        move = Move(
            trash_id=trash_id,
            action=Action.PREPARE,
            paths={},
            rows=rows,
            targets=targets,
            ais_days=sorted({layout.source_of_index_part(part)[0] for part in rows}),
            note=note,
        )
        put_move(storage, move)
        fill_trash(storage, trash_id, reasons=going, rows=rows, targets=targets)
        days = chips["scene_datetime"].dt.date
        move = dataclasses.replace(move, action=Action.PRUNE, paths=dict(zip(chips["path"], days, strict=True)))
        put_move(storage, move)  # from here on it is done, whatever happens
        carry_out(storage, move, tell)
    return left, move


@contextlib.contextmanager
def hold_sources(storage: Storage, sources: Sequence[tuple[date, str]]) -> Iterator[dict[tuple[date, str], str]]:
    """Hold the locks of sources of days, so that no run works on them, at most `MOST_SOURCES`.

    Yields:
        Those that are not held, and why.
    """
    busy: dict[tuple[date, str], str] = {}
    count = 0
    with contextlib.ExitStack() as held:
        for ais_day, source_id in sources:
            if count == MOST_SOURCES:
                busy[ais_day, source_id] = f"{MOST_SOURCES} sources of days go at once, this is of one more: do it again"
                continue
            try:
                held.enter_context(storage.lock(layout.source_lock(ais_day, source_id), timeout_s=0.0))
                count += 1
            except LockedError:
                busy[ais_day, source_id] = f"a run works on {source_id} of {ais_day}"
        yield busy


def _left_to_others(storage: Storage, chips: pd.DataFrame, busy: Mapping[tuple[date, str], str]) -> dict[str, str]:
    """chip_id -> why it must not be touched. Call under the commit lock."""
    listed = paths_of_all_journals(storage)
    now = _read_days(storage, sorted(set(chips["scene_datetime"].dt.date)))
    now = now[now["chip_id"].isin(chips["chip_id"])]
    judged, found = (_claims(frame) for frame in (chips, now))
    left = {}
    for chip_id, claims in judged.items():
        at_work = [busy[source] for part, *_ in sorted(claims) if (source := layout.source_of_index_part(part)) in busy]
        if at_work:
            left[chip_id] = at_work[0]
        elif any(path in listed for _, path, *_ in claims):
            left[chip_id] = IN_JOURNAL
        elif found.get(chip_id) != claims:
            left[chip_id] = "its rows of the index have changed while it was judged"
    return left


def _claims(chips: pd.DataFrame) -> dict[str, set[tuple[str, ...]]]:
    """What the rows of each chip say, as far as the verdict rests on it."""
    by_chip: dict[str, set[tuple[str, ...]]] = {}
    for part, chip_id, *said in chips[list(_CLAIM)].itertuples(index=False, name=None):
        by_chip.setdefault(chip_id, set()).add((part, *said))
    return by_chip


def _by_key(keys: Iterable[str], values: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for key, value in sorted(zip(keys, values, strict=True)):
        found.setdefault(key, []).append(value)
    return found


def _targets_of(storage: Storage, rows: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """The targets that have these chips: key of an outcomes part -> target_ids."""
    wanted: dict[str, set[str]] = {}
    for part, chip_ids in rows.items():
        wanted.setdefault(layout.outcomes_part(*layout.source_of_index_part(part)), set()).update(chip_ids)
    found: dict[str, list[str]] = {}
    for key, chips in sorted(wanted.items()):
        if storage.exists(key):
            table: pa.Table = tables.read_whole(storage, key).select(["target_id", "outcome", "chip_id"])
            of_part = [
                r["target_id"] for r in table.to_pylist() if r["outcome"] == Outcome.CHIPPED and r["chip_id"] in chips
            ]
            if of_part:
                found[key] = of_part
    return found
