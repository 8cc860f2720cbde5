"""Targets: each ship, once per overpass, that ought to get a chip. Every row of a file is a target, bad ones too.

Here: the schema and building targets from fixes. Not here: which scene they get (`scenes.matching`).
"""

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from s2chips_core import layout, tables
from s2chips_core.ais.fixes import available_cog_deg, available_heading_deg, available_sog_kn, on_earth
from s2chips_core.ais.tracks import drop_implausible
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
        pa.field("to_bow_m", pa.float64()),
        pa.field("to_stern_m", pa.float64()),
        pa.field("to_port_m", pa.float64()),
        pa.field("to_starboard_m", pa.float64()),
        pa.field("heading_deg", pa.float64()),
        pa.field("sog_kn", pa.float64()),
        pa.field("cog_deg", pa.float64()),
        pa.field("row_number", pa.int64()),
        pa.field("time_inferred", pa.bool_()),
        pa.field("invalid_reason", pa.string()),
    ]
)
"""`target_id` is unique within a day and source. `overpass_time`: when the pass was expected (a file's own
`overpass_time`). `ais_time`, `ais_lat`, `ais_lon`: the fix nearest to it. `to_bow_m` … `to_starboard_m`: dimensions A to D,
from the antenna. `position_mode`: at_sensing_time or as_reported. `row_number`: the row of a file, as a spreadsheet counts
(the header is row 1). `invalid_reason`: why this is no target, else null; then mmsi, time and place may be null."""

SAME_PASS_MIN = 50.0
"""Overpasses of a ship's tiles closer than this are one pass: a datatake is at most 27 min long, an orbit takes 100."""
DIMENSIONS = ("to_bow_m", "to_stern_m", "to_port_m", "to_starboard_m")
"""A to D of ITU-R M.1371-5, figure 41: metres from the antenna."""
STATIC = ("ship_name", "ship_type", "length_m", "width_m", *DIMENSIONS)
"""What a ship says of itself now and then; the last it said that day holds."""


def ship_mmsi_problem(mmsi: int) -> str | None:
    """Why a number is not that of a ship, as a sentence; none for a ship.

    ITU-R M.585-9: a ship station has nine digits that begin with its country's three, 201 to 775.

    >>> ship_mmsi_problem(244660123)
    >>> ship_mmsi_problem(2190064)
    'mmsi 002190064 is a base station on the coast, not a ship'
    """
    if 201_000_000 <= mmsi <= 775_999_999:
        return None
    text = f"{mmsi:09d}"
    for prefix, what in (
        ("00", "a base station on the coast"),
        ("0", "a group of ships"),
        ("111", "a search and rescue aircraft"),
        ("8", "a handheld radio"),
        ("970", "a search and rescue transmitter"),
        ("972", "a man-overboard device"),
        ("974", "an emergency beacon"),
        ("98", "a craft that belongs to another ship"),
        ("99", "an aid to navigation"),
    ):
        if 0 < mmsi < 10**9 and text.startswith(prefix) and len(str(mmsi)) >= 7:
            return f"mmsi {text} is {what}, not a ship"
    return f"mmsi {mmsi} is no ship's number: expected nine digits that begin with a country's 201 to 775"


def is_ship_mmsi(mmsi: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Where `ship_mmsi_problem` finds none, for many numbers at once."""
    of_ship: npt.NDArray[np.bool_] = (mmsi >= 201_000_000) & (mmsi <= 775_999_999)
    return of_ship


def build_capture_targets(fixes: pd.DataFrame, *, source_id: str = layout.CAPTURE, position_mode: str) -> pd.DataFrame:
    """One target for every ship and pass of a day's recorded fixes.

    A ship heard for two tiles of one pass is one target, at the overpass it was heard nearest to. Name, type and size are
    the last that it said that day. Stations that are no ships, and ships without a usable position, carry `invalid_reason`.

    Args:
        fixes: FIX_SCHEMA, all tiles of the day; where `overpass_time` is null the fix's own time stands in.
        source_id: who owns the targets.
        position_mode: at_sensing_time or as_reported.

    Returns:
        TARGET_SCHEMA, sorted by MMSI and overpass.
    """
    if fixes.empty:
        return tables.empty(TARGET_SCHEMA)
    kept, dropped = drop_implausible(fixes)
    heard = pd.concat([kept.assign(usable=True), dropped.assign(usable=False)], ignore_index=True)
    heard["overpass_time"] = heard["overpass_time"].fillna(heard["time"])
    heard["away_s"] = (heard["time"] - heard["overpass_time"]).dt.total_seconds().abs()
    heard = heard.sort_values(["mmsi", "overpass_time"], ignore_index=True, kind="stable")
    apart = heard.groupby("mmsi")["overpass_time"].diff()
    heard["pass"] = (apart.isna() | (apart > pd.Timedelta(minutes=SAME_PASS_MIN))).cumsum()

    nearest = heard.sort_values(
        ["pass", "usable", "away_s", "time", "lat", "lon"], ascending=[True, False, True, True, True, True], kind="stable"
    )
    nearest = nearest.drop_duplicates("pass", ignore_index=True)
    static = heard.sort_values("time", kind="stable").groupby("mmsi")[list(STATIC)].last()
    nearest = nearest.drop(columns=list(STATIC)).join(static, on="mmsi")

    base_id = nearest["mmsi"].astype(str) + "-" + nearest["overpass_time"].dt.strftime("%H%M")
    again = base_id.groupby(base_id).cumcount()
    lat, lon = nearest["lat"].to_numpy(dtype=np.float64), nearest["lon"].to_numpy(dtype=np.float64)
    placed = on_earth(lat, lon)
    reasons = np.full(len(nearest), None, dtype=object)
    mmsis = nearest["mmsi"].to_numpy(dtype=np.int64)
    for row in np.flatnonzero(~(placed & is_ship_mmsi(mmsis))):
        problem = ship_mmsi_problem(int(mmsis[row]))
        reasons[row] = problem or f"no usable position: the best is lat {lat[row]:g}, lon {lon[row]:g}"
    frame = nearest.assign(
        target_id=base_id.where(again == 0, base_id + "-" + (again + 1).astype(str)),
        source_id=source_id,
        ais_time=nearest["time"],
        ais_lat=np.where(placed, lat, np.nan),
        ais_lon=np.where(placed, lon, np.nan),
        position_mode=position_mode,
        heading_deg=available_heading_deg(nearest["heading_deg"].to_numpy(dtype=np.float64, na_value=np.nan)),
        sog_kn=available_sog_kn(nearest["sog_kn"].to_numpy(dtype=np.float64, na_value=np.nan)),
        cog_deg=available_cog_deg(nearest["cog_deg"].to_numpy(dtype=np.float64, na_value=np.nan)),
        time_inferred=False,
        invalid_reason=pd.Series(reasons, dtype=object),
    )
    return tables.to_frame(tables.conform(frame, TARGET_SCHEMA, "targets"))
