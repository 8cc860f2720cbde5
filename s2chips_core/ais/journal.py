"""The journal of a capture: what has been heard so far, in segments of the dataset, until the snapshots are written.

`ais/journal/{capture_id}/header.json` is written first and removed first: what has no header is no journal, so neither a
beginning nor an interrupted removal looks like a capture that heard less. A segment is one Parquet file, with the facts
(counts, gaps) of its time in its metadata: one put, so that both are there or neither.
Not here: what a message means (`messages`), what becomes of the records (`fixes_of_window`).
"""

import dataclasses
import io
import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from s2chips_core import layout, tables
from s2chips_core.ais.messages import Position, Static
from s2chips_core.errors import StorageError
from s2chips_core.storage import Storage
from s2chips_core.tables import TIMESTAMP

POSITION, STATIC = "position", "static"

RECORD_SCHEMA = pa.schema(
    [
        pa.field("kind", pa.string(), nullable=False),
        pa.field("mmsi", pa.int64(), nullable=False),
        pa.field("message_type", pa.string(), nullable=False),
        pa.field("time", TIMESTAMP),
        pa.field("time_utc", TIMESTAMP),
        pa.field("received_at", TIMESTAMP, nullable=False),
        pa.field("lat", pa.float64()),
        pa.field("lon", pa.float64()),
        pa.field("sog_kn", pa.float64()),
        pa.field("cog_deg", pa.float64()),
        pa.field("heading_deg", pa.float64()),
        pa.field("nav_status", pa.int64()),
        pa.field("ais_class", pa.string()),
        pa.field("ship_name", pa.string()),
        pa.field("ship_type", pa.string()),
        pa.field("length_m", pa.float64()),
        pa.field("width_m", pa.float64()),
        pa.field("to_bow_m", pa.float64()),
        pa.field("to_stern_m", pa.float64()),
        pa.field("to_port_m", pa.float64()),
        pa.field("to_starboard_m", pa.float64()),
        pa.field("call_sign", pa.string()),
        pa.field("imo", pa.int64()),
        pa.field("destination", pa.string()),
    ]
)
"""`kind`: position (then `time`, `time_utc`, `lat`, `lon` are there) or static, what a ship says of itself."""

_EPOCH, _MS = datetime(1970, 1, 1, tzinfo=UTC), timedelta(milliseconds=1)
_FACTS = b"s2chips"
_HEADER = "header.json"
_SEGMENT = re.compile(r"(\d{6,})\.parquet", re.ASCII)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Journal:
    """What a journal holds."""

    header: dict[str, Any]
    """As it was given to JournalWriter."""
    records: pd.DataFrame
    """RECORD_SCHEMA, in order of segments; in each the positions, then the statics, as they were given."""
    facts: tuple[dict[str, Any], ...]
    """Of each readable segment, in order."""
    damaged: tuple[str, ...]
    """A sentence for each segment that is missing or cannot be read."""


class JournalWriter:
    """Writes a journal; one writer for each capture, one call at a time."""

    def __init__(self, storage: Storage, capture_id: str, header: Mapping[str, Any]) -> None:
        """Begin the journal: its header is on disk when this returns.

        Args:
            storage: the dataset.
            capture_id: usable in keys.
            header: free facts, values that JSON takes (the group's windows, ais_source, url, started_at …).

        Raises:
            StorageError: there is a journal of this capture, or it cannot be written.
        """
        self._storage, self._capture_id, self._next = storage, capture_id, 0
        if storage.exists(_header(capture_id)):
            raise StorageError(_header(capture_id), "is there already: a capture has one journal, written once")
        storage.delete_folder(layout.capture_journal(capture_id))
        storage.put(_header(capture_id), json.dumps(dict(header), sort_keys=True).encode())

    def append(self, positions: Sequence[Position], statics: Sequence[Static], facts: Mapping[str, Any]) -> str | None:
        """Write one segment, atomically; nothing when there is nothing to say.

        After an error nothing of the segment is on disk, and it may be tried again.

        Args:
            positions: with their own `static` where they have one.
            statics: of messages that only say that.
            facts: what happened since the last segment (counts, gaps …), values that JSON takes.

        Returns:
            The segment's key.

        Raises:
            StorageError: it cannot be written.
        """
        if not positions and not statics and not facts:
            return None
        own = [position.static for position in positions if position.static is not None]
        table = pa.concat_tables([_table(Position, POSITION, positions), _table(Static, STATIC, [*own, *statics])])
        table = table.replace_schema_metadata({_FACTS: json.dumps(dict(facts), sort_keys=True).encode()})
        sink = io.BytesIO()
        pq.write_table(table, sink, compression="zstd", write_page_checksum=True)
        key = f"{layout.capture_journal(self._capture_id)}/{self._next:06d}.parquet"
        self._storage.put(key, sink.getvalue())
        self._next += 1
        return key


