"""Where the dataset lives.

Here: which storage a configuration names. In `base` the interface, in `local` a folder, in `scratch`
where it has what is half written, in `s3` a bucket, in `lease` the lock that a bucket has.
"""

from collections.abc import Mapping
from pathlib import Path

from s2chips_core.sections import StorageSettings
from s2chips_core.storage.base import LOCKS, Entry, Storage, lock_name
from s2chips_core.storage.local import LocalStorage

__all__ = ["LOCKS", "Entry", "LocalStorage", "Storage", "lock_name", "open_storage"]


def open_storage(settings: StorageSettings, environment: Mapping[str, str]) -> Storage:
    """The storage of `storage.dataset_root`: a folder, or a bucket with the keys of `environment`."""
    if settings.bucket is None:
        return LocalStorage(Path(settings.dataset_root), scratch=True)
    from s2chips_core.storage.s3 import S3Storage

    return S3Storage(
        *settings.bucket,
        environment=environment,
        endpoint=settings.s3_endpoint,
        region=settings.s3_region,
        locks=settings.s3_locks,
    )
