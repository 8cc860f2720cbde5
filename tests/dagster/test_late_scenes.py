"""The look for late scenes: days in turn, within a budget, and only when something has changed."""

import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

import s2chips_core.scenes.late
from s2chips_core import layout, tables
from s2chips_core.errors import ArchiveError
from s2chips_core.sandbox.archive import DEMO_NOW
from s2chips_core.sandbox.server import Served, serve
from s2chips_core.scenes.late import LateScenes
from s2chips_core.scenes.matches import MATCH_SCHEMA
from s2chips_dagster import late_scenes, past_runs
from s2chips_dagster.late_scenes import DAYS_AT_ONCE, Asker
from s2chips_dagster.resources import Workspace
from tests.dagster.conftest import DAY, Dataset, DayRun, MakeDataset

LATER = datetime(2025, 10, 30, 12, tzinfo=UTC)
"""By then the scene that was late is published."""
TODAY = DEMO_NOW.date()


@pytest.fixture
def archive_of_late_scenes(sandbox_archive: Path) -> Iterator[Served]:
    """An archive whose time may be set."""
    with serve(sandbox_archive, now=DEMO_NOW) as served:
        yield served


@pytest.fixture
def dataset(archive_of_late_scenes: Served, day_run: DayRun, make_dataset: MakeDataset) -> Dataset:
    """What matching left of the demo's second day, and nothing else."""
    made = make_dataset("late", served=archive_of_late_scenes)
    keys = [layout.matches_part(DAY, layout.CAPTURE), *day_run.storage.list(layout.ais_folder(DAY))]
    for key in keys:
        made.storage.put(key, day_run.storage.get(key))
    return made


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


class Sensor:
    """`late_scene_sensor` of a dataset: the cursor goes on from tick to tick."""

    def __init__(self, dataset: Dataset, instance: dg.DagsterInstance) -> None:
        self.dataset, self.instance = dataset, instance
        self.cursor: str | None = None

    def look(self, now: datetime) -> Any:
        """One tick, as the daemon evaluates it."""
        repository = self.dataset.definitions.get_repository_def()
        context = dg.build_sensor_context(
            self.instance,
            cursor=self.cursor,
            repository_def=repository,
            resources={"workspace": Workspace(config_file=str(self.dataset.config), now=now.isoformat())},
        )
        data = repository.get_sensor_def("late_scene_sensor").evaluate_tick(context)
        self.cursor = data.cursor
        return data


@pytest.fixture
def sensor(dataset: Dataset, instance: dg.DagsterInstance) -> Sensor:
    return Sensor(dataset, instance)


def leave_pending(dataset: Dataset, *days: date) -> None:
    """Days whose matches look as those of `DAY`, with pending ships."""
    matches = tables.read_table(dataset.storage, layout.matches_part(DAY, layout.CAPTURE), MATCH_SCHEMA)
    for day in days:
        tables.write_table(dataset.storage, layout.matches_part(day, layout.CAPTURE), matches, MATCH_SCHEMA)


def answer(monkeypatch: pytest.MonkeyPatch, changed: Callable[[date], dict[str, str]]) -> list[date]:
    """Let matching say this; the days that are asked for."""
    asked: list[date] = []

    def find(day: date, pending: Any, **_: Any) -> LateScenes:
        asked.append(day)
        return LateScenes(day=day, pending=len(pending), changed=changed(day), requests=2)

    monkeypatch.setattr(s2chips_core.scenes.late, "find_late_scenes", find)
    return asked


def test_a_day_is_chipped_again_when_the_archive_has_something_new(sensor: Sensor, archive_of_late_scenes: Served) -> None:
    data = sensor.look(DEMO_NOW)
    assert data.run_requests == []
    assert data.skip_message == "nothing new for 7 pending ships of 1 days"
    archive_of_late_scenes.now = LATER
    [request] = sensor.look(LATER).run_requests
    assert request.partition_key == DAY.isoformat()
    assert request.tags["s2chips/kind"] == "chipping"
    [again] = sensor.look(LATER + timedelta(minutes=15)).run_requests
    assert again.run_key == request.run_key, "Dagster starts a run key once"


def test_given_up_days_are_chipped_a_last_time(sensor: Sensor) -> None:
    [request] = sensor.look(DEMO_NOW + timedelta(days=14)).run_requests
    assert request.partition_key == DAY.isoformat()
    forgotten = sensor.look(DEMO_NOW + timedelta(days=60))
    assert forgotten.skip_message == "no ship is pending"


