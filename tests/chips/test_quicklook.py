"""Pictures: readable, neither black nor blown, and no larger than they should be."""

import io
from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image, ImageColor

from s2chips_core.chips.quicklook import (
    NODATA_GREY,
    SHEET_MOST_BYTES,
    contact_sheet,
    encode_quicklook,
    stretch_rgb,
)
from s2chips_core.scenes.radiometry import to_reflectance

CORE = ("B02", "B03", "B04", "B08")


def sea(noise: float = 0.002, size: int = 256) -> np.ndarray:
    random = np.random.default_rng(1)
    return (np.array([0.05, 0.04, 0.03, 0.02]).reshape(4, 1, 1) + random.normal(0, noise, (4, size, size))).astype("float32")


def picture_of(jpeg: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(jpeg)) as image:
        assert image.format == "JPEG"
        return np.asarray(image.convert("RGB")).astype(int)


def test_red_green_blue_are_b04_b03_b02_between_their_percentiles() -> None:
    reflectance = np.zeros((4, 100, 101), "float32")
    ramp = np.linspace(0, 1, 101)
    reflectance[0], reflectance[1], reflectance[2] = 0.1 + 0.1 * ramp, 0.3 + 0.3 * ramp, 0.9 - 0.5 * ramp
    reflectance[3] = 0.5
    picture = stretch_rgb(reflectance, CORE).astype(int)
    expected = np.clip((ramp - 0.02) / 0.96, 0, 1) * 255
    np.testing.assert_allclose(picture[50, :, 2], expected, atol=1)
    np.testing.assert_allclose(picture[50, :, 1], expected, atol=1)
    np.testing.assert_allclose(picture[50, :, 0], expected[::-1], atol=1)


def ordered_stretch(reflectance: np.ndarray) -> np.ndarray:
    """The same picture by numpy's percentiles and median of all pixels, in float64."""
    layers = np.stack([reflectance[CORE.index(band)] for band in ("B04", "B03", "B02")], axis=-1)
    valid = (layers != 0).all(axis=-1)
    values = layers[valid].astype(np.float64)
    low, high = np.percentile(values, [2, 98], axis=0)
    widen = np.maximum(0.04 - (high - low), 0.0)
    low, high = low - widen / 3, high + widen * 2 / 3
    shares = np.clip((values - low) / (high - low), 0.0, 1.0)
    middle = float(np.median(shares.mean(axis=1)))
    if middle < 0.15:
        shares **= max(np.log(0.15) / np.log(max(middle, 1e-6)), 0.4)
    picture = np.full(layers.shape, NODATA_GREY, np.uint8)
    picture[valid] = (shares * 255.0 + 0.5).astype(np.uint8)
    return picture


def reflectance_of(dn: np.ndarray) -> np.ndarray:
    reflectance = to_reflectance(dn.astype(np.uint16), 0)
    assert reflectance.dtype == np.float32
    return reflectance


