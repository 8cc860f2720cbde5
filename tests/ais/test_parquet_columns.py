"""Parquet files of strangers: a few bytes that stand for a billion cells, types that are no cells."""

import io
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s2chips_core.ais.parquet_columns import read_columns
from s2chips_core.errors import InputError
from tests.peak_memory import peak_bytes
from tests.reliability import often


def _file(table: pa.Table, **options: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, **options)
    return sink.getvalue()


def _read(data: bytes, most_cells: int = 1000, most_bytes: int = 10_000_000) -> tuple[list[str], list[list[object]]]:
    return read_columns(data, "ships.parquet", most_cells=most_cells, most_bytes=most_bytes, expected="a table")


BOMB = """
import io
import numpy as np, pyarrow as pa, pyarrow.parquet as pq
from datetime import UTC, datetime
from s2chips_core.ais.tables import read_ais_table
from s2chips_core.errors import InputError
rows, sink = int(sys.argv[1]), io.BytesIO()
if sys.argv[2] == "rows":
    schema = pa.schema([("mmsi", pa.int64()), ("lat", pa.float64()), ("lon", pa.float64())])
    with pq.ParquetWriter(sink, schema, compression="zstd") as writer:
        ones = pa.array(np.ones(rows // 50, dtype=np.int64))
        for _ in range(50):
            writer.write_table(pa.table([ones, ones.cast(pa.float64()), ones.cast(pa.float64())], schema=schema))
elif sys.argv[2] == "texts":
    text = pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, dtype=np.int32)), pa.array(["x" * 2_000_000]))
    pq.write_table(pa.table({"mmsi": text, "lat": text, "lon": text}), sink, compression="zstd")
else:
    kinds = {"bytes": pa.large_binary(), "views": pa.string_view(), "fixed": pa.binary(100_000)}
    text = pa.array(["x" * 100_000] * 40).cast(pa.binary()).cast(kinds[sys.argv[2]])
    table = pa.table({"mmsi": text, "lat": text, "lon": text})
    with pq.ParquetWriter(sink, table.schema, compression="zstd") as writer:
        for _ in range(rows // 40):
            writer.write_table(table)
data = sink.getvalue()
print(len(data))
# measured
try:
    read_ais_table(data, "ships.parquet", now=datetime(2026, 1, 1, tzinfo=UTC), source_id="file-abc")
except InputError as error:
    print(str(error)[:300])
"""


@pytest.mark.parametrize(
    ("kind", "rows", "problem"),
    [
        ("rows", 20_000_000, "at most 50,000,000 cells"),
        ("texts", 200_000, "bytes of text"),
        ("bytes", 4_400, "bytes of text"),
        ("views", 4_400, "bytes of text"),
        ("fixed", 4_400, "no line with content"),
    ],
)
def test_a_small_file_of_many_cells_is_refused_in_little_memory(kind: str, rows: int, problem: str) -> None:
    peak, said = peak_bytes(BOMB, str(rows), kind)
    size, _, words = said.partition("\n")
    assert problem in words
    assert int(size) < 1_000_000
    assert peak < 200_000_000, f"{peak:,} bytes for a file of {size}"


def test_limits_are_those_of_all_row_groups_together() -> None:
    table = pa.table({"mmsi": list(range(500)), "name": ["boat"] * 500})
    names, columns = _read(_file(table, row_group_size=7))
    assert names == ["mmsi", "name"]
    assert columns == [list(range(500)), ["boat"] * 500]
    with pytest.raises(InputError, match="at most 999 cells"):
        _read(_file(table, row_group_size=7), most_cells=999)
    with pytest.raises(InputError, match="bytes"):
        _read(_file(table, use_dictionary=False), most_bytes=1999)


def test_lists_and_structures_are_left_out() -> None:
    table = pa.table({"mmsi": [1], "bbox": [{"xmin": 1.0}], "many": [[1, 2]], "lat": [2.0]})
    assert _read(_file(table)) == (["mmsi", "lat"], [[1], [2.0]])


def test_what_is_no_cell_is_left_out_and_what_is_a_text_is_read() -> None:
    table = pa.table(
        {
            "mmsi": pa.array(["1", None], pa.string_view()),
            "raw": pa.array([b"a", b"b"], pa.binary_view()),
            "id": pa.array([b"x" * 16, None], pa.binary(16)),
            "kind": pa.array([3, 4]).dictionary_encode(),
        }
    )
    assert _read(_file(table)) == (["mmsi", "raw", "kind"], [["1", None], [b"a", b"b"], [3, 4]])


@pytest.mark.parametrize("names", [("a", "a"), ("a.list.element", "a")])
def test_a_list_under_the_name_of_a_column_is_refused(names: tuple[str, str]) -> None:
    """By that name both would be read."""
    with pytest.raises(InputError, match="columns of different names"):
        _read(_file(pa.Table.from_arrays([pa.array([1]), pa.array([[1, 2]])], names=names)))


def test_a_zone_that_nobody_knows_is_refused() -> None:
    at = pa.array([datetime(2025, 10, 27, tzinfo=UTC)], pa.timestamp("ms", tz="Mars/Phobos"))
    with pytest.raises(InputError, match="no readable Parquet file"):
        _read(_file(pa.table({"time": at})))


SAMPLE = _file(
    pa.table(
        {
            "mmsi": [244660123, None, 3],
            "lat": [1.5, float("nan"), None],
            "time": pa.array([datetime(2025, 10, 27, tzinfo=UTC)] * 3, pa.timestamp("ns", tz="UTC")),
            "name": ["a", "b", None],
            "raw": [b"\xff", None, b""],
            "many": [[1], [], None],
        }
    )
)


@settings(max_examples=often(100, 5000), deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, len(SAMPLE) - 1), st.integers(0, 255)), min_size=1, max_size=6),
    st.integers(0, len(SAMPLE)),
)
def test_a_damaged_file_is_read_or_refused(damage: list[tuple[int, int]], cut: int) -> None:
    data = bytearray(SAMPLE)
    for at, value in damage:
        data[at] = value
    for bytes_ in (bytes(data), bytes(data[:cut]) + bytes(data[cut + 1 :])):
        try:
            names, columns = _read(bytes_)
        except InputError as error:
            assert "ships.parquet" in str(error)  # noqa: PT017
        else:
            assert len(names) == len(columns)
