"""Columns of a Parquet file that somebody else wrote, as Python values.

Here: reading them in pieces, so that a small file cannot unpack to more than an AIS table can hold: a page of a few bytes
may stand for a billion rows, or for one long text a million times. What is no cell is left out: lists and structures, such
as a bounding box, bytes of a fixed length, types that only some program knows. Not here: what the columns mean (`tables`).
"""

import io
import math

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from s2chips_core.errors import InputError

_ROWS_AT_ONCE = 4096


def read_columns(
    data: bytes, filename: str, *, most_cells: int, most_bytes: int, expected: str
) -> tuple[list[str], list[list[object]]]:
    """The names of the columns, and the values of each: null for NaN, decimals as floats, times in milliseconds.

    Args:
        data: of the file.
        filename: for errors.
        most_cells: rows times columns.
        most_bytes: of all texts, and of the file once unpacked.
        expected: for errors.

    Raises:
        InputError: damaged, or larger than that.
    """
    try:
        with io.BytesIO(data) as stream:
            schema = pq.ParquetFile(stream).schema_arrow
            texts = [field.name for field in schema if _is_text(field.type)]
            # As a dictionary a text that is repeated takes its place once.
            file = pq.ParquetFile(stream, read_dictionary=texts, pre_buffer=False)
            return _read(file, filename, most_cells, most_bytes)
    except (pa.ArrowException, OSError, ValueError, OverflowError, KeyError, TypeError) as error:
        # KeyError: a zone of time that nobody knows. TypeError: a type that has no values in Python.
        raise InputError(filename, f"no readable Parquet file ({error})", expected) from error


def _read(file: pq.ParquetFile, filename: str, most_cells: int, most_bytes: int) -> tuple[list[str], list[list[object]]]:
    metadata = file.metadata
    size = sum(metadata.row_group(n).total_byte_size for n in range(metadata.num_row_groups))
    if size > most_bytes:
        raise InputError(filename, f"{size} bytes once unpacked", f"at most {most_bytes}")
    flat = [n for n, field in enumerate(file.schema_arrow) if _is_cell(field.type)]
    names = [file.schema_arrow[n].name for n in flat]
    paths = [file.schema.column(n).path for n in range(len(file.schema))]
    # By its name a column is read with all that is of the same name, or lies below it.
    if sum(path in names or path.startswith(tuple(f"{name}." for name in names)) for path in paths) != len(names):
        raise InputError(filename, f"columns {names}", "columns of different names")
    if metadata.num_rows * len(names) > most_cells:
        raise InputError(filename, f"{metadata.num_rows:,} rows of {len(names)} columns", f"at most {most_cells:,} cells")
    columns: list[list[object]] = [[] for _ in flat]
    rows = text_bytes = 0
    for batch in file.iter_batches(batch_size=_ROWS_AT_ONCE, columns=None if len(flat) == len(file.schema_arrow) else names):
        rows += batch.num_rows
        if rows * len(names) > most_cells:  # more than the file said
            raise InputError(filename, f"more than {most_cells:,} cells", "a smaller table")
        for into, array in zip(columns, batch.columns, strict=True):
            text_bytes += _text_bytes(array)
            if text_bytes > most_bytes:
                raise InputError(filename, f"more than {most_bytes} bytes of text", "a smaller table")
            into += _plain_values(array)
    return names, columns


def _is_cell(kind: pa.DataType) -> bool:
    """Whether a value takes no more than some bytes, or is a text."""
    if pa.types.is_dictionary(kind):
        return _is_cell(kind.value_type)
    plain = (pa.types.is_null, pa.types.is_boolean, pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)
    return any(is_kind(kind) for is_kind in (*plain, pa.types.is_temporal, _is_text))


def _is_text(kind: pa.DataType) -> bool:
    texts = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    bytes_ = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view)
    return any(is_kind(kind) for is_kind in (*texts, *bytes_))


def _text_bytes(array: pa.Array) -> int:
    """Of all values, each as often as it is there."""
    if pa.types.is_dictionary(array.type) and _is_text(array.type.value_type):
        lengths = pc.take(pc.binary_length(array.dictionary), array.indices)
    elif _is_text(array.type):
        lengths = pc.binary_length(array)
    else:
        return 0
    return int(pc.sum(pc.cast(lengths, pa.int64())).as_py() or 0)


def _plain_values(array: pa.Array) -> list[object]:
    if pa.types.is_dictionary(array.type):
        known = array.dictionary.to_pylist()  # each text is one object, however often it is said
        return [None if at is None else known[at] for at in array.indices.to_pylist()]
    if pa.types.is_decimal(array.type):
        array = array.cast(pa.float64())
    elif pa.types.is_timestamp(array.type):
        array = array.cast(pa.timestamp("ms", tz=array.type.tz), safe=False)
    return [None if isinstance(value, float) and math.isnan(value) else value for value in array.to_pylist()]
