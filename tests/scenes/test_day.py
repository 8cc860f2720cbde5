"""The matches of a day's ships, against the embedded archive on loopback."""

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import shapely

from s2chips_core import layout, tables
from s2chips_core.ais.day import record_day
from s2chips_core.ais.snapshots import read_snapshots
from s2chips_core.ais.targets import build_capture_targets
from s2chips_core.config import Settings, parse_settings
from s2chips_core.errors import ArchiveError
from s2chips_core.overpasses.planning import plan_overpasses
from s2chips_core.overpasses.tile_shapes import tiles_touching
from s2chips_core.sandbox.archive import DEMO_DAYS, DEMO_NOW, DEMO_TILES
from s2chips_core.sandbox.server import Served, serve
from s2chips_core.scenes.day import match_capture, match_rows, match_source
from s2chips_core.scenes.matches import MATCH_SCHEMA, MatchStatus
from s2chips_core.scenes.observed import observe_scenes
from s2chips_core.scenes.scene import Scene
from s2chips_core.scenes.search import search_scenes
from s2chips_core.storage import LocalStorage
from tests.scenes.samples import targets, tile_item

FIRST, SECOND = DEMO_DAYS
SOURCE = "file-0123456789ab"


def settings_of(served: Served, **sections: dict[str, Any]) -> Settings:
    tree: dict[str, Any] = {
        "satellite_tracking": {"tiles": list(DEMO_TILES), "satellites": ["S2B", "S2C"]},
        "ais": {"source": "synthetic", "synthetic_ships_per_tile": 30},
        "stac": {"endpoint": served.stac_url, "allowed_hosts": [served.host]},
    }
    for section, values in sections.items():
        tree[section] = {**tree.get(section, {}), **values}
    return parse_settings(tree, "test")


def items_of(archive: Path, day: date, collection: str = "sentinel-2-l2a") -> dict[str, dict[str, Any]]:
    """The archive's own items of a day, by id, read from its files."""
    found = [json.loads(file.read_text()) for file in archive.glob("item-*.json")]
    return {
        item["id"]: item
        for item in found
        if item["collection"] == collection and item["properties"]["datetime"].startswith(day.isoformat())
    }


@pytest.fixture
def recorded(sandbox: Served, storage: LocalStorage) -> Settings:
    """The first day, planned and recorded."""
    settings = settings_of(sandbox)
    observe = observe_scenes(settings, DEMO_NOW)
    plan_overpasses(FIRST, 1, settings=settings, storage=storage, now=DEMO_NOW, observe=observe)
    record_day(FIRST, settings=settings, storage=storage)
    return settings


def test_every_recorded_ship_gets_a_scene_that_holds_it_or_a_reason(
    sandbox: Served, sandbox_archive: Path, storage: LocalStorage, recorded: Settings
) -> None:
    sandbox.counters.reset()
    told: list[object] = []
    found = match_capture(FIRST, settings=recorded, storage=storage, now=DEMO_NOW, progress=told.append)
    matches = found.matches
    ships = build_capture_targets(read_snapshots(storage, FIRST), position_mode="at_sensing_time")
    assert sorted(matches["target_id"]) == sorted(ships["target_id"])
    assert set(matches["source_id"]) == {layout.CAPTURE}
    assert matches["detail"].str.len().min() > 0
    # The western scene has too much cloud for anybody; the eastern one was processed twice.
    statuses = set(matches["status"])
    assert {MatchStatus.MATCHED, MatchStatus.NO_SCENE} <= statuses
    items = items_of(sandbox_archive, FIRST)
    matched = matches[matches["status"] == MatchStatus.MATCHED]
    assert "S2B_30SUE_20251012_0_L2A" not in set(matched["scene_id"])
    for row in matched.itertuples():
        item = items[row.scene_id]
        assert item["properties"]["eo:cloud_cover"] <= recorded.stac.cloud_cover_max
        assert shapely.contains_xy(shapely.geometry.shape(item["geometry"]), row.lon, row.lat)
        assert row.scene_datetime == pd.Timestamp(item["properties"]["datetime"])
        assert Scene.from_json(row.scene).scene_id == row.scene_id
    # A ship without a scene is in no clear scene's footprint.
    clear = [
        shapely.geometry.shape(item["geometry"]).buffer(-0.01)
        for item in items.values()
        if item["properties"]["eo:cloud_cover"] <= recorded.stac.cloud_cover_max
    ]
    lost = matches[matches["status"] == MatchStatus.NO_SCENE]
    assert not any(shapely.contains_xy(shape, lost["ais_lon"], lost["ais_lat"]).any() for shape in clear)

    kept = tables.read_table(storage, layout.matches_part(FIRST, layout.CAPTURE), MATCH_SCHEMA)
    pd.testing.assert_frame_equal(kept[["target_id", "status"]], matches[["target_id", "status"]])
    assert found.requests == sandbox.counters.requests["stac"]
    assert found.seconds > 0
    assert told


