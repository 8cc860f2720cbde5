"""The inbox on disk: what lies there, and moving files on. Nothing is ever overwritten.

    inbox/ships.csv                       dropped, not taken yet
    inbox/working/{work_id}/ships.csv     a run has it
    inbox/done/ships.csv                  chipped, with ships.csv.report.csv beside it
    inbox/failed/ships.csv                not chipped, with ships.csv.error.txt beside it

A run that was killed leaves its folder under `working`; whoever looks next finishes it. Whether a run lives is told by the
dataset's lock of its `work_id`. Not here: which files are ready (`inbox`).
"""

import contextlib
import dataclasses
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from s2chips_core.ais.inbox import Dropped, is_left_alone, numbered_name
from s2chips_core.errors import InputError, StorageError
from s2chips_core.storage import Storage

DONE, FAILED, WORKING = "done", "failed", "working"
REPORT, ERROR, NOTE = ".report.csv", ".error.txt", ".note.txt"
"""What is put beside a file: its name with one of these."""
_DESTINATION = ".destination.json"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What lies in an inbox."""

    files: list[Dropped]
    waiting: dict[str, str]
    """Name -> why it cannot be taken yet."""


class Inbox:
    """One inbox folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def prepare(self) -> None:
        """Make the folder, so that people find it; StorageError when it cannot be."""
        with _told(self.root):
            self.root.mkdir(parents=True, exist_ok=True)

    def listing(self) -> Listing:
        """The files that may be taken, and those that may not yet; folders, links and what is left alone are in neither."""
        files, waiting = [], {}
        with _told(self.root), os.scandir(self.root) as entries:
            for entry in entries:
                if is_left_alone(entry.name) or not entry.is_file(follow_symlinks=False):
                    continue
                try:
                    entry.name.encode()
                    with Path(entry.path).open("rb"):
                        seen = entry.stat(follow_symlinks=False)
                except UnicodeEncodeError:
                    waiting[ascii(entry.name)] = "its name is no UTF-8: rename it"
                except OSError as error:
                    waiting[entry.name] = f"it cannot be opened yet ({error.strerror})"
                else:
                    files.append(Dropped(name=entry.name, size_bytes=seen.st_size, mtime_ns=seen.st_mtime_ns))
        return Listing(files=files, waiting=waiting)

    def sha256(self, name: str) -> str:
        """Of a file that lies there, hexadecimal; StorageError when it cannot be read."""
        path = self.root / name
        with _told(path), path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()

    def take(self, name: str, work_id: str) -> Path:
        """Move a file out of the inbox into a folder of its own; whoever calls this holds the lock of `work_id`.

        Raises:
            InputError: it is no longer there.
            StorageError: it cannot be moved.
        """
        folder = self.root / WORKING / work_id
        with _told(folder):
            folder.mkdir(parents=True, exist_ok=True)
            try:
                _move(self.root / name, folder / name)
            except FileNotFoundError as error:
                with contextlib.suppress(OSError):
                    folder.rmdir()
                raise InputError(str(self.root / name), "no such file", "the file that was dropped there") from error
        return folder / name

    def work_ids(self) -> list[str]:
        """The folders under `working`, sorted."""
        folder = self.root / WORKING
        with _told(folder):
            return sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []

    def conclude(self, work_id: str, folder: str, beside: Mapping[str, bytes]) -> Path:
        """Move a file that was taken on to `done` or `failed`; whoever calls this holds the lock of `work_id`.

        Args:
            work_id: of `take`.
            folder: DONE or FAILED.
            beside: what is put beside it: ending (REPORT, ERROR, NOTE) -> content.

        Returns:
            Where the file lies now, under a number of its own where another one has its name.

        Raises:
            StorageError: something cannot be written; `finish` goes on from there.
        """
        work = self.root / WORKING / work_id
        with _told(work):
            [name] = _files_taken(work)
            # The report last: it says that the file was chipped.
            for ending, content in sorted(beside.items(), key=lambda one: one[0] == REPORT):
                _write_whole(work / f".{ending}", content)
            (self.root / folder).mkdir(exist_ok=True)
            self._choose(work, folder, name, 1)
            return self._move_on(work)

    def finish(self, work_id: str, killed: str) -> Path | None:
        """Go on where a run that had taken a file was killed; whoever calls this holds the lock of `work_id`.

        Args:
            work_id: of `take`.
            killed: the error to put beside a file that was not concluded.

        Returns:
            Where the file lies now; none when the run had not taken it yet.
        """
        work = self.root / WORKING / work_id
        with _told(work):
            if (work / _DESTINATION).is_file():
                return self._move_on(work)
            if _files_taken(work):
                if (work / f".{REPORT}").is_file():
                    return self.conclude(work_id, DONE, {})
                known = (work / f".{ERROR}").is_file()
                return self.conclude(work_id, FAILED, {} if known else {ERROR: f"{killed}\n".encode()})
            shutil.rmtree(work, ignore_errors=True)
            return None

    def _choose(self, work: Path, folder: str, name: str, first: int) -> None:
        """Write down the first number that nobody has, before anything is moved there."""
        target, number = self.root / folder, first
        endings = ["", *(path.name[1:] for path in _beside(work))]
        while any(os.path.lexists(target / (numbered_name(name, number) + ending)) for ending in endings):
            number += 1
        chosen = {"folder": folder, "name": name, "number": number}
        _write_whole(work / _DESTINATION, json.dumps(chosen).encode())

    def _move_on(self, work: Path) -> Path:
        while True:
            chosen = json.loads((work / _DESTINATION).read_text(encoding="utf-8"))
            folder, name, number = str(chosen["folder"]), str(chosen["name"]), int(chosen["number"])
            target = self.root / folder / numbered_name(name, number)
            try:
                for path in _beside(work):
                    _move(path, target.with_name(target.name + path.name[1:]))
                if (work / name).exists():  # else it was moved before the run was killed
                    _move(work / name, target)
                break
            except FileExistsError:  # somebody has put a file there meanwhile
                self._choose(work, folder, name, number + 1)
        shutil.rmtree(work, ignore_errors=True)
        return target


