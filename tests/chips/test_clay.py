"""Clay's numbers, against its own table and arithmetic done another way."""

import math
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from s2chips_core.chips.clay import (
    CLAY_BANDS,
    band_positions,
    check_bands,
    encode_latlon,
    encode_time,
    gsd_m,
    normalise,
    waves_um,
)
from s2chips_core.errors import InputError
from s2chips_core.sections import CLAY10

# Facts of `sentinel-2-l2a` as Clay's configs/metadata.yaml holds them, by its names of the bands.
CLAY_METADATA = yaml.safe_load("""
band_order: [blue, green, red, rededge1, rededge2, rededge3, nir, nir08, swir16, swir22]
mean: {blue: 1105., green: 1355., red: 1552., rededge1: 1887., rededge2: 2422., rededge3: 2630., nir: 2743.,
       nir08: 2785., swir16: 2388., swir22: 1835.}
std: {blue: 1809., green: 1757., red: 1888., rededge1: 1870., rededge2: 1732., rededge3: 1697., nir: 1742.,
      nir08: 1648., swir16: 1470., swir22: 1379.}
wavelength: {blue: 0.493, green: 0.56, red: 0.665, rededge1: 0.704, rededge2: 0.74, rededge3: 0.783, nir: 0.842,
             nir08: 0.865, swir16: 1.61, swir22: 2.19}
""")
# The STAC electro-optical extension's common names of Sentinel-2's bands.
COMMON_NAMES = {
    "B02": "blue",
    "B03": "green",
    "B04": "red",
    "B05": "rededge1",
    "B06": "rededge2",
    "B07": "rededge3",
    "B08": "nir",
    "B8A": "nir08",
    "B11": "swir16",
    "B12": "swir22",
}
ONE_ROUNDING = 2e-7
"""Relative: float32 keeps 24 bits, and a reflectance was rounded to them before."""


def random_dn(bands: int, seed: int = 1) -> np.ndarray:
    dn = np.random.default_rng(seed).integers(1, 10_001, (bands, 256, 256))
    dn[:, 100:120] = 0
    dn[0, 0, 0] = 0
    return dn


def test_the_table_is_clay_s() -> None:
    assert [COMMON_NAMES[band] for band in CLAY_BANDS] == CLAY_METADATA["band_order"]
    assert tuple(CLAY_BANDS) == CLAY10
    for band, known in CLAY_BANDS.items():
        said = tuple(CLAY_METADATA[what][COMMON_NAMES[band]] for what in ("mean", "std", "wavelength"))
        assert (known.mean_dn, known.std_dn, known.wave_um) == said


@settings(max_examples=25, deadline=None)
@given(bands=st.permutations(list(COMMON_NAMES)), count=st.integers(1, 10), seed=st.integers(0, 1000))
def test_any_bands_in_any_order(bands: list[str], count: int, seed: int) -> None:
    bands = bands[:count]
    dn = random_dn(count, seed)
    found = normalise((dn / 10_000).astype("float32"), bands)
    assert (found.dtype, found.shape) == (np.float32, (count, 256, 256))
    for number, band in enumerate(bands):
        mean, std = (CLAY_METADATA[what][COMMON_NAMES[band]] for what in ("mean", "std"))
        expected = np.array([(value - mean) / std if value else 0.0 for value in range(10_001)])[dn[number]]
        np.testing.assert_allclose(found[number], expected, rtol=0, atol=10_000 / std * ONE_ROUNDING)
        assert (found[number][dn[number] == 0] == 0).all()
    np.testing.assert_array_equal(waves_um(bands), np.float32([CLAY_METADATA["wavelength"][COMMON_NAMES[b]] for b in bands]))


def test_no_data_is_not_the_darkest_pixel() -> None:
    reflectance = np.full((1, 256, 256), 0.0001, "float32")
    reflectance[0, 0, 0] = 0
    found = normalise(reflectance, ["B02"])
    assert found[0, 0, 0] == 0
    assert found[0, 1, 1] == pytest.approx((1 - 1105) / 1809, abs=1e-6)


def test_the_input_is_left_alone() -> None:
    reflectance = (random_dn(2) / 10_000).astype("float32")
    before = reflectance.copy()
    normalise(reflectance, ["B08", "B02"])
    np.testing.assert_array_equal(reflectance, before)


@pytest.mark.parametrize(
    ("shape", "bands", "said"),
    [
        ((2, 256, 256), ["B02", "B09"], "got 'B09', expected some of B02, B03, B04, B05"),
        ((2, 256, 256), ["B02", "B02"], "got 'B02, B02', expected .* each once"),
        ((3, 256, 256), "B02", "got 'B02', expected some of"),
        ((0, 256, 256), [], r"got \[\], expected some of"),
        ((1, 128, 128), ["B02"], r"got 'shape \(1, 128, 128\)', expected shape \(1, 256, 256\): bands B02, 256 × 256 px"),
        ((2, 256, 256), ["B02"], r"got 'shape \(2, 256, 256\)'"),
        ((256, 256), ["B02"], r"got 'shape \(256, 256\)'"),
    ],
)
def test_what_is_no_chip(shape: tuple[int, ...], bands: list[str], said: str) -> None:
    with pytest.raises(InputError, match=f"^x.tif: {said}"):
        normalise(np.full(shape, 0.1, "float32"), bands, where="x.tif")


