"""Pictures of chips: a quicklook each, and many on one sheet.

Here: the stretch and the JPEGs. Not here: the data (`artefacts`).
"""

import io
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

RGB_BANDS = ("B04", "B03", "B02")
LOW_PERCENT, HIGH_PERCENT = 2.0, 98.0
LEAST_RANGE = 0.04
"""Reflectance: a narrower stretch than this would make a picture of the sensor's noise over flat water."""
LEAST_MIDDLE = 0.15
"""Share of full brightness that the median pixel is lifted to."""
STRONGEST_GAMMA = 0.4
NODATA_GREY = 40
QUALITY = 88

MOST_COUNT = 10_000
"""Counts of a reflectance of 1."""
_SHARE_STEPS = 8_000

SHEET_WIDTH_PX = 960
SHEET_MOST_BYTES = 100_000
_GAP_PX = 6
_CAPTION_PX = 16
_FRAME_PX = 3
_BACKGROUND = (24, 28, 34)
_INK = (230, 232, 235)

Counts = npt.NDArray[np.intp]


def stretch_rgb(reflectance: npt.NDArray[np.float32], bands: Sequence[str]) -> npt.NDArray[np.uint8]:
    """B04, B03, B02 as red, green, blue: (rows, cols, 3), each stretched from its 2nd to its 98th percentile.

    Percentiles are of the pixels that are valid in all three. A band whose range is narrower than 0.04 is stretched over
    0.04 instead, which shows flat water as a dark grey that a hull stands out from. Where a bright wake or shore takes up
    the range, so that half of the picture would be nearly black, dark tones are lifted by a gamma curve. Pixels without
    data are dark grey. Where a band of the three is not in the chip, the chip's first band is shown in its place.

    Reflectance is looked at in whole counts of 0.0001, which is all that bands of 10 m have: what becomes of a value is
    computed once for a picture, not once for a pixel.

    Args:
        reflectance: (bands, rows, cols), 0 is no data, else 0.0001 to 1.
        bands: their names, in order.
    """
    layers = [reflectance[bands.index(band) if band in bands else 0] for band in RGB_BANDS]
    valid = None if all(layer.min() > 0 for layer in layers) else np.logical_and.reduce([layer > 0 for layer in layers])
    picture = np.full((*layers[0].shape, 3), NODATA_GREY, np.uint8)
    if valid is not None and not valid.any():
        return picture
    counts = [_counts(layer.ravel() if valid is None else layer[valid]) for layer in layers]
    curves = [_curve(band) for band in counts]
    middle = _median_brightness(counts, curves)
    if middle < LEAST_MIDDLE:
        gamma = max(np.log(LEAST_MIDDLE) / np.log(max(middle, 1e-6)), STRONGEST_GAMMA)
        curves = [curve**gamma for curve in curves]
    pixels = picture.reshape(-1, 3)
    where = slice(None) if valid is None else valid.ravel()
    for channel, (curve, band) in enumerate(zip(curves, counts, strict=True)):
        tones = (curve * 255.0 + 0.5).astype(np.uint8)
        pixels[where, channel] = tones.take(band)
    return picture


def _counts(reflectance: npt.NDArray[np.float32]) -> Counts:
    """Reflectance in whole counts of 0.0001."""
    scaled = reflectance * np.float32(MOST_COUNT)
    np.minimum(scaled, np.float32(MOST_COUNT), out=scaled)
    scaled += np.float32(0.5)
    return scaled.astype(np.intp)  # what arrays are indexed with: anything else would be made that at every use


def _curve(counts: Counts) -> npt.NDArray[np.float64]:
    """The share of full brightness of every count from 0 to the largest in `counts`."""
    upto = np.cumsum(np.bincount(counts))
    values = (np.arange(len(upto), dtype=np.float32) / np.float32(MOST_COUNT)).astype(np.float64)
    low, high = (_percentile(upto, values, percent) for percent in (LOW_PERCENT, HIGH_PERCENT))
    widen = max(LEAST_RANGE - (high - low), 0.0)
    low, high = low - widen / 3, high + widen * 2 / 3
    shares: npt.NDArray[np.float64] = np.clip((values - low) / (high - low), 0.0, 1.0)
    return shares


