"""Keys of the index."""

from datetime import date

import pytest

from s2chips_core import layout
from s2chips_core.errors import StorageError

DAY = date(2025, 10, 27)


def test_keys_of_the_contract() -> None:
    assert layout.daily_geojson(DAY) == "indexes/tiles_20251027.geojson"
    assert layout.tiles_index() == "indexes/tiles.parquet"


def test_a_part_tells_what_made_it() -> None:
    key = layout.index_part(date(2025, 10, 28), DAY, "file-0123456789ab")
    assert layout.source_of_index_part(key) == (DAY, "file-0123456789ab")
    assert layout.scene_day_of_index_part(key) == date(2025, 10, 28)


def test_what_waits_lies_under_its_own_keys() -> None:
    assert layout.staged_chip(DAY, "capture", "chips/a.tif") == "staged/20251027-capture/chips/a.tif"


@pytest.mark.parametrize("key", ["indexes/parts/notes.txt", "indexes/parts/20251327/20251027-capture.parquet"])
def test_what_is_no_part_is_named(key: str) -> None:
    with pytest.raises(StorageError, match=f"{key}: is no part of the index"):
        layout.scene_day_of_index_part(key)


def test_a_part_of_no_ais_day_is_named() -> None:
    with pytest.raises(StorageError, match="is no part of the index"):
        layout.source_of_index_part("indexes/parts/20251027/new.parquet")
