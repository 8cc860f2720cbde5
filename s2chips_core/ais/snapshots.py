"""AIS snapshots: what was recorded around the overpasses of a day, one Parquet and one Excel file for each tile.

Here: writing, adding up, reading back. Not here: which fix belongs to which pass (`fixes_of_window`), the names of the files
(`layout`), how Excel files are made (`workbook`), AIS tables that people bring (`tables`).
"""

import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from s2chips_core import layout, tables
from s2chips_core.ais.fixes import FIX_SCHEMA, SAME_FIX
from s2chips_core.ais.workbook import MAX_ROWS, Sheet, workbook_bytes
from s2chips_core.storage import Storage

UNTILED = "untiled"
"""Stands for the tile where fixes were recorded for none."""
METADATA_KEY = b"s2chips"
_SAME = [*SAME_FIX, "tile_id", "ais_source"]
_SNAPSHOT = re.compile(r"ais_overpass_[^/]+\.parquet")


def write_snapshots(storage: Storage, day: date, fixes: pd.DataFrame, *, metadata: Mapping[str, object] | None) -> list[str]:
    """Write the fixes of each tile, together with what is there already.

    Two captures of one tile on one day add up. A fix that both heard is there once, as it was received first, with what
    only one of them knew of the ship; so it is with a pass that the plan has moved by seconds in between. A tile that gains
    nothing, neither fixes nor facts, is not written again.

    Args:
        storage: the dataset.
        day: UTC.
        fixes: FIX_SCHEMA.
        metadata: facts about the capture, values that JSON takes; kept in the Parquet file and on a sheet of the Excel
            file. Later facts replace earlier ones of the same name; where both are objects, as in
            `{"captures": {capture_id: …}}`, the names in them are put together.

    Returns:
        The keys of the tiles' files, written now or before: Parquet and Excel of each.

    Raises:
        StorageError, SchemaError.
    """
    keys = []
    tile_of = fixes["tile_id"].where(fixes["tile_id"].notna(), UNTILED)
    for tile_id, recorded in fixes.groupby(tile_of, sort=True):
        parquet = layout.ais_snapshot(day, str(tile_id), "parquet")
        xlsx = layout.ais_snapshot(day, str(tile_id), "xlsx")
        with storage.lock(f"ais-{layout.ymd(day)}-{tile_id}"):
            there, known = tables.empty(FIX_SCHEMA), dict[str, object]()
            written = storage.exists(parquet) and storage.exists(xlsx)
            if storage.exists(parquet):
                there, known = tables.read_table(storage, parquet, FIX_SCHEMA), _metadata(storage.get(parquet))
            union = add_up(there, recorded)
            facts = _put_together(known, metadata or {})
            table = tables.conform(union, FIX_SCHEMA, parquet)
            if not written or facts != known or not table.equals(tables.conform(there, FIX_SCHEMA, parquet)):
                # The Parquet file, which counts, first: 300,000 rows take Excel's half a minute. Nobody finds an Excel file
                # that is older than it, and one that is missing is written when this is done again.
                storage.delete(xlsx)
                table = table.replace_schema_metadata({METADATA_KEY: json.dumps(facts, sort_keys=True).encode()})
                storage.put(parquet, tables.parquet_bytes(table))
                storage.put(xlsx, xlsx_bytes(union, facts))
        keys += [parquet, xlsx]
    return keys


def add_up(there: pd.DataFrame, recorded: pd.DataFrame) -> pd.DataFrame:
    """Two tables of fixes as one, FIX_SCHEMA, sorted by MMSI and time; a fix of both once.

    Of repeats (SAME_FIX, for one tile and source) the one received first stands; its nulls are filled from the others.
    """
    both = tables.concat([there, recorded], FIX_SCHEMA)
    repeated = both.duplicated(_SAME, keep=False)
    if repeated.any():
        # in order of arrival, those without one last; `first` is the first that is not null, column by column
        repeats = both[repeated].sort_values("received_at", kind="stable", na_position="last")
        once = repeats.groupby(_SAME, dropna=False, sort=False).first().reset_index()
        both = tables.concat([both[~repeated], once], FIX_SCHEMA)
    return both.sort_values(_SAME, kind="stable", ignore_index=True)


def _put_together(known: Mapping[str, object], new: Mapping[str, object]) -> dict[str, object]:
    facts = dict(known)
    for name, fact in new.items():
        before = facts.get(name)
        facts[name] = {**before, **fact} if isinstance(before, dict) and isinstance(fact, Mapping) else fact
    plain: dict[str, object] = json.loads(json.dumps(facts))  # as they will be read back
    return plain


def read_snapshots(storage: Storage, day: date) -> pd.DataFrame:
    """All fixes recorded on a day, FIX_SCHEMA; a fix recorded for two tiles is there for each."""
    return tables.concat([tables.read_table(storage, key, FIX_SCHEMA) for key in _snapshots(storage, day)], FIX_SCHEMA)


def read_columns(storage: Storage, day: date, names: Sequence[str]) -> pa.Table:
    """Some columns of `read_snapshots`, as Arrow."""
    schema = pa.schema([FIX_SCHEMA.field(name) for name in names])
    found = [tables.read_arrow(storage, key, schema) for key in _snapshots(storage, day)]
    return pa.concat_tables([schema.empty_table(), *found])


def _snapshots(storage: Storage, day: date) -> list[str]:
    return [key for key in storage.list(layout.ais_folder(day)) if _SNAPSHOT.fullmatch(key.rsplit("/", 1)[-1])]


def xlsx_bytes(fixes: pd.DataFrame, metadata: Mapping[str, object], *, sheet_rows: int = MAX_ROWS) -> bytes:
    """The fixes as an Excel file, on as many sheets as they need, and the metadata on a last one.

    Times are UTC and their headers say so; Excel has no time zones. Text stays text, also where it looks like a formula.
    """
    names = {field.name: f"{field.name} UTC" for field in FIX_SCHEMA if field.type == tables.TIMESTAMP}
    table = tables.to_frame(tables.conform(fixes, FIX_SCHEMA, "fixes")).rename(columns=names)
    about = pd.DataFrame(list(_lines(metadata)), columns=["name", "fact"], dtype=object)
    return workbook_bytes([Sheet("fixes", table), Sheet("about", about, header=False)], sheet_rows=sheet_rows)


def _lines(facts: Mapping[str, object], within: str = "") -> Iterator[tuple[str, str]]:
    """One line for each fact, however deep: a cell takes no more than 32,767 characters."""
    for name, fact in facts.items():
        if isinstance(fact, Mapping) and fact:
            yield from _lines(fact, f"{within}{name} / ")
        else:
            yield f"{within}{name}", fact if isinstance(fact, str) else json.dumps(fact)


def _metadata(parquet: bytes) -> dict[str, object]:
    found = (pq.read_schema(io.BytesIO(parquet)).metadata or {}).get(METADATA_KEY)
    facts: dict[str, object] = json.loads(found) if found else {}
    return facts
