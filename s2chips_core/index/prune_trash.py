"""A trash: the chips that one prune removed, with everything that is needed to put them back.

`trash/{id}/` holds the artefacts, the removed rows of the index parts and the outcomes as they were, each under its own key,
the table of reasons (`pruned.parquet`) and the note (`journal.json`), which is written when all is there.

Here: laying out, listing, tidying. Not here: moving (`prune_moves`), what goes (`prune`) and what comes back
(`prune_restore`).
"""

import dataclasses
import json
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from s2chips_core import layout, tables
from s2chips_core.errors import InputError, StorageError
from s2chips_core.index.prune_selection import PRUNE_SCHEMA
from s2chips_core.storage import Storage

LATEST = "latest"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TrashNote:
    """What is in a trash, since when and why."""

    trash_id: str
    created_at: datetime
    """Aware UTC."""
    software_version: str
    time_tolerance_s: float
    distance_tolerance_m: float
    chips: int
    """How many are there now."""
    row_keys: Sequence[str]
    """Index parts of which it has rows."""
    outcome_keys: Sequence[str]
    """Outcomes parts of which it has rows."""

    def to_tree(self) -> dict[str, Any]:
        """Plain values."""
        return {**dataclasses.asdict(self), "created_at": self.created_at.isoformat()}

    @classmethod
    def from_tree(cls, tree: Mapping[str, Any]) -> "TrashNote":
        """The inverse of `to_tree`; ValueError, KeyError or TypeError for something else."""
        return cls(**{**tree, "created_at": datetime.fromisoformat(tree["created_at"])})


def put_note(storage: Storage, note: TrashNote) -> None:
    """Write the note: the trash is complete."""
    storage.put(layout.trash_journal(note.trash_id), (json.dumps(note.to_tree(), indent=2) + "\n").encode())


def read_note(storage: Storage, trash_id: str) -> TrashNote:
    """The note of a trash; StorageError when it is not there or cannot be read."""
    key = layout.trash_journal(trash_id)
    data = storage.get(key)
    try:
        return TrashNote.from_tree(json.loads(data))
    except (ValueError, KeyError, TypeError) as error:
        raise StorageError(key, f"is no journal of a trash ({error})") from error


def list_trashes(storage: Storage) -> list[TrashNote]:
    """All complete trashes, oldest first."""
    keys = [key.split("/") for key in storage.list(layout.trash_folder())]
    found = [read_note(storage, parts[1]) for parts in keys if len(parts) == 3 and parts[2] == "journal.json"]
    return sorted(found, key=lambda note: (note.created_at, len(note.trash_id), note.trash_id))


def choose_trash(trashes: Sequence[TrashNote], which: str) -> TrashNote:
    """One of the trashes by its id, or the `latest`; InputError names those that there are."""
    if which == LATEST and trashes:
        return trashes[-1]
    by_id = {note.trash_id: note for note in trashes}
    if which in by_id:
        return by_id[which]
    there = f"{LATEST} or one of {', '.join(reversed(by_id))}" if by_id else "a trash, but there is none"
    raise InputError("the trash to put back", which, there)


def free_trash_id(storage: Storage, now: datetime) -> str:
    """A name that no trash has. Call under the commit lock."""
    number = 1
    while storage.exists(layout.trash_journal(layout.trash_id(now, number))):
        number += 1
    return layout.trash_id(now, number)


def fill_trash(
    storage: Storage,
    trash_id: str,
    *,
    reasons: pd.DataFrame,
    rows: Mapping[str, Sequence[str]],
    targets: Mapping[str, Sequence[str]],
) -> None:
    """Copy what will change in tables into a trash: the index rows and outcomes as they are. Call under the commit lock.

    Args:
        storage: the dataset.
        trash_id: of the trash.
        reasons: PRUNE_SCHEMA, the chips that go.
        rows: key of an index part -> chip_ids.
        targets: key of an outcomes part -> target_ids.
    """
    tables.write_table(storage, layout.trash_table(trash_id), reasons, PRUNE_SCHEMA)
    for column, chosen in (("chip_id", rows), ("target_id", targets)):
        for key, ids in chosen.items():
            table = tables.read_whole(storage, key)
            kept = table.filter(pc.is_in(table[column], value_set=pa.array(ids, pa.string())))
            storage.put(layout.in_trash(trash_id, key), tables.parquet_bytes(kept))


def details_of(storage: Storage, trash_id: str) -> dict[str, str]:
    """chip_id -> why it went."""
    reasons = tables.read_arrow(storage, layout.trash_table(trash_id), PRUNE_SCHEMA)
    return dict(zip(reasons["chip_id"].to_pylist(), reasons["detail"].to_pylist(), strict=True))


def shrink_trash(storage: Storage, trash_id: str, chip_ids: Collection[str]) -> None:
    """Take chips that are back in the dataset out of a trash; an empty one is removed. Call under the commit lock."""
    key = layout.trash_journal(trash_id)
    if not storage.exists(key):
        storage.delete_folder(layout.trash(trash_id))  # it was on its way out
        return
    note, gone = read_note(storage, trash_id), pa.array(sorted(chip_ids), pa.string())
    row_keys, outcome_keys = (
        [k for k in keys if _shrink(storage, layout.in_trash(trash_id, k), gone)]
        for keys in (note.row_keys, note.outcome_keys)
    )
    if not row_keys:
        storage.delete(key)
        storage.delete_folder(layout.trash(trash_id))
        return
    _shrink(storage, layout.trash_table(trash_id), gone)
    chips = tables.read_whole(storage, layout.trash_table(trash_id)).num_rows
    put_note(storage, dataclasses.replace(note, chips=chips, row_keys=row_keys, outcome_keys=outcome_keys))


def _shrink(storage: Storage, key: str, chip_ids: pa.Array) -> bool:
    """Take rows out of a table of a trash; whether any are left."""
    if not storage.exists(key):
        return False
    table = tables.read_whole(storage, key)
    left = table.filter(pc.invert(pc.is_in(table["chip_id"], value_set=chip_ids)))
    if not left.num_rows:
        storage.delete(key)
    elif left.num_rows < table.num_rows:
        storage.put(key, tables.parquet_bytes(left))
    return bool(left.num_rows)
