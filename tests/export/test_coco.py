"""COCO: read by pycocotools, areas against shapely and against rasterised masks."""

import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
import shapely.affinity
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pycocotools.coco import COCO

from s2chips_core.ais.ship_types import ship_type_name, ship_type_names
from s2chips_core.export.chip_files import RasterFacts
from s2chips_core.export.coco import CocoWriter, annotation_of, categories, clip_box, image_id
from tests.export.conftest import Export

RASTER = RasterFacts(rows=256, cols=256, cloud_optimized=False)
ROW = {"chip_id": "d96fd1987d732223", "path": "chips/train/1/20251027/d96fd1987d732223.tif", "split": "train", "mmsi": 1}


def label_of(box: list[float] | None, **changes: Any) -> dict[str, Any]:
    return {"mmsi": 1, "is_target": True, "col": 128.5, "row": 128.5, "box": box, "truncated": False, **changes}


def box_at(col: float, row: float, length: float, width: float, direction: float) -> list[float]:
    """Bow-port, bow-starboard, stern-starboard, stern-port, as labels have them."""
    bow = np.array([math.sin(direction), -math.cos(direction)])
    starboard = np.array([-bow[1], bow[0]])
    corners = [(length / 2, -width / 2), (length / 2, width / 2), (-length / 2, width / 2), (-length / 2, -width / 2)]
    return [float(v) for along, across in corners for v in np.array([col, row]) + along * bow + across * starboard]


def load(export: Export, split: str) -> COCO:
    return COCO(str(export.folder / "coco" / f"instances_{split}.json"))


@pytest.mark.parametrize("which", ["whole", "nameless"])
def test_pycocotools_reads_it(which: str, request: pytest.FixtureRequest) -> None:
    export: Export = request.getfixturevalue(which)
    annotations = 0
    for split in ("train", "val", "test"):
        coco = load(export, split)
        images = coco.loadImgs(coco.getImgIds())
        assert len(images) == export.manifest["chips_by_split"].get(split, 0)
        for image in images:
            with Image.open(export.folder / image["file_name"]) as picture:
                assert picture.size == (image["width"], image["height"])
            assert (export.folder / image["path"]).is_file()
            assert image["split"] == split
        annotations += len(coco.getAnnIds())
        assert coco.getCatIds() == [1]
    boxes = [label["box"] for chip in export.kept.values() for label in chip.row["labels"]]
    assert annotations == sum(box is not None for box in boxes)


def test_boxes_are_those_of_the_labels(whole: Export) -> None:
    seen = 0
    for split in ("train", "val", "test"):
        coco = load(whole, split)
        for image in coco.loadImgs(coco.getImgIds()):
            labels = whole.kept[image["chip_id"]].row["labels"]
            assert image["ships_without_box"] == [[b["col"], b["row"]] for b in labels if b["box"] is None]
            found = coco.loadAnns(coco.getAnnIds(image["id"]))
            for annotation, label in zip(found, [b for b in labels if b["box"] is not None], strict=True):
                seen += 1
                corners = np.reshape(label["box"], (4, 2))
                inside = shapely.Polygon(corners).intersection(shapely.box(0, 0, 32, 32))
                assert annotation["area"] == pytest.approx(inside.area, abs=1e-3)
                x, y, w, h = annotation["bbox"]
                assert (x, y, x + w, y + h) == pytest.approx(inside.bounds, abs=2e-3)
                told = shapely.Polygon(np.reshape(annotation["segmentation"][0], (-1, 2)))
                assert told.symmetric_difference(inside).area < 0.05
                assert annotation["truncated"] == label["truncated"]
                assert annotation["attributes"]["mmsi"] == label["mmsi"]
                assert annotation["attributes"]["direction_deg"] == label["direction_deg"]
    assert seen > 10


