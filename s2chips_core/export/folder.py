"""The folder of an export: whole, or not there.

Everything is written into `.NAME.partial` beside the target, which takes the target's name once it is whole. A folder that
a killed export left is removed by the next one. An earlier export in the target is replaced, anything else is refused.

Here: the folder, checksums, the manifest. Not here: what is in it (`dataset`).
"""

import contextlib
import dataclasses
import hashlib
import json
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from filelock import FileLock, Timeout

from s2chips_core import layout
from s2chips_core.errors import InputError, StorageError
from s2chips_core.storage import LocalStorage

MADE_BY = "s2chips export"
NAMED = 3
_CHUNK_BYTES = 1 << 20


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Digest:
    """What is in a file."""

    sha256: str
    """64 hex digits."""
    size: int
    """Bytes."""


class ExportFolder:
    """An export that is being written. Threads may write at once."""

    def __init__(self, root: Path, lines: IO[bytes]) -> None:
        self.root = root
        self.storage = LocalStorage(root)
        self.files, self.bytes = 0, 0
        """What was written."""
        self._lines = lines
        """The checksums, as they come: of 100,000 chips they are half a million."""
        self._lock = threading.Lock()

    def put(self, key: str, data: bytes) -> Digest:
        """Write a file."""
        self.storage.put(key, data)
        return self._remember(key, Digest(sha256=hashlib.sha256(data).hexdigest(), size=len(data)))

    def link(self, key: str, source: Path) -> tuple[bytes, Digest]:
        """Make `key` a hard link to `source`; returns what is in it.

        The link is read, not the source: it stays what it is when the dataset replaces its file.

        Raises:
            StorageError: the source is gone, or lies on another file system.
        """
        path = self.storage.path(key)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            os.link(source, path)
            data = path.read_bytes()
        except OSError as error:
            problem = f"cannot be linked from {source}: {error.strerror}; an export to another file system is copied"
            raise StorageError(key, problem) from error
        return data, self._remember(key, Digest(sha256=hashlib.sha256(data).hexdigest(), size=len(data)))

    @contextlib.contextmanager
    def stream(self, key: str) -> Iterator[IO[bytes]]:
        """A file to write piece by piece; it may be read and sought in as well."""
        path = self.storage.path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with path.open("w+b") as file:
                yield file
                file.seek(0)
                sha = hashlib.sha256()
                while piece := file.read(_CHUNK_BYTES):
                    sha.update(piece)
                self._remember(key, Digest(sha256=sha.hexdigest(), size=file.tell()))
        except OSError as error:
            raise StorageError(key, f"cannot be written under {self.root}: {error.strerror}") from error

    def finish(self, manifest: Mapping[str, Any]) -> dict[str, Any]:
        """Write checksums, then the manifest; returns the manifest as written."""
        whole = {**manifest, "files": self.files, "bytes": self.bytes}
        self._lines.seek(0)
        lines = sorted(self._lines, key=lambda line: line.partition(b"  ")[2])
        whole["checksums_sha256"] = self.put(layout.export_checksums(), b"".join(lines)).sha256
        self.storage.put(layout.export_manifest(), (json.dumps(whole, indent=2, ensure_ascii=False) + "\n").encode())
        return whole

    def _remember(self, key: str, digest: Digest) -> Digest:
        with self._lock:
            self._lines.write(f"{digest.sha256}  {key}\n".encode())
            self.files += 1
            self.bytes += digest.size
        return digest


@contextlib.contextmanager
def export_folder(target: Path) -> Iterator[ExportFolder]:
    """A folder to write an export into; it takes the name `target` when the block ends, and goes when it fails.

    Raises:
        InputError: `target` holds something that is no export, or files that the export in it did not write.
        StorageError: another export to it is running, or it cannot be written.
    """
    target = target.expanduser().resolve()
    beside = {what: target.with_name(f".{target.name}.{what}") for what in ("lock", "partial", "replaced")}
    with contextlib.ExitStack() as held:
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            held.enter_context(FileLock(beside["lock"], timeout=0))
            held.callback(beside["lock"].unlink, missing_ok=True)
        except Timeout as error:
            raise StorageError(str(target), "another export is being written there") from error
        except OSError as error:
            raise StorageError(str(target), f"cannot be written: {error.strerror}") from error
        _recover(target, beside["replaced"])
        _refuse_foreign(target)
        try:
            shutil.rmtree(beside["partial"], ignore_errors=True)
            beside["partial"].mkdir()
            folder = ExportFolder(beside["partial"], held.enter_context(tempfile.TemporaryFile()))
            yield folder
            if not folder.storage.exists(layout.export_manifest()):
                raise StorageError(str(target), "the export was not finished")
            # What was added while this export ran is not removed either.
            _refuse_foreign(target)
            _exchange(beside["partial"], target, beside["replaced"])
        except OSError as error:
            raise StorageError(str(target), f"cannot be written: {error.strerror}") from error
        finally:
            shutil.rmtree(beside["partial"], ignore_errors=True)


def read_manifest(target: Path) -> dict[str, Any]:
    """The manifest of an export; InputError when `target` is none."""
    try:
        manifest = json.loads((target / layout.export_manifest()).read_bytes())
    except (OSError, ValueError):
        manifest = None
    if not isinstance(manifest, dict) or manifest.get("made_by") != MADE_BY:
        raise InputError("export folder", str(target), f"a folder with an {layout.export_manifest()} of {MADE_BY}")
    return manifest


def _exchange(partial: Path, target: Path, replaced: Path) -> None:
    """Give `partial` the name `target`; the folder that had it goes."""
    try:
        if target.exists():
            target.rename(replaced)
        partial.rename(target)
    finally:
        _recover(target, replaced)


def _recover(target: Path, replaced: Path) -> None:
    """Between the two renames the earlier export has another name: put it back, or remove it when it has a successor."""
    if replaced.exists() and not target.exists():
        replaced.rename(target)
    shutil.rmtree(replaced, ignore_errors=True)


def _refuse_foreign(target: Path) -> None:
    """Refuse to replace what no export has written."""
    if not target.exists():
        return
    if not target.is_dir():
        raise InputError("export folder", str(target), "a new or empty folder, or an earlier export; this is a file")
    there = {path.relative_to(target).as_posix() for path in target.rglob("*") if not path.is_dir() or path.is_symlink()}
    if not there:
        return
    expected = "a new or empty folder, or an earlier export"
    try:
        read_manifest(target)
        checksums = (target / layout.export_checksums()).read_text(encoding="utf-8")
    except (InputError, OSError) as error:
        raise InputError("export folder", str(target), f"{expected}; it holds other files") from error
    own = {line.partition("  ")[2] for line in checksums.splitlines()}
    foreign = sorted(there - own - {layout.export_manifest(), layout.export_checksums()})
    if foreign:
        named = ", ".join(foreign[:NAMED]) + (", …" if len(foreign) > NAMED else "")
        raise InputError("export folder", str(target), f"{expected}; files that no export wrote would be lost: {named}")