@contextlib.contextmanager
def working(storage: Storage, work_id: str, timeout_s: float = 0.0) -> Iterator[None]:
    """Hold the lock of `work_id`: while it is held its run lives. StorageError when another process has it."""
    with storage.lock(f"inbox-{work_id}", timeout_s):
        try:
            yield
        finally:
            storage.forget_lock(f"inbox-{work_id}")


def _files_taken(work: Path) -> list[str]:
    return [path.name for path in work.iterdir() if not path.name.startswith(".")]


def _beside(work: Path) -> list[Path]:
    return [path for ending in (REPORT, NOTE, ERROR) if (path := work / f".{ending}").exists()]


def _write_whole(path: Path, content: bytes) -> None:
    temporary = path.with_name(f"{path.name}.new")
    temporary.write_bytes(content)
    temporary.replace(path)


def _move(source: Path, target: Path) -> None:
    """Rename, but never over a file that is there (FileExistsError).

    A hard link fails where the name is taken, which a rename does not. Where there are no hard links the name is reserved
    by an empty file first.
    """
    try:
        os.link(source, target, follow_symlinks=False)
    except (FileExistsError, FileNotFoundError):
        if not target.exists() or not source.exists() or not source.samefile(target):
            raise
    except (OSError, NotImplementedError):
        try:
            os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        except FileExistsError:
            if target.stat().st_size:  # else it is the reservation of a run that was killed: the name was free when chosen
                raise
        try:
            source.replace(target)
        except OSError:
            target.unlink()
            raise
        return
    source.unlink()


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(str(path), f"the inbox cannot be worked with: {error.strerror}") from error
