"""The fixes of capture windows: which records of a journal belong to which pass, with what the ships say of themselves.

Pure. Not here: what a message means (`messages`), keeping the records (`journal`) and the fixes (`snapshots`).
"""

from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
import pandas as pd

from s2chips_core.ais.fixes import FIX_SCHEMA, SAME_FIX
from s2chips_core.ais.journal import POSITION, STATIC
from s2chips_core.ais.windows import Window
from s2chips_core.overpasses.tile_grid import Area, tile_area

AREA_MARGIN_DEG = 0.05
"""AIS is recorded this far beyond the tile: a ship that enters between recording and sensing is known."""

_SIZE = ("length_m", "width_m", "to_bow_m", "to_stern_m", "to_port_m", "to_starboard_m")
"""Said together: those of one message are not mixed with those of another."""
_TEXTS = ("ship_name", "ship_type", "call_sign", "destination", "ais_class")
_WORDS = ("ship_name", "ship_type", "call_sign", "imo", "destination")


def build_fixes(records: pd.DataFrame, windows: Sequence[Window], *, ais_source: str = "aisstream") -> pd.DataFrame:
    """The fixes of each window: those whose `time` lies in it and whose place lies in the tile's area.

    When a message arrived plays no part. A fix that several stations heard is there once, as it was received first. What a
    ship says of itself is the last that was heard in the whole capture; where it did not tell its name, the service's word
    for it stands in, and for a long-range message the class of transponder that its other messages tell.

    Args:
        records: journal.RECORD_SCHEMA, any order.
        windows: those of the capture; ends included.
        ais_source: aisstream or synthetic.

    Returns:
        FIX_SCHEMA, sorted by tile, overpass, MMSI and time; a fix of two windows is there for each.

    Raises:
        InputError: a window's tile is no tile.
    """
    records = records.sort_values("received_at", kind="stable", ignore_index=True)
    heard = records[records["kind"] == POSITION].drop_duplicates(list(SAME_FIX))
    heard = _with(heard.sort_values(list(SAME_FIX), kind="stable"), _said_of_themselves(records))
    time = heard["time"].to_numpy(dtype="datetime64[ms]")
    lat, lon = heard["lat"].to_numpy(dtype=np.float64), heard["lon"].to_numpy(dtype=np.float64)
    inside = {tile: in_area(lat, lon, tile_area(tile, AREA_MARGIN_DEG)) for tile in {window.tile_id for window in windows}}
    windows = sorted(windows, key=lambda window: (window.tile_id, window.overpass_time or window.start))
    rows = [inside[window.tile_id] & (time >= _naive(window.start)) & (time <= _naive(window.end)) for window in windows]
    found = [np.flatnonzero(of_window) for of_window in rows]
    window_of = np.repeat(np.arange(len(windows)), [len(each) for each in found])
    fixes: pd.DataFrame = heard.iloc[np.concatenate(found)] if found else heard[:0]
    tile_id = pd.Series([window.tile_id for window in windows], dtype=object)
    overpass_time = pd.Series([window.overpass_time for window in windows], dtype="datetime64[ms, UTC]")
    fixes = fixes.reset_index(drop=True).assign(
        tile_id=tile_id[window_of].reset_index(drop=True),
        overpass_time=overpass_time[window_of].reset_index(drop=True),
        ais_source=pd.Series([ais_source] * len(window_of), dtype=object),
    )
    in_order: pd.DataFrame = fixes[FIX_SCHEMA.names]
    return in_order


def in_area(lat: npt.NDArray[np.float64], lon: npt.NDArray[np.float64], area: Area) -> npt.NDArray[np.bool_]:
    """Where places lie in a box, edges included; a box that crosses the antimeridian has west > east."""
    west, south, east, north = area
    between = (lon >= west) & (lon <= east) if west <= east else (lon >= west) | (lon <= east)
    return between & (lat >= south) & (lat <= north)


def _said_of_themselves(records: pd.DataFrame) -> pd.DataFrame:
    """The last words of each ship, by MMSI; records in order of arrival."""
    static = records[records["kind"] == STATIC]
    words = static.groupby("mmsi")[list(_WORDS)].last()
    sized = static[static["length_m"].notna() | static["width_m"].notna()]
    sizes = sized.drop_duplicates("mmsi", keep="last").set_index("mmsi")[list(_SIZE)]
    of_positions = records[records["kind"] == POSITION].groupby("mmsi")["ship_name"].last().rename("service_name")
    ais_class = records.groupby("mmsi")["ais_class"].last().rename("known_class")
    return pd.concat([words, sizes, of_positions, ais_class], axis=1)


def _naive(moment: datetime) -> np.datetime64:
    return np.datetime64(moment.astimezone(UTC).replace(tzinfo=None), "us")


def _with(heard: pd.DataFrame, said: pd.DataFrame) -> pd.DataFrame:
    fixes = heard.drop(columns=[*_WORDS, *_SIZE]).join(said, on="mmsi")
    told = {"ship_name": fixes["service_name"], "ais_class": fixes["known_class"]}
    texts = {name: fixes[name].fillna(told[name]) if name in told else fixes[name] for name in _TEXTS}
    return fixes.assign(**{name: column.astype(object).where(column.notna(), None) for name, column in texts.items()})
