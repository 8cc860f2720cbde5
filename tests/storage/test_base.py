"""What every storage keeps to: a folder, a real S3 server, and one that keeps to conditions of writes."""

import contextlib
import io
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from s2chips_core.errors import LockedError, StorageError
from s2chips_core.storage import LOCKS, Storage
from s2chips_core.storage.base import lock_key, lock_name


def test_put_get_list_delete(any_storage: Storage) -> None:
    any_storage.put("a/b/c.bin", b"1")
    any_storage.put("a/b/c.bin", b"22")
    any_storage.put("a/d.bin", b"3")
    any_storage.put("ab/e.bin", b"4")
    assert any_storage.get("a/b/c.bin") == b"22"
    assert any_storage.exists("a/d.bin")
    assert not any_storage.exists("a/b")
    assert any_storage.list("a") == ["a/b/c.bin", "a/d.bin"]
    assert sorted(any_storage.walk("a")) == any_storage.list("a")
    any_storage.delete("a/b/c.bin")
    any_storage.delete("a/b/c.bin")
    assert any_storage.list("a") == ["a/d.bin"]
    assert any_storage.list("nowhere") == []
    assert any_storage.url("a/d.bin").endswith("/a/d.bin")


def test_entries_are_keys_with_size_and_time(any_storage: Storage) -> None:
    any_storage.put("a/b.bin", b"22")
    any_storage.put("a/.hidden", b"1")
    any_storage.put("b/c.bin", b"333")
    [entry] = any_storage.entries("a")
    assert (entry.key, entry.size_bytes) == ("a/b.bin", 2)
    assert abs(datetime.now(UTC) - entry.modified) < timedelta(minutes=1)
    assert any_storage.entries("nowhere") == []


def test_locks_are_found_below_their_own_folder_only(any_storage: Storage) -> None:
    any_storage.put("a.bin", b"1")
    any_storage.put(f"{LOCKS}/old.lock", b"1")
    assert [entry.key for entry in any_storage.entries(LOCKS)] == [f"{LOCKS}/old.lock"]
    assert any_storage.list("a") == []


def test_the_name_of_a_lock_comes_back_from_its_key() -> None:
    assert lock_name(lock_key("day-20251027-capture")) == "day-20251027-capture"
    for other in (f"{LOCKS}/note.txt", "ais/old.lock", LOCKS):
        assert lock_name(other) is None


def test_an_empty_file_is_a_file(any_storage: Storage) -> None:
    any_storage.put("a/empty", b"")
    assert any_storage.exists("a/empty")
    assert any_storage.get("a/empty") == b""
    assert any_storage.list("a") == ["a/empty"]
    with any_storage.open_read("a/empty") as file:
        assert file.read() == b""


@pytest.mark.parametrize("name", ["blank in it.csv", "ø ü 日本.json", "a+b=c&d.bin", "100%.txt", "tile;1,2'3.json"])
def test_names_of_every_kind(any_storage: Storage, name: str) -> None:
    any_storage.put(f"names/{name}", name.encode())
    assert any_storage.list("names") == [f"names/{name}"]
    assert any_storage.get(f"names/{name}") == name.encode()
    any_storage.move(f"names/{name}", f"moved/{name}")
    assert any_storage.get(f"moved/{name}") == name.encode()


def test_what_is_not_there_is_an_error_with_its_key(any_storage: Storage) -> None:
    for act in (any_storage.get, any_storage.open_read):
        with pytest.raises(StorageError, match=r"x/y\.bin.*cannot be read"):
            act("x/y.bin")


@pytest.mark.parametrize("key", ["", "/etc/passwd", "../x", "a/../../x", "a\\b", "a\0b"])
def test_keys_that_leave_the_root_are_refused(any_storage: Storage, key: str) -> None:
    for act in (any_storage.get, any_storage.exists, any_storage.delete, lambda k: any_storage.put(k, b"x")):
        with pytest.raises(StorageError, match="no key"):
            act(key)


def test_what_is_long_is_read_and_written_in_pieces(any_storage: Storage) -> None:
    with any_storage.open_write("a/b.bin") as file:
        file.write(b"12")
        assert not any_storage.exists("a/b.bin")
        assert any_storage.list("a") == []
        file.write(b"345")
    with any_storage.open_read("a/b.bin") as file:
        assert file.seek(1) == 1
        assert file.read(2) == b"23"
        assert file.seek(-1, io.SEEK_END) == 4
        assert file.read() == b"5"
        assert file.read(1) == b""
    with contextlib.suppress(KeyError), any_storage.open_write("a/b.bin") as file:
        file.write(b"half")
        raise KeyError
    assert any_storage.get("a/b.bin") == b"12345"
    assert any_storage.list("a") == ["a/b.bin"]


