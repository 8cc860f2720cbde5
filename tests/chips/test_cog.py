"""Blocks of COGs, against rasterio reading the same bytes."""

import dataclasses
import struct
import tracemalloc
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.enums import MaskFlags, Resampling
from rasterio.io import MemoryFile
from rasterio.shutil import copy as rio_copy
from rasterio.windows import Window

from s2chips_core.chips.cog import (
    BlockEndsError,
    Header,
    Pixels,
    decode_block,
    inflate_rows,
    parse_header,
    prefix_bytes,
    unpredict,
)
from tests.chips.rasters import make_tiff

DTYPES = ["uint8", "uint16", "uint32", "int8", "int16", "int32", "float32"]


def noise(seed: int, rows: int, cols: int, dtype: str = "uint16") -> np.ndarray:
    """Any bit pattern there is: with NaN of every kind, where it is a float."""
    rng = np.random.default_rng(seed)
    return np.frombuffer(rng.bytes(rows * cols * np.dtype(dtype).itemsize), dtype).reshape(rows, cols)


def header_of(data: bytes) -> Header:
    header = parse_header(data)
    assert isinstance(header, Header), header
    return header


def block_of(header: Header, data: bytes, block: tuple[int, int]) -> bytes:
    start = int(header.offsets[block])
    return data[start : start + int(header.byte_counts[block])]


def read_window(data: bytes, window: tuple[int, int, int, int]) -> Pixels:
    """Rows from, to and columns from, to of the raster through the code under test; sparse blocks are nodata, else 0."""
    header = header_of(data)
    row_0, row_1, col_0, col_1 = window
    native = header.dtype.newbyteorder("=")
    out = np.full((row_1 - row_0, col_1 - col_0), 0 if header.nodata is None else header.nodata, native)
    for row, col in np.ndindex(header.offsets.shape):
        top, left = row * header.block_rows, col * header.block_cols
        rows = (max(row_0 - top, 0), min(row_1 - top, header.block_rows))
        cols = (max(col_0 - left, 0), min(col_1 - left, header.block_cols))
        if rows[0] >= rows[1] or cols[0] >= cols[1] or header.is_sparse(row, col):
            continue
        part = decode_block(header, block_of(header, data, (row, col)), rows, cols)
        assert part.dtype == native
        out[top + rows[0] - row_0 : top + rows[1] - row_0, left + cols[0] - col_0 : left + cols[1] - col_0] = part
    return out


def assert_same_bits(found: np.ndarray, expected: np.ndarray) -> None:
    """Equal as bytes, so that NaN, -0.0 and 0.0 count as what they are."""
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(np.ascontiguousarray(found).view("u1"), np.ascontiguousarray(expected).view("u1"))


