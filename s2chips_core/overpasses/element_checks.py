"""Are these the orbital elements of a Sentinel-2 satellite? What must be so, and the sentence when it is not.

Here: inclination, shape, period, drag, local time, and the ground track. Not here: reading the texts (`elements`), the orbit
itself (`orbit`). The limits are those of 107 real element sets of 2016-2026 with room to spare, and hold for a satellite
that is being moved along its orbit, too.
"""

import dataclasses
import math

from s2chips_core.errors import InputError
from s2chips_core.overpasses.orbit import (
    NODAL_PERIOD_S,
    REPEAT_DAYS,
    SEMI_MAJOR_KM,
    Satrec,
    next_node,
    node_longitude_deg,
    track_offset_km,
)

INCLINATION_DEG = (98.54, 98.60)
"""98.562 to 98.571 is real; with 0.03 degrees more the local time would run off by 5 min in a year."""
MAX_ECCENTRICITY = 1e-3
"""0.00009 to 0.00014 is real: the frozen orbit."""
MEAN_MOTION_REV_DAY = (14.278, 14.338)
"""14.30810 to 14.30824 is real; Sentinel-2A was moved by 0.6 orbits in 2025, which 0.03 a day does in 20 days."""
MAX_BSTAR = 1e-3
"""Per Earth radius; 0.0001 is real."""
NODE_LOCAL_TIME_H = 22.5
"""Mean local solar time of the ascending node: 10:30 at the descending one (ESA, Sentinel-2 User Handbook)."""
MAX_LOCAL_TIME_OFF_MIN = 5.0
"""0.5 is real."""
ON_TRACK_KM = 5.0
"""Along the equator; 1.5 is real."""
DRIFT_KM_DAY = 0.5
"""Who is off the tracks and drifts less is not on the way from one place to another; kept satellites drift 0.3 at most."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What an orbit was found to be."""

    check: str | None
    """Which check failed; None: none did."""
    reason: str
    """What of it, with the numbers."""
    track_offset_km: float
    """East of the nearest of the 143 reference tracks at the node before the epoch, along the equator; NaN: not computed."""


def judge_orbit(satrec: Satrec, epoch_s: float) -> Judged:
    """Hold an element set against what a Sentinel-2 satellite flies.

    A satellite that is being moved along its orbit leaves the 143 tracks, as Sentinel-2A did between 2024-12 and 2025-05: so
    elements off the tracks are right when they also drift, and refused when they stay where no Sentinel-2 stays.

    Args:
        satrec: the elements.
        epoch_s: their epoch, Unix time.
    """
    inclination_deg = math.degrees(satrec.inclo)
    if not INCLINATION_DEG[0] <= inclination_deg <= INCLINATION_DEG[1]:
        return _failed("inclination", f"{inclination_deg:.4f} degrees is not within {_span(INCLINATION_DEG)}")
    if not 0.0 <= satrec.ecco <= MAX_ECCENTRICITY:
        return _failed("eccentricity", f"{satrec.ecco:.7f} is more than {MAX_ECCENTRICITY}")
    motion = satrec.no_kozai * 720.0 / math.pi
    if not MEAN_MOTION_REV_DAY[0] <= motion <= MEAN_MOTION_REV_DAY[1]:
        return _failed("mean motion", f"{motion:.6f} orbits a day is not within {_span(MEAN_MOTION_REV_DAY)}")
    if not all(map(math.isfinite, (satrec.nodeo, satrec.argpo, satrec.mo, satrec.ndot, satrec.nddot))):
        return _failed("propagation", "an angle or a change of the mean motion is no finite number")
    if not abs(satrec.bstar) <= MAX_BSTAR:
        return _failed("drag", f"BSTAR {satrec.bstar:.3g} is more than {MAX_BSTAR}")
    try:
        node_s = next_node(satrec, epoch_s - NODAL_PERIOD_S + 60.0, ascending=True)  # an epoch lies just after the node
        lon = node_longitude_deg(satrec, node_s)
        later_s = next_node(satrec, node_s + REPEAT_DAYS * 86_400.0 - NODAL_PERIOD_S / 2, ascending=True)
        later_lon = node_longitude_deg(satrec, later_s)
    except InputError as error:
        return _failed("propagation", str(error))
    local_h = (node_s / 3600.0 + lon / 15.0) % 24.0
    off_min = ((local_h - NODE_LOCAL_TIME_H + 12.0) % 24.0 - 12.0) * 60.0
    if not abs(off_min) <= MAX_LOCAL_TIME_OFF_MIN:
        descending = (local_h + 12.0) % 24.0
        return _failed(
            "local time",
            f"the descending node is at {int(descending)}:{int(descending % 1 * 60):02d} local time, "
            f"{abs(off_min):.1f} min from 10:30; {MAX_LOCAL_TIME_OFF_MIN:g} are allowed",
        )
    offset_km = track_offset_km(lon)
    drift_km_day = math.radians((later_lon - lon + 180.0) % 360.0 - 180.0) * SEMI_MAJOR_KM / REPEAT_DAYS
    if abs(offset_km) > ON_TRACK_KM and abs(drift_km_day) < DRIFT_KM_DAY:
        return _failed(
            "ground track",
            f"{abs(offset_km):.1f} km off the nearest of the 143 tracks, {ON_TRACK_KM:g} are allowed, and drifting "
            f"{abs(drift_km_day):.2f} km a day not on the way to one",
        )
    return Judged(check=None, reason="", track_offset_km=offset_km)


def _failed(check: str, reason: str) -> Judged:
    return Judged(check=check, reason=reason, track_offset_km=math.nan)


def _span(limits: tuple[float, float]) -> str:
    return f"{limits[0]} to {limits[1]}"
