"""Vessels: every ship that was near a place at a time, where it was, and what it had said of itself by the end of the day.

Here: choosing the ships and putting together what is known of each. Not here: where a ship was between its fixes
(`position`), where its hull lies (`chips.hull`), which chip it is in (`index.labels`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pandas as pd

from s2chips_core.ais.fixes import KNOT_M_S, Floats, available_cog_deg, available_heading_deg, available_sog_kn, on_earth
from s2chips_core.ais.position import positions_at
from s2chips_core.ais.targets import STATIC, ship_mmsi_problem
from s2chips_core.ais.tracks import EARTH_RADIUS_M, MAX_SPEED_KN

MOTION = ("sog_kn", "cog_deg", "heading_deg")
"""What a ship says with every position; of the fix nearest to the time."""
PLACE = ("lat", "lon", "position_method", "position_gap_s", "position_sigma_m")
VESSEL_COLUMNS = ("mmsi", *PLACE, *MOTION, *STATIC, "ais_source")


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A time and the circle of ground that is looked at."""

    time: datetime
    """Aware UTC."""
    lat: float
    """Of the middle, degrees; `lon` too."""
    lon: float
    radius_m: float


def vessels_at(fixes: pd.DataFrame, moments: Sequence[Moment], *, max_gap_s: float) -> list[pd.DataFrame]:
    """The ships that were or may have been in the circle of each moment, placed at its time.

    Stations that are no ships are left out (`ship_mmsi_problem`), and so are ships whose place at that time is not known
    well enough (`positions_at`). Name, type and size are the last that a ship said in all of `fixes`.

    Args:
        fixes: FIX_SCHEMA, any order.
        moments: times and places.
        max_gap_s: seconds from the time to the nearest fix.

    Returns:
        For each moment a frame of `VESSEL_COLUMNS`, sorted by MMSI, one row for each ship. Ships beyond the circle may be
        among them, by as far as a ship goes in `max_gap_s`.
    """
    lat, lon = fixes["lat"].to_numpy(np.float64), fixes["lon"].to_numpy(np.float64)
    ships = np.array([m for m in fixes["mmsi"].unique() if ship_mmsi_problem(int(m)) is None], dtype=np.int64)
    fixes = fixes[on_earth(lat, lon) & fixes["mmsi"].isin(ships).to_numpy()].sort_values("time", kind="stable")
    time_ms = fixes["time"].to_numpy("datetime64[ms]").astype(np.int64)
    mmsi = fixes["mmsi"].to_numpy(np.int64)
    points = _unit_vectors(fixes["lat"].to_numpy(np.float64), fixes["lon"].to_numpy(np.float64))
    asked = [_near(moment, time_ms, mmsi, points, max_gap_s) for moment in moments]
    when = [np.datetime64(round(moment.time.timestamp() * 1000), "ms") for moment in moments]
    counts = [len(one) for one in asked]
    which = np.concatenate([np.empty(0, np.int64), *asked])
    placed = positions_at(fixes, which, np.repeat(np.array(when, "datetime64[ms]"), counts), max_gap_s=max_gap_s)
    placed.insert(0, "mmsi", which)
    placed["moment"] = np.repeat(np.arange(len(moments)), counts)
    placed = placed[placed["refusal"].isna()]

    static = fixes.groupby("mmsi")[list(STATIC)].last()
    said = fixes[["mmsi", "time", "lat", "lon", *MOTION, "ais_source"]].rename(
        columns={"time": "fix_time", "lat": "fix_lat", "lon": "fix_lon"}
    )
    # Of repeats of one fix the one with a speed was taken, then the one that came first.
    said = said.sort_values("sog_kn", kind="stable", na_position="last").drop_duplicates(
        ["mmsi", "fix_time", "fix_lat", "fix_lon"]
    )
    found = placed.merge(said, on=["mmsi", "fix_time", "fix_lat", "fix_lon"], how="left").join(static, on="mmsi")
    for name, available in zip(MOTION, (available_sog_kn, available_cog_deg, available_heading_deg), strict=True):
        found[name] = available(found[name].to_numpy(np.float64, na_value=np.nan))
    found = found.sort_values(["moment", "mmsi"], kind="stable")
    return [
        found.loc[found["moment"] == number, list(VESSEL_COLUMNS)].reset_index(drop=True) for number in range(len(moments))
    ]


def _near(moment: Moment, time_ms: np.ndarray, mmsi: np.ndarray, points: Floats, max_gap_s: float) -> np.ndarray:
    """The ships with a fix from which they can have reached the circle in time."""
    middle_ms = round(moment.time.timestamp() * 1000)
    first, last = np.searchsorted(time_ms, [middle_ms - round(max_gap_s * 1000), middle_ms + round(max_gap_s * 1000) + 1])
    reach_m = moment.radius_m + MAX_SPEED_KN * KNOT_M_S * max_gap_s
    middle = _unit_vectors(np.array([moment.lat]), np.array([moment.lon]))[0]
    chord_m = np.linalg.norm(points[first:last] - middle, axis=1) * EARTH_RADIUS_M
    return np.unique(mmsi[first:last][chord_m <= reach_m * 1.01])


def _unit_vectors(lat: Floats, lon: Floats) -> Floats:
    """(points, 3) on the unit sphere."""
    phi, lam = np.radians(lat), np.radians(lon)
    return np.stack([np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi)], axis=1)