def test_a_day_that_is_being_chipped_is_left_alone(sensor: Sensor, archive_of_late_scenes: Served) -> None:
    archive_of_late_scenes.now = LATER
    job = sensor.dataset.definitions.resolve_job_def("chip_day")
    tags = {past_runs.PARTITION_TAG: DAY.isoformat()}
    sensor.instance.create_run_for_job(job, tags=tags, status=dg.DagsterRunStatus.STARTED)
    archive_of_late_scenes.counters.reset()
    assert sensor.look(LATER).run_requests == []
    assert archive_of_late_scenes.counters.requests["stac"] == 0


def test_an_archive_that_is_down_is_a_reason_and_no_crash(sensor: Sensor, archive_of_late_scenes: Served) -> None:
    archive_of_late_scenes.faults.fail("404")
    data = sensor.look(DEMO_NOW)
    assert data.run_requests == []
    assert f"{DAY}: STAC service" in data.skip_message
    archive_of_late_scenes.faults.clear()
    assert "nothing new" in sensor.look(DEMO_NOW).skip_message


def test_days_have_their_turn(sensor: Sensor, monkeypatch: pytest.MonkeyPatch) -> None:
    days = [TODAY - timedelta(days=ago) for ago in range(7, 0, -1)]
    leave_pending(sensor.dataset, *days)
    asked = answer(monkeypatch, lambda _: {})
    for _ in range(7):
        sensor.look(DEMO_NOW)
    assert len(asked) == 7 * DAYS_AT_ONCE
    assert asked[:7] == days
    assert all(asked.count(day) == DAYS_AT_ONCE for day in days)


def test_a_day_that_cannot_be_asked_for_does_not_block_the_others(sensor: Sensor, monkeypatch: pytest.MonkeyPatch) -> None:
    days = [TODAY - timedelta(days=ago) for ago in (9, 8, 7)]
    leave_pending(sensor.dataset, *days)
    sensor.dataset.storage.delete(layout.matches_part(DAY, layout.CAPTURE))

    def changed(day: date) -> dict[str, str]:
        if day == days[0]:
            raise ArchiveError("archive", "down")
        return {"244660123-1104": "matched x"}

    answer(monkeypatch, changed)
    assert "archive: down" in sensor.look(DEMO_NOW).skip_message
    assert [request.partition_key for request in sensor.look(DEMO_NOW).run_requests] == [d.isoformat() for d in days[1:]]


def test_a_day_that_cannot_be_read_does_not_block_the_others(sensor: Sensor, monkeypatch: pytest.MonkeyPatch) -> None:
    broken, fine = TODAY - timedelta(days=9), TODAY - timedelta(days=8)
    leave_pending(sensor.dataset, fine)
    sensor.dataset.storage.put(layout.matches_part(broken, layout.CAPTURE), b"nonsense")
    asked = answer(monkeypatch, lambda _: {})
    assert f"{broken}: " in sensor.look(DEMO_NOW).skip_message
    sensor.look(DEMO_NOW)
    assert asked[0] == fine


def test_a_look_ends_within_its_budget(sensor: Sensor, monkeypatch: pytest.MonkeyPatch) -> None:
    days = [TODAY - timedelta(days=ago) for ago in (9, 8, 7)]
    leave_pending(sensor.dataset, *days)
    monkeypatch.setattr(late_scenes, "BUDGET_S", 2.0)

    def changed(day: date) -> dict[str, str]:
        time.sleep(3.0 if day == days[1] else 0.0)
        return {}

    asked = answer(monkeypatch, changed)
    began = time.monotonic()
    assert "no answer within" in sensor.look(DEMO_NOW).skip_message
    assert time.monotonic() - began < 5.0
    assert asked == days[:2]


# --- Asker ---


def test_an_answer_and_an_error_come_through() -> None:
    asker = Asker(5.0)
    assert asker.ask(lambda _: 7, 5.0) == 7
    with pytest.raises(KeyError):
        asker.ask(lambda _: {}["x"], 5.0)


def test_one_question_at_a_time_and_nobody_goes_on_asking_for_nothing() -> None:
    asker, may_end, ended = Asker(5.0), threading.Event(), threading.Event()

    def slow(progress: Callable[[object], None]) -> None:
        may_end.wait(10.0)
        try:
            progress("half")
        finally:
            ended.set()

    with pytest.raises(ArchiveError, match="no answer"):
        asker.ask(slow, 0.05)
    with pytest.raises(ArchiveError, match="earlier question"):
        asker.ask(lambda _: 1, 5.0)
    may_end.set()
    assert ended.wait(5.0)
    until = time.monotonic() + 5.0
    while time.monotonic() < until:
        try:
            assert asker.ask(lambda _: 1, 5.0) == 1
            break
        except ArchiveError:
            time.sleep(0.01)
    else:
        pytest.fail("the question that nobody waits for goes on")
