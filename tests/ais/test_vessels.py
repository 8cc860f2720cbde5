"""The vessels around a place at a time."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pyproj
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s2chips_core import tables
from s2chips_core.ais.fixes import FIX_SCHEMA, KNOT_M_S
from s2chips_core.ais.position import positions_at
from s2chips_core.ais.vessels import VESSEL_COLUMNS, Moment, circle_around, vessels_at

SENSED = datetime(2025, 10, 27, 11, 4, 22, tzinfo=UTC)
HERE = Moment(time=SENSED, lat=36.0, lon=-5.5, radius_m=5_000.0)
GEOD = pyproj.Geod(ellps="WGS84")
SHIP = 244660123
MAX_GAP_S = 900.0


def fixes(*rows: dict[str, Any]) -> pd.DataFrame:
    base = {"mmsi": SHIP, "lat": 36.0, "lon": -5.5, "sog_kn": 0.1, "ais_source": "aisstream", "after_s": 0.0}
    frame = pd.DataFrame([{**base, **row} for row in rows])
    frame["time"] = pd.to_datetime([SENSED + timedelta(seconds=s) for s in frame["after_s"]])
    return tables.to_frame(tables.conform(frame, FIX_SCHEMA, "fixes"))


def one(*rows: dict[str, Any], moment: Moment = HERE) -> pd.DataFrame:
    (found,) = vessels_at(fixes(*rows), [moment], max_gap_s=MAX_GAP_S)
    assert tuple(found.columns) == VESSEL_COLUMNS
    return found


def test_every_ship_is_placed_as_position_places_it() -> None:
    heard = fixes(
        {"after_s": -60, "sog_kn": 12.0, "cog_deg": 80.0},
        {"after_s": 45, "lon": -5.49, "sog_kn": 12.0, "cog_deg": 85.0},
        {"mmsi": SHIP + 1, "after_s": -200, "lat": 36.01, "sog_kn": 9.0, "cog_deg": 10.0},
        {"mmsi": SHIP + 2, "after_s": 30, "lat": 35.99},
    )
    (found,) = vessels_at(heard, [HERE], max_gap_s=MAX_GAP_S)
    assert found["mmsi"].tolist() == [SHIP, SHIP + 1, SHIP + 2]
    when = np.full(3, np.datetime64(SENSED.replace(tzinfo=None), "ms"))
    expected = positions_at(heard, found["mmsi"].to_numpy(), when, max_gap_s=MAX_GAP_S)
    for name in ("lat", "lon", "position_method", "position_gap_s", "position_sigma_m"):
        assert found[name].tolist() == expected[name].tolist()
    assert found["position_method"].tolist() == ["interpolated", "dead_reckoned", "as_reported"]


def test_motion_is_that_of_the_nearest_fix_and_static_facts_are_the_last_of_the_day() -> None:
    found = one(
        {"after_s": -300, "heading_deg": 10.0, "ship_name": "OLD", "length_m": 90.0, "to_bow_m": 10.0},
        {"after_s": 20, "heading_deg": 20.0, "sog_kn": 0.2, "cog_deg": 33.0},
        {"after_s": 250, "heading_deg": 30.0, "ship_name": "NEW", "length_m": 100.0},
    ).iloc[0]
    assert (found["heading_deg"], found["sog_kn"], found["cog_deg"]) == (20.0, 0.2, 33.0)
    assert (found["ship_name"], found["length_m"], found["to_bow_m"]) == ("NEW", 100.0, 10.0)


def test_of_repeats_of_a_fix_the_one_with_a_speed_counts() -> None:
    found = one({"sog_kn": None, "heading_deg": 1.0}, {"sog_kn": 0.1, "heading_deg": 2.0}, {"sog_kn": None})
    assert len(found) == 1
    assert found["heading_deg"].tolist() == [2.0]


def test_what_ais_does_not_know_is_null() -> None:
    found = one({"sog_kn": 102.3, "cog_deg": 360.0, "heading_deg": 511.0})
    assert found[["sog_kn", "cog_deg", "heading_deg"]].isna().all().all()


@pytest.mark.parametrize("mmsi", [2190064, 992351000, 111232506, 970010101])
def test_stations_that_are_no_ships_are_left_out(mmsi: int) -> None:
    assert one({"mmsi": mmsi}).empty
    assert one({"mmsi": mmsi}, {})["mmsi"].tolist() == [SHIP]


def test_a_ship_whose_place_is_not_known_is_left_out() -> None:
    assert one({"after_s": -MAX_GAP_S - 1}).empty
    assert one({"after_s": -MAX_GAP_S}).shape[0] == 1
    assert one({"lat": 91.0}).empty
    # It moves, and does not say where to.
    assert one({"after_s": 300.0, "sog_kn": None}).empty


def test_a_ship_that_comes_from_afar_in_time_is_there() -> None:
    way_m = 20 * KNOT_M_S * 600
    lon, lat, _ = GEOD.fwd(-5.5, 36.0, 270.0, way_m)
    assert way_m > HERE.radius_m
    found = one({"after_s": -600, "lon": lon, "lat": lat, "sog_kn": 20.0, "cog_deg": 90.0})
    assert found["lon"].tolist() == pytest.approx([-5.5], abs=1e-3)


def test_far_ships_and_other_times_are_left_out() -> None:
    assert one({"lat": 37.0}).empty
    later = Moment(time=SENSED + timedelta(hours=3), lat=36.0, lon=-5.5, radius_m=5_000.0)
    both = vessels_at(fixes({}, {"mmsi": SHIP + 1, "after_s": 3 * 3600.0}), [HERE, later], max_gap_s=MAX_GAP_S)
    assert [frame["mmsi"].tolist() for frame in both] == [[SHIP], [SHIP + 1]]


def test_the_antimeridian_is_nothing_special() -> None:
    edge = Moment(time=SENSED, lat=-17.0, lon=179.99, radius_m=5_000.0)
    found = one({"lat": -17.0, "lon": -179.99}, {"mmsi": SHIP + 1, "lat": -17.0, "lon": 179.98}, moment=edge)
    assert found["mmsi"].tolist() == [SHIP, SHIP + 1]


def test_nothing_heard_or_nothing_asked_is_nothing() -> None:
    assert vessels_at(tables.empty(FIX_SCHEMA), [HERE], max_gap_s=MAX_GAP_S)[0].empty
    assert vessels_at(fixes({}), [], max_gap_s=MAX_GAP_S) == []


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10**6))
def test_nobody_in_the_circle_is_missed(seed: int) -> None:
    """Every ship alone, placed by `positions_at` and measured by pyproj."""
    rng = np.random.default_rng(seed)
    rows = [
        {
            "mmsi": SHIP + int(rng.integers(0, 25)),
            "after_s": float(rng.integers(-900, 900)),
            "lat": 36.0 + float(rng.normal(0, 0.06)),
            "lon": -5.5 + float(rng.normal(0, 0.06)),
            "sog_kn": float(rng.choice([0.0, 14.0, 50.0])),
            "cog_deg": float(rng.uniform(0, 359)),
        }
        for _ in range(40)
    ]
    heard = fixes(*rows)
    (found,) = vessels_at(heard, [HERE], max_gap_s=MAX_GAP_S)
    ships = np.unique(heard["mmsi"].to_numpy(np.int64))
    when = np.full(len(ships), np.datetime64(SENSED.replace(tzinfo=None), "ms"))
    placed = positions_at(heard, ships, when, max_gap_s=MAX_GAP_S).assign(mmsi=ships)
    placed = placed[placed["refusal"].isna()]
    away_m = GEOD.inv(*(np.full(len(placed), n) for n in (HERE.lon, HERE.lat)), placed["lon"], placed["lat"])[2]
    assert set(placed["mmsi"][away_m <= HERE.radius_m]) <= set(found["mmsi"])
    assert set(found["mmsi"]) <= set(placed["mmsi"][away_m <= HERE.radius_m * 1.02])


@given(
    st.lists(st.tuples(st.floats(-1, 1), st.floats(-1, 1)), min_size=1, max_size=20),
    st.floats(-80, 80),
    st.floats(-180, 180),
)
def test_a_circle_holds_its_places(offsets: list[tuple[float, float]], lat: float, lon: float) -> None:
    lats = np.array([lat + y for y, _ in offsets])
    lons = np.array([(lon + x + 180) % 360 - 180 for _, x in offsets])
    middle_lat, middle_lon, radius_m = circle_around(lats, lons)
    away_m = GEOD.inv(np.full(len(lats), middle_lon), np.full(len(lats), middle_lat), lons, lats)[2]
    assert away_m.max() <= radius_m + 1e-3
    assert radius_m <= 1.02 * max(GEOD.inv(lons[0], lats[0], x, y)[2] for x, y in zip(lons, lats, strict=True)) * 2 + 1e-3
