"""A bucket: keys that are wrong, services that ignore conditions, processes that are killed while they hold a lock."""

import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from s2chips_core.errors import LockedError, StorageError
from s2chips_core.storage import lease, s3
from s2chips_core.storage.s3 import S3Storage
from s2chips_core.storage.s3_lock import LockObject
from tests.storage.fault_proxy import serve_faults
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


@pytest.mark.parametrize("fault", ["done-500", "done-reset", "500", "reset"])
def test_a_lock_stands_faults_of_the_network(moto: S3Server, monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    monkeypatch.setattr(lease, "RENEW_S", 0.2)
    faults = 0

    def rule(method: str, path: str) -> str:
        nonlocal faults
        # The first request of all, and then each second one of the lock's.
        faulty = method == "PUT" and (not proxy.done or ("x.lock" in path and len(proxy.done) % 2 == 0))
        faults += faulty
        return fault if faulty else ""

    with serve_faults(moto.endpoint, rule) as proxy:
        storage = S3Server(proxy.endpoint, "conditional", moto.bucket).storage()
        for turn in range(2):
            with storage.lock("x", timeout_s=5.0):
                time.sleep(0.5)
                storage.put("k", f"{turn}".encode())
        with storage.lock("x", timeout_s=0.0):
            assert storage.get("k") == b"1"
    assert faults >= 2


@pytest.mark.parametrize("fault", ["done-500", "done-reset", "500", "reset"])
def test_everything_is_done_though_each_first_request_fails(moto: S3Server, fault: str) -> None:
    failed = set[tuple[str, str]]()

    def rule(method: str, path: str) -> str:
        first = (method, path) not in failed
        failed.add((method, path))
        return fault if first else ""

    with serve_faults(moto.endpoint, rule) as proxy:
        storage = S3Server(proxy.endpoint, "conditional", moto.bucket).storage()
        storage.put("a/k", b"v")
        storage.put("a/long", bytes(s3.PART_BYTES + 1))
        storage.move("a/k", "b/k")
        assert storage.get("b/k") == b"v"
        assert storage.list("a") == ["a/long"]
        with storage.open_read("a/long") as file:
            assert file.read() == bytes(s3.PART_BYTES + 1)
        storage.delete("b/k")
        assert not storage.exists("b/k")
        storage.delete_folder("a")
        assert storage.entries("a") == []


def test_a_long_upload_ends_where_the_lock_was_lost(moto: S3Server, quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "RENEW_S", 600.0)

    def rule(method: str, path: str) -> str:
        return "slow-1.3" if "partNumber=1" in path else ""

    with serve_faults(moto.endpoint, rule) as proxy:
        storage = S3Server(proxy.endpoint, "conditional", moto.bucket).storage()
        storage.put("k", b"before")
        with contextlib.suppress(LockedError), storage.lock("x"):
            place = LockObject(storage._lock_store, moto.bucket, ".locks/x.lock")
            found = place.read()
            assert found is not None
            place.write(b"{}", found[1])  # another's
            with pytest.raises(LockedError, match="may be another's"):
                storage.put("k", bytes(2 * s3.PART_BYTES))
        assert storage.get("k") == b"before"


def test_a_long_upload_does_not_crowd_a_thin_link(moto: S3Server) -> None:
    running, most, guard = 0, 0, threading.Lock()

    def rule(method: str, path: str) -> str:
        nonlocal running, most
        if "partNumber" not in path:
            return ""
        with guard:
            running += 1
            most = max(most, running)
        time.sleep(0.1)
        with guard:
            running -= 1
        return ""

    with serve_faults(moto.endpoint, rule) as proxy:
        storage = S3Server(proxy.endpoint, "conditional", moto.bucket).storage()
        storage.put("k", bytes(6 * s3.PART_BYTES))
    assert most <= 2


def test_no_write_lasts_longer_than_a_lock_after_its_holder_was_sure() -> None:
    assert lease.SURE_S + s3.WRITE_MOST_S <= lease.LEASE_S
    # Moreover, a renewal that hangs leaves time for another.
    assert lease.RENEW_S + 2 * (s3.LOCK_REQUEST_MOST_S + lease.AGAIN_S) <= lease.SURE_S