def test_matching_again_is_the_same(storage: LocalStorage, recorded: Settings) -> None:
    match_capture(FIRST, settings=recorded, storage=storage, now=DEMO_NOW)
    before = storage.get(layout.matches_part(FIRST, layout.CAPTURE))
    match_capture(FIRST, settings=recorded, storage=storage, now=DEMO_NOW)
    assert storage.get(layout.matches_part(FIRST, layout.CAPTURE)) == before


def test_ships_wait_until_their_scene_is_published_or_given_up(
    sandbox: Served, sandbox_archive: Path, storage: LocalStorage
) -> None:
    late = matched_over_time(sandbox, items_of(sandbox_archive, SECOND)["S2C_30SUE_20251027_0_L2A"], storage)
    when = {status: set(frame["status"]) for status, frame in late.items()}
    assert when == {
        "before": {MatchStatus.PENDING_L2A},
        "after": {MatchStatus.MATCHED},
        "never": {MatchStatus.NO_SCENE},
    }


def matched_over_time(sandbox: Served, item: dict[str, Any], storage: LocalStorage) -> dict[str, pd.DataFrame]:
    """A ship on 30SUE alone, east of the next tile, whose scene of the second day came three days later."""
    settings = settings_of(sandbox, stac={"cloud_cover_max": 100})
    west, south, east, north = shapely.geometry.shape(item["geometry"]).bounds
    when = datetime.fromisoformat(item["properties"]["datetime"])
    place = {"ais_lon": west + 0.4 * (east - west), "ais_lat": (south + north) / 2}
    ship = targets({**place, "ais_time": when, "source_id": SOURCE})

    def matched(now: datetime) -> pd.DataFrame:
        return match_source(SECOND, SOURCE, ship, None, settings=settings, storage=storage, now=now).matches

    found = {}
    sandbox.now = DEMO_NOW
    found["before"] = matched(DEMO_NOW)
    found["never"] = matched(DEMO_NOW + timedelta(days=settings.scheduling.give_up_days + 1))
    sandbox.now = None
    found["after"] = matched(DEMO_NOW + timedelta(days=3))
    return found


def test_nobody_to_match_asks_nobody(sandbox: Served, storage: LocalStorage) -> None:
    nobody = targets({"invalid_reason": "row 2: mmsi is missing"})
    found = match_source(FIRST, SOURCE, nobody, None, settings=settings_of(sandbox), storage=storage, now=DEMO_NOW)
    assert list(found.matches["status"]) == [MatchStatus.INVALID_AIS]
    assert found.requests == sandbox.counters.requests["stac"] == 0
    empty = match_capture(SECOND, settings=settings_of(sandbox), storage=storage, now=DEMO_NOW)
    assert empty.matches.empty
    assert tables.read_table(storage, layout.matches_part(SECOND, layout.CAPTURE), MATCH_SCHEMA).empty


def test_the_second_search_is_only_for_ships_that_got_nothing(sandbox: Served, storage: LocalStorage) -> None:
    clear = targets({"ais_lon": -5.4, "ais_lat": 36.0, "ais_time": datetime(2025, 10, 12, 11, 20, tzinfo=UTC)})
    found = match_source(FIRST, SOURCE, clear, None, settings=settings_of(sandbox), storage=storage, now=DEMO_NOW)
    assert list(found.matches["status"]) == [MatchStatus.MATCHED]
    once = found.requests
    nobody_clear = settings_of(sandbox, stac={"cloud_cover_max": 0})
    again = match_source(FIRST, SOURCE, clear, None, settings=nobody_clear, storage=storage, now=DEMO_NOW)
    assert list(again.matches["status"]) == [MatchStatus.NO_SCENE]
    assert "cloud" in again.matches.iloc[0]["detail"]
    assert again.requests > once


