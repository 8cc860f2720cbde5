"""What a dataset is kept in: keys and bytes, atomic puts, and a lock.

Here: the interface, and what a key is. Not here: what the keys are called (`layout`). Keys are relative POSIX paths; a key
that leaves the root is refused. Keys that begin with a dot are the storage's own and are never listed.
"""

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import PurePosixPath
from typing import IO, Protocol

from s2chips_core.errors import StorageError

LOCKS = ".locks"
"""Below it the storage keeps its locks."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Something that is kept, without its bytes."""

    key: str
    size_bytes: int
    modified: datetime
    """Aware UTC, by the clock of whatever keeps it."""


class Storage(Protocol):
    """Keys and bytes. Every put is atomic: a reader sees the old bytes or the new ones, never a part."""

    def put(self, key: str, data: bytes) -> None:
        """Write `data` at `key`, replacing what is there."""

    def get(self, key: str) -> bytes:
        """The bytes at `key`; StorageError when it is not there."""

    def open_read(self, key: str) -> IO[bytes]:
        """What is at `key`, to be read from any place; StorageError when it is not there. Whoever opens it closes it."""

    def open_write(self, key: str) -> contextlib.AbstractContextManager[IO[bytes]]:
        """`put` for what is too long to be held: what was written takes the key at the end, or nothing on an exception."""

    def exists(self, key: str) -> bool:
        """Whether there is something at `key`."""

    def versions(self, prefix: str) -> dict[str, str]:
        """All keys below the folder `prefix`, sorted, with a word that is another one after each put."""

    def entries(self, prefix: str) -> Sequence[Entry]:
        """What is below the folder `prefix`, sorted by key; of the storage's own only what is below `prefix` itself."""

    def walk(self, prefix: str) -> Iterator[str]:
        """All keys below the folder `prefix` in any order, one after another: of millions no list is made."""

    def list(self, prefix: str) -> list[str]:
        """All keys below the folder `prefix`, sorted; none when the folder is not there."""

    def delete(self, key: str) -> None:
        """Remove `key`; no error when it is gone already."""

    def move(self, source: str, target: str) -> None:
        """Give what is at `source` the key `target`, replacing what is there; StorageError when nothing is at `source`.

        At any moment it is under one of the two keys, or under both.
        """

    def delete_folder(self, prefix: str) -> None:
        """Remove everything below `prefix`, also what puts that were killed have left; nobody writes there now."""

    def lock(self, name: str, timeout_s: float = 600.0) -> contextlib.AbstractContextManager[None]:
        """Hold the named lock of this dataset, across threads and processes; LockedError when it is not free in time."""

    def forget_lock(self, name: str) -> None:
        """Leave nothing of a lock whose name will not be used again; whoever calls this holds it."""

    def url(self, key: str) -> str:
        """How a person reaches `key`: a path or URL."""


def key_parts(key: str) -> tuple[str, ...]:
    """The folders and the name of a key; StorageError when it would leave the root."""
    parts = PurePosixPath(key).parts
    if not parts or key.startswith("/") or "\\" in key or "\0" in key or ".." in parts:
        raise StorageError(key, "is no key: expected a relative path without '..'")
    return parts


def lock_key(name: str) -> str:
    """Where a storage that keeps its own locks keeps `name`; what an error calls it."""
    return f"{LOCKS}/{name}.lock"


def lock_name(key: str) -> str | None:
    """The name of the lock at `key`; none for what is no `lock_key`."""
    below, suffix = f"{LOCKS}/", ".lock"
    return key[len(below) : -len(suffix)] if key.startswith(below) and key.endswith(suffix) else None
