"""GeoJSON, read back by geopandas."""

import io
import json
from datetime import timedelta

import geopandas
import shapely

from s2chips_core import layout, tables
from s2chips_core.index.geojson import collection_bytes, feature, feature_bytes, refresh_geojson, write_daily_geojson
from s2chips_core.index.labels import LABEL_SCHEMA, labels_table
from s2chips_core.index.parts import chips_of_scene_day
from s2chips_core.index.records import properties
from s2chips_core.storage import LocalStorage
from tests.index.chips import DAY, commit_chips, index_of, index_row, match_of, scenes_of_days


def test_a_feature_is_the_row() -> None:
    row = index_row(match_of(1))
    found = json.loads(feature_bytes(row), parse_constant=_refuse)
    assert found == feature(row)
    assert (found["type"], found["id"], found["properties"]) == ("Feature", row["chip_id"], properties(row))
    assert "crs" not in found, "RFC 7946, section 4"
    shape = shapely.geometry.shape(found["geometry"])
    assert shape.exterior.is_ccw
    assert shapely.hausdorff_distance(shape, shapely.from_wkb(row["geometry"])) < 1e-6


def test_geopandas_reads_a_collection() -> None:
    rows = [index_row(match_of(n)) for n in range(3)]
    frame = geopandas.read_file(io.BytesIO(collection_bytes(rows)))
    assert frame.crs.to_epsg() == 4326
    assert frame["chip_id"].tolist() == [row["chip_id"] for row in rows]
    assert frame["mmsi"].tolist() == [row["mmsi"] for row in rows]
    assert shapely.contains_xy(frame.geometry, frame["lon"], frame["lat"]).all()


def test_an_empty_collection_is_valid() -> None:
    assert json.loads(collection_bytes([])) == {"type": "FeatureCollection", "features": []}


def test_the_day_is_the_union_of_its_sources_and_goes_with_them(storage: LocalStorage) -> None:
    commit_chips(storage, index_of([1, 2]))
    commit_chips(storage, index_of([2, 3], source_id="file-a"), source="file-a")
    assert write_daily_geojson(storage, DAY) == 3
    first = storage.get(layout.daily_geojson(DAY))
    features = json.loads(first)["features"]
    assert [f["id"] for f in features] == chips_of_scene_day(storage, DAY)["chip_id"].to_pylist()
    labels = tables.read_arrow(storage, layout.daily_labels(DAY), LABEL_SCHEMA)
    assert labels.equals(labels_table(chips_of_scene_day(storage, DAY)))
    assert labels["chip_id"].to_pylist() == [f["id"] for f in features]
    assert write_daily_geojson(storage, DAY) == 3
    assert storage.get(layout.daily_geojson(DAY)) == first
    for key in storage.list(layout.index_parts_folder()):
        storage.delete(key)
    assert write_daily_geojson(storage, DAY) == 0
    assert not storage.exists(layout.daily_geojson(DAY))
    assert not storage.exists(layout.daily_labels(DAY))


def test_every_day_around_is_written_and_cleared(storage: LocalStorage) -> None:
    days = scenes_of_days(3)
    commit_chips(storage, index_of([1], scene=days[0]))
    commit_chips(storage, index_of([2, 3], scene=days[1]))
    commit_chips(storage, index_of([4], scene=days[2]))
    tomorrow = DAY + timedelta(days=1)
    assert refresh_geojson(storage, DAY, 24.0) == {DAY: 1, tomorrow: 2}
    for key in storage.list(layout.index_parts_of_scene_day(tomorrow)):
        storage.delete(key)
    storage.delete(layout.daily_geojson(tomorrow))  # somebody did: the labels alone are cleared too
    assert refresh_geojson(storage, DAY, 24.0) == {DAY: 1, tomorrow: 0}
    assert storage.list("labels") == [layout.daily_labels(DAY)]
    assert refresh_geojson(storage, DAY, 24.0) == {DAY: 1}


def _refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")
