"""The checks: each passes on a sound dataset and names what is wrong with another."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from rasterio import Affine
from rasterio.io import MemoryFile

from s2chips_core import layout, tables
from s2chips_core.index.checks import (
    CheckResult,
    all_of,
    check_ais_sources,
    check_day_files,
    check_labels,
    check_outcomes_cover,
    check_reflectance,
    check_schema,
    check_unique_chip_ids,
)
from s2chips_core.index.dataset_checks import check_all_files
from s2chips_core.index.geojson import write_daily_geojson
from s2chips_core.index.journal import Journal
from s2chips_core.index.labels import LABEL_SCHEMA
from s2chips_core.index.records import INDEX_SCHEMA
from s2chips_core.index.tiles import build_tiles_index
from s2chips_core.storage import LocalStorage
from tests.index.chips import DAY, commit_chips, index_of

ORPHAN = "chips/train/244660001/20251027/00000000deadbeef.tif"


@pytest.fixture
def dataset(storage: LocalStorage) -> LocalStorage:
    """Three chips of two sources, all in order."""
    commit_chips(storage, index_of([1, 2]))
    commit_chips(storage, index_of([3], source_id="file-a"), source="file-a")
    write_daily_geojson(storage, DAY)
    build_tiles_index(storage)
    return storage


def test_a_sound_dataset(dataset: LocalStorage) -> None:
    assert check_day_files(dataset, DAY).passed
    assert check_all_files(dataset).passed
    assert check_labels(dataset, DAY).description == "3 chips of 2025-10-27: 3 vessels labelled"
    assert check_labels(dataset, DAY).passed
    assert check_schema(dataset, layout.tiles_index(), INDEX_SCHEMA).numbers == {"rows": 3}


@pytest.mark.parametrize(
    ("harm", "problem"),
    [
        (lambda labels: labels.iloc[1:], "not labelled with its target once: 1"),
        (lambda labels: labels.iloc[1:], "another number of labels than vessels: 1"),
        (lambda labels: pd.concat([labels, labels.head(1)]), "another number of labels than vessels: 1"),
        (lambda labels: labels.assign(is_target=False), "not labelled with its target once: 3"),
        (lambda labels: labels.assign(mmsi=labels["mmsi"] + 1), "labelled with another target: 3"),
        (
            lambda labels: pd.concat([labels, labels.head(1).assign(chip_id="f" * 16)]),
            "labels of no chip: 1 (ffffffffffffffff)",
        ),
    ],
)
def test_labels_that_are_not_those_of_the_chips(
    dataset: LocalStorage, harm: Callable[[pd.DataFrame], pd.DataFrame], problem: str
) -> None:
    key = layout.daily_labels(DAY)
    tables.write_table(dataset, key, harm(tables.read_table(dataset, key, LABEL_SCHEMA)), LABEL_SCHEMA)
    found = check_labels(dataset, DAY)
    assert not found.passed
    assert problem in found.description


def test_a_day_without_labels_or_chips(dataset: LocalStorage) -> None:
    dataset.delete(layout.daily_labels(DAY))
    assert not check_labels(dataset, DAY).passed
    assert check_labels(dataset, DAY.replace(day=1)).passed


def first_chip(storage: LocalStorage, suffix: str) -> str:
    return next(key for key in storage.list("chips") if key.endswith(suffix))


def drop_part(storage: LocalStorage) -> None:
    storage.delete(layout.index_part(DAY, DAY, "file-a"))


@pytest.mark.parametrize(
    ("harm", "problem"),
    [
        (lambda s: s.delete(first_chip(s, ".tif")), "files that are missing: 1"),
        (lambda s: s.delete(first_chip(s, "_quicklook.jpg")), "files that are missing: 1"),
        (lambda s: s.put(ORPHAN, b""), "chips that nobody claims: 1"),
        (lambda s: s.put(ORPHAN.replace(".tif", ".json"), b""), "other files that nobody claims: 1"),
        (drop_part, "chips that nobody claims: 1"),
    ],
)
def test_files_and_index_that_differ(dataset: LocalStorage, harm: Callable[[LocalStorage], None], problem: str) -> None:
    harm(dataset)
    whole = check_all_files(dataset)
    assert not whole.passed
    assert problem in whole.description
    assert not check_day_files(dataset, DAY).passed


def test_a_sidecar_that_differs(dataset: LocalStorage) -> None:
    dataset.put(first_chip(dataset, ".json"), b"{}")
    assert "sidecars unlike the index: 1" in check_day_files(dataset, DAY).description


def test_a_stale_geojson(dataset: LocalStorage) -> None:
    drop_part(dataset)
    found = check_day_files(dataset, DAY)
    assert "in the GeoJSON, not in the index: 1" in found.description
    assert found.numbers["in the GeoJSON, not in the index"] == 1
    dataset.delete(layout.daily_geojson(DAY))
    assert "in the index, not in the GeoJSON: 2" in check_day_files(dataset, DAY).description
    assert "in the index, not in the parts: 1" in check_all_files(dataset).description


def test_what_a_running_day_writes_is_no_orphan(dataset: LocalStorage) -> None:
    dataset.put(ORPHAN, b"")
    dataset.put(layout.journal(DAY, "file-b"), Journal(writes={ORPHAN: DAY}, drops={}).to_json())
    assert check_all_files(dataset).passed


def test_a_day_without_chips(storage: LocalStorage) -> None:
    assert check_day_files(storage, DAY).passed
    assert check_all_files(storage).passed


def test_a_schema_that_differs(storage: LocalStorage) -> None:
    assert "cannot be read" in check_schema(storage, "indexes/none.parquet", INDEX_SCHEMA).description
    storage.put("t.parquet", tables.parquet_bytes(pa.table({"chip_id": ["a"]})))
    found = check_schema(storage, "t.parquet", INDEX_SCHEMA)
    assert not found.passed
    assert "'path'" in found.description
    nulls = tables.conform(index_of([1]), INDEX_SCHEMA, "t")
    nulls = nulls.set_column(0, pa.field("chip_id", pa.string()), pa.array([None], pa.string()))
    storage.put("t.parquet", tables.parquet_bytes(nulls))
    assert "null values" in check_schema(storage, "t.parquet", INDEX_SCHEMA).description


def test_repeated_chip_ids() -> None:
    frame = index_of([1, 2])
    assert check_unique_chip_ids(frame).passed
    found = check_unique_chip_ids(pd.concat([frame, frame.iloc[:1]]))
    assert not found.passed
    assert frame["chip_id"].iloc[0] in found.description


def tif(pixels: Any) -> bytes:
    with MemoryFile() as memory:
        bands, rows, cols = pixels.shape
        grid = {"crs": "EPSG:32630", "transform": Affine(10, 0, 300_000, 0, -10, 4_000_000)}
        with memory.open(driver="GTiff", count=bands, height=rows, width=cols, dtype="float32", **grid) as raster:
            raster.write(pixels.astype("float32"))
        return bytes(memory.getbuffer())


@pytest.mark.parametrize(("clipped_px", "passed"), [(0, True), (10, True), (11, False), (1000, False)])
def test_an_offset_that_was_taken_off_twice(storage: LocalStorage, clipped_px: int, passed: bool) -> None:
    pixels = np.zeros(2000)
    pixels[:1000] = 0.05
    pixels[:clipped_px] = 0.0001
    storage.put("a.tif", tif(pixels.reshape(1, 40, 50)))
    found = check_reflectance(storage, ["a.tif"])
    assert found.passed is passed
    assert found.numbers["clipped_share"] == clipped_px / 1000


def test_the_sample_is_spread_and_bounded(storage: LocalStorage) -> None:
    paths = [f"{n:03d}.tif" for n in range(100)]
    for n, path in enumerate(paths):
        storage.put(path, tif(np.full((1, 4, 4), 0.0001 if n == 99 else 0.05)))
    found = check_reflectance(storage, paths, sample=10)
    assert (found.numbers["chips"], found.numbers["clipped_px"]) == (10, 16)
    assert check_reflectance(storage, []).passed


def test_several_results_are_one() -> None:
    good = CheckResult(passed=True, description="good", numbers={"rows": 2})
    bad = CheckResult(passed=False, description="bad", numbers={"rows": 3})
    assert all_of([good, good]) == CheckResult(passed=True, description="2 tables are as declared", numbers={"rows": 4})
    assert all_of([good, bad]) == CheckResult(passed=False, description="bad", numbers={"rows": 5})


def test_a_chip_that_is_being_replaced_is_not_held_against_the_day(dataset: LocalStorage) -> None:
    key = first_chip(dataset, ".json")
    dataset.put(key, b"{}")
    path = key.removesuffix(".json") + ".tif"
    dataset.put(layout.journal(DAY, "file-b"), Journal(writes={path: DAY}, drops={}).to_json())
    assert check_day_files(dataset, DAY).passed


def targets(*names: str) -> pd.DataFrame:
    return pd.DataFrame({"source_id": ["capture"] * len(names), "target_id": list(names)})


@pytest.mark.parametrize(
    ("outcomes", "problem"),
    [
        (("a",), "without an outcome: 1 (capture/b)"),
        (("a", "b", "b"), "with several: 1 (capture/b)"),
        (("a", "b", "c"), "no target: 1 (capture/c)"),
    ],
)
def test_outcomes_that_do_not_cover(outcomes: tuple[str, ...], problem: str) -> None:
    found = check_outcomes_cover(targets("a", "b"), targets(*outcomes))
    assert not found.passed
    assert found.description == problem


def test_outcomes_that_cover() -> None:
    assert check_outcomes_cover(targets("a", "b"), targets("b", "a")).passed


@pytest.mark.parametrize(
    ("sources", "passed"),
    [
        ([], True),
        (["synthetic", "synthetic"], True),
        (["aisstream", "file"], True),
        (["file", "synthetic"], False),
        (["aisstream", "synthetic"], False),
    ],
)
def test_synthetic_among_real(sources: list[str], passed: bool) -> None:
    assert check_ais_sources(sources).passed is passed
