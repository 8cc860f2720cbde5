"""How far off a position may be: one-sigma estimates in metres for each way of placing a ship.

The constants were fitted to real tracks (digitraffic, Finnish waters, 522 fixes of 60 ships 1-12 min apart; Danish AIS,
97 s of all ships), leaving fixes out and placing the ship from the others; tests/ais/test_position.py holds them to it.
"Sigma" means: about two thirds of true errors are smaller, about 95 % are smaller than three times it. Ships that turn make
the tail.

What AIS reports is the antenna, not the middle of the ship: up to half a ship length is in no figure here.
"""

import numpy as np

from s2chips_core.ais.fixes import KNOT_M_S, Floats

FIX_SIGMA_M = 10.0
"""ITU-R M.1371-5: the position accuracy flag tells better than 10 m from worse."""
TYPICAL_SOG_KN = 12.0
"""Assumed of a ship that does not say its speed: two thirds of ships under way are slower, in both data sets."""
DRIFT_M_S = 0.02
"""Of a ship that says it lies still."""
STILL_KN = 0.5
"""Below this, course is noise and the ship is taken as lying still."""


def as_reported_sigma_m(sog_kn: Floats, dt_s: Floats) -> Floats:
    """Error of taking a ship to be where it was `dt_s` away: the way it can have made in that time.

    Args:
        sog_kn: knots; NaN where the ship did not say, taken as 12 kn.
        dt_s: seconds, either sign.
    """
    way_m = np.where(np.isnan(sog_kn), TYPICAL_SOG_KN, sog_kn) * KNOT_M_S * np.abs(dt_s)
    sigma: Floats = np.hypot(FIX_SIGMA_M, np.maximum(way_m, DRIFT_M_S * np.abs(dt_s)))
    return sigma


def dead_reckoned_sigma_m(sog_kn: Floats, dt_s: Floats) -> Floats:
    """Error of going on with a fix's speed and course for `dt_s` seconds."""
    gap_s = np.abs(dt_s)
    way_m = sog_kn * KNOT_M_S * gap_s
    sigma: Floats = np.sqrt(FIX_SIGMA_M**2 + (0.06 * way_m * (1 + (gap_s / 500.0) ** 2)) ** 2 + (0.05 * gap_s) ** 2)
    return sigma


def interpolated_sigma_m(speed_m_s: Floats, before_s: Floats, after_s: Floats, bend_m: Floats) -> Floats:
    """Error between a fix `before_s` earlier and one `after_s` later, seconds.

    Args:
        speed_m_s: metres a second between the two.
        before_s: shape (queries,).
        after_s: shape (queries,).
        bend_m: how far the curve that speeds and courses ask for lies from the straight line; NaN where not known.
    """
    # A random walk pinned at both ends: t1 t2 / (t1 + t2) is half the shorter time in the middle and 0 at the ends.
    pinned_s = before_s * after_s / np.maximum(before_s + after_s, 1e-3)
    share = np.where(np.isnan(bend_m), 0.25, 0.05)
    sigma: Floats = np.sqrt(
        FIX_SIGMA_M**2
        + (share * speed_m_s * pinned_s) ** 2
        + (0.6 * np.nan_to_num(bend_m)) ** 2
        + (DRIFT_M_S * pinned_s) ** 2
    )
    return sigma
