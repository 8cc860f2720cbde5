"""The pixel grid: where a ship is in a scene, which window its chip is, and the window's footprint on the globe.

Here: pure geometry on the scene's 10 m UTM grid and on the 20 m grid below it. Not here: reading (`reader`), bringing
20 m to 10 m (`resample`). Rows count down, columns to the right, both from 0 at the upper-left corner of the raster;
windows use rasterio's words (`row_off`, `col_off`).
"""

import dataclasses
import functools
import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely
from pyproj import Transformer
from shapely.geometry import MultiPolygon, Polygon, box, mapping
from shapely.geometry.polygon import orient

from s2chips_core.scenes.scene import Asset

PIXEL_M = 10.0
"""Side of a chip's pixel, metres: Sentinel-2's finest grid."""

FloatArray = npt.NDArray[np.float64]
Transform = tuple[float, float, float, float, float, float]
"""a, b, c, d, e, f: x = a col + b row + c, y = d col + e row + f (rasterio's Affine)."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A rectangle of pixels of one raster; it may reach beyond the raster on any side."""

    row_off: int
    """First row."""
    col_off: int
    """First column."""
    rows: int
    """Height, pixels."""
    cols: int
    """Width, pixels."""

    def __post_init__(self) -> None:
        if self.rows <= 0 or self.cols <= 0:
            raise ValueError(f"a window of {self.rows} rows and {self.cols} columns, expected at least 1 and 1")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CoarseWindow:
    """The ground of a 10 m window on the 20 m grid: the 20 m pixels that touch it, and where it begins in the first."""

    window: Window
    """In 20 m pixels, with the margin."""
    row_phase: int
    """10 m rows of the first 20 m row that lie before the window: 0 or 1. The margin is not counted."""
    col_phase: int
    """The same for columns."""
    margin: int
    """20 m pixels added on every side for interpolation."""


@functools.lru_cache(maxsize=128)
def _transformer(epsg: int, inverse: bool) -> Transformer:
    ends = (epsg, 4326) if inverse else (4326, epsg)
    return Transformer.from_crs(*ends, always_xy=True)


def utm_xy(lon: npt.ArrayLike, lat: npt.ArrayLike, epsg: int) -> tuple[FloatArray, FloatArray]:
    """Easting and northing, metres, of WGS 84 positions in degrees; shapes are kept."""
    x, y = _transformer(epsg, False).transform(np.asarray(lon, "float64"), np.asarray(lat, "float64"))
    return np.asarray(x), np.asarray(y)


def lon_lat(x_m: npt.ArrayLike, y_m: npt.ArrayLike, epsg: int) -> tuple[FloatArray, FloatArray]:
    """Longitude and latitude, degrees, of points of a UTM zone: `utm_xy` the other way round."""
    lon, lat = _transformer(epsg, True).transform(np.asarray(x_m, "float64"), np.asarray(y_m, "float64"))
    return np.asarray(lon), np.asarray(lat)


