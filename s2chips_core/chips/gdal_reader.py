"""The way round by GDAL, for files that `cog` does not read: other compressions, strips, JPEG 2000.

Here: windows read by rasterio through our own door, so that allowed hosts, signatures, retries and counters hold for them
too: one request for the header and one for each tile of a JPEG 2000 file that lists them. Not here: the quick way
(`reader`). GDAL's drivers are bound to GeoTIFF and JPEG 2000; it sees this one file and no siblings.
"""

import io
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterable, Sequence

import numpy as np
import rasterio
from rasterio.errors import RasterioError
from rasterio.windows import Window as RasterioWindow

from s2chips_core.chips.cog import Pixels
from s2chips_core.chips.grid import Window, disagreement
from s2chips_core.chips.jp2 import parse_tile_index
from s2chips_core.errors import ReadError
from s2chips_core.fetch import Fetcher, without_query
from s2chips_core.scenes.scene import Asset

_DRIVERS = {
    b"II*\0": "GTiff",
    b"MM\0*": "GTiff",
    b"II+\0": "GTiff",
    b"MM\0+": "GTiff",
    b"\0\0\0\x0cjP  \r\n\x87\n": "JP2OpenJPEG",
    b"\xff\x4f\xff\x51": "JP2OpenJPEG",
}
"""By the first bytes: TIFF, BigTIFF, JP2 and a bare JPEG 2000 code stream."""
_ALONE = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_PAM_ENABLED": "NO",
    "GDAL_GEOREF_SOURCES": "INTERNAL",
    "GDAL_NUM_THREADS": "1",
}
"""No file beside the one is looked for: no .aux.xml, no world file."""
GDAL_BLOCK_MOST_PX = 128 * 1024 * 1024
"""A whole band of 10,980 x 10,980 pixels in one strip is a block that files have."""
HEAD_BYTES = 32 * 1024
"""Holds the main header of ESA's JPEG 2000 files with their list of tile-parts, and the directories of most GeoTIFFs."""
PAGE_BYTES = 16 * 1024
"""Of reads that are smaller: where nothing is known of a file, GDAL hops from header to header."""
KEPT_BYTES = 16 * 1024 * 1024
LOOK_AHEAD_BYTES = 2 * 1024
"""Behind a tile GDAL looks at what follows, a buffer of 1 kB."""
AT_ONCE_BYTES = 8 * 1024 * 1024


class _RemoteFile:
    """Pieces of one remote file, fetched when they are touched; the last 16 MB are kept."""

    def __init__(self, href: str, fetcher: Fetcher) -> None:
        self.shown = without_query(href)
        self._href, self._fetcher = href, fetcher
        self._pieces: OrderedDict[int, bytes] = OrderedDict()
        """By first byte."""
        self._extents: list[tuple[int, int]] = []
        self.problem: ReadError | None = None
        """What went wrong while GDAL was reading; GDAL itself only sees that there are no bytes."""
        self.head = self._fetch(0, HEAD_BYTES)
        self.size = fetcher.size(href)

    def expect(self, extents: Iterable[tuple[int, int]]) -> None:
        """Bytes (first, length) that are wanted as a whole as soon as one of them is."""
        self._extents = sorted(extents)

    def read(self, start: int, most: int) -> bytes:
        """At least one and up to `most` bytes from `start` on, which lies in the file."""
        if start < len(self.head):
            return self.head[start : start + most]
        for first in reversed(self._pieces):
            piece = self._pieces[first]
            if first <= start < first + len(piece):
                self._pieces.move_to_end(first)
                return piece[start - first : start - first + most]
        first, length = self._piece_at(start, most)
        piece = self._fetch(first, length)
        self._pieces[first] = piece
        while sum(map(len, self._pieces.values())) > KEPT_BYTES and len(self._pieces) > 1:
            self._pieces.popitem(last=False)
        return piece[start - first : start - first + most]

    def _piece_at(self, start: int, most: int) -> tuple[int, int]:
        at = bisect_right(self._extents, (start, self.size)) - 1
        if at >= 0:
            first, length = self._extents[at]
            if first <= start < first + length <= first + AT_ONCE_BYTES:
                return first, min(length + LOOK_AHEAD_BYTES, self.size - first)
        return start, min(max(most, PAGE_BYTES), AT_ONCE_BYTES, self.size - start)

    def _fetch(self, first: int, length: int) -> bytes:
        return self._fetcher.get_range(self._href, first, length)

    def open(self, path: str, mode: str = "rb") -> "_Handle":
        """What rasterio calls an opener; whatever path GDAL asks for, it gets this file."""
        return _Handle(self)


