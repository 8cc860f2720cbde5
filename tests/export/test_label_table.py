"""The table of labels."""

import io

import pandas as pd
import pyarrow.parquet as pq
import pytest

from s2chips_core import layout, tables
from s2chips_core.export import label_table
from s2chips_core.export.label_table import LabelWriter, label_schema
from s2chips_core.export.pseudonyms import LABEL_KEPT
from s2chips_core.index.geojson import write_daily_geojson
from s2chips_core.index.labels import LABEL_SCHEMA
from s2chips_core.index.parts import scene_days
from tests.export.conftest import Export


def test_with_ais_it_is_the_tables_of_the_days(whole: Export) -> None:
    """As the dataset itself makes them."""
    for day in scene_days(whole.storage):
        write_daily_geojson(whole.storage, day)
    keys = [layout.daily_labels(day) for day in scene_days(whole.storage)]
    wanted = pd.concat([tables.read_table(whole.storage, key, LABEL_SCHEMA) for key in keys], ignore_index=True)
    table = pq.read_table(whole.folder / "labels.parquet")
    assert table.schema.equals(LABEL_SCHEMA)
    pd.testing.assert_frame_equal(tables.to_frame(table), wanted)


def test_without_ais(nameless: Export) -> None:
    table = pq.read_table(nameless.folder / "labels.parquet")
    assert table.schema.names == ["chip_id", "vessel_id", *_in_order(table.schema.names)]
    assert set(table.schema.names) == {*LABEL_KEPT, "chip_id", "vessel_id", "scene_datetime", "path", "split"}
    chips = pq.read_table(nameless.folder / "chips.parquet").to_pandas().set_index("chip_id")
    frame = table.to_pandas()
    assert set(frame["chip_id"]) == set(chips.index)
    targets = frame[frame["is_target"]].set_index("chip_id")
    assert (targets["vessel_id"].sort_index() == chips["vessel_id"].sort_index()).all()
    assert len(frame) == sum(len(chip.row["labels"]) for chip in nameless.kept.values())


def _in_order(names: list[str]) -> list[str]:
    return [name for name in LABEL_SCHEMA.names if name in names and name != "chip_id"]


def test_rows_go_out_in_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_table, "ROWS_PER_GROUP", 3)
    monkeypatch.setattr(label_table, "ROWS_AT_ONCE", 2)
    sink = io.BytesIO()
    label = dict.fromkeys(LABEL_SCHEMA.names)
    label |= {
        "mmsi": 1,
        "is_target": True,
        "lat": 1.0,
        "lon": 2.0,
        "col": 1.0,
        "row": 1.0,
        "position_method": "interpolated",
    }
    label |= {"truncated": False, "ais_source": "aisstream"}
    row = {"chip_id": "a", "source_id": "capture", "scene_datetime": pd.Timestamp("2025-01-01", tz="UTC"), "path": "p"}
    with LabelWriter(sink, without_ais=False) as writer:
        for labels in ([label] * 2, None, [], [label] * 2, [label]):
            writer.add({**row, "split": "train"}, labels)
    assert writer.rows == 5
    read = pq.ParquetFile(io.BytesIO(sink.getvalue()))
    assert [read.metadata.row_group(n).num_rows for n in range(read.num_row_groups)] == [4, 1]


def test_an_export_without_labels_has_an_empty_table() -> None:
    sink = io.BytesIO()
    with LabelWriter(sink, without_ais=True):
        pass
    table = pq.read_table(io.BytesIO(sink.getvalue()))
    assert (table.num_rows, table.schema.names) == (0, label_schema(without_ais=True).names)
