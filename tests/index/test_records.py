"""Index rows and their plain form."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from s2chips_core import tables
from s2chips_core.errors import SchemaError
from s2chips_core.index.records import (
    BBOX,
    INDEX_SCHEMA,
    PART_SCHEMA,
    PROPERTY_FIELDS,
    chip_key,
    index_frame,
    oriented,
    properties,
    row_from_earlier,
    sidecar,
    sidecar_fields,
    unique_chips,
)
from s2chips_core.scenes.matches import MATCH_SCHEMA
from s2chips_core.sections import Splits
from tests.index.chips import NOW, SETTINGS, index_of, index_row, match_of, matches_frame, scene_of

CONTRACT = [
    "chip_id",
    "path",
    "mmsi",
    "lat",
    "lon",
    "overpass_time",
    "scene_id",
    "scene_datetime",
    "cloud_cover",
    "split",
    "bands",
    "has_swir",
    "qa_cloud_frac",
    "qa_water_frac",
    "qa_land_frac",
    "qa_nodata_frac",
    "ais_lat",
    "ais_lon",
    "ais_time",
    "ais_source",
    "position_method",
    "position_sigma_m",
    "epsg",
    "transform",
    "mgrs_tile",
    "platform",
    "processing_baseline",
    "boa_offset_dn",
    "boa_offset_source",
    "scl_present",
    "gate_verdict",
    "provider",
    "collection",
    "ship_name",
    "ship_type",
    "length_m",
    "width_m",
    "heading_deg",
    "sog_kn",
    "cog_deg",
    "created_at",
    "software_version",
    "config_hash",
]


def test_the_contract_columns_are_in_the_schema_and_in_the_properties() -> None:
    assert set(CONTRACT) <= set(INDEX_SCHEMA.names)
    assert set(CONTRACT) <= set(properties(index_row(match_of(1))))


def test_a_row_has_every_field_and_the_match_as_it_is() -> None:
    row = index_row(match_of(1, cog_deg=271.5, sibling_scene_ids=["S2B_other"]))
    assert set(row) == set(PART_SCHEMA.names)
    assert (row["cog_deg"], row["sibling_scene_ids"], row["ship_name"]) == (271.5, ["S2B_other"], "SHIP Ø 1")
    assert (row["has_swir"], row["bands"]) == (False, ["B02", "B03", "B04", "B08"])
    assert row["created_at"] == NOW


def test_a_kept_chip_keeps_what_was_seen_in_it_and_gets_its_labels_anew() -> None:
    match = tables.conform(matches_frame([match_of(1)]), MATCH_SCHEMA, "m").to_pylist()[0]
    row = {
        **index_row(match_of(1)),
        "confirmation": "confirmed",
        "confirmation_offset_m": 3.0,
        "confirmation_contrast": 99.0,
    }
    again = row_from_earlier(match, chip_key(match, SETTINGS), row, [*row["labels"], {"mmsi": 1}])
    assert again == {**row, "vessels": 2, "labels": [*row["labels"], {"mmsi": 1}]}


def test_labels_are_in_the_sidecar_and_the_parts_alone() -> None:
    row = index_row(match_of(1))
    assert "labels" not in properties(row)
    assert "labels" not in INDEX_SCHEMA.names
    assert PART_SCHEMA.names == [*INDEX_SCHEMA.names, "labels"]
    assert [label["mmsi"] for label in sidecar_fields(row)["labels"]] == [row["mmsi"]]
    assert properties(row)["vessels"] == 1


def test_swir_is_told_from_the_bands() -> None:
    assert index_row(match_of(1), settings=SETTINGS.override({"tiling": {"include_swir": True}}))["has_swir"] is True


# The published vectors of docs: chip_id of ship, sensing time, rounded centre.
@pytest.mark.parametrize(
    ("mmsi", "when", "lat", "lon", "chip_id", "u"),
    [
        (244660123, "2025-10-27T11:04:22.123Z", 36.1251, -5.4302, "d96fd1987d732223", 0.8493624683),
        (244660124, "2025-10-27T11:04:22.123Z", 36.21040049, -5.3566, "e74e42322ee06e05", 0.9035378811),
        (257000000, "2025-07-31T13:19:22.930Z", -1e-7, 0.0, "d2bab9b52346b3d1", 0.8231617038),
    ],
)
def test_the_published_ids(mmsi: int, when: str, lat: float, lon: float, chip_id: str, u: float) -> None:
    match = match_of(0, scene=scene_of(when=datetime.fromisoformat(when)), mmsi=mmsi, lat=lat, lon=lon)
    row = index_row(match)
    assert row["chip_id"] == chip_id
    assert (row["lat"], row["lon"]) == (round(lat, 5), round(lon, 5))
    assert str(row["lat"]) != "-0.0"
    limits = Splits()
    assert row["split"] == ("train" if u < limits.train else "val" if u < limits.train + limits.val else "test")
    day = when[:10].replace("-", "")
    assert row["path"] == f"chips/{row['split']}/{mmsi}/{day}/{chip_id}.tif"


def test_the_fingerprint_changes_with_what_decides() -> None:
    def of(**changes: Any) -> str:
        settings = changes.pop("settings", SETTINGS)
        return chip_key(
            tables.conform(matches_frame([match_of(0, **changes)]), MATCH_SCHEMA, "m").to_pylist()[0], settings
        ).fingerprint

    base = of()
    assert of(ship_name="ANOTHER", cloud_cover=99.0, position_method="dead_reckoned") == base
    others = {
        of(scene=scene_of(revision="2")),
        of(lat=36.1),
        of(settings=SETTINGS.override({"masks": {"use_ndwi": False}})),
    }
    assert len(others | {base}) == 4


def test_the_footprint_is_counter_clockwise_and_the_bbox_its_bounds() -> None:
    row = index_row(match_of(1))
    shape = shapely.from_wkb(row["geometry"])
    assert shape.exterior.is_ccw
    assert tuple(row["bbox"][name] for name in BBOX.names) == shape.bounds


def test_a_footprint_across_the_antimeridian_is_oriented_in_both_parts() -> None:
    clockwise = [shapely.box(179.9, 0, 180, 1, ccw=False), shapely.box(-180, 0, -179.9, 1, ccw=False)]
    assert all(part.exterior.is_ccw for part in oriented(shapely.MultiPolygon(clockwise)).geoms)
    with pytest.raises(SchemaError, match="is a Point"):
        oriented(shapely.Point(0, 0))


def test_the_frame_is_sorted_and_conforms() -> None:
    frame = index_of([3, 1, 2])
    assert frame["chip_id"].is_monotonic_increasing
    assert tables.conform(frame, PART_SCHEMA, "index").schema == PART_SCHEMA


def test_properties_are_strict_json_and_the_same_from_memory_and_from_the_table() -> None:
    row = index_row(match_of(2, scene=scene_of(when=datetime(2025, 10, 27, 11, 4, 22, tzinfo=UTC)), cloud_cover=None))
    said = properties(row)
    assert tuple(said) == PROPERTY_FIELDS
    assert said["scene_datetime"] == "2025-10-27T11:04:22.000Z"
    assert said["created_at"] == "2025-10-30T12:00:00.250Z"
    assert said["sog_kn"] is None
    assert said["cloud_cover"] is None
    frame = index_frame([row])
    from_table = tables.conform(frame, PART_SCHEMA, "index").to_pylist()[0]
    from_pandas = {str(k): v for k, v in frame.to_dict("records")[0].items()}
    assert sidecar(from_table) == sidecar(from_pandas) == sidecar(row)
    assert json.loads(sidecar(row), parse_constant=pytest.fail) == {**said, "labels": row["labels"]}


@given(
    st.one_of(
        st.floats(),
        st.integers(-(2**62), 2**62),
        st.booleans(),
        st.text(),
        st.just(pd.NA),
        st.just(pd.NaT),
        st.none(),
        st.lists(st.floats()),
        st.lists(st.floats()).map(np.array),
        st.floats(width=32).map(np.float32),
        st.datetimes(timezones=st.just(UTC)),
        st.integers(-(2**42), 2**42).map(lambda ms: pd.Timestamp(ms, unit="ms", tz="UTC")),
    )
)
def test_whatever_a_field_holds_the_properties_are_strict_json(value: Any) -> None:
    row: dict[str, Any] = dict.fromkeys(PROPERTY_FIELDS)
    json.dumps(properties({**row, "ship_name": value}), allow_nan=False)


def test_of_two_rows_of_one_chip_the_one_made_last_is_kept_else_the_first_source() -> None:
    rows = [
        index_row(match_of(1, source_id="file-b")),
        index_row(match_of(1, source_id="capture")),
        index_row(match_of(2, source_id="capture")),
        index_row(match_of(2, source_id="file-b"), created_at=NOW + timedelta(seconds=1)),
    ]
    table = tables.conform(pd.DataFrame(rows), INDEX_SCHEMA, "rows")
    kept = {row["mmsi"]: row["source_id"] for row in unique_chips(table).to_pylist()}
    assert kept == {244660001: "capture", 244660002: "file-b"}
    assert unique_chips(INDEX_SCHEMA.empty_table()).num_rows == 0


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 2), st.integers(0, 2)), max_size=30))
def test_unique_chips_is_what_pandas_would_keep(picks: list[tuple[int, int, int]]) -> None:
    made = _ROWS
    rows = [
        {**made[n], "source_id": f"s{source}", "created_at": NOW + timedelta(seconds=later)} for n, source, later in picks
    ]
    frame = pd.DataFrame(rows, columns=INDEX_SCHEMA.names)
    found = unique_chips(tables.conform(frame, INDEX_SCHEMA, "rows")) if rows else INDEX_SCHEMA.empty_table()
    best: dict[str, tuple[float, str]] = {}
    for row in rows:
        rank = (-row["created_at"].timestamp(), row["source_id"])
        best[row["chip_id"]] = min(rank, best.get(row["chip_id"], rank))
    assert {r["chip_id"]: (-r["created_at"].timestamp(), r["source_id"]) for r in found.to_pylist()} == best
    keys = [(r["scene_datetime"], r["chip_id"]) for r in found.to_pylist()]
    assert keys == sorted(keys)


_ROWS = [index_row(match_of(n)) for n in range(6)]


def test_schema_types_are_the_contracts() -> None:
    for name in ("overpass_time", "scene_datetime", "ais_time", "created_at"):
        assert INDEX_SCHEMA.field(name).type == pa.timestamp("ms", tz="UTC")
