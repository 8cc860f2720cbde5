"""`tiles.parquet`, read by geopandas, DuckDB and pandas; and built by several processes at once."""

import json
import multiprocessing
from pathlib import Path
from typing import Any

import duckdb
import geopandas
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import shapely

from s2chips_core import layout, tables
from s2chips_core.index import geoparquet
from s2chips_core.index.commit import commit_source
from s2chips_core.index.outcomes import OUTCOME_SCHEMA
from s2chips_core.index.records import INDEX_SCHEMA
from s2chips_core.index.tiles import build_tiles_index, read_head
from s2chips_core.storage import LocalStorage
from tests.index.chips import DAY, commit_chips, index_of, scenes_of_days


@pytest.fixture
def dataset(storage: LocalStorage) -> LocalStorage:
    """Seven chips of three days, one of them named by two sources."""
    days = scenes_of_days(3)
    for n, scene in enumerate(days):
        commit_chips(storage, index_of([2 * n, 2 * n + 1], scene=scene))
    commit_chips(storage, index_of([1, 7], scene=days[0], source_id="file-a"), source="file-a")
    return storage


def path_of(storage: LocalStorage) -> str:
    return storage.url(layout.tiles_index())


def test_one_row_per_chip_in_order(dataset: LocalStorage) -> None:
    result = build_tiles_index(dataset)
    assert (result.rows, result.parts) == (7, 4)
    frame = tables.read_table(dataset, layout.tiles_index(), INDEX_SCHEMA)
    assert sorted(frame["mmsi"] % 1000) == [0, 1, 2, 3, 4, 5, 7]
    keys = list(zip(frame["scene_datetime"], frame["chip_id"], strict=True))
    assert keys == sorted(keys)
    first = dataset.get(layout.tiles_index())
    build_tiles_index(dataset)
    assert dataset.get(layout.tiles_index()) == first


def test_the_head_is_the_first_rows_without_geometry(dataset: LocalStorage) -> None:
    build_tiles_index(dataset)
    whole = tables.read_table(dataset, layout.tiles_index(), INDEX_SCHEMA)
    for rows in (3, 100):
        head = read_head(dataset, rows)
        assert head["chip_id"].tolist() == whole["chip_id"].head(rows).tolist()
        assert set(whole) - set(head) == {"geometry", "bbox"}


def test_the_head_of_an_empty_index_is_empty(storage: LocalStorage) -> None:
    build_tiles_index(storage)
    assert read_head(storage, 5).empty


def test_the_geo_metadata(dataset: LocalStorage) -> None:
    build_tiles_index(dataset)
    geo = json.loads(pq.read_metadata(path_of(dataset)).metadata[b"geo"])
    column = geo["columns"]["geometry"]
    assert (geo["version"], geo["primary_column"]) == ("1.1.0", "geometry")
    assert (column["encoding"], column["geometry_types"]) == ("WKB", ["Polygon"])
    assert column["covering"] == {"bbox": {n: ["bbox", n] for n in ("xmin", "ymin", "xmax", "ymax")}}
    bounds = shapely.total_bounds(shapely.from_wkb(pd.read_parquet(path_of(dataset))["geometry"]))
    np.testing.assert_array_equal(column["bbox"], bounds)


def test_geopandas_reads_it(dataset: LocalStorage) -> None:
    build_tiles_index(dataset)
    frame = geopandas.read_parquet(path_of(dataset))
    assert frame.crs == "OGC:CRS84"
    assert shapely.contains_xy(frame.geometry, frame["lon"], frame["lat"]).all()
    row = frame.iloc[0]
    box = (row["lon"] - 1e-4, row["lat"] - 1e-4, row["lon"] + 1e-4, row["lat"] + 1e-4)
    assert geopandas.read_parquet(path_of(dataset), bbox=box)["chip_id"].tolist() == [row["chip_id"]]


def test_duckdb_reads_it(dataset: LocalStorage) -> None:
    build_tiles_index(dataset)
    with duckdb.connect() as db:
        db.execute("set timezone = 'UTC'")
        query = (
            "select count(distinct chip_id), min(scene_datetime)::varchar, max(bbox.xmax), list_sum(any_value(transform))"
        )
        found = db.execute(f"{query} from read_parquet(?)", [path_of(dataset)]).fetchone()
    frame = pd.read_parquet(path_of(dataset))
    assert found is not None
    assert found[:2] == (7, "2025-10-27 11:04:22.123+00")
    assert found[2] == max(box["xmax"] for box in frame["bbox"])
    assert found[3] in {sum(transform) for transform in frame["transform"]}


def test_pandas_reads_it(dataset: LocalStorage) -> None:
    build_tiles_index(dataset)
    frame = pd.read_parquet(path_of(dataset))
    assert str(frame["scene_datetime"].dtype) == "datetime64[ms, UTC]"
    assert frame["bands"].iloc[0].tolist() == ["B02", "B03", "B04", "B08"]
    assert frame["mmsi"].dtype == np.int64


def test_an_empty_dataset_has_an_empty_index(storage: LocalStorage) -> None:
    assert build_tiles_index(storage).rows == 0
    assert len(geopandas.read_parquet(path_of(storage))) == 0
    assert tables.read_table(storage, layout.tiles_index(), INDEX_SCHEMA).empty


def test_row_groups_are_filled_over_days(dataset: LocalStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(geoparquet, "ROWS_PER_GROUP", 4)
    build_tiles_index(dataset)
    metadata = pq.read_metadata(path_of(dataset))
    assert [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)] == [5, 2]
    assert geopandas.read_parquet(path_of(dataset))["chip_id"].is_unique


def _commit_days(root: str, numbers: list[int]) -> None:
    storage = LocalStorage(Path(root))
    days = scenes_of_days(12)
    for n in numbers:
        rows = index_of([n], scene=days[n], source_id=f"file-{n}")
        empty = tables.empty(OUTCOME_SCHEMA)
        kwargs: dict[str, Any] = {"rows": rows, "outcomes": empty, "fresh": {}, "journal": None, "masks": False}
        commit_source(storage, DAY, f"file-{n}", **kwargs)
        build_tiles_index(storage)


def test_parallel_runs_lose_no_row(storage: LocalStorage) -> None:
    context = multiprocessing.get_context("spawn")
    jobs = [context.Process(target=_commit_days, args=(str(storage.root), list(range(k, 12, 2)))) for k in range(2)]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join(120)
        assert job.exitcode == 0
    frame = tables.read_table(storage, layout.tiles_index(), INDEX_SCHEMA)
    assert sorted(frame["mmsi"] % 1000) == list(range(12))
