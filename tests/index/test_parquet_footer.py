"""Footers, against files that pyarrow and DuckDB write and read."""

import contextlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s2chips_core.index.parquet_footer import MAGIC, Footer, RowGroup, read_footer


def table_of(rows: int, seed: int = 0) -> pa.Table:
    """All kinds of columns that the index has, nulls among them."""
    random = np.random.default_rng(seed)
    return pa.table(
        {
            "text": pa.array([None if n % 5 == 1 else f"{seed} {n}" for n in range(rows)], pa.string()),
            "number": pa.array(random.integers(-(2**60), 2**60, rows)),
            "real": pa.array(random.normal(size=rows)),
            "flag": pa.array([bool(n % 3) for n in range(rows)], pa.bool_()),
            "list": pa.array([[float(n)] * (n % 4) for n in range(rows)], pa.list_(pa.float64())),
            "struct": pa.array([{"x": float(n), "y": None} for n in range(rows)], pa.struct({"x": "f8", "y": "f8"})),
            "bytes": pa.array([b"%d" % n for n in range(rows)], pa.binary()),
            "none": pa.nulls(rows, pa.string()),
        }
    )


def file_of(*tables: pa.Table, **options: Any) -> io.BytesIO:
    """One file, a row group for each table."""
    sink = io.BytesIO()
    with pq.ParquetWriter(sink, table_of(0).schema, **options) as writer:
        for table in tables:
            writer.write_table(table)
        writer.add_key_value_metadata({"said": "Ø" * 200})
    return sink


def joined(files: Sequence[io.BytesIO], order: Sequence[tuple[int, int]]) -> io.BytesIO:
    """A file of row groups of others: (file, row group), in this order."""
    footers = [read_footer(file)[0] for file in files]
    sink, groups = io.BytesIO(), list[RowGroup]()
    sink.write(MAGIC)
    for number, (of_file, of_group) in enumerate(order):
        group = footers[of_file].row_groups[of_group]
        groups.append(group.moved(sink.tell(), number))
        sink.write(files[of_file].getvalue()[group.start : group.start + group.size])
    footer = Footer(row_groups=tuple(groups), key_values={b"new": b"value"}, others=footers[0].others)
    sink.write(footer.to_bytes())
    return sink


@pytest.mark.parametrize("options", [{}, {"compression": "none"}, {"write_statistics": False}, {"use_dictionary": False}])
@pytest.mark.parametrize("groups", [0, 1, 14, 15, 40])
def test_what_is_read_is_written_as_it_was(groups: int, options: dict[str, Any]) -> None:
    file = file_of(*(table_of(20 + n, n) for n in range(groups)), **options)
    footer, begin = read_footer(file)
    assert footer.to_bytes() == file.getvalue()[begin:]
    assert footer.key_values[b"said"].decode() == "Ø" * 200
    known = pq.read_metadata(io.BytesIO(file.getvalue()))
    assert [group.rows for group in footer.row_groups] == [known.row_group(n).num_rows for n in range(groups)]
    ends = [group.start + group.size for group in footer.row_groups]
    assert [4, *ends] == [*(group.start for group in footer.row_groups), begin], "they follow one another"


@given(
    sizes=st.lists(st.lists(st.integers(1, 300), min_size=1, max_size=4), min_size=1, max_size=3),
    data=st.data(),
)
@settings(max_examples=30, deadline=None)
def test_row_groups_stand_in_another_file(sizes: list[list[int]], data: st.DataObject) -> None:
    made = [[table_of(rows, 10 * n + m) for m, rows in enumerate(of_file)] for n, of_file in enumerate(sizes)]
    files = [file_of(*tables) for tables in made]
    every = [(n, m) for n, of_file in enumerate(made) for m in range(len(of_file))]
    order = data.draw(st.lists(st.sampled_from(every), min_size=1, max_size=8))
    file = joined(files, order)
    expected = pa.concat_tables([made[n][m] for n, m in order])
    assert pq.read_table(io.BytesIO(file.getvalue())).replace_schema_metadata().equals(expected)
    again, _ = read_footer(file)
    assert joined([file], [(0, n) for n in range(len(again.row_groups))]).getvalue() == file.getvalue()


