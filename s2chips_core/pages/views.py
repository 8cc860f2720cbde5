"""The pictures of a chip: what a person wants to see of its bands and masks, on one sheet.

Here: which pictures there are, how they are coloured, the sheet as JPEG and the layout that tells what is where. Pure.
Not here: files (`view_files`), the viewer that shows one place of the sheet (`templates/viewer.*`), the gallery's quicklook
(`chips.quicklook`).

A layout goes into the page as JSON (`Layout.to_json`):
`{columns, rows, panels: [{name, title, short, group, text, legend, ramp}], absent: [{title, why}]}`; panel n is at column
n mod columns and row n div columns of the sheet. `legend`: (colour, label) for pictures of classes; `ramp`: the scale of
NDWI, `{colours: [(value, colour)], middle, middle_text, below, above}`.
"""

import dataclasses
import functools
import hashlib
import io
import json
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from s2chips_core.chips.gate import ndwi
from s2chips_core.chips.quicklook import RGB_BANDS
from s2chips_core.pages.stretch import NODATA, STEPS, Band, Numbers, Picture, composite, grey, pack, to_numbers

COLUMNS = 4
QUALITY = 82
VERSION = "1"
"""Counts up when the same chip gives another sheet than before: then all are made anew."""

_EDGE_PX = 8
"""Panels begin on the blocks of the JPEG, so that no picture bleeds into its neighbour."""
_UNKNOWN = (92, 40, 92)
_COMPOSITES = (
    ("natural", "Natural colour", "Natural", RGB_BANDS),
    ("nir", "False colour, near infrared", "NIR", ("B08", "B04", "B03")),
    ("swir", "False colour, short-wave infrared", "SWIR", ("B12", "B08", "B04")),
)
_SHOWN = {name: shown for name, _, _, shown in _COMPOSITES}
_NDWI_RAMP = ((-1.0, (84, 48, 5)), (0.0, (246, 232, 195)), (0.0, (199, 234, 229)), (1.0, (0, 60, 110)))
"""Share of the way from the threshold down to -1 or up to 1 -> red, green, blue."""

SCL_CLASSES: tuple[tuple[int, str, tuple[int, int, int]], ...] = (
    (0, "No data", (0, 0, 0)),
    (1, "Saturated or defective", (255, 0, 0)),
    (2, "Dark area, topographic shadow", (47, 47, 47)),
    (3, "Cloud shadow", (100, 50, 0)),
    (4, "Vegetation", (0, 160, 0)),
    (5, "Not vegetated", (255, 230, 90)),
    (6, "Water", (0, 0, 255)),
    (7, "Unclassified", (128, 128, 128)),
    (8, "Cloud, medium probability", (192, 192, 192)),
    (9, "Cloud, high probability", (255, 255, 255)),
    (10, "Thin cirrus", (100, 200, 255)),
    (11, "Snow or ice", (255, 150, 255)),
)
"""Class, name and colour of ESA's scene classification (Sentinel-2 L2A product definition; the colours of its processor)."""
_MASK_COLOURS = {"cloud": (236, 240, 243), "land": (214, 158, 66), "water": (44, 127, 184), "valid": (120, 190, 120)}
_MASK_TEXTS = {
    "cloud": "SCL classes that count as cloud",
    "land": "SCL classes that count as land",
    "water": "NDWI above the threshold",
    "valid": "every band has data",
}
_NO = (38, 44, 50)

