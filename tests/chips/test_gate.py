"""The gate's fractions and reasons, against plain counting."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s2chips_core.chips.gate import (
    GateNumbers,
    GateVerdict,
    RefusalReason,
    center,
    judge_missing_scl,
    judge_nodata,
    judge_scl,
    judge_water,
    ndwi,
    verdict,
)
from s2chips_core.index.outcomes import Outcome
from s2chips_core.sections import Gate

GATE = Gate()
OFF = Gate(enabled=False)
WATER, CLOUD, LAND = 6, 9, 4
PASSED = GateNumbers(qa_cloud_frac=0.0, qa_land_frac=0.0, qa_nodata_frac=0.0, valid_px=4096, scl_present=True)


def scl_with(**centre: int) -> np.ndarray:
    """Water everywhere, and in the centre window so many pixels of each class (c9=100)."""
    scl = np.full((256, 256), WATER, "uint8")
    middle = np.full(64 * 64, WATER, "uint8")
    at = 0
    for name, count in centre.items():
        middle[at : at + count] = int(name[1:])
        at += count
    scl[96:160, 96:160] = middle.reshape(64, 64)
    return scl


def water_scene(water_px: int, valid_px: int = 4096) -> tuple[np.ndarray, np.ndarray]:
    """B03 and B08 with so many water pixels among the first valid ones of the centre; the rest is bright land."""
    green, nir = np.full(4096, 0.1, "float32"), np.full(4096, 0.3, "float32")
    nir[:water_px] = 0.02
    green[valid_px:] = nir[valid_px:] = 0
    whole = np.full((256, 256), 0.2, "float32"), np.full((256, 256), 0.2, "float32")
    for band, middle in zip(whole, (green, nir), strict=True):
        band[96:160, 96:160] = middle.reshape(64, 64)
    return whole


def test_reasons_are_outcomes() -> None:
    assert {r.value for r in RefusalReason} <= {o.value for o in Outcome}


@pytest.mark.parametrize("size", [256, 64, 100, 512])
def test_the_centre_window_holds_the_ships_pixel_in_its_middle(size: int) -> None:
    values = np.zeros((size, size), int)
    values[size // 2, size // 2] = 1
    middle = center(values, 64)
    assert middle.shape == (64, 64)
    assert middle[32, 32] == 1


@pytest.mark.parametrize(
    ("centre", "reason"),
    [
        ({}, None),
        ({"c9": 204}, None),  # 4.98 %
        ({"c9": 205}, RefusalReason.GATE_CLOUD),  # 5.005 %
        ({"c3": 4096}, None),  # cloud shadow is not in cloud_classes
        ({"c4": 819}, None),
        ({"c4": 820}, RefusalReason.GATE_LAND),
        ({"c4": 2000, "c9": 2000}, RefusalReason.GATE_CLOUD),
        ({"c1": 4096}, RefusalReason.NODATA),
        ({"c0": 4096}, RefusalReason.NODATA),
        ({"c1": 4000, "c9": 5}, RefusalReason.GATE_CLOUD),  # 5 of 96 valid pixels
        ({"c1": 4000, "c9": 4}, None),
    ],
)
def test_scl(centre: dict[str, int], reason: RefusalReason | None) -> None:
    judgement = judge_scl(scl_with(**centre), GATE)
    assert judgement.reason == reason
    assert bool(judgement.detail) == (reason is not None)
    off = judge_scl(scl_with(**centre), OFF)
    assert off.reason is None
    assert off.numbers == judgement.numbers


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([32, 64, 128]))
def test_scl_fractions_are_counts(seed: int, window: int) -> None:
    scl = np.random.default_rng(seed).integers(0, 12, (128, 128)).astype("uint8")
    numbers = judge_scl(scl, Gate(center_window_px=window, cloud_classes=(0, 8, 9), land_classes=(4, 5))).numbers
    half = window // 2
    classes = scl[64 - half : 64 + half, 64 - half : 64 + half].ravel().tolist()
    valid = [c for c in classes if c not in (0, 1)]
    assert numbers.valid_px == len(valid)
    assert numbers.qa_cloud_frac == pytest.approx(sum(c in (8, 9) for c in valid) / len(valid))
    assert numbers.qa_land_frac == pytest.approx(sum(c in (4, 5) for c in valid) / len(valid))
    assert numbers.qa_nodata_frac == pytest.approx((scl == 0).sum() / scl.size)
    assert numbers.qa_water_frac is None


def test_scl_nodata_comes_before_cloud() -> None:
    scl = scl_with(c9=4096)
    scl[:20] = 0
    judgement = judge_scl(scl, GATE)
    assert judgement.reason == RefusalReason.NODATA
    assert judgement.detail == "by SCL 7.8% of the chip is without data, at most 5.0% may be"
    assert judgement.numbers.qa_cloud_frac == 1.0


def test_the_sentence_has_the_numbers() -> None:
    detail = judge_scl(scl_with(c9=1024, c1=2048), GATE).detail
    assert detail == "50.0% of the 2048 valid pixels of the 64 x 64 px at the centre are cloud, at most 5.0% may be"


def test_missing_scl_never_counts_as_clear() -> None:
    judgement = judge_missing_scl(GATE, "the scene has no SCL")
    assert judgement.reason is None
    numbers = judgement.numbers
    assert (numbers.qa_cloud_frac, numbers.qa_land_frac, numbers.scl_present) == (None, None, False)
    passed = judge_water(numbers, *water_scene(4096), GATE)
    assert passed.reason is None
    assert verdict(passed.numbers, GATE) == GateVerdict.PASS_NDWI_ONLY
    refused = judge_missing_scl(Gate(on_missing_scl="reject"), "the scene has no SCL")
    assert refused.reason == RefusalReason.MISSING_ASSET
    assert refused.detail == "the scene has no SCL, and gate.on_missing_scl is reject"
    assert judge_missing_scl(Gate(on_missing_scl="reject", enabled=False), "").reason is None


@pytest.mark.parametrize(
    ("water_px", "valid_px", "reason"),
    [
        (2048, 4096, None),
        (2047, 4096, RefusalReason.GATE_WATER),
        (100, 200, None),
        (99, 200, RefusalReason.GATE_WATER),
        (0, 0, RefusalReason.NODATA),
    ],
)
def test_water(water_px: int, valid_px: int, reason: RefusalReason | None) -> None:
    judgement = judge_water(PASSED, *water_scene(water_px, valid_px), GATE)
    assert judgement.reason == reason
    assert judgement.numbers.valid_px == valid_px
    assert judgement.numbers.qa_water_frac == (pytest.approx(water_px / valid_px) if valid_px else None)
    off = judge_water(PASSED, *water_scene(water_px, valid_px), OFF)
    assert (off.reason, off.numbers) == (None, judgement.numbers)


@given(st.floats(0.0001, 1), st.floats(0.0001, 1))
def test_ndwi_is_the_formula(green: float, nir: float) -> None:
    got = ndwi(np.array([[green]], "float32"), np.array([[nir]], "float32"))
    assert float(got[0, 0]) == pytest.approx((green - nir) / (green + nir + 1e-6), abs=1e-6)


def test_nodata_is_where_no_band_has_any() -> None:
    one, other = np.ones((256, 256), bool), np.ones((256, 256), bool)
    one[:12] = other[:12] = False  # 4.7 % of the chip
    other[100] = False  # dark water that is 0 in one band
    judgement = judge_nodata(PASSED, {"B03": one, "B08": other}, GATE)
    assert judgement.reason is None
    assert judgement.numbers.qa_nodata_frac == 12 / 256
    one[12] = other[12] = False
    refused = judge_nodata(PASSED, {"B03": one, "B08": other}, GATE)
    assert refused.reason == RefusalReason.NODATA
    assert refused.detail == "5.1% of the chip is without data, at most 5.0% may be"
    assert judge_nodata(PASSED, {"B03": one, "B08": other}, OFF).reason is None


def test_a_band_that_has_lost_much_is_refused() -> None:
    whole, lost = np.ones((256, 256), bool), np.ones((256, 256), bool)
    lost[:, :70] = False
    judgement = judge_nodata(PASSED, {"B03": whole, "B04": lost}, GATE)
    assert judgement.reason == RefusalReason.NODATA
    assert judgement.detail == "27.3% of B04 is without data, at most 25.0% may be"
    assert judge_nodata(PASSED, {"B03": whole, "B04": lost}, Gate(max_nodata_frac=0.3)).reason is None
    assert judge_nodata(PASSED, {"B03": whole, "B04": lost & False}, Gate(max_nodata_frac=1)).reason is not None


def test_without_any_valid_pixel_the_gate_need_not_be_on() -> None:
    empty = np.zeros((256, 256), bool)
    assert judge_nodata(PASSED, {"B03": empty, "B08": empty}, OFF).reason == RefusalReason.NODATA


def test_an_empty_centre_is_refused_even_where_much_nodata_is_allowed() -> None:
    data = np.ones((256, 256), bool)
    data[96:160, 96:160] = False
    judgement = judge_nodata(GateNumbers(), {"B03": data}, Gate(max_nodata_frac=1))
    assert judgement.reason == RefusalReason.NODATA
    assert judgement.detail == "none of the 64 x 64 px at the centre is valid"


def test_verdicts() -> None:
    watered = dataclasses.replace(PASSED, qa_water_frac=0.9)
    assert verdict(watered, GATE) == "pass"
    assert verdict(PASSED, GATE) == "pass"  # NDWI was not asked for
    assert verdict(dataclasses.replace(watered, scl_present=False), GATE) == "pass_ndwi_only"
    assert verdict(watered, OFF) == "off"
    assert verdict(GateNumbers(), GATE) == "off"
