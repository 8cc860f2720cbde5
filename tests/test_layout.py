"""The keys of the contract, and that nothing from outside can bend one."""

from datetime import date

import pytest

from s2chips_core import layout

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
