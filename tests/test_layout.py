"""The keys of the contract, and that nothing from outside can bend one."""

import os
from datetime import date, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s2chips_core import layout
from s2chips_core.storage.base import key_parts
from tests.reliability import often

DAY = date(2025, 10, 27)


def test_keys_of_the_contract() -> None:
    assert layout.plan(DAY) == "plan/overpasses_20251027.parquet"
    assert layout.ais_snapshot(DAY, "30STF") == "ais/20251027/ais_overpass_30STF.parquet"
    assert layout.ais_snapshot(DAY, "30STF", "xlsx") == "ais/20251027/ais_overpass_30STF.xlsx"
    assert layout.matches(DAY) == "matches/20251027.parquet"
    assert layout.outcomes(DAY) == "outcomes/20251027.parquet"
    assert layout.chip("train", 244660123, DAY, "d96fd1987d732223") == "chips/train/244660123/20251027/d96fd1987d732223.tif"
    assert layout.chip("val", 1, DAY, "ab", "_quicklook.jpg") == "chips/val/1/20251027/ab_quicklook.jpg"
    assert layout.daily_geojson(DAY) == "indexes/tiles_20251027.geojson"
    assert layout.tiles_index() == "indexes/tiles.parquet"
    assert layout.report(DAY) == "reports/report_20251027.html"
    assert layout.scene_snapshot("S2B_30STF", "0123456789abcdef99") == "provenance/scenes/S2B_30STF-0123456789abcdef.json"
    assert layout.deciding_config("0123456789abcdef") == "provenance/configs/0123456789abcdef.json"
    assert layout.dataset_page() == "reports/index.html"
    assert layout.dataset_asset("land-0123.js") == "reports/assets/land-0123.js"


def test_the_day_of_a_chip_is_told_from_its_path() -> None:
    assert layout.scene_day_of_chip(layout.chip("val", 244660123, DAY, "d96fd1987d732223")) == DAY
    for other in (
        "chips/val/1/20251327/a.tif",
        "chips/val/1/20251027/b/a.tif",
        "chips/a.tif",
        "indexes/val/1/20251027/a.tif",
    ):
        assert layout.scene_day_of_chip(other) is None


def test_outcomes_of_days_are_told_from_their_parts() -> None:
    assert layout.day_of_outcomes(layout.outcomes(DAY)) == DAY
    for key in (layout.outcomes_part(DAY, "capture"), "outcomes/notes.parquet", "matches/20251027.parquet"):
        assert layout.day_of_outcomes(key) is None


def test_the_tif_is_written_last() -> None:
    assert layout.CHIP_SUFFIXES[-1] == ".tif"


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "a b", "x\0", "é"])
def test_names_from_outside_cannot_bend_a_key(name: str) -> None:
    for build in (
        lambda: layout.ais_snapshot(DAY, name),
        lambda: layout.chip("train", 1, DAY, name),
        lambda: layout.matches_part(DAY, name),
        lambda: layout.index_part(DAY, DAY, name),
        lambda: layout.deciding_config(name),
        lambda: layout.dataset_asset(name),
    ):
        with pytest.raises(ValueError, match="part of a key"):
            build()


def test_a_part_tells_what_made_it() -> None:
    key = layout.index_part(date(2025, 10, 28), DAY, "file-0123456789ab")
    assert layout.source_of_index_part(key) == (DAY, "file-0123456789ab")
    assert layout.scene_day_of_index_part(key) == date(2025, 10, 28)


def test_recorded_ais_is_told_by_its_key() -> None:
    for key in (layout.ais_snapshot(DAY, "30STF"), layout.ais_file(DAY, "file-ab")):
        assert layout.is_recorded_ais(key)
        assert layout.day_of_ais_key(key) == DAY
    assert not layout.is_recorded_ais(layout.ais_snapshot(DAY, "30STF", "xlsx"))
    for other in (layout.ais_file_note("file-ab"), layout.capture_record(DAY, "c"), layout.capture_journal("c")):
        assert layout.day_of_ais_key(other) is None


def test_a_trash_is_named_after_its_second_in_utc() -> None:
    when = datetime(2025, 10, 27, 1, 2, 3, 999_999, tzinfo=timezone(timedelta(hours=2)))
    assert layout.trash_id(when) == "20251026T230203Z"
    assert layout.trash_id(when, 2) == "20251026T230203Z-2"
    assert layout.in_trash("20251026T230203Z", "chips/a.tif") == "trash/20251026T230203Z/chips/a.tif"
    assert layout.staged_chip(DAY, "capture", "chips/a.tif") == "staged/20251027-capture/chips/a.tif"
    assert layout.is_move_journal(layout.move_journal("20251026T230203Z"))
    assert not layout.is_move_journal(layout.journal(DAY, "capture"))


NAMES = st.text(max_size=300) | st.lists(
    st.sampled_from(
        ["..", "/", "\\", ".", "a", "%2e", "~", "C:", "\0", "\n", "\u202e", "\ud800", "\uff0f", "CON", "-", "$HOME"]
    ),
    max_size=6,
).map("".join)


@settings(max_examples=often(200, 20_000))
@given(NAMES)
def test_no_name_leads_out_of_the_dataset(name: str) -> None:
    """A tile, a source, a chip, a capture, a trash, a scene, settings: what is refused is no key; what is none leads out."""
    root = Path("/dataset")
    for build in (
        lambda: layout.ais_snapshot(DAY, name),
        lambda: layout.ais_file(DAY, name),
        lambda: layout.ais_file_note(name),
        lambda: layout.ais_file_report(name),
        lambda: layout.capture_record(DAY, name),
        lambda: layout.capture_journal(name),
        lambda: layout.matches_part(DAY, name),
        lambda: layout.outcomes_part(DAY, name),
        lambda: layout.index_part(DAY, DAY, name),
        lambda: layout.chip("train", 1, DAY, name),
        lambda: layout.chip(name, 1, DAY, "ab"),
        lambda: layout.journal(DAY, name),
        lambda: layout.staged(DAY, name),
        lambda: layout.trash(name),
        lambda: layout.move_journal(name),
        lambda: layout.plan_cache(name),
        lambda: layout.deciding_config(name),
        lambda: layout.scene_snapshot(name, "0123456789abcdef99"),
    ):
        try:
            key = build()
        except ValueError:
            continue
        assert key.isascii()
        assert key.isprintable()
        path = root.joinpath(*key_parts(key))
        assert path == Path(os.path.normpath(path))
        assert path.is_relative_to(root)
        assert path.parent != root
