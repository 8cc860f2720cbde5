"""What the scripts of our pages get of each chip and each target without one: the items, as JSON.

Here: the items. Not here: the facts in them (`facts`), gate numbers (`gate_bars`), tracks (`tracks`), sheets of pictures
(`views`), the page (`day`). The gallery (`day.js`) and the larger view (`viewer.js`) read these fields:

| field | value |
|---|---|
| `id` | `chip-{chip_id}` or `target-{number}`, also the part of the address that opens it |
| `outcome`, `split`, `type`, `name`, `mmsi`, `line` | for cards and filters; `line` is one line of small print |
| `picture` | address of the quicklook (`data:` or a file beside the page); null for a target without a chip |
| `side_px`, `pixel_m` | side of the chip, and of a pixel on the ground |
| `views` | `{src, layout}`: the sheet of pictures and the name of its layout in the page's `layouts`; null: no sheet |
| `place` | `{at: [col, row], sigma_m}`: the position at sensing in chip pixels; null where there is none |
| `hull` | 8 numbers col, row: the ship's outline from length and course; null where there are labels, or nothing is known |
| `length_m` | of the ship, or null |
| `labels` | `{name, target, at: [col, row], box: 8 numbers col, row or null}` of every AIS vessel in the chip |
| `track` | `[col, row, "HH:MM:SS"]` of the ship's fixes around the time of sensing |
| `gate` | `{bars, notes}`, see `gate_bars.GateBar`; null where the gate has measured nothing |
| `files` | (label, address) of the artefacts |
| `facts` | groups of (label, value) |

Columns and rows are chip pixels as floats: 0,0 is the upper left corner of the upper left pixel.
"""

import base64
import dataclasses
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from PIL import Image, UnidentifiedImageError

from s2chips_core import layout
from s2chips_core.chips.hull import COURSE_IS_DIRECTION_KN
from s2chips_core.errors import InputError
from s2chips_core.index.outcomes import Outcome
from s2chips_core.pages import facts
from s2chips_core.pages.gate_bars import GateBar
from s2chips_core.pages.tracks import Fix, chip_place

PIXEL_M = 10
_BREADTH = 1 / 6
"""Of a ship that does not tell its width: of its length."""

_Row = Mapping[str, Any]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """Where the sheet of pictures of a chip is."""

    src: str
    """Address as the page sees it."""
    layout: str
    """Name of its layout among the page's."""


def chip_item(
    chip: _Row,
    targets: Sequence[_Row],
    *,
    picture: str,
    side_px: int,
    base: str = "../",
    sheet: Sheet | None = None,
    bars: Sequence[GateBar] = (),
    gate_notes: Sequence[str] = (),
    track: Sequence[Fix] = (),
) -> dict[str, Any]:
    """A chip.

    Args:
        chip: its row of the index; `labels` and the confirmation columns are looked at where they are.
        targets: the rows of the outcomes that name it.
        picture: address of its quicklook.
        side_px: side of the chip.
        base: the way from the page to the root of the dataset.
        sheet: its pictures.
        bars: its gate numbers.
        gate_notes: what else there is to say of the gate.
        track: fixes of the ship.
    """
    keys = layout.chip_artefacts(chip["path"], (".tif", "_quicklook.jpg", ".json", ".geojson"))
    labels = [_label(one) for one in chip.get("labels") or []]
    place = chip_place(chip, chip["lon"], chip["lat"])
    return {
        "id": f"chip-{chip['chip_id']}",
        "outcome": str(Outcome.CHIPPED),
        "split": chip["split"],
        "type": chip["ship_type"] or facts.NOT_SAID,
        "name": facts.name_text(chip),
        "mmsi": str(chip["mmsi"]),
        "line": f"{chip['mgrs_tile']} · {chip['scene_datetime']:%H:%M}",
        "picture": picture,
        "side_px": side_px,
        "pixel_m": PIXEL_M,
        "views": None if sheet is None else dataclasses.asdict(sheet),
        "place": {"at": place, "sigma_m": chip["position_sigma_m"]},
        "hull": None if labels else _hull(chip, place),
        "length_m": chip["length_m"],
        "labels": labels,
        "track": [list(fix) for fix in track],
        "gate": {"bars": [dataclasses.asdict(bar) for bar in bars], "notes": list(gate_notes)} if bars else None,
        "files": [
            (label, base + quote(key))
            for label, key in zip(("GeoTIFF", "Quicklook", "Sidecar", "Footprint"), keys, strict=True)
        ],
        "facts": [*facts.chip_facts(chip, targets), *_drawn(labels, track)],
    }


