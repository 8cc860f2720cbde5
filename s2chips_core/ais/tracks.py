"""Tracks: the fixes of each ship in order of time, without what cannot be true.

Here: sorting, dropping repeats and impossible jumps. Not here: where a ship was between its fixes (`position`).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from s2chips_core.ais.fixes import KNOT_M_S, Floats, available_cog_deg, available_sog_kn, on_earth

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

MAX_SPEED_KN = 60.0
"""No ship in AIS is faster; the fastest ferry made 58 kn."""
JUMP_SLACK_M = 250.0
"""Two fixes may be this far apart at any speed: time stamps are seconds late, antennas of one ship lie apart."""
EARTH_RADIUS_M = 6371008.8
"""IUGG mean radius; within 0.6 % of the ellipsoid, enough to tell 60 kn from a jump."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracks:
    """Fixes sorted by MMSI, then time; one array per column, all of shape (fixes,)."""

    mmsi: Ints
    time_ms: Ints
    """Milliseconds since 1970 UTC."""
    lat: Floats
    lon: Floats
    sog_kn: Floats
    """NaN: not available, or faster than any ship."""
    cog_deg: Floats
    """NaN: not available."""
    row: Ints
    """Which row of the fixes it was."""

    def __len__(self) -> int:
        return len(self.mmsi)

    def take(self, which: Bools | Ints) -> "Tracks":
        """Some of the fixes, by mask or index in ascending order."""
        return Tracks(
            mmsi=self.mmsi[which],
            time_ms=self.time_ms[which],
            lat=self.lat[which],
            lon=self.lon[which],
            sog_kn=self.sog_kn[which],
            cog_deg=self.cog_deg[which],
            row=self.row[which],
        )


def build_tracks(fixes: pd.DataFrame) -> Tracks:
    """Tracks of FIX_SCHEMA fixes, without places that are none (91, 181) and without repeats of one time and place."""
    mmsi = fixes["mmsi"].to_numpy(dtype=np.int64)
    time_ms = fixes["time"].to_numpy(dtype="datetime64[ms]").astype(np.int64)
    lat, lon, sog_kn, cog_deg = (
        fixes[name].to_numpy(dtype=np.float64, na_value=np.nan) for name in ("lat", "lon", "sog_kn", "cog_deg")
    )
    sog_kn = available_sog_kn(sog_kn)
    tracks = Tracks(
        mmsi=mmsi,
        time_ms=time_ms,
        lat=lat,
        lon=lon,
        sog_kn=np.where(sog_kn <= MAX_SPEED_KN, sog_kn, np.nan),
        cog_deg=available_cog_deg(cog_deg),
        row=np.arange(len(mmsi)),
    ).take(on_earth(lat, lon))
    # With a speed first among repeats, so that the one kept is the one that says more.
    order = np.lexsort((np.isnan(tracks.sog_kn), tracks.lon, tracks.lat, tracks.time_ms, tracks.mmsi))
    tracks = tracks.take(order)
    repeats = np.zeros(len(tracks), dtype=bool)
    repeats[1:] = (
        (tracks.mmsi[1:] == tracks.mmsi[:-1])
        & (tracks.time_ms[1:] == tracks.time_ms[:-1])
        & (tracks.lat[1:] == tracks.lat[:-1])
        & (tracks.lon[1:] == tracks.lon[:-1])
    )
    return tracks.take(~repeats)


def is_jump(tracks: Tracks, first: Ints, second: Ints) -> Bools:
    """Whether no ship could have been at both fixes: faster than 60 kn beyond 250 m. Indices; shape (pairs,)."""
    lat1, lat2 = np.radians(tracks.lat[first]), np.radians(tracks.lat[second])
    half_lon = np.radians(tracks.lon[second] - tracks.lon[first]) / 2
    chord = np.sin((lat2 - lat1) / 2) ** 2 + np.cos(lat1) * np.cos(lat2) * np.sin(half_lon) ** 2
    distance_m = 2 * EARTH_RADIUS_M * np.arcsin(np.sqrt(np.minimum(chord, 1.0)))
    apart_s = np.abs(tracks.time_ms[second] - tracks.time_ms[first]) / 1000.0
    jump: Bools = distance_m > JUMP_SLACK_M + MAX_SPEED_KN * KNOT_M_S * apart_s
    return jump


def without_jumps(tracks: Tracks) -> Tracks:
    """Tracks without the fixes that their own neighbours contradict.

    A track falls into runs at its impossible steps. A run goes when the runs around it fit together without it and hold
    more fixes than it; at either end of the track, when the one run beside it is longer and has two fixes or more. Two runs
    that contradict each other evenly both stay: `position` refuses to place a ship between them.
    """
    while True:
        doomed = _doomed(tracks)
        if not doomed.any():
            return tracks
        tracks = tracks.take(~doomed)


def drop_implausible(fixes: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Split fixes into those that make sense and the impossible jumps, each in its old order.

    Returns:
        kept, dropped; repeats of one time and place share the fate of the first, places that are none are dropped.
    """
    kept = without_jumps(build_tracks(fixes))
    good = np.zeros(len(fixes), dtype=bool)
    good[kept.row] = True
    if not good.all():
        key = [fixes["mmsi"].to_numpy(dtype=np.int64), fixes["time"].to_numpy(dtype="datetime64[ms]").astype(np.int64)]
        key += [fixes[name].to_numpy(dtype=np.float64) for name in ("lat", "lon")]
        order = np.lexsort(key)
        differs = np.zeros(len(order), dtype=bool)
        for column in key:
            differs[1:] |= column[order][1:] != column[order][:-1]
        repeat_of = np.cumsum(differs)
        alive = np.zeros(len(order), dtype=bool)
        alive[repeat_of[good[order]]] = True
        good[order] = alive[repeat_of]
    return fixes[good].reset_index(drop=True), fixes[~good].reset_index(drop=True)


def _doomed(tracks: Tracks) -> Bools:
    doomed = np.zeros(len(tracks), dtype=bool)
    if len(tracks) < 2:
        return doomed
    index = np.arange(len(tracks))
    new_ship = np.concatenate([[True], tracks.mmsi[1:] != tracks.mmsi[:-1]])
    begins = new_ship | np.concatenate([[False], is_jump(tracks, index[:-1], index[1:])])
    start = np.flatnonzero(begins)
    stop = np.append(start[1:], len(tracks))
    size = stop - start
    has_before = ~new_ship[start]
    has_after = np.append(has_before[1:], False)
    before_size = np.where(has_before, np.append(0, size[:-1]), 0)
    after_size = np.where(has_after, np.append(size[1:], 0), 0)
    inner = has_before & has_after
    fits = np.zeros(len(start), dtype=bool)
    fits[inner] = ~is_jump(tracks, start[inner] - 1, stop[inner])
    beside = np.maximum(before_size, after_size)
    weak = (inner & fits & (before_size + after_size > size)) | ((has_before ^ has_after) & (beside > size) & (beside >= 2))
    # Of weak runs of a ship side by side only every other one goes at a time: what is left is looked at again.
    number = np.arange(len(start))
    streak_start = np.maximum.accumulate(np.where(weak & ~(has_before & np.append(False, weak[:-1])), number, 0))
    goes = weak & ((number - streak_start) % 2 == 0)
    doomed[:] = np.repeat(goes, size)
    return doomed
