"""Window reads over HTTP, against rasterio's own boundless window reads of the same bytes."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rasterio.io import MemoryFile
from rasterio.windows import Window as RasterioWindow

from s2chips_core.chips.grid import Window
from s2chips_core.chips.reader import CancelledReadError, SceneReader
from s2chips_core.errors import HostNotAllowedError, MissingAssetError, ReadError
from s2chips_core.fetch import Fetcher
from tests.chips.range_server import RangeServer, serving
from tests.chips.rasters import asset_of, make_cog, make_jp2, make_tiff

pytestmark = pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning")  # rasterio's own use of affine

RNG = np.random.default_rng(3)
ROWS, COLS = 410, 333
PIXELS = RNG.integers(0, 3000, (ROWS, COLS)).astype("uint16")
PIXELS[150:300, 0:160] = 0
CLASSES = RNG.integers(0, 12, (ROWS, COLS)).astype("uint8")

QUICK = {
    "cog.tif": make_cog(PIXELS),
    "scl.tif": make_cog(CLASSES),
    "big-endian.tif": make_tiff(PIXELS, ENDIANNESS="BIG", blockxsize=96, blockysize=32),
    "bigtiff.tif": make_tiff(PIXELS, BIGTIFF="YES", predictor=1),
    "one-block.tif": make_tiff(PIXELS, blockxsize=512, blockysize=512),
}
BY_GDAL = {
    "lzw.tif": make_tiff(PIXELS, compress="lzw"),
    "strips.tif": make_tiff(PIXELS, tiled=False, blockysize=16),
    "plain.tif": make_tiff(CLASSES, compress="none", predictor=1),
    "lossless.jp2": make_jp2(PIXELS),
}
FILES = QUICK | BY_GDAL


def array_of(name: str) -> np.ndarray:
    return CLASSES if name in ("scl.tif", "plain.tif") else PIXELS


@pytest.fixture(scope="module")
def server() -> Iterator[RangeServer]:
    with serving(dict(FILES)) as server:
        yield server


@pytest.fixture
def fetcher(server: RangeServer) -> Iterator[Fetcher]:
    server.fault = lambda number, path: None
    server.asked.clear()
    fetcher = Fetcher((server.host,), sleep=lambda s: None, timeout_s=10)
    yield fetcher
    fetcher.close()


@pytest.fixture
def reader(fetcher: Fetcher) -> Iterator[SceneReader]:
    with ThreadPoolExecutor(4) as pool:
        yield SceneReader(fetcher, pool)


def rasterio_reads(data: bytes | Path, windows: list[Window]) -> list[np.ndarray]:
    with MemoryFile(data if isinstance(data, bytes) else data.read_bytes()) as memory, memory.open() as dataset:
        return [
            dataset.read(1, window=RasterioWindow(w.col_off, w.row_off, w.cols, w.rows), boundless=True, fill_value=0)
            for w in windows
        ]


windows_near_edges = st.builds(
    Window,
    row_off=st.sampled_from([-400, -65, -64, -1, 0, 63, 64, 65, 127, 128, 300, ROWS - 33, ROWS - 32, ROWS - 1, ROWS, 900])
    | st.integers(-80, 450),
    col_off=st.sampled_from([-400, -65, -64, -1, 0, 63, 64, 65, 127, 128, 300, COLS - 33, COLS - 32, COLS - 1, COLS, 900])
    | st.integers(-80, 400),
    rows=st.sampled_from([1, 32, 64, 256]),
    cols=st.sampled_from([1, 32, 64, 256]),
)


@pytest.mark.parametrize("name", FILES)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(windows=st.lists(windows_near_edges, min_size=1, max_size=5))
def test_bit_equal_to_rasterio(server: RangeServer, reader: SceneReader, name: str, windows: list[Window]) -> None:
    got = reader.read_windows(asset_of(server.href(name), array_of(name)), windows)
    for pixels, expected in zip(got, rasterio_reads(FILES[name], windows), strict=True):
        assert isinstance(pixels, np.ndarray), pixels
        assert pixels.dtype == expected.dtype
        np.testing.assert_array_equal(pixels, expected)


def test_each_block_is_fetched_once_and_neighbours_together(server: RangeServer, reader: SceneReader) -> None:
    windows = [Window(row_off=r, col_off=c, rows=64, cols=64) for r in (0, 10, 20) for c in (0, 100, 150)] * 2
    asset = asset_of(server.href("cog.tif"), PIXELS)
    reader.read_windows(asset, windows)
    # One directory and one run of the first blocks of the file: rows 0-84, columns 0-214 are blocks (0, 0) and (0, 1).
    assert len(server.asked) == 2
    reader.read_windows(asset, [Window(row_off=400, col_off=0, rows=64, cols=64)])
    assert len(server.asked) == 3
    covered = [(a.first, a.last) for a in server.asked[1:]]
    assert covered[0][1] < covered[1][0]  # type: ignore[operator]


def test_what_is_nodata_or_outside_costs_nothing(server: RangeServer, reader: SceneReader) -> None:
    asset = asset_of(server.href("cog.tif"), PIXELS)
    got = reader.read_windows(
        asset, [Window(row_off=160, col_off=0, rows=64, cols=64), Window(row_off=5000, col_off=0, rows=8, cols=8)]
    )
    assert all(not pixels.any() for pixels in got)  # type: ignore[union-attr]
    assert len(server.asked) == 2  # the directory, and block (1, 0), which is not all nodata
    reader.read_windows(asset, [Window(row_off=-100, col_off=-100, rows=100, cols=500)])
    assert len(server.asked) == 2


def test_the_way_round_is_logged_and_counted(
    server: RangeServer, reader: SceneReader, fetcher: Fetcher, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    reader.read_windows(asset_of(server.href("lzw.tif"), PIXELS), [Window(row_off=0, col_off=0, rows=8, cols=8)])
    assert "read by GDAL: it has 5 as compression" in caplog.text
    assert fetcher.requests == len(server.asked)
    assert {a.path for a in server.asked} == {"lzw.tif"}


@pytest.mark.parametrize("fault", ["reset", "short", (503, {})])
@pytest.mark.parametrize("name", ["cog.tif", "lzw.tif"])
def test_faults_change_no_pixel(server: RangeServer, reader: SceneReader, name: str, fault: Any) -> None:
    server.fault = lambda number, path: fault if number % 2 else None
    windows = [Window(row_off=r, col_off=c, rows=64, cols=64) for r in (0, 200, 380) for c in (0, 300)]
    got = reader.read_windows(asset_of(server.href(name), PIXELS), windows)
    for pixels, expected in zip(got, rasterio_reads(FILES[name], windows), strict=True):
        np.testing.assert_array_equal(pixels, expected)  # type: ignore[arg-type]


def test_a_lost_block_concerns_its_own_windows_only(server: RangeServer, reader: SceneReader) -> None:
    asset = asset_of(server.href("cog.tif"), PIXELS)
    windows = [Window(row_off=0, col_off=0, rows=64, cols=64), Window(row_off=300, col_off=200, rows=64, cols=64)]
    reader.read_windows(asset, [Window(row_off=-9, col_off=-9, rows=1, cols=1)])
    first_run = server.asked[-1]
    assert first_run.first == 0
    from s2chips_core.chips.cog import parse_header

    lost = int(parse_header(QUICK["cog.tif"]).offsets[0, 0])  # type: ignore[union-attr]
    server.fault = lambda number, path: (500, {}) if server.asked[number - 1].first == lost else None
    got = reader.read_windows(asset, windows)
    assert isinstance(got[0], ReadError)
    np.testing.assert_array_equal(got[1], rasterio_reads(FILES["cog.tif"], windows)[1])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"rows": ROWS + 1}, "the item says 411 x 333"),
        ({"ulx_m": 600010.0}, "upper-left corner"),
        ({"gsd_m": 20}, "the item says 20 m"),
    ],
)
@pytest.mark.parametrize("name", ["cog.tif", "lzw.tif"])
def test_a_file_that_is_not_what_the_item_says(
    server: RangeServer, reader: SceneReader, name: str, changes: dict[str, Any], said: str
) -> None:
    (got,) = reader.read_windows(
        asset_of(server.href(name), PIXELS, **changes), [Window(row_off=0, col_off=0, rows=8, cols=8)]
    )
    assert isinstance(got, ReadError)
    assert said in str(got)


@pytest.mark.parametrize("compress", ["deflate", "lzw"])
def test_another_nodata_value_is_refused(server: RangeServer, reader: SceneReader, compress: str) -> None:
    server.files["nodata.tif"] = make_tiff(PIXELS, nodata=65535, compress=compress)
    (got,) = reader.read_windows(asset_of(server.href("nodata.tif"), PIXELS), [Window(row_off=0, col_off=0, rows=8, cols=8)])
    assert isinstance(got, ReadError)
    assert "nodata value is 65535, expected 0" in str(got)


def broken_files() -> dict[str, bytes]:
    from s2chips_core.chips.cog import Header, parse_header

    header = parse_header(QUICK["cog.tif"])
    assert isinstance(header, Header)
    damaged = bytearray(QUICK["cog.tif"])
    damaged[int(header.offsets[0, 0])] ^= 0xFF
    return {
        "damaged block": bytes(damaged),
        "ends in a block": QUICK["cog.tif"][: int(header.offsets[0, 0]) + 100],
        "ends in the directory": QUICK["cog.tif"][:200],
        "ends in the directory, GDAL": BY_GDAL["lzw.tif"][:300],
        "ends in a block, GDAL": BY_GDAL["lzw.tif"][:5000],
        "a page of HTML": b"<html>no such file</html>" * 100,
        "nothing": b"",
    }


@pytest.mark.parametrize("kind", broken_files())
def test_a_broken_file_is_a_read_error(server: RangeServer, reader: SceneReader, kind: str) -> None:
    server.files["broken.tif"] = broken_files()[kind]
    (got,) = reader.read_windows(
        asset_of(server.href("broken.tif"), PIXELS), [Window(row_off=0, col_off=0, rows=200, cols=200)]
    )
    assert type(got) is ReadError


@pytest.mark.parametrize("name", ["cog.tif", "lzw.tif"])
def test_a_file_replaced_while_it_is_read(server: RangeServer, reader: SceneReader, name: str) -> None:
    other = "other-" + name
    server.files[other], server.etags[other] = FILES[name], '"one"'
    asset = asset_of(server.href(other), PIXELS)
    window = Window(row_off=0, col_off=0, rows=8, cols=8)
    reader.read_windows(asset, [window])
    server.etags[other] = '"two"'
    (got,) = reader.read_windows(asset, [Window(row_off=300, col_off=300, rows=8, cols=8)])
    assert isinstance(got, ReadError)
    assert "replaced" in str(got)


def test_missing_and_forbidden(server: RangeServer, reader: SceneReader) -> None:
    window = Window(row_off=0, col_off=0, rows=8, cols=8)
    (missing,) = reader.read_windows(asset_of(server.href("none.tif"), PIXELS), [window])
    assert isinstance(missing, MissingAssetError)
    (refused,) = reader.read_windows(asset_of("https://evil.example/B02.tif", PIXELS), [window])
    assert isinstance(refused, HostNotAllowedError)


def test_stop_ends_the_wait_soon(server: RangeServer, reader: SceneReader) -> None:
    release = threading.Event()
    stop = threading.Event()
    server.hold = lambda: (release.wait(10), None)[1]
    threading.Timer(0.2, stop.set).start()
    began = time.monotonic()
    try:
        with pytest.raises(CancelledReadError):
            reader.read_windows(
                asset_of(server.href("cog.tif"), PIXELS), [Window(row_off=0, col_off=0, rows=8, cols=8)], stop
            )
        assert time.monotonic() - began < 2
    finally:
        server.hold = lambda: None
        release.set()


@pytest.mark.shared_data
def test_real_cogs(shared_data: Path) -> None:
    folder = shared_data / "archive-32VPH"
    windows = [
        Window(row_off=r, col_off=c, rows=256, cols=256) for r in (-20, 4000, 7800, 10900) for c in (3800, 6100, 10800)
    ]
    with serving({p.name: p for p in folder.glob("*.tif")}) as server, ThreadPoolExecutor(4) as pool:
        reader = SceneReader(Fetcher((server.host,)), pool)
        for name in ("B08.tif", "c1-B02.tif"):
            asset = asset_of(server.href(name), np.empty((10980, 10980), "uint8"))
            with rasterio.open(folder / name) as dataset:
                for w, pixels in zip(windows, reader.read_windows(asset, windows), strict=True):
                    box = RasterioWindow(w.col_off, w.row_off, w.cols, w.rows)
                    expected = dataset.read(1, window=box, boundless=True, fill_value=0)
                    np.testing.assert_array_equal(pixels, expected)  # type: ignore[arg-type]
