"""The frame of the picture, against pyproj's Web Mercator and distances on the ellipsoid."""

import math

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Geod, Transformer

from s2chips_core.overpasses.map_view import MapView, fit_view
from s2chips_core.overpasses.mercator import RADIUS_KM
from s2chips_core.overpasses.tile_shapes import tile_outlines

TO_WEB_MERCATOR = Transformer.from_crs(4326, 3857, always_xy=True)
WIDTH_PX = 900.0


def view_of(tiles: list[str], least_km: float = 330.0) -> MapView:
    places = shapely.get_coordinates(tile_outlines(tiles))
    return fit_view(places[:, 0], places[:, 1], width_px=WIDTH_PX, least_km=least_km)


def test_a_tiles_corner_is_where_mercator_puts_it() -> None:
    view = view_of(["30STF"])
    drawn = view.draw(tile_outlines(["30STF"]), 0.0)
    lon, lat = shapely.get_coordinates(tile_outlines(["30STF"]))[0]  # the upper left corner
    x_m, y_m = TO_WEB_MERCATOR.transform(lon - view.lon0_deg, lat)
    x = x_m / 1000 / view.km_per_px + WIDTH_PX / 2
    y = (-y_m / 1000 - view.top_km) / view.km_per_px
    corners = shapely.get_coordinates(drawn)
    assert np.hypot(*(corners - (x, y)).T).min() < 0.05
    assert view.place_px(np.array([lon]), np.array([lat])) == (pytest.approx(x), pytest.approx(y))
    north, south = shapely.bounds(drawn)[[1, 3]]
    assert north < south, "north is up"


@given(st.floats(-180.0, 180.0), st.floats(-80.0, 80.0), st.floats(0.1, 100.0), st.floats(0.1, 30.0))
def test_every_place_is_in_the_frame(lon: float, lat: float, wide_deg: float, high_deg: float) -> None:
    lons = (lon + np.array([0.0, wide_deg, wide_deg / 2]) + 180.0) % 360.0 - 180.0
    lats = np.clip(lat + np.array([0.0, high_deg, -high_deg]), -84.0, 84.0)
    view = fit_view(lons, lats, width_px=WIDTH_PX, least_km=330.0)
    x, y = view.place_px(lons, lats)
    assert (x >= 0).all()
    assert (x <= WIDTH_PX).all()
    assert (y >= 0).all()
    assert (y <= view.height_px).all()
    assert 0.49 * WIDTH_PX < view.height_px < 0.87 * WIDTH_PX
    # Not by showing too much: the places fill the frame across or up and down, unless the frame is as small as it may be.
    ground_km = WIDTH_PX * view.km_per_px * math.cos(math.radians(float(lats.min() + lats.max()) / 2))
    assert np.ptp(x) > 0.5 * WIDTH_PX or np.ptp(y) > 0.5 * view.height_px or ground_km < 1500


def test_a_small_place_has_its_surroundings() -> None:
    view = view_of(["30STF"], least_km=620.0)
    south, north = view.lat_range_deg
    lat = (south + north) / 2
    across_m = Geod(ellps="WGS84").inv(view.lon0_deg - view.half_width_deg, lat, view.lon0_deg + view.half_width_deg, lat)[2]
    assert across_m / 1000 == pytest.approx(620, rel=0.01)


def test_both_sides_of_180_degrees_are_one_piece() -> None:
    """As a plan cuts a swath (RFC 7946), and as a source may leave it uncut."""
    uncut = shapely.Polygon([(179, -20), (-178, -20), (-177, -15), (-180 + 360 - 0.5, -15)])
    halves = shapely.MultiPolygon([shapely.box(178, -20, 180, -15), shapely.box(-180, -20, -177, -15)])
    view = view_of(["01KAB", "60KXG"])
    for geometry, area in ((halves, 5.0 * 5.0), (uncut, None)):
        drawn = view.draw([geometry], 0.0)
        assert len(shapely.get_parts(drawn)) == 1
        assert not shapely.get_parts(drawn)[0].interiors
        if area is not None:
            px_per_deg = math.radians(1) * RADIUS_KM / view.km_per_px
            assert drawn.bounds[2] - drawn.bounds[0] <= 5 * px_per_deg + 0.1


def test_what_is_out_of_sight_is_not_drawn() -> None:
    view = view_of(["30STF"])
    assert view.draw([shapely.box(100, 30, 110, 40)], 0.2).is_empty
    assert view.draw([], 0.2).is_empty
    assert view.draw([shapely.LineString([(-6, 36), (-5, 37)])], 0.2).is_empty
    everything = view.draw([shapely.box(-180, -85, 180, 85)], 0.2)
    assert everything.contains(shapely.box(0, 0, view.width_px, view.height_px))
    assert everything.area < 1.2 * view.width_px * view.height_px, "cut to the frame"


def test_the_whole_earth_has_greenwich_in_the_middle() -> None:
    lons, lats = np.linspace(-179.0, 179.0, 40), np.linspace(-78.0, 83.0, 40)
    view = fit_view(lons, lats, width_px=WIDTH_PX, least_km=330.0)
    assert view.lon0_deg == 0.0
    assert view.half_width_deg == pytest.approx(180.0)
    south, north = view.lat_range_deg
    assert -85.01 < south < -78.0
    assert 83.0 < north < 85.01
    across = view.draw([shapely.box(-180, 0, 180, 10)], 0.1)
    assert shapely.bounds(across)[[0, 2]] == pytest.approx([0, WIDTH_PX])
    assert view.scale_bar(110) is None


def test_degrees_stand_where_they_are() -> None:
    view = view_of(["01KAB", "60KXG"])
    meridians = {label: x for x, label in view.meridians()}
    assert "180°" in meridians
    assert {label[-1] for label in meridians} == {"°", "E", "W"}
    x, _ = view.place_px(np.array([-179.0, 179.0]), np.array([0.0, 0.0]))
    assert meridians.get("179° W", x[0]) == pytest.approx(x[0])
    assert meridians.get("179° E", x[1]) == pytest.approx(x[1])
    assert list(meridians.values()) == sorted(meridians.values())
    for y, label in view.parallels():
        assert label.endswith("° S")
        _, there = view.place_px(np.array([180.0]), np.array([-float(label.split("°")[0])]))
        assert y == pytest.approx(there[0])


def test_the_scale_bar_is_as_long_as_it_says() -> None:
    view = view_of(["30STF"])
    bar = view.scale_bar(110)
    assert bar is not None
    px, km = bar
    assert px <= 110
    south, north = view.lat_range_deg
    lat = (south + north) / 2
    degrees = px * view.km_per_px / RADIUS_KM / math.radians(1)
    assert Geod(ellps="WGS84").inv(0, lat, degrees, lat)[2] / 1000 == pytest.approx(km, rel=0.005)


def test_no_places_at_all_still_have_a_frame() -> None:
    view = fit_view(np.array([]), np.array([]), width_px=WIDTH_PX, least_km=330.0)
    assert view.lon0_deg == 0.0
    assert view.height_px > 0
