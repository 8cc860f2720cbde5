"""The demo's two days from end to end: what a stranger sees, and what must hold of every dataset."""

import io
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pandas as pd
import pytest
import rasterio
import rasterio.features
import shapely

from s2chips_core import layout, tables
from s2chips_core.index.labels import LABEL_SCHEMA
from s2chips_core.index.outcomes import OUTCOME_SCHEMA, Outcome
from s2chips_core.index.records import INDEX_SCHEMA
from s2chips_core.sandbox.archive import DEMO_DAYS, DEMO_NOW
from s2chips_core.sandbox.server import Served, serve
from s2chips_core.scenes.matches import MATCH_SCHEMA
from s2chips_core.storage import LocalStorage
from s2chips_dagster.runs import Runs
from tests.datasets import copy
from tests.flow.conftest import REPOSITORY, MakeRuns

pytestmark = pytest.mark.usefixtures("datasets")


@pytest.fixture(scope="module")
def archive(sandbox_archive: Path) -> Any:
    with serve(sandbox_archive, now=DEMO_NOW) as served:
        yield served


FOLDERS = ("plan", "ais", "matches", "outcomes", "chips", "indexes", "labels", "reports")


def tree_of(runs: Runs) -> dict[str, bytes]:
    return {key: runs.storage.get(key) for folder in FOLDERS for key in runs.storage.list(folder)}


def outcomes_of(runs: Runs) -> pd.DataFrame:
    return pd.concat([tables.read_table(runs.storage, layout.outcomes(day), OUTCOME_SCHEMA) for day in DEMO_DAYS])


def test_two_days(archive: Served, make_runs: MakeRuns) -> None:
    runs = make_runs(archive, now=DEMO_NOW.isoformat())
    for day in DEMO_DAYS:
        assert runs.run_day(day, {})
    assert runs.index()

    # Enough chips over both days, and each kind of outcome that people will meet.
    outcomes = outcomes_of(runs)
    assert {"chipped", "gate_cloud", "gate_land", "nodata", "no_scene", "pending_l2a"} <= set(outcomes["outcome"])
    index = tables.read_table(runs.storage, layout.tiles_index(), INDEX_SCHEMA)
    assert len(index) >= 20
    assert set(index["scene_datetime"].dt.date) == set(DEMO_DAYS)
    assert (outcomes["outcome"] == Outcome.CHIPPED).sum() == len(index)

    # Every target has one outcome.
    for day in DEMO_DAYS:
        matches = tables.read_table(runs.storage, layout.matches(day), MATCH_SCHEMA)
        told = tables.read_table(runs.storage, layout.outcomes(day), OUTCOME_SCHEMA)
        assert sorted(matches["target_id"]) == sorted(told["target_id"])
        assert told["detail"].str.len().min() > 0

    check_files(runs, index)
    check_ships_are_where_they_should_be(runs, index)
    check_the_worked_example_trains(runs)
    check_labels_lie_on_ships(runs, index)
    check_again_costs_nothing(runs, archive)
    check_changed_config_leaves_no_orphans(runs, archive, index)


def check_files(runs: Runs, index: pd.DataFrame) -> None:
    """Index, files and GeoJSON name the same chips, and somebody else's reader reads them."""
    files = {key for key in runs.storage.list("chips") if key.endswith(".tif") and not key.endswith("_masks.tif")}
    assert files == set(index["path"])
    footprints: set[str] = set()
    for day in DEMO_DAYS:
        collection = json.loads(runs.storage.get(layout.daily_geojson(day)))
        footprints |= {feature["properties"]["chip_id"] for feature in collection["features"]}
        assert runs.storage.exists(layout.report(day))
    assert footprints == set(index["chip_id"])
    frame = geopandas.read_parquet(io.BytesIO(runs.storage.get(layout.tiles_index())))
    assert frame.crs is None or frame.crs.to_epsg() in (4326, None)
    assert frame.geometry.is_valid.all()
    for row in index.itertuples():
        with rasterio.open(io.BytesIO(runs.storage.get(row.path))) as chip:
            assert (chip.count, chip.height, chip.width) == (len(row.bands), 256, 256)
            assert chip.crs.to_epsg() == row.epsg
            assert chip.nodata == 0
            values = chip.read()
            assert values.dtype == np.float32
            assert values.max() <= 1
            assert values[values > 0].min() >= np.float32(0.0001)
        for suffix in (".geojson", ".json", "_quicklook.jpg"):
            assert runs.storage.exists(row.path.removesuffix(".tif") + suffix)


