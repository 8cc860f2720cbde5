"""The hull of a ship as an oriented box on a chip: from where its antenna was, its dimensions and its direction. Pure.

Here: which direction and which dimensions count, the corners on the UTM grid and in pixels of a chip. Not here: where the
ship was (`ais.position`), which ships are in a chip (`index.labels`). ITU-R M.1371-5, figure 41: dimension A is from the
antenna to the bow, B to the stern, C to port, D to starboard. Corners come in the order bow-port, bow-starboard,
stern-starboard, stern-port. Pixels count from the upper-left corner of the upper-left pixel, so that the centre of pixel
(128, 128) is (128.5, 128.5).
"""

import numpy as np
import numpy.typing as npt
import pyproj

from s2chips_core.ais.fixes import Floats
from s2chips_core.chips.grid import Transform, utm_xy

COURSE_IS_DIRECTION_KN = 1.5
"""From this speed on a ship without heading lies along its course. Of real fixes that tell both, course and heading are more
than 45° apart in 87 % at 0.5 to 0.9 kn and in 71 % at 1 to 1.4 kn, but in 1 % at 1.5 to 1.9 kn and in 0.1 % above: 85, 78,
132 and 8,728 fixes of 15, 13, 10 and 425 ships."""
HEADING, COURSE = "heading", "course"
DIMENSIONS, LENGTH_WIDTH = "dimensions", "length_width"
PROBE_M = 1000.0
"""How far ahead the point lies that shows direction and scale of the grid; over it a geodesic turns by less than 0.01°."""

Bools = npt.NDArray[np.bool_]
Objects = npt.NDArray[np.object_]
_WGS84 = pyproj.Geod(ellps="WGS84")


def choose_direction(heading_deg: Floats, cog_deg: Floats, sog_kn: Floats) -> tuple[Floats, Objects]:
    """Where bows point: the heading where it is told, else the course of a ship that moves.

    Args:
        heading_deg: true heading, degrees; NaN where not available. Shape (ships,), as the others.
        cog_deg: course over ground, degrees.
        sog_kn: speed over ground, knots.

    Returns:
        Degrees clockwise from true north, NaN where not known; and `heading`, `course` or None.
    """
    by_heading = ~np.isnan(heading_deg)
    by_course = ~by_heading & ~np.isnan(cog_deg) & (np.nan_to_num(sog_kn) >= COURSE_IS_DIRECTION_KN)
    direction_deg = np.select([by_heading, by_course], [heading_deg, cog_deg], np.nan)
    return direction_deg, _named(by_heading, HEADING, by_course, COURSE)


def choose_extents(length_m: Floats, width_m: Floats, dimensions_m: Floats) -> tuple[Floats, Objects]:
    """How far hulls reach from the position: by dimensions A to D, else length and width centred on it.

    A = C = 0 with a size means that the place of the antenna is not known (M.1371-5, figure 41): such a hull is centred.
    A hull without length or without width is not known.

    Args:
        length_m: metres, shape (ships,); NaN where not known.
        width_m: the same.
        dimensions_m: A, B, C, D, metres, shape (ships, 4); NaN where not known.

    Returns:
        A, B, C, D of the box, metres, shape (ships, 4), NaN where not known; and `dimensions`, `length_width` or None.
    """
    a, b, c, d = dimensions_m.T
    sized = (a + b > 0) & (c + d > 0)
    placed = sized & ~((a == 0) & (c == 0))
    length_m = np.where(sized & ~placed, a + b, length_m)
    width_m = np.where(sized & ~placed, c + d, width_m)
    centred = ~placed & (length_m > 0) & (width_m > 0)
    half = np.stack([length_m, length_m, width_m, width_m], axis=1) / 2
    extents_m = np.select([placed[:, None], centred[:, None]], [dimensions_m, half], np.nan)
    return extents_m, _named(placed, DIMENSIONS, centred, LENGTH_WIDTH)


def _named(first: Bools, name: str, second: Bools, other_name: str) -> Objects:
    names = np.full(len(first), None, dtype=object)
    names[first], names[second] = name, other_name
    return names


def box_corners_m(lon: Floats, lat: Floats, epsg: int, direction_deg: Floats, extents_m: Floats) -> Floats:
    """Corners of hulls on the UTM grid.

    Directions are from true north, and the grid's north is up to 3° away from it (meridian convergence); its metres are
    up to 0.1 % off. A point `PROBE_M` ahead of each ship, on the ellipsoid, is put on the grid and shows both.

    Args:
        lon, lat: of the antennas, degrees, shape (ships,).
        epsg: the UTM zone.
        direction_deg: of the bows, clockwise from true north.
        extents_m: A, B, C, D, shape (ships, 4).

    Returns:
        Easting and northing, metres, shape (ships, 4 corners, 2); NaN where direction or extents are.
    """
    here = np.stack(utm_xy(lon, lat, epsg), axis=1)
    known = ~np.isnan(direction_deg)
    ahead_lon, ahead_lat, _ = _WGS84.fwd(lon, lat, np.where(known, direction_deg, 0.0), np.full(len(lon), PROBE_M))
    ahead = (np.stack(utm_xy(ahead_lon, ahead_lat, epsg), axis=1) - here) / PROBE_M
    ahead[~known] = np.nan
    starboard = np.stack([ahead[:, 1], -ahead[:, 0]], axis=1)
    a, b, c, d = extents_m.T
    along, across = np.stack([a, a, -b, -b], axis=1), np.stack([-c, d, d, -c], axis=1)
    corners: Floats = here[:, None] + along[:, :, None] * ahead[:, None] + across[:, :, None] * starboard[:, None]
    return corners


def in_pixels(xy_m: Floats, transform: Transform) -> Floats:
    """Column and row of points of the grid in a chip; the last axis of `xy_m` is easting, northing.

    >>> in_pixels(np.array([500015.0, 5999985.0]), (10.0, 0.0, 500000.0, 0.0, -10.0, 6000000.0))
    array([1.5, 1.5])
    """
    a, _, c, _, e, f = transform
    pixels: Floats = (xy_m - [c, f]) / [a, e]
    return pixels