Pixels = npt.NDArray[np.uint8]
_Colour = tuple[int, int, int]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One picture on a sheet."""

    name: str
    title: str
    short: str
    """For a tab."""
    group: str
    text: str = ""
    legend: tuple[tuple[str, str], ...] = ()
    ramp: Mapping[str, Any] | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What is where on a sheet; the same for all chips with these bands, masks and threshold."""

    bands: tuple[str, ...]
    masks: tuple[str, ...]
    """Bands of the chip's masks; none: not kept."""
    side_px: int
    ndwi_water_thresh: float | None
    """NDWI above this is water; None: the configuration of the chip is not known, and NDWI is coloured around 0."""

    @property
    def name(self) -> str:
        """8 hex digits, the same for the same layout in any dataset."""
        fields = json.dumps([VERSION, self.bands, self.masks, self.side_px, self.ndwi_water_thresh])
        return hashlib.sha256(fields.encode()).hexdigest()[:8]

    @property
    def panels(self) -> tuple[Panel, ...]:
        """The pictures, in the order of the sheet."""
        found = [
            Panel(name=name, title=title, short=short, group="colour", text=f"{' '.join(shown)} as red, green, blue")
            for name, title, short, shown in _COMPOSITES
            if set(shown) <= set(self.bands)
        ]
        if {"B03", "B08"} <= set(self.bands):
            found.append(_ndwi_panel(self.ndwi_water_thresh))
        if "scl" in self.masks:
            found.append(_scl_panel())
        found += [_mask_panel(name) for name in self.masks if name in _MASK_TEXTS]
        found += [
            Panel(name=band.lower(), title=f"Band {band}", short=band, group="band", text="2nd to 98th percentile")
            for band in self.bands
        ]
        return tuple(found)

    @property
    def absent(self) -> tuple[tuple[str, str], ...]:
        """(title, why) of the pictures that a reader may look for in vain."""
        found = []
        if "B12" not in self.bands:
            found.append(("Short-wave infrared", "the chip has no B12 (tiling.include_swir)"))
        if not self.masks:
            found.append(("SCL and masks", "they are not kept beside the chip (masks.persist)"))
        elif "scl" not in self.masks:
            found.append(("SCL", "the chip was cut before its classes were kept"))
        return tuple(found)

    @property
    def rows(self) -> int:
        """Of the sheet."""
        return -(-len(self.panels) // COLUMNS)

    @property
    def pitch_px(self) -> int:
        """From one picture to the next."""
        return -(-self.side_px // _EDGE_PX) * _EDGE_PX

    def to_json(self) -> dict[str, Any]:
        """As the viewer takes it."""
        return {
            "columns": COLUMNS,
            "rows": self.rows,
            "panels": [dataclasses.asdict(panel) for panel in self.panels],
            "absent": [{"title": title, "why": why} for title, why in self.absent],
        }


class Desk(threading.local):
    """Memory of a thread that is used for one chip after the other: a system that hands out megabytes clears them first."""

    def __init__(self) -> None:
        self._arrays: dict[tuple[tuple[int, ...], str], npt.NDArray[Any]] = {}

    def array(self, shape: tuple[int, ...], dtype: str) -> npt.NDArray[Any]:
        """Of any content; the same one for the same shape and type."""
        if (shape, dtype) not in self._arrays:
            self._arrays[shape, dtype] = np.empty(shape, dtype)
        return self._arrays[shape, dtype]


def draw_sheet(
    layout: Layout, reflectance: npt.NDArray[np.float32], masks: Pixels | None, *, desk: Desk | None = None
) -> bytes:
    """All pictures of a chip as one JPEG.

    Args:
        layout: of its bands and masks.
        reflectance: (bands, rows, cols), 0 is no data.
        masks: (masks, rows, cols) where the layout has masks.
        desk: where it is drawn; memory of its own where there is none.
    """
    side, pitch = layout.side_px, layout.pitch_px
    # Four bytes a pixel, which Pillow reads where they are: one table lookup a pixel gives its colour whole.
    desk = desk or Desk()
    sheet = desk.array((layout.rows * pitch, COLUMNS * pitch), "<u4")
    sheet.fill(NODATA)
    numbers = desk.array(reflectance.shape, "intp")
    bands = {
        band: Band.of(to_numbers(layer, out=out))
        for band, layer, out in zip(layout.bands, reflectance, numbers, strict=True)
    }
    by_name = dict(zip(layout.masks, masks, strict=True)) if masks is not None else {}
    for place, panel in enumerate(layout.panels):
        top, left = place // COLUMNS * pitch, place % COLUMNS * pitch
        sheet[top : top + side, left : left + side] = _draw(panel.name, layout.ndwi_water_thresh, bands, by_name)
    sink = io.BytesIO()
    image = Image.frombuffer("RGBX", (sheet.shape[1], sheet.shape[0]), sheet, "raw", "RGBX", 0, 1)
    image.save(sink, "JPEG", quality=QUALITY, subsampling="4:4:4")
    return sink.getvalue()


def _draw(name: str, threshold: float | None, bands: Mapping[str, Band], masks: Mapping[str, Pixels]) -> Picture:
    """One picture, (rows, cols)."""
    if name in _SHOWN:
        red, green, blue = _SHOWN[name]
        return composite(bands[red], bands[green], bands[blue])
    if name == "ndwi":
        return colour_ndwi(bands["B03"].numbers, bands["B08"].numbers, threshold or 0.0)
    if name == "scl":
        return colour_scl(masks["scl"])
    if name in masks:
        return _mask_table(name).take(masks[name])
    return grey(bands[name.upper()])


def colour_ndwi(green: Numbers, nir: Numbers, threshold: float) -> Picture:
    """NDWI as brown up to the threshold and blue above, (rows, cols); dark grey where a band has no data.

    Args:
        green, nir: B03 and B08 as whole numbers of 1e-4, (rows, cols), 0 is no data.
        threshold: NDWI above this is water.
    """
    values = ndwi(green.astype(np.float32) / np.float32(STEPS), nir.astype(np.float32) / np.float32(STEPS))
    water = values > threshold
    # A table for either side, 256 steps from -1 to 1: less than the eye can tell apart.
    values += 1.0
    values *= 128.0
    np.minimum(values, 255.0, out=values)
    steps = values.astype(np.intp)
    steps += water * np.intp(256)
    picture = _ndwi_table(threshold).take(steps)
    if not (green.all() and nir.all()):
        picture[(green == 0) | (nir == 0)] = NODATA
    return picture


def colour_scl(classes: Pixels) -> Picture:
    """Scene classification in ESA's colours, (rows, cols); purple where it is not known."""
    return _scl_table().take(classes)


@functools.cache
def _scl_table() -> Picture:
    table = np.full(256, pack(_UNKNOWN))
    for number, _, colour in SCL_CLASSES:
        table[number] = pack(colour)
    return table


@functools.lru_cache(maxsize=8)
def _ndwi_table(threshold: float) -> Picture:
    """Colours of 256 steps from -1 to 1: first for what is no water, then for what is."""
    values = (np.arange(256) + 0.5) / 128.0 - 1.0
    (_, low), (_, pale_low), (_, pale_high), (_, high) = _NDWI_RAMP
    channels = [
        np.concatenate(
            [
                np.interp(values, (-1.0, max(threshold, -1.0 + 1e-6)), (low[channel], pale_low[channel])),
                np.interp(values, (min(threshold, 1.0 - 1e-6), 1.0), (pale_high[channel], high[channel])),
            ]
        )
        for channel in range(3)
    ]
    return pack(np.stack(channels, axis=-1) + 0.5)


def _ndwi_panel(threshold: float | None) -> Panel:
    middle = threshold or 0.0
    ends = {-1.0: -1.0, 0.0: middle, 1.0: 1.0}
    return Panel(
        name="ndwi",
        title="NDWI",
        short="NDWI",
        group="index",
        text="(B03 − B08) / (B03 + B08)",
        ramp={
            "colours": [(ends[share], _css(colour)) for share, colour in _NDWI_RAMP],
            "middle": middle,
            "middle_text": f"threshold {middle:g}" if threshold is not None else "0 (threshold not known)",
            "below": "no water",
            "above": "water",
        },
    )


def _scl_panel() -> Panel:
    legend = tuple((_css(colour), f"{number} {name}") for number, name, colour in SCL_CLASSES)
    return Panel(
        name="scl",
        title="Scene classification",
        short="SCL",
        group="index",
        text="ESA's SCL, 20 m",
        legend=(*legend, (_css(_UNKNOWN), "not known")),
    )


def _mask_panel(name: str) -> Panel:
    legend = ((_css(_MASK_COLOURS[name]), "yes"), (_css(_NO), "no"), (_css(_UNKNOWN), "not known"))
    title = f"Mask: {name}"
    return Panel(name=name, title=title, short=name.capitalize(), group="mask", text=_MASK_TEXTS[name], legend=legend)


@functools.lru_cache(maxsize=8)
def _mask_table(name: str) -> Picture:
    table = np.full(256, pack(_UNKNOWN))
    table[0], table[1] = pack(_NO), pack(_MASK_COLOURS[name])
    return table


def _css(colour: Sequence[int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)
