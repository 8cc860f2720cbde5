"""The ground of the embedded archive: sea, coast, hills, fields, towns and harbours around the Strait of Gibraltar.

The coastline goes through about ninety true places and is roughened with noise between them; everything on land is made up.
What is shown at a point depends on its world coordinates only, so overlapping tiles show the same ground. A point of
ground is a `uint8` class; `reflectance` says what a class looks like. Not here: clouds (`weather`), ships (`hulls`).
"""

import math
from dataclasses import dataclass

import numpy as np
import shapely

from s2chips_core.sandbox import reflectance
from s2chips_core.sandbox.passes import WORLD_EPSG, transform

# Longitude, latitude of the shore, land on the right-hand side of the way in Africa and on the left in Europe.
_AFRICA = (
    (-6.62, 34.30), (-6.45, 34.62), (-6.30, 34.88), (-6.22, 35.06), (-6.155, 35.20), (-6.12, 35.27), (-6.085, 35.36),
    (-6.04, 35.465), (-6.01, 35.52), (-5.99, 35.58), (-5.965, 35.68), (-5.94, 35.755), (-5.923, 35.791),
    (-5.88, 35.797), (-5.84, 35.799), (-5.812, 35.79), (-5.80, 35.775), (-5.775, 35.778), (-5.755, 35.80),
    (-5.748, 35.817), (-5.70, 35.832), (-5.63, 35.838), (-5.56, 35.846), (-5.52, 35.872), (-5.48, 35.91),
    (-5.44, 35.912), (-5.40, 35.92), (-5.378, 35.912), (-5.34, 35.901), (-5.312, 35.899), (-5.278, 35.899),
    (-5.285, 35.889), (-5.312, 35.882), (-5.345, 35.86), (-5.352, 35.83), (-5.34, 35.77), (-5.322, 35.70),
    (-5.30, 35.687), (-5.272, 35.69), (-5.265, 35.66), (-5.27, 35.62), (-5.24, 35.55), (-5.17, 35.49), (-5.085, 35.45),
    (-5.00, 35.39), (-4.94, 35.335), (-4.83, 35.28), (-4.74, 35.235), (-4.665, 35.215), (-4.55, 35.195),
    (-4.36, 35.155), (-4.20, 35.16), (-4.05, 35.215), (-3.95, 35.255), (-3.80, 35.23), (-3.60, 35.26),
)  # fmt: skip
_EUROPE = (
    (-6.60, 36.95), (-6.43, 36.74), (-6.31, 36.55), (-6.21, 36.44), (-6.13, 36.32), (-6.09, 36.28), (-6.035, 36.183),
    (-5.98, 36.19), (-5.925, 36.185), (-5.85, 36.135), (-5.80, 36.10), (-5.785, 36.085), (-5.77, 36.09), (-5.72, 36.064),
    (-5.68, 36.055), (-5.63, 36.02), (-5.612, 36.002), (-5.58, 36.015), (-5.52, 36.035), (-5.46, 36.055),
    (-5.425, 36.076), (-5.43, 36.11), (-5.442, 36.14), (-5.43, 36.175), (-5.39, 36.185), (-5.365, 36.165),
    (-5.362, 36.14), (-5.352, 36.11), (-5.342, 36.112), (-5.338, 36.15), (-5.33, 36.19), (-5.275, 36.28), (-5.15, 36.42),
    (-4.88, 36.51), (-4.62, 36.54), (-4.42, 36.72), (-3.60, 36.74),
)  # fmt: skip

PORTS = ((-5.795, 35.785), (-5.50, 35.885), (-5.31, 35.893), (-6.155, 35.20), (-5.322, 35.70), (-5.085, 35.45))
"""Longitude, latitude of harbours with a town: Tangier, Tanger-Med, Ceuta, Larache, M'diq, Oued Laou."""

NODE_PX = 16
"""Fields are computed every so many 10 m pixels and interpolated in between."""
_GRID_M = 400.0
_X0_M, _Y0_M, _COLS, _ROWS = 140_000.0, 3_872_000.0, 720, 360
_SHALLOW_M = 2_600.0
COASTAL_M = 2_200.0
"""Land further from the shore than this is drawn coarsely."""


