"""Painting ships: the hull as the sensor blurs it, and the wake behind a ship under way.

Pure geometry on pixel windows. Not here: where the ships are (`passes`), what the sea around them looks like (`render`).
"""

import math
from dataclasses import dataclass

import numpy as np

from s2chips_core.ais.fixes import KNOT_M_S
from s2chips_core.ais.synthetic import SyntheticShip

BLUR_M = 6.5
"""Standard deviation of the sensor's blur with the pixel's own width, metres."""
REACH_M = 1_700.0
"""A ship with its wake fits into a square of twice this side."""
GRAVITY_M_S2 = 9.81
KELVIN_HALF_ANGLE = math.asin(1 / 3)
"""Half angle of a ship's wave pattern in deep water (Kelvin)."""

# Reflectance × 10000 of deck and load in `reflectance.BANDS`, by how it is painted.
_PAINTS = (
    (1250, 1150, 1900, 2350, 2300, 2100, 2050, 2200, 2300, 2350),  # red lead
    (1700, 1650, 1450, 2200, 1800, 1650, 1650, 1900, 2100, 2150),  # blue
    (2100, 2200, 2250, 2700, 2300, 2100, 2350, 2500, 2600, 2650),  # grey
    (1500, 1750, 1700, 2450, 2250, 2000, 1900, 2150, 2350, 2400),  # green
    (2900, 3000, 3050, 3400, 2500, 2300, 3150, 3250, 3350, 3300),  # white
)
_HOUSE = np.array([3900.0, 4000, 4050, 4500, 3000, 2700, 4150, 4300, 4400, 4350])
_FOAM = np.array([390.0, 380, 330, 210, 50, 30, 300, 250, 240, 180])
_WAVES = np.array([1.0, 1.0, 0.95, 0.9, 0.3, 0.2, 0.9, 0.85, 0.85, 0.8])


@dataclass(frozen=True, slots=True, kw_only=True)
class PaintedShip:
    """A ship on the pixel grid of one scene."""

    x_m: float
    """Easting of its middle in the scene's zone."""
    y_m: float
    heading_x: float
    """Unit vector of the bow on the grid, easting."""
    heading_y: float
    """The same, northing."""
    way_x: float
    """Unit vector of its way over ground."""
    way_y: float
    length_m: float
    width_m: float
    speed_m_s: float
    mmsi: int
    boxes: bool
    """Whether it carries containers."""


def painted(ship: SyntheticShip, here: np.ndarray, ahead: np.ndarray, along: np.ndarray) -> PaintedShip:
    """`ship` at `here`; `ahead` and `along` are points in front of its bow and on its way, easting and northing."""
    bow, way = (ahead - here) / np.hypot(*(ahead - here)), (along - here) / np.hypot(*(along - here))
    return PaintedShip(
        x_m=float(here[0]),
        y_m=float(here[1]),
        heading_x=float(bow[0]),
        heading_y=float(bow[1]),
        way_x=float(way[0]),
        way_y=float(way[1]),
        length_m=ship.length_m,
        width_m=ship.width_m,
        speed_m_s=0.0 if ship.moored else ship.sog_kn * KNOT_M_S,
        mmsi=ship.mmsi,
        boxes=ship.ship_type == "Cargo" and ship.length_m > 120,
    )


def _step(x: np.ndarray) -> np.ndarray:
    """Normal distribution function of x, to 0.01 (logistic approximation)."""
    out: np.ndarray = 1.0 / (1.0 + np.exp(-1.702 * np.clip(x, -30, 30)))
    return out


def hull(ship: PaintedShip, x_m: np.ndarray, y_m: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How much of each pixel the hull covers, and what it reflects there.

    Args:
        ship: the ship.
        x_m: easting of pixel centres, shape (1, cols).
        y_m: northing of pixel centres, shape (rows, 1).

    Returns:
        Cover 0-1, shape (rows, cols), and reflectance × 10000, shape (bands, rows, cols).
    """
    east, north = x_m - ship.x_m, y_m - ship.y_m
    u = east * ship.heading_x + north * ship.heading_y
    v = east * ship.heading_y - north * ship.heading_x
    half = ship.length_m / 2
    taper = 1.0 - 0.75 * np.clip((u / half - 0.55) / 0.45, 0, 1) ** 2  # the bow
    beam = np.maximum(ship.width_m / 2 * taper, 0.8)
    along = _step((u + half) / BLUR_M) - _step((u - half) / BLUR_M)
    cover = along * (_step((v + beam) / BLUR_M) - _step((v - beam) / BLUR_M))
    deck = np.array(_PAINTS[ship.mmsi % len(_PAINTS)], float)[:, None, None]
    if ship.boxes:
        rows = np.sin(u * (2 * math.pi / 33.0) + ship.mmsi % 7) * np.sin(v * (2 * math.pi / 24.0) + 1.0)
        deck = deck * (1.0 + 0.28 * rows)
    aft = -0.62 * half if ship.length_m > 60 else 0.0
    house_half = max(4.0, min(12.0, ship.length_m * 0.08))
    house = _step((u - aft + house_half) / BLUR_M) - _step((u - aft - house_half) / BLUR_M)
    return cover, deck * (1 - house) + _HOUSE[:, None, None] * house


def wake(ship: PaintedShip, x_m: np.ndarray, y_m: np.ndarray) -> np.ndarray | None:
    """What the wake adds, reflectance × 10000, shape (bands, rows, cols); none for a ship that lies still."""
    if ship.speed_m_s < 1.0:
        return None
    east, north = x_m - ship.x_m, y_m - ship.y_m
    astern = -(east * ship.way_x + north * ship.way_y) - ship.length_m * 0.35
    aside = east * ship.way_y - north * ship.way_x
    behind = _step(astern / 8.0)
    s = np.maximum(astern, 0.0)
    vigour = min(1.0, (ship.speed_m_s / 9.0) ** 1.5) * min(1.0, 0.35 + ship.length_m / 200.0)
    # Turbulent wake: as wide as the ship, slowly wider, fading over a good kilometre.
    half_width = 0.5 * ship.width_m + 3.0 + 0.55 * np.sqrt(s * max(ship.width_m, 4.0)) * 0.25
    foam = np.exp(-((aside / (half_width + BLUR_M)) ** 2)) * np.exp(-s / 430.0) * behind * vigour
    foam *= ship.width_m / (ship.width_m + 2 * BLUR_M) * 1.5
    # Kelvin's pattern: cusp waves along the arms, transverse waves between them.
    wavelength_m = 2 * math.pi * ship.speed_m_s**2 / GRAVITY_M_S2
    blurred = math.exp(-2 * (math.pi * BLUR_M / wavelength_m) ** 2)
    bow = s + ship.length_m * 0.8
    arm = np.abs(aside) - bow * math.tan(KELVIN_HALF_ANGLE)
    arm_width = 9.0 + 0.035 * bow
    cusp = np.exp(-((arm / arm_width) ** 2)) * (
        0.55 + 0.45 * np.cos(2 * math.pi * (bow + 0.7 * np.abs(aside)) / (wavelength_m * 1.3))
    )
    between = _step(-arm / 12.0) * np.cos(2 * math.pi * bow / wavelength_m)
    waves = behind * vigour * np.exp(-bow / 900.0) * (85.0 * cusp + 22.0 * blurred * between)
    added: np.ndarray = _FOAM[:, None, None] * foam + waves * _WAVES[:, None, None]
    return added
