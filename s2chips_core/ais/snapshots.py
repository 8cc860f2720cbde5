"""AIS snapshots: what was recorded around the overpasses of a day, one Parquet and one Excel file for each tile.

Here: writing, adding up, reading back. Not here: the names of the files (`layout`), AIS tables that people bring (`tables`).
"""

import io
import json
import re
from collections.abc import Mapping
from datetime import date

import openpyxl
import pandas as pd
import pyarrow.parquet as pq
from openpyxl.cell import WriteOnlyCell
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE
from openpyxl.worksheet._write_only import WriteOnlyWorksheet

from s2chips_core import layout, tables
from s2chips_core.ais.fixes import FIX_SCHEMA
from s2chips_core.storage import Storage

UNTILED = "untiled"
"""Stands for the tile where fixes were recorded for none."""
METADATA_KEY = b"s2chips"
MAX_SHEET_ROWS = 1_048_576
"""Of an Excel sheet, the header included."""
_FORMULA_STARTS = ("=", "+", "-", "@")
_SNAPSHOT = re.compile(r"ais_overpass_[^/]+\.parquet")


def write_snapshots(storage: Storage, day: date, fixes: pd.DataFrame, *, metadata: Mapping[str, object] | None) -> list[str]:
    """Write the fixes of each tile, together with what is there already.

    Two captures of one tile on one day add up; exact repeats are kept once. A tile that gains nothing is not written again.

    Args:
        storage: the dataset.
        day: UTC.
        fixes: FIX_SCHEMA.
        metadata: facts about the capture, values that JSON takes; kept in the Parquet file and on a sheet of the Excel
            file. Later facts replace earlier ones of the same name.

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
            frames, facts, before = [recorded], dict(metadata or {}), -1
            if storage.exists(parquet):
                there = tables.read_table(storage, parquet, FIX_SCHEMA)
                frames, facts, before = [there, recorded], _metadata(storage.get(parquet)) | facts, len(there)
            union = tables.concat(frames, FIX_SCHEMA).drop_duplicates()
            if len(union) != before or not storage.exists(xlsx):
                union = union.sort_values(["mmsi", "time"], kind="stable", ignore_index=True)
                # The Excel file first: where the Parquet file, which counts, has the rows, so has it.
                storage.put(xlsx, xlsx_bytes(union, facts))
                table = tables.conform(union, FIX_SCHEMA, parquet)
                table = table.replace_schema_metadata({METADATA_KEY: json.dumps(facts, sort_keys=True).encode()})
                storage.put(parquet, tables.parquet_bytes(table))
        keys += [parquet, xlsx]
    return keys


def read_snapshots(storage: Storage, day: date) -> pd.DataFrame:
    """All fixes recorded on a day, FIX_SCHEMA; a fix recorded for two tiles is there for each."""
    keys = [key for key in storage.list(layout.ais_folder(day)) if _SNAPSHOT.fullmatch(key.rsplit("/", 1)[-1])]
    return tables.concat([tables.read_table(storage, key, FIX_SCHEMA) for key in keys], FIX_SCHEMA)


def xlsx_bytes(fixes: pd.DataFrame, metadata: Mapping[str, object], *, sheet_rows: int = MAX_SHEET_ROWS) -> bytes:
    """The fixes as an Excel file, on as many sheets as they need, and the metadata on a last one.

    Times are UTC and their headers say so; Excel has no time zones. Text stays text, also where it looks like a formula.
    """
    columns: list[list[object]] = []
    header = []
    for field in FIX_SCHEMA:
        values = fixes[field.name]
        if field.type == tables.TIMESTAMP:
            header.append(f"{field.name} UTC")
            stamps = values.dt.tz_convert("UTC").dt.tz_localize(None)
            columns.append([None if pd.isna(stamp) else stamp.to_pydatetime() for stamp in stamps])
        else:
            header.append(field.name)
            columns.append([None if pd.isna(value) else value for value in values.tolist()])
    book = openpyxl.Workbook(write_only=True)
    rows = list(zip(*columns, strict=True))
    for number, start in enumerate(range(0, max(len(rows), 1), sheet_rows - 1), start=1):
        sheet = book.create_sheet("fixes" if number == 1 else f"fixes {number}")
        sheet.append(header)
        for row in rows[start : start + sheet_rows - 1]:
            sheet.append([_cell(sheet, value) if isinstance(value, str) else value for value in row])
    about = book.create_sheet("about")
    for name, fact in metadata.items():
        about.append([_cell(about, name), _cell(about, fact if isinstance(fact, str) else json.dumps(fact))])
    sink = io.BytesIO()
    book.save(sink)
    return sink.getvalue()


def _cell(sheet: WriteOnlyWorksheet, text: str) -> object:
    text = ILLEGAL_CHARACTERS_RE.sub("", text)
    if not text.startswith(_FORMULA_STARTS):
        return text
    cell = WriteOnlyCell(sheet, value=text)
    cell.data_type = "s"
    cell.quotePrefix = True  # Excel keeps it a text when somebody edits it
    return cell


def _metadata(parquet: bytes) -> dict[str, object]:
    found = (pq.read_schema(io.BytesIO(parquet)).metadata or {}).get(METADATA_KEY)
    facts: dict[str, object] = json.loads(found) if found else {}
    return facts
