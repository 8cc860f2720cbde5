"""What AIS calls "not available", as ITU-R M.1371 has it."""

import numpy as np
import pytest

from s2chips_core.ais.fixes import FIX_SCHEMA, SAME_FIX, available_cog_deg, available_heading_deg, available_sog_kn, on_earth

NAN = float("nan")


def _same(got: np.ndarray, expected: list[float]) -> None:
    np.testing.assert_array_equal(got, np.array(expected))


def test_speed_102_3_is_no_speed() -> None:
    _same(available_sog_kn(np.array([0.0, 12.5, 102.2, 102.3, 1023.0, -1.0, NAN])), [0.0, 12.5, 102.2, NAN, NAN, NAN, NAN])


def test_course_360_is_no_course() -> None:
    _same(available_cog_deg(np.array([0.0, 359.9, 360.0, 409.5, -0.1, NAN])), [0.0, 359.9, NAN, NAN, NAN, NAN])


def test_heading_511_is_no_heading_but_360_is_north() -> None:
    _same(available_heading_deg(np.array([0.0, 359.0, 360.0, 511.0, -1.0, NAN])), [0.0, 359.0, 0.0, NAN, NAN, NAN])


@pytest.mark.parametrize(
    ("lat", "lon", "expected"),
    [
        (91.0, 0.0, False),
        (0.0, 181.0, False),
        (90.0, -180.0, True),
        (-90.0, 180.0, True),
        (NAN, 0.0, False),
        (0.0, NAN, False),
    ],
)
def test_91_and_181_are_nowhere(lat: float, lon: float, expected: bool) -> None:
    assert bool(on_earth(np.array([lat]), np.array([lon]))[0]) is expected


def test_a_fix_is_told_from_another_by_what_the_ship_sent_only() -> None:
    assert set(SAME_FIX) <= set(FIX_SCHEMA.names)
    assert not set(SAME_FIX) & {"received_at", "time_utc", "message_type", "tile_id", "ship_name"}
