"""The clouds of the embedded archive, and the shadows that the sun makes of them.

Cloud thickness is a function of world coordinates, so overlapping tiles of one pass show the same clouds. Not here: what
a cloud reflects (`reflectance`).
"""

import math
from dataclasses import dataclass

import numpy as np

from s2chips_core.sandbox.terrain import fractal_noise

TOP_M = 1_300.0
"""Height of the clouds: how far their shadows fall beside them."""
LEVELS = 10
"""Thickness is shown in so many steps, which keeps the files small."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Weather:
    """The sky of one pass."""

    seed: int
    cover: float
    """0 clear, 1 a sky full of fair-weather cumulus."""
    front_x_m: float | None
    """World easting of a front: west of it the sky is closed."""
    banks: tuple[tuple[float, float, float], ...]
    """World easting, northing and radius (m) of banks of cloud."""
    sun_azimuth_deg: float
    sun_elevation_deg: float

    def thickness(self, x_m: np.ndarray, y_m: np.ndarray) -> np.ndarray:
        """0 clear to 1 opaque."""
        billows = fractal_noise(x_m, y_m, scale_m=3_400, octaves=4, seed=self.seed + 1)
        streets = fractal_noise(x_m, y_m, scale_m=30_000, octaves=2, seed=self.seed + 2)
        field = billows + 0.8 * streets - 1.0 + 0.6 * self.cover
        for x0_m, y0_m, radius_m in self.banks:
            distance = np.hypot(x_m - x0_m, (y_m - y0_m) * 1.3) / radius_m
            field = np.maximum(field, 1.0 - distance**2 + 0.75 * billows)
        if self.front_x_m is not None:
            edge_m = 9_000.0 * fractal_noise(x_m, y_m, scale_m=24_000, octaves=3, seed=self.seed + 3)
            field = np.maximum(field, (self.front_x_m + edge_m - x_m) / 6_000.0 + 0.8 * billows)
        t = np.clip(field / 0.6, 0, 1)
        thick: np.ndarray = t * t * (3 - 2 * t)
        return thick

    def shadow(self, x_m: np.ndarray, y_m: np.ndarray) -> np.ndarray:
        """0 sunlit to 1 in deep shadow: the thickness of the cloud between this place and the sun."""
        length_m = TOP_M / math.tan(math.radians(self.sun_elevation_deg))
        azimuth = math.radians(self.sun_azimuth_deg)
        return self.thickness(x_m + length_m * math.sin(azimuth), y_m + length_m * math.cos(azimuth))
