"""What each class of ground reflects in each band, and which SCL class it is.

Values are surface reflectance × 10000 without any offset, after typical Sentinel-2 L2A spectra; SCL classes are those of
ESA's scene classification (0 nodata, 2 dark, 3 shadow, 4 vegetation, 5 not vegetated, 6 water, 7 unclassified, 8 and 9
cloud, 10 thin cirrus). Not here: where which class is (`terrain`).
"""

import numpy as np

BANDS = ("B02", "B03", "B04", "B08", "B11", "B12", "B05", "B06", "B07", "B8A")
BANDS_10M = 4
"""The first so many of `BANDS` have 10 m pixels, the others 20 m."""
BANDS_EVERYWHERE = 6
"""The first so many of `BANDS` are in every product; all of them would make the archive half as large again."""

SEA, SEA_LEVELS = 0, 5
SHALLOW, SHALLOW_LEVELS = 8, 22
SAND, TOWN, WALL = 30, 31, 35
LAND, GREEN_LEVELS, SHADE_LEVELS = 36, 10, 6
CLASSES = LAND + GREEN_LEVELS * SHADE_LEVELS

_DEEP = np.array([370.0, 262, 128, 66, 34, 22, 95, 72, 74, 58])
_GLINT_STEP = np.array([5.0, 5, 5, 4, 2, 2, 4, 4, 4, 3])
_SHALLOWS = np.array([760.0, 790, 420, 130, 50, 34, 300, 170, 175, 110])
_BARE = np.array([980.0, 1320, 1750, 2450, 3150, 2600, 2050, 2230, 2400, 2620])
_LUSH = np.array([330.0, 580, 390, 3150, 1650, 820, 860, 2350, 2950, 3350])
_SAND = np.array([1750.0, 2250, 2700, 3150, 3700, 3300, 2850, 2950, 3060, 3260])
_TOWN = np.array([1450.0, 1620, 1780, 2250, 2450, 2250, 1900, 2030, 2160, 2330])
_WALL = np.array([1500.0, 1650, 1750, 1900, 2050, 1950, 1790, 1830, 1870, 1930])

CLOUD = np.array([6900.0, 6700, 6800, 7100, 4300, 3300, 6900, 6950, 7050, 7000])
SHADOW = np.array([0.50, 0.42, 0.36, 0.34, 0.32, 0.32, 0.35, 0.35, 0.34, 0.34])
"""What a cloud shadow leaves of the light; blue keeps most, from the sky."""
TEXTURE = np.array([6.5, 6.0, 5.5, 5.5, 3.5, 3.0, 4.0, 4.0, 4.0, 3.8])
"""Standard deviation of the sea surface, reflectance × 10000."""


def _table() -> np.ndarray:
    table = np.zeros((CLASSES, len(BANDS)))
    for level in range(SEA_LEVELS):
        table[SEA + level] = _DEEP + _GLINT_STEP * (level - SEA_LEVELS / 2)
    for level in range(SHALLOW_LEVELS):
        part = (level / SHALLOW_LEVELS) ** 1.5
        table[SHALLOW + level] = _DEEP * (1 - part) + _SHALLOWS * part
    table[SAND], table[WALL] = _SAND, _WALL
    for level in range(4):
        table[TOWN + level] = _TOWN * (0.78 + 0.15 * level)
    for green in range(GREEN_LEVELS):
        part = green / (GREEN_LEVELS - 1)
        for shade in range(SHADE_LEVELS):
            light = 0.42 + 0.95 * (shade + 0.5) / SHADE_LEVELS
            table[LAND + green * SHADE_LEVELS + shade] = (_BARE * (1 - part) + _LUSH * part) * light
    return np.rint(table).astype(np.int16)


def _scl() -> np.ndarray:
    scl = np.full(CLASSES, 6, np.uint8)
    scl[SAND : WALL + 1] = 5
    for green in range(GREEN_LEVELS):
        row = LAND + green * SHADE_LEVELS
        scl[row : row + SHADE_LEVELS] = 4 if green >= GREEN_LEVELS // 2 - 1 else 5
        scl[row] = 2
    return scl


DN = _table()
"""int16, shape (CLASSES, bands)."""
SCL = _scl()
"""uint8, shape (CLASSES,)."""
IS_LAND = np.arange(CLASSES) >= SAND
