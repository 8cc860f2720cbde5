"""The least that any reader must fetch for a workload, from the files themselves.

Counted here: each touched block once, SCL for every ship and the bands for those that pass; one request for the header of
each touched file; one for each block. A reader that joins blocks which lie side by side in the file can stay below that; the
least number with joining is given too. Not here: anything of the reader that is measured, except the layout of TIFF
(`chips.cog`), which is checked against what GDAL says of every block.
"""

import dataclasses
import zlib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import rasterio

from benchmarks.workload import BANDS, CHIP_PX, Place, Workload
from s2chips_core.chips.cog import Header, parse_header

Block = tuple[int, int]
BESIDE_BYTES = 8
"""Between blocks that lie side by side: the size behind one and the size before the next."""
_STEP_BYTES = 2048


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """For all ships of a workload together."""

    files: int
    """Headers to read, one request each."""
    blocks: int
    runs: int
    """Blocks, those side by side counted once."""
    block_bytes: int
    """Of whole blocks."""
    row_bytes: int
    """Of blocks up to the last byte that the last needed row depends on."""
    header_bytes: int
    """Up to the end of each first directory."""

    @property
    def requests(self) -> int:
        """A header and every block."""
        return self.files + self.blocks

    @property
    def joined_requests(self) -> int:
        """The same with neighbours in one request."""
        return self.files + self.runs


def rows_of(place: Place, pixel_m: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """First and behind-last row and column of a chip in pixels of `pixel_m`."""
    scale = pixel_m // 10
    return (
        (place.row // scale, (place.row + CHIP_PX - 1) // scale + 1),
        (place.col // scale, (place.col + CHIP_PX - 1) // scale + 1),
    )


def needed_rows(workload: Workload, folder: Path) -> dict[str, tuple[Header, dict[Block, int]]]:
    """For each file (as its relative href): its header, and the last needed row (behind-last) of each touched block."""
    found: dict[str, tuple[Header, dict[Block, int]]] = {}
    scenes = workload.scenes()
    for place in workload.ships:
        scene = scenes[place.scene]
        for band in ("SCL", *BANDS) if place.passes else ("SCL",):
            asset = scene.assets[band]
            href = asset.href.removeprefix("/")
            if href not in found:
                found[href] = header_of(local(folder, href)), {}
            header, blocks = found[href]
            (row_0, row_1), (col_0, col_1) = rows_of(place, asset.gsd_m)
            for down in range(row_0 // header.block_rows, (row_1 - 1) // header.block_rows + 1):
                last = min(row_1 - down * header.block_rows, header.block_rows)
                for across in range(col_0 // header.block_cols, (col_1 - 1) // header.block_cols + 1):
                    blocks[down, across] = max(blocks.get((down, across), 0), last)
    return found


def touched_blocks(workload: Workload, folder: Path) -> dict[str, set[Block]]:
    """The blocks of each file."""
    return {href: set(blocks) for href, (_, blocks) in needed_rows(workload, folder).items()}


def floor_of(workload: Workload, folder: Path) -> Floor:
    """Count; AssertionError where GDAL sees a block elsewhere than `chips.cog` does."""
    totals: dict[str, int] = defaultdict(int)
    for href, (header, blocks) in needed_rows(workload, folder).items():
        path = local(folder, href)
        _check_with_gdal(path, header, blocks)
        totals["files"] += 1
        totals["blocks"] += len(blocks)
        totals["runs"] += sum(1 for _ in _runs(header, blocks))
        totals["header_bytes"] += _directory_end(path)
        with path.open("rb") as file:
            for block, last_row in blocks.items():
                size = int(header.byte_counts[block])
                file.seek(int(header.offsets[block]))
                totals["block_bytes"] += size
                wanted = last_row * header.block_cols * header.dtype.itemsize
                totals["row_bytes"] += min(size, _bytes_until(file.read(size), wanted))
    return Floor(**totals)


def local(folder: Path, href: str) -> Path:
    """The file of an href; a copy that has no folder of its own is its original."""
    path = folder / href
    if path.is_file():
        return path
    item, _, file = href.partition("/")
    return folder / item.partition("~")[0] / file


def header_of(path: Path) -> Header:
    """Of a file on disk."""
    with path.open("rb") as file:
        header = parse_header(file.read(65536))
    assert isinstance(header, Header), (path, header)
    return header


def _runs(header: Header, blocks: dict[Block, int]) -> Iterator[Block]:
    end = -(10**9)
    for block in sorted(blocks, key=lambda b: int(header.offsets[b])):
        start = int(header.offsets[block])
        if start - end > BESIDE_BYTES:
            yield block
        end = start + int(header.byte_counts[block])


def _directory_end(path: Path) -> int:
    """The least head of the file that its first directory can be read from."""
    with path.open("rb") as file:
        head = file.read(65536)
    low, high = 8, len(head)
    while low < high:
        middle = (low + high) // 2
        if isinstance(parse_header(head[:middle]), Header):
            high = middle
        else:
            low = middle + 1
    return low


def _bytes_until(data: bytes, wanted: int) -> int:
    """How many bytes of a deflate stream give `wanted` bytes, to the next 2 kB."""
    stream, inflated = zlib.decompressobj(), 0
    for at in range(0, len(data), _STEP_BYTES):
        inflated += len(stream.decompress(data[at : at + _STEP_BYTES]))
        if inflated >= wanted:
            return at + _STEP_BYTES
    raise AssertionError(f"a block inflates to {inflated} bytes, {wanted} are wanted")


def _check_with_gdal(path: Path, header: Header, blocks: dict[Block, int]) -> None:
    with rasterio.open(path) as file:
        assert file.block_shapes[0] == (header.block_rows, header.block_cols)
        for down, across in blocks:
            said = [file.get_tag_item(f"BLOCK_{what}_{across}_{down}", "TIFF", bidx=1) for what in ("OFFSET", "SIZE")]
            here = [int(values[down, across]) for values in (header.offsets, header.byte_counts)]
            assert [int(value) for value in said] == here, f"block {down}, {across} of {path}: {here}, by GDAL {said}"
