"""A storage that breaks at any of its calls, for tests of what is left then."""

import contextlib
import itertools
import threading
from collections.abc import Iterator
from typing import IO

from s2chips_core.errors import StorageError
from s2chips_core.storage import Storage
from s2chips_core.storage.s3 import S3Storage
from tests.datasets import Door
from tests.reliability import often


def calls_to_break(storage: Storage) -> Iterator[int]:
    """Each call in turn; in a bucket, of which a copy takes long, every seventh, and each with S2CHIPS_RELIABILITY."""
    return itertools.count(1, often(7, 1) if isinstance(storage, S3Storage) else 1)


class Killed(BaseException):
    """What a kill is to the code that runs: nothing after it happens."""


class Breaking(Door):
    """A storage whose call number `at` fails, and with `dead` every one after it.

    With `writes_only` calls that read are not counted: what is on disk when one of them fails is what is there when the
    next call that writes does. A move in a bucket is two calls, a copy and a removal.
    """

    def __init__(self, behind: Storage, at: int, *, dead: bool, writes_only: bool = False) -> None:
        super().__init__(behind)
        self.left, self.dead, self.writes_only, self.counting = at, dead, writes_only, threading.Lock()

    def _read(self, key: str) -> None:
        if not self.writes_only:
            self._call(key)

    def _call(self, key: str) -> None:
        with self.counting:
            self.left -= 1
            if self.left == 0 or (self.left < 0 and self.dead):
                raise Killed if self.dead else StorageError(key, "the disk is full")

    def put(self, key: str, data: bytes) -> None:
        self._call(key)
        super().put(key, data)

    def get(self, key: str) -> bytes:
        self._read(key)
        return super().get(key)

    def open_read(self, key: str) -> IO[bytes]:
        self._read(key)
        return super().open_read(key)

    @contextlib.contextmanager
    def open_write(self, key: str) -> Iterator[IO[bytes]]:
        self._call(key)
        with super().open_write(key) as file:
            yield file

    def versions(self, prefix: str) -> dict[str, str]:
        self._read(prefix)
        return super().versions(prefix)

    def exists(self, key: str) -> bool:
        self._read(key)
        return super().exists(key)

    def list(self, prefix: str) -> list[str]:
        self._read(prefix)
        return super().list(prefix)

    def delete(self, key: str) -> None:
        self._call(key)
        super().delete(key)

    def move(self, source: str, target: str) -> None:
        self._call(source)
        if not isinstance(self.behind, S3Storage):
            super().move(source, target)
            return
        super().put(target, super().get(source))
        self._call(source)
        super().delete(source)

    def delete_folder(self, prefix: str) -> None:
        for key in super().list(prefix):
            self.delete(key)
        super().delete_folder(prefix)

    @contextlib.contextmanager
    def lock(self, name: str, timeout_s: float = 600.0) -> Iterator[None]:
        self._read(name)
        with super().lock(name, timeout_s):
            yield
