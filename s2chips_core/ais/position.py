"""Where a ship was at a time, from the fixes before and after it. Pure and vectorised.

Here: the choice of method, the geometry on the ellipsoid, refusals. Not here: what makes a sound track (`tracks`), the error
estimates (`position_error`). Longitudes come out in [-180, 180]; the antimeridian is nothing special to a geodesic.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyproj

from s2chips_core.ais.fixes import KNOT_M_S, Floats
from s2chips_core.ais.position_error import (
    STILL_KN,
    as_reported_sigma_m,
    dead_reckoned_sigma_m,
    interpolated_sigma_m,
)
from s2chips_core.ais.tracks import Bools, Ints, Tracks, build_tracks, drop_implausible, is_jump, without_jumps

__all__ = ["as_reported_sigma_m", "drop_implausible", "positions_at"]

MAX_CURVE_S = 2400.0
"""Speeds and courses bend the line between fixes up to this far apart; it has been measured up to 40 min."""
MAX_BLIND_GAP_S = 120.0
"""How far from its only fix a ship is still taken to be there when nothing tells how it moves: 740 m at 12 kn."""
MIN_TREND_S, MAX_TREND_S = 10.0, 600.0
"""Two fixes this far apart on one side of the time tell speed and course where the ship does not."""

_WGS84 = pyproj.Geod(ellps="WGS84")


def positions_at(fixes: pd.DataFrame, mmsi: Ints, time: npt.NDArray[np.datetime64], *, max_gap_s: float) -> pd.DataFrame:
    """Where each ship was at each time.

    The nearest fix must lie within `max_gap_s`. Between two such fixes, one on each side, the ship is put on the smooth
    curve that leaves and arrives with the reported speeds and courses (cubic Hermite), or on the geodesic where they are
    not known: interpolated. With one side only it goes on with speed and course of the nearest fix, or, where that is
    silent, with those that the last two fixes show: dead_reckoned. A ship that says it lies still stays, and a single
    silent fix holds for 120 s: as_reported, like a fix of that very time. Impossible jumps are dropped first; where fixes
    contradict each other evenly no place is made up.

    Args:
        fixes: FIX_SCHEMA, any order, repeats allowed.
        mmsi: shape (queries,).
        time: shape (queries,), UTC.
        max_gap_s: seconds from the time to the nearest fix.

    Returns:
        One row for each query, in order: `lat`, `lon` (degrees; NaN when refused), `position_method` (interpolated,
        dead_reckoned, as_reported; None), `position_gap_s` (to the nearest fix), `position_sigma_m`, `refusal` (None or a
        sentence), and the nearest fix: `fix_time`, `fix_lat`, `fix_lon`.
    """
    mmsi = np.asarray(mmsi, dtype=np.int64)
    time = np.asarray(time, dtype="datetime64[ms]")
    tracks = without_jumps(build_tracks(fixes[fixes["mmsi"].isin(np.unique(mmsi))]))
    found = _Bracket.find(tracks, mmsi, time)
    lon, lat, sigma_m = (np.full(len(mmsi), np.nan) for _ in range(3))
    method = np.full(len(mmsi), None, dtype=object)

    near = found.known & (found.gap_s <= max_gap_s)
    torn = near & _is_torn(tracks, found)
    both = near & ~torn & (np.maximum(found.before_s, found.after_s) <= max_gap_s)
    for name, where, place in (
        ("interpolated", both, _interpolated),
        ("dead_reckoned", near & ~torn, _dead_reckoned),
        ("as_reported", near & ~torn, _as_reported),
    ):
        rows = np.flatnonzero(where & np.isnan(sigma_m))
        lon[rows], lat[rows], sigma_m[rows] = place(tracks, found, rows)
        method[rows[~np.isnan(sigma_m[rows])]] = name
    refused = np.isnan(sigma_m)
    lon[refused] = lat[refused] = np.nan

    nearest = np.where(found.known, found.nearest, 0)
    none = len(tracks) == 0
    fix_time_ms = np.zeros(len(mmsi), dtype=np.int64) if none else tracks.time_ms[nearest]
    fix_time = np.where(found.known, fix_time_ms.astype("datetime64[ms]"), np.datetime64("NaT", "ms"))
    return pd.DataFrame(
        {
            "lat": lat,
            "lon": lon,
            "position_method": pd.Series(method, dtype=object),
            "position_gap_s": np.where(found.known, found.gap_s, np.nan),
            "position_sigma_m": sigma_m,
            "refusal": pd.Series(_refusals(tracks, found, mmsi, time, refused, torn, max_gap_s), dtype=object),
            "fix_time": pd.DatetimeIndex(fix_time).tz_localize("UTC"),
            "fix_lat": np.nan if none else np.where(found.known, tracks.lat[nearest], np.nan),
            "fix_lon": np.nan if none else np.where(found.known, tracks.lon[nearest], np.nan),
        }
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bracket:
    """For each query the fixes around its time, as indices into the tracks; -1 for none. A fix at the very time is both."""

    before: Ints
    after: Ints
    nearest: Ints
    before_s: Floats
    """Seconds from the fix before, infinite without one."""
    after_s: Floats
    gap_s: Floats
    known: Bools
    """Whether the ship has any fix (and the query a time)."""

    @classmethod
    def find(cls, tracks: Tracks, mmsi: Ints, time: npt.NDArray[np.datetime64]) -> "_Bracket":
        timed = ~np.isnat(time)
        time_ms = np.where(timed, time.astype(np.int64), 0)
        ships, first = np.unique(tracks.mmsi, return_index=True)
        ship = np.searchsorted(ships, mmsi)
        known = timed & (ship < len(ships)) & (np.append(ships, -1)[np.minimum(ship, len(ships))] == mmsi)
        ship = np.where(known, ship, 0)
        start, stop = np.append(first, 0)[ship], np.append(np.append(first[1:], len(tracks)), 0)[ship]
        # One sorted key for all ships: its rank, then the time since the first fix of all.
        origin = tracks.time_ms.min(initial=np.iinfo(np.int64).max) if len(tracks) else 0
        span = int(tracks.time_ms.max() - origin + 3) if len(tracks) else 3
        rank = np.repeat(np.arange(len(ships)), np.diff(np.append(first, len(tracks))))
        key = rank * span + (tracks.time_ms - origin + 1)
        asked = ship * span + np.clip(time_ms - origin + 1, 0, span - 1)
        before = np.searchsorted(key, asked, side="right") - 1
        after = np.searchsorted(key, asked, side="left")
        before = np.where(known & (before >= start), before, -1)
        after = np.where(known & (after < stop), after, -1)
        fix_ms = np.append(tracks.time_ms, 0)
        before_s = np.where(before >= 0, (time_ms - fix_ms[before]) / 1000.0, np.inf)
        after_s = np.where(after >= 0, (fix_ms[after] - time_ms) / 1000.0, np.inf)
        return cls(
            before=before,
            after=after,
            nearest=np.where(before_s <= after_s, before, after),
            before_s=before_s,
            after_s=after_s,
            gap_s=np.minimum(before_s, after_s),
            known=known,
        )


def _inward(tracks: Tracks, found: _Bracket) -> Ints:
    """The next fix of the same ship on the nearest fix's own side of the time, -1 for none."""
    step = np.where(found.nearest == found.before, -1, 1)
    inward = found.nearest + step
    inside = (inward >= 0) & (inward < len(tracks)) & (found.nearest >= 0)
    inward = np.where(inside, inward, -1)
    same = inside & (np.append(tracks.mmsi, -1)[inward] == np.append(tracks.mmsi, -2)[found.nearest])
    return np.where(same, inward, -1)


