"""Blocks of Cloud-Optimized GeoTIFFs. Pure: bytes in, pixels out.

Here: how much of a block is needed, inflating it and taking its predictor off, for what `tiff_directory` calls supported.
Not here: getting the bytes (`reader`), the directory itself (its names can be had from here). Sources: TIFF 6.0 (section
14), Adobe's TIFF Technical Notes 2 (deflate) and 3 (floating point). What was measured: docs/design/0008-reading.md.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from isal import igzip_lib

from s2chips_core.chips.tiff_directory import Header, NeedMore, Unsupported, parse_header

__all__ = [
    "BlockEndsError",
    "Header",
    "NeedMore",
    "Pixels",
    "Unsupported",
    "decode_block",
    "inflate_rows",
    "parse_header",
    "prefix_bytes",
    "unpredict",
]

Pixels = npt.NDArray[np.integer[Any] | np.floating[Any]]

_PREFIX_FACTOR, _PREFIX_MORE_BYTES = 1.12, 4096
_PREFIX_SAVES_SHARE, _PREFIX_SAVES_BYTES = 0.1, 32 * 1024
_PREFIX_DENSE = 0.25
_REST_PIECE_BYTES = 256 * 1024


class BlockEndsError(ValueError):
    """The bytes of a block are good as far as they go, and do not reach the last wanted row: more of them may."""


def prefix_bytes(header: Header, block: tuple[int, int], rows: int) -> int:
    """How many of a block's first bytes to fetch when only its first `rows` rows are wanted.

    Compressed bytes are spread evenly over the rows of sea and over those of land, not over a coast: land has half as many
    again. Whether a block is denser above than below is read off the blocks above and below it. A block whose bytes are
    fewer than a quarter of its pixels' is of one value in most places, and its bytes can be anywhere; it is small, and taken
    whole, as is a block of which a part would save little. Where the part turns out too short, `inflate_rows` raises
    BlockEndsError, and the rest can be fetched.
    """
    whole = int(header.byte_counts[block])
    row, col = block
    inside_rows = _rows_inside(header, row)
    here = _bytes_a_row(header, row, col)
    if rows >= inside_rows or not here:
        return whole
    above, below = _bytes_a_row(header, row - 1, col) or here, _bytes_a_row(header, row + 1, col) or here
    # What pads the last row of blocks takes next to no bytes.
    share = rows / inside_rows
    if above > below:
        # Bytes a row that fall evenly from what they are above to what they are below.
        share = (above * share + (below - above) * share**2 / 2) / ((above + below) / 2)
    part = math.ceil(whole * share * _PREFIX_FACTOR) + _PREFIX_MORE_BYTES
    saves_enough = whole - part >= max(_PREFIX_SAVES_SHARE * whole, _PREFIX_SAVES_BYTES)
    return part if saves_enough else whole


def _rows_inside(header: Header, row: int) -> int:
    """How many rows of the blocks of row `row` lie in the raster."""
    return min(header.block_rows, header.rows - row * header.block_rows)


def _bytes_a_row(header: Header, row: int, col: int) -> float:
    """Compressed bytes of one row of pixels of a block; 0 where there is no such block, or where it is thin."""
    if not 0 <= row < len(header.byte_counts):
        return 0.0
    inside_cols = min(header.block_cols, header.cols - col * header.block_cols)
    bytes_a_row = int(header.byte_counts[row, col]) / _rows_inside(header, row)
    return bytes_a_row if bytes_a_row >= _PREFIX_DENSE * inside_cols * header.dtype.itemsize else 0.0


def inflate_rows(
    header: Header, data: bytes | bytearray | memoryview, rows: int, *, whole: bool = False
) -> npt.NDArray[np.uint8]:
    """The first rows of one block as they lie in the file: what `unpredict` takes.

    Args:
        header: of the block's file.
        data: the compressed block, or as much of its beginning as holds `rows` rows.
        rows: how many of the block's rows are wanted, 1 to all of them.
        whole: `data` is all of the block: inflate it to its end, where its checksum is, and drop what is not wanted.

    Returns:
        (rows, bytes of a row). Unless all rows are wanted, or `whole`, the stream is inflated no further than that, and no
        checksum is compared.

    Raises:
        BlockEndsError: `data` is good, and ends too early.
        ValueError: `data` is no deflate stream, its checksum is another, or it has fewer rows or more than the block.
    """
    if not 0 < rows <= header.block_rows:
        raise ValueError(f"{rows} rows are wanted of a block of {header.block_rows}")
    row_bytes = header.block_cols * header.dtype.itemsize
    wanted, all_rows = rows * row_bytes, rows == header.block_rows
    # Of isal's ways the one that makes its buffer once and as large as it will be, not by doubling it.
    inflate = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_ZLIB)
    try:
        # Room for one byte more lets a stream of which all is wanted come to its end, where its checksum is compared.
        raw = inflate.decompress(data, wanted + all_rows)
        if whole and not all_rows and len(raw) == wanted:
            _inflate_rest(inflate, (header.block_rows - rows) * row_bytes)
    except igzip_lib.error as error:  # type: ignore[misc]  # isal's stub calls its class an instance
        raise ValueError(f"no deflate stream ({error})") from error
    if len(raw) > wanted:
        raise ValueError(f"the deflate stream goes on after {wanted} bytes, the size of the block")
    if len(raw) < wanted or (all_rows and not inflate.eof):
        words = f"the deflate stream ends after {len(raw)} bytes, {wanted} are wanted"
        raise ValueError(words) if inflate.eof else BlockEndsError(words)
    return np.frombuffer(raw, np.uint8).reshape(rows, row_bytes)


def _inflate_rest(inflate: igzip_lib.IgzipDecompressor, size: int) -> None:
    """Inflate `size` more bytes piece by piece, and forget them: the end is where the checksum is compared."""
    left = size
    while not inflate.eof and left >= 0:
        part = inflate.decompress(b"", min(left + 1, _REST_PIECE_BYTES))
        if not part and not inflate.eof:
            raise BlockEndsError(f"the deflate stream ends {left} bytes before the block does")
        left -= len(part)
    if left:
        raise ValueError("the deflate stream has more bytes than the block" if left < 0 else f"it ends {left} bytes early")


def unpredict(header: Header, raw: npt.NDArray[np.uint8], rows: tuple[int, int], cols: tuple[int, int]) -> Pixels:
    """Pixels of one window of a block.

    Args:
        header: of the block's file.
        raw: what `inflate_rows` gave. It is not changed, so that many windows can be taken from it.
        rows, cols: first and behind-last row and column of the block that are wanted.

    Returns:
        (rows, columns) in native byte order, no view of `raw`.
    """
    (row_0, row_1), (col_0, col_1) = rows, cols
    taken = raw[row_0:row_1]
    native: np.dtype[Any] = header.dtype.newbyteorder("=")
    if header.predictor == 1:
        return taken.view(header.dtype)[:, col_0:col_1].astype(native)
    if header.predictor == 3:
        return _unpredict_floats(taken, native, col_0, col_1)
    # Differences of the numbers' bit patterns, whatever their type; they wrap around at 2^bits, as unsigned sums do.
    words = taken.view(header.dtype.str.replace(header.dtype.kind, "u"))
    pixels = words[:, col_0:col_1].astype(f"u{native.itemsize}")
    if 0 < col_0 < col_1:
        # What lies left of the window is only summed up, which takes a tenth of the time of running sums.
        pixels[:, 0] += np.add.reduce(words[:, :col_0], axis=1, dtype=pixels.dtype)
    np.add.accumulate(pixels, axis=1, out=pixels)
    return pixels.view(native)


def _unpredict_floats(taken: npt.NDArray[np.uint8], native: np.dtype[Any], col_0: int, col_1: int) -> Pixels:
    """Technical Note 3: a row's most significant bytes first, then the next ones; differences of bytes all along it."""
    planes = np.add.accumulate(taken, axis=1, dtype=np.uint8).reshape(len(taken), native.itemsize, -1)
    big = np.ascontiguousarray(planes[:, :, col_0:col_1].transpose(0, 2, 1)).view(native.newbyteorder(">"))
    return big[:, :, 0].astype(native)


def decode_block(
    header: Header, data: bytes | bytearray | memoryview, rows: tuple[int, int], cols: tuple[int, int]
) -> Pixels:
    """Part of one block, for a single window: `inflate_rows` and `unpredict` in one."""
    return unpredict(header, inflate_rows(header, data, rows[1]), rows, cols)
