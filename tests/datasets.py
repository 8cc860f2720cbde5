"""The datasets that tests make: in a folder, or in a bucket of a real S3 server.

Here: which kind, how one is made, copied and read whole, and how another process finds it. Not here: the servers
(`storage/s3_servers`). Without a word all are folders; `S2CHIPS_TEST_STORAGE=rclone` or `moto` runs the tests that make a
dataset in a bucket, and `S2CHIPS_RELIABILITY` runs them on all three.
"""

import contextlib
import dataclasses
import hashlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any

import obstore

from s2chips_core.storage import LOCKS, Entry, LocalStorage, Storage
from s2chips_core.storage.s3 import S3Storage
from tests.storage.s3_servers import S3Server

KINDS = ("local", "rclone", "moto")
VARIABLE = "S2CHIPS_TEST_STORAGE"
Place = dict[str, Any]
"""Where a dataset is, as JSON that another process opens."""


def kinds_asked_for() -> tuple[str, ...]:
    """What the environment says."""
    asked = os.environ.get(VARIABLE, "")
    if not asked:
        return KINDS if os.environ.get("S2CHIPS_RELIABILITY") else KINDS[:1]
    assert asked in KINDS, f"{VARIABLE}: got {asked!r}, expected one of {', '.join(KINDS)}"
    return (asked,)


@dataclasses.dataclass(frozen=True, slots=True)
class Datasets:
    """Where the datasets of a test are."""

    kind: str
    server: S3Server | None
    """None: they are folders."""

    def at(self, folder: Path) -> Storage:
        """The dataset of that name: the folder itself, or what has its name in the bucket."""
        return LocalStorage(folder) if self.server is None else open_place(self._place(folder))

    def settings(self, folder: Path) -> dict[str, str]:
        """The section `storage` of its configuration."""
        if self.server is None:
            return {"dataset_root": str(folder)}
        place = self._place(folder)
        root = f"s3://{place['bucket']}/{place['prefix']}"
        return {"dataset_root": root, "s3_endpoint": place["endpoint"], "s3_locks": place["locks"]}

    def _place(self, folder: Path) -> Place:
        assert self.server is not None
        name = hashlib.sha256(str(folder).encode()).hexdigest()[:24]
        place = {**dataclasses.asdict(self.server), "prefix": f"{name}/{folder.name}"}
        if self.server.locks == "this_machine":
            return place
        # moto looks through all of a bucket for each list: each dataset has one of its own.
        self.server.make_bucket(name)
        return {**place, "bucket": name}


def place_of(storage: Storage) -> Place:
    """Where it is."""
    if isinstance(storage, Door):
        return place_of(storage.behind)
    if isinstance(storage, LocalStorage):
        return {"root": str(storage.root)}
    assert isinstance(storage, S3Storage)
    endpoint = storage._store.config["endpoint"]
    return {"endpoint": endpoint, "locks": storage._locks, "bucket": storage._bucket, "prefix": storage._prefix}


def open_place(place: Place) -> Storage:
    """The dataset that is there."""
    if "root" in place:
        return LocalStorage(Path(place["root"]))
    return S3Server(place["endpoint"], place["locks"], place["bucket"]).storage(place["prefix"])


def again(storage: Storage) -> Storage:
    """The same dataset as another process sees it."""
    return open_place(place_of(storage))


def everything(storage: Storage) -> dict[str, bytes]:
    """All that is kept, sorted, also what is hidden; not the locks."""
    if isinstance(storage, Door):
        return everything(storage.behind)
    if isinstance(storage, LocalStorage):
        paths = [path for path in storage.root.rglob("*") if path.is_file()]
        found = {path.relative_to(storage.root).as_posix(): path.read_bytes() for path in paths}
        return {key: data for key, data in sorted(found.items()) if not key.startswith(f"{LOCKS}/")}
    assert isinstance(storage, S3Storage)
    keys = [meta["path"] for chunk in obstore.list(storage._store) for meta in chunk]
    kept = sorted(key for key in keys if not key.startswith(f"{LOCKS}/"))
    with ThreadPoolExecutor(4) as pool:
        return dict(zip(kept, pool.map(storage.get, kept), strict=True))


def locks_of(storage: Storage) -> list[str]:
    """The names of locks that are left."""
    return [entry.key.removeprefix(f"{LOCKS}/") for entry in storage.entries(LOCKS)]


def copy(storage: Storage, target: Storage) -> Storage:
    """All of one dataset in another; returns that."""
    kept = everything(storage)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(target.put, kept.keys(), kept.values()))
    return target


class Door:
    """A storage through which another one is used. Subclasses do something on the way."""

    def __init__(self, behind: Storage) -> None:
        self.behind = behind

    def put(self, key: str, data: bytes) -> None:
        self.behind.put(key, data)

    def get(self, key: str) -> bytes:
        return self.behind.get(key)

    def open_read(self, key: str) -> IO[bytes]:
        return self.behind.open_read(key)

    def open_write(self, key: str) -> contextlib.AbstractContextManager[IO[bytes]]:
        return self.behind.open_write(key)

    def exists(self, key: str) -> bool:
        return self.behind.exists(key)

    def versions(self, prefix: str) -> dict[str, str]:
        return self.behind.versions(prefix)

    def entries(self, prefix: str) -> Sequence[Entry]:
        return self.behind.entries(prefix)

    def walk(self, prefix: str) -> Iterator[str]:
        return self.behind.walk(prefix)

    def list(self, prefix: str) -> list[str]:
        return self.behind.list(prefix)

    def delete(self, key: str) -> None:
        self.behind.delete(key)

    def move(self, source: str, target: str) -> None:
        self.behind.move(source, target)

    def delete_folder(self, prefix: str) -> None:
        self.behind.delete_folder(prefix)

    def lock(self, name: str, timeout_s: float = 600.0) -> contextlib.AbstractContextManager[None]:
        return self.behind.lock(name, timeout_s)

    def forget_lock(self, name: str) -> None:
        self.behind.forget_lock(name)

    def url(self, key: str) -> str:
        return self.behind.url(key)