@pytest.mark.parametrize("value", [1234, 1.01, -0.0001, math.nan, math.inf])
def test_what_is_no_reflectance(value: float) -> None:
    reflectance = np.full((1, 256, 256), 0.1)
    reflectance[0, 7, 7] = value
    with pytest.raises(InputError, match=r"expected reflectance, 0 \(no data\) to 1"):
        normalise(reflectance, ["B02"])


def test_positions() -> None:
    assert band_positions(("B02", "B03", "B08"), ("B08", "B02")) == [2, 0]
    with pytest.raises(InputError, match=r"chip: got 'bands B02, B03', expected a chip that has B11, B12 too"):
        band_positions(("B02", "B03"), ("B11", "B03", "B12"))
    assert check_bands(["B8A", "B02"]) == ("B8A", "B02")


def test_time_worked_by_hand() -> None:
    # 27 October 2025 is the Monday of week 44; 44/52 of a turn and half a turn.
    (noon,) = encode_time([datetime(2025, 10, 27, 11, 59, tzinfo=UTC)])
    np.testing.assert_allclose(noon, [-0.8229839, 0.5680647, 0, -1], atol=1e-6)
    # 18 h is three quarters of a turn; the minutes do not count.
    (real,) = encode_time([datetime(2025, 10, 27, 18, 59, tzinfo=UTC)], hour="real")
    np.testing.assert_allclose(real, [-0.8229839, 0.5680647, -1, 0], atol=1e-6)


@settings(deadline=None)
@given(when=st.integers(1_435_000_000, 2_200_000_000), offset_h=st.integers(-12, 14))
def test_time_is_utc_and_iso(when: int, offset_h: int) -> None:
    aware = datetime.fromtimestamp(when, UTC)
    local = aware.astimezone(timezone(timedelta(hours=offset_h)))
    found = encode_time([aware, local, pd.Timestamp(aware)], hour="real").astype(float)
    assert (found == found[0]).all()
    np.testing.assert_allclose(np.hypot(found[:, [0, 2]], found[:, [1, 3]]), 1, atol=1e-6)
    turn = np.arctan2(found[0, [0, 2]], found[0, [1, 3]]) / (2 * np.pi)
    # strftime counts ISO weeks in C.
    week, hour = int(aware.strftime("%V")), when // 3600 % 24
    np.testing.assert_allclose(np.exp(2j * np.pi * turn), np.exp(2j * np.pi * np.array([week / 52, hour / 24])), atol=1e-6)


def test_week_53_goes_on_from_52() -> None:
    last, first = encode_time([datetime(2021, 1, 3, tzinfo=UTC), datetime(2021, 1, 4, tzinfo=UTC)])
    np.testing.assert_allclose(last, first, atol=1e-6)
    assert datetime(2021, 1, 3, tzinfo=UTC).strftime("%V") == "53"


@pytest.mark.parametrize("time", [datetime(2025, 1, 1), np.datetime64("2025-01-01"), pd.NaT, None])  # noqa: DTZ001
def test_what_is_no_time(time: object) -> None:
    with pytest.raises(InputError, match="expected an aware datetime"):
        encode_time([time])  # type: ignore[list-item]


def test_hour_is_noon_or_real() -> None:
    with pytest.raises(InputError, match="hour: got 'midnight', expected noon or real"):
        encode_time([], hour="midnight")  # type: ignore[arg-type]


def test_latlon() -> None:
    # 36° 30', 30° west, 90° south: known sines and cosines.
    found = encode_latlon([30, -90], [-60, 180])
    half, root = 0.5, math.sqrt(3) / 2
    np.testing.assert_allclose(found, [[half, root, -root, half], [-1, 0, 0, -1]], atol=1e-6)
    assert (found.dtype, found.shape) == (np.float32, (2, 4))
    lat, lon = 36.1251, -5.4302
    expected = [
        math.sin(math.radians(lat)),
        math.cos(math.radians(lat)),
        math.sin(math.radians(lon)),
        math.cos(math.radians(lon)),
    ]
    np.testing.assert_allclose(encode_latlon([lat], [lon])[0], expected, atol=1e-7)


@pytest.mark.parametrize(("lat", "lon", "name"), [(91, 0, "lat"), (0, -181, "lon"), (math.nan, 0, "lat")])
def test_what_is_no_place(lat: float, lon: float, name: str) -> None:
    with pytest.raises(InputError, match=f"^{name}: got"):
        encode_latlon([1, lat], [1, lon])


def test_gsd() -> None:
    assert (gsd_m().shape, gsd_m().dtype, float(gsd_m())) == ((), np.float32, 10)


def test_torch_is_never_imported() -> None:
    code = "import sys; sys.modules['torch'] = None; import s2chips_core.chips.clay, s2chips_core.index.clay"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
