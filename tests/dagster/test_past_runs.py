"""Runs of some days as Dagster has them: which record, which chip, and what became of them."""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import dagster as dg
import pytest

from s2chips_core.ais.timing import RunState
from s2chips_core.ais.windows import Window
from s2chips_dagster import past_runs
from s2chips_dagster.definitions import build_definitions
from s2chips_dagster.run_config import RECOVERY_RUN_CONFIG, capture_run_config
from tests.dagster.conftest import REPOSITORY

DAY = date(2025, 10, 27)
AT = datetime(2025, 10, 27, 11, tzinfo=UTC)
WINDOW = Window(
    tile_id="30STF", satellite="S2B", overpass_time=AT, start=AT - timedelta(minutes=5), end=AT + timedelta(minutes=5)
)


@pytest.fixture(scope="module")
def definitions() -> dg.Definitions:
    return build_definitions(REPOSITORY / "config" / "config.yaml")


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture
def create(definitions: dg.Definitions, instance: dg.DagsterInstance) -> Any:
    def create(
        job: str, day: date, status: dg.DagsterRunStatus, run_config: dict[str, Any] | None = None, **options: Any
    ) -> dg.DagsterRun:
        tags = {past_runs.PARTITION_TAG: day.isoformat(), **options.pop("tags", {})}
        definition = definitions.resolve_job_def(job)
        return instance.create_run_for_job(definition, run_config=run_config, tags=tags, status=status, **options)

    return create


def never(run: dg.DagsterRun, windows: Sequence[Window]) -> bool:
    return False


def states(instance: dg.DagsterInstance, windows: list[Window] | None = None) -> list[tuple[RunState, int]]:
    runs = past_runs.capture_runs(past_runs.runs_of_days(instance, [DAY]), windows or [], never)
    return [(run.state, len(run.windows)) for run in runs]


def test_runs_of_days_are_those_of_these_partitions_oldest_first(create: Any, instance: dg.DagsterInstance) -> None:
    made = [create("capture_ais", DAY + timedelta(days=n), dg.DagsterRunStatus.SUCCESS) for n in (1, 0, 5)]
    create("index_tiles", DAY, dg.DagsterRunStatus.SUCCESS)
    found = past_runs.runs_of_days(instance, [DAY, DAY + timedelta(days=1)])
    assert [run.run_id for run in found][:2] == [run.run_id for run in made[:2]]
    assert past_runs.runs_of_days(instance, []) == []


@pytest.mark.parametrize(
    ("status", "tags", "state"),
    [
        (dg.DagsterRunStatus.NOT_STARTED, {}, RunState.ACTIVE),
        (dg.DagsterRunStatus.STARTING, {}, RunState.ACTIVE),
        (dg.DagsterRunStatus.STARTED, {}, RunState.ACTIVE),
        (dg.DagsterRunStatus.CANCELING, {}, RunState.ACTIVE),
        (dg.DagsterRunStatus.CANCELED, {}, RunState.CANCELLED),
        (dg.DagsterRunStatus.SUCCESS, {}, RunState.DONE),
        (dg.DagsterRunStatus.FAILURE, {}, RunState.FAILED),
        (dg.DagsterRunStatus.FAILURE, {past_runs.KEY_TAG: past_runs.REFUSED}, RunState.REFUSED),
    ],
)
def test_what_became_of_a_run(
    create: Any, instance: dg.DagsterInstance, status: dg.DagsterRunStatus, tags: dict[str, str], state: RunState
) -> None:
    create("capture_ais", DAY, status, capture_run_config([WINDOW]), tags=tags)
    assert states(instance) == [(state, 1)]


def test_a_run_that_lost_its_process_has_failed(create: Any, instance: dg.DagsterInstance) -> None:
    create("capture_ais", DAY, dg.DagsterRunStatus.STARTED, capture_run_config([WINDOW]))
    create("capture_ais", DAY, dg.DagsterRunStatus.NOT_STARTED, capture_run_config([WINDOW]))
    found = past_runs.capture_runs(past_runs.runs_of_days(instance, [DAY]), [], lambda run, windows: True)
    assert [run.state for run in found] == [RunState.FAILED, RunState.ACTIVE], "one that has not started has none to lose"


def test_which_runs_record(create: Any, instance: dg.DagsterInstance) -> None:
    create("chip_day", DAY, dg.DagsterRunStatus.STARTED)
    create("plan_overpasses", DAY, dg.DagsterRunStatus.STARTED)
    create("capture_ais", DAY, dg.DagsterRunStatus.STARTED, RECOVERY_RUN_CONFIG)
    assert states(instance, [WINDOW]) == []
    create("run_day", DAY, dg.DagsterRunStatus.STARTED)
    assert states(instance, [WINDOW]) == [(RunState.ACTIVE, 1)]
    from_the_asset_page = frozenset({dg.AssetKey("ais_snapshots"), dg.AssetKey("scene_matches")})
    run = dg.DagsterRun(job_name="__ASSET_JOB", asset_selection=from_the_asset_page, status=dg.DagsterRunStatus.STARTED)
    [found] = past_runs.capture_runs([run], [], never)
    assert found.state is RunState.ACTIVE


def test_windows_of_a_run_that_are_none(create: Any) -> None:
    for run_config in ({}, {"ops": {}}, {"ops": {"ais_snapshots": {"config": {"ais": {"source": "synthetic"}}}}}):
        assert past_runs.windows_of(dg.DagsterRun(job_name="capture_ais", run_config=run_config)) == []
    broken = capture_run_config([WINDOW])
    broken["ops"]["ais_snapshots"]["config"]["windows"][0]["start"] = "soon"
    assert past_runs.windows_of(dg.DagsterRun(job_name="capture_ais", run_config=broken)) == []


def test_the_last_run_that_chips_a_day(create: Any, instance: dg.DagsterInstance) -> None:
    create("chip_day", DAY, dg.DagsterRunStatus.FAILURE)
    last = create("run_day", DAY, dg.DagsterRunStatus.SUCCESS)
    create("capture_ais", DAY, dg.DagsterRunStatus.FAILURE)
    found = past_runs.latest_chipping(past_runs.runs_of_days(instance, [DAY]))
    assert {key: run.run_id for key, run in found.items()} == {DAY.isoformat(): last.run_id}


def test_how_long_a_run_has_been_running(create: Any, instance: dg.DagsterInstance) -> None:
    run = create("capture_ais", DAY, dg.DagsterRunStatus.NOT_STARTED)
    assert past_runs.running_for_s(instance, run) == 0.0
    for kind in (dg.DagsterEventType.RUN_STARTING, dg.DagsterEventType.RUN_START):
        event = dg.DagsterEvent(event_type_value=kind.value, job_name=run.job_name)
        instance.report_dagster_event(event, run_id=run.run_id)
    assert 0.0 < past_runs.running_for_s(instance, run) < 30.0
