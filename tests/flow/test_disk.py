"""A disk that is full, a folder that may not be written: a clear error, nothing torn; and on it goes when there is room.

The disk is a small file system in memory, where this user may mount one.
"""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from s2chips_core import layout
from s2chips_core.ais.capture import finish_capture
from s2chips_core.ais.journal import JournalWriter, journals, read_journal
from s2chips_core.ais.messages import Position
from s2chips_core.ais.snapshots import read_snapshots
from s2chips_core.ais.windows import Window
from s2chips_core.errors import StorageError
from s2chips_core.index.prune import prune_chips
from s2chips_core.index.tiles import build_tiles_index
from s2chips_core.storage import LocalStorage
from tests.flow.conftest import REPOSITORY
from tests.index.chips import NOW, SETTINGS, Cutter, match_of, write_matches
from tests.index.test_day import files, run

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has other limits")
NOBODY = 65534
CAPTURE = "20251012T111600-0a1b2c3d"
OVERPASS = datetime(2025, 10, 12, 11, 21, tzinfo=UTC)
SHIPS = 40


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 3 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    done = mount and subprocess.run([mount, "-t", "tmpfs", "-o", "size=3m", "tmpfs", folder], capture_output=True)
    if not done or done.returncode:
        pytest.skip("this user may mount no file system")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def fill(folder: Path, left: int = 0) -> Path:
    """Use up the room of a disk but for some bytes."""
    filler = folder / "somebody-else"
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    if left:
        os.truncate(filler, max(0, filler.stat().st_size - left))
    return filler


def positions(count: int, at: datetime) -> list[Position]:
    return [
        Position(
            mmsi=224_000_000 + n % SHIPS,
            message_type="PositionReport",
            time=at + timedelta(seconds=n),
            time_utc=at + timedelta(seconds=n),
            received_at=at + timedelta(seconds=n),
            lat=36.4,
            lon=-5.8,
            sog_kn=0.1 * (n % 100),
            cog_deg=90.0,
            heading_deg=91.0,
            nav_status=0,
            ais_class="A",
            ship_name=None,
            static=None,
        )
        for n in range(count)
    ]


def test_the_journal_of_a_capture_survives_a_full_disk(disk: Path) -> None:
    storage = LocalStorage(disk / "dataset", scratch=True)
    window = Window(
        tile_id="30STF",
        satellite="S2C",
        overpass_time=OVERPASS,
        start=OVERPASS - timedelta(minutes=5),
        end=OVERPASS + timedelta(minutes=5),
    )
    header = {
        "ais_source": "aisstream",
        "url": "wss://example.org",
        "started_at": window.start.isoformat(),
        "windows": [window.to_dict()],
    }
    writer = JournalWriter(storage, CAPTURE, header)
    writer.append(positions(200, window.start), [], {})
    filler = fill(disk)
    with pytest.raises(StorageError, match=r"ais/journal/.*/000001\.parquet: .*: No space left on device"):
        writer.append(positions(200, window.start + timedelta(seconds=200)), [], {})
    assert list(storage.root.rglob("*.parquet.*")) == []
    assert len(read_journal(storage, CAPTURE).records) == 200

    # Snapshots are not made, and the journal stays.
    with pytest.raises(StorageError, match="No space left on device"):
        finish_capture(storage, CAPTURE)
    assert journals(storage) == [CAPTURE]

    # There is room again: the segment that was refused is written, then the snapshots.
    filler.unlink()
    writer.append(positions(200, window.start + timedelta(seconds=200)), [], {})
    captured = finish_capture(storage, CAPTURE)
    fixes = read_snapshots(storage, window.day)
    assert (len(fixes), captured.record.passes[0].fixes) == (400, 400)
    assert journals(storage) == []


def tasks(storage: LocalStorage) -> dict[str, Callable[[], object]]:
    """What may come upon a disk that is full: a run that cuts all anew, the index, a prune."""
    other = SETTINGS.override({"gate": {"max_nodata_frac": 0.04}})
    return {
        "run": lambda: run(storage, Cutter(), settings=other),
        "index": lambda: build_tiles_index(storage),
        "prune": lambda: prune_chips(settings=SETTINGS, storage=storage, now=NOW, software_version="0.1.0", dry_run=False),
    }


def made(root: Path) -> LocalStorage:
    """Two chips, and an index that is behind by one of them."""
    storage = LocalStorage(root, scratch=True)
    write_matches(storage, [match_of(0)])
    run(storage, Cutter())
    build_tiles_index(storage)
    write_matches(storage, [match_of(0), match_of(1)])
    run(storage, Cutter())
    return storage


