"""Outcomes: one row for every AIS target of a day, none ever missing. Why a ship has no chip.

Here: the names and the schema. Not here: who decides them (`scenes.matching`, `chips.gate`, `chips.cutting`).
"""

from enum import StrEnum

import pyarrow as pa

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
