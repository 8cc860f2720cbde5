"""Confirmation: does the picture show the ship where AIS says it is? Pure.

Here: the background, what stands out of it, and whether that is the ship. Not here: where hulls are expected
(`index.labels`). Nothing is refused for it: wakes, buoys and bits of cloud are bright too, and small ships are not.

Near infrared (B08) is looked at: water is darkest there, and a hull brightest against it. What stands out is measured in
standard deviations of the water around, by its median and median absolute deviation, so that a few bright things do not
count. What hangs together around a peak is one thing. It is the ship if it lies where the ship may be, is nearer to it than
to any other vessel, has no rival, and would hardly lie there by chance.
"""

import dataclasses
from collections.abc import Sequence
from enum import StrEnum

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from s2chips_core.ais.fixes import Floats
from s2chips_core.chips.gate import ndwi
from s2chips_core.chips.grid import PIXEL_M

STRONG, WEAK = 10.0, 5.0
"""Contrast from which on something is a thing, and below which there is nothing, standard deviations of the water."""
RIVAL_SHARE = 0.5
"""What has this share of a thing's contrast is like it."""
THING_SHARE = 0.25
"""What hangs together above this share of its peak is one thing: so is a hull with a dark deck amidships."""
MOST_CHANCE = 0.1
"""So many things like it may be expected in the search window by chance, from how many there are around. In 23 real chips
of open water it was 0.01 at most, in harbours 0.2 to 4."""
NEIGHBOURHOOD_PX = 64
"""What is within so many pixels of the hull is its surroundings."""
LEAST_WATER_PX = 200
LAND_PX = 600
"""What is no water and hangs together over more pixels than the largest ship with its blur (400 m x 60 m) is land."""
MOSTLY = 0.5
CLEAR_PX = 3
"""Pixels so near to a hull may hold some of its light."""
LEAST_SIGMA = 0.001
"""Reflectance. Water that was clipped to one value would not vary at all."""
SIGMA_OF_MAD = 1.4826
"""A normal distribution's standard deviation over its median absolute deviation."""
SIGMAS, SLACK_M = 2.0, 20.0
"""A hull is looked for within so many standard errors of its position, and two pixels more."""
UNKNOWN_LENGTH_M, UNKNOWN_SIGMA_M = 100.0, 50.0
"""Stand for what a ship, or a table of AIS, does not tell."""
NIR, GREEN = "B08", "B03"

Bools = npt.NDArray[np.bool_]
Reflectance = npt.NDArray[np.float32]
_TOUCHING = np.ones((3, 3), dtype=bool)
"""Pixels that meet at a corner hang together."""


class Verdict(StrEnum):
    """The values of the column `confirmation`."""

    CONFIRMED = "confirmed"
    AMBIGUOUS = "ambiguous"
    """Something is there that may be another thing; or most of the place is land."""
    ABSENT = "absent"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation:
    """What was seen. All none: it cannot be judged."""

    verdict: Verdict | None = None
    offset_m: float | None = None
    """From the middle of the expected hull to the middle of the thing; none where there is none."""
    contrast: float | None = None
    """Of the brightest pixel where the ship may be: over the median of the water, in its standard deviations."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedHull:
    """Where a hull ought to be, in pixels of the chip."""

    col: float
    """Of its middle, or of the antenna where the hull is not known; `row` too."""
    row: float
    corners: Floats | None
    """(4, 2): col, row of bow-port, bow-starboard, stern-starboard, stern-port."""
    reach_m: float
    """How far from there it may be."""


def expected_hull(
    *,
    col: float,
    row: float,
    box: Sequence[float] | None,
    antenna_known: bool,
    length_m: float | None,
    sigma_m: float | None,
) -> ExpectedHull:
    """The hull of a label.

    Args:
        col, row: of the antenna.
        box: 8 numbers as the label has them.
        antenna_known: where on the hull the antenna is; if not, the hull may lie half its length off.
        length_m: of the ship.
        sigma_m: `position_sigma_m`.
    """
    corners = None if box is None else np.array(box, dtype=np.float64).reshape(4, 2)
    if corners is not None:
        col, row = corners.mean(axis=0).tolist()
    reach_m = SIGMAS * (UNKNOWN_SIGMA_M if sigma_m is None else sigma_m) + SLACK_M
    if corners is None or not antenna_known:
        reach_m += (length_m or UNKNOWN_LENGTH_M) / 2
    return ExpectedHull(col=col, row=row, corners=corners, reach_m=reach_m)


def hull_distance_px(hull: ExpectedHull, cols: Floats, rows: Floats) -> Floats:
    """How far points are from a hull, 0 inside; from its position where the hull is not known.

    Args:
        hull: the hull.
        cols, rows: the points, any two shapes that numpy broadcasts.
    """
    x, y = cols - hull.col, rows - hull.row
    if hull.corners is None:
        return np.hypot(x, y)
    bow_port, bow_starboard, _, stern_port = hull.corners
    along, across = bow_port - stern_port, bow_starboard - bow_port
    length, width = float(np.hypot(*along)), float(np.hypot(*across))
    ahead, aside = (x * along[0] + y * along[1]) / length, (x * across[0] + y * across[1]) / width
    distance: Floats = np.hypot(np.maximum(np.abs(ahead) - length / 2, 0), np.maximum(np.abs(aside) - width / 2, 0))
    return distance


def judge_confirmation(
    reflectance: Reflectance, bands: Sequence[str], target: ExpectedHull, others: Sequence[ExpectedHull]
) -> Confirmation:
    """Whether a chip shows its ship.

    It cannot be judged without B08, and without water around.

    Args:
        reflectance: (bands, rows, cols), 0 is no data.
        bands: their names; B03 tells land from water where it is there.
        target: the ship.
        others: every other vessel in the chip.
    """
    if NIR not in bands:
        return Confirmation()
    place = _Place.around(reflectance, bands, target, others)
    if not place.search.any() or place.water.sum() < LEAST_WATER_PX:
        return Confirmation()
    if (place.land & place.search).sum() > MOSTLY * place.search.sum():
        return Confirmation(verdict=Verdict.AMBIGUOUS)
    return _judge(place, _contrast(place), target)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """The surroundings of a hull; arrays of one shape (rows, cols), but for the places of pixels."""

    nir: Reflectance
    cols: Floats
    """Of pixel centres, shape (1, cols); `rows` (rows, 1)."""
    rows: Floats
    valid: Bools
    land: Bools
    search: Bools
    """Where the ship may be."""
    own: Bools
    """Where it may be and no other vessel is nearer."""
    others: Bools
    """Where the light of other vessels is expected."""
    water: Bools
    """Water that shows what water looks like here."""

    @classmethod
    def around(
        cls, reflectance: Reflectance, bands: Sequence[str], target: ExpectedHull, others: Sequence[ExpectedHull]
    ) -> "_Place":
        near = _neighbourhood(target, reflectance.shape[1:])
        nir = reflectance[bands.index(NIR)][near]
        rows, cols = np.ogrid[near]
        rows, cols = rows + 0.5, cols + 0.5
        valid, dry = nir > 0, np.zeros(nir.shape, dtype=bool)
        if GREEN in bands:
            green = reflectance[bands.index(GREEN)][near]
            valid &= green > 0
            dry = valid & (ndwi(green, nir) <= 0)
        to_target = hull_distance_px(target, cols, rows)
        to_others = np.min([hull_distance_px(other, cols, rows) for other in others], axis=0, initial=np.inf)
        search = valid & (to_target <= target.reach_m / PIXEL_M)
        close = to_others <= CLEAR_PX
        return cls(
            nir=nir,
            cols=cols,
            rows=rows,
            valid=valid,
            land=_large(dry),
            search=search,
            own=search & (to_target <= to_others),
            others=close,
            water=valid & ~dry & ~search & ~close & (to_target > CLEAR_PX),
        )


def _contrast(place: _Place) -> Floats:
    """Every pixel's, 0 on land and where there is no data."""
    water = place.nir[place.water].astype(np.float64)
    median = float(np.median(water))
    sigma = max(SIGMA_OF_MAD * float(np.median(np.abs(water - median))), LEAST_SIGMA)
    contrast: Floats = np.where(place.valid & ~place.land, (place.nir - median) / sigma, 0.0)
    return contrast


