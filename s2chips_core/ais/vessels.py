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
from s2chips_core.ais.targets import STATIC, is_ship_mmsi
from s2chips_core.ais.tracks import EARTH_RADIUS_M, MAX_SPEED_KN

MOTION = ("sog_kn", "cog_deg", "heading_deg")
"""What a ship says with every position; of the fix nearest to the time."""
PLACE = ("lat", "lon", "position_method", "position_gap_s", "position_sigma_m")
SPHERE_SLACK = 1.01
"""Distances on the sphere are within 0.6 % of those on the ellipsoid, and a chord is 0.1 % shorter at 500 km."""
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
        among them, by a hundredth of its radius.
    """
    lat, lon = fixes["lat"].to_numpy(np.float64), fixes["lon"].to_numpy(np.float64)
    of_ship = is_ship_mmsi(fixes["mmsi"].to_numpy(np.int64))
    fixes = fixes[on_earth(lat, lon) & of_ship].sort_values("time", kind="stable")
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
    middles = np.array([(m.lat, m.lon, m.radius_m) for m in moments]).reshape(-1, 3)[placed["moment"].to_numpy()]
    away_m = _apart_m(placed["lat"].to_numpy(), placed["lon"].to_numpy(), middles[:, 0], middles[:, 1])
    placed = placed[placed["refusal"].isna().to_numpy() & (away_m <= middles[:, 2] * SPHERE_SLACK)]

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
    return np.unique(mmsi[first:last][chord_m <= reach_m * SPHERE_SLACK])


def circle_around(lat: Floats, lon: Floats) -> tuple[float, float, float]:
    """A circle that holds all places: latitude and longitude of its middle, degrees, and radius, metres.

    Around the mean of the directions from the Earth's middle, so the antimeridian is nothing special. For places that lie
    within a few hundred kilometres.
    """
    x, y, z = _unit_vectors(lat, lon).mean(axis=0)
    middle_lat, middle_lon = np.degrees([np.arctan2(z, np.hypot(x, y)), np.arctan2(y, x)])
    radius_m = float(_apart_m(lat, lon, middle_lat, middle_lon).max()) * SPHERE_SLACK
    return float(middle_lat), float(middle_lon), radius_m


def _apart_m(lat: Floats, lon: Floats, other_lat: Floats, other_lon: Floats) -> Floats:
    """Straight through the sphere, metres: up to 1 m less than along it within 50 km."""
    chord: Floats = np.linalg.norm(_unit_vectors(lat, lon) - _unit_vectors(other_lat, other_lon), axis=-1)
    return chord * EARTH_RADIUS_M


def _unit_vectors(lat: Floats, lon: Floats) -> Floats:
    """On the unit sphere; the last axis of the result is x, y, z."""
    phi, lam = np.radians(lat), np.radians(lon)
    return np.stack([np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi)], axis=-1)
