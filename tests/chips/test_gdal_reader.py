"""The way round by GDAL: only the pages that are needed, many threads, every block."""

import gzip
import re
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from s2chips_core.chips import gdal_reader
from s2chips_core.chips.gdal_reader import HEAD_BYTES, LOOK_AHEAD_BYTES, read_windows_gdal
from s2chips_core.chips.grid import Window
from s2chips_core.chips.jp2 import parse_tile_index
from s2chips_core.errors import ReadError
from s2chips_core.fetch import Fetcher
from tests.chips.range_server import RangeServer, serving
from tests.chips.rasters import asset_of, make_jp2, make_tiff
from tests.reliability import often

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
    assert len(FILES[name]) > 40 * HEAD_BYTES
    fetcher = Fetcher((server.host,))
    read_windows_gdal(asset_of(server.href(name), PIXELS), [Window(row_off=600, col_off=0, rows=32, cols=32)], fetcher)
    assert fetcher.bytes < len(FILES[name]) / 2


@pytest.mark.parametrize("options", [{}, {"TLM": "YES"}, {"TLM": "YES", "PLT": "YES"}], ids=["bare", "TLM", "TLM, PLT"])
def test_windows_are_what_rasterio_reads_of_the_local_file(
    server: RangeServer, tmp_path: Path, options: dict[str, Any]
) -> None:
    (tmp_path / "local.jp2").write_bytes(make_jp2(PIXELS, 256, **options))
    server.files["remote.jp2"] = tmp_path / "local.jp2"
    corners = np.random.default_rng(1).integers(0, 1000, (30, 2)).tolist()
    windows = [Window(row_off=row, col_off=col, rows=200, cols=220) for row, col in corners]
    got = read_windows_gdal(asset_of(server.href("remote.jp2"), PIXELS), windows, Fetcher((server.host,)))
    with rasterio.open(tmp_path / "local.jp2") as local:
        for (row, col), pixels in zip(corners, got, strict=True):
            np.testing.assert_array_equal(pixels, local.read(1, window=rasterio.windows.Window(col, row, 220, 200)))


def test_a_listed_tile_is_one_request_for_all_ships_on_it(server: RangeServer) -> None:
    listed = make_jp2(PIXELS, 256, TLM="YES")
    server.files["listed.jp2"] = listed
    fetcher = Fetcher((server.host,))
    # Six ships on the tiles 0, 1 and 35 of 36, in no order.
    corners = [(1290, 1290), (10, 10), (20, 300), (1285, 1285), (100, 100), (40, 280)]
    windows = [Window(row_off=row, col_off=col, rows=10, cols=10) for row, col in corners]
    got = read_windows_gdal(asset_of(server.href("listed.jp2"), PIXELS), windows, fetcher)
    for (row, col), pixels in zip(corners, got, strict=True):
        np.testing.assert_array_equal(pixels, PADDED[row + 400 : row + 410, col + 400 : col + 410])
    assert fetcher.requests == 1 + 3
    index = parse_tile_index(listed, len(listed))
    assert index is not None
    tiles = sum(length for tile in (0, 1, 35) for _, length in index.parts[tile])
    # Tile 0 begins inside of what came with the header.
    assert fetcher.bytes <= HEAD_BYTES + tiles + 3 * LOOK_AHEAD_BYTES


def test_of_a_large_file_little_is_kept(server: RangeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gdal_reader, "KEPT_BYTES", 200_000)
    listed = make_jp2(PIXELS, 256, TLM="YES")
    server.files["listed.jp2"] = listed
    files: list[gdal_reader._RemoteFile] = []
    make = gdal_reader._RemoteFile.expect
    monkeypatch.setattr(gdal_reader._RemoteFile, "expect", lambda file, extents: (files.append(file), make(file, extents)))
    windows = [Window(row_off=0, col_off=0, rows=1300, cols=1300)]
    fetcher = Fetcher((server.host,))
    [got] = read_windows_gdal(asset_of(server.href("listed.jp2"), PIXELS), windows, fetcher)
    np.testing.assert_array_equal(got, PIXELS)
    assert sum(map(len, files[0]._pieces.values())) <= 200_000 < len(listed)


