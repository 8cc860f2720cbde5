"""Restore: put the chips of a trash back where they were, and say which cannot be put back and why.

Here: deciding and doing it. Not here: the steps (`prune_moves`) and what a trash looks like (`prune_trash`).
"""

import dataclasses
import logging
from collections.abc import Collection, Mapping
from datetime import date
from typing import Any

import pandas as pd

from s2chips_core import layout, tables
from s2chips_core.index.journal import paths_of_all_journals
from s2chips_core.index.outcomes import Outcome
from s2chips_core.index.parts import COMMIT_LOCK, join_parts, parts_of_scene_day
from s2chips_core.index.prune import IN_JOURNAL, PRUNE_LOCK, hold_sources
from s2chips_core.index.prune_moves import Action, Move, Tell, carry_out, finish_moves, put_move
from s2chips_core.index.prune_selection import PRUNE_SCHEMA
from s2chips_core.index.prune_trash import LATEST, TrashNote, choose_trash, list_trashes
from s2chips_core.index.records import PART_SCHEMA
from s2chips_core.storage import Storage

logger = logging.getLogger(__name__)

Outcomes = Mapping[tuple[str, str], Mapping[str, Any]]
"""Outcome rows by the key of their part and target_id."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RestoreResult:
    """What was put back."""

    trash_id: str
    restored: int
    """Chips."""
    left: Mapping[str, str]
    """chip_id -> why it could not be put back; it is in the trash still."""
    finished: tuple[Move, ...]
    """Moves that had been broken off, and are done now."""
    ais_days: tuple[date, ...]
    """Days whose outcomes have changed, sorted; those of `finished` too."""
    scene_days: tuple[date, ...]
    """Days whose chips have changed, sorted; those of `finished` too."""


def restore_trash(which: str, *, storage: Storage, tell: Tell | None = None) -> RestoreResult:
    """Put the chips of a trash back: files, index rows, outcomes. What cannot go back stays in the trash.

    A restore that was broken off is finished, and if it is the one that is asked for, that is all.

    Args:
        which: its id, or `latest`.
        storage: the dataset.
        tell: told how far it is.

    Raises:
        InputError: there is no such trash.
        SchemaError: the trash was filled by a version with other columns.
        StorageError: the dataset cannot be read or written, or another prune or restore is at work.
    """
    with storage.lock(PRUNE_LOCK):
        with storage.lock(COMMIT_LOCK):
            finished = finish_moves(storage, tell)
            resumed = [m for m in finished if m.action is Action.RESTORE and which in (m.trash_id, LATEST)]
            if resumed:
                return _result(resumed[-1].trash_id, resumed[-1], resumed[-1].left, finished)
            note = choose_trash(list_trashes(storage), which)
        sources = sorted({layout.source_of_index_part(key) for key in note.row_keys})
        with hold_sources(storage, sources) as busy, storage.lock(COMMIT_LOCK):
            rows, reasons = _read_trash(storage, note)
            left = select_left(
                rows,
                present=_chips_there(storage, note),
                listed=paths_of_all_journals(storage),
                busy=busy,
                before=_outcomes(storage, {k: layout.in_trash(note.trash_id, k) for k in note.outcome_keys}),
                now=_outcomes(storage, {k: k for k in note.outcome_keys}),
            )
            move = _move(note, rows, left, {*busy.values(), IN_JOURNAL}, reasons)
            if move.paths:
                put_move(storage, move)
                carry_out(storage, move, tell)
        return _result(note.trash_id, move, move.left, [*finished, move])


def select_left(
    rows: pd.DataFrame,
    *,
    present: set[str],
    listed: set[str],
    busy: Mapping[tuple[date, str], str],
    before: Outcomes,
    now: Outcomes,
) -> pd.Series:
    """Why each index row of a trash cannot go back; None where it can. Pure.

    Args:
        rows: chip_id, path, target_id, fingerprint and `part`, the key it was taken from.
        present: chip_ids that the dataset has.
        listed: paths in the journals of runs.
        busy: sources of days that a run works on.
        before: the outcomes of the trash.
        now: the outcomes of the dataset.
    """
    reasons: list[str | None] = []
    for row in rows.to_dict("records"):
        source = layout.source_of_index_part(row["part"])
        key = (layout.outcomes_part(*source), row["target_id"])
        said, known = now.get(key), key in before
        whose = f"target {row['target_id']} of {source[1]} of {source[0]}"
        if row["chip_id"] in present:
            reasons.append("it has been made anew since")
        elif source in busy:
            reasons.append(busy[source])
        elif row["path"] in listed:
            reasons.append(IN_JOURNAL)
        elif known and said is None:
            reasons.append(f"{whose} is no target any more")
        elif known and said is not None and said["outcome"] != Outcome.PRUNED:
            reasons.append(f"{whose} has been judged anew since: {said['outcome']}")
        elif known and said is not None and (said["chip_id"], said["fingerprint"]) != (row["chip_id"], row["fingerprint"]):
            reasons.append(f"{whose} has been placed or configured anew since, and pruned again")
        else:
            reasons.append(None)
    return pd.Series(reasons, index=rows.index, dtype=object)


def _read_trash(storage: Storage, note: TrashNote) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows and reasons. SchemaError for rows that the index of this version cannot take: then nothing is put back."""
    names = ["chip_id", "path", "target_id", "fingerprint", "scene_datetime"]
    frames = [
        tables.to_frame(tables.read_arrow(storage, layout.in_trash(note.trash_id, key), PART_SCHEMA).select(names)).assign(
            part=key
        )
        for key in note.row_keys
    ]
    rows = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=[*names, "part"])
    return rows, tables.read_table(storage, layout.trash_table(note.trash_id), PRUNE_SCHEMA)


