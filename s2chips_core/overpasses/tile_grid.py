"""The Sentinel-2 tile grid: which tiles there are, and where they lie by their names.

A tile is a square of 109.8 km on the UTM grid of its zone, a little larger than the 100 km square of the Military Grid
Reference System that names it, so neighbours overlap by 9.8 km. The corner follows from the name:
UL x = floor(E / 60) * 60 and UL y = ceil(N_top / 60) * 60, with E and N_top the west and north edge of the 100 km square,
N_top counted from the equator: true of all 56,686 tiles of the grid that ESA publishes.
Not here: outlines, and which tiles touch an area (`tile_shapes`); when a tile is imaged (`plan`).
"""

import functools
import importlib.resources
import math
import re
from collections.abc import Iterator

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


@functools.cache
def grid_tiles() -> dict[str, tuple[str, ...]]:
    """All 56,686 tiles that ESA publishes, by zone and latitude band: `30S` -> 30STA, 30STB, ...

    Not every square of the Military Grid Reference System is one: where neighbouring zones overlap one of two is left out.
    """
    found = {}
    for line in importlib.resources.files(__package__).joinpath("s2_tiles.txt").read_text(encoding="ascii").splitlines():
        if not line.startswith("#"):
            band, *columns = line.split()
            found[band] = tuple(f"{band}{column[0]}{row}" for column in columns for row in _rows_of(column[1:]))
    return found


def is_tile(tile_id: str) -> bool:
    """Whether ESA's grid has the tile; the zone has two digits."""
    return tile_id in grid_tiles().get(tile_id[:3], ())


def tiles_near(area: Area) -> list[str]:
    """Tiles of the zones and bands around a box: all that touch it are among them."""
    west, south, _, north = area
    # A tile reaches from its zone's middle 15 degrees at most (31XGA), and 2.8 degrees below its band (01CDH).
    reach, middle = width_deg(area) / 2 + 18.0, west + width_deg(area) / 2
    return [
        tile
        for band, tiles in grid_tiles().items()
        if abs((int(band[:2]) * 6 - 183 - middle + 180.0) % 360.0 - 180.0) <= reach
        and south - 4.0 <= -72.0 + 8.0 * _BANDS.index(band[2]) + (4.0 if band[2] == "X" else 0.0)
        and north + 4.0 >= -80.0 + 8.0 * _BANDS.index(band[2])
        for tile in tiles
    ]


def width_deg(area: Area) -> float:
    """From west to east, degrees: 360 for all around the Earth."""
    west, _, east, _ = area
    return 360.0 if east - west >= 360.0 else (east - west) % 360.0


def _rows_of(runs: str) -> Iterator[str]:
    """`A,TB` are rows A, T, U, V, A, B: a run has its first and last letter, or one."""
    for run in runs.split(","):
        first, last = _ROWS.index(run[0]), _ROWS.index(run[-1])
        yield from (_ROWS[(first + n) % 20] for n in range((last - first) % 20 + 1))


def _wrap(lon: float) -> float:
    return float((lon + 180.0) % 360.0 - 180.0)
