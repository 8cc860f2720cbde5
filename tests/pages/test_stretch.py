"""The stretch by tables, against the quicklook's own by percentiles."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from s2chips_core.chips.quicklook import NODATA_GREY, RGB_BANDS, stretch_rgb
from s2chips_core.pages.stretch import Band, composite, grey, pack, share_table, to_numbers
from tests.pages.sample_day import colours


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 1000),
    spread=st.sampled_from([0, 5, 300, 3000]),
    level=st.integers(1, 9000),
    bright=st.floats(0, 0.4),
    nodata=st.floats(0, 0.5),
)
def test_composites_are_stretched_as_the_quicklook_is(
    seed: int, spread: int, level: int, bright: float, nodata: float
) -> None:
    random = np.random.default_rng(seed)
    dn = np.clip(random.normal(level, spread, (3, 40, 40)), 1, 10_000).round()
    dn[:, random.random((40, 40)) < bright] = 9500
    dn[:, random.random((40, 40)) < nodata] = 0
    reflectance = (dn / 10_000).astype(np.float32)
    numbers = to_numbers(reflectance)
    np.testing.assert_array_equal(numbers, dn)
    picture = colours(composite(*(Band.of(band) for band in numbers)))
    expected = stretch_rgb(reflectance, RGB_BANDS)
    np.testing.assert_array_equal((picture == NODATA_GREY).all(axis=-1) >= (dn == 0).all(axis=0), True)
    difference = np.abs(picture.astype(int) - expected)
    # The brightness that decides the gamma curve is counted in 3,000 steps.
    assert np.quantile(difference, 0.99) <= 3, difference.max()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 10_000), min_size=4, max_size=400))
def test_percentiles_are_those_of_numpy(values: list[int]) -> None:
    numbers = np.array(values, np.intp)
    counts = np.bincount(numbers)
    counts[0] = 0
    table = share_table(counts)
    valid = numbers[numbers > 0] / 10_000
    if not len(valid):
        assert not table.any()
        return
    low, high = np.percentile(valid, [2, 98])
    widen = max(0.04 - (high - low), 0)
    shares = np.clip((valid - (low - widen / 3)) / (high - low + widen), 0, 1)
    np.testing.assert_allclose(table[numbers[numbers > 0]], shares, atol=1e-5)


def test_a_grey_band_is_what_three_equal_bands_are() -> None:
    random = np.random.default_rng(5)
    numbers = np.clip(random.normal(700, 200, (64, 64)), 1, 10_000).round().astype(np.intp)
    numbers[:4] = 0
    band = Band.of(numbers)
    one, three = colours(grey(band)), colours(composite(band, band, band))
    assert (one == one[..., :1]).all()
    assert np.abs(one.astype(int) - three).max() <= 1
    assert (one[:4] == NODATA_GREY).all()
    assert (colours(grey(Band.of(np.zeros((3, 3), np.intp)))) == NODATA_GREY).all()


def test_data_never_becomes_no_data() -> None:
    values = np.array([0.0, 1e-6, 0.00004, 0.0001, 0.99999, 1.0, 1.2], np.float32)
    assert to_numbers(values).tolist() == [0, 1, 1, 1, 10_000, 10_000, 10_000]
    assert to_numbers(values[3:]).tolist() == [1, 10_000, 10_000, 10_000]
    assert to_numbers(np.array([-0.1, np.nan], np.float32)).tolist() == [1, 1]


@pytest.mark.parametrize("where", [0, 1, 2])
def test_a_composite_shows_nothing_where_one_band_has_no_data(where: int) -> None:
    numbers = np.full((3, 8, 8), 500, np.intp)
    numbers[where, 0, 0] = 0
    picture = colours(composite(*(Band.of(band) for band in numbers)))
    assert picture[0, 0].tolist() == [NODATA_GREY] * 3
    assert (picture[1:] != NODATA_GREY).all()


def test_a_colour_is_packed_as_pillow_has_it() -> None:
    packed = pack([[(1, 2, 3), (255, 0, 128)]])
    image = Image.frombuffer("RGBX", (2, 1), packed.astype("<u4"), "raw", "RGBX", 0, 1).convert("RGB")
    assert [image.getpixel((x, 0)) for x in range(2)] == [(1, 2, 3), (255, 0, 128)]
    np.testing.assert_array_equal(colours(packed), np.asarray(image))
