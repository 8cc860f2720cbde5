import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from s2chips_core.scenes.radiometry import baseline_number, decide_boa_offset, pixel_evidence, to_reflectance
from tests.scenes.samples import scene

RNG = np.random.default_rng(4)
WATER_WITHOUT = RNG.integers(20, 300, (64, 64)).astype(np.uint16)
WATER_WITH = (WATER_WITHOUT + 1000).astype(np.uint16)
BRIGHT = RNG.integers(2500, 6000, (64, 64)).astype(np.uint16)


def with_offset(value: float | None, **changes: Any) -> Any:
    base = scene(provider="cdse", boa_offset_flag=None, **changes)
    return dataclasses.replace(base, assets={b: dataclasses.replace(a, offset=value) for b, a in base.assets.items()})


@pytest.mark.parametrize(
    ("given_scene", "offset_dn", "source"),
    [
        (scene(), 0, "flag"),
        (scene(boa_offset_flag=False), -1000, "flag"),
        (scene(processing_baseline="03.01", boa_offset_flag=None), 0, "baseline"),
        (scene(processing_baseline="03.01", boa_offset_flag=False), 0, "baseline"),
        (scene(collection="sentinel-2-c1-l2a", boa_offset_flag=None), -1000, "baseline"),
        (scene(collection="sentinel-2-c1-l2a", boa_offset_flag=False), -1000, "baseline"),
        (scene(provider="planetary_computer", boa_offset_flag=None, processing_baseline="04.00"), -1000, "baseline"),
        (scene(provider="planetary_computer", boa_offset_flag=None, processing_baseline="02.12"), 0, "baseline"),
        (with_offset(-0.1), -1000, "item_offset"),
        (with_offset(None), -1000, "baseline"),
        (with_offset(0.0, processing_baseline="02.14"), 0, "baseline"),
    ],
)
def test_what_the_item_says_decides(given_scene: Any, offset_dn: int, source: str) -> None:
    decision = decide_boa_offset(given_scene)
    assert (decision.boa_offset_dn, decision.boa_offset_source, decision.needs_pixels) == (offset_dn, source, False)


CONTRADICTIONS = [
    scene(processing_baseline="03.01", boa_offset_flag=True),
    scene(boa_offset_flag=None),
    scene(collection="sentinel-2-c1-l2a", boa_offset_flag=True),
    scene(processing_baseline=None),
    scene(processing_baseline="99.99"),
    with_offset(0.0),
    with_offset(-0.1, processing_baseline="02.14"),
]


@pytest.mark.parametrize("given_scene", CONTRADICTIONS)
def test_what_contradicts_itself_is_decided_from_pixels_or_not_at_all(given_scene: Any) -> None:
    asked = decide_boa_offset(given_scene)
    assert (asked.boa_offset_dn, asked.needs_pixels) == (None, True)
    water = np.ones(WATER_WITH.shape, dtype=bool)
    for dn, mask, expected in [
        (WATER_WITHOUT, water, 0),
        (WATER_WITHOUT, None, 0),
        (WATER_WITH, water, -1000),
        (WATER_WITH, None, -1000),
        (BRIGHT, None, None),
        (BRIGHT, water, None),
        (np.zeros((64, 64), np.uint16), water, None),
        (WATER_WITHOUT[:5, :5], water[:5, :5], None),
    ]:
        decision = decide_boa_offset(given_scene, pixel_evidence(dn, mask))
        assert decision.boa_offset_dn == expected
        assert decision.boa_offset_source == ("undecided" if expected is None else "pixels")
        assert not decision.needs_pixels
        assert "valid pixels" in decision.detail


def test_a_few_reflectances_below_zero_do_not_hide_the_offset() -> None:
    dn = WATER_WITH.copy()
    dn[:1, :60] = RNG.integers(880, 950, 60)  # 1.5 % between -0.012 and -0.005: more than usual
    water = np.ones(dn.shape, dtype=bool)
    assert decide_boa_offset(scene(boa_offset_flag=None), pixel_evidence(dn, water)).boa_offset_dn is None
    dn[:1, 4:] = 1010
    assert decide_boa_offset(scene(boa_offset_flag=None), pixel_evidence(dn, water)).boa_offset_dn == -1000


