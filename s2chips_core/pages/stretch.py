"""Bands as grey pictures and composites, stretched as the quicklook is, but quickly: by tables over whole numbers.

Here: the stretch. Not here: which bands make a picture (`views`). A chip holds whole numbers of 1e-4, so a histogram knows
its percentiles and a table of 10,001 values is the whole stretch; bands that were resampled are rounded to 1e-4 for it.
"""

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

Numbers = npt.NDArray[np.uint16]
Shares = npt.NDArray[np.float32]


def to_numbers(reflectance: npt.NDArray[np.float32]) -> Numbers:
    """Reflectance as whole numbers of 1e-4, 0 to 10,000; 0 is no data, and nothing that has data becomes 0."""
    numbers: Numbers = np.clip(np.rint(reflectance * np.float32(STEPS)), reflectance != 0, STEPS).astype(np.uint16)
    return numbers


def share_table(numbers: Numbers) -> Shares:
    """Share of full brightness, 0 to 1, for each whole number: the 2nd percentile is 0, the 98th is 1.

    Percentiles are of the pixels with data, as `numpy.percentile` has them. A range narrower than 0.04 is stretched over
    0.04 instead.
    """
    counts = _counts(numbers)
    total = int(counts.sum())
    if total == 0:
        return np.zeros(STEPS + 1, np.float32)
    ends = np.cumsum(counts)

    def percentile(percent: float) -> float:
        rank = percent / 100.0 * (total - 1)
        below, above = np.searchsorted(ends, [int(rank) + 1, min(int(rank) + 2, total)])
        return float(below + (rank - int(rank)) * (above - below))

    low, high = percentile(LOW_PERCENT) / STEPS, percentile(HIGH_PERCENT) / STEPS
    widen = max(LEAST_RANGE - (high - low), 0.0)
    low, high = low - widen / 3, high + widen * 2 / 3
    values = np.arange(STEPS + 1) / STEPS
    return np.clip((values - low) / (high - low), 0.0, 1.0).astype(np.float32)


def grey(numbers: Numbers, table: Shares) -> npt.NDArray[np.uint8]:
    """One band, (rows, cols); dark grey where there is no data."""
    # The table rises: the share of the median pixel is the median of the shares.
    bright = _bright(table, _gamma(table, _counts(numbers)))
    bright[0] = NODATA_GREY
    return bright[numbers]


def composite(bands: tuple[Numbers, Numbers, Numbers], tables: tuple[Shares, Shares, Shares]) -> npt.NDArray[np.uint8]:
    """Three bands as red, green and blue, (rows, cols, 3); dark grey where one of them has no data."""
    valid = (bands[0] != 0) & (bands[1] != 0) & (bands[2] != 0)
    picture = np.full((*valid.shape, 3), NODATA_GREY, np.uint8)
    if not valid.any():
        return picture
    thirds = [(table * np.float32(_FINE / 3)).astype(np.uint16) for table in tables]
    mean = thirds[0][bands[0]] + thirds[1][bands[1]] + thirds[2][bands[2]]
    gamma = _gamma(np.arange(_FINE + 1) / _FINE, np.bincount(mean[valid], minlength=_FINE + 1))
    for channel, (numbers, table) in enumerate(zip(bands, tables, strict=True)):
        picture[..., channel] = _bright(table, gamma)[numbers]
    if not valid.all():
        picture[~valid] = NODATA_GREY
    return picture


def _counts(numbers: Numbers) -> npt.NDArray[np.int64]:
    """How many pixels have each number; those without data are not counted."""
    counts = np.bincount(numbers.ravel(), minlength=STEPS + 1)
    counts[0] = 0
    return counts


def _gamma(shares: npt.NDArray[Any], counts: npt.NDArray[np.int64]) -> float:
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


def _bright(table: Shares, gamma: float) -> npt.NDArray[np.uint8]:
    lifted = table if gamma == 1.0 else table ** np.float32(gamma)
    return (lifted * 255.0 + 0.5).astype(np.uint8)