def check_ships_are_where_they_should_be(runs: Runs, index: pd.DataFrame) -> None:
    """Nearly every chip of a ship over 60 m shows it near the centre, moving or not: half within 60 m, 80 % within 250 m."""
    offsets = []
    for row in index[index["length_m"] > 60].itertuples():
        with rasterio.open(io.BytesIO(runs.storage.get(row.path))) as chip:
            nir = chip.read(4)[96:160, 96:160]
        at_row, at_col = np.unravel_index(int(nir.argmax()), nir.shape)
        offsets.append(np.hypot(at_row - 32, at_col - 32) * 10)
    assert np.median(offsets) < 60, offsets
    assert np.mean(np.array(offsets) < 250) > 0.8, offsets


def check_the_worked_example_trains(runs: Runs) -> None:
    """From `tiles.parquet` to a batch, as the documents tell it."""
    script = REPOSITORY / "examples" / "train_batch.py"
    with tempfile.TemporaryDirectory() as folder:
        storage = copy(runs.storage, LocalStorage(Path(folder)))  # it reads a folder
        done = subprocess.run([sys.executable, script, storage.root], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = re.search(r"loss on train: ([\d.]+) in the first epoch, ([\d.]+) in the last", done.stdout)
    assert told is not None, done.stdout
    assert float(told[2]) < float(told[1])
    assert "first batch: (8, 6, 256, 256) of B02 B03 B04 B08 B11 B12" in done.stdout
    assert len(re.findall(r"^(?:train|val|test): \d+ of \d+ told right$", done.stdout, re.MULTILINE)) == 3


def check_labels_lie_on_ships(runs: Runs, index: pd.DataFrame) -> None:
    """The boxes of ships over 60 m, burnt by rasterio, are bright: a hull reflects ten times what water does."""
    labels = tables.concat(
        [tables.read_table(runs.storage, layout.daily_labels(day), LABEL_SCHEMA) for day in DEMO_DAYS], LABEL_SCHEMA
    )
    assert len(labels) == index["vessels"].sum() > len(index)
    assert set(labels.loc[labels["is_target"], "chip_id"]) == set(index["chip_id"])
    bright = []
    for label in labels[labels["box"].notna() & (labels["length_m"] > 60) & ~labels["truncated"]].itertuples():
        with rasterio.open(io.BytesIO(runs.storage.get(label.path))) as chip:
            nir = chip.read(4)
        burnt = rasterio.features.rasterize([shapely.Polygon(np.reshape(label.box, (4, 2)))], out_shape=nir.shape)
        bright.append(nir[burnt == 1].mean() > 5 * np.median(nir[nir > 0]))
    assert len(bright) >= 15
    assert np.mean(bright) >= 0.9, bright
    assert (index["confirmation"] == "confirmed").mean() >= 0.9


def check_again_costs_nothing(runs: Runs, archive: Served) -> None:
    """The same day again: the same bytes, and not one pixel read."""
    before = tree_of(runs)
    archive.counters.reset()
    for day in DEMO_DAYS:
        assert runs.run_day(day, {})
    assert runs.index()
    assert archive.counters.requests["data"] == 0
    after = tree_of(runs)
    assert set(after) == set(before)
    changed = {key for key in before if before[key] != after[key]}
    assert changed <= {key for key in before if key.startswith(("reports/", "ais/")) and not key.endswith(".parquet")}


def check_changed_config_leaves_no_orphans(runs: Runs, archive: Served, index: pd.DataFrame) -> None:
    """Fewer chips under a stricter gate: what the index no longer names is gone."""
    day = DEMO_DAYS[0]
    assert runs.run_day(day, {"chips": {"gate": {"min_water_center_frac": 1.0, "max_land_center_frac": 0.0}}})
    assert runs.index()
    again = tables.read_table(runs.storage, layout.tiles_index(), INDEX_SCHEMA)
    assert len(again) < len(index)
    assert {key for key in runs.storage.list("chips") if key.endswith(".tif") and not key.endswith("_masks.tif")} == set(
        again["path"]
    )


def test_what_was_pending_is_chipped_when_the_scene_is_published(sandbox_archive: Path, make_runs: MakeRuns) -> None:
    day = DEMO_DAYS[1]
    with serve(sandbox_archive, now=DEMO_NOW) as served:
        runs = make_runs(served, now=DEMO_NOW.isoformat())
        assert runs.run_day(day, {})
        before = tables.read_table(runs.storage, layout.outcomes(day), OUTCOME_SCHEMA).set_index("target_id")["outcome"]
        pending = before.index[before == Outcome.PENDING_L2A]
        assert len(pending) > 0
        later = DEMO_NOW.replace(month=11, day=5)
        served.now = later
        runs = make_runs(served, now=later.isoformat())
        # AIS is not recorded again: what was recorded then is matched with what is there now.
        assert runs.chip_day(day, {})
        after = tables.read_table(runs.storage, layout.outcomes(day), OUTCOME_SCHEMA).set_index("target_id")["outcome"]
        assert set(after.index) == set(before.index)
        assert (after[pending] != Outcome.PENDING_L2A).any()
