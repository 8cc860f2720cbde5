import math

import numpy as np
import pytest

from s2chips_core.sandbox.weather import TOP_M, Weather


def test_a_shadow_lies_on_the_far_side_of_the_sun() -> None:
    weather = Weather(
        seed=1,
        cover=-5.0,
        front_x_m=None,
        banks=((50_000.0, 50_000.0, 3_000.0),),
        sun_azimuth_deg=163.0,
        sun_elevation_deg=45.0,
    )
    x, y = np.meshgrid(np.arange(40_000, 60_000, 100.0), np.arange(40_000, 60_000, 100.0))
    cloud, shadow = weather.thickness(x, y), weather.shadow(x, y)
    assert cloud[100, 100] == 1.0

    def middle(field: np.ndarray) -> np.ndarray:
        return np.array([(x * field).sum(), (y * field).sum()]) / field.sum()

    moved = middle(shadow) - middle(cloud)
    assert np.hypot(*moved) == pytest.approx(TOP_M, abs=120)  # the sun at 45 degrees
    assert math.degrees(math.atan2(*moved)) % 360 == pytest.approx(163 + 180, abs=5)


def test_a_front_closes_the_sky_in_the_west() -> None:
    weather = Weather(seed=2, cover=-5.0, front_x_m=200_000.0, banks=(), sun_azimuth_deg=160.0, sun_elevation_deg=40.0)
    y = np.linspace(3_900_000, 3_990_000, 200)
    assert weather.thickness(np.full(200, 160_000.0), y).mean() > 0.98
    assert weather.thickness(np.full(200, 240_000.0), y).mean() < 0.02
