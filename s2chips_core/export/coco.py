"""COCO annotations: one `instances_{split}.json`, pictures and boxes of ships.

Here: images and annotations from rows and labels, and writing them piece by piece. Not here: where labels come from
(`chip_files`). The format: https://cocodataset.org/#format-data. Pixels are counted as there and in the labels: 0, 0 is the
upper-left corner of the upper-left pixel.

A ship without a box (its size or direction is not known) has no annotation; the image tells where it is in
`ships_without_box`, so that nobody learns from it that there is none. Chips that no labels are known of are left out.
"""

import dataclasses
import json
import tempfile
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import IO, Any

import shapely

from s2chips_core import layout
from s2chips_core.ais.ship_types import ship_type_names
from s2chips_core.export.chip_files import QUICKLOOK_SUFFIX, Labels, RasterFacts
from s2chips_core.index.records import plain

SHIP = 1
"""The category of every ship, or of one whose type is not known."""
LEAST_AREA_PX = 1e-6
"""Less of a box within the image is a touch at its edge."""
DECIMALS = 3
IMAGE_FIELDS = (
    *("chip_id", "path", "mmsi", "vessel_id", "split", "lat", "lon", "scene_id", "scene_datetime", "epsg", "transform"),
    *("ais_source", "confirmation", "confirmation_offset_m", "confirmation_contrast"),
)
"""Fields of the row that an image carries, where the export shows them."""
ATTRIBUTES = (
    *("mmsi", "vessel_id", "is_target", "direction_deg", "direction_source", "box_source", "length_m", "width_m"),
    *("ship_type", "sog_kn", "position_method", "position_sigma_m"),
)
"""Fields of a label that an annotation carries, where the export shows them."""


@dataclasses.dataclass(slots=True)
class CocoCounts:
    """What was written."""

    images: int = 0
    annotations: int = 0
    truncated: int = 0
    """Annotations that were clipped at the edge of the image."""
    ships_without_box: int = 0
    """Ships that are told by a point only."""
    ships_outside: int = 0
    """Ships whose box is out of the image, but for the edge."""
    chips_without_labels: int = 0
    """Chips that are left out: nothing is known of the ships in them."""


def image_id(chip_id: str) -> int:
    """The first 53 bits of a chip id: whole numbers up to there survive JSON in every language."""
    return int(chip_id, 16) >> 11


def image_of(row: Mapping[str, Any], raster: RasterFacts, labels: Labels) -> dict[str, Any]:
    """The image of a chip; its picture is the quicklook, one pixel for one pixel."""
    [file_name] = layout.chip_artefacts(row["path"], (QUICKLOOK_SUFFIX,))
    told = {name: plain(row[name]) for name in IMAGE_FIELDS if name in row}
    return {
        "id": image_id(row["chip_id"]),
        "file_name": file_name,
        "width": raster.cols,
        "height": raster.rows,
        "date_captured": told.get("scene_datetime"),
        **told,
        "ships_without_box": [[label["col"], label["row"]] for label in labels if label.get("box") is None],
    }


def clip_box(box: Sequence[float], width: int, height: int) -> shapely.Polygon | None:
    """The part of a box that is in the image; none when there is none.

    Args:
        box: col, row of four corners.
        width, height: of the image, pixels.
    """
    corners = list(zip(box[0::2], box[1::2], strict=True))
    inside = shapely.intersection(shapely.Polygon(corners), shapely.box(0, 0, width, height))
    return inside if isinstance(inside, shapely.Polygon) and inside.area > LEAST_AREA_PX else None


def annotation_of(
    label: Mapping[str, Any], number: int, row: Mapping[str, Any], raster: RasterFacts, category: int
) -> dict[str, Any] | None:
    """The annotation of a ship; none when its box is out of the image."""
    shape = clip_box(label["box"], raster.cols, raster.rows)
    if shape is None:
        return None
    west, north, east, south = shape.bounds
    ring = list(shapely.geometry.polygon.orient(shape).exterior.coords)[:-1]
    return {
        "id": number,
        "image_id": image_id(row["chip_id"]),
        "category_id": category,
        "segmentation": [[round(value, DECIMALS) for corner in ring for value in corner]],
        "bbox": [round(value, DECIMALS) for value in (west, north, east - west, south - north)],
        "area": round(shape.area, DECIMALS),
        "iscrowd": 0,
        "truncated": bool(label["truncated"]),
        "attributes": {name: plain(label[name]) for name in ATTRIBUTES if name in label} | {"box": list(label["box"])},
    }


class CocoWriter:
    """One file, written as the chips come: images at once, annotations into a temporary file until the images are done."""

    def __init__(self, file: IO[bytes], *, info: Mapping[str, Any], by_type: bool) -> None:
        self._file, self._later = file, tempfile.TemporaryFile()  # noqa: SIM115 - closed by __exit__
        self._categories = categories(by_type=by_type)
        self._numbers = {each["name"]: each["id"] for each in self._categories}
        self.counts = CocoCounts()
        file.write(f'{{"info": {_text(info)},\n"licenses": [],\n"categories": {_text(self._categories)},\n'.encode())
        file.write(b'"images": [\n')

    def __enter__(self) -> "CocoWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with self._later:
            if kind is None:
                self._later.seek(0)
                self._file.write(b'\n],\n"annotations": [\n')
                while piece := self._later.read(1 << 20):
                    self._file.write(piece)
                self._file.write(b"\n]}\n")

    def add(self, row: Mapping[str, Any], raster: RasterFacts, labels: Labels | None) -> None:
        """Write the image of a chip and the annotations of its ships."""
        if labels is None:
            self.counts.chips_without_labels += 1
            return
        self._file.write(_after(self.counts.images) + _text(image_of(row, raster, labels)).encode())
        self.counts.images += 1
        for label in labels:
            if label.get("box") is None:
                self.counts.ships_without_box += 1
                continue
            category = self._numbers.get(str(label.get("ship_type")), SHIP)
            annotation = annotation_of(label, self.counts.annotations + 1, row, raster, category)
            if annotation is None:
                self.counts.ships_outside += 1
                continue
            self._later.write(_after(self.counts.annotations) + _text(annotation).encode())
            self.counts.annotations += 1
            self.counts.truncated += annotation["truncated"]


def categories(*, by_type: bool) -> list[dict[str, Any]]:
    """Category 1 is a ship; with `by_type` each ship type of AIS has one too, the same in every export."""
    ship = {"id": SHIP, "name": "ship", "supercategory": "vessel"}
    types = sorted(ship_type_names()) if by_type else []
    return [ship, *({"id": SHIP + n, "name": name, "supercategory": "ship"} for n, name in enumerate(types, start=1))]


def _after(count: int) -> bytes:
    return b",\n" if count else b""


def _text(tree: Any) -> str:
    return json.dumps(tree, ensure_ascii=False, allow_nan=False)