def _chips_there(storage: Storage, note: TrashNote) -> set[str]:
    days = sorted({layout.scene_day_of_index_part(key) for key in note.row_keys})
    return {c for day in days for c in join_parts(parts_of_scene_day(storage, day).values())["chip_id"].to_pylist()}


def _outcomes(storage: Storage, keys: Mapping[str, str]) -> Outcomes:
    """By the key of the part; `keys`: that key -> where to read."""
    names = ["target_id", "outcome", "chip_id", "fingerprint"]
    return {
        (part, row["target_id"]): row
        for part, key in keys.items()
        if storage.exists(key)
        for row in tables.read_whole(storage, key).select(names).to_pylist()
    }


def _move(note: TrashNote, rows: pd.DataFrame, why: pd.Series, waits: Collection[str], reasons: pd.DataFrame) -> Move:
    """The rows that can go back. A chip goes back when one of its rows does, and none has to wait for a run.

    Rows of such a chip that cannot go back, because their source has lost or refused the ship since, are given up: a chip
    has the rows of the sources that vouch for it.
    """
    waiting = rows.loc[why.isin(waits), "chip_id"]
    back = rows[why.isna() & ~rows["chip_id"].isin(waiting)]
    by_part = {str(part): sorted(group["chip_id"]) for part, group in back.groupby("part")}
    targets: dict[str, list[str]] = {}
    for part, group in back.groupby("part"):
        key = layout.outcomes_part(*layout.source_of_index_part(str(part)))
        targets.setdefault(key, []).extend(sorted(group["target_id"]))
    stay = rows.assign(why=why)[~rows["chip_id"].isin(back["chip_id"]) & why.notna()]
    left = {str(c): str(w) for c, w in stay.drop_duplicates("chip_id").set_index("chip_id")["why"].items()}
    gone = set(reasons["chip_id"]) - set(rows["chip_id"])
    return Move(
        trash_id=note.trash_id,
        action=Action.RESTORE,
        paths=dict(zip(back["path"], back["scene_datetime"].dt.date, strict=True)) if len(back) else {},
        rows=by_part,
        targets=targets,
        ais_days=sorted({layout.source_of_index_part(part)[0] for part in by_part}),
        note=note,
        left=left | {str(chip_id): "the trash has lost its rows of the index" for chip_id in gone},
    )


def _result(trash_id: str, move: Move, left: Mapping[str, str], moves: list[Move]) -> RestoreResult:
    logger.info("restore of trash %s: %d chips are back, %d could not be put back", trash_id, len(move.paths), len(left))
    return RestoreResult(
        trash_id=trash_id,
        restored=len(move.paths),
        left=dict(left),
        finished=tuple(m for m in moves if m is not move),
        ais_days=tuple(sorted({day for each in moves for day in each.ais_days})),
        scene_days=tuple(sorted({day for each in moves for day in each.paths.values()})),
    )
