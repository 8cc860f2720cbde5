"""Where a scene has data, in metres of its own UTM zone, and how much of a chip lies on it.

In the scene's own zone the antimeridian and high latitudes are no special case. The edges of a Sentinel-2 tile are straight
there and not in longitude and latitude, where the middle of a 110 km edge lies hundreds of metres off.
Not here: choosing between scenes (`matching`).
"""

import dataclasses
import functools
import math

import numpy as np
import numpy.typing as npt
import shapely
from pyproj import Transformer
from shapely.geometry import shape

from s2chips_core.overpasses.tile_grid import TILE_SIDE_M, tile_corner
from s2chips_core.scenes.scene import Scene
from s2chips_core.scenes.search_plan import METRES_PER_DEGREE

PIXEL_M = 10.0
SLACK_M = 5_000.0
"""How far a footprint may bulge beyond the longitude/latitude box of its corners."""

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@functools.cache
def _to_utm(epsg: int) -> Transformer:
    return Transformer.from_crs(4326, epsg, always_xy=True)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Footprint:
    """The ground of one scene."""

    epsg: int
    polygon: shapely.Geometry
    """Its data footprint within its raster, UTM metres."""
    ulx_m: float
    uly_m: float
    """The origin of its 10 m grid."""
    meridian_deg: float
    """The central meridian of its zone."""
    west_deg: float
    east_deg: float
    """Of its corners, from the central meridian, degrees."""
    south_deg: float
    north_deg: float

    @classmethod
    def of(cls, scene: Scene) -> "Footprint":
        """Build it from the item's geometry."""
        geometry = shape(scene.footprint)
        meridian_deg = float(scene.epsg % 100 * 6 - 183)
        corners = shapely.get_coordinates(geometry)
        relative_deg = _wrap(corners[:, 0] - meridian_deg)
        polygon = shapely.make_valid(shapely.transform(geometry, functools.partial(_project, scene.epsg)))
        if shapely.get_num_geometries(polygon) > 1:
            # Split at the antimeridian: the halves share that line.
            polygon = shapely.union_all(shapely.get_parts(polygon), grid_size=0.01)
        ulx_m, uly_m, width_m, height_m = _extent(scene)
        polygon = shapely.intersection(polygon, shapely.box(ulx_m, uly_m - height_m, ulx_m + width_m, uly_m))
        shapely.prepare(polygon)
        return cls(
            epsg=scene.epsg,
            polygon=polygon,
            ulx_m=ulx_m,
            uly_m=uly_m,
            meridian_deg=meridian_deg,
            west_deg=float(relative_deg.min()),
            east_deg=float(relative_deg.max()),
            south_deg=float(corners[:, 1].min()),
            north_deg=float(corners[:, 1].max()),
        )

    def is_near(self, lon: Floats, lat: Floats, margin_m: Floats) -> Bools:
        """Whether places lie within `margin_m` of its box, roughly: some more may pass, none that do are lost.

        Args:
            lon, lat, margin_m: shape (places,); degrees and metres.
        """
        margin_deg = (margin_m + SLACK_M) / METRES_PER_DEGREE
        near = (lat >= self.south_deg - margin_deg) & (lat <= self.north_deg + margin_deg)
        rows = np.flatnonzero(near)
        farthest_deg = np.minimum(max(abs(self.south_deg), abs(self.north_deg)) + margin_deg[rows], 90.0)
        with np.errstate(divide="ignore"):
            margin_lon_deg = margin_deg[rows] / np.maximum(np.cos(np.radians(farthest_deg)), 1e-9)
        relative_deg = _wrap(lon[rows] - self.meridian_deg)
        # A box that reaches beyond the far side of the Earth comes in again on the other.
        near[rows] = (
            ((relative_deg >= self.west_deg - margin_lon_deg) & (relative_deg <= self.east_deg + margin_lon_deg))
            | (relative_deg + 360.0 <= self.east_deg + margin_lon_deg)
            | (relative_deg - 360.0 >= self.west_deg - margin_lon_deg)
        )
        return near

    def project(self, lon: Floats, lat: Floats) -> tuple[Floats, Floats]:
        """Longitude and latitude as easting and northing, metres; meant for places near the scene."""
        x, y = _to_utm(self.epsg).transform(lon, lat)
        return np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)

    def holds(self, x: Floats, y: Floats) -> Bools:
        """Whether places lie in it or on its edge."""
        inside: Bools = shapely.intersects_xy(self.polygon, x, y)
        return inside

    def edge_distance_m(self, x: Floats, y: Floats) -> Floats:
        """From places to its edge, metres."""
        distance: Floats = shapely.distance(shapely.boundary(self.polygon), shapely.points(x, y))
        return distance

    def chip_share(self, x: Floats, y: Floats, edge_distance_m: Floats, chip_size_px: int) -> Floats:
        """The share of a chip that lies in it.

        The chip is the square of `chip_size_px` pixels on the scene's 10 m grid that has the place in the pixel to the lower
        right of its middle (row and column `chip_size_px // 2`).

        Args:
            x, y: shape (places,), inside the footprint, metres.
            edge_distance_m: what `edge_distance_m` gives for them.
            chip_size_px: even.
        """
        half_m = chip_size_px // 2 * PIXEL_M
        share = np.ones(len(x))
        cut = np.flatnonzero(edge_distance_m < math.sqrt(2.0) * (half_m + PIXEL_M))
        left = self.ulx_m + np.floor((x[cut] - self.ulx_m) / PIXEL_M) * PIXEL_M - half_m
        top = self.uly_m - np.floor((self.uly_m - y[cut]) / PIXEL_M) * PIXEL_M + half_m
        chips = shapely.box(left, top - 2 * half_m, left + 2 * half_m, top)
        share[cut] = shapely.area(shapely.intersection(chips, self.polygon)) / (2 * half_m) ** 2
        return share


def _project(epsg: int, coordinates: Floats) -> Floats:
    return np.column_stack(_to_utm(epsg).transform(coordinates[:, 0], coordinates[:, 1]))


def _extent(scene: Scene) -> tuple[float, float, float, float]:
    """Upper-left x, y, width and height of the raster, metres: of the finest asset, else as the tile's name has it."""
    assets = sorted(scene.assets.items(), key=lambda item: (item[1].gsd_m, item[0]))
    if assets:
        asset = assets[0][1]
        return asset.ulx_m, asset.uly_m, float(asset.cols * asset.gsd_m), float(asset.rows * asset.gsd_m)
    _, ulx_m, uly_m = tile_corner(scene.mgrs_tile)
    return float(ulx_m), float(uly_m), float(TILE_SIDE_M), float(TILE_SIDE_M)


def _wrap(lon: Floats) -> Floats:
    wrapped: Floats = (lon + 180.0) % 360.0 - 180.0
    return wrapped
