"""Keys of an export."""

from datetime import date

from s2chips_core import layout

DAY = date(2025, 10, 27)


def test_a_chip_with_a_pseudonym_lies_where_one_with_its_mmsi_would() -> None:
    assert layout.export_chip("val", "244660123", DAY, "ab") == layout.chip("val", 244660123, DAY, "ab")


def test_items_lie_beside_the_catalogue_of_their_day() -> None:
    folder = layout.export_catalog(DAY).rpartition("/")[0]
    assert layout.export_item(DAY, "ab") == f"{folder}/ab.json"


def test_shards_sort_as_they_are_counted() -> None:
    shards = [layout.export_shard("train", number) for number in (0, 9, 10, 99_999)]
    assert shards == sorted(shards)
