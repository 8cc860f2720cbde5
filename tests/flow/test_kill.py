"""A day's run that is killed at any moment, and then run again: the same dataset, and nothing half done in between."""

import io
import json
import os
import random
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import rasterio
import yaml
from PIL import Image
from rasterio.io import MemoryFile

from s2chips_core import layout, tables
from s2chips_core.ais.day import synthetic_fixes_of_plan
from s2chips_core.ais.journal import JournalWriter
from s2chips_core.ais.messages import Position, Static
from s2chips_core.ais.windows import windows_of_plan
from s2chips_core.errors import StorageError
from s2chips_core.index.checks import check_day_files, check_labels
from s2chips_core.index.dataset_checks import check_all_files
from s2chips_core.index.journal import paths_of_all_journals
from s2chips_core.index.parts import chips_of_scene_day, scene_days
from s2chips_core.index.records import INDEX_SCHEMA
from s2chips_core.overpasses.plan import PLAN_SCHEMA
from s2chips_core.overpasses.planning import plan_overpasses
from s2chips_core.sandbox.archive import DEMO_DAYS, DEMO_NOW
from s2chips_core.sandbox.server import Served, serve
from s2chips_core.scenes.observed import observe_scenes
from s2chips_core.storage import LocalStorage
from s2chips_dagster.run_config import KEY_VARIABLE
from s2chips_dagster.runs import Runs
from tests.flow.conftest import MakeRuns
from tests.flow.day_process import INTERRUPTED, DayProcesses, Work, run_steps
from tests.reliability import often

pytestmark = [
    pytest.mark.timeout(often(300, 3600)),
    pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork, and no kill -9, on this system"),
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="what a process has spent is not told on this system"),
]

DAY, NOW = DEMO_DAYS[0], DEMO_NOW.isoformat()
GATE = {"gate": {"max_cloud_center_frac": 0.0}}
"""Other limits than in the run before: all is cut anew, some chips come, some go."""
TOLERANCES = {"time_tolerance_min": 0.4}
"""Some chips are pruned."""


@pytest.fixture(scope="module")
def archive(sandbox_archive: Path) -> Iterator[Served]:
    with serve(sandbox_archive, now=DEMO_NOW) as served:
        yield served