@pytest.mark.parametrize("nodata_share", [0.0, 0.3, 0.999])
@pytest.mark.parametrize("spread", [0, 3, 400, 9000])
@pytest.mark.parametrize("bright", [0, 9])
@pytest.mark.parametrize("size", [(1, 1), (16, 17), (256, 256)])
def test_the_histogram_gives_the_picture_that_ordering_all_pixels_gives(
    nodata_share: float, spread: int, bright: int, size: tuple[int, int]
) -> None:
    random = np.random.default_rng([int(nodata_share * 1000), spread, bright, *size])
    dn = 1 + random.integers(0, 800, (4, 1, 1)) + random.integers(0, spread + 1, (4, *size))
    dn[:, : size[0] // 20 * bright] += 9000  # half of the picture is nearly black: gamma
    dn[:, random.random(size) < nodata_share] = 0
    dn[:, 0, 0] = 77
    reflectance = reflectance_of(dn)
    np.testing.assert_array_equal(stretch_rgb(reflectance, CORE), ordered_stretch(reflectance))


def test_values_that_cannot_be_do_no_harm() -> None:
    reflectance = sea()
    reflectance[2, 0, :4] = np.nan, np.inf, -1.0, 70.0
    picture = stretch_rgb(reflectance, CORE)
    assert (picture[0, [0, 2]] == NODATA_GREY).all()
    assert (picture[0, [1, 3], 0] == 255).all()


def test_flat_water_does_not_become_noise() -> None:
    picture = stretch_rgb(sea(), CORE).astype(int)
    assert 40 < picture.mean() < 120
    assert picture.std() < 20
    assert np.percentile(picture, 1) > 20
    assert np.percentile(picture, 99) < 150


def test_a_hull_stands_out_of_flat_water() -> None:
    reflectance = sea()
    reflectance[:, 120:130, 126:130] = 0.3
    picture = stretch_rgb(reflectance, CORE).astype(int)
    assert (picture[120:130, 126:130] == 255).all()
    assert picture[:100].mean() < 120


def test_a_long_bright_wake_does_not_make_the_sea_black() -> None:
    reflectance = sea()
    reflectance[:, 120:136] = 0.4
    picture = stretch_rgb(reflectance, CORE).astype(int)
    assert 25 < picture[:100].mean() < 60
    assert (picture[120:136] == 255).all()


def test_nodata_is_left_out_of_the_stretch() -> None:
    reflectance = sea(0.02)
    cut = reflectance.copy()
    cut[:, :, :100] = 0
    picture = stretch_rgb(cut, CORE)
    assert (picture[:, :100] == NODATA_GREY).all()
    np.testing.assert_allclose(picture[:, 100:].astype(int), stretch_rgb(reflectance[:, :, 100:], CORE).astype(int), atol=0)


@pytest.mark.parametrize("reflectance", [np.zeros((4, 64, 64)), np.ones((4, 64, 64)), np.full((4, 64, 64), 0.0001)])
def test_uniform_chips(reflectance: np.ndarray) -> None:
    picture = picture_of(encode_quicklook(reflectance.astype("float32"), CORE))
    assert picture.shape == (64, 64, 3)
    assert 20 < picture.mean() < 150


def test_a_chip_without_the_visible_bands_still_has_a_picture() -> None:
    picture = picture_of(encode_quicklook(sea(0.02)[:1], ("B08",)))
    assert picture.std() > 20
    assert np.abs(picture[..., 0] - picture[..., 2]).max() < 4


def test_contact_sheet() -> None:
    jpeg = encode_quicklook(sea(0.02), CORE)
    frames = ["#ff0000", None, "lime"] * 9
    data = contact_sheet(
        [(jpeg, f"ship {n}, a name that is much too long for one picture Ø", f) for n, f in enumerate(frames)]
    )
    assert len(data) <= SHEET_MOST_BYTES
    picture = picture_of(data)
    assert picture.shape[1] == 960
    side = (960 - 7 * 6) // 6
    assert picture.shape[0] == 5 * (side + 16 + 6) + 6
    assert np.abs(picture[6 + side // 2, 7] - ImageColor.getrgb("#ff0000")).max() < 90
    assert np.ptp(picture[6 + side // 2, 6 + side + 6 + 1]) < 90


@pytest.mark.parametrize("count", [0, 1, 7])
def test_sheets_of_few(count: int) -> None:
    data = contact_sheet([(encode_quicklook(sea(), CORE), "", None)] * count, columns=4)
    assert picture_of(data).shape[1] == 960


def test_noise_on_a_sheet_stays_small() -> None:
    noisy = np.random.default_rng(0).uniform(0.001, 1, (4, 256, 256)).astype("float32")
    assert len(contact_sheet([(encode_quicklook(noisy, CORE), "x", None)] * 24)) <= 1.3 * SHEET_MOST_BYTES


@pytest.mark.shared_data
@pytest.mark.filterwarnings("ignore")
def test_real_chips_are_neither_black_nor_blown(shared_data: Path) -> None:
    paths = sorted((shared_data / "ais-ships" / "chips").glob("*.tif"))
    assert paths
    for path in paths:
        with rasterio.open(path) as dataset:
            dn = dataset.read([2, 3, 4, 8])
        reflectance = np.where(dn > 0, np.clip(dn / 10000, 0.0001, 1), 0).astype("float32")
        picture = stretch_rgb(reflectance, CORE)
        np.testing.assert_array_equal(picture, ordered_stretch(reflectance), err_msg=path.name)
        assert 25 < np.median(picture) < 200, path.name
        assert (picture == 255).mean() < 0.06, path.name
        assert (picture == 0).mean() < 0.06, path.name
