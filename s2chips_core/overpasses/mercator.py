"""Maps of our own: a local Web Mercator in kilometres around a central meridian, and shapes as SVG paths.

Here: the central meridian, the projection, paths. Not here: what is drawn, and where on a page (`map_view`, `swath_map`,
`pages.day_map`).
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely

Floats = npt.NDArray[np.float64]

RADIUS_KM = 6378.137
"""Of the sphere of Web Mercator (EPSG:3857): the semi-major axis of WGS 84."""
MAX_LAT_DEG = 85.0
"""Places nearer to a pole are drawn here: Mercator has no pole, and Sentinel-2 stops at 84 degrees."""


def find_central_meridian_deg(lons_deg: Floats) -> float:
    """The middle of the shortest arc that holds all longitudes, in [-180, 180), degrees; 0 for none.

    A day on both sides of 180 degrees gets a meridian near 180, so that it is not torn apart.

    >>> find_central_meridian_deg(np.array([179.0, -179.0, -178.0]))
    -179.5
    """
    if lons_deg.size == 0:
        return 0.0
    lons = np.unique(np.mod(lons_deg, 360.0))
    gaps = np.diff(np.append(lons, lons[0] + 360.0))
    widest = int(np.argmax(gaps))
    west = float(lons[(widest + 1) % lons.size])
    middle = west + (360.0 - float(gaps[widest])) / 2.0
    return (middle + 180.0) % 360.0 - 180.0


def mercator_km(lon_deg: Floats, lat_deg: Floats, *, lon0_deg: float, lat0_deg: float) -> tuple[Floats, Floats]:
    """Longitude and latitude, degrees, to x eastwards and y southwards of (lon0, lat0), kilometres.

    Longitudes are taken to within half a turn of lon0. Spherical Mercator: Snyder, Map Projections (USGS PP 1395),
    eq. 7-1 and 7-2.
    """
    turned = np.mod(lon_deg - lon0_deg + 180.0, 360.0) - 180.0
    return RADIUS_KM * np.radians(turned), -RADIUS_KM * (psi(lat_deg) - psi(np.asarray(lat0_deg)))


def psi(lat_deg: Floats) -> Floats:
    """The isometric latitude of the sphere, radians, held at MAX_LAT_DEG: Mercator's northing for a radius of 1."""
    held = np.clip(lat_deg, -MAX_LAT_DEG, MAX_LAT_DEG)
    stretched: Floats = np.arcsinh(np.tan(np.radians(held)))
    return stretched


def latitude_deg(psi_rad: Floats) -> Floats:
    """The latitude, degrees, of an isometric latitude, radians: Snyder, eq. 7-4."""
    lat: Floats = np.degrees(np.arctan(np.sinh(psi_rad)))
    return lat


def svg_path(geometry: Any, decimals: int) -> str:
    """The polygons of a geometry as an SVG path, holes too, coordinates rounded to so many decimals; empty for none."""
    polygons = [part for part in shapely.get_parts(geometry) if part.geom_type == "Polygon" and not part.is_empty]
    rings = [ring.coords[:-1] for polygon in polygons for ring in (polygon.exterior, *polygon.interiors)]
    return "".join("M" + "L".join(f"{short(x, decimals)} {short(y, decimals)}" for x, y in ring) + "Z" for ring in rings)


def short(value: float, decimals: int) -> str:
    """A number without trailing zeros.

    >>> short(-0.04, 1), short(12.50, 2)
    ('0', '12.5')
    """
    text = f"{value:.{decimals}f}"
    text = text.rstrip("0").rstrip(".") if decimals else text
    return "0" if text == "-0" or not math.isfinite(value) else text