@st.composite
def files(draw: st.DrawFn) -> tuple[bytes, tuple[int, int, int, int]]:
    """A file as GDAL writes it, over all that its drivers offer, and a window of it."""
    dtype = draw(st.sampled_from(DTYPES))
    rows, cols = draw(st.integers(1, 300)), draw(st.integers(1, 300))
    array = noise(draw(st.integers(0, 1 << 30)), rows, cols, dtype).copy()
    nodata = draw(st.sampled_from([None, 0, 7]))
    if draw(st.booleans()):
        # Smooth, with an empty part: sparse blocks, and streams in which much repeats.
        array = (array.astype("float64") % 50).astype(dtype) if dtype != "float32" else (array.view("u4") % 50).astype(dtype)
        array[rows // 3 :, cols // 4 :] = nodata or 0
    predictor = draw(st.sampled_from([1, 2, 3] if dtype == "float32" else [1, 2]))
    sparse, big = draw(st.booleans()), draw(st.sampled_from(["YES", "NO"]))
    level = draw(st.integers(1, 9))
    change = draw(st.sampled_from([unchanged, with_overviews, with_mask, with_directory_at_the_end]))
    if draw(st.booleans()):
        plain = change(make_tiff(array, nodata=nodata, compress="none", predictor=1, sparse_ok=sparse))
        names = {1: "NO", 2: "STANDARD", 3: "FLOATING_POINT"}
        blocksize = draw(st.sampled_from([128, 256, 384, 512]))
        options = {"predictor": names[predictor], "blocksize": blocksize, "level": level}
        data = as_cog(plain, BIGTIFF=big, sparse_ok=sparse, **options)
    else:
        block = st.integers(1, 20).map(lambda number: number * 16)
        options = {"blockxsize": draw(block), "blockysize": draw(block), "predictor": predictor, "zlevel": level}
        options |= {"BIGTIFF": big, "sparse_ok": sparse, "ENDIANNESS": draw(st.sampled_from(["LITTLE", "BIG"]))}
        data = change(make_tiff(array, nodata=nodata, **options))
    if draw(st.booleans()):
        data = with_old_code_of_deflate(data)
    row_0, row_1 = sorted(draw(st.lists(st.integers(0, rows), min_size=2, max_size=2, unique=True)))
    col_0, col_1 = sorted(draw(st.lists(st.integers(0, cols), min_size=2, max_size=2, unique=True)))
    return data, (row_0, row_1, col_0, col_1)


def as_cog(plain: bytes, **options: Any) -> bytes:
    with MemoryFile(plain) as source, MemoryFile() as target:
        with source.open() as dataset:
            rio_copy(dataset, target.name, driver="COG", compress="DEFLATE", **options)
        return bytes(target.read())


def unchanged(data: bytes) -> bytes:
    return data


def changed(data: bytes, change: Callable[[Any], object]) -> bytes:
    """After GDAL changed the file in place."""
    # A MemoryFile that is made of bytes cannot grow.
    with MemoryFile(ext=".tif") as memory:
        memory.write(data)
        with rasterio.open(memory.name, "r+") as dataset:
            change(dataset)
        memory.seek(0)
        return bytes(memory.read())


def with_overviews(data: bytes) -> bytes:
    return changed(data, lambda dataset: max(dataset.shape) > 1 and dataset.build_overviews([2], Resampling.nearest))


def with_mask(data: bytes) -> bytes:
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        data = changed(data, lambda dataset: dataset.write_mask(np.eye(*dataset.shape, dtype="uint8") * 255))
    with MemoryFile(data) as memory, memory.open() as dataset:
        assert MaskFlags.per_dataset in dataset.mask_flag_enums[0]
    return data


def with_directory_at_the_end(data: bytes) -> bytes:
    return changed(data, lambda dataset: dataset.update_tags(text="the directory grows, and is written anew" * 20))


def with_old_code_of_deflate(data: bytes) -> bytes:
    """PKZIP-style deflate, 32946, as older writers say."""
    order, big = ("<" if data[:2] == b"II" else ">"), data[2:4] in (b"+\0", b"\0+")
    out = bytearray(data)
    (start,) = struct.unpack_from(order + ("Q" if big else "I"), data, 8 if big else 4)
    (count,) = struct.unpack_from(order + ("Q" if big else "H"), data, start)
    for number in range(count):
        at = start + (8 + 20 * number if big else 2 + 12 * number)
        if struct.unpack_from(order + "H", data, at) == (259,):
            struct.pack_into(order + "H", out, at + (12 if big else 8), 32946)
    return bytes(out)


@settings(max_examples=400, deadline=None)
@given(files())
def test_every_layout_and_window_as_rasterio_reads_it(case: tuple[bytes, tuple[int, int, int, int]]) -> None:
    data, (row_0, row_1, col_0, col_1) = case
    with MemoryFile(data) as memory, memory.open() as dataset:
        expected = dataset.read(1, window=Window(col_0, row_0, col_1 - col_0, row_1 - row_0))
    assert_same_bits(read_window(data, (row_0, row_1, col_0, col_1)), expected)


BLOCKS = {
    (dtype, predictor): (header_of(data), block_of(header_of(data), data, (0, 0)), array)
    for dtype, predictor in [("uint8", 2), ("uint16", 1), ("uint16", 2), ("float32", 3)]
    # Half of the bits are noise, so that the stream has tables, literals and matches.
    for array in [(noise(7, 64, 64, "uint32") & 0x3F003F).view(dtype)[:, :64]]
    for data in [make_tiff(array, predictor=predictor)]
}


@pytest.mark.parametrize("kind", BLOCKS)
def test_many_windows_from_one_inflated_block(kind: tuple[str, int]) -> None:
    header, block, array = BLOCKS[kind]
    raw = inflate_rows(header, memoryview(block), 60)
    before = raw.copy()
    for rows, cols in [((0, 60), (0, 64)), ((59, 60), (63, 64)), ((5, 9), (0, 7)), ((5, 9), (20, 31)), ((5, 9), (20, 20))]:
        pixels = unpredict(header, raw, rows, cols)
        assert_same_bits(pixels, array[slice(*rows), slice(*cols)])
        assert not np.shares_memory(pixels, raw)
    np.testing.assert_array_equal(raw, before)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(BLOCKS)), st.integers(1, 64), st.floats(0, 1))
