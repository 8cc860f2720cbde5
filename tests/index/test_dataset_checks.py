"""Checks of the whole dataset, against sets of everything."""

from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s2chips_core import layout, tables
from s2chips_core.index import dataset_checks
from s2chips_core.index.chip_files import delete_artefacts
from s2chips_core.index.dataset_checks import check_all_files, check_unique_index
from s2chips_core.index.journal import Journal, paths_of_all_journals
from s2chips_core.index.parts import COMMIT_LOCK, join_parts, parts_of_scene_day, scene_days
from s2chips_core.index.tiles import build_tiles_index
from s2chips_core.storage import LocalStorage
from tests.datasets import Datasets, Door, again, copy
from tests.index.chips import DAY, commit_chips, index_of, scenes_of_days


def fill(storage: LocalStorage) -> None:
    """Eleven chips of three days, one of them of two sources."""
    for n, scene in enumerate(scenes_of_days(3)):
        commit_chips(storage, index_of([3 * n, 3 * n + 1, 3 * n + 2], scene=scene))
    commit_chips(storage, index_of([1, 10, 11], scene=scenes_of_days(1)[0], source_id="file-a"), source="file-a")
    build_tiles_index(storage)


@pytest.fixture(scope="module")
def sound(datasets: Datasets, tmp_path_factory: pytest.TempPathFactory) -> LocalStorage:
    """A dataset in order."""
    storage = datasets.at(tmp_path_factory.mktemp("sound"))
    fill(storage)
    return storage


def index_of_all(storage: LocalStorage) -> pa.Table:
    """`tiles.parquet`."""
    with storage.open_read(layout.tiles_index()) as file:
        return pq.read_table(file)


def everything_at_once(storage: LocalStorage) -> dict[str, set[str]]:
    """What the check must find, by its name."""
    index = set(index_of_all(storage)["chip_id"].to_pylist())
    union = join_parts(part for day in scene_days(storage) for part in parts_of_scene_day(storage, day).values())
    parts, claimed = set(union["chip_id"].to_pylist()), set(union["path"].to_pylist())
    on_disk = set(storage.list(layout.chips_folder()))
    always = tuple(s for s in layout.CHIP_SUFFIXES if s != "_masks.tif")
    allowed = {key for path in claimed | paths_of_all_journals(storage) for key in layout.chip_artefacts(path)}
    nobodys = on_disk - allowed
    return {
        "in the parts, not in the index": parts - index,
        "in the index, not in the parts": index - parts,
        "files that are missing": {key for path in claimed for key in layout.chip_artefacts(path, always)} - on_disk,
        "chips that nobody claims": {k for k in nobodys if k.endswith(".tif") and not k.endswith("_masks.tif")},
        "other files that nobody claims": {k for k in nobodys if not k.endswith(".tif") or k.endswith("_masks.tif")},
    }


@given(
    gone=st.sets(st.integers(0, 60), max_size=4),
    parts=st.sets(st.integers(0, 3), max_size=2),
    names=st.sets(
        st.sampled_from(["a.tif", "a_masks.tif", "a.json", "a.txt", "_quicklook.jpg", "x/a.geojson", ".tif"]), max_size=3
    ),
    at_once=st.sampled_from([1, 3, 1000]),
)
@settings(max_examples=40, deadline=None)
def test_it_finds_what_sets_of_everything_find(
    datasets: Datasets, sound: LocalStorage, gone: set[int], parts: set[int], names: set[str], at_once: int
) -> None:
    with pytest.MonkeyPatch.context() as patch, TemporaryDirectory() as folder:
        patch.setattr(dataset_checks, "_KEYS_AT_ONCE", at_once)
        patch.setattr(tables, "SCANNED_ROWS", at_once)
        storage = copy(sound, datasets.at(Path(folder) / "dataset"))
        files = storage.list(layout.chips_folder())
        for n in gone:
            storage.delete(files[n % len(files)])
        keys = storage.list(layout.index_parts_folder())
        for n in parts:
            storage.delete(keys[n])
        for name in names:
            storage.put(f"chips/train/1/20251027/{name}", b"")
        expected = everything_at_once(storage)
        found = check_all_files(storage)
        numbers = {name: found.numbers[name] for name in expected}
        assert numbers == {name: len(keys) for name, keys in expected.items()}
        assert found.passed is not any(expected.values())
        for name, of_problem in expected.items():
            assert not of_problem or f"{name}: {len(of_problem)} ({min(of_problem)}" in found.description