def _percentile(upto: npt.NDArray[np.int64], values: npt.NDArray[np.float64], percent: float) -> float:
    """As `np.percentile` has it, of a histogram: how many are at or below each of the ascending `values`."""
    place = percent / 100 * (int(upto[-1]) - 1)
    below, above = values[np.searchsorted(upto, [math.floor(place), math.ceil(place)], side="right")].tolist()
    share = place - math.floor(place)
    step = above - below
    return float(above - step * (1 - share) if share >= 0.5 else below + step * share)


def _median_brightness(counts: Sequence[Counts], curves: Sequence[npt.NDArray[np.float64]]) -> float:
    """The median, over pixels, of the mean share of the three bands.

    Shares in whole 1/8000 are small numbers that can be counted. They tell which pixels may be in the middle: a sum of
    three is at most 1.5 off. Only of those the mean is computed and put in order.
    """
    sums = np.zeros(len(counts[0]), np.uint16)
    for curve, band in zip(curves, counts, strict=True):
        sums += (curve * _SHARE_STEPS + 0.5).astype(np.uint16).take(band)
    upto = np.cumsum(np.bincount(sums))
    middle = [(len(sums) - 1) // 2, len(sums) // 2]
    first, last = np.searchsorted(upto, middle, side="right").tolist()
    first, last = max(first - 3, 0), min(last + 3, 3 * _SHARE_STEPS)
    near = np.flatnonzero((sums >= first) & (sums <= last))
    red, green, blue = (curve.take(band[near]) for curve, band in zip(curves, counts, strict=True))
    before = int(upto[first - 1]) if first else 0
    return float(np.sort((red + (green + blue)) / 3)[np.subtract(middle, before)].mean())


def encode_quicklook(reflectance: npt.NDArray[np.float32], bands: Sequence[str]) -> bytes:
    """The chip as JPEG, one pixel for one pixel; see `stretch_rgb`."""
    return _jpeg(Image.fromarray(stretch_rgb(reflectance, bands)), QUALITY)


def contact_sheet(
    tiles: Sequence[tuple[bytes, str, str | None]], columns: int = 6, *, width_px: int = SHEET_WIDTH_PX
) -> bytes:
    """Many pictures on one JPEG of at most about 100 kB.

    Args:
        tiles: JPEG, caption, and colour of a frame as CSS writes it (none: no frame).
        columns: pictures beside each other.
        width_px: of the sheet.
    """
    columns = max(1, min(columns, len(tiles) or 1))
    side = (width_px - _GAP_PX * (columns + 1)) // columns
    rows = -(-len(tiles) // columns)
    sheet = Image.new("RGB", (width_px, max(1, rows) * (side + _CAPTION_PX + _GAP_PX) + _GAP_PX), _BACKGROUND)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=12)
    if not tiles:
        draw.text((_GAP_PX, _GAP_PX), "no chips", fill=_INK, font=font)
    for number, (jpeg, caption, frame) in enumerate(tiles):
        x = _GAP_PX + number % columns * (side + _GAP_PX)
        y = _GAP_PX + number // columns * (side + _CAPTION_PX + _GAP_PX)
        with Image.open(io.BytesIO(jpeg)) as picture:
            picture.draft("RGB", (side, side))
            sheet.paste(picture.convert("RGB").resize((side, side), Image.Resampling.LANCZOS), (x, y))
        if frame is not None:
            draw.rectangle((x, y, x + side - 1, y + side - 1), outline=frame, width=_FRAME_PX)
        draw.text((x, y + side + 1), _fit(caption, font, side), fill=_INK, font=font)
    for quality in (80, 65, 50, 35, 20, 10):
        data = _jpeg(sheet, quality)
        if len(data) <= SHEET_MOST_BYTES:
            break
    return data


def _fit(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width_px: int) -> str:
    """The text, cut off where it would be wider than its picture."""
    text = " ".join(text.split())
    if font.getlength(text) <= width_px:
        return text
    while text and font.getlength(text + "…") > width_px:
        text = text[:-1]
    return text + "…"


def _jpeg(image: Image.Image, quality: int) -> bytes:
    sink = io.BytesIO()
    image.save(sink, "JPEG", quality=quality, subsampling="4:2:0" if quality < QUALITY else "4:4:4")
    return sink.getvalue()
