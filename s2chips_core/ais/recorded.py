"""Recorded AIS: every fix that the dataset keeps of some ships, from captures and from the rows of files.

Here: reading it. Not here: how it came (`snapshots`, `day`) and what it proves (`index.prune_selection`).
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from s2chips_core import layout, tables
from s2chips_core.ais.fixes import FIX_SCHEMA
from s2chips_core.ais.tracks import Ints
from s2chips_core.errors import SchemaError
from s2chips_core.storage import Storage

RECORDED_COLUMNS = ("mmsi", "time", "lat", "lon", "sog_kn", "cog_deg", "ais_source")
RECORDED_SCHEMA = pa.schema([FIX_SCHEMA.field(name) for name in RECORDED_COLUMNS])
"""What tells where a ship was and how it moved, and who says so; columns of FIX_SCHEMA."""
_OF_FILE = {"time": "ais_time", "lat": "ais_lat", "lon": "ais_lon"}
"""What rows of a file call these."""


def recorded_days(storage: Storage) -> dict[date, list[str]]:
    """The tables of recorded AIS by day: snapshots, and rows of files."""
    by_day: defaultdict[date, list[str]] = defaultdict(list)
    for key in storage.list(layout.ais_folders()):
        day = layout.day_of_ais_key(key)
        if day is not None and layout.is_recorded_ais(key):
            by_day[day].append(key)
    return dict(by_day)


def read_recorded(storage: Storage, keys: Iterable[str], mmsi: Ints) -> pd.DataFrame:
    """The fixes of some ships in some tables; bad rows of files are left out.

    Args:
        storage: the dataset.
        keys: of `recorded_days`.
        mmsi: the ships.

    Returns:
        RECORDED_SCHEMA, in no order; a fix of two tables is there twice.

    Raises:
        StorageError: a table cannot be read.
        SchemaError: a table lacks a column.
    """
    ships = pa.array(np.unique(np.asarray(mmsi, dtype=np.int64)))
    found = [_fixes(tables.read_whole(storage, key), key, ships) for key in keys]
    return tables.to_frame(pa.concat_tables([RECORDED_SCHEMA.empty_table(), *found]))


class RecordedAis:
    """The recorded AIS of some ships, read a few days at a time."""

    def __init__(self, storage: Storage, mmsi: Ints) -> None:
        self._storage, self._mmsi = storage, mmsi
        self._keys: Mapping[date, Sequence[str]] = recorded_days(storage)
        self._read: dict[date, pd.DataFrame] = {}

    def days(self) -> list[date]:
        """The days that have any, sorted."""
        return sorted(self._keys)

    def fixes(self, days: Iterable[date]) -> pd.DataFrame:
        """The fixes of some days; what the last call has read too is not read again."""
        wanted = [day for day in sorted(set(days)) if day in self._keys]
        known = self._read
        self._read = {
            day: known[day] if day in known else read_recorded(self._storage, self._keys[day], self._mmsi) for day in wanted
        }
        return tables.concat(self._read.values(), RECORDED_SCHEMA)


def _fixes(table: pa.Table, key: str, ships: pa.Array) -> pa.Table:
    if "invalid_reason" in table.column_names:
        good = pc.and_(pc.is_null(table["invalid_reason"]), pc.is_valid(table["ais_time"]))
        table = table.filter(good)
    names = [_OF_FILE.get(name, name) if "ais_time" in table.column_names else name for name in RECORDED_COLUMNS]
    missing = [name for name in names if name not in table.column_names]
    if missing:
        raise SchemaError(key, f"columns {missing} are missing: it is no table of recorded AIS")
    table = table.select(names).rename_columns(list(RECORDED_COLUMNS))
    try:
        return table.filter(pc.is_in(table["mmsi"], value_set=ships)).cast(RECORDED_SCHEMA)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError) as error:
        raise SchemaError(key, str(error)) from error
