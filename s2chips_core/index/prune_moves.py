"""Chips on their way into a trash or out of it: what moves is written down first, and whoever comes next finishes it.

A move is done under the commit lock, from its journal to its last step. So whoever holds that lock and finds the journal of
a move has found a broken one, and finishes it with the same steps: each step sees what is done already. Chips are renamed,
not copied: at any moment a chip is in the dataset or in the trash. Runs of a day, other prunes and restores begin with
`finish_moves`.

Here: the journal, the steps, what is derived from them. Not here: which chips move (`prune`, `prune_restore`) and what a
trash looks like (`prune_trash`).
"""

import dataclasses
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from enum import StrEnum

import pyarrow as pa
import pyarrow.compute as pc

from s2chips_core import layout, tables
from s2chips_core.errors import StorageError
from s2chips_core.index.commit import parts_of_paths, settle_sidecars
from s2chips_core.index.day_tables import put_day_tables
from s2chips_core.index.geojson import put_daily_geojson
from s2chips_core.index.outcomes import Outcome
from s2chips_core.index.prune_trash import TrashNote, details_of, put_note, shrink_trash
from s2chips_core.index.tiles import put_tiles_index
from s2chips_core.storage import Storage

logger = logging.getLogger(__name__)

Tell = Callable[[object], None]
TELL_EVERY = 500
"""Chips between two words of progress."""


class Action(StrEnum):
    """How far a move is, or which way it goes."""

    PREPARE = "prepare"
    """The trash is being laid out, nothing has moved: what is there is thrown away."""
    PRUNE = "prune"
    """Into the trash."""
    RESTORE = "restore"
    """Out of it."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """What moves. It is written as a journal that other runs read too (`commit.Journal`): they leave its chips alone."""

    trash_id: str
    action: Action
    paths: Mapping[str, date]
    """Key of the `.tif` -> scene day."""
    rows: Mapping[str, Sequence[str]]
    """Key of an index part -> chip_ids."""
    targets: Mapping[str, Sequence[str]]
    """Key of an outcomes part -> target_ids."""
    ais_days: Sequence[date]
    """Whose outcomes change."""
    note: TrashNote
    """Of a trash that is being filled."""
    left: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """chip_id -> why it stays in the trash."""

    def to_json(self) -> bytes:
        """The text that `from_json` reads, and `commit.Journal` too."""
        paths = {path: day.isoformat() for path, day in sorted(self.paths.items())}
        tree = {
            "writes": paths if self.action is Action.RESTORE else {},
            "drops": paths if self.action is Action.PRUNE else {},
            "trash_id": self.trash_id,
            "action": str(self.action),
            "rows": {key: list(ids) for key, ids in self.rows.items()},
            "targets": {key: list(ids) for key, ids in self.targets.items()},
            "ais_days": [day.isoformat() for day in self.ais_days],
            "note": self.note.to_tree(),
            "left": dict(self.left),
        }
        return json.dumps(tree, indent=0).encode()

    @classmethod
    def from_json(cls, key: str, data: bytes) -> "Move":
        """The inverse of `to_json`; StorageError when it is something else."""
        try:
            tree = json.loads(data)
            return cls(
                trash_id=tree["trash_id"],
                action=Action(tree["action"]),
                paths={path: date.fromisoformat(day) for path, day in {**tree["writes"], **tree["drops"]}.items()},
                rows=tree["rows"],
                targets=tree["targets"],
                ais_days=[date.fromisoformat(day) for day in tree["ais_days"]],
                note=TrashNote.from_tree(tree["note"]),
                left=tree["left"],
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise StorageError(key, f"is no journal of a move ({error})") from error


def put_move(storage: Storage, move: Move) -> None:
    """Write the journal. Call under the commit lock, and hold it until `carry_out` has returned."""
    storage.put(layout.move_journal(move.trash_id), move.to_json())


def finish_moves(storage: Storage, tell: Tell | None = None) -> list[Move]:
    """Finish every move that was broken off. Call under the commit lock.

    Returns:
        The moves that are done now; one that had only been prepared is taken back, and not among them.
    """
    done = []
    for key in storage.list(layout.journals_folder()):
        if not layout.is_move_journal(key):
            continue
        move = Move.from_json(key, storage.get(key))
        if move.action is Action.PREPARE:
            storage.delete_folder(layout.trash(move.trash_id))
            storage.delete(key)
            continue
        logger.info("%s of %d chips (trash %s) was broken off: it is finished", move.action, len(move.paths), move.trash_id)
        carry_out(storage, move, tell)
        done.append(move)
    return done


def carry_out(storage: Storage, move: Move, tell: Tell | None = None) -> None:
    """Do what the move's journal says, from wherever it stands, and delete the journal. Call under the commit lock."""
    # Where a part or the index names a chip, its files are there, also in between.
    if move.action is Action.PRUNE:
        _take_rows(storage, move)
        _mark_pruned(storage, move)
        _put_derived(storage, move)
        _move_files(storage, move, tell)
        put_note(storage, move.note)
    else:
        _move_files(storage, move, tell)
        _add_rows(storage, move)
        _put_outcomes_back(storage, move)
        # One of two sources may have lost the ship since: the sidecar tells of the other.
        settle_sidecars(storage, move.paths, parts_of_paths(storage, move.paths), {})
        _put_derived(storage, move)
        shrink_trash(storage, move.trash_id, {chip_id for ids in move.rows.values() for chip_id in ids})
    storage.delete(layout.move_journal(move.trash_id))


