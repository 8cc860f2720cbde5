"""Where a satellite is: SGP4 in the Earth-fixed frame, nodes, orbit numbers, the Sun.

Here: positions, the point below the satellite, nodes, the 143 tracks of Sentinel-2's reference orbit and their numbers.
Not here: reading and judging elements (`elements`, `element_checks`) and what the camera sees (`swath`). Times are seconds
of Unix time (UTC) in arrays of any shape; positions are Earth-fixed WGS 84 (EPSG:4978) kilometres, shape (..., 3).
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from s2chips_core.errors import InputError

Floats = npt.NDArray[np.float64]
Satrec = Any
"""sgp4.api.Satrec, which has no types."""

REPEAT_ORBITS = 143
REPEAT_DAYS = 10
NODAL_PERIOD_S = REPEAT_DAYS * 86_400 / REPEAT_ORBITS
"""From one ascending node to the next: 143 orbits in 10 days (ESA, Sentinel-2 User Handbook)."""
TRACK_SPACING_DEG = 360.0 / REPEAT_ORBITS
NODE_1_LON_DEG = 0.9993
"""Longitude where relative orbit 1 crosses the equator northwards: mean of 107 element sets of 2016-2026, of which none is
more than 1.5 km away; the numbering is that of ESA's acquisition plans."""
SEMI_MAJOR_KM = 6378.137  # WGS 84
FLATTENING = 1.0 / 298.257223563  # WGS 84
EARTH_RATE_RAD_S = 7.292115146706979e-5  # Vallado, Fundamentals of Astrodynamics and Applications
_ECCENTRICITY_SQUARED = FLATTENING * (2.0 - FLATTENING)
_UNIX_EPOCH_JD = 2_440_587.5
_J2000_JD = 2_451_545.0
_SCAN_STEP_S = 240.0
_ABSOLUTE_MINUS_RELATIVE = {"S2A": (140, 26), "S2B": (26,), "S2C": (113,)}
"""Modulo 143. S2A: until 2024, and since it was moved in 2025. From acquisition plans and products of 2019-2026."""


def sidereal_angle_rad(time_s: Floats) -> Floats:
    """Greenwich mean sidereal time, the angle from TEME to Earth-fixed: IAU 1982 (Vallado, eq. 3-45).

    UTC is taken for UT1: they differ by 0.1 s in these years, 46 m on the ground at the equator.
    """
    centuries = ((_UNIX_EPOCH_JD - _J2000_JD) + time_s / 86_400.0) / 36_525.0
    seconds = 67_310.54841 + centuries * (876_600.0 * 3600 + 8_640_184.812866 + centuries * (0.093104 - 6.2e-6 * centuries))
    angle: Floats = np.radians(seconds / 240.0 % 360.0)
    return angle


def propagate(satrec: Satrec, time_s: Floats) -> tuple[Floats, Floats]:
    """Position (km) and velocity relative to the turning Earth (km/s).

    Raises:
        InputError: SGP4 gives up: the elements are of an orbit that has decayed by then, or of none.
    """
    day, second = np.divmod(time_s.ravel(), 86_400.0)
    error, r, v = satrec.sgp4_array(day + _UNIX_EPOCH_JD, second / 86_400.0)
    if error.any():
        raise InputError(f"elements of {satrec.satnum}", f"SGP4 error {error.max()}", "an orbit that SGP4 can follow")
    angle = sidereal_angle_rad(time_s.ravel())
    cos, sin = np.cos(angle), np.sin(angle)
    x, y = cos * r[:, 0] + sin * r[:, 1], cos * r[:, 1] - sin * r[:, 0]
    vx = cos * v[:, 0] + sin * v[:, 1] + EARTH_RATE_RAD_S * y
    vy = cos * v[:, 1] - sin * v[:, 0] - EARTH_RATE_RAD_S * x
    shape = (*time_s.shape, 3)
    return np.stack([x, y, r[:, 2]], axis=-1).reshape(shape), np.stack([vx, vy, v[:, 2]], axis=-1).reshape(shape)


def earth_fixed_km(lon_deg: Floats, lat_deg: Floats) -> Floats:
    """Points of the ellipsoid as Earth-fixed kilometres."""
    lon, lat = np.radians(lon_deg), np.radians(lat_deg)
    normal = SEMI_MAJOR_KM / np.sqrt(1.0 - _ECCENTRICITY_SQUARED * np.sin(lat) ** 2)
    x, y = normal * np.cos(lat) * np.cos(lon), normal * np.cos(lat) * np.sin(lon)
    return np.stack([x, y, normal * (1.0 - _ECCENTRICITY_SQUARED) * np.sin(lat)], axis=-1)


