import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from pyproj import Geod

from s2chips_core.sandbox.passes import (
    HALF_SWATH_M,
    PASSES,
    TILES,
    across_track_m,
    fleet_of_pass,
    sensing_time,
    ship_places,
    sun_position,
    swath_edge_m,
    transform,
)


def test_the_sun_stands_where_real_items_say(shared_data: Path) -> None:
    items = json.loads((shared_data / "stac/earth-search-v1/itemcollection_c1_13TDE_2024_ten_items.json").read_text())
    for item in items["features"]:
        said = item["properties"]
        middle = said["proj:centroid"]
        time = datetime.fromisoformat(said["datetime"])
        azimuth, elevation = sun_position(time, middle["lon"], middle["lat"])
        # The item gives the mean over the tile, which is not quite its middle.
        assert azimuth == pytest.approx(said["view:sun_azimuth"], abs=1.0)
        assert elevation == pytest.approx(said["view:sun_elevation"], abs=0.5)


def test_tiles_to_the_east_and_north_are_sensed_earlier() -> None:
    for over in PASSES:
        times = [sensing_time(over, tile) for tile in TILES]
        assert times == sorted(times, reverse=True)  # TILES go from west to east
        assert (sensing_time(over, "30STE") - sensing_time(over, "30STF")).total_seconds() == pytest.approx(14.4, abs=0.5)
        assert all(time.microsecond % 1000 == 0 for time in times)


def test_the_two_days_have_the_same_ground_track() -> None:
    first, second = PASSES
    at = np.array([second.nadir_x_m]), np.array([second.nadir_y_m])
    assert abs(across_track_m(first, *at)[0]) < 2_000
    # One more cycle and a half of 143 orbits in 10 days lies between the two satellites' passes.
    assert first.relative_orbit == second.relative_orbit == 137


def test_the_edge_puts_two_ships_just_inside() -> None:
    over = PASSES[0]
    east = np.array([np.cos(np.radians(15.8)), -np.sin(np.radians(15.8))])
    nadir = np.array([over.nadir_x_m, over.nadir_y_m])
    across = np.array([150_000.0, 150_300.0, 170_000.0, 120_000.0])
    edge = swath_edge_m(over, nadir + across[:, None] * east)
    inside = edge - across
    assert ((inside > 200) & (inside < 1_000)).sum() == 2


def test_without_ships_the_edge_is_the_real_one() -> None:
    assert swath_edge_m(PASSES[0], np.empty((0, 2))) == HALF_SWATH_M


def test_ships_are_where_the_geodesic_takes_them() -> None:
    fleet = fleet_of_pass(PASSES[0], ships_per_tile=10, seed=3)
    later = datetime(2025, 10, 12, 11, 22, tzinfo=UTC)
    xy = ship_places(fleet, later, 32630)
    lon, lat = transform(32630, 4326, xy[:, 0], xy[:, 1])
    for ship, x, y in zip(fleet, lon, lat, strict=True):
        seconds = (later - ship.reference_time).total_seconds()
        _, _, gone_m = Geod(ellps="WGS84").inv(ship.lon, ship.lat, x, y)
        assert gone_m == pytest.approx(0 if ship.moored else ship.sog_kn * 1852 / 3600 * seconds, abs=0.01)
