"""A run that is cancelled in the UI: CANCELED at once, and nothing half done; the next run goes on from there."""

import os
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from s2chips_core import layout
from s2chips_core.index.parts import chips_of_scene_day, scene_days
from s2chips_core.index.tiles import build_tiles_index
from s2chips_core.sandbox.archive import DEMO_DAYS, DEMO_NOW
from s2chips_core.sandbox.server import Served, serve
from s2chips_core.storage import LocalStorage
from s2chips_dagster.runs import Runs
from tests.flow.conftest import MakeRuns, files_of
from tests.flow.dagster_processes import DagsterProcesses, dagster_processes
from tests.flow.day_process import run_steps
from tests.flow.test_kill import Watcher
from tests.reliability import often

pytestmark = [
    pytest.mark.timeout(often(300, 3600)),
    pytest.mark.skipif(not often(0, 1), reason="three processes, and one for each run: with S2CHIPS_RELIABILITY=1"),
    pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for one process"),
]

DAY = DEMO_DAYS[0]
OTHER = {"gate": {"max_cloud_center_frac": 0.0}}
"""Other limits than in the run before: all is cut anew, some chips come, some go."""
CANCELS = 8
STOP_MOST_S = 30.0
"""Where others keep the machine busy; what it takes where they do not is in docs/reliability.md."""


@pytest.fixture
def archive(sandbox_archive: Path) -> Iterator[Served]:
    with serve(sandbox_archive, now=DEMO_NOW) as served:
        yield served


@pytest.fixture
def runs(archive: Served, make_runs: MakeRuns) -> Runs:
    """A day that is in the index, made without Dagster."""
    made = make_runs(archive, now=DEMO_NOW.isoformat(), name="cancelled", compute={"workers": 4})
    run_steps(made.workspace, DAY, {}, None)
    return made


@pytest.fixture
def expected(archive: Served, make_runs: MakeRuns) -> dict[str, bytes]:
    """The same day, then with other limits, undisturbed."""
    made = make_runs(archive, now=DEMO_NOW.isoformat(), name="whole", compute={"workers": 4})
    run_steps(made.workspace, DAY, {}, None)
    run_steps(made.workspace, DAY, OTHER, None)
    return files_of(made.storage)


@pytest.fixture
def ui(runs: Runs, tmp_path: Path) -> Iterator[DagsterProcesses]:
    """With the instance's own `dagster.yaml`: runs wait in its queue, and the default launcher starts them."""
    environment = {
        "DAGSTER_HOME": os.environ["DAGSTER_HOME"],
        "S2CHIPS_CONFIG": runs.workspace.config_file,
        "S2CHIPS_NOW": DEMO_NOW.isoformat(),
    }
    with dagster_processes(tmp_path, environment) as started:
        yield started


def run_config(asset_config: dict[str, Any]) -> dict[str, Any]:
    return {"ops": {"chips": {"config": asset_config}}}


def stray(storage: LocalStorage) -> list[str]:
    """What a run leaves that nobody has committed."""
    chips = {path for path in storage.list("chips") if path.endswith(".tif") and not path.endswith("_masks.tif")}
    rows = [row for day in scene_days(storage) for row in chips_of_scene_day(storage, day)["path"].to_pylist()]
    hidden = [str(path) for path in (storage.root / ".tmp").rglob("*") if path.is_file()]
    return sorted([*(chips ^ set(rows)), *storage.list("staged"), *storage.list(layout.journals_folder()), *hidden])


def committed(storage: LocalStorage) -> dict[str, bytes]:
    """Chips, and what tells of them."""
    folders = ("chips", "indexes", "outcomes", "labels")
    return {key: storage.get(key) for folder in folders for key in storage.list(folder)}


def test_a_run_that_is_cancelled_in_the_ui(
    archive: Served, runs: Runs, expected: dict[str, bytes], ui: DagsterProcesses
) -> None:
    storage, chance = LocalStorage(runs.storage.root), random.Random(6)
    before = committed(storage)
    watcher = Watcher(storage)
    took_s = list[float]()
    # Long enough that each moment of the cutting can be hit: every block of pixels comes late.
    archive.faults.fail("slow", match="/data/", delay_s=0.1)
    for _ in range(CANCELS):
        run_id = ui.launch("chip_day", DAY.isoformat(), run_config(OTHER))
        ui.wait_until("it cuts chips", lambda: bool(storage.list("staged")), 0.02)
        time.sleep(chance.uniform(0.0, 1.0))
        began = time.monotonic()
        ui.terminate(run_id)
        ended = ui.wait_for_end(run_id, 0.05)
        took_s.append(time.monotonic() - began)
        assert ended["status"] == "CANCELED", ui.said()
        assert took_s[-1] < STOP_MOST_S
        assert watcher.look() == []
        assert stray(storage) == []
        assert committed(storage) == before
    archive.faults.clear()
    run_steps(runs.workspace, DAY, OTHER, None)
    build_tiles_index(storage)
    assert watcher.end() == []
    assert watcher.looks > 0
    assert files_of(storage) == expected
    told = ", ".join(f"{seconds:.2f}" for seconds in sorted(took_s))
    print(f"{len(took_s)} runs cancelled; seconds until the UI showed CANCELED: {told}")