def test_a_sound_dataset(sound: LocalStorage) -> None:
    storage = sound
    assert check_all_files(storage).description == "11 chips: index, parts and files agree"
    assert check_all_files(storage).passed
    found = check_unique_index(storage)
    assert (found.passed, found.description, found.numbers) == (True, "11 chips, each once", {"chips": 11, "repeated": 0})


def change_index(storage: LocalStorage, change: Callable[[pa.Table], pa.Table]) -> None:
    """As nobody should."""
    storage.put(layout.tiles_index(), tables.parquet_bytes(change(index_of_all(storage))))


def test_chips_that_are_there_twice(storage: LocalStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(storage)
    ids = index_of_all(storage)["chip_id"].to_pylist()
    change_index(storage, lambda table: pa.concat_tables([table, table[2:3], table[7:8], table[7:8]]))
    monkeypatch.setattr(tables, "SCANNED_ROWS", 4)
    found = check_unique_index(storage)
    assert not found.passed
    assert found.numbers == {"chips": 14, "repeated": 2}
    assert found.description == f"repeated: 2 ({', '.join(sorted([ids[2], ids[7]]))})"


def test_texts_that_only_seem_the_same_are_not(storage: LocalStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(storage)
    hashes = dataset_checks._hashes
    monkeypatch.setattr(dataset_checks, "_hashes", lambda texts: hashes(texts) % 3)
    assert check_unique_index(storage).passed


def test_an_index_out_of_order(storage: LocalStorage) -> None:
    fill(storage)
    change_index(storage, lambda table: pa.concat_tables([table[5:], table[:5]]))
    found = check_all_files(storage)
    assert "in the index, out of the order of days: 5" in found.description


def test_an_empty_dataset(storage: LocalStorage) -> None:
    assert check_all_files(storage).passed
    build_tiles_index(storage)
    assert check_all_files(storage).passed
    assert check_unique_index(storage).numbers == {"chips": 0, "repeated": 0}
    assert DAY not in scene_days(storage)


class Changing(Door):
    """A dataset that changes while somebody walks through its chips."""

    def __init__(self, behind: LocalStorage, change: Callable[[LocalStorage], object]) -> None:
        super().__init__(behind)
        self.change = change

    def walk(self, prefix: str) -> Iterator[str]:
        """The change comes before the first and after the last file that is seen."""
        keys = list(super().walk(prefix))
        if prefix != layout.chips_folder():
            yield from keys
            return
        self.change(again(self))
        yield from [key for key in keys if self.exists(key)][:5]
        yield from super().walk(prefix)


def test_days_are_committed_while_the_files_are_looked_at(storage: LocalStorage) -> None:
    fill(storage)
    first, *_, last = scenes_of_days(5)
    new, started = index_of([20, 21], scene=last), index_of([30], scene=first, source_id="file-b")

    def change(other: LocalStorage) -> None:
        with other.lock(COMMIT_LOCK, timeout_s=0.0):
            pass
        # A day comes, one has another chip and loses those it had, and one is being made.
        commit_chips(other, new)
        again = index_of([40], scene=scenes_of_days(2)[1])
        gone = next(iter(parts_of_scene_day(other, scene_day_of(again)).values()))["path"].to_pylist()
        commit_chips(other, again)
        for path in gone:
            delete_artefacts(other, path)
        writes = {path: scene_day_of(started) for path in started["path"]}
        for path in writes:
            other.put(path, b"")
        other.put(layout.journal(DAY, "file-b"), Journal(writes=writes, drops={}).to_json())
        build_tiles_index(other)

    found = check_all_files(Changing(storage, change))
    assert found.passed, found.description


def test_what_is_wrong_is_found_whatever_changes_meanwhile(storage: LocalStorage) -> None:
    fill(storage)
    files = storage.list(layout.chips_folder())
    storage.delete(files[0])
    storage.put("chips/train/1/20251027/0123456789abcdef.tif", b"")
    new = index_of([20], scene=scenes_of_days(5)[4])

    def change(other: LocalStorage) -> None:
        commit_chips(other, new)

    found = check_all_files(Changing(storage, change))
    told = {name: number for name, number in found.numbers.items() if number}
    # The index has not been made since the new day was committed; the walk through it was over.
    assert told == {"chips": 11, "files that are missing": 1, "chips that nobody claims": 1}
    assert files[0] in found.description


def scene_day_of(rows: pd.DataFrame) -> date:
    found: date = rows["scene_datetime"].iloc[0].date()
    return found
