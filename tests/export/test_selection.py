"""Which chips are chosen."""

from pathlib import Path

import duckdb
import pandas as pd
import pyarrow as pa
import pytest

from s2chips_core import layout, tables
from s2chips_core.errors import InputError, MixedAisError, StorageError
from s2chips_core.export.options import ExportOptions
from s2chips_core.export.selection import read_index, select_chips
from s2chips_core.index.records import INDEX_SCHEMA
from s2chips_core.storage import LocalStorage
from tests.export.chips import Kept, index, keep, make_dataset
from tests.index.chips import scene_of

Dataset = tuple[LocalStorage, dict[str, Kept]]


def rows_of(dataset: Dataset) -> pa.Table:
    return read_index(dataset[0])


def test_all(dataset: Dataset) -> None:
    rows = rows_of(dataset)
    chosen = select_chips(rows, ExportOptions())
    assert chosen.rows.equals(rows)
    assert chosen.rows.schema == INDEX_SCHEMA
    assert chosen.left_out == {}


def test_splits(dataset: Dataset) -> None:
    rows = rows_of(dataset)
    chosen = select_chips(rows, ExportOptions(splits=("val", "test")))
    frame = tables.to_frame(rows)
    wanted = frame[frame["split"].isin(["val", "test"])]
    assert chosen.rows["chip_id"].to_pylist() == wanted["chip_id"].tolist()
    assert chosen.left_out == {"of another split": len(frame) - len(wanted)}


@pytest.mark.parametrize(
    ("where", "same"),
    [
        ("length_m > 50", lambda f: f["length_m"] > 50),
        ("ship_type == 'Cargo' and not has_swir", lambda f: (f["ship_type"] == "Cargo") & ~f["has_swir"]),
        ("mmsi in [244660001, 244660002]", lambda f: f["mmsi"].isin([244660001, 244660002])),
        ("scene_datetime >= '2025-10-28'", lambda f: f["scene_datetime"] >= pd.Timestamp("2025-10-28", tz="UTC")),
        ("sog_kn > 1", lambda f: f["sog_kn"].fillna(0) > 1),
    ],
)
def test_a_condition(dataset: Dataset, where: str, same: object) -> None:
    frame = tables.to_frame(rows_of(dataset))
    wanted = frame[same(frame).fillna(value=False).astype(bool)]  # type: ignore[operator]
    assert 0 < len(wanted) < len(frame)
    assert (
        select_chips(rows_of(dataset), ExportOptions(where=where)).rows["chip_id"].to_pylist() == wanted["chip_id"].tolist()
    )


@pytest.mark.parametrize(
    ("where", "sql"),
    [
        ("heading_deg != 0", "heading_deg <> 0"),
        ("not (length_m < 50)", "not (length_m < 50)"),
        ("ship_type != 'Cargo'", "ship_type <> 'Cargo'"),
        ("ship_type == 'Tug' or length_m != 60", "ship_type = 'Tug' or length_m <> 60"),
        ("not (ship_type == 'Cargo')", "not (ship_type = 'Cargo')"),
        ("ship_type in ['Cargo', 'Tug']", "ship_type in ('Cargo', 'Tug')"),
        ("ship_type not in ['Cargo']", "ship_type not in ('Cargo')"),
        ("not (ship_type in ['Cargo'])", "not (ship_type in ('Cargo'))"),
        ("length_m == length_m", "length_m = length_m"),
        ("0 < length_m < 100 and split == 'train'", "length_m > 0 and length_m < 100 and split = 'train'"),
    ],
)
def test_what_is_not_known_satisfies_nothing(dataset: Dataset, where: str, sql: str) -> None:
    """As in SQL, also where it is said what a value is not; DuckDB tells which rows."""
    rows = rows_of(dataset)
    assert rows["length_m"].null_count
    assert rows["ship_type"].null_count
    with duckdb.connect() as db:
        db.register("chips", rows.select(["chip_id", "heading_deg", "length_m", "ship_type", "split"]))
        wanted = {chip for (chip,) in db.execute(f"select chip_id from chips where {sql}").fetchall()}
    assert 0 < len(wanted) < len(rows)
    assert set(select_chips(rows, ExportOptions(where=where)).rows["chip_id"].to_pylist()) == wanted


