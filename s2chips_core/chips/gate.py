"""The gate: which chips are refused for cloud, land, too little water or too little data. Pure.

Here: the fractions, the limits and the sentence. Not here: reading pixels (`cutting`). Fractions count valid pixels only;
what was not measured is none, never 0: a missing SCL never counts as clear. SCL classes: ESA, Sentinel-2 L2A product
definition (0 no data, 1 saturated or defective, 3 cloud shadow, 4 vegetation, 5 bare, 6 water, 7 unclassified, 8-10 cloud).

When several limits are broken the reason is the first of: nodata, cloud, land, water.
"""

import dataclasses
import functools
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from s2chips_core.sections import Gate

SCL_INVALID = (0, 1)
NDWI_EPSILON = 1e-6
MOST_BAND_ZEROS = 0.25
"""Dark water that an archive has clipped to DN 0 reaches 5 % of B08 in real chips; more than this is a lost block."""

BoolArray = npt.NDArray[np.bool_]


class RefusalReason(StrEnum):
    """Why there is no chip; the values are those of `index.outcomes.Outcome`."""

    GATE_CLOUD = "gate_cloud"
    GATE_LAND = "gate_land"
    GATE_WATER = "gate_water"
    NODATA = "nodata"
    MISSING_ASSET = "missing_asset"
    READ_ERROR = "read_error"


