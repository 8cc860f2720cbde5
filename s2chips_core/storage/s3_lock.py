"""The object of a lock in a bucket, and whether a service can keep one.

Not here: the law of the lock (`lease`), and who holds which (`s3`).
"""

import uuid
from typing import Any

import obstore
from obstore.exceptions import AlreadyExistsError, PreconditionError
from obstore.store import S3Store

from s2chips_core.storage.base import LOCKS, lock_key
from s2chips_core.storage.s3_errors import told

_CLOCK = f"{LOCKS}/.clock"
"""What is put to learn the service's time: everybody's, and only ever replaced."""


class LockObject:
    """The `lease.Place` of a lock."""

    def __init__(self, store: S3Store, bucket: str, key: str) -> None:
        self._store, self._bucket, self.key = store, bucket, key

    def read(self) -> tuple[bytes, str] | None:
        """The object and its ETag."""
        with told(self._bucket, self.key, "cannot be read"):
            try:
                result = obstore.get(self._store, self.key)
            except FileNotFoundError:
                return None
            return bytes(result.bytes()), str(result.meta["e_tag"])

    def write(self, data: bytes, seen: str | None) -> str | None:
        """If-None-Match, or If-Match."""
        mode: Any = "create" if seen is None else {"e_tag": seen}
        with told(self._bucket, self.key, "cannot be written"):
            try:
                return str(obstore.put(self._store, self.key, data, mode=mode)["e_tag"])
            except (AlreadyExistsError, PreconditionError, FileNotFoundError):
                return None

    def unchanged_s(self) -> float:
        """By the service's clock: how much earlier than an object that is written now."""
        with told(self._bucket, self.key, "cannot be read"):
            obstore.put(self._store, _CLOCK, b"")
            now = obstore.head(self._store, _CLOCK)["last_modified"]
            try:
                return (now - obstore.head(self._store, self.key)["last_modified"]).total_seconds()
            except FileNotFoundError:
                return 0.0


def keeps_to_conditions(store: S3Store, bucket: str) -> bool:
    """Whether the service refuses to write over what is there: some answer as if they did, and write.

    Raises:
        StorageError: it cannot be asked.
    """
    probe = LockObject(store, bucket, lock_key(f"probe-{uuid.uuid4().hex}"))  # what a kill leaves of it gets old as locks do
    first = probe.write(b"1", None)
    if first is None:  # the answer was lost: nobody else knows the key
        found = probe.read()
        first = "" if found is None else found[1]
    kept = probe.write(b"2", None) is None
    if kept:
        probe.write(b"3", first)
        kept = probe.write(b"4", first) is None
    with told(bucket, probe.key, "cannot be removed"):
        obstore.delete(store, probe.key)
    return kept
