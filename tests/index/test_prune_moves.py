"""Moves that break anywhere, and what the next prune, restore or run of the day makes of them."""

import contextlib
from collections.abc import Callable, Iterator

import pytest

from s2chips_core import layout
from s2chips_core.chips.gate import RefusalReason
from s2chips_core.errors import InputError, StorageError
from s2chips_core.index.prune_moves import Action, Move
from s2chips_core.index.prune_restore import restore_trash
from s2chips_core.index.prune_trash import TrashNote
from s2chips_core.storage import LocalStorage
from tests.datasets import Datasets
from tests.index.breaking import Breaking, Killed, calls_to_break
from tests.index.chips import DAY, Cutter
from tests.index.conftest import Copies
from tests.index.recorded_ais import FILE, NEXT_DAY, PRUNED_AT, TRASH, chip, files, make_dataset, prune
from tests.index.test_prune import assert_agrees

Do = Callable[[LocalStorage], object]
Files = dict[str, bytes]


@pytest.fixture(scope="module")
def whole(datasets: Datasets, tmp_path_factory: pytest.TempPathFactory) -> LocalStorage:
    """Nothing is pruned yet."""
    return make_dataset(datasets.at(tmp_path_factory.mktemp("whole") / "dataset"))


@pytest.fixture(scope="module")
def pruned(whole: LocalStorage, copies: Copies) -> LocalStorage:
    """After a prune that nothing disturbed."""
    storage = copies(whole)
    prune(storage)
    return storage


def restore(storage: LocalStorage) -> None:
    restore_trash("latest", storage=storage)


def restore_if_any(storage: LocalStorage) -> None:
    with contextlib.suppress(InputError):
        restore(storage)


def run_day(storage: LocalStorage) -> None:
    for source in (layout.CAPTURE, FILE):
        chip(storage, source, cutter=Cutter({244_660_003: RefusalReason.GATE_CLOUD}))


def assert_nothing_lost(storage: LocalStorage, before: Files) -> None:
    """Every file of every chip is in the dataset or in the trash."""
    after = files(storage)
    prefix = f"{layout.trash(TRASH)}/"
    for key, data in before.items():
        key = key.removeprefix(prefix)
        if key.startswith("chips/"):
            assert data in (after.get(key), after.get(prefix + key)), key


def broken(start: LocalStorage, do: Do, copies: Copies, *, dead: bool = True) -> Iterator[LocalStorage]:
    """Copies of a dataset in which `do` broke at its first, second, third … call that writes."""
    before = files(start)
    for at in calls_to_break(start):
        storage = copies(start)
        try:
            do(Breaking(storage, at, dead=dead, writes_only=True))
        except (Killed, StorageError):
            assert_nothing_lost(storage, before)
            yield storage
        else:
            break
    assert at > 20, "calls of one move that write"


@pytest.mark.parametrize("dead", [False, True], ids=["one call fails", "killed"])
def test_a_prune_that_breaks_anywhere_and_is_run_again(
    whole: LocalStorage, pruned: LocalStorage, copies: Copies, dead: bool
) -> None:
    expected = files(pruned)
    for storage in broken(whole, prune, copies, dead=dead):
        prune(storage)
        assert files(storage) == expected, storage.url("x")


def test_a_restore_that_breaks_anywhere_and_is_run_again(whole: LocalStorage, pruned: LocalStorage, copies: Copies) -> None:
    expected = files(whole)
    for storage in broken(pruned, restore, copies):
        restore_if_any(storage)
        assert files(storage) == expected, storage.url("x")


def test_a_killed_prune_and_then_a_restore(whole: LocalStorage, copies: Copies) -> None:
    expected = files(whole)
    for storage in broken(whole, prune, copies):
        restore_if_any(storage)
        assert files(storage) == expected, storage.url("x")


def test_a_killed_restore_and_then_a_prune(pruned: LocalStorage, copies: Copies) -> None:
    expected = files(pruned)
    for storage in broken(pruned, restore, copies):
        prune(storage)
        assert files(storage) == expected, storage.url("x")


def test_a_killed_prune_and_then_a_run_of_the_day(whole: LocalStorage, pruned: LocalStorage, copies: Copies) -> None:
    undone, done = files(whole), files(pruned)
    seen = []
    for storage in broken(whole, prune, copies):
        run_day(storage)
        after = files(storage)
        assert after in (undone, done), storage.url("x")
        seen.append(after == done)
        assert_agrees(storage)
    assert seen == sorted(seen), "from one call on it counts as done"
    assert {True, False} == set(seen)


def test_a_killed_restore_and_then_a_run_of_the_day(whole: LocalStorage, pruned: LocalStorage, copies: Copies) -> None:
    done, undone = files(whole), files(pruned)
    for storage in broken(pruned, restore, copies):
        run_day(storage)
        assert files(storage) in (undone, done), storage.url("x")
        assert_agrees(storage)


def test_a_run_that_comes_upon_a_killed_prune_finishes_it_however_often_it_is_killed(
    whole: LocalStorage, pruned: LocalStorage, copies: Copies
) -> None:
    """Killed half-way, then killed again at every call of the run of the day that finishes it."""
    half = copies(whole)
    with contextlib.suppress(Killed):
        prune(Breaking(half, 15, dead=True, writes_only=True))
    assert [key for key in half.list(layout.journals_folder()) if layout.is_move_journal(key)]
    expected = files(pruned)
    for storage in broken(half, run_day, copies):
        run_day(storage)
        assert files(storage) == expected, storage.url("x")


def test_the_broken_move_is_told_of(whole: LocalStorage, copies: Copies) -> None:
    storage = copies(whole)
    with contextlib.suppress(Killed):
        prune(Breaking(storage, 15, dead=True, writes_only=True))
    result = prune(storage)
    assert [(move.trash_id, move.action, len(move.paths)) for move in result.finished] == [(TRASH, Action.PRUNE, 2)]
    assert (result.trash_id, result.ais_days, result.scene_days) == (None, (DAY,), (DAY, NEXT_DAY))


def note() -> TrashNote:
    return TrashNote(
        trash_id=TRASH,
        created_at=PRUNED_AT,
        software_version="1",
        time_tolerance_s=600.0,
        distance_tolerance_m=500.0,
        chips=1,
        row_keys=("a",),
        outcome_keys=("b",),
    )


@pytest.mark.parametrize("action", Action)
def test_a_journal_is_read_as_it_was_written(action: Action) -> None:
    move = Move(
        trash_id=TRASH,
        action=action,
        paths={} if action is Action.PREPARE else {"chips/a.tif": DAY},
        rows={"p": ["c"]},
        targets={"o": ["t"]},
        ais_days=[DAY],
        note=note(),
        left={"c": "why"},
    )
    again = Move.from_json("k", move.to_json())
    assert again.to_json() == move.to_json()
    assert (again.paths, again.action) == (move.paths, action)


@pytest.mark.parametrize("text", [b"", b"[]", b'{"trash_id": "x"}'])
def test_a_journal_that_is_none(text: bytes) -> None:
    with pytest.raises(StorageError, match="is no journal of a move"):
        Move.from_json("indexes/journal/trash-x.json", text)