def pixel_at(
    x_m: npt.ArrayLike, y_m: npt.ArrayLike, ulx_m: float, uly_m: float
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Column and row of the 10 m pixel that holds each point; left and upper edges belong to a pixel.

    A point beyond the reach of the projection (not finite) is in a pixel far outside every raster.

    Args:
        x_m, y_m: easting and northing, metres, any shape.
        ulx_m, uly_m: the raster's upper-left corner, metres.
    """
    far = float(1 << 40)
    col = np.floor((np.asarray(x_m, "float64") - ulx_m) / PIXEL_M)
    row = np.floor((uly_m - np.asarray(y_m, "float64")) / PIXEL_M)
    col, row = (np.clip(np.nan_to_num(n, nan=far, posinf=far, neginf=-far), -far, far) for n in (col, row))
    return col.astype("int64"), row.astype("int64")


def chip_window(col: int, row: int, chip_size_px: int) -> Window:
    """The window whose pixel (`chip_size_px` / 2, `chip_size_px` / 2), counted from 0, is the ship's pixel."""
    half = chip_size_px // 2
    return Window(row_off=row - half, col_off=col - half, rows=chip_size_px, cols=chip_size_px)


def window_transform(window: Window, ulx_m: float, uly_m: float) -> Transform:
    """Transform of a 10 m window; its origin is true outside the raster too.

    >>> window_transform(Window(row_off=-1, col_off=2, rows=4, cols=4), 600000.0, 6300000.0)
    (10.0, 0.0, 600020.0, 0.0, -10.0, 6300010.0)
    """
    return (PIXEL_M, 0.0, ulx_m + PIXEL_M * window.col_off, 0.0, -PIXEL_M, uly_m - PIXEL_M * window.row_off)


def shift_window(window: Window, right_px: int, down_px: int) -> Window:
    """The same ground in a raster whose origin lies `right_px` columns and `down_px` rows from the first one's."""
    return dataclasses.replace(window, row_off=window.row_off - down_px, col_off=window.col_off - right_px)


def coarse_window(window: Window, margin: int = 0) -> CoarseWindow:
    """The 20 m pixels below a 10 m window of a raster with the same origin; an odd start begins at half a 20 m pixel."""
    first_row, last_row = window.row_off // 2, (window.row_off + window.rows - 1) // 2
    first_col, last_col = window.col_off // 2, (window.col_off + window.cols - 1) // 2
    return CoarseWindow(
        window=Window(
            row_off=first_row - margin,
            col_off=first_col - margin,
            rows=last_row - first_row + 1 + 2 * margin,
            cols=last_col - first_col + 1 + 2 * margin,
        ),
        row_phase=window.row_off - 2 * first_row,
        col_phase=window.col_off - 2 * first_col,
        margin=margin,
    )


def grid_shift_px(ulx_m: float, uly_m: float, reference_ulx_m: float, reference_uly_m: float) -> tuple[int, int] | None:
    """Columns and rows of 10 m from a reference origin to another one; none when the two grids do not coincide."""
    right, down = (ulx_m - reference_ulx_m) / PIXEL_M, (reference_uly_m - uly_m) / PIXEL_M
    if not (math.isclose(right, round(right), abs_tol=1e-6) and math.isclose(down, round(down), abs_tol=1e-6)):
        return None
    return round(right), round(down)


def footprint(window: Window, transform: Transform, epsg: int) -> dict[str, Any]:
    """GeoJSON geometry of a window: a ring of 5 positions, longitude and latitude, counter-clockwise (RFC 7946, 3.1.6).

    Across the antimeridian it is a MultiPolygon of the two parts (RFC 7946, 3.1.9).
    """
    [found] = footprints([window], [transform], epsg)
    return found


def footprints(windows: Sequence[Window], transforms: Sequence[Transform], epsg: int) -> list[dict[str, Any]]:
    """The footprints of windows of one scene: many at a time cost little more than one."""
    xs, ys = [], []
    for window, (a, _, c, _, e, f) in zip(windows, transforms, strict=True):
        west, east, north, south = c, c + a * window.cols, f, f + e * window.rows
        xs.append((west, west, east, east))
        ys.append((north, south, south, north))
    lon, lat = lon_lat(np.reshape(xs, (-1, 4)), np.reshape(ys, (-1, 4)), epsg)
    return [_ring_footprint(*corners) for corners in zip(lon.tolist(), lat.tolist(), strict=True)]


def _ring_footprint(lon: list[float], lat: list[float]) -> dict[str, Any]:
    """Of four corners, counter-clockwise on the map grid."""
    if max(lon) - min(lon) <= 180.0:
        ring = [[x, y] for x, y in zip(lon, lat, strict=True)]
        ring.append(ring[0].copy())
        twice_area = sum(a[0] * b[1] - b[0] * a[1] for a, b in itertools.pairwise(ring))
        return {"type": "Polygon", "coordinates": [ring if twice_area >= 0.0 else ring[::-1]]}
    whole = Polygon((x + 360.0 if x < 0 else x, y) for x, y in zip(lon, lat, strict=True))
    eastern = shapely.intersection(whole, box(0, -90, 180, 90))
    western = shapely.transform(shapely.intersection(whole, box(180, -90, 360, 90)), lambda xy: xy - [360.0, 0.0])
    parts = [part for part in (eastern, western) if isinstance(part, Polygon) and part.area > 0]
    return _geojson(parts[0] if len(parts) == 1 else MultiPolygon([orient(part) for part in parts]))


def _geojson(shape: Any) -> dict[str, Any]:
    oriented = orient(shape) if isinstance(shape, Polygon) else shape
    tree = mapping(oriented)
    return {"type": tree["type"], "coordinates": _lists(tree["coordinates"])}


def _lists(coordinates: Any) -> Any:
    return [_lists(c) for c in coordinates] if isinstance(coordinates, tuple | list) else float(coordinates)


def disagreement(
    asset: Asset,
    *,
    rows: int,
    cols: int,
    nodata: float | None,
    pixel_m: tuple[float, float] | None,
    origin_m: tuple[float, float] | None,
) -> str | None:
    """Why a file is not what the item says of it; none when it is.

    A chip from such a file would lie at the wrong place, or its 0 would not be nodata.

    Args:
        asset: what the item says.
        rows, cols, nodata, pixel_m, origin_m: what the file says; `pixel_m` (width, height) and `origin_m` (easting,
            northing of the upper-left corner) are none where it says nothing.
    """
    if (rows, cols) != (asset.rows, asset.cols):
        return f"has {rows} x {cols} pixels, the item says {asset.rows} x {asset.cols}"
    if nodata not in (None, 0.0):
        return f"its nodata value is {nodata:g}, expected 0"
    if pixel_m is not None and pixel_m != (asset.gsd_m, asset.gsd_m):
        return f"its pixels are {pixel_m} m, the item says {asset.gsd_m} m"
    if origin_m is not None and origin_m != (asset.ulx_m, asset.uly_m):
        return f"its upper-left corner is {origin_m}, the item says {(asset.ulx_m, asset.uly_m)}"
    return None
