"""A chip in memory, what it was asked for with, and the refusal in its place.

Here: values only. Not here: cutting (`cutting`), writing (`artefacts`, `quicklook`), the row of the index
(`index.records`).
"""

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

from s2chips_core.chips.gate import GateNumbers, GateVerdict, RefusalReason
from s2chips_core.chips.grid import Transform

MASK_BANDS = ("cloud", "land", "water", "valid", "scl")
NOT_KNOWN = 255
"""In the cloud, land and water masks and in scl: not measured."""

MaskArray = npt.NDArray[np.uint8]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CutRequest:
    """One chip that is wanted."""

    target_id: str
    mmsi: int
    lat: float
    """Of the chip's centre, degrees north."""
    lon: float
    """Of the chip's centre, degrees east."""
    chip_id: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Chip:
    """A chip, complete."""

    request: CutRequest
    bands: tuple[str, ...]
    reflectance: npt.NDArray[np.float32]
    """(bands, rows, cols): 0 is no data, else 0.0001 to 1."""
    epsg: int
    transform: Transform
    """a, b, c, d, e, f; metres."""
    footprint: dict[str, Any]
    """GeoJSON geometry, WGS 84 longitude/latitude."""
    numbers: GateNumbers
    verdict: GateVerdict
    boa_offset_dn: int
    boa_offset_source: str
    scl_present: bool
    masks: MaskArray | None
    """(5, rows, cols), `MASK_BANDS`: 0 no, 1 yes, 255 not known; `scl` has ESA's classes. With `masks.persist` only."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """No chip, and why."""

    request: CutRequest
    reason: RefusalReason
    detail: str
    """A sentence with the numbers."""
    numbers: GateNumbers | None