def test_an_archive_that_fails_writes_no_matches(sandbox: Served, storage: LocalStorage, recorded: Settings) -> None:
    sandbox.faults.fail("404", match="/search")
    with pytest.raises(ArchiveError):
        match_capture(FIRST, settings=recorded, storage=storage, now=DEMO_NOW)
    assert storage.list(layout.matches_parts_of_day(FIRST)) == []


WORLD = "150 ports around the world, 14 days"
COAST = "a dense coast, one day"


def crowd(where: str) -> tuple[pd.DataFrame, list[dict[str, Any]]]:
    """2,000 rows of a file, and the items of an archive around them: each tile every fifth day, mostly cloudy."""
    rng = np.random.default_rng(5)
    if where == WORLD:
        ports, spread, days = np.column_stack([rng.uniform(-170, 170, 150), rng.uniform(-50, 65, 150)]), 0.05, 14
    else:
        ports, spread, days = np.column_stack([np.linspace(-9.5, -6.0, 40), np.linspace(43.5, 36.5, 40)]), 0.1, 1
    place = ports[rng.integers(0, len(ports), 2000)] + rng.normal(0, spread, (2000, 2))
    began = datetime(2025, 7, 1, tzinfo=UTC)
    rows = targets({})
    rows = pd.concat([rows] * 2000, ignore_index=True)
    rows["target_id"], rows["mmsi"] = [f"row-{n}" for n in range(2000)], 244_000_000 + np.arange(2000)
    rows["ais_lon"], rows["ais_lat"] = place[:, 0], place[:, 1]
    rows["ais_time"] = (began + pd.to_timedelta(rng.integers(0, days * 86_400, 2000), unit="s")).as_unit("ms")
    tiles = sorted({t for x, y in ports for t in tiles_touching((x - 0.4, y - 0.4, x + 0.4, y + 0.4))})
    items = [
        tile_item(tile, began + timedelta(days=day, hours=11, seconds=int(number)), float(rng.choice([5.0, 60.0, 90.0])))
        for number, tile in enumerate(tiles)
        for day in range(-1, days + 1)
        if (day + number) % 5 == 0
    ]
    return rows, items


@pytest.mark.parametrize("where", [WORLD, COAST])
def test_two_thousand_rows_need_fewer_than_a_hundred_requests(tmp_path: Path, where: str) -> None:
    rows, items = crowd(where)
    for number, item in enumerate(items):
        (tmp_path / f"item-{number}.json").write_text(json.dumps(item))
    with serve(tmp_path) as archive:
        settings = settings_of(archive)
        found = match_rows(rows, None, settings=settings, now=datetime(2025, 9, 1, tzinfo=UTC))
        asked = archive.counters.requests["stac"]
        points = pd.DataFrame({"lon": rows["ais_lon"], "lat": rows["ais_lat"], "time": rows["ais_time"]})
        whole = search_scenes(points, settings=settings, now=datetime(2025, 9, 1, tzinfo=UTC), cloud_cover_max=None)
    assert asked == found.requests < 100
    # The floor: the scenes within a day and 28 km of any row (60 knots for 15 min), in pages of 200; two landing pages.
    times = rows["ais_time"].astype("int64").to_numpy() / 1000
    lon, lat = rows["ais_lon"].to_numpy(), rows["ais_lat"].to_numpy()
    reach = 27_900 / 110_500
    wide = reach / np.cos(np.radians(np.abs(lat)))
    around = shapely.box(lon - wide, lat - reach, lon + wide, lat + reach)
    needed = [
        item["id"]
        for item in items
        for near in [np.abs(times - datetime.fromisoformat(item["properties"]["datetime"]).timestamp()) <= 86_400]
        if shapely.intersects(around[near], shapely.geometry.shape(item["geometry"])).any()
    ]
    assert set(needed) <= {scene.scene_id for scene in whole.scenes}
    assert asked <= 2 + 2 * (len(needed) / 200 + 1), (asked, len(needed))
    assert len(whole.scenes) < 1.5 * len(needed)
    # And what comes is what is read, not all of it.
    size = sum(len(json.dumps(item)) for item in items if item["id"] in needed)
    assert whole.bytes < 1.5 * size
    assert (found.matches["status"] == MatchStatus.MATCHED).sum() > 50
