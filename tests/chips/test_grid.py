"""The pixel grid, against rasterio's windows and transforms, pyproj and shapely."""

import doctest

import numpy as np
import pytest
import rasterio.transform
import rasterio.windows
from hypothesis import given
from hypothesis import strategies as st
from pyproj import CRS, Transformer
from rasterio.transform import from_origin
from shapely.geometry import shape

from s2chips_core.chips import grid
from s2chips_core.chips.grid import (
    Window,
    chip_window,
    coarse_window,
    footprint,
    grid_shift_px,
    pixel_at,
    shift_window,
    utm_xy,
    window_transform,
)

pytestmark = pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning")  # rasterio's own use of affine

TILE_PX = 10980
ULX, ULY = 600000.0, 6300000.0
EDGES = [-300, -129, -128, -127, -1, 0, 1, 127, 128, 129, 5000, 5001, 10851, 10852, 10853, 10978, 10979, 10980, 11200]
near_edges = st.sampled_from(EDGES) | st.integers(-400, TILE_PX + 400)
sizes = st.sampled_from([32, 36, 64, 100, 256, 512])


@given(near_edges, near_edges, st.floats(0, 9.999), st.floats(0.001, 10))
def test_pixel_is_rasterios(col: int, row: int, right_m: float, up_m: float) -> None:
    x, y = ULX + 10 * col + right_m, ULY - 10 * (row + 1) + up_m
    expected_row, expected_col = rasterio.transform.rowcol(from_origin(ULX, ULY, 10, 10), x, y)
    got_col, got_row = pixel_at(x, y, ULX, ULY)
    assert (int(got_col), int(got_row)) == (expected_col, expected_row)


def test_left_and_upper_edges_belong_to_the_pixel() -> None:
    cols, rows = pixel_at([ULX, ULX - 0.001, ULX + 10], [ULY, ULY + 0.001, ULY - 10], ULX, ULY)
    assert cols.tolist() == [0, -1, 1]
    assert rows.tolist() == [0, -1, 1]