def geodetic_up(position_km: Floats) -> tuple[Floats, Floats]:
    """The upward normal of the ellipsoid below points, and their height above it (km).

    Right to 1 mm on the ground between 0 and 1,000 km of height; not for the Earth's centre.
    """
    axis = np.hypot(position_km[..., 0], position_km[..., 1])
    z = position_km[..., 2]
    # tan(latitude) = z / axis / (1 - e² N / (N + h)), N + h from the latitude before; the error shrinks 150-fold each time.
    shrink = np.full(axis.shape, 1.0 - _ECCENTRICITY_SQUARED * 0.89)
    for _ in range(4):
        length = np.hypot(axis * shrink, z)
        cos, sin = axis * shrink / length, z / length
        normal = SEMI_MAJOR_KM / np.sqrt(1.0 - _ECCENTRICITY_SQUARED * sin * sin)
        whole = axis * cos + z * sin + _ECCENTRICITY_SQUARED * normal * sin * sin
        shrink = 1.0 - _ECCENTRICITY_SQUARED * normal / whole
    up = np.stack([position_km[..., 0] / axis * cos, position_km[..., 1] / axis * cos, sin], axis=-1)
    return up, whole - normal


def lonlat_below(position_km: Floats) -> tuple[Floats, Floats]:
    """Geodetic longitude and latitude of the point below, degrees."""
    up, _ = geodetic_up(position_km)
    return np.degrees(np.arctan2(up[..., 1], up[..., 0])), np.degrees(np.arcsin(np.clip(up[..., 2], -1.0, 1.0)))


def next_node(satrec: Satrec, after_s: float, *, ascending: bool) -> float:
    """When the satellite next crosses the equator northwards (`ascending`) or southwards.

    Raises:
        InputError: as `propagate`.
    """
    sign = 1.0 if ascending else -1.0
    before, at_s = False, after_s
    for _ in range(100):  # 100 steps are four orbits
        z, _ = _height_and_rate(satrec, at_s)
        if before and z * sign >= 0.0:
            break
        before, at_s = z * sign < 0.0, at_s + _SCAN_STEP_S
    for _ in range(4):
        z, rate = _height_and_rate(satrec, at_s)
        at_s -= z / rate
    return at_s


def node_longitude_deg(satrec: Satrec, node_s: float) -> float:
    """Longitude of a node, in [0, 360)."""
    position, _ = propagate(satrec, np.array([node_s]))
    return float(np.degrees(np.arctan2(position[0, 1], position[0, 0])) % 360.0)


def track_offset_km(node_lon_deg: float) -> float:
    """How far east (west: negative) an ascending node is of that of the nearest of the 143 reference tracks."""
    off = (node_lon_deg - NODE_1_LON_DEG + TRACK_SPACING_DEG / 2) % TRACK_SPACING_DEG - TRACK_SPACING_DEG / 2
    return float(np.radians(off) * SEMI_MAJOR_KM)


def relative_orbit(node_lon_deg: float) -> int:
    """Number, 1 to 143, of the reference track whose ascending node is nearest.

    The next orbit's node is 10 spacings to the west, so numbers run as -43 (10 · 43 = 3 · 143 + 1) times the spacings.

    >>> relative_orbit(0.9993), relative_orbit(0.9993 - 3600 / 143)
    (1, 2)
    """
    return -43 * round((node_lon_deg - NODE_1_LON_DEG) / TRACK_SPACING_DEG) % REPEAT_ORBITS + 1


def absolute_orbit(satellite: str, revolution: int, relative: int) -> int | None:
    """ESA's orbit number from the revolution that the elements count, which is it or 1 less.

    Both are counted from node to node. The elements' count has lost an orbit of S2A and S2B in 2025; which it is follows
    from the relative orbit, whose number differs from ESA's count by a constant modulo 143.

    >>> absolute_orbit("S2A", 58131, 48)
    58132

    Returns:
        None where the revolution fits no constant of the satellite.
    """
    for number in (revolution, revolution + 1, revolution - 1):
        if (number - relative) % REPEAT_ORBITS in _ABSOLUTE_MINUS_RELATIVE.get(satellite, ()):
            return number
    return None


def sun_direction(time_s: Floats) -> Floats:
    """Unit vectors to the Sun, Earth-fixed: low-precision formula of the Astronomical Almanac, 0.01 degrees until 2050."""
    days = time_s / 86_400.0 + (_UNIX_EPOCH_JD - _J2000_JD)
    anomaly = np.radians(357.528 + 0.9856003 * days)
    longitude = np.radians(280.460 + 0.9856474 * days + 1.915 * np.sin(anomaly) + 0.020 * np.sin(2 * anomaly))
    obliquity = np.radians(23.439 - 4e-7 * days)
    ascension = np.arctan2(np.cos(obliquity) * np.sin(longitude), np.cos(longitude)) - sidereal_angle_rad(time_s)
    sin = np.sin(obliquity) * np.sin(longitude)
    cos = np.sqrt(1.0 - sin * sin)
    return np.stack([cos * np.cos(ascension), cos * np.sin(ascension), sin], axis=-1)


def _height_and_rate(satrec: Satrec, time_s: float) -> tuple[float, float]:
    """Distance north of the equator's plane (km) and its rate (km/s); the plane is the same in TEME."""
    day, second = divmod(time_s, 86_400.0)
    error, r, v = satrec.sgp4(day + _UNIX_EPOCH_JD, second / 86_400.0)
    if error:
        raise InputError(f"elements of {satrec.satnum}", f"SGP4 error {error}", "an orbit that SGP4 can follow")
    return r[2], v[2]
