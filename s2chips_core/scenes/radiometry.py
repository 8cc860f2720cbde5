"""The -1000: is ESA's radiometric offset still in the pixels of a scene, and from digital numbers to reflectance.

Since processing baseline 04.00 (January 2022) ESA adds 1000 to every digital number (BOA_ADD_OFFSET = -1000), so that
reflectances below zero can be told; reflectance = (DN + BOA_ADD_OFFSET) / 10000. Some archives take it off again. What the
item says decides; where it contradicts itself the pixels do; what stays ambiguous is refused.
Not here: reading pixels (`chips`) and what each collection means (`providers`).
"""

import dataclasses
import functools
import math

import numpy as np
import numpy.typing as npt

from s2chips_core.scenes.providers import collection_profile
from s2chips_core.scenes.scene import Scene

BOA_ADD_OFFSET_DN = -1000
QUANTIFICATION = 10_000
LEAST_VALID = 0.0001
"""The smallest reflectance of a valid pixel: 0 means no data and nothing else."""
FIRST_BASELINE_WITH_OFFSET = (4, 0)
LAST_BASELINE = (90, 0)
"""From here on (such as 99.99, of tests and one-off runs) the number tells nothing."""

LEAST_EVIDENCE_PX = 100
OFFSET_ABSENT_DN = 950
OFFSET_ABSENT_SHARE = 0.001
OFFSET_ABSENT_P1_DN = 500
"""Reflectances a little below zero exist, so with the offset a few DN lie below 1000; none so far below."""
OFFSET_PRESENT_DARK_DN = (1000, 1500)
"""Where the median of a dark surface lies with the offset. Real water measures 30 to 400 DN without it in B08, B11, B12."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PixelEvidence:
    """What the digital numbers of dark bands show. Shares are of the valid pixels."""

    valid_px: int
    share_below_950: float
    share_below_1000: float
    p1_dn: float
    """First percentile of the valid pixels; NaN without any."""
    dark_is_water: bool
    """Whether the dark surface is known to be water; else all valid pixels stand for it."""
    dark_px: int
    """Valid pixels of the dark surface."""
    median_dn: float
    """Median of the dark surface; NaN without any."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class OffsetDecision:
    """What to add to the digital numbers, and why."""

    boa_offset_dn: int | None
    """0 or -1000; none: not decided, the scene must not be used."""
    boa_offset_source: str
    """baseline, flag, item_offset, pixels; `undecided` with none."""
    detail: str
    needs_pixels: bool
    """Whether pixels were not given and would help."""


def pixel_evidence(dn: npt.NDArray[np.uint16], water: npt.NDArray[np.bool_] | None = None) -> PixelEvidence:
    """Measure dark bands (B08, B11, B12 over water).

    Args:
        dn: digital numbers, any shape, 0 is no data.
        water: same shape (or one that broadcasts to it), true on water; none: not known, every pixel counts.
    """
    valid = dn > 0
    values = dn[valid].astype(np.float64)
    dark = values if water is None else dn[valid & water].astype(np.float64)
    return PixelEvidence(
        valid_px=int(values.size),
        share_below_950=float((values < OFFSET_ABSENT_DN).mean()) if values.size else 0.0,
        share_below_1000=float((values < -BOA_ADD_OFFSET_DN).mean()) if values.size else 0.0,
        p1_dn=float(np.percentile(values, 1)) if values.size else math.nan,
        dark_is_water=water is not None,
        dark_px=int(dark.size),
        median_dn=float(np.median(dark)) if dark.size else math.nan,
    )


