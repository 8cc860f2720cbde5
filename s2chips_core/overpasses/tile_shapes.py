"""The outlines of tiles as polygons, many at once, and which tiles touch an area.

Not here: where a tile lies by its name (`tile_grid`).
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import shapely
from pyproj import Transformer

from s2chips_core.overpasses.tile_grid import TILE_SIDE_M, Area, tile_corner, tiles_near, width_deg


def tile_outlines(tiles: Sequence[str], *, points_per_edge: int = 2) -> npt.NDArray[np.object_]:
    """A polygon for each tile, WGS 84 lon/lat degrees.

    A tile across the antimeridian is in one piece and reaches beyond -180 or 180.

    Args:
        tiles: MGRS names.
        points_per_edge: vertices along each edge, the next corner not counted; an edge is straight in UTM.

    Raises:
        InputError: a name is none of a tile.
    """
    corners = np.array([tile_corner(tile) for tile in tiles], dtype=np.int64).reshape(-1, 3)
    along = np.arange(points_per_edge) * (TILE_SIDE_M / points_per_edge)
    none, full = np.zeros(points_per_edge), np.full(points_per_edge, float(TILE_SIDE_M))
    # From the upper left down, counterclockwise as RFC 7946 has it.
    dx = np.concatenate([none, along, full, TILE_SIDE_M - along])
    dy = np.concatenate([along, full, TILE_SIDE_M - along, none])
    rings = np.empty((len(corners), dx.size, 2))
    for epsg in np.unique(corners[:, 0]):
        of_zone = corners[:, 0] == epsg
        x, y = corners[of_zone, 1, None] + dx, corners[of_zone, 2, None] - dy
        to_lonlat = Transformer.from_crs(int(epsg), 4326, always_xy=True)
        rings[of_zone, :, 0], rings[of_zone, :, 1] = to_lonlat.transform(x, y)
    rings[:, :, 0] = np.unwrap(rings[:, :, 0], period=360.0, axis=1)
    polygons: npt.NDArray[np.object_] = shapely.polygons(rings)
    return polygons


def tiles_touching(area: Area) -> list[str]:
    """Names of the tiles of ESA's grid that touch a box, sorted."""
    near = tiles_near(area)
    west, south, _, north = area
    outlines = tile_outlines(near, points_per_edge=8)
    touching = np.zeros(len(near), dtype=bool)
    for turn in (-360.0, 0.0, 360.0):
        touching |= shapely.intersects(outlines, shapely.box(west + turn, south, west + turn + width_deg(area), north))
    return sorted(np.array(near, dtype=object)[touching].tolist())
