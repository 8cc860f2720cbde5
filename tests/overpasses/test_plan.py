"""The plan by backfill, its windows and order, and which tiles are watched."""

from datetime import date

import pandas as pd
import pytest

from s2chips_core import tables
from s2chips_core.config import parse_settings
from s2chips_core.errors import ConfigError, InputError
from s2chips_core.overpasses.plan import PLAN_SCHEMA, backfill_plan, build_passes, of_day, passes_of, watched_tiles
from s2chips_core.sections import Area, SatelliteTracking


def observed(*rows: tuple[str, str, str | None, str]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["tile_id", "satellite", "datatake_id", "datetime"])
    frame["datetime"] = pd.to_datetime(frame["datetime"], utc=True, format="ISO8601").astype("datetime64[ms, UTC]")
    return frame


SCENES = observed(
    ("30STF", "S2B", "GS2B_20251012T105629_044924", "2025-10-12T11:08:22.123Z"),
    ("30STF", "S2B", "GS2B_20251012T105629_044924", "2025-10-12T11:08:22.130Z"),
    ("29SQA", "S2B", "GS2B_20251012T105629_044924", "2025-10-12T11:08:26.500Z"),
    ("30STF", "S2C", None, "2025-10-17T11:08:22.123Z"),
    ("29SQA", "S2B", None, "2025-10-22T11:14:59.990Z"),
    ("29SQA", "S2B", None, "2025-10-22T11:15:00.010Z"),
    ("31TCJ", "S2B", None, "2025-10-12T11:00:00.000Z"),
)


def test_one_row_for_each_tile_and_datatake() -> None:
    plan = backfill_plan(SCENES, ["30STF", "29SQA"], ["S2A", "S2B", "S2C"], window_min=5)
    assert list(zip(plan["tile_id"], plan["satellite"], strict=True)) == [
        ("30STF", "S2B"),
        ("29SQA", "S2B"),
        ("30STF", "S2C"),
        ("29SQA", "S2B"),
    ]
    first = plan.iloc[0]
    assert first["absolute_orbit"] == 44924
    assert first["overpass_time"] == pd.Timestamp("2025-10-12T11:08:22.123Z")
    assert first["window_start"] == pd.Timestamp("2025-10-12T11:03:22.123Z")
    assert first["window_end"] == pd.Timestamp("2025-10-12T11:13:22.123Z")
    assert pd.isna(plan.iloc[2]["absolute_orbit"])
    tables.conform(plan, PLAN_SCHEMA, "plan")


def test_products_a_moment_apart_are_one_overpass() -> None:
    assert len(of_day(backfill_plan(SCENES, ["29SQA"], ["S2B"], 5), date(2025, 10, 22))) == 1


def test_only_the_satellites_that_are_asked_for() -> None:
    assert set(backfill_plan(SCENES, ["30STF"], ["S2C"], 5)["satellite"]) == {"S2C"}
    assert backfill_plan(SCENES, ["30STF"], ["S2A"], 5).empty


def test_of_day_is_the_utc_day() -> None:
    plan = backfill_plan(SCENES, ["30STF"], ["S2B", "S2C"], 5)
    assert len(of_day(plan, date(2025, 10, 17))) == 1
    assert of_day(plan, date(2025, 10, 18)).empty


def test_tiles_and_areas_are_both_watched() -> None:
    strait = Area(name="strait", west=-5.7, south=35.9, east=-5.6, north=35.95)
    tiles = watched_tiles(SatelliteTracking(tiles=("1CCV", "30STF"), areas=(strait,)))
    assert "01CCV" in tiles
    assert tiles.count("30STF") == 1
    assert {"30STE", "30STF"} <= set(tiles)


def test_all_around_the_earth_is_an_area() -> None:
    ring = Area(name="ring", west=-180, south=-59, east=180, north=-58)
    tiles = watched_tiles(SatelliteTracking(areas=(ring,)))
    assert {int(tile[:2]) for tile in tiles} >= set(range(15, 30))  # not of every zone: the open Pacific is not imaged


@pytest.mark.parametrize("tile", ["32XNF", "30SZF", "1CCA"])
def test_a_square_that_is_no_tile_of_the_grid_is_refused(tile: str) -> None:
    with pytest.raises(InputError, match=f"satellite_tracking.tiles: got '0?{tile}'"):
        watched_tiles(SatelliteTracking(tiles=("30STF", tile)))


def test_no_satellite_is_a_mistake() -> None:
    with pytest.raises(ConfigError, match=r"satellite_tracking\.satellites"):
        parse_settings({"satellite_tracking": {"tiles": ["30STF"], "satellites": []}}, "config.yaml")


def test_passes_know_their_orbits() -> None:
    """A scene that was processed twice is one pass, at its first time; what one of its items does not tell another may."""
    scenes = SCENES.assign(relative_orbit=[None, 137, 137, 94, None, None, 51])
    passes = passes_of(scenes, ["29SQA", "30STF"], ["S2B", "S2C"])
    assert list(passes.columns) == ["tile_id", "satellite", "datetime", "relative_orbit", "absolute_orbit"]
    assert list(zip(passes["tile_id"], passes["satellite"], strict=True)) == [
        ("29SQA", "S2B"), ("29SQA", "S2B"), ("30STF", "S2B"), ("30STF", "S2C")
    ]  # fmt: skip
    assert passes["relative_orbit"].tolist() == [137, pd.NA, 137, 94]
    assert passes["absolute_orbit"].tolist() == [44924, pd.NA, 44924, pd.NA]
    assert passes["datetime"].iloc[2] == pd.Timestamp("2025-10-12T11:08:22.123Z")
    assert list(backfill_plan(scenes, ["30STF"], ["S2C"], 5)["relative_orbit"]) == [94]


def test_nothing_observed_is_no_pass() -> None:
    nothing = SCENES.iloc[:0]
    assert passes_of(nothing, ["30STF"], ["S2B"]).empty
    empty = backfill_plan(nothing, ["30STF"], ["S2B"], 5)
    assert empty.empty
    assert list(empty.columns) == PLAN_SCHEMA.names


def test_rows_are_in_order_and_times_are_to_the_millisecond() -> None:
    rows = pd.DataFrame(
        {
            "tile_id": ["30STF", "30STE", "30STE"],
            "satellite": ["S2B", "S2C", "S2B"],
            "overpass_time": pd.to_datetime(["2025-10-12T11:08:22.1234567Z"] * 3, utc=True),
            "time_sigma_s": 1.0,
            "imaging": "expected",
            "source": "tle",
            "source_epoch": pd.to_datetime(["2025-10-10T01:02:03.456789Z"] * 3, utc=True),
        }
    )
    plan = build_passes(rows, window_min=1.23456789)
    assert list(zip(plan["tile_id"], plan["satellite"], strict=True)) == [
        ("30STE", "S2B"),
        ("30STE", "S2C"),
        ("30STF", "S2B"),
    ]
    first = plan.iloc[0]
    assert first["overpass_time"] == pd.Timestamp("2025-10-12T11:08:22.123Z")
    assert first["window_end"] - first["overpass_time"] == pd.Timedelta(milliseconds=74_074)
    assert first["source_epoch"] == pd.Timestamp("2025-10-10T01:02:03.457Z")
    assert plan["relative_orbit"].isna().all()


@pytest.mark.parametrize("margin", [1.0, 12.5])
def test_the_window_is_as_wide_as_asked(margin: float) -> None:
    plan = backfill_plan(SCENES, ["30STF"], ["S2B"], margin)
    assert (plan["window_end"] - plan["window_start"]).iloc[0] == pd.Timedelta(minutes=2 * margin)
