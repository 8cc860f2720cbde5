import numpy as np
import pytest

from s2chips_core.sandbox.passes import WORLD_EPSG, transform
from s2chips_core.sandbox.terrain import Terrain, fractal_noise, segment_distance_m


@pytest.fixture(scope="module")
def terrain() -> Terrain:
    return Terrain()


@pytest.mark.parametrize(
    ("place", "lon", "lat", "is_land"),
    [
        ("Tetouan", -5.37, 35.57, True),
        ("Ksar el-Kebir", -5.9, 35.0, True),
        ("hills behind Tarifa", -5.6, 36.1, True),
        ("middle of the strait", -5.6, 35.93, False),
        ("Atlantic off Larache", -6.6, 35.3, False),
        ("Alboran Sea", -4.6, 35.8, False),
    ],
)
def test_true_places_are_on_the_right_side_of_the_shore(
    terrain: Terrain, place: str, lon: float, lat: float, is_land: bool
) -> None:
    x_m, y_m = transform(4326, WORLD_EPSG, np.array([lon]), np.array([lat]))
    assert (terrain.distance_inland_m(x_m, y_m)[0] > 0) == is_land, place


def test_noise_depends_on_the_place_only() -> None:
    x, y = np.meshgrid(np.arange(0, 50_000, 700.0), np.arange(3_900_000, 3_950_000, 700.0))
    whole = fractal_noise(x, y, scale_m=4_000, octaves=4, seed=5)
    part = fractal_noise(x[10:20, 30:40], y[10:20, 30:40], scale_m=4_000, octaves=4, seed=5)
    assert np.array_equal(whole[10:20, 30:40], part)
    assert not np.allclose(whole, fractal_noise(x, y, scale_m=4_000, octaves=4, seed=6))
    assert abs(whole.mean()) < 0.2
    assert 0.2 < whole.std() < 0.6


def test_piers_stand_in_the_water_and_touch_land(terrain: Terrain) -> None:
    for mole in terrain.piers[::5]:
        ends = np.array([mole.x0_m, mole.x1_m]), np.array([mole.y0_m, mole.y1_m])
        root, head = terrain.distance_inland_m(*ends)
        assert root > -120
        assert head < -80


def test_distance_to_a_segment() -> None:
    x, y = np.array([5.0, -3.0, 14.0]), np.array([2.0, 4.0, 3.0])
    assert segment_distance_m(x, y, 0, 0, 10, 0) == pytest.approx([2, 5, 5])
