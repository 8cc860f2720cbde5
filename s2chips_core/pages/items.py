"""What the report's script gets of each chip and each target without one.

Here: the items, their pictures and links. Not here: the facts in them (`facts`), the page (`day`).
"""

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from PIL import Image, UnidentifiedImageError

from s2chips_core import layout
from s2chips_core.errors import InputError
from s2chips_core.index.outcomes import Outcome
from s2chips_core.pages import facts

MAX_FULL_QUICKLOOKS = 300
"""Up to so many chips the page holds their quicklooks as they are; beyond, thumbnails and links to the files."""
THUMBNAIL_PX = 128
_THUMBNAIL_QUALITY = 78
_PIXEL_M = 10

_Row = Mapping[str, Any]


def chip_item(chip: _Row, targets: Sequence[_Row], quicklook: bytes, *, full: bool) -> dict[str, Any]:
    """A chip.

    Args:
        chip: its row of the index.
        targets: the rows of the outcomes that name it.
        quicklook: JPEG.
        full: put the quicklook in as it is, else a thumbnail.

    Raises:
        InputError: the quicklook is no JPEG, or only a part of one.
    """
    picture, side_px = _picture(chip["chip_id"], quicklook, full=full)
    keys = layout.chip_artefacts(chip["path"], (".tif", "_quicklook.jpg", ".json", ".geojson"))
    files = [
        (label, "../" + quote(key))
        for label, key in zip(("GeoTIFF", "Quicklook", "Sidecar", "Footprint"), keys, strict=True)
    ]
    heading = chip["heading_deg"]
    if heading is None and (chip["sog_kn"] or 0.0) > 1.0:
        heading = chip["cog_deg"]
    return {
        "id": f"chip-{chip['chip_id']}",
        "outcome": str(Outcome.CHIPPED),
        "split": chip["split"],
        "type": chip["ship_type"] or facts.NOT_SAID,
        "name": facts.name_text(chip),
        "mmsi": str(chip["mmsi"]),
        "line": f"{chip['mgrs_tile']} · {chip['scene_datetime']:%H:%M}",
        "picture": base64.b64encode(picture).decode("ascii"),
        "side_px": side_px,
        "pixel_m": _PIXEL_M,
        "length_m": chip["length_m"],
        "width_m": chip["width_m"],
        "heading_deg": heading,
        "files": files,
        "facts": facts.chip_facts(chip, targets),
    }


def refused_item(number: int, target: _Row) -> dict[str, Any]:
    """A target without a chip: the `number`-th, its row of the outcomes."""
    return {
        "id": f"target-{number}",
        "outcome": target["outcome"],
        "split": None,
        "type": target["ship_type"] or facts.NOT_SAID,
        "name": facts.name_text(target),
        "mmsi": "" if target["mmsi"] is None else str(target["mmsi"]),
        "line": target["detail"],
        "picture": None,
        "files": [],
        "facts": facts.refusal_facts(target),
    }


def find_quicklook(quicklooks: Mapping[str, bytes], chip_id: str) -> bytes:
    """The quicklook of a chip; InputError when there is none."""
    data = quicklooks.get(chip_id)
    if data is None:
        raise InputError(f"quicklook of chip {chip_id}", None, "a JPEG for every chip of the index")
    return data


def _picture(chip_id: str, quicklook: bytes, *, full: bool) -> tuple[bytes, int]:
    """The JPEG that goes into the page, and the side of the chip in pixels."""
    try:
        with Image.open(io.BytesIO(quicklook), formats=("JPEG",)) as image:
            side_px = image.width
            if full:
                image.load()
                return quicklook, side_px
            image.draft("RGB", (THUMBNAIL_PX, THUMBNAIL_PX))
            small = image.convert("RGB").resize((THUMBNAIL_PX, THUMBNAIL_PX), Image.Resampling.LANCZOS)
    except (UnidentifiedImageError, OSError) as error:
        raise InputError(f"quicklook of chip {chip_id}", quicklook[:16], "a whole JPEG") from error
    sink = io.BytesIO()
    small.save(sink, "JPEG", quality=_THUMBNAIL_QUALITY, optimize=True)
    return sink.getvalue(), side_px
