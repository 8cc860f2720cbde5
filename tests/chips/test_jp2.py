"""Which bytes of a JPEG 2000 file hold which tile, against the markers that stand there."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from s2chips_core.chips.grid import Window
from s2chips_core.chips.jp2 import TileIndex, parse_tile_index
from tests.chips.rasters import make_jp2

PIXELS = np.random.default_rng(0).integers(0, 3000, (300, 420)).astype("uint16")
LISTED = make_jp2(PIXELS, TLM="YES")
BARE = make_jp2(PIXELS, TLM="YES", PLT="YES", codec="J2K")


def index_of(data: bytes) -> TileIndex:
    index = parse_tile_index(data, len(data))
    assert index is not None
    return index


@pytest.mark.parametrize("data", [LISTED, BARE], ids=["jp2", "code stream"])
def test_every_listed_part_begins_with_the_marker_of_its_tile(data: bytes) -> None:
    index = index_of(data)
    assert (index.tiles_across, index.tiles_down, index.tile_cols, index.tile_rows) == (4, 3, 128, 128)
    ends = set()
    for tile, parts in enumerate(index.parts):
        for first, length in parts:
            marker, size, number, said = struct.unpack_from(">HHHI", data, first)
            assert (marker, size, number, said) == (0xFF90, 10, tile, length)
            ends.add(first + length)
    # What follows the last is the end of the code stream, and nothing else.
    assert data[max(ends) : max(ends) + 2] == b"\xff\xd9"


def test_a_window_touches_the_tiles_that_it_overlaps() -> None:
    index = index_of(LISTED)
    assert index.tiles_of(Window(row_off=0, col_off=0, rows=128, cols=128)) == [0]
    assert index.tiles_of(Window(row_off=127, col_off=127, rows=2, cols=2)) == [0, 1, 4, 5]
    assert index.tiles_of(Window(row_off=-50, col_off=400, rows=40, cols=40)) == []
    assert index.tiles_of(Window(row_off=-50, col_off=-50, rows=51, cols=51)) == [0]
    assert index.tiles_of(Window(row_off=250, col_off=400, rows=500, cols=500)) == [7, 11]


def test_parts_that_follow_each_other_are_one_extent() -> None:
    index = TileIndex(
        tile_rows=1, tile_cols=1, tiles_across=1, tiles_down=1, parts=(((30, 5), (10, 10), (20, 10), (50, 1)),)
    )
    assert index.extents_of(0) == [(10, 25), (50, 1)]


def test_a_file_without_the_list_has_no_index() -> None:
    assert parse_tile_index(make_jp2(PIXELS), 10**9) is None


def test_a_list_that_ends_behind_the_file_is_not_believed() -> None:
    assert parse_tile_index(LISTED, len(LISTED) - 100) is None


@given(st.integers(0, 400), st.data())
def test_cut_or_damaged_headers_never_fail(length: int, data: st.DataObject) -> None:
    head = bytearray(LISTED[:length])
    if head:
        head[data.draw(st.integers(0, len(head) - 1))] = data.draw(st.integers(0, 255))
    parse_tile_index(bytes(head), len(LISTED))
