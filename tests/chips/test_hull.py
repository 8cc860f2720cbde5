"""Hulls as boxes: against pyproj's geodesics and its own convergence and scale of the grid."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyproj
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from s2chips_core.ais.fixes import Floats
from s2chips_core.chips.grid import utm_xy
from s2chips_core.chips.hull import (
    COURSE,
    COURSE_IS_DIRECTION_KN,
    DIMENSIONS,
    HEADING,
    LENGTH_WIDTH,
    box_corners_m,
    choose_direction,
    choose_extents,
    in_pixels,
)

NAN = float("nan")
GEOD = pyproj.Geod(ellps="WGS84")
ONE_SHIP = (20.0, 80.0, 6.0, 14.0)
"""A to D, metres: the antenna is before and to port of the middle."""


def floats(*values: float) -> Floats:
    return np.array(values, dtype=np.float64)


def corners(lon: float, lat: float, epsg: int, direction_deg: float, extents: tuple[float, ...] = ONE_SHIP) -> Any:
    return box_corners_m(floats(lon), floats(lat), epsg, floats(direction_deg), np.array([extents]))[0]


@pytest.mark.parametrize(
    ("heading", "cog", "sog", "direction", "source"),
    [
        (10.0, 200.0, 15.0, 10.0, HEADING),
        (0.0, NAN, NAN, 0.0, HEADING),
        (NAN, 200.0, 15.0, 200.0, COURSE),
        (NAN, 200.0, COURSE_IS_DIRECTION_KN, 200.0, COURSE),
        (NAN, 200.0, COURSE_IS_DIRECTION_KN - 0.1, NAN, None),
        (NAN, 200.0, 1.5, 200.0, COURSE),
        (NAN, 200.0, 1.4, NAN, None),
        (NAN, 200.0, NAN, NAN, None),
        (NAN, NAN, 15.0, NAN, None),
    ],
)
def test_heading_goes_before_course_and_a_ship_that_lies_still_has_no_course(
    heading: float, cog: float, sog: float, direction: float, source: str | None
) -> None:
    found, sources = choose_direction(floats(heading), floats(cog), floats(sog))
    np.testing.assert_equal(found, [direction])
    assert sources.tolist() == [source]


@pytest.mark.shared_data
def test_from_that_speed_on_real_ships_lie_along_their_course(shared_data: Path) -> None:
    fixes = pd.read_parquet(shared_data / "ais" / "positions_dma_20260426.parquet").dropna(subset=["sog", "cog", "heading"])
    far = np.abs((fixes["heading"] - fixes["cog"] + 180) % 360 - 180) > 45
    shares = far.groupby(pd.cut(fixes["sog"].round(1), [0.5, 1.0, 1.5, 2.0, 102.3], right=False), observed=True).mean()
    counts = far.groupby(pd.cut(fixes["sog"].round(1), [0.5, 1.0, 1.5, 2.0, 102.3], right=False), observed=True).size()
    assert counts.tolist() == [85, 78, 132, 8728]
    assert shares.tolist() == pytest.approx([0.87, 0.71, 0.008, 0.001], abs=0.005)
    assert COURSE_IS_DIRECTION_KN == 1.5


@pytest.mark.parametrize(
    ("length", "width", "dimensions", "extents", "source"),
    [
        (100.0, 20.0, ONE_SHIP, ONE_SHIP, DIMENSIONS),
        (NAN, NAN, ONE_SHIP, ONE_SHIP, DIMENSIONS),
        # The antenna at the very bow, and at the port rail: M.1371 knows only A = C = 0 as "not known".
        (NAN, NAN, (0.0, 100.0, 6.0, 14.0), (0.0, 100.0, 6.0, 14.0), DIMENSIONS),
        (NAN, NAN, (20.0, 80.0, 0.0, 20.0), (20.0, 80.0, 0.0, 20.0), DIMENSIONS),
        (NAN, NAN, (0.0, 100.0, 0.0, 20.0), (50.0, 50.0, 10.0, 10.0), LENGTH_WIDTH),
        (100.0, 20.0, (0.0, 0.0, 0.0, 0.0), (50.0, 50.0, 10.0, 10.0), LENGTH_WIDTH),
        (100.0, 20.0, (NAN,) * 4, (50.0, 50.0, 10.0, 10.0), LENGTH_WIDTH),
        (100.0, 20.0, (20.0, 80.0, NAN, NAN), (50.0, 50.0, 10.0, 10.0), LENGTH_WIDTH),
        (100.0, NAN, (20.0, 80.0, 0.0, 0.0), (NAN,) * 4, None),
        (NAN, 20.0, (NAN,) * 4, (NAN,) * 4, None),
        (0.0, 20.0, (NAN,) * 4, (NAN,) * 4, None),
        # A craft of 1 m x 1 m is one.
        (NAN, NAN, (1.0, 0.0, 0.0, 1.0), (1.0, 0.0, 0.0, 1.0), DIMENSIONS),
    ],
)
def test_dimensions_go_before_length_and_width(
    length: float, width: float, dimensions: tuple[float, ...], extents: tuple[float, ...], source: str | None
) -> None:
    found, sources = choose_extents(floats(length), floats(width), np.array([dimensions]))
    np.testing.assert_equal(found[0], extents)
    assert sources.tolist() == [source]


@given(
    zone=st.integers(1, 60),
    off_deg=st.floats(-3.4, 3.4),
    lat=st.floats(-75, 80),
    direction=st.floats(0, 360, exclude_max=True),
)
def test_corners_are_where_geodesics_lead(zone: int, off_deg: float, lat: float, direction: float) -> None:
    """Each corner is a geodesic from the antenna on the ellipsoid, put on the grid, to the centimetre or two."""
    epsg = (32600 if lat >= 0 else 32700) + zone
    lon = zone * 6.0 - 183.0 + off_deg
    a, b, c, d = ONE_SHIP
    expected = []
    for ahead, aside in ((a, -c), (a, d), (-b, d), (-b, -c)):
        azimuth = direction + np.degrees(np.arctan2(aside, ahead))
        to_lon, to_lat, _ = GEOD.fwd(lon, lat, azimuth, np.hypot(ahead, aside))
        expected.append(np.array(utm_xy(to_lon, to_lat, epsg)))
    np.testing.assert_allclose(corners(lon, lat, epsg, direction), np.array(expected), atol=0.02)


@pytest.mark.parametrize(("lon", "lat", "epsg"), [(5.9, 60.0, 32632), (11.99, 70.0, 32632), (-59.9, -45.0, 32721)])
def test_a_ship_that_heads_north_is_turned_by_the_convergence_of_the_grid(lon: float, lat: float, epsg: int) -> None:
    factors = pyproj.Proj(epsg).get_factors(lon, lat)
    assert abs(factors.meridian_convergence) > 2.0, "else nothing is shown"
    port_bow, _, _, port_stern = corners(lon, lat, epsg, 0.0)
    east, north = port_bow - port_stern
    # True north lies counter-clockwise of grid north by the convergence.
    assert np.degrees(np.arctan2(east, north)) == pytest.approx(-factors.meridian_convergence, abs=0.01)
    assert np.hypot(east, north) == pytest.approx(100.0 * factors.meridional_scale, abs=0.001)


def test_the_bow_comes_first_and_port_is_left() -> None:
    lon, lat = 9.0, 56.0  # on the central meridian: grid north is true north
    x, y = utm_xy(lon, lat, 32632)
    offsets = corners(lon, lat, 32632, 90.0) - [float(x), float(y)]
    np.testing.assert_allclose(offsets, [(20, 6), (20, -14), (-80, -14), (-80, 6)], rtol=1e-3)


def test_what_is_not_known_has_no_corners() -> None:
    lon, lat = floats(9, 9, 9), floats(56, 56, 56)
    extents = np.array([ONE_SHIP, (NAN,) * 4, ONE_SHIP])
    found = box_corners_m(lon, lat, 32632, floats(NAN, 45, 45), extents)
    assert np.isfinite(found).all(axis=(1, 2)).tolist() == [False, False, True]


def test_a_box_has_its_size_in_pixels() -> None:
    transform = (10.0, 0.0, 499_000.0, 0.0, -10.0, 6_207_000.0)
    box = shapely.Polygon(in_pixels(corners(9.0, 56.0, 32632, 33.0), transform))
    assert box.is_valid
    assert box.area * 100 == pytest.approx(100 * 20, rel=2e-3)
    sides = sorted(np.hypot(*np.diff(np.array(box.exterior.coords), axis=0).T)[:2] * 10)
    np.testing.assert_allclose(sides, [20, 100], rtol=1e-3)


def test_the_middle_of_the_ships_pixel_is_half_a_pixel_on() -> None:
    transform = (10.0, 0.0, 500_000.0, 0.0, -10.0, 6_000_000.0)
    assert in_pixels(np.array([501_285.0, 5_998_715.0]), transform).tolist() == [128.5, 128.5]
