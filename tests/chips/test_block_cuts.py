"""Which blocks windows need, against plain counting of pixels; which of them share a request."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from s2chips_core.chips.block_cuts import COALESCE_GAP_BYTES, COALESCE_MOST_BYTES, Piece, select_cuts, select_runs
from s2chips_core.chips.cog import Header, parse_header
from s2chips_core.chips.grid import Window
from tests.chips.rasters import make_cog

PIXELS = np.random.default_rng(3).integers(1, 3000, (410, 333)).astype("uint16")
PIXELS[128:256, 0:128] = 0  # a block that the file leaves out


def header() -> Header:
    found = parse_header(make_cog(PIXELS))
    assert isinstance(found, Header)
    return found


HEADER = header()


@given(
    st.builds(
        Window, row_off=st.integers(-300, 500), col_off=st.integers(-300, 400), rows=st.integers(1, 300), cols=st.just(200)
    )
)
def test_cuts_cover_what_a_window_has_of_the_raster(window: Window) -> None:
    taken = np.zeros((window.rows, window.cols), PIXELS.dtype)
    for cut in select_cuts(HEADER, window):
        (row, col), n = cut.block, HEADER.block_rows
        block = PIXELS[row * n : (row + 1) * n, col * n : (col + 1) * n]
        assert not taken[cut.target].any(), "two cuts give the same pixel"
        taken[cut.target] = block[cut.rows[0] : cut.rows[1], cut.cols[0] : cut.cols[1]]
    expected = np.pad(PIXELS, 1000)[window.row_off + 1000 :, window.col_off + 1000 :][: window.rows, : window.cols]
    np.testing.assert_array_equal(taken, expected)


def test_a_block_that_is_left_out_is_not_asked_for() -> None:
    assert select_cuts(HEADER, Window(row_off=130, col_off=3, rows=50, cols=50)) == []


def piece(number: int, start: int, length: int, whole: bool = True) -> Piece:
    return Piece((0, number), start, length, whole)


def test_neighbours_share_a_request_where_that_costs_next_to_nothing() -> None:
    one, other = piece(0, 1000, 500), piece(1, 1508, 700)
    [run] = select_runs([other, one])
    assert (run.start, run.length, run.pieces) == (1000, 1208, (one, other))
    far = piece(2, 2208 + COALESCE_GAP_BYTES + 1, 10)
    assert [len(r.pieces) for r in select_runs([one, other, far])] == [2, 1]
    # Behind the beginning of a block lies what was left out of it.
    assert len(select_runs([piece(0, 1000, 500, whole=False), other])) == 2
    assert len(select_runs([one, piece(1, 1508, COALESCE_MOST_BYTES)])) == 2
