"""Which chips recorded AIS vouches for, and which go, with the numbers and the reason. Pure and vectorised.

Here: judging. Not here: reading chips and AIS (`prune`), removing and putting back (`prune_trash`, `prune_restore`).
"""

import dataclasses
from datetime import date
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from s2chips_core import tables
from s2chips_core.ais.fixes import Floats
from s2chips_core.ais.position import positions_at
from s2chips_core.ais.synthetic import SOURCE as SYNTHETIC
from s2chips_core.ais.tracks import EARTH_RADIUS_M
from s2chips_core.scenes.refusals import duration
from s2chips_core.tables import TIMESTAMP

AS_REPORTED = "as_reported"
FROM_FIX, FROM_TRACK = "fix", "track"


class PruneReason(StrEnum):
    """Why a chip stays or goes; in the order of preference among the sources of a chip."""

    WITHIN = "within"
    DISTANCE = "distance"
    TIME = "time"
    TIME_AND_DISTANCE = "time_and_distance"
    PLACE_UNKNOWN = "place_unknown"
    NO_AIS = "no_ais"


PRUNE_SCHEMA = pa.schema(
    [
        pa.field("chip_id", pa.string(), nullable=False),
        pa.field("mmsi", pa.int64(), nullable=False),
        pa.field("ship_name", pa.string()),
        pa.field("stays", pa.bool_(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("dt_s", pa.float64()),
        pa.field("time_tolerance_s", pa.float64(), nullable=False),
        pa.field("distance_m", pa.float64()),
        pa.field("distance_tolerance_m", pa.float64(), nullable=False),
        pa.field("distance_from", pa.string()),
        pa.field("ais_time", TIMESTAMP),
        pa.field("ais_lat", pa.float64()),
        pa.field("ais_lon", pa.float64()),
        pa.field("scene_datetime", TIMESTAMP, nullable=False),
        pa.field("lat", pa.float64(), nullable=False),
        pa.field("lon", pa.float64(), nullable=False),
        pa.field("position_method", pa.string(), nullable=False),
        pa.field("ais_source", pa.string(), nullable=False),
        pa.field("source_id", pa.string(), nullable=False),
        pa.field("path", pa.string(), nullable=False),
        pa.field("detail", pa.string(), nullable=False),
    ]
)
"""`dt_s`: scene_datetime - ais_time, seconds; `ais_time`: of the recorded fix that is nearest in time. `distance_m`: from
the chip centre (`lat`, `lon`) to `ais_lat`, `ais_lon`, which is the nearest fix or the ship's place at the sensing time, as
`distance_from` says (fix, track). `reason`: PruneReason. `detail`: a sentence with the numbers."""

CHIP_COLUMNS = (
    *("chip_id", "mmsi", "ship_name", "scene_datetime", "lat", "lon"),
    *("position_method", "ais_source", "source_id", "path"),
)
"""What is looked at of an index row."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Tolerances:
    """How far a chip may be from recorded AIS; a chip at exactly so much stays."""

    time_s: float
    """Largest |scene time - AIS time|."""
    distance_m: float
    """Largest distance from the chip centre to AIS."""


def judge_chips(chips: pd.DataFrame, fixes: pd.DataFrame, *, tolerances: Tolerances, max_gap_s: float) -> pd.DataFrame:
    """Judge every chip by the recorded AIS of its ship.

    A chip stays when the nearest fix is near enough in time, and the ship is near enough to the chip centre: where it was
    at the sensing time (`positions_at`), or, for a chip that was cut as reported, where that fix is. Chips of real AIS are
    judged by real AIS only, synthetic ones by synthetic AIS only. A chip of several sources stays when it holds for one of
    them. A wider tolerance never removes a chip that a narrower one keeps.

    Args:
        chips: index rows with CHIP_COLUMNS, one for each source of a chip.
        fixes: `ais.recorded.RECORDED_SCHEMA`, any order, repeats allowed.
        tolerances: ends included.
        max_gap_s: how far from a fix a ship is still placed, seconds; that of the run that cut the chips.

    Returns:
        PRUNE_SCHEMA, one row for each chip_id, in the order of first occurrence.
    """
    chips = chips.reset_index(drop=True)
    synthetic = (chips["ais_source"] == SYNTHETIC).to_numpy(dtype=bool)
    made_up = (fixes["ais_source"] == SYNTHETIC).to_numpy(dtype=bool)
    judged = [
        _judge(chips[synthetic == kind], fixes[made_up == kind], tolerances, max_gap_s)
        for kind in (False, True)
        if (synthetic == kind).any()
    ]
    if not judged:
        return tables.empty(PRUNE_SCHEMA)
    rows = pd.concat(judged).sort_index()
    preference = rows["reason"].map({str(reason): n for n, reason in enumerate(PruneReason)})
    best = (
        rows.assign(preference=preference).sort_values("preference", kind="stable").drop_duplicates("chip_id").sort_index()
    )
    best["detail"] = [_sentence(row, tolerances) for row in best[list(_TOLD)].to_dict("records")]
    return tables.to_frame(tables.conform(best, PRUNE_SCHEMA, "prune"))


def haversine_m(lat1: Floats, lon1: Floats, lat2: Floats, lon2: Floats) -> Floats:
    """Great-circle distance in metres on a sphere of the mean radius; degrees in, NaN where a place is none.

    R. W. Sinnott, Virtues of the Haversine, Sky and Telescope 68 (1984), p. 159.
    """
    phi1, phi2 = np.radians(lat1), np.radians(lat2)
    half_lon = np.radians(lon2 - lon1) / 2
    chord = np.sin((phi2 - phi1) / 2) ** 2 + np.cos(phi1) * np.cos(phi2) * np.sin(half_lon) ** 2
    distance: Floats = 2 * EARTH_RADIUS_M * np.arcsin(np.sqrt(np.minimum(chord, 1.0)))
    return distance


def _judge(chips: pd.DataFrame, fixes: pd.DataFrame, tolerances: Tolerances, max_gap_s: float) -> pd.DataFrame:
    """Chips of one kind of AIS; keeps their index labels."""
    time = chips["scene_datetime"].to_numpy(dtype="datetime64[ms]")
    found = positions_at(fixes, chips["mmsi"].to_numpy(dtype=np.int64), time, max_gap_s=max_gap_s)
    fix_time = found["fix_time"].to_numpy(dtype="datetime64[ms]")
    known = ~np.isnat(fix_time)
    dt_s = np.where(known, (time - fix_time).astype(np.int64) / 1000.0, np.nan)
    reported = (chips["position_method"] == AS_REPORTED).to_numpy(dtype=bool)
    lat, lon = (np.where(reported, found[f"fix_{name}"], found[name]).astype(np.float64) for name in ("lat", "lon"))
    distance_m = haversine_m(chips["lat"].to_numpy(np.float64), chips["lon"].to_numpy(np.float64), lat, lon)
    placed = ~np.isnan(distance_m)
    in_time, near = np.abs(dt_s) <= tolerances.time_s, distance_m <= tolerances.distance_m
    reason = np.select(
        [~known, in_time & near, in_time & ~placed, in_time, near | ~placed],
        [PruneReason.NO_AIS, PruneReason.WITHIN, PruneReason.PLACE_UNKNOWN, PruneReason.DISTANCE, PruneReason.TIME],
        PruneReason.TIME_AND_DISTANCE,
    )
    return chips.assign(
        stays=reason == PruneReason.WITHIN,
        reason=_texts(reason),
        dt_s=dt_s,
        time_tolerance_s=tolerances.time_s,
        distance_m=distance_m,
        distance_tolerance_m=tolerances.distance_m,
        distance_from=_texts(np.select([~placed, reported], ["", FROM_FIX], FROM_TRACK)),
        ais_time=found["fix_time"].array,
        ais_lat=lat,
        ais_lon=lon,
        refusal=found["refusal"].to_numpy(dtype=object),
    )


_TOLD = ("mmsi", "scene_datetime", "ais_source", "reason", "dt_s", "distance_m", "distance_from", "refusal")


def _texts(values: npt.NDArray[Any]) -> npt.NDArray[np.object_]:
    """As objects; None where there is none."""
    return np.array([str(value) or None for value in values], dtype=object)


def _sentence(row: dict[Any, Any], tolerances: Tolerances) -> str:
    kind = "synthetic" if row["ais_source"] == SYNTHETIC else "real"
    if row["reason"] == PruneReason.NO_AIS:
        day: date = row["scene_datetime"].date()
        return f"no {kind} AIS of MMSI {row['mmsi']} is recorded around {day}"
    away_s = abs(row["dt_s"])
    exact = f" ({away_s:.1f} s)" if away_s >= 120 else ""
    when = (
        f"the nearest recorded fix of MMSI {row['mmsi']} is {duration(away_s)}{exact} from the scene, "
        f"tolerance {tolerances.time_s / 60:g} min"
    )
    if pd.isna(row["distance_m"]):
        return f"{when}; where the ship was at the sensing time cannot be said: {row['refusal']}"
    place = "that fix" if row["distance_from"] == FROM_FIX else "where recorded AIS puts the ship at the sensing time"
    return f"{when}; the chip centre is {row['distance_m']:.1f} m from {place}, tolerance {tolerances.distance_m:g} m"
