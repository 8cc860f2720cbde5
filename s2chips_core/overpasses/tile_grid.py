"""The Sentinel-2 tile grid: where an MGRS tile lies, and which tiles touch a place.

A tile is a square of 109.8 km on the UTM grid of its zone, a little larger than the 100 km square of the Military Grid
Reference System that names it, so neighbours overlap by 9.8 km. The corner follows from the name:
UL x = floor(E / 60) * 60 and UL y = ceil(N_top / 60) * 60, with E and N_top the west and north edge of the 100 km square,
N_top counted from the equator: true of all 56,686 tiles of the grid that ESA publishes.
Not here: when a tile is imaged (`plan`).
"""

import functools
import math
import re

import numpy as np
from pyproj import Transformer

from s2chips_core.errors import InputError

TILE_SIDE_M = 109_800
SQUARE_SIDE_M = 100_000
_NAME = re.compile(r"(0?[1-9]|[1-5]\d|60)([C-HJ-NP-X])([A-HJ-NP-Z])([A-HJ-NP-V])")
_BANDS = "CDEFGHJKLMNPQRSTUVWX"
_COLUMNS = ("STUVWXYZ", "ABCDEFGH", "JKLMNPQR")  # by zone modulo 3
_ROWS = "ABCDEFGHJKLMNPQRSTUV"
_ROW_CYCLE_M = 2_000_000

Area = tuple[float, float, float, float]
"""west, south, east, north, degrees; west > east crosses the antimeridian."""


@functools.cache
def _to_utm(epsg: int) -> Transformer:
    return Transformer.from_crs(4326, epsg, always_xy=True)


@functools.cache
def _to_lonlat(epsg: int) -> Transformer:
    return Transformer.from_crs(epsg, 4326, always_xy=True)


def tile_corner(tile_id: str) -> tuple[int, int, int]:
    """EPSG code of the UTM zone and easting, northing (m) of the upper-left corner of a tile.

    >>> tile_corner("32VPH")
    (32632, 600000, 6300000)

    Raises:
        InputError: the text names no MGRS 100 km square.
    """
    name = _NAME.fullmatch(tile_id)
    if name is None:
        raise InputError("tile", tile_id, "an MGRS tile such as 30STF: zone, latitude band, 100 km square")
    zone, band = int(name[1]), _BANDS.index(name[2])
    column = _COLUMNS[zone % 3].find(name[3])
    if column < 0:
        raise InputError("tile", tile_id, f"a column letter of zone {zone}: {_COLUMNS[zone % 3]}")
    easting = (column + 1) * SQUARE_SIDE_M
    row = (_ROWS.index(name[4]) - (0 if zone % 2 else 5)) % 20 * SQUARE_SIDE_M  # even zones begin with F
    south_deg = -80.0 + 8.0 * band
    epsg = (32600 if south_deg >= 0 else 32700) + zone
    middle_deg = south_deg + (6.0 if name[2] == "X" else 4.0)
    _, middle_m = _to_utm(epsg).transform(zone * 6 - 183, middle_deg)
    # The row letters repeat every 2,000 km: the square of that name nearest to the middle of the band is meant.
    northing = row + round((middle_m - row - SQUARE_SIDE_M / 2) / _ROW_CYCLE_M) * _ROW_CYCLE_M
    equator_m = 0 if south_deg >= 0 else 10_000_000  # the grid counts from the equator, in the south downwards
    top = northing + SQUARE_SIDE_M - equator_m
    return epsg, math.floor(easting / 60) * 60, math.ceil(top / 60) * 60 + equator_m


def tile_area(tile_id: str, margin_deg: float = 0.0) -> Area:
    """The longitude/latitude box around a tile, enlarged by `margin_deg` on each side."""
    epsg, ulx_m, uly_m = tile_corner(tile_id)
    along = np.linspace(0, TILE_SIDE_M, 25)
    x = ulx_m + np.concatenate([along, along, np.zeros(25), np.full(25, TILE_SIDE_M)])
    y = uly_m - np.concatenate([np.zeros(25), np.full(25, TILE_SIDE_M), along, along])
    lon, lat = _to_lonlat(epsg).transform(x, y)
    middle = lon[0]
    lon = (np.asarray(lon) - middle + 180.0) % 360.0 - 180.0 + middle
    west, east = _wrap(lon.min() - margin_deg), _wrap(lon.max() + margin_deg)
    return west, max(float(lat.min()) - margin_deg, -90.0), east, min(float(lat.max()) + margin_deg, 90.0)


def tiles_touching(area: Area) -> list[str]:
    """Names of the tiles that touch a box, sorted; the box is sampled every 0.1 degrees."""
    west, south, east, north = area
    width = (east - west) % 360.0
    lon = west + np.linspace(0.0, width, max(2, math.ceil(width / 0.1) + 1))
    lat = np.linspace(south, north, max(2, math.ceil((north - south) / 0.1) + 1))
    grid_lon, grid_lat = (a.ravel() for a in np.meshgrid((lon + 180.0) % 360.0 - 180.0, lat))
    found: set[str] = set()
    zones = (np.floor((grid_lon + 180.0) / 6.0).astype(int) % 60) + 1
    for shift in (-1, 0, 1):  # a tile reaches into the neighbouring zones
        for zone in np.unique(zones):
            near = (zone - 1 + shift) % 60 + 1
            at = zones == zone
            found.update(_tiles_at(int(near), grid_lon[at], grid_lat[at]))
    return sorted(found)


def _tiles_at(zone: int, lon: np.ndarray, lat: np.ndarray) -> set[str]:
    names = set()
    for epsg, half in ((32600 + zone, lat >= 0), (32700 + zone, lat < 0)):
        if not half.any():
            continue
        x, y = _to_utm(epsg).transform(lon[half], lat[half])
        bands = np.clip((np.asarray(lat[half]) + 80.0) // 8.0, 0, 19).astype(int)
        # A tile holds its square and 9.8 km more to the east and south.
        for dx, dy in ((0, 0), (-9_800, 0), (0, 9_800), (-9_800, 9_800)):
            columns = (np.floor((np.asarray(x) + dx) / SQUARE_SIDE_M)).astype(int)
            rows = (np.floor((np.asarray(y) + dy) / SQUARE_SIDE_M)).astype(int)
            for column, row, band in set(zip(columns.tolist(), rows.tolist(), bands.tolist(), strict=True)):
                if 1 <= column <= 8:
                    letter = _ROWS[(row + (0 if zone % 2 else 5)) % 20]
                    names.add(f"{zone:02d}{_BANDS[band]}{_COLUMNS[zone % 3][column - 1]}{letter}")
    return {name for name in names if _is_near(name, lon, lat)}


def _is_near(tile_id: str, lon: np.ndarray, lat: np.ndarray) -> bool:
    epsg, ulx_m, uly_m = tile_corner(tile_id)
    x, y = _to_utm(epsg).transform(lon, lat)
    x, y = np.asarray(x), np.asarray(y)
    inside = (x >= ulx_m) & (x <= ulx_m + TILE_SIDE_M) & (y <= uly_m) & (y >= uly_m - TILE_SIDE_M)
    return bool(inside.any())


def _wrap(lon: float) -> float:
    return float((lon + 180.0) % 360.0 - 180.0)