@pytest.fixture
def processes(make_runs: MakeRuns, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[DayProcesses]:
    """With the environment of `make_runs`."""
    monkeypatch.setenv(KEY_VARIABLE, "not needed: all was heard before")
    started = DayProcesses(tmp_path / "messages.txt")
    yield started
    started.close()


def heard(runs: Runs, capture_id: str, ships: slice) -> None:
    """The journal of a capture that was killed: some ships of the archive, with all their reports."""
    plan = tables.read_table(runs.storage, layout.plan(DAY), PLAN_SCHEMA)
    fixes = synthetic_fixes_of_plan(plan, runs.settings)
    mmsis = sorted(set(fixes["mmsi"]))[ships]
    rows = fixes[fixes["mmsi"].isin(mmsis)].astype(object).where(fixes.notna(), None).to_dict("records")
    positions, statics = [], {}
    for row in rows:
        values = {name: row.get(name) for name in Position._fields}
        moment = row["time"].to_pydatetime()
        position = {**values, "static": None, "time": moment, "time_utc": moment, "received_at": moment}
        positions.append(Position(**{**position, "message_type": "PositionReport"}))
        said = {name: row.get(name) for name in Static._fields}
        statics[row["mmsi"]] = Static(
            **{**said, "message_type": "ShipStaticData", "time_utc": moment, "received_at": moment}
        )
    windows = windows_of_plan(plan)
    header = {
        "ais_source": "aisstream",
        "url": "wss://example.org",
        "started_at": windows[0].start.isoformat(),
        "windows": [window.to_dict() for window in windows],
    }
    JournalWriter(runs.storage, capture_id, header).append(positions, list(statics.values()), {})


@pytest.fixture
def start(archive: Served, make_runs: MakeRuns) -> Runs:
    """A day with chips of a capture, and the journal of another one that was killed."""
    return with_killed_capture(make_runs(archive, now=NOW, name="start", ais={"source": "aisstream"}))


def with_killed_capture(runs: Runs) -> Runs:
    """A day of chips, and what was heard after it by a capture that was killed."""
    observe = observe_scenes(runs.settings, runs.now())
    plan_overpasses(DAY, 1, settings=runs.settings, storage=runs.storage, now=runs.now(), observe=observe)
    heard(runs, "first", slice(0, None, 8))
    run_steps(runs.workspace, DAY, {}, None)
    heard(runs, "second", slice(1, None, 8))
    return runs


def config_for(start: Runs, name: str) -> Path:
    """A configuration like that of `start` with a copy of its dataset."""
    file = Path(start.workspace.config_file)
    tree = yaml.safe_load(file.read_text())
    root = Path(tree["storage"]["dataset_root"])
    copy = root.with_name(name)
    shutil.copytree(root, copy)
    tree["storage"]["dataset_root"] = str(copy)
    other = file.with_name(f"{name}.yaml")
    other.write_text(yaml.safe_dump(tree))
    return other


def storage_of(config: Path) -> LocalStorage:
    return LocalStorage(Path(yaml.safe_load(config.read_text())["storage"]["dataset_root"]))


def all_files(storage: LocalStorage) -> dict[str, bytes]:
    """Every file of the folder by its path, hidden ones too; not the files of locks."""
    found = {}
    for path in storage.root.rglob("*"):
        key = path.relative_to(storage.root).as_posix()
        if path.is_file() and not key.startswith(".locks/"):
            found[key] = path.read_bytes()
    return found


def same(ours: dict[str, bytes], theirs: dict[str, bytes]) -> list[str]:
    """The keys that differ, but for what knows the numbers and times of its files."""
    index = layout.tiles_index()
    differ = sorted(k for k in ours.keys() | theirs.keys() if ours.get(k) != theirs.get(k) and k != index)
    rows = [pq.read_table(io.BytesIO(files[index]), schema=INDEX_SCHEMA) for files in (ours, theirs)]
    return differ + ([] if rows[0].equals(rows[1]) else [index])


class Watcher(threading.Thread):
    """Somebody who reads `tiles.parquet` again and again, and opens whatever it names: whole, and of that row."""

    def __init__(self, storage: LocalStorage) -> None:
        super().__init__(daemon=True)
        self.storage, self.over, self.looks, self.found = storage, threading.Event(), 0, list[str]()
        self.start()

    def run(self) -> None:
        while not self.over.is_set():
            self.found += self.look(self.over)
            self.looks += 1
            self.over.wait(0.02)  # the archive is served by this process, too

    def look(self, over: threading.Event | None = None) -> list[str]:
        """What is wrong with what the index names."""
        found = []
        for row in self._named():
            problem = self._problem(*row)
            # Whoever has read the index must expect that it goes on; what it still says must be so.
            if problem is not None and row in self._named():
                problem = self._problem(*row)
                if problem is not None and row in self._named():
                    found.append(problem)
            if over is not None and over.is_set():
                break
        return found

    def _named(self) -> list[tuple[str, str]]:
        """Path and fingerprint."""
        with self.storage.open_read(layout.tiles_index()) as file:
            rows = pq.read_table(file, columns=["path", "fingerprint"])
        return list(zip(rows["path"].to_pylist(), rows["fingerprint"].to_pylist(), strict=True))

    def _problem(self, path: str, fingerprint: str) -> str | None:
        try:
            geojson, sidecar, quicklook, tif = (
                self.storage.get(key) for key in layout.chip_artefacts(path, (".geojson", ".json", "_quicklook.jpg", ".tif"))
            )
            json.loads(geojson)
            said = {json.loads(sidecar)["fingerprint"]}
            Image.open(io.BytesIO(quicklook)).load()
            with MemoryFile(tif) as memory, memory.open() as raster:
                raster.read()
                said.add(raster.tags()["fingerprint"])
        except (StorageError, ValueError, OSError, rasterio.errors.RasterioError) as error:
            return f"{path}: {error!r}"
        return None if said == {fingerprint} else f"{path}: of {said}, the index says {fingerprint}"

    def end(self) -> list[str]:
        self.over.set()
        self.join()
        return self.found


def work(config: Path, *, dagster: bool = False, chips: dict[str, Any] = GATE) -> Work:
    return Work(config=str(config), now=NOW, day=DAY.isoformat(), chips=chips, prune=TOLERANCES, dagster=dagster)


def check_whole(storage: LocalStorage) -> None:
    """Index, files, sidecars, GeoJSON and labels tell of the same chips."""
    for result in (check_day_files(storage, DAY), check_labels(storage, DAY), check_all_files(storage)):
        assert result.passed, result.description


TRIALS = 5
"""How often a run may end before it is killed; each time its length is known better."""


def test_a_day_that_is_killed_at_any_moment_and_run_again(start: Runs, processes: DayProcesses) -> None:
    kills, chance = often(2, 50), random.Random(6)
    # Dagster's own part of a run takes longer than ours: the few kills of the usual tests are not spent on it.
    ways = [False, True][: often(1, 2)]
    length_s, expected = {}, {}
    for way in ways:
        whole = config_for(start, f"whole-{way}")
        length_s[way] = processes.run(work(whole, dagster=way))
        expected[way] = all_files(storage_of(whole))
    assert same(expected[ways[0]], expected[ways[-1]]) == []
    before, after = all_files(start.storage), expected[False]
    assert any(key.startswith("ais/journal") for key in before)
    assert any(key.startswith("trash/") for key in after)

    trials = looks = 0
    for number in range(kills):
        way = number % 5 == 4 and len(ways) > 1
        share, killed = (number + chance.random()) / kills, False
        for trial in range(TRIALS):
            config = config_for(start, f"killed-{number}-{trial}")
            storage = storage_of(config)
            watcher = Watcher(storage)
            killed = processes.kill_after(length_s[way] * share, work(config, dagster=way))
            if not killed:
                length_s[way] = processes.spent_s
            # By Dagster once again in ten: both ways have been seen to end alike.
            processes.run(work(config, dagster=number % 10 == 9 and len(ways) > 1))
            problems = watcher.end()
            trials, looks = trials + 1, looks + watcher.looks
            assert watcher.looks > 0
            assert problems == [], problems[:3]
            assert watcher.look() == []
            assert same(all_files(storage), expected[way]) == []
            check_whole(storage)
            shutil.rmtree(storage.root)
            if killed:
                break
        assert killed, f"{TRIALS} runs had ended before {share:.0%} of the length of the one before"
    print(f"{kills} killed in the middle, of {trials} runs; {looks} looks; whole: {length_s} s of a processor")


def test_a_day_that_is_cancelled_at_any_moment(start: Runs, processes: DayProcesses) -> None:
    """It ends at once, in each phase, with all that it had not committed gone; and the next run goes on from there."""
    times, chance = often(2, 20), random.Random(66)
    dagster = often(0, 1) > 0
    ways = [{}, GATE]  # new chips only, and all cut anew
    length_s, expected = [], []
    for number, chips in enumerate(ways):
        whole = config_for(start, f"whole-{number}")
        length_s.append(processes.run(work(whole, dagster=dagster, chips=chips)))
        expected.append(all_files(storage_of(whole)))
    trials, took_s = 0, []
    for number in range(times):
        way, share, cancelled = number % 2, (number + chance.random()) / times, False
        for trial in range(TRIALS):
            config = config_for(start, f"cancelled-{number}-{trial}")
            asked, storage = work(config, dagster=dagster, chips=ways[way]), storage_of(config)
            watcher = Watcher(storage)
            code, wall_s, cpu_s = processes.interrupt_after(length_s[way] * share, asked)
            assert code in (0, INTERRUPTED), processes.messages.read_text()[-4000:]
            cancelled, trials = code == INTERRUPTED, trials + 1
            if not cancelled:
                length_s[way] = processes.spent_s
            assert watcher.look() == []
            chips = {path for path in storage.list("chips") if path.endswith(".tif") and not path.endswith("_masks.tif")}
            rows = [row for day in scene_days(storage) for row in chips_of_scene_day(storage, day)["path"].to_pylist()]
            # A prune that was stopped on its way has left the index already, and is finished by whoever comes next.
            assert all(layout.is_move_journal(key) for key in storage.list(layout.journals_folder()))
            moving = paths_of_all_journals(storage)
            assert chips - moving == set(rows) - moving, "no chip that nobody has committed"
            assert storage.list("staged") == []
            assert [path for path in (storage.root / ".tmp").rglob("*") if path.is_file()] == []
            processes.run(work(config, chips=ways[way]))
            assert watcher.end() == []
            assert same(all_files(storage), expected[way]) == []
            check_whole(storage)
            shutil.rmtree(storage.root)
            if cancelled:
                took_s.append((wall_s, cpu_s))
                assert cpu_s < 2, "the time that the machine gives it is not counted"
                break
        assert cancelled, f"{TRIALS} runs had ended before {share:.0%} of the length of the one before"
    print(f"{times} cancelled in the middle, of {trials} runs; seconds, and seconds of a processor, until the end: {took_s}")
