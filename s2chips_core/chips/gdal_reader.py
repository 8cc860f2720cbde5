"""The way round by GDAL, for files that `cog` does not read: other compressions, strips, JPEG 2000.

Here: windows read by rasterio through our own door, so that allowed hosts, retries and counters hold for them too. Not
here: the quick way (`reader`). GDAL's drivers are bound to GeoTIFF and JPEG 2000; it sees this one file and no siblings.
"""

import io
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
import rasterio
from rasterio.errors import RasterioError
from rasterio.windows import Window as RasterioWindow

from s2chips_core.chips.cog import Pixels
from s2chips_core.chips.grid import Window, disagreement
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
PAGE_BYTES = 256 * 1024
PAGES_MOST = 64


class _RemoteFile:
    """Pages of one remote file, fetched when they are touched; the last 16 MB are kept."""

    def __init__(self, href: str, fetcher: Fetcher) -> None:
        self.shown = without_query(href)
        self._href, self._fetcher = href, fetcher
        self._pages: OrderedDict[int, bytes] = OrderedDict()
        self.problem: ReadError | None = None
        """What went wrong while GDAL was reading; GDAL itself only sees that there are no bytes."""
        self.head = self.page(0)[:16]
        self.size = fetcher.size(href)

    def page(self, number: int) -> bytes:
        page = self._pages.get(number)
        if page is None:
            page = self._fetcher.get_range(self._href, number * PAGE_BYTES, PAGE_BYTES)
            self._pages[number] = page
            if len(self._pages) > PAGES_MOST:
                self._pages.popitem(last=False)
        else:
            self._pages.move_to_end(number)
        return page

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
                number, begin = divmod(self._position + len(data), PAGE_BYTES)
                part = file.page(number)[begin : begin + wanted - len(data)]
                if not part:
                    raise ReadError(file.shown, f"ends before byte {file.size}")
                data += part
        except ReadError as error:
            file.problem = file.problem or error
            return b""
        self._position += len(data)
        return bytes(data)


def read_windows_gdal(asset: Asset, windows: Sequence[Window], fetcher: Fetcher) -> list[Pixels]:
    """The pixels of each window, in order: (rows, columns), 0 outside the raster.

    Raises:
        ReadError: the file cannot be had, is no GeoTIFF or JPEG 2000, or is not what the item says.
    """
    file = _RemoteFile(asset.href, fetcher)
    driver = next((name for magic, name in _DRIVERS.items() if file.head.startswith(magic)), None)
    if driver is None:
        raise ReadError(file.shown, f"begins with {file.head!r}, expected a TIFF or JPEG 2000 file")
    # The folder is of no meaning to us, but rasterio keeps its openers by it. It keeps them for this thread: a decoding
    # thread that GDAL starts itself finds none and leaves its blocks unread without an error, hence one thread only.
    path = f"remote-{id(file):x}/raster"
    try:
        with (
            rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR", GDAL_NUM_THREADS="1"),
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
            pixels = [_read_window(dataset, window) for window in windows]
    except RasterioError as error:
        raise file.problem or ReadError(file.shown, f"GDAL cannot read it: {error}") from error
    if file.problem:
        raise file.problem
    return pixels


def _read_window(dataset: rasterio.DatasetReader, window: Window) -> Pixels:
    pixels = np.zeros((window.rows, window.cols), dataset.dtypes[0])
    top, bottom = max(window.row_off, 0), min(window.row_off + window.rows, dataset.height)
    left, right = max(window.col_off, 0), min(window.col_off + window.cols, dataset.width)
    if top < bottom and left < right:
        inside = dataset.read(1, window=RasterioWindow(left, top, right - left, bottom - top))
        pixels[top - window.row_off : bottom - window.row_off, left - window.col_off : right - window.col_off] = inside
    return pixels
