"""The page of the dataset at the door: what is read, written and cleared away."""

import json
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from s2chips_core import layout, tables
from s2chips_core.config import Settings, load_settings
from s2chips_core.errors import StorageError
from s2chips_core.index.records import INDEX_SCHEMA
from s2chips_core.pages.dataset import DatasetReport, write_dataset_page
from s2chips_core.pages.view_files import read_layouts
from s2chips_core.storage import LocalStorage
from tests.pages.sample_dataset import make_dataset, write_dataset
from tests.pages.test_day import Reader

SETTINGS: Settings = load_settings(Path(__file__).parents[2] / "config" / "config.yaml", {})


def write(storage: LocalStorage) -> DatasetReport:
    at = datetime(2025, 11, 5, 12, tzinfo=UTC)
    return write_dataset_page(storage, settings=SETTINGS, generated_at=at, software_version="0.1.0")


def test_page_and_files_are_written_and_counted(storage: LocalStorage) -> None:
    made = make_dataset(120, days=60)
    write_dataset(storage, made)
    report = write(storage)
    assert report.key == "reports/index.html"
    assert (report.chips, report.days) == (len(made.index), len(made.outcomes))
    assert report.targets == sum(len(frame) for frame in made.outcomes.values())
    files = storage.list("reports")
    assert report.bytes == sum(len(storage.get(key)) for key in files)
    assert report.written == len(files) - 1
    assert all(key == report.key or key.startswith("reports/assets/") for key in files)


def test_what_is_unchanged_is_left_and_what_is_old_is_cleared_away(storage: LocalStorage) -> None:
    write_dataset(storage, make_dataset(120, days=60))
    write(storage)
    before = set(storage.list(layout.dataset_assets()))
    page = storage.get(layout.dataset_page())
    assert write(storage).written == 0
    assert storage.get(layout.dataset_page()) == page
    write_dataset(storage, make_dataset(121, days=60, seed=6))
    storage.put(layout.report(date(2024, 11, 3)), b"the page of a day stays")
    assert write(storage).written > 0
    after = set(storage.list(layout.dataset_assets()))
    assert {key for key in before & after if "leaflet" in key}
    assert {key for key in before - after if "columns" in key}
    named = Reader(storage.get(layout.dataset_page())).scripts[0]
    assert all(key.rpartition("/")[2] in named for key in after)
    assert storage.exists(layout.report(date(2024, 11, 3)))


@pytest.mark.on_bucket("rclone")
def test_a_page_that_cannot_be_put_leaves_the_one_before(storage: LocalStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    write_dataset(storage, make_dataset(40, days=30))
    write(storage)
    before = {key: storage.get(key) for key in storage.list("reports")}
    write_dataset(storage, make_dataset(41, days=30, seed=6))
    kind = type(storage)
    put = kind.put

    def full(self: LocalStorage, key: str, data: bytes) -> None:
        if key == layout.dataset_page():
            raise StorageError(key, "the disk is full")
        put(self, key, data)

    monkeypatch.setattr(kind, "put", full)
    with pytest.raises(StorageError, match="disk is full"):
        write(storage)
    assert before.items() <= {key: storage.get(key) for key in storage.list("reports")}.items()
    monkeypatch.undo()
    write(storage)
    named = Reader(storage.get(layout.dataset_page())).scripts[0]
    assert all(key.rpartition("/")[2] in named for key in storage.list(layout.dataset_assets()))


def test_sheets_of_pictures_are_found_by_the_notes_of_their_days(storage: LocalStorage) -> None:
    made = make_dataset(20, days=10)
    write_dataset(storage, made)
    day = made.index["scene_datetime"][0].date()
    chip = made.index["chip_id"][0]
    assert read_layouts(storage, day) == {}
    sheet = {"bands": ["B02"], "masks": [], "side_px": 256, "ndwi_water_thresh": None}
    note = {"layouts": {"x": sheet}, "sheets": {chip: ["f", "x"]}}
    storage.put(layout.views_note(day), json.dumps(note).encode())
    [(found, drawn)] = read_layouts(storage, day).items()
    assert (found, drawn.bands) == (chip, ("B02",))
    write(storage)
    assert drawn.name in Reader(storage.get(layout.dataset_page())).scripts[0]


def test_an_index_without_chips_and_none_at_all(storage: LocalStorage) -> None:
    with pytest.raises(StorageError, match=r"tiles\.parquet"):
        write(storage)
    tables.write_table(storage, layout.tiles_index(), tables.empty(INDEX_SCHEMA), INDEX_SCHEMA)
    report = write(storage)
    assert (report.chips, report.days, report.targets) == (0, 0, 0)
