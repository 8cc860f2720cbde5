"""Outlines across the antimeridian and around a pole."""

import numpy as np
import pytest
import shapely

from s2chips_core.overpasses.antimeridian import cut_polygon


@pytest.mark.parametrize("turn", [-360.0, 0.0, 360.0])
@pytest.mark.parametrize("direction", [1, -1])
def test_a_ring_that_stays_on_one_side_is_itself(turn: float, direction: int) -> None:
    lon, lat = np.array([170.0, 179.0, 179.0, 170.0]), np.array([-10.0, -10.0, 5.0, 5.0])
    got = cut_polygon(lon[::direction] + turn, lat[::direction])
    assert got.geom_type == "Polygon"
    assert got.equals(shapely.box(170.0, -10.0, 179.0, 5.0))
    assert shapely.is_ccw(got.exterior)


@pytest.mark.parametrize(("west", "east"), [(175.0, 190.0), (175.0, -170.0), (-185.0, -170.0)])
def test_a_ring_across_the_antimeridian_is_two(west: float, east: float) -> None:
    got = cut_polygon(np.array([west, east, east, west]), np.array([-10.0, -10.0, 5.0, 5.0]))
    assert got.geom_type == "MultiPolygon"
    assert got.equals(shapely.MultiPolygon([shapely.box(175.0, -10.0, 180.0, 5.0), shapely.box(-180.0, -10.0, -170.0, 5.0)]))
    assert all(shapely.is_ccw(part.exterior) for part in got.geoms)


@pytest.mark.parametrize("lat", [80.0, -80.0])
@pytest.mark.parametrize("start", [0.0, 175.0])
def test_a_ring_around_a_pole_holds_it(lat: float, start: float) -> None:
    lon = (start + np.arange(0.0, 360.0, 30.0) + 180.0) % 360.0 - 180.0
    got = cut_polygon(lon, np.full(12, lat))
    assert got.is_valid
    assert got.area == pytest.approx(360.0 * 10.0)
    assert got.bounds[0] == pytest.approx(-180.0)
    assert got.bounds[2] == pytest.approx(180.0)
    assert got.covers(shapely.Point(12.0, np.copysign(89.9, lat)))