def test_the_beginning_of_a_block_gives_its_rows_or_says_that_it_is_too_short(
    kind: tuple[str, int], rows: int, share: float
) -> None:
    header, block, array = BLOCKS[kind]
    first = block[: round(len(block) * share)]
    try:
        pixels = decode_block(header, first, (0, rows), (0, 64))
    except BlockEndsError:
        # The reader's way on: the rest, and all of it again.
        pixels = decode_block(header, first + block[len(first) :], (0, rows), (0, 64))
    assert_same_bits(pixels, array[:rows])


def test_the_beginning_is_not_asked_for_more_than_it_must_hold() -> None:
    header, block, _ = BLOCKS["uint16", 2]
    enough = next(n for n in range(len(block)) if is_enough(header, block[:n], 32))
    # zlib needs as many bytes for half of the rows; a byte or two may be read ahead.
    needed = next(n for n in range(len(block)) if len(zlib.decompressobj().decompress(block[:n])) >= 32 * 128)
    assert needed <= enough <= needed + 8


def is_enough(header: Header, data: bytes, rows: int) -> bool:
    try:
        return bool(len(inflate_rows(header, data, rows)))
    except BlockEndsError:
        return False


@settings(max_examples=600, deadline=None)
@given(st.data())
def test_damaged_blocks_are_refused_or_the_damage_is_behind(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(sorted(BLOCKS)))
    header, block, array = BLOCKS[kind]
    damaged = bytearray(block)
    at = st.integers(0, len(block) - 1)
    how = data.draw(st.sampled_from(["flip", "cut", "drop", "insert", "swap"]))
    if how == "flip":
        for _ in range(data.draw(st.integers(1, 4))):
            damaged[data.draw(at)] ^= 1 << data.draw(st.integers(0, 7))
    elif how == "cut":
        del damaged[data.draw(at) :]
    elif how == "drop":
        begin = data.draw(at)
        del damaged[begin : begin + data.draw(st.integers(1, 20))]
    elif how == "insert":
        begin = data.draw(at)
        damaged[begin:begin] = data.draw(st.binary(min_size=1, max_size=20))
    else:
        one, other = data.draw(at), data.draw(at)
        damaged[one], damaged[other] = damaged[other], damaged[one]
    rows = data.draw(st.sampled_from([1, 30, 64]))
    refused: ValueError | None = None
    try:
        pixels = decode_block(header, bytes(damaged), (0, rows), (0, 64))
    except ValueError as error:
        refused = error
    if refused is not None:
        assert "deflate stream" in str(refused)
        assert how != "cut" or isinstance(refused, BlockEndsError)
        return
    assert pixels.shape == (rows, 64)
    if rows == 64:
        # All of the block: its checksum was compared.
        assert_same_bits(pixels, array)


