"""The chips as the script gets them, unpacked by NumPy and compared with the index."""

import base64
import json
from typing import Any

import numpy as np
import pandas as pd

from s2chips_core import layout
from s2chips_core.pages.dataset_items import (
    CHUNK_CHIPS,
    UNKNOWN_LENGTH,
    UNKNOWN_SPEED,
    build_chunks,
    build_columns,
    numbers,
)
from tests.pages.sample_dataset import make_dataset


def unpack(packed: dict[str, str]) -> Any:
    return np.frombuffer(base64.b64decode(packed["d"]), dtype="<" + packed["t"])


def test_columns_are_those_of_the_index() -> None:
    index = make_dataset(500).index
    columns = json.loads(json.dumps(build_columns(index), allow_nan=False))
    assert columns["count"] == len(index)
    assert np.abs(unpack(columns["lon"]) - index["lon"]).max() < 2e-5
    assert np.abs(unpack(columns["lat"]) - index["lat"]).max() < 1e-5
    vessel = unpack(columns["vessel"])
    assert np.array(columns["mmsi"])[vessel].tolist() == index["mmsi"].tolist()
    assert np.array(columns["names"])[vessel].tolist() == index["ship_name"].fillna("").tolist()
    for name, column in (("split", "split"), ("tile", "mgrs_tile"), ("verdict", "gate_verdict"), ("type", "ship_type")):
        texts = np.array(columns["dict"][name])[unpack(columns[name])]
        assert texts.tolist() == index[column].fillna("not said").tolist()
    days = pd.Timestamp(columns["first_day"], tz="UTC") + pd.to_timedelta(unpack(columns["day"]), unit="D")
    assert (days == index["scene_datetime"].dt.floor("D")).all()
    speed = unpack(columns["speed"])
    assert ((speed == UNKNOWN_SPEED) == index["sog_kn"].isna()).all()
    assert unpack(columns["length"]).tolist() == index["length_m"].round().tolist()
    assert (unpack(build_columns(index.assign(length_m=np.nan))["length"]) == UNKNOWN_LENGTH).all()


def test_chunks_hold_every_chip_once_in_order_and_by_month() -> None:
    index = make_dataset(900, days=70).index
    index = pd.concat([index] * 4, ignore_index=True).sort_values("scene_datetime", ignore_index=True)
    chunks = build_chunks(index, {})
    assert [chip for chunk in chunks for chip in chunk.data["chip_id"]] == index["chip_id"].tolist()
    assert max(chunk.count for chunk in chunks) <= CHUNK_CHIPS
    for chunk in chunks:
        assert chunk.first == sum(other.count for other in chunks if other.name < chunk.name)
        months = {index["scene_datetime"][chunk.first + n].strftime("%Y%m") for n in range(chunk.count)}
        assert months == {chunk.name.partition("-")[0]}


def test_a_chunk_tells_what_the_index_tells() -> None:
    index = make_dataset(80, days=20).index
    sheets = {index["chip_id"][0]: "0a1b2c3d"}
    for chunk in build_chunks(index, sheets):
        data = json.loads(json.dumps(chunk.data, allow_nan=False))
        for n in range(chunk.count):
            row, codes = index.iloc[chunk.first + n], {k: data["dict"][k][v[n]] for k, v in data["codes"].items()}
            assert f"{data['folder'][n]}/{data['chip_id'][n]}.tif" == row["path"]
            assert data["scene_datetime"][n] == row["scene_datetime"].value // 1_000_000
            assert (codes["scene_id"], codes["bands"]) == (row["scene_id"], "B02 B03 B04 B08")
            assert codes["views"] == sheets.get(row["chip_id"])
            assert f"reports/{codes['views_folder']}" == layout.views_folder(row["scene_datetime"].date())
            for name in ("qa_cloud_frac", "sog_kn", "lat", "heading_deg"):
                assert data[name][n] == (None if pd.isna(row[name]) else row[name])


def test_numbers_are_short_and_null_where_not_known() -> None:
    assert numbers(pd.Series([1.0, 2.34567, np.nan]), 2) == [1, 2.35, None]
    assert numbers(pd.Series([7, None], dtype="Int64"), 0) == [7, None]


def test_nothing_is_no_trouble() -> None:
    empty = make_dataset(3).index.iloc[:0]
    assert build_columns(empty)["count"] == 0
    assert build_chunks(empty, {}) == []
