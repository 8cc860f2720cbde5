"""Outlines on the Earth as polygons in longitude and latitude, cut at the antimeridian (RFC 7946, section 3.1.9).

Not here: what is outlined (`strip`, `swath`, `tile_shapes`).
"""

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry.base import BaseGeometry


def cut_polygon(lon_deg: npt.NDArray[np.float64], lat_deg: npt.NDArray[np.float64]) -> BaseGeometry:
    """The polygon of a ring, WGS 84 degrees; a MultiPolygon where the antimeridian divides it.

    Args:
        lon_deg: of its vertices, less than 180 degrees from one to the next whichever way they are counted.
        lat_deg: of its vertices. A ring around a pole holds it.
    """
    lon, lat = np.unwrap(np.append(lon_deg, lon_deg[0]), period=360.0), np.append(lat_deg, lat_deg[0])
    if abs(lon[-1] - lon[0]) > 180.0:  # around a pole
        pole = np.copysign(90.0, lat[0])
        lon, lat = np.append(lon, [lon[-1], lon[0]]), np.append(lat, [pole, pole])
    whole = shapely.make_valid(shapely.Polygon(np.column_stack([lon, lat])))
    first, last = int(np.floor((lon.min() + 180.0) / 360.0)), int(np.floor((lon.max() + 180.0) / 360.0))
    parts = []
    for turn in range(first, last + 1):
        inside = shapely.intersection(whole, shapely.box(360.0 * turn - 180.0, -90.0, 360.0 * turn + 180.0, 90.0))
        parts.append(shapely.transform(inside, lambda xy, by=360.0 * turn: xy - (by, 0.0)))
    cut = whole if first == last == 0 else shapely.union_all(parts)
    polygons = [part for part in shapely.get_parts(cut) if part.geom_type == "Polygon"]
    # Counterclockwise outside: section 3.1.6.
    return shapely.orient_polygons(polygons[0] if len(polygons) == 1 else shapely.MultiPolygon(polygons))
