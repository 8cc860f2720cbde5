"""The table of AIS fixes: one row for every position a ship reported.

Here: the schema and what AIS calls "not available". Not here: where fixes come from (`tables`, `synthetic`, the capture)
and where a ship was in between (`position`).
"""

import numpy as np
import numpy.typing as npt
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
        pa.field("message_type", pa.string()),
        pa.field("time_utc", TIMESTAMP),
        pa.field("received_at", TIMESTAMP),
        pa.field("nav_status", pa.int64()),
        pa.field("call_sign", pa.string()),
        pa.field("imo", pa.int64()),
        pa.field("destination", pa.string()),
        pa.field("to_bow_m", pa.float64()),
        pa.field("to_stern_m", pa.float64()),
        pa.field("to_port_m", pa.float64()),
        pa.field("to_starboard_m", pa.float64()),
    ]
)
"""`ais_source`: aisstream, file or synthetic. `ais_class`: A or B. `tile_id`, `overpass_time`: the pass it was recorded
for. `time`: when the ship was there; `time_utc`: when the AIS service had the message; `received_at`: when it came here.
`to_bow_m` … `to_starboard_m`: dimensions A to D, from the antenna. Null means the ship did not say, or the source has no
such thing."""

SAME_FIX = ("mmsi", "time", "lat", "lon", "sog_kn", "cog_deg", "heading_deg")
"""Rows that agree in these are one fix, whichever station or capture heard it; 40 % of a real feed are repeats."""

# ITU-R M.1371-5, tables 48 and following: what a transponder sends when it does not know.
SOG_NOT_AVAILABLE_KN = 102.3
COG_NOT_AVAILABLE_DEG = 360.0
HEADING_NOT_AVAILABLE_DEG = 511
LAT_NOT_AVAILABLE_DEG = 91.0
LON_NOT_AVAILABLE_DEG = 181.0

KNOT_M_S = 1852.0 / 3600.0
"""One international nautical mile in an hour (BIPM, SI brochure, table 8)."""


Floats = npt.NDArray[np.float64]


def available_sog_kn(sog_kn: Floats) -> Floats:
    """Speeds with NaN where AIS says "not available" (102.3) or where no transponder could have sent the number."""
    return np.where((sog_kn >= 0) & (sog_kn < SOG_NOT_AVAILABLE_KN - 0.05), sog_kn, np.nan)


def available_cog_deg(cog_deg: Floats) -> Floats:
    """Courses in [0, 360) with NaN where AIS says "not available" (360) or where the number is none."""
    return np.where((cog_deg >= 0) & (cog_deg < COG_NOT_AVAILABLE_DEG), cog_deg, np.nan)


def available_heading_deg(heading_deg: Floats) -> Floats:
    """Headings in [0, 360) with NaN where AIS says "not available" (511) or where the number is none; 360 is north."""
    north = np.where(heading_deg == 360.0, 0.0, heading_deg)
    return np.where((north >= 0) & (north < 360.0), north, np.nan)


def on_earth(lat: Floats, lon: Floats) -> npt.NDArray[np.bool_]:
    """Where a position is one: latitude within ±90, longitude within ±180; so not AIS's 91 and 181, and not NaN."""
    here: npt.NDArray[np.bool_] = (np.abs(lat) <= 90.0) & (np.abs(lon) <= 180.0)
    return here