class _Handle(io.RawIOBase):
    """A position in a remote file."""

    def __init__(self, file: _RemoteFile) -> None:
        super().__init__()
        self._file, self._position = file, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._file.size}[whence]
        self._position = start + offset
        return self._position

    def read(self, size: int | None = -1) -> bytes:
        file = self._file
        rest = max(file.size - self._position, 0)
        wanted = rest if size is None or size < 0 else min(size, rest)
        data = bytearray()
        try:
            while len(data) < wanted:
                part = file.read(self._position + len(data), wanted - len(data))
                if not part:
                    raise ReadError(file.shown, f"ends before byte {file.size}")
                data += part
        except ReadError as error:
            file.problem = file.problem or error
            return b""
        self._position += len(data)
        return bytes(data)


def driver_of(head: bytes) -> str | None:
    """GDAL's driver for a file with this beginning; none where it is no TIFF and no JPEG 2000."""
    return next((name for magic, name in _DRIVERS.items() if head.startswith(magic)), None)


def read_windows_gdal(asset: Asset, windows: Sequence[Window], fetcher: Fetcher) -> list[Pixels]:
    """The pixels of each window, in order: (rows, columns), 0 outside the raster.

    Raises:
        ReadError: the file cannot be had, is no GeoTIFF or JPEG 2000, or is not what the item says.
    """
    file = _RemoteFile(asset.href, fetcher)
    driver = driver_of(file.head)
    if driver is None:
        raise ReadError(file.shown, f"begins with {file.head!r}, expected a TIFF or JPEG 2000 file")
    index = parse_tile_index(file.head, file.size) if driver == "JP2OpenJPEG" else None
    if index is not None:
        tiles = sorted({tile for window in windows for tile in index.tiles_of(window)})
        file.expect(extent for tile in tiles for extent in index.extents_of(tile))
    # The folder is of no meaning to us, but rasterio keeps its openers by it. It keeps them for this thread: a decoding
    # thread that GDAL starts itself finds none and leaves its blocks unread without an error, hence one thread only.
    path = f"remote-{id(file):x}/raster"
    try:
        with (
            rasterio.Env(**_ALONE),
            rasterio.open(path, opener=file.open, driver=driver) as dataset,
        ):
            if dataset.count != 1 or dataset.dtypes[0] not in ("uint8", "uint16"):
                raise ReadError(
                    file.shown, f"has {dataset.count} bands of {dataset.dtypes[0]}, expected 1 of uint8 or uint16"
                )
            a, _, c, _, e, f = tuple(dataset.transform)[:6]
            located = not dataset.transform.is_identity
            problem = disagreement(
                asset,
                rows=dataset.height,
                cols=dataset.width,
                nodata=dataset.nodata,
                pixel_m=(a, -e) if located else None,
                origin_m=(c, f) if located else None,
            )
            if problem:
                raise ReadError(file.shown, problem)
            block_rows, block_cols = dataset.block_shapes[0]
            if block_rows * block_cols > GDAL_BLOCK_MOST_PX:
                raise ReadError(
                    file.shown, f"has blocks of {block_rows} x {block_cols} pixels, at most {GDAL_BLOCK_MOST_PX} are decoded"
                )
            pixels = _read_in_order(dataset, windows)
    except (RasterioError, UnicodeDecodeError) as error:  # rasterio takes GDAL's texts, such as the CRS's name, for UTF-8
        raise file.problem or ReadError(file.shown, f"GDAL cannot read it: {error}") from error
    if file.problem:
        raise file.problem
    return pixels


def _read_in_order(dataset: rasterio.DatasetReader, windows: Sequence[Window]) -> list[Pixels]:
    """Each window, as they were given; read along the blocks of the file, so that GDAL's cache need not hold many."""
    block_rows, block_cols = dataset.block_shapes[0]
    order = sorted(range(len(windows)), key=lambda n: (windows[n].row_off // block_rows, windows[n].col_off // block_cols))
    read = {n: _read_window(dataset, windows[n]) for n in order}
    return [read[n] for n in range(len(windows))]


def _read_window(dataset: rasterio.DatasetReader, window: Window) -> Pixels:
    pixels = np.zeros((window.rows, window.cols), dataset.dtypes[0])
    top, bottom = max(window.row_off, 0), min(window.row_off + window.rows, dataset.height)
    left, right = max(window.col_off, 0), min(window.col_off + window.cols, dataset.width)
    if top < bottom and left < right:
        inside = dataset.read(1, window=RasterioWindow(left, top, right - left, bottom - top))
        pixels[top - window.row_off : bottom - window.row_off, left - window.col_off : right - window.col_off] = inside
    return pixels
