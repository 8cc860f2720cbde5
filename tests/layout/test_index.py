"""Keys of the index."""

from datetime import date

from s2chips_core import layout

DAY = date(2025, 10, 27)


def test_keys_of_the_contract() -> None:
    assert layout.daily_geojson(DAY) == "indexes/tiles_20251027.geojson"
    assert layout.tiles_index() == "indexes/tiles.parquet"


def test_a_part_tells_what_made_it() -> None:
    key = layout.index_part(date(2025, 10, 28), DAY, "file-0123456789ab")
    assert layout.source_of_index_part(key) == (DAY, "file-0123456789ab")
    assert layout.scene_day_of_index_part(key) == date(2025, 10, 28)
