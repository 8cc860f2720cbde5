"""The archive's scenes as observations, and the plan by backfill that they make, against the embedded archive."""

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from s2chips_core import layout, tables
from s2chips_core.config import Settings, parse_settings
from s2chips_core.errors import ArchiveError
from s2chips_core.overpasses.plan import OBSERVED_COLUMNS, PLAN_SCHEMA
from s2chips_core.overpasses.planning import PlannedDays, plan_overpasses
from s2chips_core.sandbox.archive import DEMO_DAYS, DEMO_NOW, DEMO_TILES
from s2chips_core.sandbox.server import Served
from s2chips_core.scenes.observed import observe_scenes
from s2chips_core.storage import LocalStorage

FIRST, SECOND = DEMO_DAYS
LATER = DEMO_NOW + timedelta(days=5)


def settings_of(served: Served, **sections: Mapping[str, Any]) -> Settings:
    tree: dict[str, Any] = {
        "satellite_tracking": {"tiles": list(DEMO_TILES), "satellites": ["S2B", "S2C"]},
        "stac": {"endpoint": served.stac_url, "allowed_hosts": [served.host]},
    }
    for section, values in sections.items():
        tree[section] = {**tree.get(section, {}), **values}
    return parse_settings(tree, "test")


def planned(settings: Settings, storage: LocalStorage, day: date, now: datetime = LATER, days: int = 1) -> PlannedDays:
    observe = observe_scenes(settings, now)
    return plan_overpasses(day, days, settings=settings, storage=storage, now=now, observe=observe)


def items_of(archive: Path, day: date) -> list[dict[str, Any]]:
    """The archive's own items of a day, read from its files."""
    found = [json.loads(file.read_text()) for file in archive.glob("item-*.json")]
    return [
        item
        for item in found
        if item["collection"] == "sentinel-2-l2a" and item["properties"]["datetime"].startswith(day.isoformat())
    ]


def test_observations_are_the_scenes_of_the_tiles_and_the_time(sandbox: Served, sandbox_archive: Path) -> None:
    told: list[object] = []
    observe = observe_scenes(settings_of(sandbox), LATER, told.append)
    start = datetime.combine(FIRST, datetime.min.time(), UTC)
    seen = observe(DEMO_TILES[:2], start, start + timedelta(days=30))
    items = [
        item
        for day in DEMO_DAYS
        for item in items_of(sandbox_archive, day)
        if item["properties"]["grid:code"].removeprefix("MGRS-") in DEMO_TILES[:2]
    ]
    assert tuple(seen.frame.columns) == OBSERVED_COLUMNS
    assert sorted(seen.frame["tile_id"]) == sorted(i["properties"]["grid:code"].removeprefix("MGRS-") for i in items)
    assert set(seen.frame["datetime"]) == {pd.Timestamp(i["properties"]["datetime"]) for i in items}
    assert seen.frame["datatake_id"].str.fullmatch(r"GS2[BC]_\d{8}T\d{6}_\d{6}").all()
    assert seen.frame["datetime"].dtype == "datetime64[ms, UTC]"
    assert seen.requests == sandbox.counters.requests["stac"]
    assert told


def test_a_time_without_scenes_is_an_empty_table(sandbox: Served) -> None:
    seen = observe_scenes(settings_of(sandbox), LATER)(DEMO_TILES, LATER - timedelta(hours=1), LATER)
    assert tuple(seen.frame.columns) == OBSERVED_COLUMNS
    assert seen.frame.empty


@pytest.mark.parametrize("day", DEMO_DAYS)
def test_the_plan_is_what_the_archive_imaged(
    sandbox: Served, sandbox_archive: Path, storage: LocalStorage, day: date
) -> None:
    found = planned(settings_of(sandbox), storage, day)
    items = items_of(sandbox_archive, day)
    # A reprocessed scene is no second overpass.
    expected = {(item["properties"]["grid:code"].removeprefix("MGRS-")) for item in items}
    assert sorted(found.by_day[day]["tile_id"]) == sorted(expected) == sorted(DEMO_TILES)
    times = pd.to_datetime([item["properties"]["datetime"] for item in items], utc=True)
    assert found.by_day[day]["overpass_time"].isin(times).all()
    assert found.requests == sandbox.counters.requests["stac"]
    pd.testing.assert_frame_equal(tables.read_table(storage, layout.plan(day), PLAN_SCHEMA), found.by_day[day])


def test_many_days_are_asked_for_at_once(sandbox: Served, storage: LocalStorage) -> None:
    found = planned(settings_of(sandbox), storage, FIRST, days=(SECOND - FIRST).days + 1)
    assert {day for day, rows in found.by_day.items() if len(rows)} == {FIRST, SECOND}
    assert found.requests == sandbox.counters.requests["stac"] == 2  # the landing page and one search


def test_a_day_between_the_passes_has_an_empty_plan(sandbox: Served, storage: LocalStorage) -> None:
    day = FIRST + timedelta(days=1)
    assert planned(settings_of(sandbox), storage, day, DEMO_NOW).by_day[day].empty
    assert tables.read_table(storage, layout.plan(day), PLAN_SCHEMA).empty


def test_only_watched_tiles_and_satellites_are_planned(sandbox: Served, storage: LocalStorage) -> None:
    one = settings_of(sandbox, satellite_tracking={"tiles": ["30STE"]})
    assert list(planned(one, storage, FIRST).by_day[FIRST]["tile_id"]) == ["30STE"]
    other = settings_of(sandbox, satellite_tracking={"satellites": ["S2A"]})
    assert planned(other, storage, FIRST).by_day[FIRST].empty


def test_a_cloudy_scene_is_an_overpass_all_the_same(sandbox: Served, sandbox_archive: Path, storage: LocalStorage) -> None:
    clear = settings_of(sandbox, stac={"cloud_cover_max": 0})
    assert all(item["properties"]["eo:cloud_cover"] > 0 for item in items_of(sandbox_archive, FIRST))
    assert set(planned(clear, storage, FIRST).by_day[FIRST]["tile_id"]) == set(DEMO_TILES)


def test_an_archive_that_fails_writes_no_plan(sandbox: Served, storage: LocalStorage) -> None:
    sandbox.faults.fail("404", match="/search")
    with pytest.raises(ArchiveError):
        planned(settings_of(sandbox), storage, FIRST)
    assert storage.list("plan") == []
