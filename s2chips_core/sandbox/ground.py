"""The ground of one superblock of a tile: which class each 10 m and 20 m pixel is.

A superblock is 2048 × 2048 pixels of 10 m, four blocks of a 10 m band and one of a 20 m band. Smooth fields are computed at
nodes 160 m apart and interpolated; land is drawn on the 20 m grid, far inland in
80 m cells, and only the shore, piers and jetties on the 10 m grid.
Not here: what the classes reflect (`reflectance`), what lies above them (`render`).
"""

from dataclasses import dataclass

import numpy as np

from s2chips_core.overpasses.tile_grid import tile_corner
from s2chips_core.sandbox import reflectance
from s2chips_core.sandbox.passes import WORLD_EPSG, transform
from s2chips_core.sandbox.terrain import (
    COASTAL_M,
    NODE_PX,
    Pier,
    Terrain,
    land_class,
    sea_class,
    sea_fields,
    segment_distance_m,
)

SUPERBLOCK_PX = 2048
SUPERBLOCKS_ACROSS = 6
_NODES = SUPERBLOCK_PX // NODE_PX + 3
_HILL_SUN_DEG = 163.0
"""Hills are lit from here on all days (the sun's azimuth at these passes is within 5 degrees of it)."""


def spread(nodes: np.ndarray, pixels: int) -> np.ndarray:
    """A field from the nodes of a superblock to the centres of its pixels, cubic (Catmull-Rom): float32, a square."""
    down = _spread_rows(nodes.astype(np.float32), pixels)
    return np.ascontiguousarray(_spread_rows(np.ascontiguousarray(down.T), pixels).T)


def _spread_rows(nodes: np.ndarray, pixels: int) -> np.ndarray:
    """Along the first axis. Plain sums: a matrix product would start threads of its own within our threads."""
    cells = SUPERBLOCK_PX // NODE_PX
    each = pixels // cells
    out = np.empty((cells, max(each, 1), nodes.shape[1]), np.float32)
    for k in range(each):
        t = (k + 0.5) / each
        weights = (
            -0.5 * t + t**2 - 0.5 * t**3,
            1 - 2.5 * t**2 + 1.5 * t**3,
            0.5 * t + 2 * t**2 - 1.5 * t**3,
            -0.5 * t**2 + 0.5 * t**3,
        )
        part = out[:, k]
        np.multiply(nodes[:cells], np.float32(weights[0]), out=part)
        for j in (1, 2, 3):
            part += nodes[j : j + cells] * np.float32(weights[j])
    return out.reshape(pixels, nodes.shape[1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """One superblock of ground."""

    node_x_m: np.ndarray
    """World easting of the nodes, shape (nodes, nodes)."""
    node_y_m: np.ndarray
    class_20m: np.ndarray
    """uint8, shape (1024, 1024)."""
    class_10m: np.ndarray | None
    """uint8, shape (2048, 2048); none where it would only repeat `class_20m`."""


def node_coordinates(tile_id: str, row: int, col: int) -> tuple[np.ndarray, np.ndarray]:
    """World coordinates of the nodes of superblock (`row`, `col`), one more on each side than the block needs."""
    epsg, ulx_m, uly_m = tile_corner(tile_id)
    along = (np.arange(_NODES) - 1) * NODE_PX * 10.0
    x_m = ulx_m + col * SUPERBLOCK_PX * 10.0 + along
    y_m = uly_m - row * SUPERBLOCK_PX * 10.0 - along
    return transform(epsg, WORLD_EPSG, *np.meshgrid(x_m, y_m))


def ground_of(terrain: Terrain, tile_id: str, row: int, col: int, piers: list[Pier]) -> Ground:
    """The ground of superblock (`row`, `col`); `piers` are in the tile's own zone."""
    x_m, y_m = node_coordinates(tile_id, row, col)
    inland_m = terrain.distance_inland_m(x_m, y_m)
    half = SUPERBLOCK_PX // 2
    glint, shallow = sea_fields(x_m, y_m, inland_m)
    only_sea, only_land = inland_m.max() < -60, inland_m.min() > 60
    if only_sea:
        shallow_20m = spread(shallow, half) if shallow.max() > 0 else np.zeros(1)
        sea = sea_class(spread(glint, half), shallow_20m)
        return Ground(node_x_m=x_m, node_y_m=y_m, class_20m=sea, class_10m=None)
    fields = {
        "inland_m": inland_m,
        "green": terrain.greenness(x_m, y_m),
        "shade": terrain.shade(x_m, y_m, inland_m, _HILL_SUN_DEG),
        "town": terrain.town(x_m, y_m),
    }
    land = repeated(repeated(_land(x_m, y_m, fields, half // 4)))
    if inland_m.min() > COASTAL_M:
        return Ground(node_x_m=x_m, node_y_m=y_m, class_20m=land, class_10m=None)
    land = np.where(spread(inland_m, half) > COASTAL_M, land, _land(x_m, y_m, fields, half))
    if only_land:
        return Ground(node_x_m=x_m, node_y_m=y_m, class_20m=land, class_10m=None)
    sea = sea_class(spread(glint, half), spread(shallow, half))
    classes = np.where(spread(inland_m, SUPERBLOCK_PX) > 0, repeated(land), repeated(sea))
    _draw_piers(classes, tile_id, row, col, piers)
    return Ground(node_x_m=x_m, node_y_m=y_m, class_20m=classes[1::2, 1::2].copy(), class_10m=classes)


def _land(x_m: np.ndarray, y_m: np.ndarray, fields: dict[str, np.ndarray], pixels: int) -> np.ndarray:
    west, south = x_m.min(), y_m.min()  # float32 holds metres only near the origin
    at_x, at_y = spread(x_m - west, pixels) + west, spread(y_m - south, pixels) + south
    return land_class(at_x, at_y, **{name: spread(nodes, pixels) for name, nodes in fields.items()})


def repeated(half: np.ndarray) -> np.ndarray:
    """Each 20 m pixel as four 10 m pixels."""
    rows, cols = half.shape
    out = np.empty((rows, 2, cols, 2), half.dtype)
    out[:, 0, :, 0] = half
    out[:, 0, :, 1] = half
    out[:, 1] = out[:, 0]
    return out.reshape(2 * rows, 2 * cols)


def _draw_piers(classes: np.ndarray, tile_id: str, row: int, col: int, piers: list[Pier]) -> None:
    _, ulx_m, uly_m = tile_corner(tile_id)
    west, north = ulx_m + col * SUPERBLOCK_PX * 10.0, uly_m - row * SUPERBLOCK_PX * 10.0
    for pier in piers:
        reach = pier.half_width_m + 10
        left = int((min(pier.x0_m, pier.x1_m) - reach - west) // 10)
        right = int((max(pier.x0_m, pier.x1_m) + reach - west) // 10) + 1
        top = int((north - max(pier.y0_m, pier.y1_m) - reach) // 10)
        low = int((north - min(pier.y0_m, pier.y1_m) + reach) // 10) + 1
        left, top, right, low = max(left, 0), max(top, 0), min(right, SUPERBLOCK_PX), min(low, SUPERBLOCK_PX)
        if left >= right or top >= low:
            continue
        x_m = west + 10.0 * (np.arange(left, right) + 0.5)[None, :]
        y_m = north - 10.0 * (np.arange(top, low) + 0.5)[:, None]
        distance_m = segment_distance_m(x_m, y_m, pier.x0_m, pier.y0_m, pier.x1_m, pier.y1_m)
        classes[top:low, left:right][distance_m < pier.half_width_m] = reflectance.WALL