def _judge(place: _Place, contrast: Floats, target: ExpectedHull) -> Confirmation:
    mine = np.where(place.own, contrast, 0.0)
    best = float(mine.max(initial=0.0))
    if best < WEAK:
        # A ship alongside is one with the quay: where there is land, nothing to be seen is not nothing.
        verdict = Verdict.AMBIGUOUS if (place.land & place.search).any() else Verdict.ABSENT
        return Confirmation(verdict=verdict, contrast=best)
    at = np.unravel_index(int(mine.argmax()), mine.shape)
    things, _ = ndimage.label(contrast >= THING_SHARE * best, structure=_TOUCHING)
    thing = things == things[at]
    top = np.unravel_index(int(np.where(thing, contrast, 0.0).argmax()), contrast.shape)
    like_it = contrast >= RIVAL_SHARE * best
    offset_m = _offset_m(place, np.where(thing & like_it & place.search, contrast, 0.0), target)
    fine = (
        best >= STRONG
        and bool(place.own[top])
        and offset_m <= target.reach_m + PIXEL_M  # a middle is told to a pixel
        and not (place.own & ~thing & like_it).any()
        and _expected_by_chance(place, like_it & ~thing) <= MOST_CHANCE
    )
    return Confirmation(
        verdict=Verdict.CONFIRMED if fine else Verdict.AMBIGUOUS,
        offset_m=offset_m,
        contrast=best,
    )


def _expected_by_chance(place: _Place, bright: Bools) -> float:
    """How many bright things would lie in the search window if they lay anywhere: those around it, by area."""
    around = place.valid & ~place.land & ~place.search & ~place.others
    things, _ = ndimage.label(bright, structure=_TOUCHING)
    count = np.unique(things[around & bright]).size
    return float(count * place.search.sum() / max(1, around.sum()))


def _offset_m(place: _Place, weight: Floats, target: ExpectedHull) -> float:
    """From the middle of the expected hull to the centre of brightness of a thing."""
    col, row = ((weight * axis).sum() / weight.sum() for axis in (place.cols, place.rows))
    return float(np.hypot(col - target.col, row - target.row)) * PIXEL_M


def _neighbourhood(hull: ExpectedHull, shape: tuple[int, ...]) -> tuple[slice, slice]:
    half_hull = 0 if hull.corners is None else int(np.ptp(hull.corners, axis=0).max() / 2)
    reach = NEIGHBOURHOOD_PX + half_hull + int(hull.reach_m / PIXEL_M)
    rows, cols = (
        slice(*np.clip([int(middle) - reach, int(middle) + reach + 1], 0, size).tolist())
        for middle, size in zip((hull.row, hull.col), shape, strict=True)
    )
    return rows, cols


def _large(mask: Bools) -> Bools:
    """What of a mask hangs together over more than `LAND_PX`."""
    parts, _ = ndimage.label(mask, structure=_TOUCHING)
    sizes = np.bincount(parts.ravel(), minlength=1)
    sizes[0] = 0
    large: Bools = (sizes > LAND_PX)[parts]
    return large