def _is_torn(tracks: Tracks, found: _Bracket) -> Bools:
    """Whether the fixes to place a ship with contradict each other."""
    torn = np.zeros(len(found.known), dtype=bool)
    bracketed = np.flatnonzero((found.before >= 0) & (found.after >= 0))
    torn[bracketed] = is_jump(tracks, found.before[bracketed], found.after[bracketed])
    inward = _inward(tracks, found)
    sided = np.flatnonzero(((found.before < 0) | (found.after < 0)) & (inward >= 0))
    torn[sided] = is_jump(tracks, found.nearest[sided], inward[sided])
    return torn


def _as_reported(tracks: Tracks, found: _Bracket, rows: Ints) -> tuple[Floats, Floats, Floats]:
    fix = found.nearest[rows]
    gap_s, sog_kn = found.gap_s[rows], tracks.sog_kn[fix]
    sigma_m = as_reported_sigma_m(sog_kn, gap_s)
    silent = np.isnan(sog_kn) | np.isnan(tracks.cog_deg[fix])
    sure = (gap_s == 0) | (sog_kn < STILL_KN) | (silent & (gap_s <= MAX_BLIND_GAP_S))
    return tracks.lon[fix], tracks.lat[fix], np.where(sure, sigma_m, np.nan)


def _dead_reckoned(tracks: Tracks, found: _Bracket, rows: Ints) -> tuple[Floats, Floats, Floats]:
    fix = found.nearest[rows]
    dt_s = np.where(fix == found.before[rows], found.gap_s[rows], -found.gap_s[rows])
    sog_kn, cog_deg = tracks.sog_kn[fix].copy(), tracks.cog_deg[fix].copy()
    sigma_share = np.ones(len(rows))

    mute = np.flatnonzero(np.isnan(sog_kn) | (np.isnan(cog_deg) & (sog_kn >= STILL_KN)))
    inward = _inward(tracks, found)[rows[mute]]
    mute, inward = mute[inward >= 0], inward[inward >= 0]
    apart_s = (tracks.time_ms[fix[mute]] - tracks.time_ms[inward]) / 1000.0
    fit = (np.abs(apart_s) >= MIN_TREND_S) & (np.abs(apart_s) <= MAX_TREND_S)
    mute, inward, apart_s = mute[fit], inward[fit], apart_s[fit]
    azimuth, _, way_m = _inverse(tracks, fix[mute], inward)
    # The geodesic from the fix points back to the inward one: the ship goes the other way where time runs forward.
    cog_deg[mute] = np.where(apart_s > 0, azimuth + 180.0, azimuth)
    sog_kn[mute] = way_m / np.abs(apart_s) / KNOT_M_S
    sigma_share[mute] = 1.5

    moving = (sog_kn >= STILL_KN) & ~np.isnan(cog_deg)
    lon, lat = _direct(tracks, fix, np.where(moving, cog_deg, 0.0), np.where(moving, sog_kn * KNOT_M_S * dt_s, 0.0))
    still_by_trend = (sog_kn < STILL_KN) & (sigma_share > 1)
    sigma_m = dead_reckoned_sigma_m(sog_kn, dt_s) * sigma_share
    return lon, lat, np.where((moving | still_by_trend) & (dt_s != 0), sigma_m, np.nan)


