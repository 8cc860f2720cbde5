"""The plan by repetition: a satellite is over the same ground again after 143 orbits, which take 10 days exactly (ESA,
Sentinel-2 User Handbook).

Here: passes of the coming days from those that the archive has seen, and finding a satellite that was moved along its orbit
meanwhile, as Sentinel-2A was between 2024-12 and 2025-05. Not here: asking the archive (`scenes.observed`).
"""

import dataclasses
import math
from collections.abc import Sequence
from datetime import datetime

import numpy as np
import pandas as pd

from s2chips_core import tables
from s2chips_core.overpasses.orbit import NODAL_PERIOD_S, REPEAT_DAYS, REPEAT_ORBITS
from s2chips_core.overpasses.plan import PLAN_SCHEMA, SAME_PASS, Plan, backfill_plan, build_passes, passes_of, sort_passes

CYCLE_S = REPEAT_DAYS * 86_400.0
SIGMA_S = 3.0
"""Standard error of a time after one cycle. By 107 element sets of 2016-2026 the satellites return within 2.2 s (rms; 4.6 s
at worst: ESA keeps the track within 2 km, for which the Earth turns 4.3 s); where two datastrips share a tile, the archive's
own times are up to 7 s apart."""
REPEATS_WITHIN_S = 20.0
"""Times one cycle apart that differ by more are no repetition: a satellite on the move drifts by minutes in each cycle."""
SHIFTED_FROM_S = 600.0
"""Times of one tile that are off the count of whole orbits by more were sensed before and after a move. A tile at 83 degrees
latitude is up to 340 s earlier or later along the orbit, seen from another track; Sentinel-2A was moved by 2,400 s."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Judged:
    """What can be said of one satellite."""

    usable: pd.DataFrame
    notes: tuple[str, ...]


def plan_by_repeat_cycle(
    observed: pd.DataFrame,
    tiles: Sequence[str],
    start: datetime,
    end: datetime,
    *,
    satellites: Sequence[str],
    window_min: float,
) -> Plan:
    """The passes from `start` until before `end` that repeat observed ones, and those that were observed themselves.

    Args:
        observed: OBSERVED_COLUMNS, best of the two cycles before, so that a move shows.
        tiles: the tiles to plan.
        start: aware UTC.
        end: aware UTC.
        satellites: the satellites to plan.
        window_min: recording time each side of the overpass, minutes.

    Returns:
        A repeated pass has `source` repeat_cycle, `source_epoch` the observation's time, `imaging` expected; `time_sigma_s`
        grows with the square root of the cycles between. What was observed within the time is a row of `source` backfill.
        There are no swaths. The notes say which satellite was moved or is drifting; the latter has no repeated passes.
    """
    passes = passes_of(observed, tiles, satellites)
    inside = (passes["datetime"] >= start) & (passes["datetime"] < end)
    happened = backfill_plan(observed, tiles, satellites, window_min)
    happened = happened[(happened["overpass_time"] >= start) & (happened["overpass_time"] < end)]
    notes: list[str] = []
    usable = []
    for satellite in satellites:
        judged = _judge(satellite, passes[passes["satellite"] == satellite].reset_index(drop=True))
        usable.append(judged.usable)
        notes += judged.notes
    if not usable:
        return Plan(passes=tables.empty(PLAN_SCHEMA))
    repeated = _repeat(pd.concat(usable, ignore_index=True), passes[inside], start, end)
    rows = build_passes(repeated, window_min)
    return Plan(passes=sort_passes(tables.concat([happened, rows], PLAN_SCHEMA)), notes=tuple(notes))


def _judge(satellite: str, seen: pd.DataFrame) -> _Judged:
    """The passes that will repeat, as far as they can be told from the others."""
    pairs = seen.reset_index(names="row").merge(seen.reset_index(names="row"), on="tile_id", suffixes=("", "_later"))
    pairs = pairs[pairs["datetime"] < pairs["datetime_later"]]
    apart_s = (pairs["datetime_later"] - pairs["datetime"]).dt.total_seconds()
    cycles = (apart_s / CYCLE_S).round()
    off_s = (apart_s - cycles * CYCLE_S).abs()
    whole = (cycles >= 1) & (off_s <= SAME_PASS.total_seconds())
    close = whole & (off_s <= REPEATS_WITHIN_S * np.sqrt(cycles))
    same_track = (pairs["relative_orbit"] == pairs["relative_orbit_later"]).fillna(False).astype(bool)
    other_track = (pairs["relative_orbit"] != pairs["relative_orbit_later"]).fillna(False).astype(bool)
    orbits = (
        (pairs["absolute_orbit_later"] - pairs["absolute_orbit"]).astype("Float64").to_numpy(np.float64, na_value=np.nan)
    )
    shifted = np.abs(apart_s - orbits * NODAL_PERIOD_S) > SHIFTED_FROM_S  # an unknown orbit number compares as false
    repeats = close & ~other_track & ~shifted
    broken = (whole & ~repeats) | (same_track & ~close) | shifted
    if not broken.any():
        told: tuple[str, ...] = ()
        if not repeats.any() and len(seen):
            told = (f"{satellite}: no pass in the archive repeats another, so nothing shows whether it was moved",)
        return _Judged(usable=seen, notes=told)

    # A move lies between the earlier and the later pass of every pair that it broke.
    last_before = pairs.loc[broken, "datetime"].max()
    later = pairs.loc[broken, "datetime_later"]
    since = later[later > last_before].min()
    across = repeats & (pairs["datetime"] < since) & (pairs["datetime_later"] >= since)
    if across.sum() >= broken.sum():  # a satellite that was moved repeats nowhere: these are odd observations
        odd = sorted({*pairs.loc[broken, "row"], *pairs.loc[broken, "row_later"]})
        first = seen.loc[odd[0]]
        said = f"{satellite}: {len(odd)} scenes are not used, their times or orbits do not fit the others'"
        return _Judged(
            usable=seen.drop(index=odd), notes=(f"{said}; the first: {first['tile_id']}, {_text(first['datetime'])}",)
        )
    worst = f"up to {_off(off_s[broken & whole])}" if (broken & whole).any() else "on other tracks"
    moved = f"{satellite} was moved along its orbit before {_text(since)}: its passes do not repeat ({worst})"
    if not (repeats & (pairs["datetime"] >= since)).any():
        return _Judged(
            usable=seen.iloc[:0], notes=(f"{moved}, and none since has repeated, so the repeat cycle is not used for it",)
        )
    kept = seen[seen["datetime"] >= since]
    return _Judged(usable=kept, notes=(f"{moved}; the repeat cycle uses the {len(kept)} scenes since",))


def _repeat(usable: pd.DataFrame, happened: pd.DataFrame, start: datetime, end: datetime) -> pd.DataFrame:
    """Each pass as often as it comes back in time, by the latest observation of it; without what has happened."""
    until_start_s = (pd.Timestamp(start) - usable["datetime"]).dt.total_seconds().to_numpy(np.float64)
    until_end_s = (pd.Timestamp(end) - usable["datetime"]).dt.total_seconds().to_numpy(np.float64)
    first = np.maximum(np.ceil(until_start_s / CYCLE_S), 1).astype(np.int64)
    beyond = np.ceil(until_end_s / CYCLE_S).astype(np.int64)
    count = np.maximum(beyond - first, 0)
    at = np.repeat(np.arange(len(usable)), count)
    cycles = np.repeat(first, count) + np.arange(len(at)) - np.repeat(np.cumsum(count) - count, count)
    rows = usable.iloc[at].reset_index(drop=True)
    rows["cycles"] = cycles
    rows["overpass_time"] = rows["datetime"] + pd.to_timedelta(cycles * CYCLE_S, unit="s")
    known = happened.assign(overpass_time=happened["datetime"], cycles=0)
    rows = pd.concat([known, rows], ignore_index=True) if len(known) else rows
    rows = rows.sort_values(["tile_id", "satellite", "overpass_time"], ignore_index=True)
    since = rows.groupby(["tile_id", "satellite"])["overpass_time"].diff()
    rows["number"] = (since.isna() | (since > SAME_PASS)).cumsum()
    rows = rows.sort_values(["number", "cycles"]).drop_duplicates("number")
    rows = rows[rows["cycles"] > 0]
    return pd.DataFrame(
        {
            "tile_id": rows["tile_id"],
            "satellite": rows["satellite"],
            "relative_orbit": rows["relative_orbit"],
            "absolute_orbit": rows["absolute_orbit"] + REPEAT_ORBITS * rows["cycles"],
            "overpass_time": rows["overpass_time"],
            "time_sigma_s": SIGMA_S * np.sqrt(rows["cycles"].astype(np.float64)),
            "imaging": "expected",
            "source": "repeat_cycle",
            "source_epoch": rows["datetime"],
        }
    )


def _off(off_s: "pd.Series[float]") -> str:
    worst_s = float(off_s.max())
    return f"{math.ceil(worst_s)} s" if worst_s < 120 else f"{worst_s / 60:.0f} min"


def _text(when: pd.Timestamp) -> str:
    return f"{when:%Y-%m-%d %H:%M} UTC"
