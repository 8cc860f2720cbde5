"""From the 20 m grid to the 10 m grid: exactly 2 x, on digital numbers, aware of nodata. Pure.

Here: what GDAL's warper does for this one case, without its set-up cost. Not here: which 20 m pixels are needed
(`grid.coarse_window`). A 10 m pixel's centre lies a quarter of a 20 m pixel from the centre of the 20 m pixel that covers
it; the kernels are taken there. Cubic is Keys' kernel with a = -0.5 (R. G. Keys, 1981, IEEE TASSP 29, eq. 4; the one GDAL
calls `cubic`).
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from s2chips_core.chips.grid import CoarseWindow

MARGINS = {"nearest": 0, "bilinear": 1, "cubic": 2, "bicubic": 2}
"""20 m pixels that a method reads on each side of the covered ones."""

_BILINEAR = (0.75, 0.25)
"""At the covering pixel and at the next one on the near side."""
_CUBIC = (-0.0703125, 0.8671875, 0.2265625, -0.0234375)
"""Keys' kernel at 1.25, 0.25, 0.75 and 1.75 pixels: behind, covering, near side, beyond it."""

Floats = npt.NDArray[np.float64]


def upsample_nearest(
    values: npt.NDArray[Any], coarse: CoarseWindow, rows: int, cols: int, out: npt.NDArray[Any] | None = None
) -> npt.NDArray[Any]:
    """Each 10 m pixel takes the value of the 20 m pixel that covers it.

    Args:
        values: (coarse.window.rows, coarse.window.cols), any type.
        coarse: where `values` lies.
        rows, cols: of the 10 m window.
        out: where to put it, (rows, cols).
    """
    m = coarse.margin
    inner = values[m : values.shape[0] - m, m : values.shape[1] - m]
    if out is None:
        out = np.empty((rows, cols), values.dtype)
    for row in (0, 1):
        for col in (0, 1):
            top, left = (row + coarse.row_phase) // 2, (col + coarse.col_phase) // 2
            every_other = out[row::2, col::2]
            every_other[:] = inner[top : top + every_other.shape[0], left : left + every_other.shape[1]]
    return out


def upsample(
    dn: npt.NDArray[np.uint16], coarse: CoarseWindow, rows: int, cols: int, method: str, boa_offset_dn: int = 0
) -> Floats:
    """20 m digital numbers, with the offset added, on the 10 m grid.

    A 10 m pixel has no data exactly where the 20 m pixel that covers it has none. Bilinear leaves out neighbours without
    data and scales the other weights up to 1; where any of the 16 pixels of the cubic kernel has no data, bilinear is
    taken, as GDAL does.

    Args:
        dn: (coarse.window.rows, coarse.window.cols); 0 is no data, outside the raster too.
        coarse: where `dn` lies; its margin must be `MARGINS[method]`.
        rows, cols: of the 10 m window.
        method: nearest, bilinear, cubic or bicubic (the same).
        boa_offset_dn: added before anything is interpolated, so that an archive with the offset and one without it
            give the same bits.

    Returns:
        (rows, cols), NaN where there is no data.
    """
    if coarse.margin != MARGINS[method] or dn.shape != (coarse.window.rows, coarse.window.cols):
        raise ValueError(f"{dn.shape} pixels with a margin of {coarse.margin}, expected a margin of {MARGINS[method]}")
    valid = dn != 0
    values = np.where(valid, dn.astype(np.float64) + boa_offset_dn, 0.0)
    everywhere = bool(valid.all())
    if method == "nearest":
        fine = upsample_nearest(values, coarse, rows, cols)
    elif method == "bilinear":
        fine = _cut(_bilinear(values, None if everywhere else valid.astype(np.float64)), coarse, rows, cols)
    else:
        fine = _weigh_both(values, _CUBIC, 2)
        if not everywhere:
            whole = _weigh_both(valid.astype(np.float64), (1.0, 1.0, 1.0, 1.0), 2) > 15.5
            near = _bilinear(values[1:-1, 1:-1], valid[1:-1, 1:-1].astype(np.float64))
            fine = np.where(whole, fine, near)
        fine = _cut(fine, coarse, rows, cols)
    return fine if everywhere else np.where(upsample_nearest(valid, coarse, rows, cols), fine, np.nan)


def _cut(fine: npt.NDArray[Any], coarse: CoarseWindow, rows: int, cols: int) -> npt.NDArray[Any]:
    return fine[coarse.row_phase : coarse.row_phase + rows, coarse.col_phase : coarse.col_phase + cols]


def _bilinear(values: Floats, valid: Floats | None) -> Floats:
    summed = _weigh_both(values, (0.0, *_BILINEAR), 1)
    if valid is None:
        return summed
    weight = _weigh_both(valid, (0.0, *_BILINEAR), 1)
    return np.divide(summed, weight, out=np.zeros_like(summed), where=weight > 0)


def _weigh_both(values: Floats, weights: tuple[float, ...], margin: int) -> Floats:
    return _weigh(_weigh(values, weights, margin).T, weights, margin).T


def _weigh(values: Floats, weights: tuple[float, ...], margin: int) -> Floats:
    """Weigh neighbours along the first axis: (n + 2 margin, m) -> (2 n, m).

    `weights` are of the neighbours -1, 0, +1, ... as seen towards the near side of each half pixel.
    """
    n = values.shape[0] - 2 * margin
    fine = np.zeros((2 * n, values.shape[1]))
    for half, side in ((0, -1), (1, 1)):
        for step, weight in enumerate(weights, start=-1):
            start = margin + side * step
            if weight:
                fine[half::2] += weight * values[start : start + n]
    return fine
