"""Error estimates: the limits they must keep. How honest they are is measured in test_position."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from s2chips_core.ais.position_error import as_reported_sigma_m, dead_reckoned_sigma_m, interpolated_sigma_m


def test_a_fix_of_the_very_time_is_good_to_10_m() -> None:
    none = np.array([0.0])
    assert as_reported_sigma_m(np.array([20.0]), none)[0] == 10.0
    assert dead_reckoned_sigma_m(np.array([20.0]), none)[0] == 10.0
    assert interpolated_sigma_m(np.array([10.0]), none, np.array([600.0]), none)[0] == 10.0


def test_as_reported_is_off_by_the_way_made() -> None:
    sigma = as_reported_sigma_m(np.array([12.0, 12.0, np.nan]), np.array([300.0, -300.0, 300.0]))
    assert sigma == pytest.approx([1852.0] * 3, rel=1e-3)  # 12 kn for 5 min is one nautical mile; 12 kn is also the guess


@given(st.floats(0, 30), st.floats(0, 5000), st.floats(0, 5000))
def test_longer_gaps_are_never_surer(sog_kn: float, gap_s: float, more_s: float) -> None:
    sog, gap, longer = np.array([sog_kn]), np.array([gap_s]), np.array([gap_s + more_s])
    assert as_reported_sigma_m(sog, longer)[0] >= as_reported_sigma_m(sog, gap)[0]
    assert dead_reckoned_sigma_m(sog, longer)[0] >= dead_reckoned_sigma_m(sog, gap)[0]
    bend = np.array([np.nan])
    assert interpolated_sigma_m(sog, longer, longer, bend)[0] >= interpolated_sigma_m(sog, gap, gap, bend)[0]


def test_knowing_speed_and_course_makes_surer() -> None:
    speed, side = np.array([6.0]), np.array([300.0])
    known = interpolated_sigma_m(speed, side, side, np.array([10.0]))
    assert known < interpolated_sigma_m(speed, side, side, np.array([np.nan]))
    assert dead_reckoned_sigma_m(np.array([12.0]), side) < as_reported_sigma_m(np.array([12.0]), side)
