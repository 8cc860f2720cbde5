"""What is tried on a dataset whose file system is read-only, and what it says: a process in a mount namespace of its own.

Run as `unshare ... python -m tests.flow.read_only_process FOLDER`; FOLDER is mounted read-only for this process alone. It
prints one JSON object: what each of `tests.flow.test_disk.tasks` said.
"""

import json
import subprocess
import sys
from pathlib import Path

from s2chips_core.ais.journal import JournalWriter
from s2chips_core.errors import StorageError
from s2chips_core.storage import LocalStorage


def main(folder: Path) -> None:
    """Mount, try, tell."""
    from tests.flow.test_disk import CAPTURE, tasks

    for command in (["mount", "--bind", folder, folder], ["mount", "-o", "remount,bind,ro", folder]):
        subprocess.run(command, check=True)
    storage = LocalStorage(folder, scratch=True)
    everything = tasks(storage) | {
        "journal": lambda: JournalWriter(storage, CAPTURE, {"windows": []}),
        "put": lambda: storage.put("a/b", b"1"),
        "delete": lambda: storage.delete(storage.list("chips")[0]),
        "move": lambda: storage.move(storage.list("chips")[0], "elsewhere"),
    }
    said = {}
    for name, task in everything.items():
        try:
            task()
            said[name] = "nothing was refused"
        except StorageError as error:
            said[name] = str(error)
    print(json.dumps(said))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
