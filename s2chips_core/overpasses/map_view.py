"""The frame of a picture of the plan: which part of the Earth it shows, and where on it a place lies.

Here: fitting the frame, shapes and degrees in its pixels, the scale bar. Not here: the projection (`mercator`), what is
drawn and how (`swath_layers`). Pixels count from the frame's upper-left corner, y downwards.
"""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry.base import BaseGeometry

from s2chips_core.overpasses.mercator import (
    MAX_LAT_DEG,
    RADIUS_KM,
    Floats,
    find_central_meridian_deg,
    latitude_deg,
    mercator_km,
    psi,
)

Geometries = npt.NDArray[np.object_]

BLEED_PX = 24.0
"""Shapes are cut so far outside the frame: their cut edges stay out of sight."""
_PADDING = 0.12
_LOWEST, _TALLEST = 0.5, 0.86
"""Of a frame's height to its width."""
_WORLD_DEG = 300.0
"""What reaches around so much of the Earth is shown on all of it, Greenwich in the middle."""
_DEGREE_STEPS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 45.0, 60.0)
_SEAM_PX = 0.02


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class MapView:
    """A frame on the Mercator map around `lon0_deg`; y of the map is 0 at the equator."""

    lon0_deg: float
    top_km: float
    """y of the upper edge, kilometres southwards of the equator on the map."""
    km_per_px: float
    width_px: float
    height_px: float

    @property
    def half_width_deg(self) -> float:
        """Half of the longitudes that are seen, degrees, at most 180."""
        return min(180.0, math.degrees(self.width_px / 2 * self.km_per_px / RADIUS_KM))

    @property
    def lat_range_deg(self) -> tuple[float, float]:
        """South and north edge, degrees."""
        edges = np.array([self.top_km + self.height_px * self.km_per_px, self.top_km])
        south, north = latitude_deg(-edges / RADIUS_KM)
        return float(south), float(north)

    def place_px(self, lon_deg: Floats, lat_deg: Floats) -> tuple[Floats, Floats]:
        """Where places lie; longitudes are taken to within half a turn of the middle."""
        x_km, y_km = mercator_km(lon_deg, lat_deg, lon0_deg=self.lon0_deg, lat0_deg=0.0)
        return x_km / self.km_per_px + self.width_px / 2, (y_km - self.top_km) / self.km_per_px

    def draw(self, geometries: Sequence[BaseGeometry] | Geometries, tolerance_px: float) -> BaseGeometry:
        """The union of what is seen of some polygons, in pixels; what was cut at 180 degrees is joined again.

        Args:
            geometries: WGS 84 lon/lat, cut at the antimeridian (RFC 7946, section 3.1.9), or reaching beyond it.
            tolerance_px: an outline may be so far off.
        """
        parts = shapely.get_parts(np.asarray(geometries, dtype=object))
        parts = shapely.force_2d(parts[shapely.get_type_id(parts) == shapely.GeometryType.POLYGON])
        if parts.size == 0:
            return shapely.Polygon()
        west, _, east, _ = shapely.bounds(parts).T
        for place in np.flatnonzero(east - west > 180.0):
            parts[place] = _unwrapped(parts[place])
        west, low, east, high = shapely.bounds(parts).T
        bleed_deg = math.degrees(BLEED_PX * self.km_per_px / RADIUS_KM)
        half_deg = min(180.0, self.half_width_deg + bleed_deg)
        edges = np.array(
            [self.top_km + (self.height_px + BLEED_PX) * self.km_per_px, self.top_km - BLEED_PX * self.km_per_px]
        )
        south, north = latitude_deg(-edges / RADIUS_KM)
        window = shapely.box(-half_deg, south, half_deg, north)
        seen = []
        for turn in (-2, -1, 0, 1, 2):
            offset = 360.0 * turn - self.lon0_deg
            near = (west + offset < half_deg) & (east + offset > -half_deg) & (low < north) & (high > south)
            if near.any():
                moved = shapely.transform(parts[near], lambda lonlat, by=offset: np.add(lonlat, (by, 0.0)))
                valid = shapely.make_valid(moved)
                seen.append(shapely.intersection(valid, window))
        if not seen:
            return shapely.Polygon()
        flat = shapely.segmentize(np.concatenate(seen), max(half_deg / 24, 0.05))
        flat = shapely.transform(flat, self._from_middle_px)
        joined = shapely.union_all(shapely.get_parts(shapely.make_valid(flat)), grid_size=_SEAM_PX)
        return shapely.make_valid(shapely.simplify(joined, tolerance_px))

    def _from_middle_px(self, lonlat: Floats) -> Floats:
        """Longitudes counted from the middle, which may lie a hair beyond half a turn."""
        x_km = RADIUS_KM * np.radians(lonlat[:, 0])
        y_km = -RADIUS_KM * psi(lonlat[:, 1])
        return np.column_stack([x_km / self.km_per_px + self.width_px / 2, (y_km - self.top_km) / self.km_per_px])

    def meridians(self) -> list[tuple[float, str]]:
        """x and name (`5° W`) of the meridians to draw, from the left."""
        step = self._step_deg()
        first, last = self.lon0_deg - self.half_width_deg, self.lon0_deg + self.half_width_deg
        lons = np.arange(math.ceil(first / step), math.floor(last / step) + 1) * step
        x = (lons - self.lon0_deg) * math.radians(1) * RADIUS_KM / self.km_per_px + self.width_px / 2
        turned = (lons + 180.0) % 360.0 - 180.0
        return [(float(at), _degree_text(float(lon), "W", "E")) for at, lon in zip(x, turned, strict=True)]

    def parallels(self) -> list[tuple[float, str]]:
        """y and name (`36° N`) of the parallels to draw, from the south."""
        step = self._step_deg()
        south, north = self.lat_range_deg
        lats = np.arange(math.ceil(south / step), math.floor(north / step) + 1, dtype=np.float64) * step
        _, y = self.place_px(np.zeros(lats.size), lats)
        return [(float(at), _degree_text(float(lat), "S", "N")) for at, lat in zip(y, lats, strict=True)]

    def scale_bar(self, longest_px: float) -> tuple[float, float] | None:
        """Length in pixels and in kilometres of a bar in the middle of the frame; None where it holds nowhere else.

        Mercator stretches by 1 / cos(latitude): a bar is shown where that differs by less than a third over the frame.
        """
        south, north = (math.radians(lat) for lat in self.lat_range_deg)
        stretch = [1 / math.cos(lat) for lat in (south, (south + north) / 2, north)]
        if max(stretch) > 1.33 * min(stretch) or (south < 0 < north and max(stretch) > 1.33):
            return None
        longest_km = longest_px * self.km_per_px / stretch[1]
        decade = 10.0 ** math.floor(math.log10(longest_km))
        km = max(f * decade for f in (1.0, 2.0, 5.0) if f * decade <= longest_km)
        return km * stretch[1] / self.km_per_px, km

    def _step_deg(self) -> float:
        """So that there are some six meridians and none are closer than their names are long."""
        wanted = max(2 * self.half_width_deg / 7, 2 * self.half_width_deg * 70 / self.width_px)
        return next((step for step in _DEGREE_STEPS if step >= wanted), _DEGREE_STEPS[-1])