def _put_derived(storage: Storage, move: Move) -> None:
    for day in move.ais_days:
        put_day_tables(day, storage)
    for day in sorted(set(move.paths.values())):
        put_daily_geojson(storage, day)
    put_tiles_index(storage)


def _take_rows(storage: Storage, move: Move) -> None:
    for key, chip_ids in move.rows.items():
        if storage.exists(key):
            table = tables.read_whole(storage, key)
            kept = table.filter(pc.invert(pc.is_in(table["chip_id"], value_set=pa.array(chip_ids, pa.string()))))
            if kept.num_rows:
                tables.put_changed(storage, key, kept)
            else:
                storage.delete(key)


def _add_rows(storage: Storage, move: Move) -> None:
    for key, chip_ids in move.rows.items():
        kept = layout.in_trash(move.trash_id, key)
        if not storage.exists(kept):
            continue  # they are back, and the trash has been tidied
        table = tables.read_whole(storage, kept)
        table = table.filter(pc.is_in(table["chip_id"], value_set=pa.array(chip_ids, pa.string())))
        if storage.exists(key):
            there = tables.read_whole(storage, key)
            table = table.filter(pc.invert(pc.is_in(table["chip_id"], value_set=there["chip_id"].combine_chunks())))
            # Columns of which one side knows nothing are null there.
            table = pa.concat_tables([there, table], promote_options="default")
        tables.put_changed(storage, key, table.sort_by([("scene_datetime", "ascending"), ("chip_id", "ascending")]))


def _mark_pruned(storage: Storage, move: Move) -> None:
    details = details_of(storage, move.trash_id)
    for key, target_ids in move.targets.items():
        if not storage.exists(key):
            continue
        table, marked = tables.read_whole(storage, key), set(target_ids)
        rows = table.select(["target_id", "outcome", "detail", "chip_id"]).to_pylist()
        for row in rows:
            if row["target_id"] in marked and row["outcome"] == Outcome.CHIPPED:
                row["outcome"], row["detail"] = str(Outcome.PRUNED), details[row["chip_id"]]
        for name in ("outcome", "detail"):
            place = table.schema.get_field_index(name)
            table = table.set_column(place, table.schema.field(place), pa.array([row[name] for row in rows], pa.string()))
        tables.put_changed(storage, key, table)


def _put_outcomes_back(storage: Storage, move: Move) -> None:
    for key, target_ids in move.targets.items():
        kept = layout.in_trash(move.trash_id, key)
        if not storage.exists(kept) or not storage.exists(key):
            continue
        table, before, wanted = tables.read_whole(storage, key), tables.read_whole(storage, kept), set(target_ids)
        place = {target: table.num_rows + n for n, target in enumerate(before["target_id"].to_pylist()) if target in wanted}
        order = [
            place.get(row["target_id"], n) if row["outcome"] == Outcome.PRUNED else n
            for n, row in enumerate(table.select(["target_id", "outcome"]).to_pylist())
        ]
        both = pa.concat_tables([table, before], promote_options="default")
        tables.put_changed(storage, key, both.take(pa.array(order, pa.int64())))


def _move_files(storage: Storage, move: Move, tell: Tell | None) -> None:
    into = move.action is Action.PRUNE
    for number, path in enumerate(sorted(move.paths), 1):
        keys = layout.chip_artefacts(path)
        # The `.tif` goes first and comes last: where it is in the dataset, the others are.
        for key in reversed(keys) if into else keys:
            source, target = key, layout.in_trash(move.trash_id, key)
            if not into:
                source, target = target, source
            if storage.exists(source):
                storage.move(source, target)
        if tell is not None and number % TELL_EVERY == 0:
            tell(f"{number} of {len(move.paths)} chips moved {'to' if into else 'from'} trash {move.trash_id}")
