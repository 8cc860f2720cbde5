"""Which blocks of a file a window needs, what it takes from each, and which of them share a request. Pure.

Not here: reading (`block_windows`), what a block looks like inside (`cog`).
"""

import dataclasses
from collections.abc import Iterable

from s2chips_core.chips.cog import Header
from s2chips_core.chips.grid import Window

COALESCE_GAP_BYTES = 64
"""GDAL's COG driver puts 8 bytes between blocks; a gap that is no longer costs less than a request."""
COALESCE_MOST_BYTES = 3 * 1024 * 1024

Block = tuple[int, int]
"""Row and column of a block, counted in blocks."""
Span = tuple[int, int]
"""First and behind-last row or column."""


@dataclasses.dataclass(frozen=True, slots=True)
class Cut:
    """What a window takes from one block."""

    block: Block
    rows: Span
    """In the block."""
    cols: Span
    target: tuple[slice, slice]
    """In the window."""


@dataclasses.dataclass(frozen=True, slots=True)
class Piece:
    """A block, or the beginning of it, that is to be fetched."""

    block: Block
    start: int
    """In the file, bytes."""
    length: int
    whole: bool
    """Whether that is all of the block."""


@dataclasses.dataclass(frozen=True, slots=True)
class Run:
    """Pieces that lie beside each other in the file: one request."""

    start: int
    length: int
    pieces: tuple[Piece, ...]


def select_cuts(header: Header, window: Window) -> list[Cut]:
    """What a window takes from the blocks of a file; blocks that the file leaves out are not in here."""
    top, bottom = max(window.row_off, 0), min(window.row_off + window.rows, header.rows)
    left, right = max(window.col_off, 0), min(window.col_off + window.cols, header.cols)
    if top >= bottom or left >= right:
        return []
    cuts = []
    for block_row in range(top // header.block_rows, (bottom - 1) // header.block_rows + 1):
        y = block_row * header.block_rows
        row_0, row_1 = max(top, y), min(bottom, y + header.block_rows)
        for block_col in range(left // header.block_cols, (right - 1) // header.block_cols + 1):
            if header.is_sparse(block_row, block_col):
                continue
            x = block_col * header.block_cols
            col_0, col_1 = max(left, x), min(right, x + header.block_cols)
            target = (
                slice(row_0 - window.row_off, row_1 - window.row_off),
                slice(col_0 - window.col_off, col_1 - window.col_off),
            )
            cuts.append(Cut((block_row, block_col), (row_0 - y, row_1 - y), (col_0 - x, col_1 - x), target))
    return cuts


def select_runs(pieces: Iterable[Piece]) -> list[Run]:
    """Requests for some pieces: those that lie beside each other in the file share one."""
    runs: list[Run] = []
    for piece in sorted(pieces, key=lambda p: p.start):
        if runs:
            last = runs[-1]
            gap = piece.start - (last.start + last.length)
            length = piece.start + piece.length - last.start
            if 0 <= gap <= COALESCE_GAP_BYTES and length <= COALESCE_MOST_BYTES and last.pieces[-1].whole:
                runs[-1] = Run(last.start, length, (*last.pieces, piece))
                continue
        runs.append(Run(piece.start, piece.length, (piece,)))
    return runs