def test_a_column_of_which_nothing_is_known(dataset: Dataset) -> None:
    rows = rows_of(dataset)
    place = rows.schema.get_field_index("ship_name")
    rows = rows.set_column(place, rows.schema.field(place), pa.nulls(len(rows), pa.string()))
    for where in ("ship_name == 'A'", "ship_name != 'A'", "ship_name.str.contains('A')", "ship_name not in ['A']"):
        with pytest.raises(InputError, match="16 not where asked"):
            select_chips(rows, ExportOptions(where=where))


@pytest.mark.parametrize(
    "where",
    [
        "nonsense > 3",
        "length_m >",
        "length_m + 1",
        "3 > 2",
        "@settings.gate",
        "split == ",
        "x = 3",
        "length_m > 1\nwidth_m > 1",
        "__import__('os').getcwd() == 1",
        "bands > 'x'",
        "length_m > (",
        "1 / 0",
        "[1, 2][5]",
        "length_m > 10 ** 10000",
        "ship_name.str.contains('(')",
        "split.str._parent.isna()",
        "",
    ],
)
def test_a_condition_that_cannot_be(dataset: Dataset, where: str) -> None:
    with pytest.raises(InputError, match="export option where"):
        select_chips(rows_of(dataset), ExportOptions(where=where))


def test_a_condition_writes_nothing(dataset: Dataset, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(InputError, match="to_pickle is none of str, dt, isna"):
        select_chips(rows_of(dataset), ExportOptions(where=f"length_m.to_pickle('{out}')"))
    assert not out.exists()


def test_a_condition_on_texts_and_times(dataset: Dataset) -> None:
    rows = rows_of(dataset)
    wanted = "split.str.upper().str.startswith('TRAIN') and scene_datetime.dt.year == 2025 and length_m.notna()"
    chosen = select_chips(rows, ExportOptions(where=wanted)).rows
    expected = [row["chip_id"] for row in rows.to_pylist() if row["split"] == "train" and row["length_m"] is not None]
    assert 0 < len(expected) < rows.num_rows
    assert set(chosen["chip_id"].to_pylist()) == set(expected)


def test_bands(dataset: Dataset) -> None:
    rows = rows_of(dataset)
    six = sum(len(bands) == 6 for bands in rows["bands"].to_pylist())
    chosen = select_chips(rows, ExportOptions(bands=("B11", "B02")))
    assert 0 < six < rows.num_rows
    assert chosen.left_out == {"without one of the bands": rows.num_rows - six}
    assert chosen.rows["bands"].to_pylist() == [["B11", "B02"]] * six
    assert set(chosen.rows["has_swir"].to_pylist()) == {True}
    core = select_chips(rows, ExportOptions(bands=("B02",)))
    assert core.rows.num_rows == rows.num_rows
    assert set(core.rows["has_swir"].to_pylist()) == {False}


def test_nothing_left_is_told_with_the_numbers(dataset: Dataset) -> None:
    with pytest.raises(InputError, match=r"no chip of 16 \(16 not where asked"):
        select_chips(rows_of(dataset), ExportOptions(where="length_m > 1e6"))


def test_no_index(storage: LocalStorage) -> None:
    with pytest.raises(StorageError, match=r"tiles.parquet: is not there: materialise tiles_index"):
        read_index(storage)


def test_real_and_synthetic_are_never_mixed(storage: LocalStorage) -> None:
    kept = [keep(storage, 1, scene_of()), keep(storage, 2, scene_of(), ais_source="synthetic")]
    index(storage, kept)
    with pytest.raises(MixedAisError):
        read_index(storage)


def test_only_synthetic(storage: LocalStorage) -> None:
    make_dataset(storage, ais_source="synthetic")
    assert set(read_index(storage)["ais_source"].to_pylist()) == {"synthetic"}
    assert storage.exists(layout.tiles_index())
