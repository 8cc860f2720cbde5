"""A pass rehearsed for real: Dagster's daemon with its sensors and schedules, an AIS server and an archive on loopback.

The clock is moved to shortly before a pass of the embedded archive and runs. The daemon plans by itself, opens the window,
records, and, when the clock has been moved past the lag, chips; a scene that is published late is taken when it is there.
Nothing is done twice.
"""

import contextlib
import dataclasses
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
import yaml

from s2chips_core import layout, tables
from s2chips_core.ais.capture_record import RECORDED, read_records
from s2chips_core.ais.snapshots import read_snapshots
from s2chips_core.index.outcomes import OUTCOME_SCHEMA
from s2chips_core.index.records import INDEX_SCHEMA
from s2chips_core.overpasses.plan import PLAN_SCHEMA
from s2chips_core.sandbox.ais_fleet import fleet_feed
from s2chips_core.sandbox.ais_server import AisServed, serve_ais
from s2chips_core.sandbox.archive import DEMO_DAYS, DEMO_TILES
from s2chips_core.sandbox.passes import PASSES, fleet_of_pass, sensing_time
from s2chips_core.sandbox.server import Served, serve
from s2chips_core.storage import LocalStorage
from tests.sandbox_fixtures import SEED, SHIPS_PER_TILE

pytestmark = [pytest.mark.shared_data, pytest.mark.timeout(900)]

REPOSITORY = Path(__file__).parents[2]
DAY = DEMO_DAYS[1]
[PASS] = [each for each in PASSES if each.day == DAY]
KEY = "a-key-for-the-rehearsal"
LAG_DAYS = 2
BEFORE_WINDOW = timedelta(seconds=75)
"""The daemon comes up, plans, and starts the capture in this time."""


@dataclasses.dataclass(slots=True)
class Stage:
    """Everything that the daemon works with."""

    folder: Path
    environment: dict[str, str]
    storage: LocalStorage
    archive: Served
    ais: AisServed
    offset: timedelta = timedelta()

    def now(self) -> datetime:
        """The moved clock."""
        return datetime.now(UTC) + self.offset

    @contextlib.contextmanager
    def daemon(self, at: datetime) -> Iterator[None]:
        """Dagster's daemon, with the clock moved to `at`."""
        self.offset = at - datetime.now(UTC)
        environment = {**self.environment, "S2CHIPS_CLOCK_OFFSET_S": str(self.offset.total_seconds())}
        log = self.folder / f"daemon-{at:%d}.log"
        with log.open("wb") as sink:
            process = subprocess.Popen(
                [sys.executable, "-m", "dagster._daemon", "run", "-w", "workspace.yaml"],
                cwd=REPOSITORY,
                env=environment,
                stdout=sink,
                stderr=sink,
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
            )
            try:
                yield
            except BaseException:
                print(log.read_text(errors="replace")[-6000:])
                raise
            finally:
                process.send_signal(signal.SIGINT)
                try:
                    process.wait(60)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait(10)

    def runs(self, job: str) -> list[dg.DagsterRun]:
        """All runs of a job so far."""
        with self.instance() as instance:
            return list(instance.get_runs(dg.RunsFilter(job_name=job)))

    @contextlib.contextmanager
    def instance(self) -> Iterator[dg.DagsterInstance]:
        """The instance that the daemon works on."""
        with dg.DagsterInstance.from_config(self.environment["DAGSTER_HOME"]) as instance:
            yield instance

    def outcomes(self) -> dict[str, int]:
        """How many ships of the day came to which outcome; nothing before there are any."""
        key = layout.outcomes_part(DAY, layout.CAPTURE)
        if not self.storage.exists(key):
            return {}
        counted = tables.read_table(self.storage, key, OUTCOME_SCHEMA)["outcome"].value_counts()
        return {str(name): int(count) for name, count in counted.items()}


def wait_for(what: str, judge: Callable[[], object], most_s: float) -> None:
    until = time.monotonic() + most_s
    while time.monotonic() < until:
        if judge():
            return
        time.sleep(1.0)
    pytest.fail(f"{what}: not within {most_s:g} s")


