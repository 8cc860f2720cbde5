"""The tile grid against ESA's own list of all tiles."""

from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from s2chips_core.errors import InputError
from s2chips_core.overpasses.tile_grid import TILE_SIDE_M, grid_tiles, is_tile, tile_area, tile_corner


def test_every_corner_of_the_published_grid(shared_data: Path) -> None:
    grid = pd.read_parquet(shared_data / "orbit" / "s2_tile_grid.parquet")
    wrong = [
        (row.tile, tile_corner(row.tile))
        for row in grid.itertuples()
        if tile_corner(row.tile) != (int(row.epsg), int(row.ulx), int(row.uly))
    ]
    assert len(grid) == 56_686
    assert wrong == []


def test_area_holds_the_published_corners(shared_data: Path) -> None:
    grid = pd.read_parquet(shared_data / "orbit" / "s2_tile_grid.parquet")
    for row in grid.iloc[::97].itertuples():
        west, south, east, north = tile_area(row.tile)
        width = (east - west) % 360.0
        for lon, lat in (
            (row.lon_ul, row.lat_ul),
            (row.lon_ll, row.lat_ll),
            (row.lon_lr, row.lat_lr),
            (row.lon_ur, row.lat_ur),
        ):
            assert (lon - west + 1e-4) % 360.0 <= width + 2e-4, (row.tile, west, lon, east)
            assert south - 1e-4 <= lat <= north + 1e-4


def test_margin_is_added_on_each_side() -> None:
    west, south, east, north = tile_area("30STF")
    assert tile_area("30STF", 0.05) == pytest.approx((west - 0.05, south - 0.05, east + 0.05, north + 0.05))


def test_the_tiles_are_those_that_are_published(shared_data: Path) -> None:
    published = set(pd.read_parquet(shared_data / "orbit" / "s2_tile_grid.parquet")["tile"])
    assert {tile for tiles in grid_tiles().values() for tile in tiles} == published
    assert is_tile("30STF")
    assert not is_tile("30SZF")  # 250 km east of its zone
    assert not is_tile("32XNF")  # no zone in the north
    assert not is_tile("")


@pytest.mark.parametrize("text", ["", "30ST", "61STF", "30ITF", "30SAF", "30STW", "../../etc"])
def test_what_is_no_tile_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="got"):
        tile_corner(text)


@given(st.text(max_size=8))
def test_any_text_gives_a_corner_or_an_input_error(text: str) -> None:
    try:
        epsg, ulx_m, uly_m = tile_corner(text)
    except InputError:
        return
    assert 32601 <= epsg <= 32760
    assert ulx_m % 60 == 0
    assert -TILE_SIDE_M <= uly_m <= 10_100_000
