from pathlib import Path

import numpy as np
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st

from s2chips_core.sandbox.cog import CogTiles, deflated
from tests.sandbox.tiff import directories


def _write(path: Path, size: int, pixels: np.ndarray, dtype: type[np.unsignedinteger]) -> None:
    cog = CogTiles(size, dtype)
    for level in range(len(cog.levels)):
        side = 512 if level else 1024
        across = cog.tiles_across(level)
        padded = np.zeros((across * side, across * side), dtype)
        small = pixels[:: 2**level, :: 2**level]
        padded[: small.shape[0], : small.shape[1]] = small
        for row in range(across):
            for col in range(across):
                cog.put(level, row, col, padded[row * side : (row + 1) * side, col * side : (col + 1) * side])
    cog.write(path, epsg=32630, ulx_m=199_980, uly_m=4_000_020, pixel_m=10, offset=-0.1)


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), size=st.integers(1025, 2600), byte=st.booleans())
def test_gdal_reads_what_was_put(tmp_path_factory: object, seed: int, size: int, byte: bool) -> None:
    path = tmp_path_factory.mktemp("cog") / "x.tif"  # type: ignore[attr-defined]
    generator = np.random.default_rng(seed)
    dtype = np.uint8 if byte else np.uint16
    pixels = generator.integers(0, np.iinfo(dtype).max, (size, size), endpoint=True).astype(dtype)
    pixels[: size // 2] = 7  # equal tiles are stored once
    _write(path, size, pixels, dtype)
    with rasterio.open(path) as file:
        assert np.array_equal(file.read(1), pixels)
        assert file.overviews(1) == [2, 4, 8, 16]
        assert file.crs.to_epsg() == 32630
        assert file.transform[:6] == (10, 0, 199_980, 0, -10, 4_000_020)
        assert file.nodata == 0
        assert (file.offsets[0], file.scales[0]) == (-0.1, 0.0001)
    with rasterio.open(path, overview_level=1) as file:
        assert np.array_equal(file.read(1)[: size // 4, : size // 4], pixels[::4, ::4][: size // 4, : size // 4])


def test_equal_tiles_are_stored_once_and_known_tiles_not_compressed_again(tmp_path: Path) -> None:
    cog, known = CogTiles(3000, np.uint16), []
    tile = np.arange(1024 * 1024, dtype=np.uint16).reshape(1024, 1024)
    cog.put(0, 0, 0, tile, known)
    cog.put(0, 2, 2, tile.copy(), known)
    assert cog.levels[0][0, 0] is cog.levels[0][2, 2]
    assert known[0][1] == deflated(tile)
    cog.put(0, 9, 9, tile)  # outside
    assert (9, 9) not in cog.levels[0]


def test_the_layout_is_that_of_the_real_archive(sandbox_archive: Path, shared_data: Path) -> None:
    real = (shared_data / "cog-layout/c1_S2B_T10TFR_20231223_B04_ifds.txt").read_text()
    ours = directories(sandbox_archive / "S2B_T30STE_20251012T111541_L2A/B04.tif")
    assert real.count("IFD(offset=") == len(ours) == 5
    assert "IFD(offset=192" in real
    sizes = [level[256][0] for level in ours]
    assert sizes == [10980, 5490, 2745, 1373, 687]
    for size in sizes:
        assert f"256: Tag(code=256, data_type=3, count=1, value={size})" in real
    for level, tags in enumerate(ours):
        side = 512 if level else 1024
        expected = {258: 16, 259: 8, 262: 1, 277: 1, 284: 1, 317: 2, 322: side, 323: side, 339: 1}
        assert {code: tags[code][0] for code in expected} == expected
        for code, value in expected.items():
            assert f"{code}: Tag(code={code}, data_type=3, count=1, value={value})" in real
        assert f"count={len(tags[324])}," in real
        assert 42113 in tags
    # Directories first, then the data from the smallest overview to the full size, as GDAL's COG driver writes it.
    first_bytes = [min(tags[324]) for tags in ours]
    assert first_bytes == sorted(first_bytes, reverse=True)
    assert max(tags[-1][0] for tags in ours) < first_bytes[-1]


def test_gdal_sees_blocks_and_overviews(sandbox_archive: Path) -> None:
    for name in ("B08", "B11", "SCL"):
        with rasterio.open(sandbox_archive / f"S2C_30STE_20251027_0_L2A/{name}.tif") as file:
            assert file.block_shapes == [(1024, 1024)]
            assert file.compression.name == "deflate"
            assert file.overviews(1) == [2, 4, 8, 16]
            assert file.nodata == 0
