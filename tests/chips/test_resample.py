"""20 m to 10 m, against GDAL's warper on the same array."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio import Affine
from rasterio.warp import Resampling, reproject

from s2chips_core.chips.grid import Window, coarse_window
from s2chips_core.chips.resample import MARGINS, upsample, upsample_nearest
from s2chips_core.scenes.radiometry import to_reflectance

METHODS = ["nearest", "bilinear", "cubic", "bicubic"]


def cut(array: np.ndarray, window: Window) -> np.ndarray:
    """The pixels of a window, 0 outside the array."""
    padded = np.pad(array, 500)
    return padded[window.row_off + 500 :, window.col_off + 500 :][: window.rows, : window.cols]


def gdal(array: np.ndarray, window: Window, method: str) -> np.ndarray:
    """The whole raster warped to its own 10 m grid by GDAL, then cut."""
    fine = np.zeros((2 * array.shape[0], 2 * array.shape[1]), "float32")
    reproject(
        array,
        fine,
        src_transform=Affine(20, 0, 600000, 0, -20, 6300000),
        dst_transform=Affine(10, 0, 600000, 0, -10, 6300000),
        src_crs="EPSG:32632",
        dst_crs="EPSG:32632",
        src_nodata=0,
        dst_nodata=0,
        resampling=Resampling[method.replace("bicubic", "cubic")],
    )
    return cut(fine, window)


@settings(max_examples=60, deadline=None)
@given(
    method=st.sampled_from(METHODS),
    row_off=st.integers(-20, 70),
    col_off=st.integers(-20, 70),
    nodata=st.sampled_from([0.0, 0.02, 0.4]),
    steep=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_is_gdals_warp(method: str, row_off: int, col_off: int, nodata: float, steep: bool, seed: int) -> None:
    random = np.random.default_rng(seed)
    array = random.integers(1, 65535 if steep else 300, (40, 40)).astype("uint16")
    if steep:
        array[random.random(array.shape) < 0.5] = 1
    array[random.random(array.shape) < nodata] = 0
    window = Window(row_off=row_off, col_off=col_off, rows=36, cols=32)
    coarse = coarse_window(window, MARGINS[method])
    fine = upsample(cut(array, coarse.window), coarse, 36, 32, method)
    np.testing.assert_array_equal(np.nan_to_num(fine.astype("float32"), nan=0.0), gdal(array, window, method))
    # The offset commutes with interpolation to the last bit.
    raised = np.where(array > 0, np.minimum(array, 60000) + 1000, 0).astype("uint16")
    lowered = np.minimum(array, 60000).astype("uint16")
    np.testing.assert_array_equal(
        upsample(cut(raised, coarse.window), coarse, 36, 32, method, -1000),
        upsample(cut(lowered, coarse.window), coarse, 36, 32, method),
    )


@pytest.mark.parametrize("method", METHODS)
def test_a_flat_surface_stays_flat_beside_nodata(method: str) -> None:
    array = np.full((40, 40), 1234, "uint16")
    array[10:14, 5:30] = 0
    window = Window(row_off=1, col_off=1, rows=64, cols=64)
    coarse = coarse_window(window, MARGINS[method])
    fine = upsample(cut(array, coarse.window), coarse, 64, 64, method)
    assert set(np.unique(np.nan_to_num(fine))) == {0.0, 1234.0}


def test_classes_are_never_mixed() -> None:
    classes = np.arange(36, dtype="uint8").reshape(6, 6)
    window = Window(row_off=1, col_off=3, rows=6, cols=4)
    coarse = coarse_window(window)
    expected = np.kron(classes, np.ones((2, 2), "uint8"))[1:7, 3:7]
    np.testing.assert_array_equal(upsample_nearest(cut(classes, coarse.window), coarse, 6, 4), expected)


def test_a_wrong_margin_is_refused() -> None:
    coarse = coarse_window(Window(row_off=0, col_off=0, rows=8, cols=8), 1)
    with pytest.raises(ValueError, match="expected a margin of 2"):
        upsample(np.ones((6, 6), "uint16"), coarse, 8, 8, "cubic")


@pytest.mark.parametrize("offset_dn", [0, -1000])
def test_the_nearest_pixel_has_the_same_reflectance_before_and_after(offset_dn: int) -> None:
    """Every digital number, bit for bit: chips of `nearest` look it up before the pixels are multiplied."""
    dn = np.arange(1 << 16, dtype=np.uint16).reshape(256, 256)
    coarse = coarse_window(Window(row_off=1, col_off=1, rows=510, cols=510), 0)
    fine = upsample(dn, coarse, 510, 510, "nearest", offset_dn)
    after = np.nan_to_num(np.clip(fine / 10_000, 0.0001, 1.0), nan=0.0).astype(np.float32)
    before = upsample_nearest(to_reflectance(dn, offset_dn), coarse, 510, 510)
    assert before.dtype == np.float32
    np.testing.assert_array_equal(before.view("u4"), after.view("u4"))
