"""Planning by Dagster: today plans the horizon, each day of it is shown, and what is to be known is a warning."""

import base64
import shutil
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import dagster as dg
import pandas as pd
import pytest
import yaml

from s2chips_core import layout, tables
from s2chips_core.overpasses.plan import PLAN_SCHEMA
from s2chips_core.sections import SatelliteTracking
from s2chips_core.storage import LocalStorage
from s2chips_dagster.definitions import build_definitions
from s2chips_dagster.plans import days_to_plan, notes_list
from tests.dagster.conftest import DAY, DayRun

TODAY = date(2026, 5, 30)
"""The last of many element sets in the data is of this day."""
NOW = datetime(2026, 5, 30, 12, tzinfo=UTC)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


class Rig:
    """`plan_overpasses` with real elements."""

    def __init__(self, folder: Path, elements: Path, instance: dg.DagsterInstance, **tracking: Any) -> None:
        self.storage, self.instance = LocalStorage(folder / "dataset"), instance
        tree = {
            "satellite_tracking": {
                "source": "tle",
                "tiles": ["30STF", "30SUE"],
                "tle_sources": [str(shutil.copy(elements, folder / "elements.tle"))],
                "horizon_days": 4,
                **tracking,
            },
            "storage": {"dataset_root": str(self.storage.root)},
        }
        config = folder / "config.yaml"
        config.write_text(yaml.safe_dump(tree))
        self.job = build_definitions(config, now=NOW.isoformat()).resolve_job_def("plan_overpasses")

    def run(self, day: date) -> dict[str | None, dict[str, Any]]:
        """Partition -> what its materialisation shows."""
        result = self.job.execute_in_process(partition_key=day.isoformat(), instance=self.instance)
        return {
            event.partition: {name: value.value for name, value in event.materialization.metadata.items()}
            for event in result.get_asset_materialization_events()
        }

    def plan(self, day: date) -> pd.DataFrame:
        return tables.read_table(self.storage, layout.plan(day), PLAN_SCHEMA)


def elements_of(shared_data: Path) -> Path:
    return shared_data / "orbit" / "sentinel2_tle_history.tle"


@pytest.mark.shared_data
def test_today_plans_the_horizon_and_shows_each_of_its_days(
    shared_data: Path, tmp_path: Path, instance: dg.DagsterInstance, capfd: pytest.CaptureFixture[str]
) -> None:
    rig = Rig(tmp_path, elements_of(shared_data), instance)
    shown = rig.run(TODAY)
    days = [TODAY + timedelta(days=n) for n in range(4)]
    assert sorted(str(key) for key in shown) == [day.isoformat() for day in days]
    plans = [rig.plan(day) for day in days]
    assert [shown[day.isoformat()]["overpasses"] for day in days] == [len(plan) for plan in plans]
    assert sum(len(plan) for plan in plans) >= 4
    for day, plan in zip(days, plans, strict=True):
        assert set(plan["overpass_time"].dt.date) <= {day}
        assert shown[day.isoformat()]["path"] == rig.storage.url(layout.plan(day))
        assert rig.storage.exists(layout.plan_swaths(day))
    today = shown[TODAY.isoformat()]
    assert (today["days"], today["overpasses_of_all_days"]) == (4, sum(len(plan) for plan in plans))
    assert today["seconds"] > 0
    title, data = today["map"].split("](data:image/svg+xml;base64,")
    assert "2026-05-30, 4 days" in title
    picture = ElementTree.fromstring(base64.b64decode(data.rstrip(")")))
    assert picture.tag.endswith("svg")
    told = [line.split(" - WARNING - ")[-1] for line in capfd.readouterr().err.splitlines() if " - WARNING - " in line]
    notes = [] if today["notes"] == "none" else today["notes"].splitlines()
    assert len(told) == len(notes)


@pytest.mark.shared_data
def test_another_day_is_planned_alone(shared_data: Path, tmp_path: Path, instance: dg.DagsterInstance) -> None:
    rig = Rig(tmp_path, elements_of(shared_data), instance)
    tomorrow = TODAY + timedelta(days=1)
    assert list(rig.run(tomorrow)) == [tomorrow.isoformat()]
    assert not rig.storage.exists(layout.plan(tomorrow + timedelta(days=1)))


@pytest.mark.shared_data
def test_what_a_reader_must_know_is_a_warning_and_on_the_materialisation(
    shared_data: Path, tmp_path: Path, instance: dg.DagsterInstance, capfd: pytest.CaptureFixture[str]
) -> None:
    """Elements that a satellite has none of, or too old ones, are said with their age."""
    lines = elements_of(shared_data).read_text().splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith("1 42063"))
    only_b = tmp_path / "only-b.tle"
    only_b.write_text("\n".join(line for line in lines if line[2:7] == "42063") + "\n")
    assert start >= 0
    shown = Rig(tmp_path, only_b, instance).run(TODAY)[TODAY.isoformat()]
    assert shown["notes"] != "none"
    warnings = [line for line in capfd.readouterr().err.splitlines() if " - WARNING - " in line]
    for note in shown["notes"].splitlines():
        assert any(note.removeprefix("- ")[:60] in warning for warning in warnings), note


def test_days_of_a_run() -> None:
    ahead = SatelliteTracking(source="tle", tiles=("30STF",), horizon_days=12)
    assert days_to_plan(TODAY, TODAY, ahead) == 12
    assert days_to_plan(TODAY - timedelta(days=1), TODAY, ahead) == 1
    assert days_to_plan(TODAY + timedelta(days=1), TODAY, ahead) == 1
    back = SatelliteTracking(source="backfill", tiles=("30STF",))
    assert days_to_plan(TODAY, TODAY, back) == 1


def test_notes_are_a_list() -> None:
    assert notes_list(["a", "b"]).value == "- a\n- b"
    assert notes_list([]).value == "none"


def test_a_day_by_backfill_shows_its_sources_and_a_map(day_run: DayRun) -> None:
    shown = day_run.metadata("overpass_plan")
    assert f"| backfill | {shown['overpasses']} |" in shown["sources"]
    assert f"| planned | {shown['overpasses']} |" in shown["imaging"]
    assert shown["map"].startswith(f"![Overpasses of {DAY}](data:image/svg+xml;base64,")
    assert len(shown["preview"].records) == shown["overpasses"]
