"""The table of matches: one row for every target, with the scene it got or the reason it got none.

Here: the schema. Not here: how the choice is made (`matching`).
"""

from enum import StrEnum

import pyarrow as pa

from s2chips_core.ais.targets import TARGET_SCHEMA
from s2chips_core.tables import TIMESTAMP


class MatchStatus(StrEnum):
    """What matching found for a target. Every value but `matched` is an outcome already."""

    MATCHED = "matched"
    PENDING_L2A = "pending_l2a"
    NO_SCENE = "no_scene"
    TIME_MISMATCH = "time_mismatch"
    DUPLICATE = "duplicate"
    OVER_CAP = "over_cap"
    INVALID_AIS = "invalid_ais"


MATCH_SCHEMA = pa.schema(
    [
        *TARGET_SCHEMA,
        pa.field("status", pa.string(), nullable=False),
        pa.field("detail", pa.string(), nullable=False),
        pa.field("scene_id", pa.string()),
        pa.field("scene_datetime", TIMESTAMP),
        pa.field("provider", pa.string()),
        pa.field("collection", pa.string()),
        pa.field("datatake", pa.string()),
        pa.field("mgrs_tile", pa.string()),
        pa.field("platform", pa.string()),
        pa.field("processing_baseline", pa.string()),
        pa.field("cloud_cover", pa.float64()),
        pa.field("dt_s", pa.float64()),
        pa.field("lat", pa.float64()),
        pa.field("lon", pa.float64()),
        pa.field("position_method", pa.string()),
        pa.field("position_gap_s", pa.float64()),
        pa.field("position_sigma_m", pa.float64()),
        pa.field("footprint_frac", pa.float64()),
        pa.field("edge_distance_m", pa.float64()),
        pa.field("sibling_scene_ids", pa.list_(pa.string())),
        pa.field("scene", pa.string()),
    ]
)
"""`detail`: a sentence with the numbers. `dt_s`: scene_datetime - ais_time, seconds. `lat`, `lon`: where the ship was at
scene_datetime (the chip centre), degrees, not rounded. `position_gap_s`: from scene_datetime to the nearest fix used.
`footprint_frac`: share of the chip inside the scene's data footprint. `edge_distance_m`: from the ship to the footprint's
edge. `sibling_scene_ids`: other granules of the same datatake that hold the ship too. `scene`: `Scene.to_json`."""