def fractal_noise(x_m: np.ndarray, y_m: np.ndarray, *, scale_m: float, octaves: int, seed: int) -> np.ndarray:
    """Smooth noise in about [-1, 1] that depends on place and seed only; each octave half as wide and half as strong."""
    total = np.zeros(np.broadcast(x_m, y_m).shape)
    weight = 0.0
    for octave in range(octaves):
        amplitude = 0.5**octave
        total += amplitude * _lattice_noise(x_m / scale_m * 2**octave, y_m / scale_m * 2**octave, seed + 101 * octave)
        weight += amplitude * amplitude
    scaled: np.ndarray = total / math.sqrt(weight)
    return scaled


def _lattice_noise(u: np.ndarray, v: np.ndarray, seed: int) -> np.ndarray:
    i, j = np.floor(u).astype(np.int64), np.floor(v).astype(np.int64)
    s, t = u - i, v - j
    s, t = s * s * (3 - 2 * s), t * t * (3 - 2 * t)
    near = _hashed(i, j, seed) * (1 - s) + _hashed(i + 1, j, seed) * s
    far = _hashed(i, j + 1, seed) * (1 - s) + _hashed(i + 1, j + 1, seed) * s
    blended: np.ndarray = near * (1 - t) + far * t
    return blended


def _hashed(i: np.ndarray, j: np.ndarray, seed: int) -> np.ndarray:
    """A number in [-1, 1) from two whole numbers and a seed."""
    h = i.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) ^ j.astype(np.uint64) * np.uint64(0xC2B2AE3D27D4EB4F)
    h ^= np.uint64((seed * 0x165667B19E3779F9) & 0xFFFFFFFFFFFFFFFF)
    h ^= h >> np.uint64(29)
    h *= np.uint64(0xBF58476D1CE4E5B9)
    h ^= h >> np.uint64(32)
    return (h >> np.uint64(40)).astype(np.float64) / float(2**23) - 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pier:
    """A breakwater or jetty: a straight wall, world coordinates, metres."""

    x0_m: float
    y0_m: float
    x1_m: float
    y1_m: float
    half_width_m: float


