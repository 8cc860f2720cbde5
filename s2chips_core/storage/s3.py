"""A dataset in a bucket: `Storage` on S3 and what speaks its language (MinIO, Ceph, R2).

Here: keys as objects, through obstore. Not here: the local disk (`local`), the law of the lock (`lease`) and its object
(`s3_lock`), objects as files (`s3_file`), errors (`s3_errors`). A put is one upload that others see whole or not at all;
what is long goes up in parts, which become an object with the last request. Parts of uploads that were killed are never
listed; a lifecycle rule of the bucket removes them.
"""

import contextlib
import hashlib
import io
import logging
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import IO, Any, Literal

import obstore
from filelock import FileLock, Timeout
from obstore.exceptions import BaseError
from obstore.store import S3Store

from s2chips_core.errors import LockedError, StorageError
from s2chips_core.storage.base import LOCKS, Entry, key_parts, lock_key
from s2chips_core.storage.lease import Lease, hold
from s2chips_core.storage.s3_errors import (
    ACCESS_KEY_VARIABLE,
    ATTEMPTS,
    SECRET_KEY_VARIABLE,
    SESSION_TOKEN_VARIABLE,
    attempt,
    told,
)
from s2chips_core.storage.s3_file import ObjectFile
from s2chips_core.storage.s3_lock import LockObject, keeps_to_conditions

log = logging.getLogger(__name__)

_FROM_ENVIRONMENT = {
    "access_key_id": ACCESS_KEY_VARIABLE,
    "secret_access_key": SECRET_KEY_VARIABLE,
    "session_token": SESSION_TOKEN_VARIABLE,
}
DEFAULT_REGION = "us-east-1"
REQUEST_MOST_S = 20
_RETRIES, _RETRY_MOST_S, _BACKOFF_MOST_S = 12, 5, 3
WRITE_MOST_S = _RETRY_MOST_S + _BACKOFF_MOST_S + REQUEST_MOST_S
"""Longest time of one write with all its attempts: no longer than a lock lasts after `lease.SURE_S`, so that none is still
on its way when another may have the lock."""
LOCK_REQUEST_MOST_S = 8
"""Of the lock's own requests: a hanging one must leave time for others before `lease.SURE_S`."""
_READ_BYTES = 1 << 20
PART_BYTES, _PARTS_AT_ONCE = 5 << 20, 2
"""Of a long upload: what is under way at once shares the link, and has REQUEST_MOST_S: 4 Mbit/s do."""
_DELETE_MOST = 1000

Locks = Literal["conditional", "this_machine"]


