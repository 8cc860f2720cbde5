"""The table of AIS fixes: one row for every position a ship reported.

Here: the schema and what AIS calls "not available". Not here: where fixes come from (`tables`, `synthetic`, the capture)
and where a ship was in between (`position`).
"""

import pyarrow as pa

from s2chips_core.tables import TIMESTAMP

FIX_SCHEMA = pa.schema(
    [
        pa.field("mmsi", pa.int64(), nullable=False),
        pa.field("time", TIMESTAMP, nullable=False),
        pa.field("lat", pa.float64(), nullable=False),
        pa.field("lon", pa.float64(), nullable=False),
        pa.field("sog_kn", pa.float64()),
        pa.field("cog_deg", pa.float64()),
        pa.field("heading_deg", pa.float64()),
        pa.field("ship_name", pa.string()),
        pa.field("ship_type", pa.string()),
        pa.field("length_m", pa.float64()),
        pa.field("width_m", pa.float64()),
        pa.field("ais_class", pa.string()),
        pa.field("ais_source", pa.string(), nullable=False),
        pa.field("tile_id", pa.string()),
        pa.field("overpass_time", TIMESTAMP),
    ]
)
"""`ais_source`: aisstream, file or synthetic. `ais_class`: A or B. `tile_id`, `overpass_time`: the pass it was recorded
for. Null means the ship did not say."""

# ITU-R M.1371-5, tables 48 and following: what a transponder sends when it does not know.
SOG_NOT_AVAILABLE_KN = 102.3
COG_NOT_AVAILABLE_DEG = 360.0
HEADING_NOT_AVAILABLE_DEG = 511
LAT_NOT_AVAILABLE_DEG = 91.0
LON_NOT_AVAILABLE_DEG = 181.0
