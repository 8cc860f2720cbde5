"""Sheets as files: made once, made anew when the chip is, removed with it."""

import dataclasses
import json
from datetime import timedelta
from typing import Any

import pytest
from rasterio.io import MemoryFile

from s2chips_core import layout, tables
from s2chips_core.errors import StorageError
from s2chips_core.index.records import PART_SCHEMA
from s2chips_core.pages import view_files
from s2chips_core.pages.limits import Limits
from s2chips_core.pages.view_files import ViewsResult, refresh_views
from s2chips_core.storage import LocalStorage
from tests.pages.sample_day import DAY, SETTINGS, ReportDay, make_day, put_day

LIMITS = Limits({SETTINGS.config_hash: SETTINGS.gate})


def rows(day: ReportDay) -> list[dict[str, Any]]:
    """The rows of the index."""
    found: list[dict[str, Any]] = tables.conform(day.index, PART_SCHEMA, "index").to_pylist()
    return found


def refresh(storage: LocalStorage, chips: list[dict[str, Any]], limits: Limits = LIMITS) -> ViewsResult:
    return refresh_views(chips, [DAY], storage=storage, limits=limits)


def numbers(result: ViewsResult) -> tuple[int, int, int]:
    return result.made, result.kept, result.removed


def test_sheets_are_made_once(storage: LocalStorage) -> None:
    day = make_day(chips=3, refused=0)
    put_day(storage, day, masks=True)
    told: list[str] = []
    first = refresh_views(rows(day), [DAY], storage=storage, limits=LIMITS, progress=told.append)
    assert numbers(first) == (3, 0, 0)
    assert told == ["views of 2025-10-27: 3 of 3"]
    assert first.views["0" * 16].key == f"reports/views/20251027/{'0' * 16}.jpg"
    assert first.views["0" * 16].layout.masks == ("cloud", "land", "water", "valid", "scl")
    sheets = {key: storage.get(key) for key in storage.list("reports/views")}
    assert len(sheets) == 3 + 1
    again = refresh(storage, rows(day))
    assert numbers(again) == (0, 3, 0)
    assert again.views == first.views
    assert {key: storage.get(key) for key in storage.list("reports/views")} == sheets


def test_a_chip_that_was_made_anew_gets_a_new_sheet(storage: LocalStorage) -> None:
    day = make_day(chips=3, refused=0)
    put_day(storage, day)
    refresh(storage, rows(day))
    changed = rows(day)
    changed[0]["created_at"] += timedelta(seconds=1)
    assert numbers(refresh(storage, changed)) == (1, 2, 0)
    storage.delete(layout.view(DAY, changed[1]["chip_id"]))
    assert numbers(refresh(storage, changed)) == (1, 2, 0)
    stricter = Limits({SETTINGS.config_hash: SETTINGS.gate.model_copy(update={"ndwi_water_thresh": 0.3})})
    assert numbers(refresh(storage, changed, stricter)) == (3, 0, 0)


def test_sheets_of_chips_that_are_gone_are_removed(storage: LocalStorage) -> None:
    day = make_day(chips=3, refused=0)
    put_day(storage, day)
    refresh(storage, rows(day))
    left = dataclasses.replace(day, index=day.index.iloc[1:])
    tables.write_table(storage, layout.index_part(DAY, DAY, "capture"), left.index, PART_SCHEMA)
    assert numbers(refresh(storage, rows(left))) == (0, 2, 1)
    assert not storage.exists(layout.view(DAY, "0" * 16))
    # A chip of another AIS day's source is not of this page, and its sheet stays.
    assert numbers(refresh(storage, rows(left)[1:])) == (0, 1, 0)
    storage.delete(layout.index_part(DAY, DAY, "capture"))
    assert numbers(refresh(storage, [])) == (0, 0, 2)
    assert storage.list("reports") == []


@pytest.mark.parametrize(
    "note", [b"", b"[]", b'{"layouts": {}, "sheets": {"a": 3}}', b'{"layouts": {"n": {}}, "sheets": {}}']
)
def test_a_note_that_cannot_be_read_makes_all_anew(storage: LocalStorage, note: bytes) -> None:
    day = make_day(chips=2, refused=0)
    put_day(storage, day)
    refresh(storage, rows(day))
    storage.put(layout.views_note(DAY), note)
    assert numbers(refresh(storage, rows(day))) == (2, 0, 0)
    assert len(json.loads(storage.get(layout.views_note(DAY)))["sheets"]) == 2


def test_what_was_drawn_before_a_failure_is_known_afterwards(storage: LocalStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    day = make_day(chips=6, refused=0)
    put_day(storage, day)
    monkeypatch.setattr(view_files, "WORKERS", 1)
    drawn = view_files.draw_sheet
    left = [3]

    def fails(*args: Any, **more: Any) -> bytes:
        left[0] -= 1
        if left[0] < 0:
            raise StorageError("disk", "is full")
        return drawn(*args, **more)

    monkeypatch.setattr(view_files, "draw_sheet", fails)
    with pytest.raises(StorageError, match="is full"):
        refresh(storage, rows(day))
    monkeypatch.setattr(view_files, "draw_sheet", drawn)
    known = json.loads(storage.get(layout.views_note(DAY)))["sheets"]
    assert 1 <= len(known) <= 3
    assert numbers(refresh(storage, rows(day))) == (6 - len(known), len(known), 0)


def test_a_chip_that_is_no_raster_is_named(storage: LocalStorage) -> None:
    day = make_day(chips=1, refused=0)
    put_day(storage, day)
    path = rows(day)[0]["path"]
    storage.put(path, b"II*\0 not a TIFF")
    with pytest.raises(StorageError, match=path):
        refresh(storage, rows(day))


def test_masks_of_before_the_classes_were_kept(storage: LocalStorage) -> None:

    day = make_day(chips=1, refused=0)
    put_day(storage, day, masks=True)
    key = layout.chip_artefacts(rows(day)[0]["path"], ("_masks.tif",))[0]
    with MemoryFile(storage.get(key)) as memory, memory.open() as dataset:
        profile, pixels, names = dataset.profile, dataset.read(), dataset.descriptions
    with MemoryFile() as memory:
        with memory.open(**{**profile, "count": 4}) as dataset:
            dataset.write(pixels[:4])
            dataset.descriptions = names[:4]
        storage.put(key, bytes(memory.read()))
    (view,) = refresh(storage, rows(day)).views.values()
    assert view.layout.absent[1:] == (("SCL", "the chip was cut before its classes were kept"),)
