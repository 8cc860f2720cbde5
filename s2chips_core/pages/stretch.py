"""Bands as grey pictures and composites, stretched as the quicklook is, but quickly: by tables over whole numbers.

Here: the stretch. Not here: which bands make a picture (`views`). A chip holds whole numbers of 1e-4, so a histogram knows
its percentiles and a table of 10,001 values is the whole stretch; bands that were resampled are rounded to 1e-4 for it.
"""

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

from s2chips_core.chips.quicklook import (
    HIGH_PERCENT,
    LEAST_MIDDLE,
    LEAST_RANGE,
    LOW_PERCENT,
    NODATA_GREY,
    STRONGEST_GAMMA,
)

STEPS = 10_000
"""A reflectance of 1."""
_FINE = 3_000
"""Steps in which the brightness of composites is counted."""
_VALUES = np.arange(STEPS + 1) / STEPS
_MEANS = np.arange(_FINE + 1) / _FINE
_GREY = np.uint32(0x010101)

Numbers = npt.NDArray[np.intp]
"""What tables are indexed with: numbers of any other type would be made that at every use."""
Shares = npt.NDArray[np.float32]
Counts = npt.NDArray[np.int64]
Picture = npt.NDArray[np.uint32]
"""(rows, cols): a colour for each pixel, as `pack` has it."""


def pack(colours: npt.ArrayLike) -> Picture:
    """Red, green and blue (..., 3), 0 to 255, as whole numbers (...), red lowest: as Pillow has them."""
    red, green, blue = np.moveaxis(np.asarray(colours, np.uint32), -1, 0)
    packed: Picture = red | green << 8 | blue << 16
    return packed


NODATA = pack((NODATA_GREY,) * 3)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """One band of a chip, counted."""

    numbers: Numbers
    """(rows, cols), whole numbers of 1e-4; 0 is no data."""
    counts: Counts
    """How many pixels have each number; those without data are not counted."""
    shares: Shares
    """Of full brightness, 0 to 1, for each number; see `share_table`."""
    gaps: bool
    """Whether there are pixels without data."""

    @staticmethod
    def of(numbers: Numbers) -> "Band":
        """The band that has these numbers."""
        counts = np.bincount(numbers.ravel())
        gaps = bool(counts[0])
        counts[0] = 0
        return Band(numbers=numbers, counts=counts, shares=share_table(counts), gaps=gaps)


def to_numbers(reflectance: npt.NDArray[np.float32], *, out: Numbers | None = None) -> Numbers:
    """Reflectance as whole numbers of 1e-4, 0 to 10,000; 0 is no data, and nothing that has data becomes 0.

    They are put into `out` where it is given.
    """
    scaled = reflectance * np.float32(STEPS)
    np.rint(scaled, out=scaled)
    np.minimum(scaled, np.float32(STEPS), out=scaled)
    if not scaled.min() >= 1:
        np.fmax(scaled, reflectance != 0, out=scaled)
    numbers = np.empty(scaled.shape, np.intp) if out is None else out
    numbers[...] = scaled
    return numbers


def share_table(counts: Counts) -> Shares:
    """Share of full brightness, 0 to 1, for each whole number: the 2nd percentile is 0, the 98th is 1.

    Percentiles are of the pixels with data, as `numpy.percentile` has them. A range narrower than 0.04 is stretched over
    0.04 instead.

    Args:
        counts: how many pixels with data have each number.
    """
    ends = np.cumsum(counts)
    total = int(ends[-1])
    if total == 0:
        return np.zeros(len(counts), np.float32)

    def percentile(percent: float) -> float:
        rank = percent / 100.0 * (total - 1)
        below, above = np.searchsorted(ends, [int(rank) + 1, min(int(rank) + 2, total)])
        return float(below + (rank - int(rank)) * (above - below))

    low, high = percentile(LOW_PERCENT) / STEPS, percentile(HIGH_PERCENT) / STEPS
    widen = max(LEAST_RANGE - (high - low), 0.0)
    low, high = low - widen / 3, high + widen * 2 / 3
    shares = (_VALUES[: len(counts)] - low) / (high - low)
    return np.minimum(np.maximum(shares, 0.0), 1.0).astype(np.float32)


def grey(band: Band) -> Picture:
    """One band, (rows, cols); dark grey where there is no data."""
    # The table rises: the share of the median pixel is the median of the shares.
    tones = _tones(band.shares, _gamma(band.shares, band.counts)) * _GREY
    tones[0] = NODATA
    return tones.take(band.numbers)


def composite(red: Band, green: Band, blue: Band) -> Picture:
    """Three bands as red, green and blue, (rows, cols); dark grey where one of them has no data."""
    bands = (red, green, blue)
    thirds = [(band.shares * np.float32(_FINE / 3)).astype(np.uint16).take(band.numbers) for band in bands]
    mean = thirds[0]
    mean += thirds[1]
    mean += thirds[2]
    gaps = None
    if any(band.gaps for band in bands):
        gaps = (red.numbers == 0) | (green.numbers == 0) | (blue.numbers == 0)
        mean = mean[~gaps]
    gamma = _gamma(_MEANS, np.bincount(mean.ravel(), minlength=_FINE + 1))
    picture = _tones(red.shares, gamma).take(red.numbers)
    picture |= (_tones(green.shares, gamma) << 8).take(green.numbers)
    picture |= (_tones(blue.shares, gamma) << 16).take(blue.numbers)
    if gaps is not None:
        picture[gaps] = NODATA
    return picture


def _gamma(shares: npt.NDArray[Any], counts: Counts) -> float:
    """The curve that lifts the median to 0.15 where a bright wake or shore takes up the range; 1: none is needed.

    Args:
        shares: rising.
        counts: how many pixels have each.
    """
    ends = np.cumsum(counts)
    middle = float(shares[np.searchsorted(ends, (int(ends[-1]) + 1) // 2)]) if ends[-1] else 1.0
    if middle >= LEAST_MIDDLE:
        return 1.0
    return float(max(np.log(LEAST_MIDDLE) / np.log(max(middle, 1e-6)), STRONGEST_GAMMA))


def _tones(shares: Shares, gamma: float) -> Picture:
    """Brightness, 0 to 255, for each number."""
    lifted = shares if gamma == 1.0 else shares ** np.float32(gamma)
    return (lifted * 255.0 + 0.5).astype(np.uint32)