def test_tens_of_megabytes_go_in_parts(any_storage: Storage) -> None:
    data = np.random.default_rng(1).bytes(23_000_001)
    any_storage.put("big.bin", data)
    with any_storage.open_write("too.bin") as file:
        file.write(data)
    assert any_storage.get("big.bin") == any_storage.get("too.bin") == data
    with any_storage.open_read("big.bin") as file:
        file.seek(11_000_000)
        assert file.read(5_000_000) == data[11_000_000:16_000_000]


def test_parquet_is_read_from_a_place_in_it(any_storage: Storage) -> None:
    with any_storage.open_write("t.parquet") as file:
        pq.write_table(pa.table({"a": range(300_000)}), file, row_group_size=10_000)
    with any_storage.open_read("t.parquet") as file:
        parquet = pq.ParquetFile(file)
        assert parquet.metadata.num_rows == 300_000
        assert parquet.read_row_group(29).column("a").to_pylist() == list(range(290_000, 300_000))


def test_every_put_is_another_version(any_storage: Storage) -> None:
    assert any_storage.versions("a") == {}
    for key in ("a/y.bin", "a/b/x.bin", "other.bin"):
        any_storage.put(key, b"1")
    first = any_storage.versions("a")
    assert list(first) == any_storage.list("a") == ["a/b/x.bin", "a/y.bin"]
    assert any_storage.versions("a") == first
    seen = {first["a/y.bin"]}
    for data in (b"2", b"3"):
        any_storage.put("a/y.bin", data)
        seen.add(any_storage.versions("a")["a/y.bin"])
    assert len(seen) == 3
    assert any_storage.versions("a")["a/b/x.bin"] == first["a/b/x.bin"]


def test_a_reader_never_sees_half_of_a_put(any_storage: Storage) -> None:
    whole = {b"a" * 3_000_000, b"b" * 3_000_000}
    any_storage.put("big", b"a" * 3_000_000)
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            for data in whole:
                any_storage.put("big", data)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        until, reads = time.monotonic() + 1.0, 0
        while time.monotonic() < until:
            assert any_storage.get("big") in whole
            reads += 1
    finally:
        stop.set()
        writer.join()
    assert reads
    assert any_storage.list("x") == []


def test_move(any_storage: Storage) -> None:
    any_storage.put("chips/a/b.tif", b"new")
    any_storage.put("trash/1/chips/a/b.tif", b"old")
    any_storage.move("chips/a/b.tif", "trash/1/chips/a/b.tif")
    assert any_storage.get("trash/1/chips/a/b.tif") == b"new"
    assert not any_storage.exists("chips/a/b.tif")


def test_a_move_of_what_is_not_there_names_both_keys(any_storage: Storage) -> None:
    with pytest.raises(StorageError, match="chips/x: cannot be moved to trash/x"):
        any_storage.move("chips/x", "trash/x")
    with pytest.raises(StorageError, match="no key"):
        any_storage.move("../x", "y")


def test_a_folder_is_deleted_with_all_that_is_in_it(any_storage: Storage) -> None:
    for number in range(30):
        any_storage.put(f"a/b/{number}", b"1")
    any_storage.put("a/bc", b"2")
    any_storage.delete_folder("a/b")
    any_storage.delete_folder("a/b")
    assert any_storage.list("a") == ["a/bc"]


def test_a_lock_excludes_others_and_times_out(any_storage: Storage) -> None:
    with any_storage.lock("x"), ThreadPoolExecutor(1) as other:

        def take() -> None:
            with any_storage.lock("x", timeout_s=0.1):
                pass

        with pytest.raises(LockedError, match="still held"):
            other.submit(take).result()
        with any_storage.lock("y", timeout_s=0.1):
            pass
    with any_storage.lock("x", timeout_s=5):
        any_storage.put("k", b"v")
    assert any_storage.list("k") == []


def test_an_error_of_who_holds_a_lock_is_no_error_of_the_lock(any_storage: Storage) -> None:
    with pytest.raises(TimeoutError), any_storage.lock("x"):
        raise TimeoutError
    with any_storage.lock("x", timeout_s=5):
        pass


def test_a_forgotten_lock_holds_until_it_is_let_go(any_storage: Storage) -> None:
    with any_storage.lock("once"):
        any_storage.forget_lock("once")
        any_storage.forget_lock("once")
    with any_storage.lock("once", timeout_s=5):
        pass


def test_counting_under_a_lock_loses_nothing(any_storage: Storage) -> None:
    any_storage.put("n", b"0")

    def add() -> None:
        for _ in range(5):
            with any_storage.lock("n"):
                any_storage.put("n", str(int(any_storage.get("n")) + 1).encode())

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(add) for _ in range(4)]:
            done.result()
    assert any_storage.get("n") == b"20"
