"""Why a target has no scene: pending, too cloudy, too far in time, not to be placed, or none at all. With the numbers.

Pure. Not here: finding the pairs (`candidates`) and choosing among the usable ones (`matching`).
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from s2chips_core.scenes.candidates import Bools, Ints, Limits, Pairs, Ships, scene_times_ms
from s2chips_core.scenes.footprints import Footprint
from s2chips_core.scenes.matches import MatchStatus
from s2chips_core.scenes.scene import Scene

EARTH_RADIUS_KM = 6371.0
_CHUNK = 5_000


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Refusals:
    """One entry for each ship asked for."""

    status: list[MatchStatus]
    detail: list[str]
    pair: Ints
    """The pair that the sentence is about, -1 for none."""


def duration(seconds: float) -> str:
    """A length of time in the unit that reads best.

    >>> duration(42), duration(-754), duration(7 * 3600), duration(4 * 86400)
    ('42 s', '12.6 min', '7.0 h', '4.0 days')
    """
    seconds = abs(seconds)
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.1f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 172_800 else f"{seconds / 86_400:.1f} days"


def side(dt_ms: int) -> str:
    """Which side of the AIS time."""
    return "after" if dt_ms >= 0 else "before"


def explain_refusals(
    lost: Ints,
    ships: Ships,
    pairs: Pairs,
    scenes: Sequence[Scene],
    footprints: Sequence[Footprint],
    limits: Limits,
    *,
    now_ms: int,
    give_up_s: float,
) -> Refusals:
    """Why none of these ships has a usable pair.

    Args:
        lost: which ships.
        ships, pairs, scenes, footprints, limits: what was matched; too cloudy scenes are among them.
        now_ms: milliseconds since 1970 UTC.
        give_up_s: from the AIS time on, how long a scene may still be published.
    """
    placeless = _closest(lost, pairs, pairs.in_reach & pairs.clear & pairs.refused)
    cloudy = _closest(lost, pairs, pairs.in_reach & ~pairs.clear)
    beyond = _closest(lost, pairs, ~pairs.in_reach)
    cloudy_count = _count(lost, pairs, pairs.in_reach & ~pairs.clear, len(ships.mmsi))
    waits_ms = ships.time_ms[lost] + round(give_up_s * 1000.0) - now_ms
    looked_at, nearest, distance_km = _nearest(lost, ships, scenes, footprints, limits)

    status, detail, pair = [], [], np.full(len(lost), -1, dtype=np.int64)
    for row in range(len(lost)):
        captured = bool(ships.captured[lost[row]])
        reach = duration(limits.max_dt_s if captured else limits.window_s)
        pending = waits_ms[row] > 0
        until = f"; until {duration(give_up_s)} after the AIS time ({duration(waits_ms[row] / 1000)} from now) it may come"
        if placeless[row] >= 0:
            pair[row] = placeless[row]
            status.append(MatchStatus.TIME_MISMATCH)
            detail.append(f"{pairs.refusal[pair[row]].rstrip('.')} (scene {scenes[pairs.scene[pair[row]]].scene_id}).")
        elif cloudy[row] >= 0:
            pair[row] = cloudy[row]
            scene = scenes[pairs.scene[pair[row]]]
            status.append(MatchStatus.PENDING_L2A if pending else MatchStatus.NO_SCENE)
            detail.append(
                f"{cloudy_count[row]} scene(s) of this place within {reach}, all too cloudy: the closest, {scene.scene_id}, "
                f"has {scene.cloud_cover:.1f} % cloud, the limit is {limits.cloud_cover_max:g} %{until if pending else ''}."
            )
        elif beyond[row] >= 0:
            pair[row] = beyond[row]
            scene, dt_ms = scenes[pairs.scene[pair[row]]], int(pairs.dt_ms[pair[row]])
            status.append(MatchStatus.PENDING_L2A if pending else MatchStatus.TIME_MISMATCH)
            detail.append(
                f"The closest scene of this place, {scene.scene_id}, was sensed {duration(dt_ms / 1000)} {side(dt_ms)} the "
                f"AIS time, the limit is {duration(limits.max_dt_s)}{until if pending else ''}."
            )
        else:
            seen = f"{looked_at[row]} scene(s) within {duration(limits.window_s)} of the AIS time looked at"
            if nearest[row] >= 0:
                seen += f", the nearest is {scenes[nearest[row]].scene_id}, its middle {distance_km[row]:.0f} km away"
            status.append(MatchStatus.PENDING_L2A if pending else MatchStatus.NO_SCENE)
            detail.append(f"No scene of this place within {reach} is published: {seen}{until if pending else ''}.")
    return Refusals(status=status, detail=detail, pair=pair)


def _closest(lost: Ints, pairs: Pairs, which: Bools) -> Ints:
    """For each lost ship its pair of this kind that is closest in time, -1 for none."""
    rows = np.flatnonzero(which)
    rows = rows[np.lexsort((pairs.scene[rows], np.abs(pairs.dt_ms[rows]), pairs.ship[rows]))]
    ship, first = np.unique(pairs.ship[rows], return_index=True)
    at = np.searchsorted(ship, lost)
    found = np.append(ship, -1)[np.minimum(at, len(ship))] == lost
    return np.where(found, np.append(rows[first], -1)[np.where(found, at, -1)], -1)


def _count(lost: Ints, pairs: Pairs, which: Bools, ships: int) -> npt.NDArray[np.intp]:
    return np.bincount(pairs.ship[which], minlength=ships)[lost]


def _nearest(
    lost: Ints, ships: Ships, scenes: Sequence[Scene], footprints: Sequence[Footprint], limits: Limits
) -> tuple[Ints, Ints, npt.NDArray[np.float64]]:
    """How many scenes lie within the window of each lost ship, which of them has its middle nearest, and how far, km."""
    count, nearest = np.zeros(len(lost), dtype=np.int64), np.full(len(lost), -1, dtype=np.int64)
    distance_km = np.full(len(lost), np.nan)
    if not scenes:
        return count, nearest, distance_km
    middle_lon = np.array([f.meridian_deg + (f.west_deg + f.east_deg) / 2 for f in footprints])
    middle = _unit(middle_lon, np.array([(f.south_deg + f.north_deg) / 2 for f in footprints]))
    times_ms, window_ms = scene_times_ms(scenes), limits.window_s * 1000.0
    for first in range(0, len(lost), _CHUNK):
        rows = slice(first, first + _CHUNK)
        chunk = lost[rows]
        cosine = _unit(ships.lon[chunk], ships.lat[chunk]) @ middle.T
        inside = np.abs(times_ms[None, :] - ships.time_ms[chunk][:, None]) <= window_ms
        cosine[~inside] = -2.0
        count[rows] = inside.sum(axis=1)
        best = cosine.argmax(axis=1)
        any_inside = inside.any(axis=1)
        nearest[rows] = np.where(any_inside, best, -1)
        angle = np.arccos(np.clip(cosine[np.arange(len(chunk)), best], -1.0, 1.0))
        distance_km[rows] = np.where(any_inside, angle * EARTH_RADIUS_KM, np.nan)
    return count, nearest, distance_km


def _unit(lon_deg: npt.NDArray[np.float64], lat_deg: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    lon, lat = np.radians(lon_deg), np.radians(lat_deg)
    return np.column_stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])
