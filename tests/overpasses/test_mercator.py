"""The projection, against pyproj's Web Mercator."""

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Transformer

from s2chips_core.overpasses.mercator import (
    MAX_LAT_DEG,
    RADIUS_KM,
    find_central_meridian_deg,
    latitude_deg,
    mercator_km,
    psi,
    short,
    svg_path,
)

TO_WEB_MERCATOR = Transformer.from_crs(4326, 3857, always_xy=True)


@given(st.floats(-179.9, 179.9), st.floats(-84.0, 84.0))
def test_projection_is_web_mercator(lon: float, lat: float) -> None:
    x, y = mercator_km(np.array([lon]), np.array([lat]), lon0_deg=0.0, lat0_deg=0.0)
    x_m, y_m = TO_WEB_MERCATOR.transform(lon, lat)
    assert x[0] * 1000 == pytest.approx(x_m, abs=1e-3)
    assert -y[0] * 1000 == pytest.approx(y_m, abs=1e-3)
    assert latitude_deg(np.array([y_m / 1000 / RADIUS_KM]))[0] == pytest.approx(lat, abs=1e-9)


def test_beyond_mercator_places_are_held_at_its_edge() -> None:
    assert psi(np.array([90.0]))[0] == psi(np.array([MAX_LAT_DEG]))[0]
    assert np.isfinite(psi(np.array([-90.0, 90.0]))).all()


@given(st.floats(-180.0, 180.0), st.lists(st.floats(-40.0, 40.0), min_size=1, max_size=30))
def test_central_meridian_is_the_middle_of_what_there_is(middle: float, offsets: list[float]) -> None:
    lons = (middle + np.array(offsets) + 180.0) % 360.0 - 180.0
    found = find_central_meridian_deg(lons)
    assert -180.0 <= found < 180.0
    turned = (lons - found + 180.0) % 360.0 - 180.0
    assert np.ptp(turned) == pytest.approx(np.ptp(offsets), abs=1e-6)
    assert turned.min() == pytest.approx(-turned.max(), abs=1e-6)


def test_nothing_has_greenwich_in_the_middle() -> None:
    assert find_central_meridian_deg(np.array([])) == 0.0


def test_paths_have_holes_and_no_needless_digits() -> None:
    outer, hole = [(0, 0), (9.04, 0), (9.04, 9), (0, 9)], [(1, 1), (2, 1), (2, 2.5)]
    d = svg_path(shapely.MultiPolygon([(outer, [hole])]), 1)
    assert d == "M0 0L9 0L9 9L0 9ZM1 1L2 1L2 2.5Z"
    assert svg_path(shapely.LineString([(0, 0), (1, 1)]), 1) == svg_path(shapely.Polygon(), 1) == ""
    assert [short(v, d) for v, d in ((-0.04, 1), (120.0, 0), (1.2345, 3), (float("nan"), 1))] == ["0", "120", "1.234", "0"]