class Terrain:
    """The shore and everything that hangs on it; made once, read by many threads."""

    def __init__(self) -> None:
        x = _X0_M + _GRID_M * np.arange(_COLS)
        y = _Y0_M + _GRID_M * np.arange(_ROWS)
        grid_x, grid_y = np.meshgrid(x, y)
        self._distance = _distance_inland(grid_x, grid_y)
        port_x, port_y = transform(4326, WORLD_EPSG, *np.array(PORTS).T)
        self._ports = np.column_stack([port_x, port_y])
        self.piers = [pier for port in self._ports for pier in self._harbour(port)]

    def distance_inland_m(self, x_m: np.ndarray, y_m: np.ndarray) -> np.ndarray:
        """Distance to the shore, metres; negative at sea."""
        smooth = _bilinear(self._distance, (x_m - _X0_M) / _GRID_M, (y_m - _Y0_M) / _GRID_M)
        return smooth + 750.0 * fractal_noise(x_m, y_m, scale_m=4_600, octaves=5, seed=11)

    def shade(self, x_m: np.ndarray, y_m: np.ndarray, inland_m: np.ndarray, sun_azimuth_deg: float) -> np.ndarray:
        """How lit the slopes are, about -1 (dark) to 1, on a regular grid of nodes with north up."""
        ridges = 1.0 - np.abs(fractal_noise(x_m, y_m, scale_m=7_000, octaves=4, seed=23))
        height_m = 650.0 * ridges * np.clip((inland_m - 600) / 9_000, 0, 1) * self._hilliness(x_m, y_m)
        step_m = NODE_PX * 10.0
        south, east = np.gradient(height_m, step_m)
        azimuth = math.radians(sun_azimuth_deg)
        lit: np.ndarray = np.clip(-3.2 * (east * math.sin(azimuth) - south * math.cos(azimuth)), -1, 1)
        return lit

    @staticmethod
    def _hilliness(x_m: np.ndarray, y_m: np.ndarray) -> np.ndarray:
        """0 on the Atlantic plain, 1 in the Rif."""
        return np.clip((x_m - 215_000) / 35_000 + 0.4 * fractal_noise(x_m, y_m, scale_m=16_000, octaves=2, seed=29), 0.05, 1)

    def greenness(self, x_m: np.ndarray, y_m: np.ndarray) -> np.ndarray:
        """0 bare to 1 lush."""
        return np.clip(0.45 + 0.45 * fractal_noise(x_m, y_m, scale_m=9_000, octaves=2, seed=31), 0, 1)

    def town(self, x_m: np.ndarray, y_m: np.ndarray) -> np.ndarray:
        """0 countryside to 1 town, with ragged edges."""
        nearest = np.full(np.shape(x_m), np.inf)
        for port_x, port_y in self._ports:
            nearest = np.minimum(nearest, np.hypot(x_m - port_x, y_m - port_y))
        return np.clip(1.6 - nearest / 1_900 + 0.7 * fractal_noise(x_m, y_m, scale_m=1_200, octaves=3, seed=37), 0, 1)

    def piers_on(self, epsg: int) -> list[Pier]:
        """All piers in the coordinates of another zone."""
        moved = []
        for pier in self.piers:
            x, y = transform(WORLD_EPSG, epsg, np.array([pier.x0_m, pier.x1_m]), np.array([pier.y0_m, pier.y1_m]))
            moved.append(Pier(x0_m=x[0], y0_m=y[0], x1_m=x[1], y1_m=y[1], half_width_m=pier.half_width_m))
        return moved

    def _harbour(self, port: np.ndarray) -> list[Pier]:
        """A bent mole and three jetties on the shore nearest to `port`."""
        x, y = float(port[0]), float(port[1])
        for _ in range(40):  # walk down the distance to the shore
            here = float(self.distance_inland_m(np.array([x]), np.array([y]))[0])
            seaward = self._seaward(x, y)
            if abs(here) < 15:
                break
            x, y = x + seaward[0] * here * 0.7, y + seaward[1] * here * 0.7
        (sx, sy), (tx, ty) = self._seaward(x, y), (0.0, 0.0)
        tx, ty = -sy, sx

        def at(along_m: float, out_m: float) -> tuple[float, float]:
            return x + tx * along_m + sx * out_m, y + ty * along_m + sy * out_m

        lines = [
            (at(-700, -250), at(-700, 750), 22.0),
            (at(-700, 750), at(650, 900), 22.0),
            (at(-250, -150), at(-250, 420), 35.0),
            (at(150, -150), at(150, 380), 30.0),
            (at(620, -200), at(560, 330), 14.0),
        ]
        return [Pier(x0_m=a[0], y0_m=a[1], x1_m=b[0], y1_m=b[1], half_width_m=w) for a, b, w in lines]

    def _seaward(self, x: float, y: float) -> tuple[float, float]:
        step = 600.0
        around = self.distance_inland_m(np.array([x - step, x + step, x, x]), np.array([y, y, y - step, y + step]))
        dx, dy = around[0] - around[1], around[2] - around[3]
        length = math.hypot(dx, dy) or 1.0
        return dx / length, dy / length