class S3Storage:
    """Objects below a prefix of a bucket; safe to share between threads."""

    def __init__(
        self,
        bucket: str,
        prefix: str,
        *,
        environment: Mapping[str, str],
        endpoint: str | None = None,
        region: str | None = None,
        locks: Locks = "conditional",
    ) -> None:
        """Args:
        bucket: its name.
        prefix: of all keys, without slashes at its ends; may be empty.
        environment: holds the keys (AWS_ACCESS_KEY_ID …); without them the machine's own role is asked for.
        endpoint: of the service; None: AWS.
        region: of the bucket.
        locks: kept in the bucket by conditional writes, or on this machine only: then no other may write this dataset.
        """
        self._bucket, self._prefix, self._locks = bucket, prefix, locks
        config: Any = {"region": region or environment.get("AWS_REGION") or DEFAULT_REGION}
        if endpoint:
            config |= {"endpoint": endpoint, "virtual_hosted_style_request": False}
        config |= {name: environment[v].strip() for name, v in _FROM_ENVIRONMENT.items() if environment.get(v, "").strip()}
        options: Any = {
            "allow_http": bool(endpoint) and str(endpoint).startswith("http://"),
            "timeout": timedelta(seconds=REQUEST_MOST_S),
            "connect_timeout": timedelta(seconds=5),
        }
        self._store = S3Store(
            bucket,
            prefix=prefix or None,
            config=config,
            client_options=options,
            retry_config={
                "max_retries": _RETRIES,
                "retry_timeout": timedelta(seconds=_RETRY_MOST_S),
                "backoff": {
                    "init_backoff": timedelta(milliseconds=100),
                    "max_backoff": timedelta(seconds=_BACKOFF_MOST_S),
                    "base": 2,
                },
            },
        )
        self._lock_store = S3Store(
            bucket,
            prefix=prefix or None,
            config=config,
            client_options=options | {"timeout": timedelta(seconds=LOCK_REQUEST_MOST_S)},
            retry_config={"max_retries": 2, "retry_timeout": timedelta(seconds=1)},
        )
        self._mutex = threading.Lock()
        self._turns: dict[str, threading.Lock] = {}
        self._leases: dict[Lease, LockObject] = {}
        self._conditional: bool | None = None

    def put(self, key: str, data: bytes) -> None:
        """One request, or an upload in parts."""
        with self._writing(key) as path:
            self._upload(key, path, io.BytesIO(data), len(data))

    def get(self, key: str) -> bytes:
        """The object at `key`."""
        with self._told(key, "cannot be read"):
            return bytes(obstore.get(self._store, _path(key)).bytes())

    def open_read(self, key: str) -> IO[bytes]:
        """The object at `key`, read in pieces; StorageError at a read when it was replaced meanwhile."""
        return io.BufferedReader(ObjectFile(self._store, self._bucket, _path(key)), _READ_BYTES)

    @contextlib.contextmanager
    def open_write(self, key: str) -> Iterator[IO[bytes]]:
        """A temporary file of this machine, then uploaded."""
        _path(key)
        try:
            with tempfile.TemporaryFile() as file:
                yield file
                size = file.seek(0, io.SEEK_END)
                file.seek(0)
                with self._writing(key) as path:
                    self._upload(key, path, file, size)
        except OSError as error:
            raise StorageError(key, f"cannot be written: its temporary file here: {error.strerror}") from error

    def exists(self, key: str) -> bool:
        """Whether there is an object at `key`."""
        with self._told(key, "cannot be looked for"):
            try:
                obstore.head(self._store, _path(key))
            except FileNotFoundError:
                return False
        return True

    def versions(self, prefix: str) -> dict[str, str]:
        """ETag, time and size of each object."""
        found = {}
        for meta in self._metas(prefix):
            if not _is_hidden(meta["path"]):
                found[meta["path"]] = f"{meta['e_tag']}-{meta['last_modified'].timestamp():.3f}-{meta['size']:x}"
        return dict(sorted(found.items()))

    def entries(self, prefix: str) -> Sequence[Entry]:
        """What is below `prefix`, sorted."""
        below = f"{_path(prefix)}/"
        found = (
            Entry(key=meta["path"], size_bytes=meta["size"], modified=meta["last_modified"])
            for meta in self._metas(prefix)
            if not _is_hidden(meta["path"].removeprefix(below))
        )
        return sorted(found, key=lambda entry: entry.key)

    def walk(self, prefix: str) -> Iterator[str]:
        """All keys below `prefix`, without the storage's own, a thousand at a time."""
        return (meta["path"] for meta in self._metas(prefix) if not _is_hidden(meta["path"]))

    def list(self, prefix: str) -> list[str]:
        """All keys below `prefix`, sorted, without the storage's own."""
        return sorted(self.walk(prefix))

    def delete(self, key: str) -> None:
        """Remove the object."""
        self._delete(key, [_path(key)])

    def move(self, source: str, target: str) -> None:
        """Copy on the server, then remove the source."""
        start = _path(source)
        with self._writing(target) as path, self._told(source, f"cannot be moved to {target}"):
            obstore.copy(self._store, start, path)
            self._remove(source, [start])

    def delete_folder(self, prefix: str) -> None:
        """Remove all objects below `prefix`."""
        with self._writing(prefix):
            paths = [meta["path"] for meta in self._metas(prefix)]
        for first in range(0, len(paths), _DELETE_MOST):
            self._delete(prefix, paths[first : first + _DELETE_MOST])

    @contextlib.contextmanager
    def lock(self, name: str, timeout_s: float = 600.0) -> Iterator[None]:
        """An object under `.locks/` that is renewed while it is held (`lease`), or a lock file of this machine.

        Raises:
            LockedError: it cannot be had in time; or, from a write under it, it may have been lost.
            StorageError: the service does not keep to conditions of writes, so that nothing keeps two writers apart.
        """
        with self._mutex:
            turn = self._turns.setdefault(name, threading.Lock())
        if not turn.acquire(timeout=timeout_s):
            raise LockedError(lock_key(name), f"still held by another thread after {timeout_s:g} s")
        try:
            if self._locks == "this_machine":
                with self._machine_lock(name, timeout_s):
                    yield
                return
            self._check_conditions()
            place = LockObject(self._lock_store, self._bucket, lock_key(name))
            with hold(place, name, timeout_s) as lease:
                with self._mutex:
                    self._leases[lease] = place
                try:
                    yield
                finally:
                    with self._mutex:
                        del self._leases[lease]
        finally:
            turn.release()

    def forget_lock(self, name: str) -> None:
        """Remove the lock's object."""
        if self._locks == "conditional":
            with self._mutex:
                held = [lease for lease in self._leases if lease.name == name]
            if not all(lease.forget() for lease in held):
                return  # another's by now
            with contextlib.suppress(BaseError, FileNotFoundError):  # where it cannot be removed it does no harm
                obstore.delete(self._store, lock_key(name))
        else:
            with contextlib.suppress(OSError):
                self._machine_file(name).unlink(missing_ok=True)

    def url(self, key: str) -> str:
        """s3://bucket/key."""
        return "/".join(part for part in (f"s3://{self._bucket}", self._prefix, _path(key)) if part)

    @contextlib.contextmanager
    def _writing(self, key: str) -> Iterator[str]:
        path = _path(key)
        self._check_leases(key)
        with self._told(key, "cannot be written"):
            yield path

    def _check_leases(self, key: str, *, renew: bool = False) -> None:
        with self._mutex:
            leases = dict(self._leases)
        for lease, place in leases.items():
            if renew:
                lease.renew(place)
            lease.check(key)

    def _upload(self, key: str, path: str, file: IO[bytes], size: int) -> None:
        if size <= PART_BYTES:
            obstore.put(self._store, path, file.read(), use_multipart=False)
            return

        def once() -> None:
            file.seek(0)
            # Whatever raises, it is not closed: parts alone are no object.
            writer = obstore.open_writer(self._store, path, buffer_size=PART_BYTES, max_concurrency=_PARTS_AT_ONCE)
            while part := file.read(PART_BYTES):
                self._check_leases(key)
                writer.write(part)
            # The last parts, and the request that makes them an object, may take longer than one write.
            self._check_leases(key, renew=True)
            writer.close()

        # An upload that was ended and whose answer was lost cannot be ended again: "no such upload".
        attempt(once)

    def _delete(self, key: str, paths: Sequence[str]) -> None:
        with self._writing(key), self._told(key, "cannot be removed"):
            self._remove(key, paths)

    def _remove(self, key: str, paths: Sequence[str]) -> None:
        """Again where the connection broke: obstore does not, because it asks by POST."""

        def once() -> None:
            self._check_leases(key)
            with contextlib.suppress(FileNotFoundError):
                obstore.delete(self._store, paths)

        attempt(once)

    def _metas(self, prefix: str) -> Iterator[Any]:
        with self._told(prefix, "cannot be listed"):
            for chunk in obstore.list(self._store, prefix=_path(prefix), chunk_size=_DELETE_MOST):
                yield from chunk

    def _told(self, key: str, problem: str) -> contextlib.AbstractContextManager[None]:
        return told(self._bucket, key, problem)

    def _check_conditions(self) -> None:
        """Whether the service refuses to write over what is there: some answer as if they did, and write."""
        with self._mutex:
            for left in reversed(range(ATTEMPTS)):
                if self._conditional is None:
                    try:
                        self._conditional = keeps_to_conditions(self._lock_store, self._bucket)
                    except StorageError:
                        if not left:
                            raise
            if not self._conditional:
                raise StorageError(
                    LOCKS,
                    f"the service of s3://{self._bucket} ignores If-None-Match or If-Match, so that it cannot keep two "
                    "writers apart; expected one that keeps to both, or storage.s3_locks: this_machine and all runs on one "
                    "machine",
                )

    @contextlib.contextmanager
    def _machine_lock(self, name: str, timeout_s: float) -> Iterator[None]:
        path = self._machine_file(name)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            held = FileLock(path, timeout=timeout_s)
            held.acquire()
        except Timeout as error:
            raise LockedError(lock_key(name), f"still held by another process after {timeout_s:g} s") from error
        except OSError as error:
            raise StorageError(lock_key(name), f"cannot be locked at {path}: {error.strerror}") from error
        try:
            yield
        finally:
            held.release()

    def _machine_file(self, name: str) -> Path:
        dataset = hashlib.sha256(self.url("x").encode()).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"s2chips-locks-{dataset}" / f"{name}.lock"


def _path(key: str) -> str:
    return "/".join(key_parts(key))


def _is_hidden(path: str) -> bool:
    return any(part.startswith(".") for part in path.split("/"))
