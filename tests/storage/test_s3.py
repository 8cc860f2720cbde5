"""A bucket: keys that are wrong, services that ignore conditions, processes that are killed while they hold a lock."""

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator

import obstore
import pytest

from s2chips_core.errors import LockedError, StorageError
from s2chips_core.storage import lease
from s2chips_core.storage.s3 import S3Storage
from tests.storage.s3_servers import BUCKET, KEYS, S3Server

HOLD = """
import sys, time
from s2chips_core.storage import lease
from tests.storage.s3_servers import S3Server
lease.LEASE_S, lease.SURE_S, lease.RENEW_S = 2.0, 1.0, 0.3
with S3Server(sys.argv[1], "conditional", sys.argv[2]).storage(sys.argv[3]).lock("x"):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock that runs out in two seconds."""
    for name, value in {"LEASE_S": 2.0, "SURE_S": 1.0, "RENEW_S": 0.3}.items():
        monkeypatch.setattr(lease, name, value)


@pytest.fixture
def held_elsewhere(moto: S3Server, quick: None) -> Iterator[tuple[S3Storage, "subprocess.Popen[bytes]"]]:
    """A dataset whose lock `x` another process holds."""
    storage = moto.storage("held-" + str(time.monotonic_ns()))
    command = [sys.executable, "-c", HOLD, moto.endpoint, moto.bucket, storage._prefix]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"held\n"
            yield storage, process
        finally:
            process.kill()


def test_a_lock_of_another_process_holds_as_long_as_it_lives(
    held_elsewhere: tuple[S3Storage, "subprocess.Popen[bytes]"],
) -> None:
    storage, _ = held_elsewhere
    with pytest.raises(LockedError, match=r"still held by process \d+ on"), storage.lock("x", timeout_s=5.0):
        pass


def test_a_lock_whose_holder_was_killed_is_free_after_a_while(
    held_elsewhere: tuple[S3Storage, "subprocess.Popen[bytes]"],
) -> None:
    storage, process = held_elsewhere
    process.kill()
    began = time.monotonic()
    with storage.lock("x", timeout_s=20.0):
        assert 1.5 < time.monotonic() - began < 15.0
        storage.put("k", b"v")


def test_who_looks_now_and_then_gets_the_lock_of_a_killed_holder(
    held_elsewhere: tuple[S3Storage, "subprocess.Popen[bytes]"],
) -> None:
    """Captures that were killed are looked for in that way: each time by another process, which does not wait."""
    storage, process = held_elsewhere
    time.sleep(2.5)
    with pytest.raises(LockedError), storage.lock("x", timeout_s=0.0):
        pass
    process.kill()
    process.wait()
    began = time.monotonic()
    while time.monotonic() - began < 20:
        with contextlib.suppress(LockedError), storage.lock("x", timeout_s=0.0):
            break
        time.sleep(0.2)
    assert 1.0 < time.monotonic() - began < 15.0


def test_who_lost_the_lock_writes_nothing(moto: S3Server, quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = moto.storage()
    monkeypatch.setattr(lease, "RENEW_S", 600.0)  # as if this process had been frozen
    with storage.lock("x"):
        storage.put("k", b"first")
        time.sleep(1.1)
        for act in (
            lambda: storage.put("k", b"late"),
            lambda: storage.delete("k"),
            lambda: storage.move("k", "l"),
            lambda: storage.delete_folder("k"),
        ):
            with pytest.raises(LockedError, match="could not be renewed"):
                act()
        with pytest.raises(LockedError, match="could not be renewed"), storage.open_write("k") as file:
            file.write(b"late")
    assert storage.get("k") == b"first"
    storage.put("k", b"not under the lock")


def test_a_service_that_ignores_conditions_is_found_out(rclone: S3Server) -> None:
    storage = S3Storage(BUCKET, "conditions", environment=KEYS, endpoint=rclone.endpoint)
    with pytest.raises(StorageError, match=r"ignores If-None-Match.*s3_locks: this_machine"), storage.lock("x"):
        pass
    assert list(obstore.list(storage._store).collect()) == []


def test_an_object_that_is_replaced_is_not_read_half_and_half(moto: S3Server) -> None:
    storage = moto.storage()
    storage.put("k", b"a" * 3_000_000)
    with storage.open_read("k") as file:
        assert file.read(10) == b"a" * 10
        storage.put("k", b"b" * 3_000_000)
        with pytest.raises(StorageError, match="replaced while it was read"):
            file.read()


@pytest.mark.parametrize("environment", [{}, {**KEYS, "AWS_SECRET_ACCESS_KEY": "another/secret+key/never-shown"}])
def test_wrong_keys_are_an_error_without_the_keys(
    rclone: S3Server, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    if not environment:
        environment = {"AWS_ACCESS_KEY_ID": "NOBODY", "AWS_SECRET_ACCESS_KEY": "nothing"}
    storage = S3Storage(BUCKET, "p", environment=environment, endpoint=rclone.endpoint)
    for act in (lambda: storage.put("k", b"v"), lambda: storage.get("k"), lambda: storage.list("a")):
        with pytest.raises(StorageError, match=f"in s3://{BUCKET}: ") as caught:
            act()
        for secret in environment.values():
            assert secret not in str(caught.value)


def test_a_service_that_is_not_there_is_an_error_in_time() -> None:
    storage = S3Storage(BUCKET, "p", environment=KEYS, endpoint="http://127.0.0.1:9")
    began = time.monotonic()
    with pytest.raises(StorageError, match=f"k: cannot be written in s3://{BUCKET}: "):
        storage.put("k", b"v")
    assert time.monotonic() - began < 60