def refused_item(
    number: int, target: _Row, *, bars: Sequence[GateBar] = (), gate_notes: Sequence[str] = ()
) -> dict[str, Any]:
    """A target without a chip: the `number`-th, its row of the outcomes, its gate numbers."""
    return {
        **refused_name(number, target),
        "outcome": target["outcome"],
        "split": None,
        "type": target["ship_type"] or facts.NOT_SAID,
        "line": target["detail"],
        "picture": None,
        "views": None,
        "gate": {"bars": [dataclasses.asdict(bar) for bar in bars], "notes": list(gate_notes)} if bars else None,
        "files": [],
        "facts": facts.refusal_facts(target),
    }


def refused_name(number: int, target: _Row) -> dict[str, str]:
    """Of a target without a chip what the table names it by."""
    mmsi = "" if target["mmsi"] is None else str(target["mmsi"])
    return {"id": f"target-{number}", "name": facts.name_text(target), "mmsi": mmsi}


def find_quicklook(quicklooks: Mapping[str, bytes], chip_id: str) -> bytes:
    """The quicklook of a chip; InputError when there is none."""
    data = quicklooks.get(chip_id)
    if data is None:
        raise InputError(f"quicklook of chip {chip_id}", None, "a JPEG for every chip of the index")
    return data


def quicklook_side_px(chip_id: str, quicklook: bytes) -> int:
    """The side of a chip, from its quicklook: one pixel for one pixel.

    Raises:
        InputError: the quicklook is no JPEG, or only a part of one.
    """
    try:
        with Image.open(io.BytesIO(quicklook), formats=("JPEG",)) as image:
            image.load()
            return int(image.width)
    except (UnidentifiedImageError, OSError) as error:
        raise InputError(f"quicklook of chip {chip_id}", quicklook[:16], "a whole JPEG") from error


def inline_picture(jpeg: bytes) -> str:
    """A JPEG as an address that holds it."""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode("ascii")


def linked_picture(path: str, base: str = "../") -> str:
    """The address of the quicklook of the chip whose `.tif` is at key `path`."""
    return base + quote(layout.chip_artefacts(path, ("_quicklook.jpg",))[0])


def _label(label: _Row) -> dict[str, Any]:
    box = label["box"]
    said = [facts.name_text(label), facts.size_text(label["length_m"], label["width_m"])]
    if label["truncated"]:
        said.append("cut off by the chip's edge")
    return {
        "name": ", ".join(text for text in said if text != facts.NOT_SAID),
        "target": bool(label["is_target"]),
        "at": [round(label["col"], 2), round(label["row"], 2)],
        "box": None if box is None else [round(float(value), 2) for value in box],
    }


def _drawn(labels: Sequence[_Row], track: Sequence[Fix]) -> facts.Facts:
    """What is drawn over the picture, in words: for those who do not see it."""
    found: facts.Facts = []
    others = [one for one in labels if not one["target"]]
    if others:
        said = [(one["name"], f"column {one['at'][0]:.0f}, row {one['at'][1]:.0f}") for one in others]
        found.append(("Other AIS vessels in the chip", said))
    if track:
        when = f"{len(track)} shown, {track[0][2]} to {track[-1][2]} UTC"
        found.append(("AIS track", [("Fixes around sensing", when)]))
    return found


def _hull(chip: _Row, place: Sequence[float]) -> list[float] | None:
    """The outline of a ship whose antenna is taken to be amidships, bow first, clockwise from port; up is north."""
    direction_deg = chip["heading_deg"]
    if direction_deg is None and (chip["sog_kn"] or 0.0) >= COURSE_IS_DIRECTION_KN:
        direction_deg = chip["cog_deg"]
    if direction_deg is None or not chip["length_m"]:
        return None
    ahead, aside = chip["length_m"] / PIXEL_M / 2, (chip["width_m"] or chip["length_m"] * _BREADTH) / PIXEL_M / 2
    sine, cosine = math.sin(math.radians(direction_deg)), math.cos(math.radians(direction_deg))
    corners = ((ahead, -aside), (ahead, aside), (-ahead, aside), (-ahead, -aside))
    return [
        round(value, 2)
        for forward, right in corners
        for value in (place[0] + forward * sine + right * cosine, place[1] - forward * cosine + right * sine)
    ]
