"""Conforming frames to their schema, and Parquet there and back."""

import pandas as pd
import pyarrow as pa
import pytest

from s2chips_core import tables
from s2chips_core.errors import SchemaError, StorageError
from s2chips_core.storage import LocalStorage
from s2chips_core.tables import TIMESTAMP

SCHEMA = pa.schema(
    [
        pa.field("name", pa.string(), nullable=False),
        pa.field("mmsi", pa.int64()),
        pa.field("time", TIMESTAMP),
        pa.field("x", pa.float64()),
        pa.field("flag", pa.bool_()),
        pa.field("tags", pa.list_(pa.string())),
    ]
)
FRAME = pd.DataFrame(
    {
        "name": ["a", "b"],
        "mmsi": pd.array([244660123, None], dtype="Int64"),
        "time": pd.to_datetime(["2025-10-27T11:04:22.123Z", None], utc=True).astype("datetime64[ms, UTC]"),
        "x": [1.5, None],
        "flag": pd.array([True, None], dtype="boolean"),
        "tags": [["p", "q"], None],
        "surplus": [1, 2],
    }
)


def test_there_and_back(storage: LocalStorage) -> None:
    tables.write_table(storage, "t/a.parquet", FRAME, SCHEMA)
    back = tables.read_table(storage, "t/a.parquet", SCHEMA)
    assert list(back.columns) == SCHEMA.names
    assert back["mmsi"].dtype == "Int64"
    assert str(back["time"].dtype) == "datetime64[ms, UTC]"
    assert back.loc[0, "time"] == pd.Timestamp("2025-10-27T11:04:22.123Z")
    assert pd.isna(back.loc[1, "mmsi"])
    assert list(back.loc[0, "tags"]) == ["p", "q"]
    tables.write_table(storage, "t/b.parquet", back, SCHEMA)
    assert storage.get("t/a.parquet") == storage.get("t/b.parquet")
    part = pa.schema([SCHEMA.field("x"), SCHEMA.field("name")])
    assert tables.read_arrow(storage, "t/a.parquet", part).to_pydict() == {"x": [1.5, None], "name": ["a", "b"]}


def test_missing_nullable_columns_are_nulls_and_others_an_error() -> None:
    assert tables.conform(FRAME[["name"]], SCHEMA, "t")["x"].null_count == 2
    with pytest.raises(SchemaError, match="'name' is missing"):
        tables.conform(FRAME[["x"]], SCHEMA, "t")
    with pytest.raises(SchemaError, match="1 nulls"):
        tables.conform(FRAME.assign(name=["a", None]), SCHEMA, "t")
    with pytest.raises(SchemaError, match="'x' is no double"):
        tables.conform(FRAME.assign(x=["far", "near"]), SCHEMA, "t")


def test_what_was_written_otherwise_is_refused(storage: LocalStorage) -> None:
    storage.put("no.parquet", b"PAR0")
    with pytest.raises(StorageError, match="no Parquet"):
        tables.read_table(storage, "no.parquet", SCHEMA)
    tables.write_table(storage, "old.parquet", FRAME, pa.schema([SCHEMA.field("name")]))
    with pytest.raises(SchemaError, match="mmsi"):
        tables.read_table(storage, "old.parquet", SCHEMA)


def test_empty_and_concat_keep_the_types() -> None:
    nothing = tables.empty(SCHEMA)
    assert len(nothing) == 0
    assert str(nothing["time"].dtype) == "datetime64[ms, UTC]"
    both = tables.concat([nothing, FRAME], SCHEMA)
    assert len(both) == 2
    assert both["mmsi"].dtype == "Int64"
    assert len(tables.concat([], SCHEMA)) == 0


def test_a_whole_table_is_written_again_as_it_was(storage: LocalStorage) -> None:
    """Whatever its columns are: lists of structs of lists too."""
    box = pa.struct([pa.field("mmsi", pa.int64(), nullable=False), pa.field("box", pa.list_(pa.float64()))])
    schema = pa.schema([*SCHEMA, pa.field("labels", pa.list_(box), nullable=False)])
    rows = [{"name": "a", "labels": [{"mmsi": 1, "box": [1.0]}, {"mmsi": 2, "box": None}]}, {"name": "b", "labels": []}]
    data = tables.parquet_bytes(pa.Table.from_pylist(rows, schema=schema))
    storage.put("t.parquet", data)
    table = tables.read_whole(storage, "t.parquet")
    assert table.schema == schema
    assert tables.parquet_bytes(table) == data
    storage.put("bad.parquet", b"no parquet")
    with pytest.raises(StorageError, match=r"bad\.parquet: is no Parquet file"):
        tables.read_whole(storage, "bad.parquet")


def test_what_has_not_changed_is_not_written(storage: LocalStorage) -> None:
    table = tables.conform(FRAME, SCHEMA, "t")
    path = storage.path("t/a.parquet")
    tables.put_changed(storage, "t/a.parquet", table)
    written = path.stat().st_ino
    tables.put_changed(storage, "t/a.parquet", pa.concat_tables([table.slice(0, 1), table.slice(1)]))
    assert path.stat().st_ino == written
    tables.put_changed(storage, "t/a.parquet", table.slice(0, 1))
    assert path.stat().st_ino != written
    assert tables.read_table(storage, "t/a.parquet", SCHEMA)["name"].tolist() == ["a"]