def test_statistics_go_with_their_row_group(tmp_path: Path) -> None:
    tables = [pa.table({"n": pa.array(range(first, first + 10))}) for first in (0, 100, 200)]
    sink = io.BytesIO()
    with pq.ParquetWriter(sink, tables[0].schema) as writer:
        for table in tables:
            writer.write_table(table)
    path = tmp_path / "joined.parquet"
    path.write_bytes(joined([sink], [(0, 2), (0, 0)]).getvalue())
    found = duckdb.sql(f"select row_group_id, stats_min_value from parquet_metadata('{path}') order by 1").fetchall()
    assert found == [(0, "200"), (1, "0")]
    assert duckdb.sql(f"select count(*) from '{path}' where n >= 205").fetchall() == [(5,)]


def test_row_groups_of_another_writer_stand_too(tmp_path: Path) -> None:
    path = tmp_path / "duckdb.parquet"
    duckdb.sql("select range as n, 'x' || range as t from range(6000)").write_parquet(str(path), row_group_size=2048)
    file = io.BytesIO(path.read_bytes())
    whole = pq.read_table(path)
    turned = joined([file], [(0, 1), (0, 0)])
    assert pq.read_table(io.BytesIO(turned.getvalue())).equals(pa.concat_tables([whole[2048:4096], whole[:2048]]))


def test_an_ordinal_is_the_new_one() -> None:
    file = file_of(table_of(10, 1), table_of(20, 2))
    footer, begin = read_footer(file)
    # Field 7 after field 6, an i16: 0 and 1.
    groups = [bytes([*group.text[:-1], 0x14, 2 * n, 0]) for n, group in enumerate(footer.row_groups)]
    numbered = file.getvalue()[begin:]
    for group, text in zip(footer.row_groups, groups, strict=True):
        numbered = numbered.replace(group.text, text)
    length = int.from_bytes(numbered[-8:-4], "little") + 2 * len(groups)
    file = io.BytesIO(file.getvalue()[:begin] + numbered[:-8] + length.to_bytes(4, "little") + MAGIC)
    found, _ = read_footer(file)
    assert [group.ordinal.value for group in found.row_groups if group.ordinal] == [0, 1]
    turned = joined([file], [(0, 1), (0, 0)])
    assert [group.ordinal.value for group in read_footer(turned)[0].row_groups if group.ordinal] == [0, 1]
    expected = pa.concat_tables([table_of(20, 2), table_of(10, 1)])
    assert pq.read_table(io.BytesIO(turned.getvalue())).replace_schema_metadata().equals(expected)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"write_page_index": True}, "outside of its row group"),
        ({"bloom_filter_options": {"number": True}}, "Bloom filter"),
    ],
)
def test_what_cannot_be_moved_is_refused(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        read_footer(file_of(table_of(50), **options))


@pytest.mark.parametrize("data", [b"", b"PAR1", b"PAR1PAR1", b"x" * 100, b"PAR1" + b"\xff" * 4 + b"PAR1"])
def test_what_is_no_parquet_file_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"does not end as a Parquet file does|broken off"):
        read_footer(io.BytesIO(data))


@given(data=st.data())
@settings(max_examples=300, deadline=None)
def test_a_damaged_footer_is_read_or_refused(data: st.DataObject) -> None:
    file = file_of(table_of(5))
    _, begin = read_footer(file)
    whole = bytearray(file.getvalue())
    for _ in range(data.draw(st.integers(1, 5))):
        whole[data.draw(st.integers(begin, len(whole) - 9))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(ValueError):  # and nothing else
        read_footer(io.BytesIO(bytes(whole)))


def test_there_are_not_more_row_groups_than_can_be_numbered() -> None:
    footer, _ = read_footer(file_of(table_of(1)))
    with pytest.raises(ValueError, match="at most 32767"):
        Footer(row_groups=footer.row_groups * 32_768, key_values={}, others=footer.others).to_bytes()
