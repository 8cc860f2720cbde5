"""Tracks in chip pixels, against rasterio and pyproj."""

from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pyproj import Transformer
from rasterio import Affine
from rasterio.transform import rowcol

from s2chips_core import layout, tables
from s2chips_core.ais.targets import TARGET_SCHEMA
from s2chips_core.index.records import PART_SCHEMA
from s2chips_core.pages.tracks import MOST_FIXES, chip_pixels, chip_place, read_fixes, select_track
from s2chips_core.storage import LocalStorage
from s2chips_core.tables import conform
from tests.pages.sample_day import DAY, SENSED, make_day


@pytest.fixture(scope="module")
def chip() -> dict[str, Any]:
    """A row of the index."""
    row: dict[str, Any] = conform(make_day(chips=1, refused=0).index, PART_SCHEMA, "index").to_pylist()[0]
    return row


def fixes_at(seconds: list[float], lons: list[float], lats: list[float]) -> pd.DataFrame:
    return pd.DataFrame({"time": [SENSED + timedelta(seconds=s) for s in seconds], "lon": lons, "lat": lats})


def test_pixels_are_those_of_rasterio(chip: dict[str, Any]) -> None:
    random = np.random.default_rng(3)
    lons, lats = chip["lon"] + random.uniform(-0.01, 0.01, 50), chip["lat"] + random.uniform(-0.01, 0.01, 50)
    cols, rows = chip_pixels(chip, lons, lats)
    x, y = Transformer.from_crs(4326, chip["epsg"], always_xy=True).transform(lons, lats)
    expected = rowcol(Affine(*chip["transform"]), x, y, op=lambda value: value)
    np.testing.assert_allclose([rows, cols], expected, atol=1e-6)
    assert [int(value) for value in chip_place(chip, chip["lon"], chip["lat"])] == [128, 128]


def test_fixes_far_off_in_time_or_place_are_left_out(chip: dict[str, Any]) -> None:
    lon, lat = chip["lon"], chip["lat"]
    fixes = fixes_at([60, 0, 31 * 60, 120, 0], [lon, lon, lon, lon + 1.0, lon], [lat] * 5)
    track = select_track(chip, fixes, 256)
    assert [time for _, _, time in track] == ["11:04:22", "11:05:22"]
    assert select_track(chip, fixes.iloc[2:4], 256) == []
    assert select_track(chip, fixes.iloc[:0], 256) == []


@pytest.mark.parametrize(
    ("col", "row", "drawn"), [(0.9, 0.5, True), (1.95, 0.5, True), (0.5, -0.95, True), (2.05, 0.5, False)]
)
def test_the_line_goes_on_for_a_chip_side_beyond_the_edge(chip: dict[str, Any], col: float, row: float, drawn: bool) -> None:
    """Places in sides of the chip."""
    x, y = Affine(*chip["transform"]) * (256 * col, 256 * row)
    lon, lat = Transformer.from_crs(4326, chip["epsg"], always_xy=True).transform(x, y, direction="INVERSE")
    assert len(select_track(chip, fixes_at([0], [lon], [lat]), 256)) == drawn


def test_many_fixes_become_few_from_the_first_to_the_last(chip: dict[str, Any]) -> None:
    seconds = list(range(-600, 601, 5))
    track = select_track(chip, fixes_at(seconds, [chip["lon"]] * len(seconds), [chip["lat"]] * len(seconds)), 256)
    assert len(track) == MOST_FIXES
    assert (track[0][2], track[-1][2]) == ("10:54:22", "11:14:22")
    steps = np.diff([pd.Timestamp(f"2025-10-27 {time}").timestamp() for _, _, time in track])
    assert steps.max() <= steps.min() + 5


def test_rows_of_files_are_tracks_too(storage: LocalStorage) -> None:
    source = "file-0123456789ab"
    target = {
        "target_id": "t",
        "source_id": source,
        "mmsi": 5,
        "overpass_time": SENSED,
        "ais_time": SENSED,
        "ais_lat": 36.0,
        "ais_lon": -5.0,
        "ais_source": "file",
        "position_mode": "as_reported",
    }
    broken = {**target, "target_id": "u", "mmsi": None, "ais_lat": None, "ais_lon": None}
    frame = tables.to_frame(conform(pd.DataFrame([target, broken]), TARGET_SCHEMA, "rows"))
    tables.write_table(storage, layout.ais_file(DAY, source), frame, TARGET_SCHEMA)
    fixes = read_fixes(storage, DAY, ["capture", source])
    assert list(fixes) == [5]
    assert fixes[5][["lon", "lat"]].to_numpy().tolist() == [[-5.0, 36.0]]
    assert read_fixes(storage, DAY, ["capture"]) == {}