class GateVerdict(StrEnum):
    """How a chip passed."""

    PASS = "pass"  # noqa: S105 - no password
    PASS_NDWI_ONLY = "pass_ndwi_only"  # noqa: S105
    """There was no SCL to judge cloud and land by."""
    OFF = "off"
    """Nothing was judged."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class GateNumbers:
    """What was measured; none: not measurable, or the chip was refused before."""

    qa_cloud_frac: float | None = None
    """Share of the valid SCL pixels of the centre window that are cloud."""
    qa_land_frac: float | None = None
    """The same for land."""
    qa_water_frac: float | None = None
    """Share of the valid pixels of the centre window whose NDWI is above the threshold."""
    qa_nodata_frac: float | None = None
    """Share of the whole chip where no band has data (where SCL says no data, as long as no band has been read)."""
    valid_px: int | None = None
    """Valid pixels of the centre window: by the bands, or by SCL as long as no band has been read."""
    scl_present: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """Numbers so far, and the refusal if there is one."""

    numbers: GateNumbers
    reason: RefusalReason | None = None
    detail: str = ""
    """A sentence with the numbers and limits; empty without a refusal."""


def center(values: npt.NDArray[Any], center_window_px: int) -> npt.NDArray[Any]:
    """The centre window of a chip (rows, columns): rows and columns size/2 - window/2 up to size/2 + window/2 - 1."""
    rows, cols = values.shape
    top, left = (rows - center_window_px) // 2, (cols - center_window_px) // 2
    return values[top : top + center_window_px, left : left + center_window_px]


def ndwi(green: npt.NDArray[np.float32], nir: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """(B03 - B08) / (B03 + B08 + 1e-6) of reflectances (S. K. McFeeters, 1996, Int. J. Remote Sensing 17, 1425)."""
    result: npt.NDArray[np.float32] = (green - nir) / (green + nir + np.float32(NDWI_EPSILON))
    return result


def judge_missing_scl(gate: Gate, why: str) -> Judgement:
    """A scene without SCL: refused or not, by `on_missing_scl`.

    Args:
        gate: the limits.
        why: what is wrong with the SCL, for the sentence.
    """
    numbers = GateNumbers(scl_present=False)
    if gate.enabled and gate.on_missing_scl == "reject":
        detail = f"{why}, and gate.on_missing_scl is reject"
        return Judgement(numbers=numbers, reason=RefusalReason.MISSING_ASSET, detail=detail)
    return Judgement(numbers=numbers)


def judge_scl(scl: npt.NDArray[np.uint8], gate: Gate) -> Judgement:
    """Cloud and land in the centre, before any band is read.

    Args:
        scl: (rows, columns) of the whole chip on the 10 m grid.
        gate: the limits.
    """
    middle = center(scl, gate.center_window_px)
    valid = ~is_class(middle, SCL_INVALID)
    valid_px = int(np.count_nonzero(valid))
    numbers = GateNumbers(
        qa_cloud_frac=_share(is_class(middle, gate.cloud_classes) & valid, valid_px),
        qa_land_frac=_share(is_class(middle, gate.land_classes) & valid, valid_px),
        qa_nodata_frac=_zeros(scl),
        valid_px=valid_px,
        scl_present=True,
    )
    if not gate.enabled:
        return Judgement(numbers=numbers)
    reason, detail = _first_broken(numbers, gate, "by SCL ")
    return Judgement(numbers=numbers, reason=reason, detail=detail)


def judge_water(numbers: GateNumbers, green: npt.NDArray[np.float32], nir: npt.NDArray[np.float32], gate: Gate) -> Judgement:
    """Water in the centre.

    Args:
        numbers: of `judge_scl` or `judge_missing_scl`.
        green, nir: reflectance of B03 and B08, (rows, columns) of the whole chip or of its centre, 0 is no data.
        gate: the limits.
    """
    green, nir = center(green, gate.center_window_px), center(nir, gate.center_window_px)
    valid = (green != 0) & (nir != 0)
    valid_px = int(np.count_nonzero(valid))
    water = (ndwi(green, nir) > gate.ndwi_water_thresh) & valid
    numbers = dataclasses.replace(numbers, qa_water_frac=_share(water, valid_px), valid_px=valid_px)
    if not gate.enabled:
        return Judgement(numbers=numbers)
    reason, detail = _first_broken(numbers, gate, "")
    return Judgement(numbers=numbers, reason=reason, detail=detail)


def judge_nodata(numbers: GateNumbers, has_data: dict[str, BoolArray], gate: Gate) -> Judgement:
    """Missing data in the whole chip, by the bands read so far: before water, and again when all bands are there.

    A pixel is without data where no band has any: a single 0 may be dark water that the archive has clipped. With the
    gate off only a chip without any valid pixel is refused.

    Args:
        numbers: so far.
        has_data: band -> (rows, columns), true where DN is not 0.
        gate: the limits.
    """
    zeros = {band: _zeros(data) for band, data in has_data.items()}
    # Mostly one band is without any gap, and nothing has to be put together.
    whole = next((data for band, data in has_data.items() if zeros[band] == 0.0), None)
    anywhere = np.logical_or.reduce(list(has_data.values())) if whole is None else whole
    middle = center(anywhere, gate.center_window_px)
    valid_px = int(np.count_nonzero(middle)) if numbers.qa_water_frac is None else numbers.valid_px
    numbers = dataclasses.replace(numbers, qa_nodata_frac=_zeros(anywhere), valid_px=valid_px)
    if numbers.qa_nodata_frac == 1.0:
        return _refuse(numbers, "no band has a valid pixel in the whole chip")
    if not gate.enabled:
        return Judgement(numbers=numbers)
    reason, detail = _first_broken(numbers, gate, "")
    if reason is not None:
        return Judgement(numbers=numbers, reason=reason, detail=detail)
    worst = max(zeros, key=lambda band: zeros[band])
    limit = max(gate.max_nodata_frac, MOST_BAND_ZEROS)
    if zeros[worst] > limit or not has_data[worst].any():
        return _refuse(numbers, f"{zeros[worst]:.1%} of {worst} is without data, at most {limit:.1%} may be")
    return Judgement(numbers=numbers)


def verdict(numbers: GateNumbers, gate: Gate) -> GateVerdict:
    """How a chip that was not refused has passed."""
    if not gate.enabled or (not numbers.scl_present and numbers.qa_water_frac is None):
        return GateVerdict.OFF
    return GateVerdict.PASS if numbers.scl_present else GateVerdict.PASS_NDWI_ONLY


def _first_broken(n: GateNumbers, gate: Gate, by: str) -> tuple[RefusalReason | None, str]:
    if n.qa_nodata_frac is not None and n.qa_nodata_frac > gate.max_nodata_frac:
        limit = f"at most {gate.max_nodata_frac:.1%} may be"
        return RefusalReason.NODATA, f"{by}{n.qa_nodata_frac:.1%} of the chip is without data, {limit}"
    where = f"of the {gate.center_window_px} x {gate.center_window_px} px at the centre"
    if n.valid_px == 0:
        return RefusalReason.NODATA, f"{by}none {where} is valid"
    of = f"of the {n.valid_px} valid pixels {where}"
    if n.qa_cloud_frac is not None and n.qa_cloud_frac > gate.max_cloud_center_frac:
        limit = f"at most {gate.max_cloud_center_frac:.1%} may be"
        return RefusalReason.GATE_CLOUD, f"{n.qa_cloud_frac:.1%} {of} are cloud, {limit}"
    if n.qa_land_frac is not None and n.qa_land_frac > gate.max_land_center_frac:
        limit = f"at most {gate.max_land_center_frac:.1%} may be"
        return RefusalReason.GATE_LAND, f"{n.qa_land_frac:.1%} {of} are land, {limit}"
    if n.qa_water_frac is not None and n.qa_water_frac < gate.min_water_center_frac:
        limit = f"at least {gate.min_water_center_frac:.1%} must be (NDWI above {gate.ndwi_water_thresh:g})"
        return RefusalReason.GATE_WATER, f"{n.qa_water_frac:.1%} {of} are water, {limit}"
    return None, ""


def _refuse(numbers: GateNumbers, detail: str) -> Judgement:
    return Judgement(numbers=numbers, reason=RefusalReason.NODATA, detail=detail)


def is_class(scl: npt.NDArray[np.uint8], classes: tuple[int, ...]) -> BoolArray:
    """Where SCL is one of some classes."""
    found: BoolArray = _class_table(tuple(classes))[scl]
    return found


@functools.lru_cache(maxsize=16)
def _class_table(classes: tuple[int, ...]) -> BoolArray:
    table = np.zeros(256, bool)
    table[[c for c in classes if 0 <= c < 256]] = True
    return table


def _zeros(values: npt.NDArray[Any]) -> float:
    """Share of the values that are 0."""
    return (values.size - int(np.count_nonzero(values))) / values.size


def _share(counted: BoolArray, of_px: int) -> float | None:
    return float(np.count_nonzero(counted)) / of_px if of_px else None