def sea_fields(x_m: np.ndarray, y_m: np.ndarray, inland_m: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Glint far out (0-1, in slow bands) and how shallow it looks (0 at sea to 1 at the shore)."""
    glint = 0.5 + 0.42 * fractal_noise(x_m + 0.4 * y_m, y_m * 2.2, scale_m=60_000, octaves=2, seed=41)
    wander = 1.0 + 0.35 * fractal_noise(x_m, y_m, scale_m=3_000, octaves=3, seed=43)
    return glint, 1.0 + inland_m / (_SHALLOW_M * wander)


def sea_class(glint: np.ndarray, shallow: np.ndarray) -> np.ndarray:
    """The class of water. uint8."""
    level = np.clip(glint * reflectance.SEA_LEVELS, 0, reflectance.SEA_LEVELS - 1).astype(np.uint8)
    if shallow.max() <= 0:
        return np.asarray(level + np.uint8(reflectance.SEA), np.uint8)
    near = np.clip(shallow, 0, 0.999) ** 2 * reflectance.SHALLOW_LEVELS
    both = np.where(near >= 1, near.astype(np.uint8) + reflectance.SHALLOW, level + reflectance.SEA)
    return np.asarray(both, np.uint8)


def land_class(
    x_m: np.ndarray, y_m: np.ndarray, *, inland_m: np.ndarray, green: np.ndarray, shade: np.ndarray, town: np.ndarray
) -> np.ndarray:
    """The class of land: fields on the plain, slopes in the hills, towns, beaches. uint8, the shape of the arguments."""
    along = np.floor((0.94 * x_m + 0.34 * y_m + 260.0 * green) / 330.0).astype(np.int32)
    across = np.floor((0.94 * y_m - 0.34 * x_m + 340.0 * green) / 210.0).astype(np.int32)
    parcel = (along * 7919 ^ across * 104729) & 0xFFFF
    parcel = (parcel * 40503 >> 7) & 15
    # Fields only along the shore, where a chip can see them: they are what makes land big on disk.
    farmed = 0.45 * np.clip(2.0 * (1.0 - inland_m / COASTAL_M), 0, 1)
    level = green * reflectance.GREEN_LEVELS + (parcel - 7.5) * farmed
    green_level = np.clip(level, 0, reflectance.GREEN_LEVELS - 1).astype(np.uint8)
    shade_level = np.clip((shade + 1) * 0.5 * reflectance.SHADE_LEVELS, 0, reflectance.SHADE_LEVELS - 1).astype(np.uint8)
    ground = reflectance.LAND + green_level * np.uint8(reflectance.SHADE_LEVELS) + shade_level
    built = (town > 0.05) & (town > 0.3 + 0.04 * parcel)
    ground = np.where(built, reflectance.TOWN + (parcel & 3).astype(np.uint8), ground)
    return np.where((inland_m < 45) & (parcel % 4 > 0), reflectance.SAND, ground).astype(np.uint8)


def _distance_inland(x_m: np.ndarray, y_m: np.ndarray) -> np.ndarray:
    distance = np.full(x_m.shape, np.inf)
    inside = np.zeros(x_m.shape, bool)
    for shore, closing in (
        (_AFRICA, ((-3.0, 35.2), (-3.0, 34.0), (-6.62, 34.0))),
        (_EUROPE, ((-3.0, 36.7), (-3.0, 38.0), (-6.6, 38.0))),
    ):
        shore_x, shore_y = transform(4326, WORLD_EPSG, *np.array(shore).T)
        for k in range(len(shore) - 1):
            segment = segment_distance_m(x_m, y_m, shore_x[k], shore_y[k], shore_x[k + 1], shore_y[k + 1])
            np.minimum(distance, segment, out=distance)
        ring_x, ring_y = transform(4326, WORLD_EPSG, *np.array(shore + closing).T)
        inside |= shapely.contains_xy(shapely.Polygon(np.column_stack([ring_x, ring_y])), x_m, y_m)
    signed: np.ndarray = np.where(inside, distance, -distance)
    return signed


def segment_distance_m(x: np.ndarray, y: np.ndarray, x0: float, y0: float, x1: float, y1: float) -> np.ndarray:
    """Distance of points to the segment from (x0, y0) to (x1, y1)."""
    dx, dy = x1 - x0, y1 - y0
    along = np.clip(((x - x0) * dx + (y - y0) * dy) / (dx * dx + dy * dy), 0, 1)
    return np.hypot(x - x0 - along * dx, y - y0 - along * dy)


def _bilinear(grid: np.ndarray, col: np.ndarray, row: np.ndarray) -> np.ndarray:
    col, row = np.clip(col, 0, grid.shape[1] - 1.001), np.clip(row, 0, grid.shape[0] - 1.001)
    j, i = col.astype(int), row.astype(int)
    s, t = col - j, row - i
    top = grid[i, j] * (1 - s) + grid[i, j + 1] * s
    low = grid[i + 1, j] * (1 - s) + grid[i + 1, j + 1] * s
    blended: np.ndarray = top * (1 - t) + low * t
    return blended
