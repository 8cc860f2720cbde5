"""A day of ten-band chips: against rasterio and GDAL on the archive's files, as Clay's datacubes, and cut again."""

import datetime
import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import rasterio
from pyproj import Transformer
from rasterio import Affine
from rasterio.warp import Resampling, reproject
from rasterio.windows import Window

from s2chips_core import layout, tables
from s2chips_core.index.clay import read_clay_batch
from s2chips_core.index.outcomes import OUTCOME_SCHEMA
from s2chips_core.index.records import INDEX_SCHEMA
from s2chips_core.sandbox.archive import DEMO_DAYS, DEMO_NOW
from s2chips_core.sandbox.server import serve
from s2chips_dagster import cli
from s2chips_dagster.runs import Runs
from tests.flow.conftest import MakeRuns

pytestmark = pytest.mark.usefixtures("datasets")

TEN = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12")
# Clay's own table: mean and standard deviation of reflectance × 10000, wavelength in micrometres.
MEAN = (1105, 1355, 1552, 1887, 2422, 2630, 2743, 2785, 2388, 1835)
STD = (1809, 1757, 1888, 1870, 1732, 1697, 1742, 1648, 1470, 1379)
WAVES = (0.493, 0.56, 0.665, 0.704, 0.74, 0.783, 0.842, 0.865, 1.61, 2.19)


def digital_numbers(folder: Path, row: Any, band: str) -> np.ndarray:
    """The chip's window of the archive's file, from its place alone; 20 m brought to 10 m by GDAL's warper."""
    with rasterio.open(folder / row.scene_id / f"{band}.tif") as file:
        x, y = Transformer.from_crs(4326, row.epsg, always_xy=True).transform(row.lon, row.lat)
        left, top = int((x - file.transform.c) // 10) - 128, int((file.transform.f - y) // 10) - 128
        if file.res[0] == 10:
            fine: np.ndarray = file.read(1, window=Window(left, top, 256, 256), boundless=True, fill_value=0)
            return fine.astype(np.float64)
        # More than the chip on every side, so that the kernel has all it needs.
        window = Window(left // 2 - 8, top // 2 - 8, 146, 146)
        coarse = file.read(1, window=window, boundless=True, fill_value=0)
        warped = np.zeros((256, 256), np.float32)
        reproject(
            coarse,
            warped,
            src_transform=file.window_transform(window),
            dst_transform=Affine(10, 0, file.transform.c + 10 * left, 0, -10, file.transform.f - 10 * top),
            src_crs=file.crs,
            dst_crs=file.crs,
            src_nodata=0,
            dst_nodata=0,
            resampling=Resampling.cubic,
        )
        return warped.astype(np.float64)


def test_a_day_of_ten_bands(sandbox_archive: Path, make_runs: MakeRuns, capsys: pytest.CaptureFixture[str]) -> None:
    without, day = DEMO_DAYS
    with serve(sandbox_archive, now=DEMO_NOW) as served:
        runs = make_runs(served, now=DEMO_NOW.isoformat(), tiling={"band_profile": "clay10"})
        assert runs.run_day(day, {})
        assert runs.index()
        index = tables.read_table(runs.storage, layout.tiles_index(), INDEX_SCHEMA)
        assert len(index) >= 10
        assert index["has_swir"].all()
        check_pixels(sandbox_archive, runs, index)
        check_datacubes(sandbox_archive, runs, index)

        # The first day's scenes have no red edge: every ship is told why, and no chip has other bands than asked for.
        assert runs.run_day(without, {})
        outcomes = tables.read_table(runs.storage, layout.outcomes(without), OUTCOME_SCHEMA)
        lacking = outcomes[outcomes["outcome"] == "missing_asset"]
        assert len(lacking) > 0
        assert lacking["detail"].str.endswith("lists no B05, B06, B07, B8A").all()
        assert not (outcomes["outcome"] == "chipped").any()

        config = str(runs.workspace.config_file)
        capsys.readouterr()
        assert cli.main(["recut", "--check", "3", "--config", config]) == 0
        told = capsys.readouterr().out
        assert told.count(": identical\n  the file too, byte for byte") == 3
    # Nobody serves the archive any more.
    chip = index["chip_id"][0]
    assert cli.main(["recut", chip, "--config", config]) == 1
    assert f"{chip}: impossible\n  it cannot be cut now (read_error): " in capsys.readouterr().out


def check_pixels(folder: Path, runs: Runs, index: pd.DataFrame) -> None:
    for row in index.itertuples():
        with rasterio.open(io.BytesIO(runs.storage.get(row.path))) as chip:
            assert chip.descriptions == TEN
            pixels = chip.read()
        for layer, band in zip(pixels, TEN, strict=True):
            dn = digital_numbers(folder, row, band)
            expected = np.where(dn == 0, 0, np.clip(dn / 10_000, 0.0001, 1)).astype(np.float32)
            if band in ("B02", "B03", "B04", "B08"):
                np.testing.assert_array_equal(layer, expected)
            else:
                np.testing.assert_allclose(layer, expected, rtol=2.0**-22, atol=0)


def check_datacubes(folder: Path, runs: Any, index: pd.DataFrame) -> None:
    batch = read_clay_batch(runs.storage, index)
    assert batch.bands == TEN
    assert batch.pixels.shape == (len(index), 10, 256, 256)
    np.testing.assert_array_equal(batch.waves, np.float32(WAVES))
    for found, row in zip(batch.pixels, index.itertuples(), strict=True):
        for layer, band, mean, std in zip(found, TEN, MEAN, STD, strict=True):
            dn = digital_numbers(folder, row, band)
            expected = np.where(dn == 0, 0, (np.clip(dn, 1, 10_000) - mean) / std)
            np.testing.assert_allclose(layer, expected, rtol=0, atol=1e-5)
    when = [datetime.datetime.fromisoformat(str(time)) for time in index["scene_datetime"]]
    week = 2 * np.pi * np.array([time.isocalendar()[1] for time in when]) / 52
    np.testing.assert_allclose(batch.time[:, :2], np.column_stack([np.sin(week), np.cos(week)]), atol=1e-6)
