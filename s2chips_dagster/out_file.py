"""The file that a command was asked to write with `--out`.

Not here: files of the dataset (`s2chips_core.storage`).
"""

from pathlib import Path

from s2chips_core.errors import StorageError


def write_whole(path: Path, data: bytes) -> None:
    """Write a file at once: half a schedule looks like a whole one.

    Raises:
        StorageError: it cannot be written.
    """
    from s2chips_core.storage import LocalStorage

    target = path.resolve()
    if target.exists() and not target.is_file():  # /dev/stdout, a named pipe
        try:
            target.write_bytes(data)
        except OSError as error:
            raise StorageError(str(path), f"cannot be written: {error.strerror}") from error
    else:
        LocalStorage(target.parent).put(target.name, data)
