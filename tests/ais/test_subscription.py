"""What is asked of the service."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s2chips_core.ais.subscription import Subscription, join_areas
from s2chips_core.overpasses.tile_grid import Area, tile_area
from s2chips_core.sandbox.ais_subscription import parse_subscription


def test_corners_are_latitude_first_and_ships_are_texts() -> None:
    asked = Subscription(areas=((-6.5, 35.5, -5.0, 36.5),), message_types=("PositionReport",), mmsi=(2190064,))
    assert json.loads(asked.to_json("a-key")) == {
        "APIKey": "a-key",
        "BoundingBoxes": [[[35.5, -6.5], [36.5, -5.0]]],
        "FilterMessageTypes": ["PositionReport"],
        "FiltersShipMMSI": ["002190064"],
    }


def test_no_ships_no_filter() -> None:
    asked = Subscription(areas=((-6.5, 35.5, -5.0, 36.5),), message_types=("PositionReport",))
    assert "FiltersShipMMSI" not in json.loads(asked.to_json("a-key"))


def test_neighbouring_tiles_are_one_box() -> None:
    tiles = ("30STF", "30SUF", "30STE", "30SUE")
    [box] = join_areas([tile_area(tile, 0.05) for tile in tiles])
    assert box == (
        min(tile_area(tile, 0.05)[0] for tile in tiles),
        min(tile_area(tile, 0.05)[1] for tile in tiles),
        max(tile_area(tile, 0.05)[2] for tile in tiles),
        max(tile_area(tile, 0.05)[3] for tile in tiles),
    )


def test_tiles_far_apart_stay_two_boxes() -> None:
    areas = [tile_area("30STF"), tile_area("32VPH")]
    assert sorted(join_areas(areas)) == sorted(areas)


def test_a_tile_on_the_antimeridian_is_two_boxes() -> None:
    west, south, east, north = tile_area("01KAB", 0.05)
    assert west > east
    assert join_areas([(west, south, east, north)]) == ((-180.0, south, east, north), (west, south, 180.0, north))


def test_a_box_that_ends_on_the_antimeridian_is_one() -> None:
    assert join_areas([(170.0, -1.0, -180.0, 1.0)]) == ((170.0, -1.0, 180.0, 1.0),)


AREAS = st.lists(
    st.tuples(st.integers(-180, 180), st.integers(-90, 89), st.integers(-180, 180), st.integers(1, 20)).map(
        lambda t: (float(t[0]), float(t[1]), float(t[2]), float(min(t[1] + t[3], 90)))
    ),
    min_size=1,
    max_size=12,
)


@given(AREAS, st.integers(-1799, 1799), st.integers(-899, 899))
def test_joined_boxes_hold_what_the_areas_held_and_ask_for_no_more_area(areas: list[Area], lon10: int, lat10: int) -> None:
    areas = [area for area in areas if area[0] != area[2]]
    joined = join_areas(areas)
    lon, lat = lon10 / 10 + 0.05, lat10 / 10 + 0.05

    def holds(area: Area) -> bool:
        west, south, east, north = area
        between = west <= lon <= east if west <= east else lon >= west or lon <= east
        return between and south <= lat <= north

    if any(holds(area) for area in areas):
        assert any(holds(box) for box in joined)
    assert all(west < east for west, _, east, _ in joined)

    def size(area: Area) -> float:
        return ((area[2] - area[0]) % 360.0) * (area[3] - area[1])

    assert sum(map(size, joined)) <= sum(map(size, areas)) + 1e-6


@pytest.mark.parametrize("tile", ["30STF", "01KAB", "60KZB"])
def test_a_strict_service_reads_it(tile: str) -> None:
    asked = Subscription(areas=join_areas([tile_area(tile, 0.05)]), message_types=("PositionReport", "ShipStaticData"))
    read = parse_subscription(json.loads(asked.to_json("k")))
    assert [(west, south, east, north) for south, west, north, east in read.boxes] == list(asked.areas)
    assert read.message_types == {"PositionReport", "ShipStaticData"}