def test_the_pixels_of_a_real_scene_with_and_without_the_offset(shared_data: Path) -> None:
    folder = shared_data / "archive-32VPH"
    ambiguous = scene(boa_offset_flag=None)
    for band in ("B08", "B11", "B12"):
        with rasterio.open(folder / f"{band}.tif") as without, rasterio.open(folder / f"c1-{band}.tif") as carried:
            removed, kept = without.read(1), carried.read(1)
        water = (removed > 0) & (removed < 300)  # SCL is not in this archive; ships and land are brighter
        assert decide_boa_offset(ambiguous, pixel_evidence(removed, water)).boa_offset_dn == 0
        assert decide_boa_offset(ambiguous, pixel_evidence(removed)).boa_offset_dn == 0
        assert decide_boa_offset(ambiguous, pixel_evidence(kept, water)).boa_offset_dn == -1000
        same = to_reflectance(removed[removed > 0], 0) == to_reflectance(kept[removed > 0], -1000)
        assert same.all()


def test_real_pixels_without_an_offset_are_never_taken_for_such_with_one(shared_data: Path) -> None:
    """Chips that the service harmonised, harbours, and scenes of 2017 and 2018."""
    decided = []
    for file in sorted((shared_data / "ais-ships" / "chips").glob("*.tif")):
        with rasterio.open(file) as dataset:
            bands = [np.maximum(dataset.read(index), 0).astype(np.uint16) for index in (8, 11, 12)]  # B08, B11, B12
        decided += [pixel_evidence(band) for band in bands]
    for file in sorted((shared_data / "harbours").rglob("*_B*.tiff")):
        if file.stem.endswith(("B08", "B11")):
            with rasterio.open(file) as dataset:
                decided.append(pixel_evidence(np.round(dataset.read(1) / 6.5535).astype(np.uint16)))
    for file in sorted((shared_data / "l2a-utm").glob("S2*/*_B*.tif")):
        if file.stem.endswith(("B08", "B11", "B12")):
            with rasterio.open(file) as dataset:
                decided.append(pixel_evidence(dataset.read(1).astype(np.uint16)))
    offsets = [decide_boa_offset(scene(boa_offset_flag=None), evidence).boa_offset_dn for evidence in decided]
    assert len(offsets) > 130
    assert set(offsets) <= {0, None}
    assert offsets.count(0) > 0.9 * len(offsets)  # the rest are fields and woods without a dark pixel


@settings(deadline=None)
@given(
    hnp.arrays(np.uint16, hnp.array_shapes(max_dims=3, max_side=20), elements=st.integers(0, 65535)),
    st.sampled_from([0, -1000]),
)
def test_reflectance_is_the_quotient_rounded_once(dn: np.ndarray, offset_dn: int) -> None:
    reflectance = to_reflectance(dn, offset_dn)
    exact = np.clip((dn.astype(np.float64) + offset_dn) / 10_000, 0.0001, 1.0)
    assert reflectance.dtype == np.float32
    assert reflectance.shape == dn.shape
    assert (reflectance == np.where(dn == 0, 0.0, exact).astype(np.float32)).all()


def test_every_digital_number() -> None:
    dn = np.arange(65536, dtype=np.uint16)
    for offset_dn in (0, -1000):
        reflectance = to_reflectance(dn, offset_dn)
        assert reflectance[0] == 0
        assert (reflectance[1:] >= np.float32(0.0001)).all()
        assert (reflectance <= 1).all()
        exact = np.clip((dn[1:].astype(np.float64) + offset_dn) / 10_000, 0.0001, 1.0)
        assert (reflectance[1:] == exact.astype(np.float32)).all()


@pytest.mark.parametrize(
    ("text", "number"), [("05.11", (5, 11)), ("02.05", (2, 5)), ("99.99", None), (None, None), ("x", None), ("5", None)]
)
def test_baselines_are_numbers(text: str | None, number: tuple[int, int] | None) -> None:
    assert baseline_number(text) == number