def test_damage_is_told_from_a_beginning() -> None:
    header, block, _ = BLOCKS["uint16", 2]
    plain = zlib.decompress(block)
    for beginning in (b"", block[:1], block[: len(block) // 2], block[:-1]):
        with pytest.raises(BlockEndsError, match="ends after"):
            inflate_rows(header, beginning, 64)
    for damaged, words in [
        (b"\xff" + block[1:], "no deflate stream"),
        (block[:-1] + bytes([block[-1] ^ 1]), "no deflate stream .*checksum"),
        (zlib.compress(plain[:-2]), "ends after 8190 bytes, 8192 are wanted"),
        (zlib.compress(plain + b"\0"), "goes on after 8192 bytes"),
    ]:
        with pytest.raises(ValueError, match=words) as caught:
            inflate_rows(header, damaged, 64)
        assert not isinstance(caught.value, BlockEndsError)
    for rows in (0, -1, 65):
        with pytest.raises(ValueError, match="rows are wanted of a block of 64"):
            inflate_rows(header, block, rows)


def test_of_a_whole_block_the_checksum_is_compared_whatever_rows_are_wanted() -> None:
    header, block, _ = BLOCKS["uint16", 2]
    plain = zlib.decompress(block)
    first = inflate_rows(header, block, 1)
    np.testing.assert_array_equal(inflate_rows(header, block, 1, whole=True), first)
    for damaged, words in [
        (block[:-1] + bytes([block[-1] ^ 1]), "no deflate stream .*checksum"),
        (block[:-1], "ends 0 bytes before the block does"),
        (zlib.compress(plain[:-2]), "it ends 2 bytes early"),
        (zlib.compress(plain + b"\0\0"), "more bytes than the block"),
    ]:
        np.testing.assert_array_equal(inflate_rows(header, damaged, 1), first)  # without looking at the rest
        with pytest.raises(ValueError, match=words):
            inflate_rows(header, damaged, 1, whole=True)


@pytest.mark.parametrize("rows", [1, 64])
def test_a_block_never_takes_more_memory_than_its_own_size(rows: int) -> None:
    header, _, _ = BLOCKS["uint16", 2]
    bomb = zlib.compress(bytes(200_000_000), 9)
    tracemalloc.start()
    try:
        if rows == 64:
            with pytest.raises(ValueError, match="goes on"):
                inflate_rows(header, bomb, rows)
        else:
            inflate_rows(header, bomb, rows)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # The block, the compressed bytes that were not looked at, and what isal itself needs, 85 kB.
    assert peak < 2 * 64 * 128 + len(bomb) + 100_000


def sized(header: Header, byte_counts: list[int], rows: int) -> Header:
    """As if the file were one column of 1024 px blocks of these sizes."""
    counts = np.array(byte_counts).reshape(-1, 1)
    return dataclasses.replace(
        header, rows=rows, cols=1024, block_rows=1024, block_cols=1024, byte_counts=counts, offsets=counts
    )


def test_how_much_of_a_block_is_fetched_first() -> None:
    header = BLOCKS["uint16", 2][0]
    million = 1_000_000
    even = sized(header, [million] * 3, 3072)
    # The share of the rows, 12 % more and 4 kB.
    assert prefix_bytes(even, (1, 0), 512) == 560_000 + 4096
    assert prefix_bytes(even, (1, 0), 1) < 6_000
    # Saves less than a tenth, or less than 32 kB; few bytes; all rows.
    assert prefix_bytes(even, (1, 0), 800) < million
    assert prefix_bytes(even, (1, 0), 830) == million
    assert prefix_bytes(even, (1, 0), 1024) == million
    thin = sized(header, [500_000] * 3, 3072)
    assert prefix_bytes(thin, (1, 0), 100) == 500_000
    # Denser above than below: more of it. The other way round nothing is saved on.
    coast = sized(header, [1_450_000, 1_200_000, 950_000], 3072)
    evenly = sized(header, [1_200_000] * 3, 3072)
    assert prefix_bytes(coast, (1, 0), 512) > 1.09 * prefix_bytes(evenly, (1, 0), 512)
    other = sized(header, [950_000, 1_200_000, 1_450_000], 3072)
    assert prefix_bytes(other, (1, 0), 512) == prefix_bytes(evenly, (1, 0), 512)
    # Where nodata begins beside it, it can begin at any row: nothing is made of that.
    for ends in ([million, million, 2_000], [million, million, 0], [0, million, 0]):
        assert prefix_bytes(sized(header, ends, 3072), (1, 0), 512) == prefix_bytes(even, (1, 0), 512)
    # The last row of blocks has pixels in its upper part only.
    edge = sized(header, [million, million, million // 2], 2048 + 512)
    assert prefix_bytes(edge, (2, 0), 256) == 280_000 + 4096
    assert prefix_bytes(edge, (2, 0), 512) == million // 2


@pytest.mark.parametrize("seed", range(3))
def test_the_beginning_of_a_noisy_block_is_enough(seed: int) -> None:
    array = noise(seed, 700, 512) & 0x03FF
    data = make_tiff(array, blockxsize=512, blockysize=512)
    header = header_of(data)
    partial = 0
    for row, rows in [(0, 100), (0, 256), (0, 400), (1, 60), (1, 120)]:
        length = prefix_bytes(header, (row, 0), rows)
        partial += length < header.byte_counts[row, 0]
        block = block_of(header, data, (row, 0))
        pixels = decode_block(header, block[:length], (0, rows), (0, 512))
        assert_same_bits(pixels, array[row * 512 :][:rows])
    assert partial >= 3


@pytest.mark.shared_data
@pytest.mark.parametrize("town_px", [300, 512, 700])
@pytest.mark.parametrize("band", ["B02", "B08"])
def test_real_coasts_seldom_need_a_second_request(shared_data: Any, band: str, town_px: int) -> None:
    """Busan's roofs above Casablanca's water: what is densest of a block is in its first rows."""
    town, sea = (read_harbour(shared_data, name, band) for name in ("busan", "casablanca"))
    coast = np.vstack([town[:town_px], sea[town_px:]])
    data = make_tiff(np.vstack([town, coast, sea]), blockxsize=1024, blockysize=1024)
    header = header_of(data)
    block = block_of(header, data, (1, 0))
    enough, saved = [], []
    for rows in range(64, 833, 64):
        length = prefix_bytes(header, (1, 0), rows)
        saved.append(1 - length / len(block))
        enough.append(is_enough(header, block[:length], rows))
    assert sum(enough) >= len(enough) - 2
    assert np.mean(saved) > 0.3


def read_harbour(shared_data: Any, name: str, band: str) -> np.ndarray:
    """DN, 1024 x 1024, mirrored where the harbour ends."""
    (path,) = (shared_data / "harbours" / name).glob(f"*_{band}.tiff")
    with rasterio.open(path) as dataset:
        array = (dataset.read(1) / 6.5535).round().astype("uint16")
    while min(array.shape) < 1024:
        array = np.pad(array, [(0, min(1024 - side, side)) if side < 1024 else (0, 0) for side in array.shape], "symmetric")
    return array[:1024, :1024]


@pytest.mark.shared_data
@pytest.mark.parametrize("name", ["B02", "c1-B08", "B11"])
def test_real_cogs(shared_data: Any, name: str) -> None:
    path = shared_data / "archive-32VPH" / f"{name}.tif"
    data = path.read_bytes()
    header = header_of(data[:8192])
    assert header.predictor == 2
    assert (header.offsets == 0).any()
    with rasterio.open(path) as dataset:
        for (row, col), _ in np.ndenumerate(header.offsets):
            top, left = row * header.block_rows, col * header.block_cols
            bottom, right = min(top + header.block_rows, header.rows), min(left + header.block_cols, header.cols)
            if not header.is_sparse(row, col):
                expected = dataset.read(1, window=Window(left, top, right - left, bottom - top))
                assert_same_bits(read_window(data, (top, bottom, left, right)), expected)