@pytest.fixture
def stage(sandbox_archive: Path, shared_data: Path, tmp_path: Path) -> Iterator[Stage]:
    """A dataset and Dagster home of their own, the archive as it was two days after the pass, the fleet on the air."""
    home = tmp_path / "dagster"
    home.mkdir()
    shutil.copyfile(REPOSITORY / "dagster.yaml", home / "dagster.yaml")
    made = Stage(
        folder=tmp_path,
        environment={},
        storage=LocalStorage(tmp_path / "dataset"),
        archive=None,  # type: ignore[arg-type]
        ais=None,  # type: ignore[arg-type]
    )
    ships = fleet_of_pass(PASS, ships_per_tile=SHIPS_PER_TILE, seed=SEED)
    with (
        serve(sandbox_archive, now=datetime(2025, 10, 29, 12, tzinfo=UTC)) as made.archive,
        serve_ais(fleet_feed(ships, static_interval_s=10.0), keys={KEY}, clock=made.now) as made.ais,
    ):
        tree = yaml.safe_load((REPOSITORY / "config" / "demo.yaml").read_text())
        tree["satellite_tracking"] = {
            "source": "tle",
            "satellites": [PASS.platform],
            "tiles": list(DEMO_TILES),
            "tle_sources": [str(shared_data / "orbit" / "sentinel2_tle_history.tle")],
            # The nearest elements of that satellite in the data are 56 days from the pass: a minute off at most.
            "max_tle_age_days": 60,
            "horizon_days": 2,
        }
        tree["ais"] = {
            "source": "aisstream",
            "url": made.ais.url,
            "window_min": 0.4,
            "linger_s": 4,
            "flush_interval_s": 1,
        }
        tree["stac"] |= {"endpoint": made.archive.stac_url, "allowed_hosts": [made.archive.host]}
        tree["storage"] = {"dataset_root": str(made.storage.root)}
        tree["scheduling"] |= {
            "lag_days": LAG_DAYS,
            "capture_lead_s": 30,
            "chipping_cron": "* * * * *",
            "late_scene_interval_s": 15,
        }
        config = tmp_path / "config.yaml"
        config.write_text(yaml.safe_dump(tree))
        made.environment |= {
            **os.environ,
            "DAGSTER_HOME": str(home),
            "S2CHIPS_CONFIG": str(config),
            "AISSTREAM_API_KEY": KEY,
            "XDG_CACHE_HOME": str(tmp_path / "cache"),
        }
        for name in ("S2CHIPS_NOW", "S2CHIPS_DATASET_ROOT"):
            made.environment.pop(name, None)
        # One process makes the home: two that open a new one at once break it.
        subprocess.run(
            [sys.executable, "-m", "dagster", "instance", "info"],
            cwd=REPOSITORY,
            env=made.environment,
            check=True,
            capture_output=True,
        )
        yield made


def test_a_pass_is_planned_recorded_chipped_and_completed_by_the_daemon_alone(stage: Stage) -> None:
    first = min(sensing_time(PASS, tile) for tile in DEMO_TILES)
    with stage.daemon(at=first - timedelta(seconds=0.4 * 60) - BEFORE_WINDOW):
        wait_for("the plan", lambda: stage.storage.exists(layout.plan(DAY)), 90)
        wait_for("the record of the capture", lambda: read_records(stage.storage, DAY), 240)
        wait_for("the end of its run", lambda: all(run.is_finished for run in stage.runs("capture_ais")), 60)
        time.sleep(35)  # a further tick of the sensor: nothing more is started
    plan = tables.read_table(stage.storage, layout.plan(DAY), PLAN_SCHEMA)
    assert set(plan["tile_id"]) == set(DEMO_TILES)
    assert set(plan["source"]) == {"tle"}
    [capture] = stage.runs("capture_ais")
    assert capture.is_success
    [record] = read_records(stage.storage, DAY)
    assert {(each.window.tile_id, each.status) for each in record.passes} == {(tile, RECORDED) for tile in DEMO_TILES}
    assert record.lost == 0
    heard = read_snapshots(stage.storage, DAY)
    assert set(heard["ais_source"]) == {"aisstream"}
    assert heard["ship_type"].notna().mean() > 0.9
    assert heard["received_at"].notna().all()
    assert stage.storage.list(layout.capture_journals()) == []
    assert len(stage.ais.subscriptions) == 1

    chipping = datetime.combine(DAY + timedelta(days=LAG_DAYS), first.timetz())
    with stage.daemon(at=chipping):
        wait_for("chips", stage.outcomes, 150)
        wait_for("the end of its run", lambda: all(run.is_finished for run in stage.runs("chip_day")), 60)
        before = stage.outcomes()
        assert before["chipped"] > 5
        assert before["pending_l2a"] > 5, "a scene is not published yet"
        assert len(stage.runs("chip_day")) == 1

        stage.archive.now = datetime(2025, 10, 30, 12, tzinfo=UTC)
        # Some ships stay pending: those beside the swath, of whom nobody knows that no scene will come.
        wait_for("the late scene", lambda: stage.outcomes()["chipped"] > before["chipped"], 120)
        wait_for("the end of its run", lambda: all(run.is_finished for run in stage.runs("chip_day")), 60)
        wait_for("the index", lambda: stage.storage.exists(layout.tiles_index()), 90)
        runs = {run.run_id for job in ("capture_ais", "chip_day", "plan_overpasses") for run in stage.runs(job)}
        time.sleep(70)  # a further tick of every schedule
    after = stage.outcomes()
    assert after["pending_l2a"] < before["pending_l2a"]
    assert sum(after.values()) == sum(before.values())
    again = {run.run_id for job in ("capture_ais", "chip_day", "plan_overpasses") for run in stage.runs(job)}
    assert len(again - runs) <= 1, "at most the plan of the new day"
    assert len(stage.runs("chip_day")) == 2
    chips = tables.read_table(stage.storage, layout.tiles_index(), INDEX_SCHEMA)
    assert set(chips["ais_source"]) == {"aisstream"}
    assert (chips["position_method"] == "interpolated").mean() > 0.5
    assert not [path for path in stage.folder.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]