def fit_view(lon_deg: Floats, lat_deg: Floats, *, width_px: float, least_km: float) -> MapView:
    """A frame that holds all places, and some room around them.

    Args:
        lon_deg: longitudes; the places that must be seen.
        lat_deg: their latitudes.
        width_px: of the frame; its height follows, from half of that to nearly that.
        least_km: no frame shows less than that, from west to east, on the ground.
    """
    lon0 = find_central_meridian_deg(lon_deg)
    turned = (lon_deg - lon0 + 180.0) % 360.0 - 180.0
    if lon_deg.size and np.ptp(turned) > _WORLD_DEG:
        lon0, turned = 0.0, np.array([-180.0, 180.0])
    x_km = RADIUS_KM * np.radians(turned) if lon_deg.size else np.zeros(1)
    y_km = -RADIUS_KM * psi(lat_deg) if lon_deg.size else np.zeros(1)
    middle_km = float(y_km.min() + y_km.max()) / 2
    stretch = math.cosh(middle_km / RADIUS_KM)  # 1 / cos(latitude) of the middle
    width_km = max(2 * float(np.abs(x_km).max()) * (1 + 2 * _PADDING), least_km * stretch)
    height_km = max(float(np.ptp(y_km)) * (1 + 2 * _PADDING), least_km * stretch * _LOWEST)
    world_km = 2 * math.pi * RADIUS_KM
    width_km = min(width_km, world_km)
    height_px = width_px * min(max(height_km / width_km, _LOWEST), _TALLEST)
    km_per_px = min(max(width_km / width_px, height_km / height_px), world_km / width_px)
    edge_km = RADIUS_KM * float(psi(np.array(MAX_LAT_DEG)))
    top_km = max(-edge_km, min(middle_km - height_px / 2 * km_per_px, edge_km - height_px * km_per_px))
    return MapView(lon0_deg=lon0, top_km=top_km, km_per_px=km_per_px, width_px=width_px, height_px=height_px)


def _unwrapped(polygon: BaseGeometry) -> BaseGeometry:
    """The polygon without jumps of a turn between neighbouring vertices; longitudes may then leave [-180, 180]."""
    rings = [np.asarray(ring.coords) for ring in (polygon.exterior, *polygon.interiors)]
    if all(ring.size == 0 or np.abs(np.diff(ring[:, 0])).max() <= 180.0 for ring in rings):
        return polygon
    whole = [np.column_stack([np.unwrap(ring[:, 0], period=360.0), ring[:, 1]]) for ring in rings]
    if whole[0][0, 0] != whole[0][-1, 0]:
        return polygon  # around a pole: there is no way to open it
    start = whole[0][0, 0]
    holes = [np.add(ring, (360.0 * round((start - ring[0, 0]) / 360.0), 0.0)) for ring in whole[1:]]
    opened = shapely.Polygon(whole[0], holes)
    # An edge from -180 to 180 along a parallel, as around a polar cap, is no jump: opened, nothing would be left.
    return opened if opened.area > 0 else polygon


def _degree_text(value: float, negative: str, positive: str) -> str:
    amount = f"{abs(value):.1f}".rstrip("0").rstrip(".")
    at_none = value == 0 or abs(value) == 180
    return f"{amount}°" if at_none else f"{amount}° {negative if value < 0 else positive}"