@given(
    col=st.floats(-20, 276),
    row=st.floats(-20, 276),
    length=st.floats(3, 40),
    width=st.floats(1, 7),
    direction=st.floats(0, 2 * math.pi),
)
def test_clipped_to_the_image(col: float, row: float, length: float, width: float, direction: float) -> None:
    box = box_at(col, row, length, width, direction)
    annotation = annotation_of(label_of(box), 1, ROW, RASTER, 1)
    whole = shapely.Polygon(np.reshape(box, (4, 2)))
    inside = whole.intersection(shapely.box(0, 0, 256, 256))
    if annotation is None:
        assert inside.area < 1e-5
        return
    assert annotation["area"] == pytest.approx(inside.area, abs=1e-3)
    ring = np.reshape(annotation["segmentation"][0], (-1, 2))
    assert ring.min() >= 0
    assert ring.max() <= 256
    x, y, w, h = annotation["bbox"]
    assert min(x, y) >= 0
    assert max(x + w, y + h) <= 256 + 1e-2
    assert annotation["iscrowd"] == 0


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of pycocotools with numpy 2
def test_areas_are_those_of_pycocotools_masks(tmp_path: Path) -> None:
    """Rasterised by somebody else: to a pixel along the outline."""
    path = tmp_path / "coco.json"
    with path.open("wb") as file, CocoWriter(file, info={}, by_type=False) as writer:
        boxes = [box_at(128.5, 128.5, 60, 20, 0.7), box_at(5, 128.5, 40, 20, 1.2), box_at(200, 250, 30, 12, 3.0)]
        writer.add(ROW, RASTER, [label_of(box) for box in boxes])
    coco = COCO(str(path))
    for annotation in coco.loadAnns(coco.getAnnIds()):
        outline = shapely.Polygon(np.reshape(annotation["segmentation"][0], (-1, 2))).length
        assert coco.annToMask(annotation).sum() == pytest.approx(annotation["area"], abs=outline / 2 + 1)


def test_the_image_id_survives_json_everywhere() -> None:
    assert image_id("d96fd1987d732223") == 0xD96FD1987D732223 >> 11
    assert image_id("f" * 16) == 2**53 - 1
    assert int(float(image_id("f" * 16))) == image_id("f" * 16)


def test_ships_that_have_no_annotation_are_told() -> None:
    sink = io.BytesIO()
    with CocoWriter(sink, info={"year": 2025}, by_type=False) as writer:
        writer.add(ROW, RASTER, [label_of(None, col=10.25, row=20.5), label_of(box_at(300, 300, 10, 3, 0))])
        writer.add({**ROW, "chip_id": "0" * 16}, RASTER, None)
        writer.add({**ROW, "chip_id": "0" * 15 + "f"}, RASTER, [])
    tree = json.loads(sink.getvalue())
    assert [image["ships_without_box"] for image in tree["images"]] == [[[10.25, 20.5]], []]
    assert tree["annotations"] == []
    counts = writer.counts
    assert (counts.images, counts.annotations, counts.ships_without_box) == (2, 0, 1)
    assert (counts.ships_outside, counts.chips_without_labels) == (1, 1)


def test_a_box_at_the_edge_only() -> None:
    assert clip_box(box_at(-5, 100, 10, 10, 0), 256, 256) is None
    assert clip_box(box_at(-4, 100, 10, 10, 0), 256, 256).area == pytest.approx(10)  # type: ignore[union-attr]


def test_categories_by_ship_type() -> None:
    made = categories(by_type=True)
    assert made[0] == {"id": 1, "name": "ship", "supercategory": "vessel"}
    assert {each["name"] for each in made[1:]} == ship_type_names() == {ship_type_name(n) for n in range(100)} - {None}
    assert len({each["id"] for each in made}) == len(made)
    numbers = {each["name"]: each["id"] for each in made}
    sink = io.BytesIO()
    with CocoWriter(sink, info={}, by_type=True) as writer:
        types = ["Tanker", None, "Ferry of the owner's own words"]
        writer.add(ROW, RASTER, [label_of(box_at(50, 50, 20, 4, 0), ship_type=name) for name in types])
    found = [annotation["category_id"] for annotation in json.loads(sink.getvalue())["annotations"]]
    assert found == [numbers["Tanker"], 1, 1]


def test_what_fails_in_the_middle_leaves_no_file_open() -> None:
    sink = io.BytesIO()
    with pytest.raises(RuntimeError), CocoWriter(sink, info={}, by_type=False):
        raise RuntimeError
    with pytest.raises(ValueError):
        json.loads(sink.getvalue())
