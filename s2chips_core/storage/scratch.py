"""Where files of a dataset are written before they take their names: a folder of each process, cleared when that has died.

Here: the folder and its lock. Not here: what is written (`local`). A process that is killed in the middle of a put leaves a
file without a name. In a place of their own such files are found without looking through millions of others, and the lock
says whether who wrote them still lives.
"""

import atexit
import contextlib
import os
import shutil
import threading
import uuid
from pathlib import Path

from filelock import FileLock, Timeout

from s2chips_core.storage.base import lock_key

FOLDER = ".tmp"

_guard = threading.Lock()
_open: dict[tuple[int, Path], tuple[Path, FileLock]] = {}
"""By process, since a fork has its parent's variables, and root: folder and its lock."""


def scratch_folder(root: Path) -> Path:
    """The folder of this process in the dataset at `root`; made with the first call, and gone with the process."""
    with _guard:
        known = _open.get((os.getpid(), root))
        if known is not None:
            return known[0]
        _clear(root)
        name = uuid.uuid4().hex
        lock = _lock(root, name)
        # Held before the folder is there to be found, until the process ends.
        lock.acquire(timeout=0)
        folder = root / FOLDER / name
        folder.mkdir(parents=True)
        _open[os.getpid(), root] = folder, lock
        return folder


def forget_scratch(root: Path) -> None:
    """Begin with another folder: somebody has removed this one."""
    with _guard:
        known = _open.pop((os.getpid(), root), None)
        if known is not None:
            _remove(*known)


def _clear(root: Path) -> None:
    """Remove the folders of processes that have died."""
    with contextlib.suppress(FileNotFoundError):
        for folder in list((root / FOLDER).iterdir()):
            lock = _lock(root, folder.name)
            with contextlib.suppress(Timeout, OSError):
                lock.acquire(timeout=0)
                _remove(folder, lock)


def _lock(root: Path, name: str) -> FileLock:
    path = root / lock_key(f"writer-{name}")
    path.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(path)


def _remove(folder: Path, lock: FileLock) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(OSError):
        folder.parent.rmdir()  # unless another process has its folder there
    # The name of the lock never comes again: it may go while it is held.
    with contextlib.suppress(OSError):
        Path(lock.lock_file).unlink(missing_ok=True)
    lock.release()


@atexit.register
def _remove_own() -> None:
    for (process, _), known in list(_open.items()):
        if process == os.getpid():
            _remove(*known)