def test_what_is_neither_tiff_nor_jpeg_2000_never_reaches_gdal(server: RangeServer) -> None:
    server.files["vrt"] = b"<VRTDataset rasterXSize='1' rasterYSize='1'></VRTDataset>"
    with pytest.raises(ReadError, match="expected a TIFF or JPEG 2000 file"):
        read_windows_gdal(
            asset_of(server.href("vrt"), PIXELS), [Window(row_off=0, col_off=0, rows=1, cols=1)], Fetcher((server.host,))
        )


def test_a_name_that_is_no_text_is_an_error_of_the_file(server: RangeServer) -> None:
    whole = make_tiff(PIXELS[:64, :64], compress="lzw", tiled=False)
    # A CRS of the user's own (32767 in place of 32632 as ProjectedCSTypeGeoKey) is known by its name alone.
    own = whole.replace(b"\x00\x0c\x00\x00\x01\x00\x78\x7f", b"\x00\x0c\x00\x00\x01\x00\xff\x7f")
    server.files["name.tif"] = own.replace(b"WGS 84 / UTM", b"WGS 84 / \xff\xa3M")
    assert whole != own != server.files["name.tif"]
    with pytest.raises(ReadError, match="GDAL cannot read it"):
        read_windows_gdal(
            asset_of(server.href("name.tif"), PIXELS[:64, :64]),
            [Window(row_off=0, col_off=0, rows=1, cols=1)],
            Fetcher((server.host,)),
        )


def test_more_than_one_band_is_refused(server: RangeServer) -> None:
    server.files["two.tif"] = make_tiff(PIXELS[:64, :64], count=2)
    with pytest.raises(ReadError, match="has 2 bands of uint16, expected 1"):
        read_windows_gdal(
            asset_of(server.href("two.tif"), PIXELS[:64, :64]),
            [Window(row_off=0, col_off=0, rows=1, cols=1)],
            Fetcher((server.host,)),
        )


ONE = [Window(row_off=0, col_off=0, rows=8, cols=8)]


