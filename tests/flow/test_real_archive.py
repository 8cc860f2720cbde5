"""A real case: real pixels and real ships of tile 32VPH, through the job that chips a file.

Both collections describe the same pixels, without and with the +1000 of baseline 04.00. Every row of the AIS table must be
accounted for, the chips of both must be the same, and they must be what rasterio itself reads.
"""

from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rasterio
from rasterio.windows import Window

from s2chips_core import layout, tables
from s2chips_core.index.labels import LABEL_SCHEMA
from s2chips_core.index.outcomes import OUTCOME_SCHEMA
from s2chips_core.index.records import INDEX_SCHEMA
from s2chips_core.sandbox.server import serve
from s2chips_dagster import cli
from s2chips_dagster.runs import Runs
from tests.flow.conftest import MakeRuns

pytestmark = pytest.mark.shared_data

DAY = date(2022, 8, 25)
NOW = "2022-09-30T00:00:00Z"
ROWS = 227


def chip_table(runs: Runs, table: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    assert runs.chip_file(table, {}) == [DAY]
    outcomes = tables.read_table(runs.storage, layout.outcomes(DAY), OUTCOME_SCHEMA)
    index = tables.read_table(runs.storage, layout.tiles_index(), INDEX_SCHEMA)
    return outcomes, index


def pixels(runs: Runs, path: str) -> tuple[np.ndarray, tuple[float, ...], tuple[str, ...]]:
    with rasterio.open(runs.storage.url(path)) as chip:
        return chip.read(), tuple(chip.transform)[:6], chip.descriptions


@pytest.fixture
def both(shared_data: Path, make_runs: MakeRuns) -> dict[str, tuple[Runs, pd.DataFrame, pd.DataFrame]]:
    folder = shared_data / "archive-32VPH"
    made = {}
    with serve(folder) as served:
        for collection in ("sentinel-2-l2a", "sentinel-2-c1-l2a"):
            runs = make_runs(
                served,
                now=NOW,
                name=collection,
                stac={"collection": collection},
                tiling={"include_swir": True},
                # Only 1.28 km around each ship has pixels in this archive, a quarter of a chip.
                gate={"max_nodata_frac": 1.0},
            )
            made[collection] = (runs, *chip_table(runs, folder / "ais.csv"))
            # Real pixels come again bit for bit, with the offset and without.
            assert cli.main(["recut", "--check", "8", "--config", str(runs.storage.root.with_suffix(".yaml"))]) == 0
    return made


def test_real_ships(shared_data: Path, both: dict[str, tuple[Runs, pd.DataFrame, pd.DataFrame]]) -> None:
    folder = shared_data / "archive-32VPH"
    runs, outcomes, index = both["sentinel-2-l2a"]
    c1_runs, c1_outcomes, c1_index = both["sentinel-2-c1-l2a"]

    # Every row is accounted for, once.
    assert sorted(outcomes["row_number"]) == list(range(2, ROWS + 2))
    table = pd.read_csv(folder / "ais.csv")
    table["row_number"] = table.index + 2
    seen = outcomes.merge(table[["row_number", "mmsi"]], on="row_number", suffixes=("", "_table"))
    assert len(seen) == ROWS
    assert set(outcomes["outcome"]) == {"chipped", "gate_water", "nodata", "invalid_ais"}
    assert (seen.loc[seen["mmsi_table"] < 100_000_000, "outcome"] == "invalid_ais").all()

    # The +1000 makes no difference to a chip, and is recorded.
    assert (outcomes["outcome"].to_list(), len(index)) == (c1_outcomes["outcome"].to_list(), len(c1_index))
    assert set(index["boa_offset_dn"]) == {0}
    assert set(c1_index["boa_offset_dn"]) == {-1000}
    pairs = index.merge(c1_index, on="mmsi", suffixes=("", "_c1"))
    assert len(pairs) == len(index) >= 20
    for row in pairs.itertuples():
        mine, transform, names = pixels(runs, row.path)
        assert names == ("B02", "B03", "B04", "B08", "B11", "B12")
        np.testing.assert_array_equal(mine, pixels(c1_runs, row.path_c1)[0])
        compare_with_rasterio(folder, mine, transform)

    check_labels(shared_data, runs, index)
    check_labels(shared_data, c1_runs, c1_index)
    assert index["confirmation"].value_counts().to_dict() == c1_index["confirmation"].value_counts().to_dict()

    open_water = index[index["qa_water_frac"] >= 0.95]
    assert len(open_water) >= 22
    check_ships_are_in_the_middle(runs, open_water)
    # All but one of those that somebody has seen in the pictures; see tests/chips/test_confirmation.py.
    assert (index.loc[index["qa_water_frac"] >= 0.9, "confirmation"] == "confirmed").sum() >= 21


def compare_with_rasterio(folder: Path, mine: np.ndarray, transform: tuple[float, ...]) -> None:
    """The 10 m bands of a chip are, bit for bit, rasterio's own window read as reflectance."""
    for number, band in enumerate(("B02", "B03", "B04", "B08")):
        with rasterio.open(folder / f"{band}.tif") as scene:
            col_off = round((transform[2] - scene.transform.c) / 10)
            row_off = round((scene.transform.f - transform[5]) / 10)
            dn = scene.read(1, window=Window(col_off, row_off, 256, 256), boundless=True, fill_value=0)
        reflectance = np.clip(dn.astype(np.float32) / np.float32(10_000), np.float32(0.0001), np.float32(1))
        np.testing.assert_array_equal(mine[number], np.where(dn == 0, np.float32(0), reflectance))


def check_labels(shared_data: Path, runs: Runs, index: pd.DataFrame) -> None:
    """Labels are in the very pixels that the AIS table itself names, and every ship in a chip's window is there."""
    [table] = (shared_data / "ais-ships").glob("ais_at_overpass_*.csv")
    ships = pd.read_csv(table).astype({"MMSI": int})
    on_tile = ships[ships["MMSI"] >= 200_000_000].set_index("MMSI")[["x_coord", "y_coord"]]
    labels = tables.read_table(runs.storage, layout.daily_labels(DAY), LABEL_SCHEMA)
    assert len(labels) == index["vessels"].sum() > 5 * len(index)
    for chip in index.itertuples():
        found = labels[labels["chip_id"] == chip.chip_id]
        col_off, row_off = round((chip.transform[2] - 600_000) / 10), round((6_300_000 - chip.transform[5]) / 10)
        inside = found[found["col"].between(0, 256, "left") & found["row"].between(0, 256, "left")]
        other = inside[~inside["is_target"]]
        expected = on_tile.loc[other["mmsi"]]
        np.testing.assert_array_equal(np.floor(other["col"]) + col_off, expected["x_coord"])
        np.testing.assert_array_equal(np.floor(other["row"]) + row_off, expected["y_coord"])
        in_window = on_tile["x_coord"].between(col_off, col_off + 255) & on_tile["y_coord"].between(row_off, row_off + 255)
        assert set(other["mmsi"]) == set(on_tile.index[in_window]) - {chip.mmsi}
        # The target is where the chip is centred: its place to 5 decimals, which may be over the edge of its pixel.
        [target] = found[found["is_target"]].itertuples()
        assert (int(target.col), int(target.row)) == (128, 128)
        own = on_tile.loc[chip.mmsi]
        assert abs(target.col + col_off - own["x_coord"] - 0.5) <= 0.6
        assert abs(target.row + row_off - own["y_coord"] - 0.5) <= 0.6
    boxed = labels["box"].notna()
    assert set(labels.loc[boxed, "box_source"]) == {"length_width"}
    assert boxed.mean() > 0.5
    unknown = labels["length_m"].isna() | labels["width_m"].isna() | labels["heading_deg"].isna()
    assert (unknown == ~boxed).all()


def check_ships_are_in_the_middle(runs: Runs, index: pd.DataFrame) -> None:
    """Of the ships in open water most show their brightest NIR pixel (central 64 px) within 12 px of the chip's centre."""
    near = 0
    for path in index["path"]:
        nir = pixels(runs, path)[0][3][96:160, 96:160]
        row, col = np.unravel_index(int(nir.argmax()), nir.shape)
        near += np.hypot(row - 32, col - 32) <= 12
    assert near >= 18, f"{near} of {len(index)}"
