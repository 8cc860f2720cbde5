"""Swaths as GeoJSON: what RFC 7946 asks for, and back."""

import json
from datetime import UTC, datetime, timedelta

import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from s2chips_core.errors import InputError
from s2chips_core.overpasses.plan import Swath
from s2chips_core.overpasses.swath_geojson import DECIMALS, format_swaths, parse_swaths

START = datetime(2025, 2, 24, 11, 19, 2, 648_000, tzinfo=UTC)
CLOCKWISE = shapely.Polygon([(-6, 35), (-5.5, 37), (-2.3, 36.4), (-2.9, 34.4)])
ACROSS = shapely.MultiPolygon([shapely.box(178.5, 60, 180, 62), shapely.box(-180, 60, -178, 62)])


def swath(minutes: float = 0, geometry: shapely.Geometry = CLOCKWISE, **more: object) -> Swath:
    start = START + timedelta(minutes=minutes)
    fields = {
        "satellite": "S2B",
        "relative_orbit": 137,
        "absolute_orbit": None,
        "start": start,
        "stop": start + timedelta(seconds=35.5),
        "geometry": geometry,
        "imaging": "planned",
        "source": "acquisition_plan",
        **more,
    }
    return Swath(**fields)


def test_a_feature_is_what_the_standard_asks_for() -> None:
    tree = json.loads(format_swaths([swath(), swath(100, ACROSS)]))
    assert tree["type"] == "FeatureCollection"
    first, second = tree["features"]
    assert first["type"] == "Feature"
    assert first["properties"] == {
        "satellite": "S2B",
        "relative_orbit": 137,
        "absolute_orbit": None,
        "start": "2025-02-24T11:19:02.648Z",
        "stop": "2025-02-24T11:19:38.148Z",
        "imaging": "planned",
        "source": "acquisition_plan",
    }
    [ring] = first["geometry"]["coordinates"]
    assert ring[0] == ring[-1]
    assert shapely.LinearRing(ring).is_ccw
    assert second["geometry"]["type"] == "MultiPolygon"
    assert all(shapely.LinearRing(part[0]).is_ccw for part in second["geometry"]["coordinates"])


def test_order_and_bytes_do_not_depend_on_how_they_come() -> None:
    swaths = [swath(200), swath(0), swath(0, satellite="S2A"), swath(100, source="tle")]
    assert format_swaths(swaths) == format_swaths(swaths[::-1])
    assert [(s.start, s.satellite) for s in parse_swaths(format_swaths(swaths), "x")] == [
        (START, "S2A"),
        (START, "S2B"),
        (START + timedelta(minutes=100), "S2B"),
        (START + timedelta(minutes=200), "S2B"),
    ]


def test_no_swaths_are_a_collection_all_the_same() -> None:
    assert json.loads(format_swaths([])) == {"type": "FeatureCollection", "features": []}
    assert parse_swaths(format_swaths([]), "x") == ()


@given(
    west=st.floats(-180, 170),
    south=st.floats(-83, 80),
    milliseconds=st.integers(0, 10**12),
    orbits=st.tuples(st.none() | st.integers(1, 143), st.none() | st.integers(0, 10**6)),
)
def test_swaths_come_back(west: float, south: float, milliseconds: int, orbits: tuple[int | None, int | None]) -> None:
    start = datetime(2015, 6, 23, tzinfo=UTC) + timedelta(milliseconds=milliseconds)
    one = swath(
        geometry=shapely.box(west, south, west + 3, south + 2),
        start=start,
        stop=start + timedelta(milliseconds=milliseconds % 10**6),
        relative_orbit=orbits[0],
        absolute_orbit=orbits[1],
    )
    [back] = parse_swaths(format_swaths([one]), "x")
    for field in ("satellite", "relative_orbit", "absolute_orbit", "start", "stop", "imaging", "source"):
        assert getattr(back, field) == getattr(one, field)
    assert back.start.utcoffset() == timedelta(0)
    assert shapely.hausdorff_distance(back.geometry, one.geometry) <= 1.5 * 10**-DECIMALS


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b'{"features": 1}',
        b'{"features": [{"properties": {}, "geometry": null}]}',
        format_swaths([swath()]).replace(b"2025-02-24T11:19:02.648Z", b"noon"),
        format_swaths([swath()]).replace(b'"Polygon"', b'"Pentagon"'),
    ],
)
def test_anything_else_is_refused(data: bytes) -> None:
    with pytest.raises(InputError, match="swaths_20250224"):
        parse_swaths(data, "plan/swaths_20250224.geojson")
