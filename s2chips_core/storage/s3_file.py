"""An object of a bucket as a file that is read from any place.

Not here: how it is opened, and everything that writes (`s3`).
"""

import io
import logging
from typing import Any

import obstore
from obstore.exceptions import BaseError, PreconditionError
from obstore.store import S3Store

from s2chips_core.errors import StorageError
from s2chips_core.storage.s3_errors import told

log = logging.getLogger(__name__)

_NO_RANGES = "non-partial response"
"""What object_store says of a service that answers a range with the whole object."""


class ObjectFile(io.RawIOBase):
    """Unbuffered; StorageError at a read when the object was replaced meanwhile."""

    def __init__(self, store: S3Store, bucket: str, key: str) -> None:
        self._store, self._bucket, self._key = store, bucket, key
        with told(bucket, key, "cannot be read"):
            meta = obstore.head(store, key)
        self._size, self._etag = meta["size"], meta["e_tag"]
        self._at = 0
        self._whole: memoryview | None = None
        """All of it, where the service gives no less."""

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise ValueError(f"negative place {base + offset}")
        self._at = base + offset
        return self._at

    def readall(self) -> bytes:
        """All that is left in one request: Python's own asks for 8 kB at a time."""
        data = bytearray(max(0, self._size - self._at))
        done = 0
        while read := self.readinto(memoryview(data)[done:]):
            done += read
        return bytes(data[:done])

    def readinto(self, buffer: Any) -> int:
        length = min(len(buffer), self._size - self._at)
        if length <= 0:
            return 0
        data = self._whole[self._at : self._at + length] if self._whole else self._get((self._at, self._at + length))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def _get(self, part: tuple[int, int]) -> memoryview:
        condition: Any = {"if_match": self._etag} if self._etag else {}
        with told(self._bucket, self._key, "cannot be read"):
            try:
                return memoryview(self._ask({**condition, "range": part}))
            except PreconditionError:
                raise StorageError(self._key, "was replaced while it was read") from None
            except BaseError as error:
                if _NO_RANGES not in str(error):
                    raise
                # A server may ignore ranges (RFC 9110, section 14.2).
                log.warning("the service of s3://%s does not answer %s in ranges: read whole", self._bucket, self._key)
                self._whole = memoryview(self._ask(condition))
                return self._whole[slice(*part)]

    def _ask(self, options: Any) -> bytes:
        return obstore.get(self._store, self._key, options=options).bytes().to_bytes()