def journals(storage: Storage) -> list[str]:
    """The capture ids of all journals, sorted: of captures that run, and of those that were killed."""
    return sorted(_capture_of(key) for key in storage.list(layout.capture_journals()) if key.endswith(f"/{_HEADER}"))


def read_header(storage: Storage, capture_id: str) -> dict[str, Any]:
    """What a journal began with, as it was given to JournalWriter.

    Raises:
        StorageError: there is no such journal, or its header is none.
    """
    key = _header(capture_id)
    try:
        header = json.loads(storage.get(key))
    except ValueError as error:
        raise StorageError(key, f"is no header of a journal: {error}") from error
    if not isinstance(header, dict):
        raise StorageError(key, "is no header of a journal: expected an object")
    return header


def read_journal(storage: Storage, capture_id: str) -> Journal:
    """All that a journal holds; a damaged segment is reported and left out.

    Raises:
        StorageError: there is no such journal, or storage fails. An error of the disk is no damage: try again.
    """
    header = read_header(storage, capture_id)
    segments, facts, damaged = [], [], []
    expected = 0
    for key in storage.list(layout.capture_journal(capture_id)):
        name = _SEGMENT.fullmatch(key.rpartition("/")[2])
        if name is None:
            continue
        damaged += [f"segment {n:06d} of capture {capture_id} is missing" for n in range(expected, int(name[1]))]
        expected = int(name[1]) + 1
        data = storage.get(key)
        try:
            table = pq.ParquetFile(io.BytesIO(data), page_checksum_verification=True).read(use_threads=False)
            found = json.loads(table.schema.metadata[_FACTS])
            segments.append(table.cast(RECORD_SCHEMA))
            facts.append(dict(found))
        except (pa.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
            damaged.append(f"segment {name[1]} of capture {capture_id} cannot be read: {str(error).splitlines()[0][:200]}")
    return Journal(header=header, records=_frame(segments), facts=tuple(facts), damaged=tuple(damaged))


def remove_journal(storage: Storage, capture_id: str) -> None:
    """Remove a journal, and what an interrupted removal of another has left; no error when it is gone already."""
    storage.delete(_header(capture_id))
    storage.delete_folder(layout.capture_journal(capture_id))
    left = {_capture_of(key) for key in storage.list(layout.capture_journals())}
    for other in sorted(left - set(journals(storage))):
        storage.delete_folder(layout.capture_journal(other))


def _header(capture_id: str) -> str:
    return f"{layout.capture_journal(capture_id)}/{_HEADER}"


def _capture_of(key: str) -> str:
    return key.split("/")[-2]


def _frame(segments: list[pa.Table]) -> pd.DataFrame:
    if not segments:
        return tables.empty(RECORD_SCHEMA)
    table = pa.concat_tables(segments)
    segments.clear()
    columns = {}
    for field in RECORD_SCHEMA:  # one by one: no more than one column is there twice
        text = pa.types.is_string(field.type)
        column = table.select([field.name])
        columns[field.name] = _texts(column.column(0)) if text else tables.to_frame(column)[field.name]
        table = table.drop_columns([field.name])
    return pd.DataFrame(columns, copy=False)


def _texts(column: pa.ChunkedArray) -> "pd.Series[Any]":
    """One object for each different text, None for null: 300,000 names of 3,000 ships are 3,000 strings."""
    encoded = column.combine_chunks().dictionary_encode()
    values = np.array([*encoded.dictionary.to_pylist(), None], dtype=object)
    return pd.Series(values[encoded.indices.fill_null(len(values) - 1).to_numpy()], dtype=object)


def _table(record: type[Position] | type[Static], kind: str, rows: Sequence[Position] | Sequence[Static]) -> pa.Table:
    columns = dict(zip(record._fields, zip(*rows, strict=True), strict=True)) if rows else {}
    arrays = []
    for field in RECORD_SCHEMA:
        if field.name == "kind":
            arrays.append(pa.array([kind] * len(rows), field.type))
        elif field.name not in columns:
            arrays.append(pa.nulls(len(rows), field.type))
        elif field.type == TIMESTAMP:
            arrays.append(pa.array([_ms(moment) for moment in columns[field.name]], pa.int64()).cast(TIMESTAMP))
        else:
            arrays.append(pa.array(columns[field.name], field.type))
    return pa.Table.from_arrays(arrays, schema=RECORD_SCHEMA)


def _ms(moment: datetime | None) -> int | None:
    return None if moment is None else (moment - _EPOCH) // _MS
