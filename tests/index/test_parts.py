"""Parts: listing and joining."""

from datetime import timedelta

from s2chips_core import layout
from s2chips_core.index.parts import (
    ais_sources,
    chips_of_scene_day,
    join_parts,
    parts_of_scene_day,
    parts_of_source,
    rows_of_source,
    scene_days,
)
from s2chips_core.index.records import PART_SCHEMA
from s2chips_core.storage import LocalStorage
from tests.index.chips import DAY, commit_chips, index_of, scenes_of_days


def test_parts_are_found_by_scene_day_and_by_source(storage: LocalStorage) -> None:
    first, second = scenes_of_days(2)
    tomorrow = DAY + timedelta(days=1)
    commit_chips(storage, index_of([1], scene=first))
    commit_chips(storage, index_of([2], scene=second))
    commit_chips(storage, index_of([1, 3], scene=second, source_id="file-a"), day=tomorrow, source="file-a")
    assert scene_days(storage) == [DAY, tomorrow]
    assert parts_of_source(storage, DAY, layout.CAPTURE) == {
        DAY: layout.index_part(DAY, DAY, "capture"),
        tomorrow: layout.index_part(tomorrow, DAY, "capture"),
    }
    assert parts_of_source(storage, DAY, "file-a") == {}
    assert list(parts_of_scene_day(storage, tomorrow)) == [
        "indexes/parts/20251028/20251027-capture.parquet",
        "indexes/parts/20251028/20251028-file-a.parquet",
    ]
    assert sorted(m % 1000 for m in chips_of_scene_day(storage, tomorrow)["mmsi"].to_pylist()) == [1, 2, 3]


def test_rows_and_ais_sources(storage: LocalStorage) -> None:
    commit_chips(storage, index_of([1, 2]))
    commit_chips(storage, index_of([3], source_id="file-a", ais_source="file"), source="file-a")
    assert sorted(rows_of_source(storage, DAY, "capture")["mmsi"] % 1000) == [1, 2]
    assert rows_of_source(storage, DAY, "file-b").empty
    assert ais_sources(storage) == {"aisstream": 2, "file": 1}


def test_nothing_is_a_table_too(storage: LocalStorage) -> None:
    assert scene_days(storage) == []
    assert chips_of_scene_day(storage, DAY).schema == join_parts([]).schema == PART_SCHEMA
