import dataclasses
from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS, Geod, Transformer
from shapely.geometry import shape

from s2chips_core.overpasses.tile_grid import TILE_SIDE_M, tile_corner
from s2chips_core.scenes.footprints import Footprint
from s2chips_core.scenes.scene import Scene
from tests.scenes.samples import in_tile, lonlat, scene

TILES = ["32VPH", "30STF", "01WCP", "60WWT", "01CCV", "33XWK", "19FEV", "31NAA"]
ACROSS = "01WCP"  # its western part is beyond the antimeridian


def holds(footprint: Footprint, lon: float, lat: float) -> bool:
    return bool(footprint.holds(*footprint.project(np.array([lon]), np.array([lat])))[0])


@pytest.mark.parametrize("tile", TILES)
@settings(deadline=None, max_examples=40)
@given(east_m=st.floats(-20_000, 130_000), south_m=st.floats(-20_000, 130_000))
def test_a_place_is_in_it_as_in_another_projection(tile: str, east_m: float, south_m: float) -> None:
    given_scene = scene(tile)
    lon, lat = in_tile(tile, east_m, south_m)
    middle = in_tile(tile, TILE_SIDE_M / 2, TILE_SIDE_M / 2)
    equal_area = CRS.from_proj4(f"+proj=laea +lon_0={middle[0]} +lat_0={middle[1]} +datum=WGS84")
    plane = Transformer.from_crs(4326, equal_area, always_xy=True)
    corners = [plane.transform(*corner) for corner in given_scene.footprint["coordinates"][0]]
    polygon, place = shapely.Polygon(corners), shapely.Point(*plane.transform(lon, lat))
    edge_m = shapely.distance(polygon.exterior, place)
    if edge_m < 300:  # straight in one projection is not straight in the other
        return
    footprint = Footprint.of(given_scene)
    assert holds(footprint, lon, lat) == polygon.contains(place)
    x, y = footprint.project(np.array([lon]), np.array([lat]))
    assert footprint.edge_distance_m(x, y)[0] == pytest.approx(edge_m, rel=0.01, abs=300)


def test_the_edges_are_straight_in_utm() -> None:
    """Straight in longitude and latitude, the middle of the northern edge would lie 1.5 km farther south at 81 N."""
    footprint = Footprint.of(scene("33XWK"))
    assert holds(footprint, *in_tile("33XWK", TILE_SIDE_M / 2, 1))
    assert not holds(footprint, *in_tile("33XWK", TILE_SIDE_M / 2, -1))


def split_at_the_antimeridian(given_scene: Scene) -> dict[str, Any]:
    ring = np.array(given_scene.footprint["coordinates"][0])
    ring[:, 0] = np.where(ring[:, 0] < 0, ring[:, 0] + 360, ring[:, 0])
    whole = shapely.Polygon(ring)
    west = shapely.intersection(whole, shapely.box(170, -90, 180, 90))
    east = shapely.transform(shapely.intersection(whole, shapely.box(180, -90, 190, 90)), lambda c: c - [360, 0])
    return dict(shapely.geometry.mapping(shapely.MultiPolygon([west, east])))


def test_the_antimeridian_is_no_special_case() -> None:
    jumping = scene(ACROSS)
    longitudes = np.array(jumping.footprint["coordinates"][0])[:, 0]
    assert longitudes.min() < -178 < 178 < longitudes.max()
    split = dataclasses.replace(jumping, footprint=split_at_the_antimeridian(jumping))
    unwrapped_ring = [[lon - 360 if lon > 0 else lon, lat] for lon, lat in jumping.footprint["coordinates"][0]]
    unwrapped = dataclasses.replace(jumping, footprint={"type": "Polygon", "coordinates": [unwrapped_ring]})
    whole = Footprint.of(jumping)
    for other in (Footprint.of(split), Footprint.of(unwrapped)):
        # The halves meet where the edge is straight in longitude and latitude.
        assert shapely.symmetric_difference(whole.polygon, other.polygon).area < 0.003 * whole.polygon.area
        assert other.polygon.geom_type == "Polygon"
        for east_m in np.linspace(1_000, TILE_SIDE_M - 1_000, 40):
            lon, lat = in_tile(ACROSS, float(east_m), 50_000)
            assert holds(other, lon, lat)
            assert other.is_near(np.array([lon, lon - 360]), np.array([lat, lat]), np.zeros(2)).all()
        # No edge runs along the antimeridian.
        lon, lat = lonlat(
            whole.epsg,
            *Transformer.from_crs(4326, whole.epsg, always_xy=True).transform(180.0, shape(unwrapped.footprint).centroid.y),
        )
        x, y = other.project(np.array([lon]), np.array([lat]))
        assert other.edge_distance_m(x, y)[0] > 1_000


@pytest.mark.parametrize("tile", TILES)
@settings(deadline=None, max_examples=40)
@given(azimuth=st.floats(0, 360), margin_m=st.floats(0, 120_000), share=st.floats(0, 0.999))
def test_no_place_within_the_margin_is_lost(tile: str, azimuth: float, margin_m: float, share: float) -> None:
    footprint = Footprint.of(scene(tile))
    corner = in_tile(tile, 0, 0) if azimuth > 180 else in_tile(tile, TILE_SIDE_M, TILE_SIDE_M)
    lon, lat, _ = Geod(ellps="WGS84").fwd(*corner, azimuth, margin_m * share)
    assert footprint.is_near(np.array([lon]), np.array([lat]), np.array([margin_m]))[0]


@pytest.mark.parametrize("tile", TILES)
def test_far_places_are_not_near(tile: str) -> None:
    footprint = Footprint.of(scene(tile))
    middle = in_tile(tile, TILE_SIDE_M / 2, TILE_SIDE_M / 2)
    for azimuth in range(0, 360, 15):
        lon, lat, _ = Geod(ellps="WGS84").fwd(*middle, azimuth, 400_000)
        assert not footprint.is_near(np.array([lon]), np.array([lat]), np.array([1_000.0]))[0]


def test_it_ends_with_its_raster() -> None:
    """Footprints of some items reach beyond the pixels."""
    neighbour = scene("32VPH", footprint=scene("32VNH").footprint)
    assert Footprint.of(neighbour).polygon.area == pytest.approx(9_780 * TILE_SIDE_M, rel=0.01)


@settings(deadline=None, max_examples=40)
@given(
    x_cm=st.integers(1_000, 3_999_000), y_cm=st.integers(50, 10_979_950), chip_size_px=st.sampled_from([32, 64, 256, 2048])
)
def test_the_share_of_the_chip_by_counting(x_cm: int, y_cm: int, chip_size_px: int) -> None:
    """A strip 40 km wide: whole pixels on all sides but the data's edge, so the share is a product of two counts."""
    _, ulx_m, uly_m = tile_corner("32VPH")
    strip = Footprint.of(scene(data_width_m=40_000))
    x, y = np.array([ulx_m + x_cm / 100]), np.array([uly_m - y_cm / 100])
    col, row, half = x_cm // 1000, y_cm // 1000, chip_size_px // 2
    cols = min(col + half, 4000) - max(col - half, 0)
    rows = min(row + half, 10980) - max(row - half, 0)
    share = strip.chip_share(x, y, strip.edge_distance_m(x, y), chip_size_px)[0]
    assert share == pytest.approx(rows * cols / chip_size_px**2, abs=1e-3)