def decide_boa_offset(scene: Scene, pixels: PixelEvidence | None = None) -> OffsetDecision:
    """Decide the offset of a scene.

    Args:
        scene: its baseline, flag, collection and declared offsets are looked at.
        pixels: looked at only where those contradict each other or do not tell.
    """
    profile = collection_profile(scene.provider, scene.collection)
    baseline, flag = baseline_number(scene.processing_baseline), scene.boa_offset_flag
    named = f"baseline {scene.processing_baseline}"
    declared = {asset.offset for band, asset in scene.assets.items() if band != "SCL" and asset.offset is not None}

    if baseline is None:
        return _by_pixels(f"the processing baseline is unknown ({scene.processing_baseline})", pixels)
    if baseline < FIRST_BASELINE_WITH_OFFSET:
        if flag:
            return _by_pixels(f"the item says that an offset was taken off, but {named} has none", pixels)
        if profile.item_offset_is_evidence and declared - {0.0}:
            return _by_pixels(f"the assets declare an offset {sorted(declared)}, but {named} has none", pixels)
        return _decided(0, "baseline", f"{named} is older than 04.00 and has no offset")
    if profile.boa_offset == "flag":
        if flag is None:
            return _by_pixels(f"{named} has an offset, and the item does not say whether it was taken off", pixels)
        if flag:
            return _decided(0, "flag", f"the offset of {named} was taken off: boa_offset_applied is true")
        return _decided(BOA_ADD_OFFSET_DN, "flag", f"the offset of {named} is in there: boa_offset_applied is false")
    if flag:
        return _by_pixels(f"{scene.collection} carries the offset of {named}, but boa_offset_applied is true", pixels)
    if profile.item_offset_is_evidence and declared:
        if declared != {BOA_ADD_OFFSET_DN / QUANTIFICATION}:
            return _by_pixels(f"{named} has an offset of -0.1, but the assets declare {sorted(declared)}", pixels)
        return _decided(BOA_ADD_OFFSET_DN, "item_offset", f"{named}, and the assets declare an offset of -0.1")
    return _decided(BOA_ADD_OFFSET_DN, "baseline", f"{scene.collection} carries the offset of {named}")


def to_reflectance(
    dn: npt.NDArray[np.uint16], boa_offset_dn: int, out: npt.NDArray[np.float32] | None = None
) -> npt.NDArray[np.float32]:
    """Digital numbers as reflectance.

    Args:
        dn: any shape, 0 is no data.
        boa_offset_dn: 0 or -1000.
        out: where to put it, of the same shape.

    Returns:
        Same shape: 0 where there is no data, else (DN + offset) / 10000 clipped to [0.0001, 1], the quotient rounded once.
    """
    # There are 65,536 digital numbers: looking up is one pass over the pixels, computing is five.
    reflectance: npt.NDArray[np.float32] = np.take(_reflectances(boa_offset_dn), dn, out=out, mode="clip")
    return reflectance


@functools.lru_cache(maxsize=8)
def _reflectances(boa_offset_dn: int) -> npt.NDArray[np.float32]:
    """The reflectance of every digital number."""
    dn = np.arange(1 << 16, dtype=np.int32)
    # Both whole numbers are exact in float32, so that the IEEE 754 division rounds correctly.
    table: npt.NDArray[np.float32] = np.clip(dn + boa_offset_dn, 1, QUANTIFICATION).astype(np.float32)
    table /= np.float32(QUANTIFICATION)
    table[0] = 0.0
    table.setflags(write=False)
    return table


def baseline_number(text: str | None) -> tuple[int, int] | None:
    """A processing baseline as numbers that can be compared; none where it tells nothing.

    >>> baseline_number("05.11")
    (5, 11)
    """
    major, _, minor = (text or "").partition(".")
    if not (major.isdigit() and minor.isdigit()):
        return None
    number = int(major), int(minor)
    return number if number < LAST_BASELINE else None


def _decided(offset_dn: int, source: str, detail: str) -> OffsetDecision:
    return OffsetDecision(boa_offset_dn=offset_dn, boa_offset_source=source, detail=detail, needs_pixels=False)


def _by_pixels(problem: str, pixels: PixelEvidence | None) -> OffsetDecision:
    if pixels is None:
        detail = f"{problem}; the pixels have not been looked at"
        return OffsetDecision(boa_offset_dn=None, boa_offset_source="undecided", detail=detail, needs_pixels=True)
    low, high = OFFSET_PRESENT_DARK_DN
    measured = (
        f"{problem}; of {pixels.valid_px} valid pixels {pixels.share_below_950:.2%} are below {OFFSET_ABSENT_DN} DN, "
        f"and the median of {pixels.dark_px} dark ones is {pixels.median_dn:.0f} DN"
    )
    many_dark = pixels.valid_px >= LEAST_EVIDENCE_PX and pixels.share_below_950 > OFFSET_ABSENT_SHARE
    if many_dark and (pixels.median_dn < OFFSET_ABSENT_DN or pixels.p1_dn < OFFSET_ABSENT_P1_DN):
        return _decided(0, "pixels", f"{measured}: no offset is in there")
    none_dark = not many_dark if pixels.dark_is_water else pixels.share_below_1000 == 0.0
    if pixels.dark_px >= LEAST_EVIDENCE_PX and none_dark and low <= pixels.median_dn <= high:
        return _decided(BOA_ADD_OFFSET_DN, "pixels", f"{measured}: the offset is in there")
    detail = f"{measured}: that does not show whether the offset of 1000 DN is in there"
    return OffsetDecision(boa_offset_dn=None, boa_offset_source="undecided", detail=detail, needs_pixels=False)
