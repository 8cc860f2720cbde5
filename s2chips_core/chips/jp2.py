"""Where the tiles of a JPEG 2000 file lie, as far as its main header tells.

Here: boxes up to the code stream, its SIZ and TLM segments, pure. Decoding is GDAL's; this only tells which bytes it will
want, so that they are fetched at once. ISO/IEC 15444-1 (ITU-T T.800), annexes A and I. ESA's recent
files have TLM; of older ones nothing is known before their tile-parts are walked, one after the other.
"""

import dataclasses
import struct

from s2chips_core.chips.grid import Window

_SOC, _SIZ, _TLM, _SOT = 0xFF4F, 0xFF51, 0xFF55, 0xFF90
_SIGNATURE = b"\0\0\0\x0cjP  \r\n\x87\n"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TileIndex:
    """The tile-parts of a file. Tiles are counted row by row from 0."""

    tile_rows: int
    """Height of a tile, pixels."""
    tile_cols: int
    tiles_across: int
    tiles_down: int
    parts: tuple[tuple[tuple[int, int], ...], ...]
    """For each tile the (first byte, length) of its parts in the file."""

    def tiles_of(self, window: Window) -> list[int]:
        """The tiles that a window touches, in order; none where it lies outside."""
        rows = range(
            max(window.row_off // self.tile_rows, 0),
            min((window.row_off + window.rows - 1) // self.tile_rows + 1, self.tiles_down),
        )
        cols = range(
            max(window.col_off // self.tile_cols, 0),
            min((window.col_off + window.cols - 1) // self.tile_cols + 1, self.tiles_across),
        )
        return [row * self.tiles_across + col for row in rows for col in cols]

    def extents_of(self, tile: int) -> list[tuple[int, int]]:
        """Bytes of a tile: (first, length), parts that follow each other as one."""
        extents: list[tuple[int, int]] = []
        for first, length in sorted(self.parts[tile]):
            if extents and sum(extents[-1]) == first:
                extents[-1] = extents[-1][0], extents[-1][1] + length
            else:
                extents.append((first, length))
        return extents


def parse_tile_index(head: bytes, file_bytes: int) -> TileIndex | None:
    """The index that the beginning of a file tells; none where it tells none, or something that cannot be.

    Args:
        head: the first bytes; the main header has to end in there.
        file_bytes: size of the file.
    """
    try:
        return _parse(head, file_bytes)
    except (struct.error, IndexError):
        return None  # the header goes on behind `head`, or is damaged: GDAL will tell which


def _parse(head: bytes, file_bytes: int) -> TileIndex | None:
    at = _code_stream(head)
    if at is None or struct.unpack_from(">H", head, at)[0] != _SOC:
        return None
    at += 2
    grid: tuple[int, int, int, int] | None = None
    lengths: dict[int, list[tuple[int | None, int]]] = {}
    while True:
        marker, size = struct.unpack_from(">HH", head, at)
        if marker == _SOT:
            break
        if marker == _SIZ:
            grid = _grid(head, at)
        elif marker == _TLM:
            lengths[head[at + 4]] = _lengths(head[at + 5 : at + 2 + size])
        at += 2 + size
    if grid is None or not lengths:
        return None
    across, down, tile_cols, tile_rows = grid
    parts: list[list[tuple[int, int]]] = [[] for _ in range(across * down)]
    in_order = [entry for number in sorted(lengths) for entry in lengths[number]]
    for number, (tile, length) in enumerate(in_order):
        parts[number if tile is None else tile].append((at, length))
        at += length
    if at > file_bytes or not all(parts):
        return None
    return TileIndex(
        tile_rows=tile_rows,
        tile_cols=tile_cols,
        tiles_across=across,
        tiles_down=down,
        parts=tuple(tuple(some) for some in parts),
    )


def _code_stream(head: bytes) -> int | None:
    """Where it begins: after the header of the box `jp2c`, or at once where there are no boxes."""
    if not head.startswith(_SIGNATURE):
        return 0
    at = 0
    while True:
        size, kind = struct.unpack_from(">I4s", head, at)
        header = 8
        if size == 1:
            size, header = struct.unpack_from(">Q", head, at + 8)[0], 16
        if kind == b"jp2c":
            return at + header
        if size < header:
            return None
        at += size


def _grid(head: bytes, at: int) -> tuple[int, int, int, int] | None:
    """Tiles across and down, width and height of a tile; none where image or tiles do not begin at 0."""
    x, y, x0, y0, tile_x, tile_y, tile_x0, tile_y0 = struct.unpack_from(">8I", head, at + 6)
    if x0 or y0 or tile_x0 or tile_y0 or not tile_x or not tile_y:
        return None
    across, down = -(-x // tile_x), -(-y // tile_y)
    return (across, down, tile_x, tile_y) if 0 < across * down <= 0xFFFF else None


def _lengths(body: bytes) -> list[tuple[int | None, int]]:
    """(tile or none, length) of each tile-part of one TLM segment, whose body begins with Stlm."""
    tile_bytes, wide = body[0] >> 4 & 3, body[0] >> 6 & 1
    form = ">" + ("", "B", "H")[tile_bytes] + ("I" if wide else "H")
    entries = list(struct.iter_unpack(form, body[1:]))
    return [(entry[0] if tile_bytes else None, entry[-1]) for entry in entries]
