"""The object of a lock: conditions that a service keeps or ignores, and its clock."""

import time

import obstore
import pytest

from s2chips_core.errors import StorageError
from s2chips_core.storage import LOCKS
from s2chips_core.storage.s3 import S3Storage
from s2chips_core.storage.s3_lock import LockObject, keeps_to_conditions
from tests.storage.fault_proxy import serve_faults
from tests.storage.s3_servers import BUCKET, KEYS, S3Server


def test_of_two_who_saw_the_same_one_writes(moto: S3Server) -> None:
    storage = moto.storage()
    place = LockObject(storage._lock_store, moto.bucket, ".locks/x.lock")
    assert place.read() is None
    first = place.write(b"1", None)
    assert first is not None
    assert place.write(b"2", None) is None
    second = place.write(b"3", first)
    assert second is not None
    assert place.write(b"4", first) is None
    assert place.read() == (b"3", second)


def test_its_age_is_that_of_the_service(moto: S3Server) -> None:
    storage = moto.storage()
    place = LockObject(storage._lock_store, moto.bucket, ".locks/x.lock")
    assert place.unchanged_s() == 0.0
    place.write(b"1", None)
    time.sleep(2.1)
    assert 1.0 <= place.unchanged_s() <= 20.0
    assert [entry.key for entry in storage.entries(LOCKS)] == [".locks/x.lock"]


def test_services_that_keep_to_conditions_and_that_do_not(moto: S3Server, rclone: S3Server) -> None:
    for server, keeps in ((moto, True), (rclone, False)):
        storage = server.storage()
        assert keeps_to_conditions(storage._lock_store, server.bucket) == keeps
        assert list(obstore.list(storage._store).collect()) == []


def test_a_service_that_ignores_conditions_is_found_out(rclone: S3Server) -> None:
    storage = S3Storage(BUCKET, "conditions", environment=KEYS, endpoint=rclone.endpoint)
    with pytest.raises(StorageError, match=r"ignores If-None-Match.*s3_locks: this_machine"), storage.lock("x"):
        pass
    assert list(obstore.list(storage._store).collect()) == []


def test_a_service_that_ignores_the_condition_of_a_replacement_is_found_out(moto: S3Server) -> None:
    with serve_faults(moto.endpoint, lambda *_: "unconditional") as proxy:
        storage = S3Server(proxy.endpoint, "conditional", moto.bucket).storage()
        with pytest.raises(StorageError, match="ignores If-None-Match or If-Match"), storage.lock("x"):
            pass