def without(found: dict[str, bytes], *beginnings: str) -> dict[str, bytes]:
    return {key: data for key, data in found.items() if not key.startswith(beginnings)}


@pytest.mark.parametrize(("name", "left"), [("run", 0), ("run", 20_480), ("index", 0), ("prune", 0)])
def test_a_full_disk_tears_nothing(disk: Path, name: str, left: int) -> None:
    storage = made(disk / "dataset")
    before = files(storage)
    assert layout.tiles_index() in before
    filler = fill(disk, left)
    with pytest.raises(StorageError, match=r"cannot be written under .*: No space left on device") as refused:
        tasks(storage)[name]()
    assert str(refused.value).startswith(f"{refused.value.key}: ")
    # What chips are cut from is kept, where there was room for it.
    assert without(files(storage), "provenance/") == without(before, "provenance/")
    assert [path for path in (storage.root / ".tmp").rglob("*") if path.is_file()] == []

    # There is room again: the same call ends as it would have.
    filler.unlink()
    tasks(storage)[name]()
    undisturbed = made(disk.parent / "undisturbed")
    tasks(undisturbed)[name]()
    index = layout.tiles_index()  # knows the numbers of its files
    assert without(files(storage), index) == without(files(undisturbed), index)
    assert storage.list(layout.journals_folder()) == []


@pytest.fixture
def reachable() -> Iterator[Path]:
    """A folder that everybody may look into."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@contextlib.contextmanager
def forbidden(root: Path) -> Iterator[None]:
    """Nobody may write below `root`: root is somebody else for a while, whom modes hold back."""
    folders = [root, *(path for path in root.rglob("*") if path.is_dir())]
    for path in folders:
        path.chmod(0o555)
    if os.getuid() == 0:
        os.setegid(NOBODY)
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if os.getuid() == 0:
            os.seteuid(0)
            os.setegid(0)
        for path in folders:
            path.chmod(0o755)


@pytest.mark.parametrize("name", ["run", "index", "prune", "journal"])
def test_a_folder_that_may_not_be_written(reachable: Path, name: str) -> None:
    storage = made(reachable / "dataset")
    before = files(storage)
    everything = tasks(storage) | {"journal": lambda: JournalWriter(storage, CAPTURE, {"windows": []})}
    with forbidden(storage.root), pytest.raises(StorageError, match=r"under .*: Permission denied") as refused:
        everything[name]()
    assert str(refused.value).startswith(f"{refused.value.key}: cannot be ")
    assert files(storage) == before


PRIVATE = ["unshare", "--user", "--map-root-user", "--mount"]
"""A process that may mount, for itself alone."""


@pytest.fixture
def own_mounts() -> list[str]:
    """How a process with mounts of its own is started."""
    for command in (["unshare", "--mount"], PRIVATE):
        bind = 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1"'
        with tempfile.TemporaryDirectory() as folder, contextlib.suppress(FileNotFoundError):
            if subprocess.run([*command, "sh", "-c", bind, "sh", folder], capture_output=True).returncode == 0:
                return command
    pytest.skip("this user may mount nothing, not even in a namespace of its own: no read-only file system was tried")


def test_a_file_system_that_is_read_only(tmp_path: Path, own_mounts: list[str]) -> None:
    storage = made(tmp_path / "dataset")
    before = {path: path.stat().st_mtime_ns for path in storage.root.rglob("*")}
    held = files(storage)
    command = [*own_mounts, sys.executable, "-m", "tests.flow.read_only_process", storage.root]
    done = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    said = json.loads(done.stdout)
    assert set(said) == {"run", "index", "prune", "journal", "put", "delete", "move"}
    for name, text in said.items():
        verb = r"cannot be (written|locked|removed|moved to elsewhere)"
        assert re.fullmatch(rf"\S+: {verb} under {re.escape(str(storage.root))}: Read-only file system", text), (name, text)
    assert files(storage) == held
    assert {path: path.stat().st_mtime_ns for path in storage.root.rglob("*")} == before
    # Elsewhere it is as it was: the same calls do their work.
    for task in tasks(storage).values():
        task()


def test_a_dataset_whose_folder_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "dataset").write_text("a file")
    with pytest.raises(StorageError, match=r"a/b: cannot be written under .*dataset: (Not a directory|File exists)"):
        LocalStorage(tmp_path / "dataset", scratch=True).put("a/b", b"1")
