"""The tile grid against ESA's own list of all tiles."""

from pathlib import Path

import pandas as pd
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from s2chips_core.errors import InputError
from s2chips_core.overpasses.tile_grid import TILE_SIDE_M, tile_area, tile_corner, tiles_touching


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


@pytest.mark.parametrize("tile", ["30STF", "29SQA", "32VPH", "01KAB", "60KXF"])
def test_touching_finds_the_tile_from_its_middle(tile: str) -> None:
    west, south, east, north = tile_area(tile)
    lon = (west + ((east - west) % 360.0) / 2 + 180.0) % 360.0 - 180.0
    lat = (south + north) / 2
    assert tile in tiles_touching((lon, lat - 0.01, lon + 0.01, lat + 0.01))


def test_touching_agrees_with_the_published_grid(shared_data: Path) -> None:
    grid = pd.read_parquet(shared_data / "orbit" / "s2_tile_grid.parquet")
    box = shapely.box(-6.2, 35.7, -5.0, 36.3)
    near = grid[grid.lon_ul.between(-9, -3) & grid.lat_ul.between(34, 38)]
    expected = {
        row.tile
        for row in near.itertuples()
        if shapely.Polygon(
            [(row.lon_ul, row.lat_ul), (row.lon_ll, row.lat_ll), (row.lon_lr, row.lat_lr), (row.lon_ur, row.lat_ur)]
        ).intersects(box)
    }
    # Not every name that can be built is in ESA's list: it leaves out squares that zone neighbours cover.
    assert expected <= set(tiles_touching((-6.2, 35.7, -5.0, 36.3)))


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
