"""A dataset in a folder of this machine, or of a file system that several mount.

Here: atomic puts by renaming, and locks by lock files. Not here: the interface (`base`).
"""

import contextlib
import errno
import os
import shutil
import time
import uuid
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from filelock import FileLock, Timeout

from s2chips_core.errors import LockedError, StorageError
from s2chips_core.storage.base import Entry, key_parts, lock_key
from s2chips_core.storage.scratch import forget_scratch, scratch_folder

_FINE_NS = 1_000_000
"""Times that are all whole numbers of this are those of a file system that keeps no finer ones."""
_COARSEST_NS = 2_000_000_000
"""Those of FAT."""


class LocalStorage:
    """A folder on this machine."""

    def __init__(self, root: Path, *, scratch: bool = False) -> None:
        """
        Args:
            root: the folder; it need not be there.
            scratch: write in a folder of this process, which others clear when it was killed; else beside the target.
        """
        self.root, self._scratch = root.expanduser().resolve(), scratch

    def path(self, key: str) -> Path:
        """The path of `key`; StorageError when it would leave the root."""
        return self.root.joinpath(*key_parts(key))

    def put(self, key: str, data: bytes) -> None:
        """Write to a temporary file, then rename it over the target."""
        with self._replacing(key) as file:
            file.write(data)

    def _open_temporary(self, path: Path) -> tuple[Path, IO[bytes]]:
        """A file that will take the place of `path`."""
        folder = scratch_folder(self.root) if self._scratch else path.parent
        temporary = folder / f".{path.name}.{uuid.uuid4().hex}"
        try:
            return temporary, temporary.open("xb")
        except FileNotFoundError:
            if not self._scratch:  # rare: a chip's folder is made with its first file
                folder.mkdir(parents=True, exist_ok=True)
                return temporary, temporary.open("xb")
            forget_scratch(self.root)  # somebody has removed the dataset, or what is hidden of it
            temporary = scratch_folder(self.root) / temporary.name
            return temporary, temporary.open("xb")

    def get(self, key: str) -> bytes:
        """The bytes at `key`."""
        try:
            return self.path(key).read_bytes()
        except OSError as error:
            raise StorageError(key, f"cannot be read under {self.root}: {error.strerror}") from error

    def open_read(self, key: str) -> IO[bytes]:
        """The file at `key`."""
        try:
            return self.path(key).open("rb")
        except OSError as error:
            raise StorageError(key, f"cannot be read under {self.root}: {error.strerror}") from error

    @contextlib.contextmanager
    def open_write(self, key: str) -> Iterator[IO[bytes]]:
        """A temporary file, then renamed over the target."""
        with self._replacing(key) as file:
            yield file

    @contextlib.contextmanager
    def _replacing(self, key: str) -> Iterator[IO[bytes]]:
        path = self.path(key)
        temporary, done = path, False
        try:
            temporary, opened = self._open_temporary(path)
            with opened as file:
                yield file
            _rename(temporary, path)
            done = True
        except OSError as error:
            raise StorageError(key, f"cannot be written under {self.root}: {error.strerror}") from error
        finally:
            if not done and temporary != path:
                with contextlib.suppress(OSError):
                    temporary.unlink()

    def exists(self, key: str) -> bool:
        """Whether a file is at `key`."""
        return self.path(key).is_file()

    def walk(self, prefix: str) -> Iterator[str]:
        """All keys below `prefix`, without the storage's own."""
        for folder, folders, files in os.walk(self.path(prefix)):
            folders[:] = [f for f in folders if not f.startswith(".")]
            base = Path(folder).relative_to(self.root).as_posix()
            yield from (f if base == "." else f"{base}/{f}" for f in files if not f.startswith("."))

    def list(self, prefix: str) -> list[str]:
        """All keys below `prefix`, sorted, without the storage's own."""
        return sorted(self.walk(prefix))

    def versions(self, prefix: str) -> dict[str, str]:
        """Size, time and number of each file: a put makes another file, so that the number is another one too.

        The one after next may have the number again. Where times are no finer than milliseconds it could have the time too:
        there the listing waits until what it has seen is old enough to be told from what comes.
        """
        found, folders, youngest_ns = dict[str, str](), [self.path(prefix)], 0
        while folders:
            with contextlib.suppress(FileNotFoundError), os.scandir(folders.pop()) as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    if entry.is_dir():
                        folders.append(Path(entry.path))
                        continue
                    seen = os.stat(entry.path)  # noqa: PTH116 -- on Windows the entry itself knows no number
                    key = Path(entry.path).relative_to(self.root).as_posix()
                    found[key] = f"{seen.st_size:x}-{seen.st_mtime_ns:x}-{seen.st_ino:x}"
                    if seen.st_mtime_ns % _FINE_NS == 0:
                        youngest_ns = max(youngest_ns, seen.st_mtime_ns)
        age_ns = time.time_ns() - youngest_ns
        if 0 <= age_ns < _COARSEST_NS:
            time.sleep((_COARSEST_NS - age_ns) / 1e9)
        return dict(sorted(found.items()))

    def entries(self, prefix: str) -> Sequence[Entry]:
        """What is below `prefix`, sorted; what goes meanwhile is left out."""
        found = []
        for key in self.list(prefix):
            with contextlib.suppress(FileNotFoundError):
                seen = self.path(key).stat()
                modified = datetime.fromtimestamp(seen.st_mtime, UTC)
                found.append(Entry(key=key, size_bytes=seen.st_size, modified=modified))
        return found

    def delete(self, key: str) -> None:
        """Remove the file and the folders it leaves empty."""
        path = self.path(key)
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise StorageError(key, f"cannot be removed under {self.root}: {error.strerror}") from error
        self._remove_empty_parents(path)

    def move(self, source: str, target: str) -> None:
        """Rename the file, and remove the folders it leaves empty."""
        path, new = self.path(source), self.path(target)
        try:
            _rename(path, new)
        except OSError as error:
            raise StorageError(source, f"cannot be moved to {target} under {self.root}: {error.strerror}") from error
        self._remove_empty_parents(path)

    def _remove_empty_parents(self, path: Path) -> None:
        for parent in path.parents:
            if parent == self.root or not parent.is_relative_to(self.root):
                break
            try:
                parent.rmdir()
            except OSError:
                break  # not empty, or another process was quicker

    def delete_folder(self, prefix: str) -> None:
        """Remove the folder, with temporary files, and the folders above that it leaves empty."""
        keys = [f"{prefix}/{path.name}" for path in self.path(prefix).glob(".*") if path.is_file()]
        for key in [*keys, *self.list(prefix)]:
            self.delete(key)

    @contextlib.contextmanager
    def lock(self, name: str, timeout_s: float = 600.0) -> Iterator[None]:
        """A lock file under `.locks/`; LockedError when it cannot be had in time."""
        path = self._lock_file(name)
        with contextlib.ExitStack() as held:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                held.enter_context(FileLock(path, timeout=timeout_s))
            except Timeout as error:
                raise LockedError(lock_key(name), f"still held by another process after {timeout_s:g} s") from error
            except OSError as error:
                problem = f"cannot be locked under {self.root}: {error.strerror}"
                raise StorageError(lock_key(name), problem) from error
            yield

    def forget_lock(self, name: str) -> None:
        """Remove the lock file: the lock itself ends when it is let go."""
        with contextlib.suppress(OSError):  # where it cannot be removed it does no harm
            self._lock_file(name).unlink(missing_ok=True)

    def _lock_file(self, name: str) -> Path:
        return self.root / lock_key(name)

    def url(self, key: str) -> str:
        """The absolute path."""
        return str(self.path(key))


def _rename(source: Path, path: Path) -> None:
    try:
        try:
            source.replace(path)
        except FileNotFoundError:
            path.parent.mkdir(parents=True, exist_ok=True)
            source.replace(path)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        # A folder of the dataset that lies on another disk.
        beside = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
        try:
            shutil.copyfile(source, beside)
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)
        source.unlink()
