"""The parts of the index: what each source of each AIS day made, by the UTC date of the scene.

Here: listing, reading and joining parts. Not here: who writes them (`day`) and what is derived from them (`geojson`,
`tiles`). Whoever lists and then reads holds the lock `COMMIT_LOCK`: a part can go between the two.
"""

from collections import Counter
from collections.abc import Iterable
from datetime import date

import pandas as pd
import pyarrow as pa

from s2chips_core import layout, tables
from s2chips_core.index.records import PART_SCHEMA, unique_chips
from s2chips_core.storage import Storage

COMMIT_LOCK = "commit"
"""Held while parts, tables and indexes change, or are read together. It is not re-entrant."""
_SOURCE = pa.schema([PART_SCHEMA.field("ais_source")])


def scene_days(storage: Storage) -> list[date]:
    """The days that have parts, sorted."""
    return sorted({layout.scene_day_of_index_part(key) for key in storage.list(layout.index_parts_folder())})


def parts_of_scene_day(storage: Storage, scene_day: date) -> dict[str, pa.Table]:
    """Each part of a day by its key, sorted by key."""
    keys = storage.list(layout.index_parts_of_scene_day(scene_day))
    return {key: tables.read_arrow(storage, key, PART_SCHEMA) for key in keys}


def parts_of_source(storage: Storage, ais_day: date, source_id: str) -> dict[date, str]:
    """The keys of the parts that a source of an AIS day made, by scene day."""
    by_day = ((layout.scene_day_of_index_part(key), key) for key in storage.list(layout.index_parts_folder()))
    return {day: key for day, key in by_day if key == layout.index_part(day, ais_day, source_id)}


def join_parts(parts: Iterable[pa.Table]) -> pa.Table:
    """All rows of parts, each source's own."""
    return pa.concat_tables([PART_SCHEMA.empty_table(), *parts])


def chips_of_scene_day(storage: Storage, scene_day: date) -> pa.Table:
    """The union of the parts of a day: one row per chip, sorted by `scene_datetime`, then `chip_id`."""
    return unique_chips(join_parts(parts_of_scene_day(storage, scene_day).values()))


def chip_ids_of_scene_day(storage: Storage, scene_day: date) -> set[str]:
    """The chips of a day, without their rows."""
    schema = pa.schema([PART_SCHEMA.field("chip_id")])
    found: set[str] = set()
    for key in storage.list(layout.index_parts_of_scene_day(scene_day)):
        for part in tables.scan(storage, key, schema):
            found.update(part["chip_id"].to_pylist())
    return found


def rows_of_source(storage: Storage, ais_day: date, source_id: str) -> pd.DataFrame:
    """All index rows that a source of an AIS day made; takes the commit lock."""
    with storage.lock(COMMIT_LOCK):
        keys = parts_of_source(storage, ais_day, source_id).values()
        return tables.to_frame(join_parts(tables.read_arrow(storage, key, PART_SCHEMA) for key in keys))


def ais_sources(storage: Storage) -> Counter[str]:
    """How many index rows come from which `ais_source`, over the whole dataset; takes the commit lock."""
    count: Counter[str] = Counter()
    with storage.lock(COMMIT_LOCK):
        for key in storage.list(layout.index_parts_folder()):
            for table in tables.scan(storage, key, _SOURCE):
                for found in table["ais_source"].value_counts().to_pylist():
                    count[found["values"]] += found["counts"]
    return count
