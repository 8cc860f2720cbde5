"""Half-written files: of a process that lives they stay, of one that was killed they go."""

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from s2chips_core.errors import StorageError
from s2chips_core.storage import LocalStorage

WRITER = """
import sys
from pathlib import Path
from s2chips_core.storage import LocalStorage
with LocalStorage(Path(sys.argv[1]), scratch=True).open_write("a/long") as file:
    file.write(b"half")
    file.flush()
    print("writing", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path / "dataset", scratch=True)


@pytest.fixture
def writer(storage: LocalStorage) -> Iterator["subprocess.Popen[bytes]"]:
    """A process in the middle of a put."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(storage.root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=os.environ
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"writing\n"
        yield process
        process.kill()


def hidden(storage: LocalStorage) -> list[str]:
    return sorted(path.name.rpartition(".")[0] for path in (storage.root / ".tmp").rglob("*") if path.is_file())


def test_what_a_killed_process_has_left_goes_with_the_first_put_of_another(
    storage: LocalStorage, writer: "subprocess.Popen[bytes]"
) -> None:
    assert hidden(storage) == [".long"]
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    storage.put("a/b", b"1")
    assert hidden(storage) == []
    assert storage.list("a") == ["a/b"]
    assert len(list((storage.root / ".tmp").iterdir())) == 1, "this process's own"
    assert len(list((storage.root / ".locks").iterdir())) == 1


def test_a_process_that_lives_keeps_what_it_writes(storage: LocalStorage, writer: "subprocess.Popen[bytes]") -> None:
    storage.put("a/b", b"1")
    assert hidden(storage) == [".long"]
    writer.communicate(b"")
    assert writer.returncode == 0
    assert storage.get("a/long") == b"half"
    assert len(list((storage.root / ".tmp").iterdir())) == 1, "with the process its folder goes"


def test_a_dataset_that_was_removed_meanwhile(storage: LocalStorage) -> None:
    storage.put("a/b", b"1")
    shutil.rmtree(storage.root)
    storage.put("a/b", b"2")
    assert storage.get("a/b") == b"2"
    assert hidden(storage) == []


def _put(root: Path) -> None:
    LocalStorage(root, scratch=True).put("of/child", b"2")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_fork_has_a_folder_of_its_own(storage: LocalStorage) -> None:
    with storage.open_write("of/parent") as file:
        file.write(b"1")
        child = multiprocessing.get_context("fork").Process(target=_put, args=(storage.root,))
        child.start()
        child.join()
        assert child.exitcode == 0
        assert hidden(storage) == [".parent"]
    assert (storage.get("of/parent"), storage.get("of/child")) == (b"1", b"2")


def test_a_folder_on_another_disk(storage: LocalStorage) -> None:
    other = Path("/dev/shm")
    if not other.is_dir() or other.stat().st_dev == storage.root.parent.stat().st_dev:
        pytest.skip("there is no second file system here")
    with tempfile.TemporaryDirectory(dir=other) as folder:
        storage.root.mkdir()
        (storage.root / "chips").symlink_to(folder)
        storage.put("chips/a.tif", b"1")
        storage.put("chips/a.tif", b"2")
        assert storage.get("chips/a.tif") == b"2"
        assert [path.name for path in Path(folder).iterdir()] == ["a.tif"]
        storage.put("chips/val/1/b.tif", b"3")
        storage.move("chips/val/1/b.tif", "trash/chips/val/1/b.tif")
        storage.put("chips/val/1/b.tif", b"4")
        storage.move("trash/chips/val/1/b.tif", "chips/val/1/b.tif")
        assert storage.get("chips/val/1/b.tif") == b"3"
        assert sorted(path.name for path in Path(folder).rglob("*") if path.is_file()) == ["a.tif", "b.tif"]
        assert storage.list("trash") == []
        with pytest.raises(StorageError, match="cannot be moved"):
            storage.move("chips/none.tif", "trash/none.tif")
    assert hidden(storage) == []
