"""Local disk: atomic puts, keys that stay inside, and the lock."""

import contextlib
import os
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s2chips_core.errors import ConfigError, LockedError, StorageError
from s2chips_core.storage import LocalStorage, open_storage


def test_put_get_list_delete(storage: LocalStorage) -> None:
    storage.put("a/b/c.bin", b"1")
    storage.put("a/b/c.bin", b"22")
    storage.put("a/d.bin", b"3")
    assert storage.get("a/b/c.bin") == b"22"
    assert storage.exists("a/d.bin")
    assert not storage.exists("a/b")
    assert storage.list("a") == ["a/b/c.bin", "a/d.bin"]
    storage.delete("a/b/c.bin")
    storage.delete("a/b/c.bin")
    assert storage.list("a") == ["a/d.bin"]
    assert not (storage.root / "a" / "b").exists()
    assert storage.list("nowhere") == []


def test_what_is_not_there_is_an_error_with_its_key(storage: LocalStorage) -> None:
    with pytest.raises(StorageError, match=r"x/y\.bin"):
        storage.get("x/y.bin")


@pytest.mark.parametrize("key", ["", "/etc/passwd", "../x", "a/../../x", "a\\b", "a\0b"])
def test_keys_that_leave_the_root_are_refused(storage: LocalStorage, key: str) -> None:
    for act in (storage.get, storage.exists, storage.delete, lambda k: storage.put(k, b"x")):
        with pytest.raises(StorageError, match="no key"):
            act(key)


@given(st.text(max_size=30))
def test_no_key_ever_leaves_the_root(key: str) -> None:
    store = LocalStorage(Path("somewhere"))
    try:
        path = store.path(key)
    except StorageError:
        return
    assert path.is_relative_to(store.root)


def test_what_is_long_is_read_and_written_in_pieces(storage: LocalStorage) -> None:
    with storage.open_write("a/b.bin") as file:
        file.write(b"12")
        assert not storage.exists("a/b.bin")
        assert storage.list("a") == []
        file.write(b"345")
    with storage.open_read("a/b.bin") as file:
        assert file.seek(1) == 1
        assert file.read(2) == b"23"
    with contextlib.suppress(KeyError), storage.open_write("a/b.bin") as file:
        file.write(b"half")
        raise KeyError
    assert storage.get("a/b.bin") == b"12345"
    assert [path.name for path in (storage.root / "a").iterdir()] == ["b.bin"]
    with pytest.raises(StorageError, match=r"a/c\.bin.*cannot be read"):
        storage.open_read("a/c.bin")
    with pytest.raises(StorageError, match=r"a/b\.bin/c.*cannot be written"), storage.open_write("a/b.bin/c"):
        pass


def test_every_put_is_another_version(storage: LocalStorage) -> None:
    assert storage.versions("a") == {}
    for key in ("a/y.bin", "a/b/x.bin", "other.bin"):
        storage.put(key, b"1")
    first = storage.versions("a")
    assert list(first) == storage.list("a") == ["a/b/x.bin", "a/y.bin"]
    assert storage.versions("a") == first
    seen = {first["a/y.bin"]}
    for data in (b"1", b"2", b"1"):
        storage.put("a/y.bin", data)
        seen.add(storage.versions("a")["a/y.bin"])
    assert len(seen) >= 3, "the number of a file may come back, but not at once"
    assert storage.versions("a")["a/b/x.bin"] == first["a/b/x.bin"]
    (storage.root / "a" / ".hidden").write_bytes(b"")
    assert list(storage.versions("a")) == list(first)


class Coarse(LocalStorage):
    """On a file system that keeps whole seconds."""

    def put(self, key: str, data: bytes) -> None:
        super().put(key, data)
        os.utime(self.path(key), (int(time.time()),) * 2)


def test_a_put_in_the_same_second_is_another_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After two puts a file may have the number that it had: then only its time tells it from the first."""
    monkeypatch.setattr("s2chips_core.storage._COARSEST_NS", 1_000_000_000)
    storage = Coarse(tmp_path)
    storage.put("a/x.bin", b"1")
    before = storage.versions("a")
    storage.put("a/x.bin", b"2")
    storage.put("a/x.bin", b"3")
    assert storage.versions("a") != before


def test_a_reader_never_sees_half_of_a_put(storage: LocalStorage) -> None:
    whole = {b"a" * 3_000_000, b"b" * 3_000_000}
    storage.put("big", b"a" * 3_000_000)
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            for data in whole:
                storage.put("big", data)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        until = time.monotonic() + 1.0
        while time.monotonic() < until:
            assert storage.get("big") in whole
    finally:
        stop.set()
        writer.join()
    assert [p.name for p in storage.root.iterdir()] == ["big"]


def test_a_put_that_fails_leaves_nothing(storage: LocalStorage) -> None:
    storage.put("a", b"1")
    with pytest.raises(StorageError, match="cannot be written"):
        storage.put("a/b", b"2")
    assert [p.name for p in storage.root.iterdir()] == ["a"]


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


def test_an_error_of_who_holds_a_lock_is_no_error_of_the_lock(storage: LocalStorage) -> None:
    with pytest.raises(TimeoutError), storage.lock("x"):
        raise TimeoutError


def test_a_lock_that_cannot_be_made_is_named(storage: LocalStorage) -> None:
    storage.root.mkdir(parents=True, exist_ok=True)
    (storage.root / ".locks").write_text("a file")
    with pytest.raises(StorageError, match=r"x\.lock"), storage.lock("x"):
        pass


def test_lock_excludes_and_times_out(storage: LocalStorage) -> None:
    other = LocalStorage(storage.root)  # as another thread or process would have it
    with storage.lock("x"), pytest.raises(StorageError, match="still held"), other.lock("x", timeout_s=0.1):
        pass
    with storage.lock("x", timeout_s=0.1):
        pass


def test_move_renames_and_leaves_no_empty_folder(storage: LocalStorage) -> None:
    storage.put("chips/a/b.tif", b"new")
    storage.put("trash/1/chips/a/b.tif", b"old")
    inode = storage.path("chips/a/b.tif").stat().st_ino
    storage.move("chips/a/b.tif", "trash/1/chips/a/b.tif")
    assert storage.get("trash/1/chips/a/b.tif") == b"new"
    assert storage.path("trash/1/chips/a/b.tif").stat().st_ino == inode, "no copy"
    assert not (storage.root / "chips").exists()


def test_a_move_of_what_is_not_there_names_both_keys(storage: LocalStorage) -> None:
    with pytest.raises(StorageError, match="chips/x: cannot be moved to trash/x"):
        storage.move("chips/x", "trash/x")
    with pytest.raises(StorageError, match="no key"):
        storage.move("../x", "y")


def test_a_lock_that_is_held_is_told_from_a_broken_disk(storage: LocalStorage) -> None:
    with storage.lock("x"), pytest.raises(LockedError), storage.lock("x", timeout_s=0.0):
        pass


def test_root_may_be_a_path_and_no_other_scheme(tmp_path: Path) -> None:
    open_storage(str(tmp_path)).put("k", b"v")
    assert (tmp_path / "k").read_bytes() == b"v"
    with pytest.raises(ConfigError, match="dataset_root"):
        open_storage("s3://bucket/x")
