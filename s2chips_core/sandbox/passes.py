"""The passes of the embedded archive: when which satellite went over the Strait of Gibraltar, and what it saw of each tile.

Sentinel-2B did fly relative orbit 137 over the strait on 2025-10-12 and Sentinel-2C on 2025-10-27; track and times below
come from their element sets (sgp4), good to a few seconds. The eastern edge of the swath crosses tile 30SUE. "World"
coordinates are EPSG:32630, also for the tile of zone 29. Not here: what the ground looks like (`terrain`), what the scenes
are called (`items`).
"""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import numpy as np
from pyproj import Transformer

from s2chips_core.ais.synthetic import SyntheticShip, synthetic_fleet
from s2chips_core.overpasses.tile_grid import TILE_SIDE_M, tile_area, tile_corner

WORLD_EPSG = 32630
GROUND_SPEED_M_S = 6716.4
TRACK_GRID_AZIMUTH_DEG = 195.8
"""Direction of flight on the world grid, clockwise from grid north."""
HALF_SWATH_M = 145_000.0
"""Sentinel-2's swath is 290 km wide (ESA, Sentinel-2 User Handbook)."""
AIS_MARGIN_DEG = 0.05
"""How far around a tile the synthetic fleet of that tile goes."""

TILES = ("29SQV", "30STE", "30SUE")
"""Neighbours from west to east: the first two overlap across a zone border, the last two by 9.8 km."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """One overpass of one satellite. Times are aware UTC."""

    platform: str
    """S2A, S2B or S2C."""
    absolute_orbit: int
    relative_orbit: int
    datatake_start: datetime
    datastrip_start: datetime
    nadir_time: datetime
    """When the satellite was above `nadir_x_m`, `nadir_y_m`."""
    nadir_x_m: float
    """World easting."""
    nadir_y_m: float
    """World northing."""

    @property
    def day(self) -> date:
        """The UTC date."""
        return self.nadir_time.date()


PASSES = (
    Pass(
        platform="S2B",
        absolute_orbit=44922,
        relative_orbit=137,
        datatake_start=datetime(2025, 10, 12, 11, 6, 29, tzinfo=UTC),
        datastrip_start=datetime(2025, 10, 12, 11, 15, 41, tzinfo=UTC),
        nadir_time=datetime(2025, 10, 12, 11, 20, 57, tzinfo=UTC),
        nadir_x_m=181_755.0,
        nadir_y_m=3_969_109.0,
    ),
    Pass(
        platform="S2C",
        absolute_orbit=5970,
        relative_orbit=137,
        datatake_start=datetime(2025, 10, 27, 11, 6, 41, tzinfo=UTC),
        datastrip_start=datetime(2025, 10, 27, 11, 15, 52, tzinfo=UTC),
        nadir_time=datetime(2025, 10, 27, 11, 21, 9, tzinfo=UTC),
        nadir_x_m=179_920.0,
        nadir_y_m=3_958_648.0,
    ),
)

_AZIMUTH = math.radians(TRACK_GRID_AZIMUTH_DEG)
_ALONG = (math.sin(_AZIMUTH), math.cos(_AZIMUTH))
_ACROSS = (-_ALONG[1], _ALONG[0])  # to the left of the flight: east


@functools.cache
def _transformer(source_epsg: int, target_epsg: int) -> Transformer:
    return Transformer.from_crs(source_epsg, target_epsg, always_xy=True)


def transform(source_epsg: int, target_epsg: int, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`x`, `y` (EPSG:4326: lon, lat) from one reference system to another, any shape."""
    if source_epsg == target_epsg:
        return np.asarray(x, float), np.asarray(y, float)
    out_x, out_y = _transformer(source_epsg, target_epsg).transform(np.asarray(x, float), np.asarray(y, float))
    return np.asarray(out_x), np.asarray(out_y)


def across_track_m(over: Pass, x_m: np.ndarray, y_m: np.ndarray) -> np.ndarray:
    """Distance east of the ground track, world coordinates."""
    across: np.ndarray = (x_m - over.nadir_x_m) * _ACROSS[0] + (y_m - over.nadir_y_m) * _ACROSS[1]
    return across