def test_only_the_file_itself_is_opened(server: RangeServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No .aux.xml, world file, mask or overview beside it; and none that its own metadata name."""
    opened: list[str] = []
    whole = gdal_reader._RemoteFile.open

    def spy(file: Any, path: str, mode: str = "rb") -> Any:
        opened.append(path.rpartition("/")[2])
        return whole(file, path, mode)

    monkeypatch.setattr(gdal_reader._RemoteFile, "open", spy)
    path = tmp_path / "x.tif"
    path.write_bytes(make_tiff(PIXELS[:64, :64], compress="lzw"))
    elsewhere = f"/vsicurl/{server.href('elsewhere.tif')}"
    with rasterio.open(path, "r+") as dataset:
        dataset.update_tags(ns="OVERVIEWS", OVERVIEW_FILE=elsewhere)
        dataset.update_tags(ns="GEOLOCATION", X_DATASET=elsewhere, Y_DATASET=elsewhere)
        dataset.update_tags(MASK_FILE=elsewhere)
    assert b"elsewhere.tif" in path.read_bytes()
    server.files |= {"x.tif": path, "elsewhere.tif": FILES["lzw.tif"], "x.tif.aux.xml": b"", "x.tif.ovr": b""}
    before = len(server.asked)
    [pixels] = read_windows_gdal(asset_of(server.href("x.tif"), PIXELS[:64, :64]), ONE, Fetcher((server.host,)))
    np.testing.assert_array_equal(pixels, PIXELS[:8, :8])
    assert set(opened) == {"raster", "test"}, "rasterio tries an opener with a name of its own"
    assert {asked.path.lstrip("/") for asked in server.asked[before:]} == {"x.tif"}


@pytest.mark.parametrize("name", ["vrt", "driver", "gzip", "png", "hdf5", "mbtiles", "gti"])
def test_no_other_driver_sees_a_byte(server: RangeServer, name: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret.tif"
    secret.write_bytes(make_tiff(PIXELS[:64, :64]))
    vrt = (
        f'<VRTDataset rasterXSize="64" rasterYSize="64"><VRTRasterBand dataType="UInt16" band="1"><SimpleSource>'
        f"<SourceFilename>{secret}</SourceFilename><SourceBand>1</SourceBand></SimpleSource></VRTRasterBand></VRTDataset>"
    ).encode()
    server.files[name] = {
        "vrt": vrt,
        "driver": b"II*\0" + vrt,  # a TIFF by its first bytes alone
        "gzip": gzip.compress(vrt),
        "png": b"\x89PNG\r\n\x1a\n" + vrt,
        "hdf5": b"\x89HDF\r\n\x1a\n" + bytes(100),
        "mbtiles": b"SQLite format 3\0" + bytes(100),
        "gti": b"<GDALTileIndexDataset></GDALTileIndexDataset>",
    }[name]
    with pytest.raises(ReadError, match=r"expected a TIFF or JPEG 2000 file|GDAL cannot read it"):
        read_windows_gdal(asset_of(server.href(name), PIXELS[:64, :64]), ONE, Fetcher((server.host,)))


def _tag(data: bytes, tag: int, value: int) -> bytes:
    """A little-endian classic TIFF whose short tag has another value."""
    start, count = struct.unpack_from("<I", data, 4)[0], 0
    [count] = struct.unpack_from("<H", data, start)
    for entry in range(count):
        at = start + 2 + 12 * entry
        if struct.unpack_from("<H", data, at)[0] == tag:
            return data[: at + 2] + struct.pack("<HIHH", 3, 1, value, 0) + data[at + 12 :]
    raise AssertionError(tag)


def test_a_block_of_gigabytes_is_not_decoded(server: RangeServer) -> None:
    """8.6 GB of pixels in a file of 64 x 64."""
    data = make_tiff(PIXELS[:64, :64], compress="lzw")
    server.files["large.tif"] = _tag(_tag(data, 322, 65520), 323, 65520)
    with pytest.raises(ReadError, match=r"blocks of 65520 x 65520 pixels|GDAL cannot read it"):
        read_windows_gdal(asset_of(server.href("large.tif"), PIXELS[:64, :64]), ONE, Fetcher((server.host,)))


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")  # the reader asks whether there is a place
@settings(max_examples=often(60, 3000), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(sorted(FILES)), st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=8))
def test_a_damaged_head_is_read_or_an_error(server: RangeServer, name: str, damage: list[tuple[float, int]]) -> None:
    data = bytearray(FILES[name])
    for at, value in damage:
        data[int(at**4 * (len(data) - 1))] = value  # most of it at the beginning
    server.files["damaged"] = bytes(data)
    try:
        [pixels] = read_windows_gdal(asset_of(server.href("damaged"), PIXELS), ONE, Fetcher((server.host,), retries=0))
    except ReadError as error:
        assert "damaged" in str(error)  # noqa: PT017
    else:
        assert pixels.shape == (8, 8)


def test_chips_of_ours_are_opened_as_geotiff_only() -> None:
    """Whoever can put a file where a chip lies is not to choose what reads it."""
    folder = Path(gdal_reader.__file__).parents[1]
    for file in folder.rglob("*.py"):
        for line in file.read_text(encoding="utf-8").splitlines():
            if re.search(r"\b(memory|source|one|other|target)\.open\(\)|rasterio\.open\((?!.*driver)", line):
                raise AssertionError(f"{file}: {line.strip()}")