def _interpolated(tracks: Tracks, found: _Bracket, rows: Ints) -> tuple[Floats, Floats, Floats]:
    first, second = found.before[rows], found.after[rows]
    before_s, after_s = found.before_s[rows], found.after_s[rows]
    whole_s = np.maximum(before_s + after_s, 1e-3)
    share = before_s / whole_s
    azimuth, back, chord_m = _inverse(tracks, first, second)

    # Cubic Hermite in the plane of along and across the geodesic; still ships need no course.
    sog1, sog2 = tracks.sog_kn[first], tracks.sog_kn[second]
    turn1 = np.radians(np.where(sog1 < STILL_KN, 0.0, tracks.cog_deg[first] - azimuth))
    turn2 = np.radians(np.where(sog2 < STILL_KN, 0.0, tracks.cog_deg[second] - (back + 180.0)))
    speed1, speed2 = (np.where(sog < STILL_KN, 0.0, sog * KNOT_M_S) for sog in (sog1, sog2))
    leave = (share**3 - 2 * share**2 + share) * whole_s
    arrive = (share**3 - share**2) * whole_s
    along_m = leave * speed1 * np.cos(turn1) + (3 * share**2 - 2 * share**3) * chord_m + arrive * speed2 * np.cos(turn2)
    across_m = leave * speed1 * np.sin(turn1) + arrive * speed2 * np.sin(turn2)
    curved = ~np.isnan(along_m + across_m) & (whole_s <= MAX_CURVE_S)
    bend_m = np.where(curved, np.hypot(along_m - share * chord_m, across_m), np.nan)
    along_m, across_m = np.where(curved, along_m, share * chord_m), np.where(curved, across_m, 0.0)

    lon, lat = _direct(tracks, first, azimuth + np.degrees(np.arctan2(across_m, along_m)), np.hypot(along_m, across_m))
    sigma_m = interpolated_sigma_m(chord_m / whole_s, before_s, after_s, bend_m)
    return lon, lat, np.where(found.gap_s[rows] > 0, sigma_m, np.nan)


def _inverse(tracks: Tracks, first: Ints, second: Ints) -> tuple[Floats, Floats, Floats]:
    """Forward azimuth at the first, back azimuth at the second (degrees), length (metres)."""
    azimuth, back, length_m = _WGS84.inv(tracks.lon[first], tracks.lat[first], tracks.lon[second], tracks.lat[second])
    return np.asarray(azimuth), np.asarray(back), np.asarray(length_m)


def _direct(tracks: Tracks, fix: Ints, azimuth_deg: Floats, way_m: Floats) -> tuple[Floats, Floats]:
    lon, lat, _ = _WGS84.fwd(tracks.lon[fix], tracks.lat[fix], azimuth_deg, way_m)
    return np.asarray(lon), np.asarray(lat)


def _refusals(
    tracks: Tracks,
    found: _Bracket,
    mmsi: Ints,
    time: npt.NDArray[np.datetime64],
    refused: Bools,
    torn: Bools,
    max_gap_s: float,
) -> npt.NDArray[np.object_]:
    sentences = np.full(len(mmsi), None, dtype=object)
    for row in np.flatnonzero(refused):
        if np.isnat(time[row]):
            sentences[row] = f"MMSI {mmsi[row]}: no time to place the ship at"
        elif not found.known[row]:
            sentences[row] = f"no usable fix of MMSI {mmsi[row]}"
        elif torn[row]:
            sentences[row] = f"the fixes of MMSI {mmsi[row]} around {time[row]}Z contradict each other: no ship is that fast"
        elif found.gap_s[row] > max_gap_s:
            sentences[row] = (
                f"the nearest fix of MMSI {mmsi[row]} is {found.gap_s[row]:.0f} s from {time[row]}Z, "
                f"more than the {max_gap_s:.0f} s allowed"
            )
        else:
            sentences[row] = (
                f"the nearest fix of MMSI {mmsi[row]} is {found.gap_s[row]:.0f} s from {time[row]}Z and does not say "
                f"speed and course; such a fix is good for {MAX_BLIND_GAP_S:.0f} s"
            )
    return sentences
