"""Targets: each ship, once per overpass, that ought to get a chip. Every row of a file is a target, bad ones too.

Here: the schema and building targets from fixes. Not here: which scene they get (`scenes.matching`).
"""

import pyarrow as pa

from s2chips_core.tables import TIMESTAMP

TARGET_SCHEMA = pa.schema(
    [
        pa.field("target_id", pa.string(), nullable=False),
        pa.field("source_id", pa.string(), nullable=False),
        pa.field("mmsi", pa.int64()),
        pa.field("overpass_time", TIMESTAMP),
        pa.field("ais_time", TIMESTAMP),
        pa.field("ais_lat", pa.float64()),
        pa.field("ais_lon", pa.float64()),
        pa.field("ais_source", pa.string(), nullable=False),
        pa.field("position_mode", pa.string(), nullable=False),
        pa.field("ship_name", pa.string()),
        pa.field("ship_type", pa.string()),
        pa.field("length_m", pa.float64()),
        pa.field("width_m", pa.float64()),
        pa.field("heading_deg", pa.float64()),
        pa.field("sog_kn", pa.float64()),
        pa.field("cog_deg", pa.float64()),
        pa.field("row_number", pa.int64()),
        pa.field("time_inferred", pa.bool_()),
        pa.field("invalid_reason", pa.string()),
    ]
)
"""`target_id` is unique within a day and source. `overpass_time`: when the pass was expected (a file's own
`overpass_time`). `ais_time`, `ais_lat`, `ais_lon`: the fix nearest to it. `position_mode`: at_sensing_time or
as_reported. `row_number`: the row of a file, as a spreadsheet counts (the header is row 1). `invalid_reason`: why this is
no target, else null; then mmsi, time and place may be null."""