def sensing_time(over: Pass, tile_id: str) -> datetime:
    """When the scan line through the middle of the tile was sensed, to the millisecond."""
    epsg, ulx_m, uly_m = tile_corner(tile_id)
    middle = np.array([ulx_m + TILE_SIDE_M / 2]), np.array([uly_m - TILE_SIDE_M / 2])
    x_m, y_m = transform(epsg, WORLD_EPSG, *middle)
    along_m = (float(x_m[0]) - over.nadir_x_m) * _ALONG[0] + (float(y_m[0]) - over.nadir_y_m) * _ALONG[1]
    return over.nadir_time + timedelta(milliseconds=round(along_m / GROUND_SPEED_M_S * 1000))


def fleet_of_pass(over: Pass, *, ships_per_tile: int, seed: int) -> list[SyntheticShip]:
    """The ships of all tiles, each with its own tile's sensing time as reference."""
    return [
        ship
        for tile in TILES
        for ship in synthetic_fleet(
            tile, tile_area(tile, AIS_MARGIN_DEG), sensing_time(over, tile), ships=ships_per_tile, seed=seed
        )
    ]


def ship_places(ships: Sequence[SyntheticShip], time: datetime, epsg: int) -> np.ndarray:
    """Easting and northing of each ship at `time`, shape (ships, 2)."""
    if not ships:
        return np.empty((0, 2))
    lon, lat = np.array([ship.at(time) for ship in ships]).T
    return np.column_stack(transform(4326, epsg, lon, lat))


def swath_edge_m(over: Pass, ships_xy: np.ndarray) -> float:
    """How far east of the track the data ends: near half the swath, and so that ships lie just inside.

    Of all edges that put a ship 300-900 m inside, the one with two ships or more that is nearest to the real edge; with no
    such pair, with one; with no ship at all, the real edge.

    Args:
        over: the pass.
        ships_xy: world coordinates of its ships at sea, shape (ships, 2).
    """
    across = np.sort(across_track_m(over, ships_xy[:, 0], ships_xy[:, 1]))
    candidates = np.concatenate([across + inside for inside in (350.0, 600.0, 850.0)])
    candidates = candidates[(candidates > HALF_SWATH_M - 13_000) & (candidates < HALF_SWATH_M + 35_000)]
    if not len(candidates):
        return HALF_SWATH_M
    inside_m = candidates[:, None] - across[None, :]
    count = np.minimum(((inside_m > 300) & (inside_m < 900)).sum(axis=1), 2)
    best = np.lexsort((np.abs(candidates - HALF_SWATH_M), -count))[0]
    return float(candidates[best])


def sun_position(time: datetime, lon: float, lat: float) -> tuple[float, float]:
    """Azimuth (clockwise from north) and elevation of the sun, degrees, good to 0.1.

    The low-precision formulas of the Astronomical Almanac, page C5.
    """
    days = (time - datetime(2000, 1, 1, 12, tzinfo=UTC)).total_seconds() / 86400.0
    mean = math.radians((357.528 + 0.9856003 * days) % 360.0)
    longitude = math.radians((280.460 + 0.9856474 * days + 1.915 * math.sin(mean) + 0.020 * math.sin(2 * mean)) % 360.0)
    obliquity = math.radians(23.439 - 0.0000004 * days)
    right_ascension = math.atan2(math.cos(obliquity) * math.sin(longitude), math.cos(longitude))
    declination = math.asin(math.sin(obliquity) * math.sin(longitude))
    sidereal = math.radians((280.46061837 + 360.98564736629 * days + lon) % 360.0)
    hour_angle = sidereal - right_ascension
    phi = math.radians(lat)
    elevation = math.asin(
        math.sin(phi) * math.sin(declination) + math.cos(phi) * math.cos(declination) * math.cos(hour_angle)
    )
    azimuth = math.atan2(-math.sin(hour_angle), math.tan(declination) * math.cos(phi) - math.sin(phi) * math.cos(hour_angle))
    return math.degrees(azimuth) % 360.0, math.degrees(elevation)
