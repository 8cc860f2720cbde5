"""Pictures of chips: a quicklook each, and many on one sheet.

Here: the stretch and the JPEGs. Not here: the data (`artefacts`).
"""

import io
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

SHEET_WIDTH_PX = 960
SHEET_MOST_BYTES = 100_000
_GAP_PX = 6
_CAPTION_PX = 16
_FRAME_PX = 3
_BACKGROUND = (24, 28, 34)
_INK = (230, 232, 235)


def stretch_rgb(reflectance: npt.NDArray[np.float32], bands: Sequence[str]) -> npt.NDArray[np.uint8]:
    """B04, B03, B02 as red, green, blue: (rows, cols, 3), each stretched from its 2nd to its 98th percentile.

    Percentiles are of the pixels that are valid in all three. A band whose range is narrower than 0.04 is stretched over
    0.04 instead, which shows flat water as a dark grey that a hull stands out from. Where a bright wake or shore takes up
    the range, so that half of the picture would be nearly black, dark tones are lifted by a gamma curve. Pixels without
    data are dark grey. Where a band of the three is not in the chip, the chip's first band is shown in its place.

    Args:
        reflectance: (bands, rows, cols), 0 is no data.
        bands: their names, in order.
    """
    layers = np.stack([reflectance[bands.index(band) if band in bands else 0] for band in RGB_BANDS], axis=-1)
    valid = (layers != 0).all(axis=-1)
    picture = np.full(layers.shape, NODATA_GREY, np.uint8)
    if not valid.any():
        return picture
    values = layers[valid].astype(np.float64)
    low, high = np.percentile(values, [LOW_PERCENT, HIGH_PERCENT], axis=0)
    widen = np.maximum(LEAST_RANGE - (high - low), 0.0)
    low, high = low - widen / 3, high + widen * 2 / 3
    shares = np.clip((values - low) / (high - low), 0.0, 1.0)
    middle = float(np.median(shares.mean(axis=1)))
    if middle < LEAST_MIDDLE:
        shares **= max(np.log(LEAST_MIDDLE) / np.log(max(middle, 1e-6)), STRONGEST_GAMMA)
    picture[valid] = (shares * 255.0 + 0.5).astype(np.uint8)
    return picture


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
