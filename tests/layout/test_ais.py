"""Keys of AIS, and what is told from them."""

from datetime import date

from s2chips_core import layout

DAY = date(2025, 10, 27)


def test_keys_of_the_contract() -> None:
    assert layout.ais_snapshot(DAY, "30STF") == "ais/20251027/ais_overpass_30STF.parquet"
    assert layout.ais_snapshot(DAY, "30STF", "xlsx") == "ais/20251027/ais_overpass_30STF.xlsx"


def test_recorded_ais_is_told_by_its_key() -> None:
    for key in (layout.ais_snapshot(DAY, "30STF"), layout.ais_file(DAY, "file-ab")):
        assert layout.is_recorded_ais(key)
        assert layout.day_of_ais_key(key) == DAY
    assert not layout.is_recorded_ais(layout.ais_snapshot(DAY, "30STF", "xlsx"))
    for other in (
        layout.ais_file_note("file-ab"),
        layout.capture_record(DAY, "c"),
        layout.capture_journal("c"),
        "ais/20251327/a",
    ):
        assert layout.day_of_ais_key(other) is None


def test_whose_fixes_are_told_by_the_key() -> None:
    assert layout.source_of_ais_key(layout.ais_file(DAY, "file-0123456789ab")) == "file-0123456789ab"
    assert layout.source_of_ais_key(layout.ais_snapshot(DAY, "30STF")) == layout.CAPTURE
    assert layout.is_snapshot(layout.ais_snapshot(DAY, "30STF"))
    assert not layout.is_snapshot(layout.ais_file(DAY, "file-0123456789ab"))
