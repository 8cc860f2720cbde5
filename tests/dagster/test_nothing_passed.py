"""Nothing goes through Dagster's IO manager, which would pickle it."""

import pickletools
from pathlib import Path

import dagster as dg
import pytest

from s2chips_dagster.nothing_passed import NothingPassed
from tests.dagster.conftest import DayRun, MakeDataset
from tests.dagster.test_controls import DEFINITIONS, JOBS

PASSED = (dg.DagsterEventType.HANDLED_OUTPUT, dg.DagsterEventType.LOADED_INPUT)


def is_pickle(data: bytes) -> bool:
    """Whether it is one, of any protocol, from its first byte to its last."""
    try:
        *_, (last, _, place) = pickletools.genops(data)
    except Exception:  # noqa: BLE001 - whatever it stumbles over, it is no pickle
        return False
    return last.name == "STOP" and place == len(data) - 1


def test_the_definitions_refuse_what_is_passed() -> None:
    assert isinstance(DEFINITIONS.resources["io_manager"], NothingPassed)
    for name, job in JOBS.items():
        managers = {output.io_manager_key for node in job.all_node_defs for output in node.output_defs}
        assert managers <= {"io_manager"}, name
        assert job.resource_defs["io_manager"].resource_fn(None) is DEFINITIONS.resources["io_manager"], name


def test_a_day_passes_nothing(day_run: DayRun) -> None:
    for result in (day_run.result, day_run.index_result):
        assert len(result.get_asset_materialization_events()) >= 2
        assert [event.event_type for event in result.all_events if event.event_type in PASSED] == []


def test_what_a_run_leaves_in_dagsters_home_is_no_pickle(home: Path, make_dataset: MakeDataset) -> None:
    with dg.DagsterInstance.from_config(str(home)) as instance:
        for job in ("prune_by_ais", "index_tiles"):
            assert make_dataset().execute(job, day=None, instance=instance).success
    files = [path for path in (home / "storage").rglob("*") if path.is_file()]
    assert files
    assert [path for path in files if "compute_logs" not in path.parts and path.suffix != ".db"] == []
    assert [path for path in home.rglob("*") if path.is_file() and is_pickle(path.read_bytes())] == []


def test_a_pickle_would_be_seen(home: Path) -> None:
    """As Dagster writes one."""

    @dg.asset
    def numbers() -> list[int]:
        return [1, 2, 3]

    with dg.DagsterInstance.from_config(str(home)) as instance:
        result = dg.materialize([numbers], instance=instance)
    assert [event.event_type for event in result.all_events if event.event_type in PASSED] == [PASSED[0]]
    found = [path for path in home.rglob("*") if path.is_file() and is_pickle(path.read_bytes())]
    assert [path.name for path in found] == ["numbers"]


def test_an_asset_that_returns_something_is_refused(home: Path) -> None:
    @dg.asset
    def numbers() -> list[int]:
        return [1, 2, 3]

    with dg.DagsterInstance.from_config(str(home)) as instance:
        result = dg.materialize(
            [numbers], instance=instance, resources={"io_manager": NothingPassed()}, raise_on_error=False
        )
    assert not result.success
    [failed] = [event for event in result.all_events if event.is_step_failure]
    assert "numbers returned list; expected nothing" in str(failed.step_failure_data.error)


@pytest.mark.parametrize("data", [b"", b"N.N", b"SQLite format 3\0", b"Traceback (most recent call last)"])
def test_what_is_no_pickle(data: bytes) -> None:
    assert not is_pickle(data)
