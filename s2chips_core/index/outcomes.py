"""Outcomes: one row for every AIS target of a day, none ever missing. Why a ship has no chip.

Here: the names, the schema and building rows. Not here: who decides them (`scenes.matching`, `chips.gate`,
`chips.cutting`) and the day they are put together for (`day`).
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any

import pandas as pd
import pyarrow as pa

from s2chips_core import tables
from s2chips_core.chips.gate import GateNumbers
from s2chips_core.scenes.matches import MATCH_SCHEMA
from s2chips_core.tables import TIMESTAMP


class Outcome(StrEnum):
    """What became of a target."""

    CHIPPED = "chipped"
    PENDING_L2A = "pending_l2a"
    NO_SCENE = "no_scene"
    TIME_MISMATCH = "time_mismatch"
    DUPLICATE = "duplicate"
    GATE_CLOUD = "gate_cloud"
    GATE_LAND = "gate_land"
    GATE_WATER = "gate_water"
    NODATA = "nodata"
    MISSING_ASSET = "missing_asset"
    READ_ERROR = "read_error"
    OVER_CAP = "over_cap"
    INVALID_AIS = "invalid_ais"
    PRUNED = "pruned"


OUTCOME_SCHEMA = pa.schema(
    [
        pa.field("target_id", pa.string(), nullable=False),
        pa.field("source_id", pa.string(), nullable=False),
        pa.field("outcome", pa.string(), nullable=False),
        pa.field("detail", pa.string(), nullable=False),
        pa.field("mmsi", pa.int64()),
        pa.field("overpass_time", TIMESTAMP),
        pa.field("ais_time", TIMESTAMP),
        pa.field("ais_lat", pa.float64()),
        pa.field("ais_lon", pa.float64()),
        pa.field("ais_source", pa.string(), nullable=False),
        pa.field("ship_name", pa.string()),
        pa.field("ship_type", pa.string()),
        pa.field("length_m", pa.float64()),
        pa.field("row_number", pa.int64()),
        pa.field("time_inferred", pa.bool_()),
        pa.field("chip_id", pa.string()),
        pa.field("scene_id", pa.string()),
        pa.field("scene_datetime", TIMESTAMP),
        pa.field("dt_s", pa.float64()),
        pa.field("lat", pa.float64()),
        pa.field("lon", pa.float64()),
        pa.field("position_method", pa.string()),
        pa.field("position_sigma_m", pa.float64()),
        pa.field("qa_cloud_frac", pa.float64()),
        pa.field("qa_land_frac", pa.float64()),
        pa.field("qa_water_frac", pa.float64()),
        pa.field("qa_nodata_frac", pa.float64()),
        pa.field("fingerprint", pa.string()),
    ]
)
"""`detail`: a sentence with the numbers. `fingerprint`: what the decision rested on (position, scene and its revision,
config); while it is unchanged the decision stands and no pixel is read again."""

MATCH_FIELDS = tuple(n for n in OUTCOME_SCHEMA.names if n in MATCH_SCHEMA.names and n != "detail")
"""What a row takes from its match as it is."""
QA_FIELDS = ("qa_cloud_frac", "qa_land_frac", "qa_water_frac", "qa_nodata_frac")

STANDING = frozenset({Outcome.GATE_CLOUD, Outcome.GATE_LAND, Outcome.GATE_WATER, Outcome.NODATA, Outcome.PRUNED})
"""Refusals that stand while their fingerprint is unchanged. What could not be had (read_error, missing_asset) does not."""


def unmatched_row(match: Mapping[str, Any]) -> dict[str, Any]:
    """The outcome of a target that got no scene: what matching said of it.

    Raises:
        ValueError: the match has a scene, or a status that is no outcome.
    """
    return {**{name: match[name] for name in MATCH_FIELDS}, "outcome": Outcome(match["status"]), "detail": match["detail"]}


def outcome_row(
    match: Mapping[str, Any],
    outcome: Outcome,
    detail: str,
    *,
    chip_id: str,
    fingerprint: str,
    numbers: GateNumbers | None = None,
) -> dict[str, Any]:
    """The outcome of a target that got a scene.

    Args:
        match: its row of `scenes.matches.MATCH_SCHEMA`.
        outcome: what became of it.
        detail: a sentence with the numbers.
        chip_id: of the chip it got or would have got.
        fingerprint: what the decision rests on.
        numbers: what the gate measured, where pixels were read.
    """
    measured = {name: None if numbers is None else getattr(numbers, name) for name in QA_FIELDS}
    fields = {name: match[name] for name in MATCH_FIELDS}
    return {**fields, **measured, "outcome": outcome, "detail": detail, "chip_id": chip_id, "fingerprint": fingerprint}


def chipped_row(match: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, Any]:
    """The outcome of a target that has the chip with the index row `row`."""
    measured = {name: row[name] for name in QA_FIELDS}
    shares = ", ".join(
        f"{name.split('_')[1]} {value:.1%}" for name, value in measured.items() if value is not None and not pd.isna(value)
    )
    return {
        **{name: match[name] for name in MATCH_FIELDS},
        **measured,
        "outcome": Outcome.CHIPPED,
        "detail": f"chip of {row['scene_id']}, verdict {row['gate_verdict']}: {shares}",
        "chip_id": row["chip_id"],
        "fingerprint": row["fingerprint"],
    }


def standing_row(match: Mapping[str, Any], earlier: Mapping[str, Any]) -> dict[str, Any]:
    """The outcome `earlier`, which stands, of the target as its match knows it now."""
    kept = {name: earlier[name] for name in ("outcome", "detail", "chip_id", "fingerprint", *QA_FIELDS)}
    return {**{name: match[name] for name in MATCH_FIELDS}, **kept}


def outcomes_frame(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Rows as a frame of `OUTCOME_SCHEMA`, in the order given."""
    frame = pd.DataFrame(list(rows), columns=OUTCOME_SCHEMA.names)
    return tables.to_frame(tables.conform(frame, OUTCOME_SCHEMA, "outcomes"))


def counts(frame: pd.DataFrame) -> dict[str, int]:
    """How many targets have each outcome; every outcome is there, with 0 too."""
    found = frame["outcome"].value_counts()
    return {outcome.value: int(found.get(outcome.value, 0)) for outcome in Outcome}
