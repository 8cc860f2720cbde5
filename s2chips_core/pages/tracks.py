"""The AIS track of a ship in the pixels of its chip.

Here: from longitude and latitude to chip pixels, which fixes are worth drawing, and the door that reads a day's fixes.
Not here: how it is drawn (`templates/viewer.js`), where the ship was at sensing (`ais.position`).
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from s2chips_core import layout, tables
from s2chips_core.ais.snapshots import read_columns
from s2chips_core.ais.targets import TARGET_SCHEMA
from s2chips_core.chips.grid import utm_xy
from s2chips_core.storage import Storage

AROUND = timedelta(minutes=30)
"""Fixes further from the time of sensing are not drawn."""
MOST_FIXES = 24
REACH = 1.0
"""Chip sides beyond the edge at which the line ends."""

_COLUMNS = ["mmsi", "time", "lon", "lat"]
_TRACKS = pa.schema(dict(zip(_COLUMNS, (pa.int64(), tables.TIMESTAMP, pa.float64(), pa.float64()), strict=True)))
_FILE_ROWS = pa.schema([TARGET_SCHEMA.field(name) for name in ("mmsi", "ais_time", "ais_lon", "ais_lat")])

Fix = tuple[float, float, str]
"""Column, row, `HH:MM:SS` UTC."""
Floats = npt.NDArray[np.float64]


def chip_pixels(chip: Mapping[str, Any], lons: Floats, lats: Floats) -> tuple[Floats, Floats]:
    """Columns and rows in a chip, (n,) each; 0,0 is the upper left corner of its upper left pixel.

    Args:
        chip: its row of the index: `epsg` and `transform`, a north-up grid.
        lons, lats: WGS 84, degrees, (n,).
    """
    x, y = utm_xy(lons, lats, int(chip["epsg"]))
    step_x, _, left, _, step_y, top = (float(v) for v in chip["transform"][:6])
    return (x - left) / step_x, (y - top) / step_y


def chip_place(chip: Mapping[str, Any], lon: float, lat: float) -> list[float]:
    """Column and row of one place, to a hundredth of a pixel."""
    cols, rows = chip_pixels(chip, np.array([lon]), np.array([lat]))
    return [round(float(cols[0]), 2), round(float(rows[0]), 2)]


def select_track(chip: Mapping[str, Any], fixes: pd.DataFrame, side_px: int) -> list[Fix]:
    """The fixes of a ship that are worth drawing in its chip, in order of time.

    Of those within 30 min of sensing and within a chip side of the chip, at most 24: the first, the last, and others as
    evenly as they come.

    Args:
        chip: its row of the index.
        fixes: `time`, `lon`, `lat` of this ship.
        side_px: side of the chip.
    """
    # Plain arrays: there is one track for each chip, and a frame's own ways take ten times as long for a few fixes.
    times, first = np.unique(fixes["time"].to_numpy("datetime64[ns]"), return_index=True)
    near = np.abs(times - pd.Timestamp(chip["scene_datetime"]).to_datetime64()) <= np.timedelta64(AROUND)
    times, first = times[near], first[near]
    if not len(times):
        return []
    cols, rows = chip_pixels(chip, *(fixes[name].to_numpy(np.float64)[first] for name in ("lon", "lat")))
    reach = REACH * side_px
    inside = (cols >= -reach) & (cols <= side_px + reach) & (rows >= -reach) & (rows <= side_px + reach)
    chosen = np.flatnonzero(inside)
    if len(chosen) > MOST_FIXES:
        chosen = chosen[np.linspace(0, len(chosen) - 1, MOST_FIXES).round().astype(int)]
    clock = np.datetime_as_string(times[chosen], unit="s")
    return [(round(float(cols[n]), 1), round(float(rows[n]), 1), str(at)[-8:]) for n, at in zip(chosen, clock, strict=True)]


class Fixes(Mapping[int, pd.DataFrame]):
    """The fixes of ships by MMSI: `time`, `lon`, `lat`. Held as four columns; the frame of a ship is made when asked for."""

    def __init__(self, parts: Sequence[pa.Table]) -> None:
        """Args:
        parts: tables of `mmsi`, `time`, `lon`, `lat`.
        """
        together = pa.concat_tables([part.select(_COLUMNS).cast(_TRACKS) for part in parts])
        order = np.argsort(together["mmsi"].to_numpy(), kind="stable")
        self._mmsi, *rest = (together[name].to_numpy()[order] for name in _COLUMNS)
        self._columns = dict(zip(_COLUMNS[1:], rest, strict=True))

    def __getitem__(self, mmsi: int) -> pd.DataFrame:
        first, behind = np.searchsorted(self._mmsi, [mmsi, mmsi + 1])
        if first == behind:
            raise KeyError(mmsi)
        return pd.DataFrame({name: values[first:behind] for name, values in self._columns.items()})

    def __contains__(self, mmsi: object) -> bool:
        if not isinstance(mmsi, int):
            return False
        place = int(np.searchsorted(self._mmsi, mmsi))
        return place < len(self._mmsi) and int(self._mmsi[place]) == mmsi

    def __iter__(self) -> Iterator[int]:
        return (int(mmsi) for mmsi in np.unique(self._mmsi))

    def __len__(self) -> int:
        return len(np.unique(self._mmsi))


def read_fixes(storage: Storage, day: date, sources: Sequence[str]) -> Fixes:
    """The fixes of a day by MMSI: of its snapshots, and of files the rows.

    Args:
        storage: the dataset.
        day: of the AIS.
        sources: whose targets are shown; `capture` stands for the snapshots.

    Raises:
        StorageError, SchemaError: a table was written by another version, or is broken.
    """
    found = [_TRACKS.empty_table()]
    if layout.CAPTURE in sources:
        found.append(read_columns(storage, day, _COLUMNS))
    for source in sources:
        key = layout.ais_file(day, source)
        if source != layout.CAPTURE and storage.exists(key):
            rows = tables.read_arrow(storage, key, _FILE_ROWS).drop_null()
            found.append(rows.rename_columns(_COLUMNS))
    return Fixes(found)
