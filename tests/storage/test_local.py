"""Local disk: what a folder does beyond the contract (`test_base`)."""

import contextlib
import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s2chips_core.errors import StorageError
from s2chips_core.storage import LocalStorage


def test_files_go_with_the_folders_they_leave_empty(storage: LocalStorage) -> None:
    storage.put("a/b/c.bin", b"1")
    storage.put("a/d.bin", b"2")
    storage.delete("a/b/c.bin")
    assert not (storage.root / "a" / "b").exists()
    assert (storage.root / "a").exists()


def test_nothing_of_a_write_that_broke_off_is_left(storage: LocalStorage) -> None:
    storage.put("a/b.bin", b"1")
    with contextlib.suppress(KeyError), storage.open_write("a/b.bin") as file:
        file.write(b"half")
        raise KeyError
    assert [path.name for path in (storage.root / "a").iterdir()] == ["b.bin"]
    with pytest.raises(StorageError, match=r"a/b\.bin/c.*cannot be written"), storage.open_write("a/b.bin/c"):
        pass


def test_hidden_files_have_no_version(storage: LocalStorage) -> None:
    storage.put("a/y.bin", b"1")
    (storage.root / "a" / ".hidden").write_bytes(b"")
    assert list(storage.versions("a")) == ["a/y.bin"]


@given(st.text(max_size=30))
def test_no_key_ever_leaves_the_root(key: str) -> None:
    store = LocalStorage(Path("somewhere"))
    try:
        path = store.path(key)
    except StorageError:
        return
    assert path.is_relative_to(store.root)


class Coarse(LocalStorage):
    """On a file system that keeps whole seconds."""

    def put(self, key: str, data: bytes) -> None:
        super().put(key, data)
        os.utime(self.path(key), (int(time.time()),) * 2)


def test_a_put_in_the_same_second_is_another_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After two puts a file may have the number that it had: then only its time tells it from the first."""
    monkeypatch.setattr("s2chips_core.storage.local._COARSEST_NS", 1_000_000_000)
    storage = Coarse(tmp_path)
    storage.put("a/x.bin", b"1")
    before = storage.versions("a")
    storage.put("a/x.bin", b"2")
    storage.put("a/x.bin", b"3")
    assert storage.versions("a") != before


def test_a_put_that_fails_leaves_nothing(storage: LocalStorage) -> None:
    storage.put("a", b"1")
    with pytest.raises(StorageError, match="cannot be written"):
        storage.put("a/b", b"2")
    assert [p.name for p in storage.root.iterdir()] == ["a"]


def test_a_lock_that_cannot_be_made_is_named(storage: LocalStorage) -> None:
    storage.root.mkdir(parents=True, exist_ok=True)
    (storage.root / ".locks").write_text("a file")
    with pytest.raises(StorageError, match=r"x\.lock"), storage.lock("x"):
        pass


def test_move_renames_and_leaves_no_empty_folder(storage: LocalStorage) -> None:
    storage.put("chips/a/b.tif", b"new")
    storage.put("trash/1/chips/a/b.tif", b"old")
    inode = storage.path("chips/a/b.tif").stat().st_ino
    storage.move("chips/a/b.tif", "trash/1/chips/a/b.tif")
    assert storage.get("trash/1/chips/a/b.tif") == b"new"
    assert storage.path("trash/1/chips/a/b.tif").stat().st_ino == inode, "no copy"
    assert not (storage.root / "chips").exists()


def test_a_folder_goes_with_what_killed_puts_have_left(storage: LocalStorage) -> None:
    storage.put("a/b/one", b"1")
    storage.put("a/c", b"2")
    (storage.root / "a/b/.one.0123").write_bytes(b"half")
    storage.delete_folder("a/b")
    assert storage.list("a") == ["a/c"]
    assert not (storage.root / "a/b").exists()
    storage.delete_folder("a/b")


def test_a_forgotten_lock_leaves_nothing_and_holds_until_it_is_let_go(storage: LocalStorage) -> None:
    with storage.lock("once"):
        storage.forget_lock("once")
        storage.forget_lock("once")
    assert list((storage.root / ".locks").iterdir()) == []
