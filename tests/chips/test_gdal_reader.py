"""The way round by GDAL: only the pages that are needed, many threads, every block."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from s2chips_core.chips.gdal_reader import PAGE_BYTES, read_windows_gdal
from s2chips_core.chips.grid import Window
from s2chips_core.errors import ReadError
from s2chips_core.fetch import Fetcher
from tests.chips.range_server import RangeServer, serving
from tests.chips.rasters import asset_of, make_jp2, make_tiff

PIXELS = np.random.default_rng(0).integers(0, 3000, (1300, 1300)).astype("uint16")
FILES = {"tiles.jp2": make_jp2(PIXELS), "lzw.tif": make_tiff(PIXELS, compress="lzw")}
PADDED = np.pad(PIXELS, 400)


@pytest.fixture(scope="module")
def server() -> Iterator[RangeServer]:
    with serving(dict(FILES)) as server:
        yield server


@pytest.mark.parametrize("name", FILES)
def test_every_block_is_decoded_on_many_threads_at_once(server: RangeServer, name: str) -> None:
    """A block that a decoder leaves out without an error would show as memory that nobody wrote."""

    def read(seed: int) -> None:
        corners = np.random.default_rng(seed).integers(-300, 1400, (4, 2)).tolist()
        windows = [Window(row_off=row, col_off=col, rows=256, cols=256) for row, col in corners]
        got = read_windows_gdal(asset_of(server.href(name), PIXELS), windows, Fetcher((server.host,)))
        for (row, col), pixels in zip(corners, got, strict=True):
            np.testing.assert_array_equal(pixels, PADDED[row + 400 : row + 656, col + 400 : col + 656])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(read, range(8)))


@pytest.mark.parametrize("name", FILES)
def test_only_the_pages_that_are_needed(server: RangeServer, name: str) -> None:
    assert len(FILES[name]) > 6 * PAGE_BYTES
    fetcher = Fetcher((server.host,))
    read_windows_gdal(asset_of(server.href(name), PIXELS), [Window(row_off=600, col_off=0, rows=32, cols=32)], fetcher)
    assert fetcher.bytes < len(FILES[name]) / 2


def test_what_is_neither_tiff_nor_jpeg_2000_never_reaches_gdal(server: RangeServer) -> None:
    server.files["vrt"] = b"<VRTDataset rasterXSize='1' rasterYSize='1'></VRTDataset>"
    with pytest.raises(ReadError, match="expected a TIFF or JPEG 2000 file"):
        read_windows_gdal(
            asset_of(server.href("vrt"), PIXELS), [Window(row_off=0, col_off=0, rows=1, cols=1)], Fetcher((server.host,))
        )


def test_more_than_one_band_is_refused(server: RangeServer) -> None:
    server.files["two.tif"] = make_tiff(PIXELS[:64, :64], count=2)
    with pytest.raises(ReadError, match="has 2 bands of uint16, expected 1"):
        read_windows_gdal(
            asset_of(server.href("two.tif"), PIXELS[:64, :64]),
            [Window(row_off=0, col_off=0, rows=1, cols=1)],
            Fetcher((server.host,)),
        )