@given(near_edges, near_edges, sizes)
def test_window_and_transform_are_rasterios(col: int, row: int, size: int) -> None:
    window = chip_window(col, row, size)
    assert (row - window.row_off, col - window.col_off) == (size // 2, size // 2)
    theirs = rasterio.windows.Window(window.col_off, window.row_off, window.cols, window.rows)
    expected = rasterio.windows.transform(theirs, from_origin(ULX, ULY, 10, 10))
    assert window_transform(window, ULX, ULY) == tuple(expected)[:6]


@given(near_edges, near_edges, sizes, st.integers(0, 3))
def test_the_coarse_window_is_the_least_that_covers_the_ground(col: int, row: int, size: int, margin: int) -> None:
    window = chip_window(col, row, size)
    coarse = coarse_window(window, margin)
    inner = rasterio.windows.Window(
        coarse.window.col_off + margin,
        coarse.window.row_off + margin,
        coarse.window.cols - 2 * margin,
        coarse.window.rows - 2 * margin,
    )
    fine_bounds = rasterio.windows.bounds(
        rasterio.windows.Window(window.col_off, window.row_off, size, size), from_origin(ULX, ULY, 10, 10)
    )
    expected = rasterio.windows.from_bounds(*fine_bounds, from_origin(ULX, ULY, 20, 20))
    assert inner.col_off == np.floor(expected.col_off)
    assert inner.row_off == np.floor(expected.row_off)
    assert inner.col_off + inner.width == np.ceil(expected.col_off + expected.width)
    assert inner.row_off + inner.height == np.ceil(expected.row_off + expected.height)
    assert coarse.col_phase == 2 * (expected.col_off % 1)
    assert coarse.row_phase == 2 * (expected.row_off % 1)


@given(near_edges, near_edges, st.integers(-50, 50), st.integers(-50, 50))
def test_a_shifted_window_lies_on_the_same_ground(col: int, row: int, right: int, down: int) -> None:
    window = chip_window(col, row, 64)
    shift = grid_shift_px(ULX + 10 * right, ULY - 10 * down, ULX, ULY)
    assert shift == (right, down)
    moved = shift_window(window, *shift)
    assert window_transform(moved, ULX + 10 * right, ULY - 10 * down) == window_transform(window, ULX, ULY)


def test_grids_that_do_not_coincide() -> None:
    assert grid_shift_px(ULX + 5, ULY, ULX, ULY) is None
    assert grid_shift_px(ULX, ULY + 0.01, ULX, ULY) is None


@pytest.mark.parametrize(("lon", "lat", "epsg"), [(10.6, 56.1, 32632), (-5.43, 36.1, 32630), (179.99, -17.0, 32760)])
def test_utm_xy_is_vectorised_and_lon_lat_order(lon: float, lat: float, epsg: int) -> None:
    x, y = utm_xy([[lon, lon]], [[lat, lat]], epsg)
    assert x.shape == (1, 2)
    expected = Transformer.from_crs(CRS.from_epsg(4326), CRS.from_epsg(epsg)).transform(lat, lon)
    assert (x[0, 0], y[0, 1]) == pytest.approx(expected, abs=1e-6)


@given(st.integers(0, 59), st.booleans(), st.integers(0, TILE_PX), st.integers(0, TILE_PX), st.integers(1, 8))
def test_footprint_is_the_windows_ground(zone: int, south: bool, col: int, row: int, band: int) -> None:
    epsg = (32700 if south else 32600) + zone + 1
    ulx, uly = 499980.0, 1_000_020.0 * band
    window = chip_window(col, row, 256)
    transform = window_transform(window, ulx, uly)
    geometry = footprint(window, transform, epsg)
    assert geometry["type"] == "Polygon"
    ring = geometry["coordinates"][0]
    assert len(ring) == 5
    assert ring[0] == ring[-1]
    polygon = shape(geometry)
    assert polygon.exterior.is_ccw
    x, y = utm_xy(*np.transpose(ring[:4]), epsg)
    left, bottom, right, top = rasterio.windows.bounds(
        rasterio.windows.Window(window.col_off, window.row_off, 256, 256), from_origin(ulx, uly, 10, 10)
    )
    assert {(round(a, 3), round(b, 3)) for a, b in zip(x, y, strict=True)} == {
        (left, top),
        (left, bottom),
        (right, bottom),
        (right, top),
    }


@given(
    st.integers(1, 60),
    st.booleans(),
    st.sampled_from([-3.0, -0.001, 0.0, 0.001, 3.0, 6.0, 5.999, 6.001, 9.0]),
    st.sampled_from([-79.9, -56.0, -0.0001, 0.0, 0.0001, 56.0, 63.9, 72.0, 83.9]),
)
def test_zone_edges_and_both_hemispheres_are_pyprojs(zone: int, south: bool, from_edge_deg: float, lat: float) -> None:
    """In the zone of the scene, also beyond its edge, over the equator and at the ends of the grid."""
    epsg = (32700 if south else 32600) + zone
    lon = (zone * 6.0 - 186.0 + from_edge_deg + 180.0) % 360.0 - 180.0
    x, y = utm_xy(lon, lat, epsg)
    exact = Transformer.from_crs(CRS.from_epsg(4326), CRS.from_epsg(epsg)).transform(lat, lon)
    assert (float(x), float(y)) == pytest.approx(exact, abs=1e-3)
    lon_again, lat_again = Transformer.from_crs(CRS.from_epsg(epsg), CRS.from_epsg(4326), always_xy=True).transform(x, y)
    assert (lon_again - lon + 180.0) % 360.0 - 180.0 == pytest.approx(0.0, abs=1e-8)
    assert lat_again == pytest.approx(lat, abs=1e-8)


@pytest.mark.parametrize("epsg", [32701, 32760])
def test_footprint_across_the_antimeridian(epsg: int) -> None:
    x, y = utm_xy(180.0, -17.0, epsg)
    ulx, uly = float(np.floor(x / 10) * 10), float(np.ceil(y / 10) * 10)
    window = chip_window(0, 0, 256)
    geometry = footprint(window, window_transform(window, ulx, uly), epsg)
    assert geometry["type"] == "MultiPolygon"
    parts = shape(geometry)
    assert parts.is_valid
    assert all(part.exterior.is_ccw for part in parts.geoms)
    (east, west) = sorted(parts.geoms, key=lambda p: -p.centroid.x)
    assert east.bounds[2] == 180.0
    assert west.bounds[0] == -180.0
    assert 179.9 < east.bounds[0] < 180.0
    assert -180.0 < west.bounds[2] < -179.9
    degree_m2 = 111_320 * np.cos(np.radians(17)) * 110_680
    assert parts.area * degree_m2 == pytest.approx(2560**2, rel=0.01)


def test_a_window_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="expected at least 1"):
        Window(row_off=0, col_off=0, rows=0, cols=1)


def test_a_point_beyond_the_projection_is_outside_every_raster() -> None:
    x, y = utm_xy([100.0, 10.0], [0.0, 90.0], 32632)
    cols, rows = pixel_at([*x, np.nan, np.inf, -np.inf], [*y, 0.0, np.inf, np.nan], ULX, ULY)
    assert not any(0 <= col < TILE_PX and 0 <= row < TILE_PX for col, row in zip(cols, rows, strict=True))


def test_docstrings() -> None:
    assert doctest.testmod(grid).failed == 0
