import math

import numpy as np
import pytest

from s2chips_core.sandbox.hulls import KELVIN_HALF_ANGLE, PaintedShip, hull, wake


def _ship(heading_deg: float = 40.0, length_m: float = 180.0, width_m: float = 30.0, speed_m_s: float = 8.0) -> PaintedShip:
    east, north = math.sin(math.radians(heading_deg)), math.cos(math.radians(heading_deg))
    return PaintedShip(
        x_m=3.0,
        y_m=-2.0,
        heading_x=east,
        heading_y=north,
        way_x=east,
        way_y=north,
        length_m=length_m,
        width_m=width_m,
        speed_m_s=speed_m_s,
        mmsi=280000002,
        boxes=False,
    )


X = np.arange(-1500, 1500, 10.0)[None, :] + 5.0
Y = -X.T


@pytest.mark.parametrize("heading_deg", [0.0, 40.0, 135.0, 270.0])
def test_the_hull_has_the_ships_size_place_and_direction(heading_deg: float) -> None:
    cover, paint = hull(_ship(heading_deg), X, Y)
    # The bow tapers, so the hull is a little less than length times width.
    assert cover.sum() * 100 == pytest.approx(180 * 30, rel=0.15)
    east, north = (X * cover).sum() / cover.sum(), (Y * cover).sum() / cover.sum()
    assert math.hypot(east - 3.0, north + 2.0) < 10
    dx, dy = np.broadcast_to(X - east, cover.shape), np.broadcast_to(Y - north, cover.shape)
    covariance = np.cov(np.stack([dx.ravel(), dy.ravel()]), aweights=cover.ravel())
    axis = np.linalg.eigh(covariance)[1][:, 1]
    assert abs(math.sin(math.atan2(axis[0], axis[1]) - math.radians(heading_deg))) < 0.05
    assert paint[3][cover > 0.5].min() > 1_000  # near infrared: far above water's 100


def test_a_small_boat_covers_only_a_part_of_its_pixel() -> None:
    cover, _ = hull(_ship(length_m=12.0, width_m=4.0), X, Y)
    assert cover.sum() * 100 == pytest.approx(48, rel=0.35)
    assert cover.max() < 0.5


def test_the_wake_is_behind_the_ship_and_within_kelvins_wedge() -> None:
    ship = _ship(heading_deg=90.0)
    foam = wake(ship, X, Y)
    assert foam is not None
    ahead = np.broadcast_to(X > 150, foam[0].shape)
    assert np.abs(foam[:, ahead]).max() < 2
    assert foam[0][150, 120:135].min() > 50  # just astern
    outside = np.abs(Y + 2) > (300 - X) * math.tan(KELVIN_HALF_ANGLE + 0.12) + 120
    assert np.abs(foam[:, outside & (X < 150)]).max() < 5


def test_a_moored_ship_has_no_wake() -> None:
    assert wake(_ship(speed_m_s=0.0), X, Y) is None
