"""Keys of chips and of what they were made from."""

from datetime import date

from s2chips_core import layout

DAY = date(2025, 10, 27)


def test_keys_of_the_contract() -> None:
    assert layout.chip("train", 244660123, DAY, "d96fd1987d732223") == "chips/train/244660123/20251027/d96fd1987d732223.tif"
    assert layout.chip("val", 1, DAY, "ab", "_quicklook.jpg") == "chips/val/1/20251027/ab_quicklook.jpg"


def test_keys_of_what_chips_were_made_from() -> None:
    assert layout.scene_snapshot("S2B_30STF", "0123456789abcdef99") == "provenance/scenes/S2B_30STF-0123456789abcdef.json"
    assert layout.deciding_config("0123456789abcdef") == "provenance/configs/0123456789abcdef.json"


def test_the_day_of_a_chip_is_told_from_its_path() -> None:
    assert layout.scene_day_of_chip(layout.chip("val", 244660123, DAY, "d96fd1987d732223")) == DAY
    for other in (
        "chips/val/1/20251327/a.tif",
        "chips/val/1/20251027/b/a.tif",
        "chips/a.tif",
        "indexes/val/1/20251027/a.tif",
    ):
        assert layout.scene_day_of_chip(other) is None


def test_the_tif_is_written_last() -> None:
    assert layout.CHIP_SUFFIXES[-1] == ".tif"
    path = layout.chip("val", 1, DAY, "ab")
    assert layout.chip_artefacts(path) == [layout.chip("val", 1, DAY, "ab", suffix) for suffix in layout.CHIP_SUFFIXES]
