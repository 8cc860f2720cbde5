"""Whether the dataset can be written: the check `dataset` of `s2chips doctor`.

Here: asking the storage. Not here: the other checks (`doctor`), what free space means (`findings`).
"""

import shutil
import uuid

from s2chips_core.errors import StorageError
from s2chips_core.storage import LocalStorage, Storage
from s2chips_dagster import findings
from s2chips_dagster.findings import Finding, failed, ok

LOCK_MOST_S = 5.0


def check_dataset(storage: Storage) -> Finding:
    """Whether a file can be written and read back; how much room a folder has, and whether a bucket keeps locks."""
    return _check_folder(storage) if isinstance(storage, LocalStorage) else _check_bucket(storage)


def _check_folder(storage: LocalStorage) -> Finding:
    root = storage.root
    there = next(folder for folder in (root, *root.parents) if folder.exists())
    try:
        same = _is_kept(LocalStorage(there))
    except StorageError as error:
        remedy = "let this user write there, or name another folder in storage.dataset_root (or S2CHIPS_DATASET_ROOT)"
        return failed("dataset", f"{root}: {error.problem}", remedy)
    if not same:
        return failed("dataset", f"{root}: what was written is not what is read", "check the disk")
    return findings.judge_disk(str(root), shutil.disk_usage(there).free, exists=there == root)


def _check_bucket(storage: Storage) -> Finding:
    url = storage.url("x").removesuffix("/x")
    name = f"doctor-{uuid.uuid4().hex}"
    try:
        same = _is_kept(storage)
        with storage.lock(name, LOCK_MOST_S):
            storage.forget_lock(name)
    except StorageError as error:
        remedy = (
            "look at storage.dataset_root, s3_endpoint, s3_region and s3_locks, and at AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY in the environment; the key needs the rights to get, put, list and delete there"
        )
        return failed("dataset", f"{url}: {error.problem}", remedy)
    if not same:
        return failed("dataset", f"{url}: what was written is not what is read", "look for a cache between here and there")
    return ok("dataset", f"{url} can be written, read and locked")


def _is_kept(storage: Storage) -> bool:
    key, data = f".s2chips-doctor-{uuid.uuid4().hex}", uuid.uuid4().bytes
    try:
        storage.put(key, data)
        return storage.get(key) == data
    finally:
        storage.delete(key)
