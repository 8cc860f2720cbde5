"""Tables between stages: pandas inside, Parquet on disk, one declared Arrow schema each.

Here: conforming a frame to its schema, reading and writing it. Not here: the schemas (beside the code that makes each
table) and the keys (`layout`). Times are `timestamp[ms, UTC]` on disk and `datetime64[ms, UTC]` in pandas.
"""

import io
from collections.abc import Iterable, Iterator

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from s2chips_core.errors import SchemaError, StorageError
from s2chips_core.storage import Storage

TIMESTAMP = pa.timestamp("ms", tz="UTC")
FEW_ROWS = 2000
SCANNED_ROWS = 20_000


def conform(frame: pd.DataFrame, schema: pa.Schema, name: str) -> pa.Table:
    """Give `frame` the columns, order and types of `schema`.

    Nullable columns that are missing are added as nulls; further columns are dropped.

    Raises:
        SchemaError: a required column is missing or holds nulls, or a value does not fit its type.
    """
    columns = []
    for field in schema:
        if field.name not in frame.columns:
            if not field.nullable:
                raise SchemaError(name, f"required column {field.name!r} is missing; it has {list(frame.columns)}")
            columns.append(pa.nulls(len(frame), field.type))
            continue
        try:
            column = pa.Array.from_pandas(frame[field.name], type=field.type)
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError) as error:
            raise SchemaError(name, f"column {field.name!r} is no {field.type}: {error}") from error
        if isinstance(column, pa.ChunkedArray):
            column = column.combine_chunks()
        if not field.nullable and column.null_count:
            raise SchemaError(name, f"required column {field.name!r} has {column.null_count} nulls")
        columns.append(column)
    return pa.Table.from_arrays(columns, schema=schema)


def to_frame(table: pa.Table) -> pd.DataFrame:
    """The pandas form of a table; whole numbers with nulls become `Int64`, texts `object` with None for null."""
    frame: pd.DataFrame = table.to_pandas(types_mapper={pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}.get)
    for field in table.schema:
        if field.type == TIMESTAMP:
            frame[field.name] = frame[field.name].astype("datetime64[ms, UTC]")
        elif pa.types.is_string(field.type):
            frame[field.name] = frame[field.name].astype(object).where(frame[field.name].notna(), None)
    return frame


def empty(schema: pa.Schema) -> pd.DataFrame:
    """A frame with the columns of `schema` and no rows."""
    return to_frame(schema.empty_table())


def parquet_bytes(table: pa.Table) -> bytes:
    """The table as one Parquet file (zstd)."""
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue()


def write_table(storage: Storage, key: str, frame: pd.DataFrame, schema: pa.Schema) -> pa.Table:
    """Conform `frame` and put it atomically at `key`; returns the table as written."""
    table = conform(frame, schema, key)
    storage.put(key, parquet_bytes(table))
    return table


def put_changed(storage: Storage, key: str, table: pa.Table) -> None:
    """Write a table unless it is there already: what has not changed keeps its time."""
    data = parquet_bytes(table.combine_chunks())
    if not storage.exists(key) or storage.get(key) != data:
        storage.put(key, data)


def read_arrow(storage: Storage, key: str, schema: pa.Schema) -> pa.Table:
    """Read the columns of `schema` from `key`, and no others.

    Raises:
        StorageError: it is not there or is no Parquet file.
        SchemaError: a column is missing or of another type.
    """
    file = _open(storage, key)
    _refuse_missing(file, key, schema)
    return _cast(_read(file, key, schema.names), key, schema)


def scan(storage: Storage, key: str, schema: pa.Schema, rows: int = SCANNED_ROWS) -> Iterator[pa.Table]:
    """`read_arrow` of a table that may be too long to be held: its rows in order, at most `rows` at once.

    Raises:
        StorageError: it is not there or is no Parquet file.
        SchemaError: a column is missing or of another type.
    """
    with storage.open_read(key) as opened:
        try:
            file = pq.ParquetFile(opened)
            _refuse_missing(file, key, schema)
            for batch in file.iter_batches(batch_size=rows, columns=schema.names):
                yield _cast(pa.Table.from_batches([batch]), key, schema)
        except (pa.ArrowInvalid, OSError) as error:
            raise StorageError(key, f"is no Parquet file: {error}") from error


def _refuse_missing(file: pq.ParquetFile, key: str, schema: pa.Schema) -> None:
    found = set(file.schema_arrow.names)
    missing = [f.name for f in schema if f.name not in found]
    if missing:
        raise SchemaError(key, f"columns {missing} are missing; it was written by another version")


def _cast(table: pa.Table, key: str, schema: pa.Schema) -> pa.Table:
    try:
        return table.select(schema.names).cast(schema)
    except (pa.ArrowInvalid, ValueError) as error:
        raise SchemaError(key, str(error)) from error


def read_whole(storage: Storage, key: str) -> pa.Table:
    """Read `key` with all of its columns, whatever they are; written again with `parquet_bytes` it is the same file.

    Raises:
        StorageError: it is not there or is no Parquet file.
    """
    table = _read(_open(storage, key), key)
    fields = [field.with_type(_as_made(field.type)) for field in table.schema]
    return table.cast(pa.schema(fields, metadata=table.schema.metadata))


def _open(storage: Storage, key: str) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(io.BytesIO(storage.get(key)))
    except pa.ArrowInvalid as error:
        raise StorageError(key, f"is no Parquet file: {error}") from error


def _read(file: pq.ParquetFile, key: str, columns: list[str] | None = None) -> pa.Table:
    try:
        # A part of a few rows is read sooner without handing columns to other threads.
        return file.read(columns=columns, use_threads=file.metadata.num_rows > FEW_ROWS)
    except pa.ArrowInvalid as error:
        raise StorageError(key, f"is no Parquet file: {error}") from error


def _as_made(kind: pa.DataType) -> pa.DataType:
    """Parquet calls what is in a list `element`, and Arrow, unless told otherwise, `item`."""
    if pa.types.is_list(kind):
        return pa.list_(kind.value_field.with_name("item").with_type(_as_made(kind.value_type)))
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_as_made(field.type)) for field in kind])
    return kind


def read_table(storage: Storage, key: str, schema: pa.Schema) -> pd.DataFrame:
    """`read_arrow` in its pandas form."""
    return to_frame(read_arrow(storage, key, schema))


def concat(frames: Iterable[pd.DataFrame], schema: pa.Schema) -> pd.DataFrame:
    """Stack frames of one schema; with none, an empty frame of it."""
    tables = [conform(f, schema, "concat") for f in frames]
    return to_frame(pa.concat_tables(tables)) if tables else empty(schema)
