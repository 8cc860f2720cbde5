"""The pictures of a chip, and the sheet they are on."""

import io
import json
from typing import Any

import numpy as np
import pytest
from PIL import Image

from s2chips_core.chips.chip import MASK_BANDS
from s2chips_core.chips.gate import ndwi
from s2chips_core.pages.views import COLUMNS, SCL_CLASSES, Desk, Layout, colour_ndwi, colour_scl, draw_sheet
from tests.pages.sample_day import colours, sea_chip

SIX = ("B02", "B03", "B04", "B08", "B11", "B12")


def layout_of(**more: Any) -> Layout:
    fields: dict[str, Any] = {"bands": SIX, "masks": MASK_BANDS, "side_px": 256, "ndwi_water_thresh": 0.05}
    return Layout(**(fields | more))


def pictures(layout: Layout, sheet: bytes) -> dict[str, np.ndarray]:
    """The panels by name, cut out of the sheet as the viewer does."""
    pixels = np.asarray(Image.open(io.BytesIO(sheet))).astype(int)
    said = layout.to_json()
    height, width = pixels.shape[0] // said["rows"], pixels.shape[1] // said["columns"]
    found = {}
    for n, panel in enumerate(said["panels"]):
        top, left = n // said["columns"] * height, n % said["columns"] * width
        found[panel["name"]] = pixels[top : top + height, left : left + width]
    return found


def test_every_picture_is_in_its_place() -> None:
    chip, layout = sea_chip(1, bands=SIX, masks=True), layout_of()
    shown = pictures(layout, draw_sheet(layout, chip.reflectance, chip.masks))
    names = ["natural", "nir", "swir", "ndwi", "scl", "cloud", "land", "water", "valid"]
    assert list(shown) == [*names, *(band.lower() for band in SIX)]
    assert {picture.shape for picture in shown.values()} == {(256, 256, 3)}
    hull, sea, land = np.s_[122:134, 127:130], np.s_[160:250, 60:250], np.s_[8:248, 3:13]
    for name in ("natural", "nir", "swir", "b04", "b12"):
        assert shown[name][hull].mean() > shown[name][sea].mean() + 80, name
    # Land is bright in the near infrared: red in its composite, brown where NDWI says no water.
    assert shown["nir"][land][..., 0].mean() > shown["nir"][land][..., 1].mean() + 60
    assert shown["ndwi"][land][..., 0].mean() > shown["ndwi"][land][..., 2].mean() + 40
    assert shown["ndwi"][sea][..., 2].mean() > shown["ndwi"][sea][..., 0].mean() + 40
    np.testing.assert_allclose(shown["scl"][land].mean(axis=(0, 1)), (0, 160, 0), atol=3)
    np.testing.assert_allclose(shown["scl"][sea].mean(axis=(0, 1)), (0, 0, 255), atol=3)
    assert shown["water"][sea][..., 2].mean() > 150
    assert shown["water"][land].mean() < 60


def test_neighbours_do_not_bleed_into_each_other() -> None:
    layout = layout_of(side_px=100, masks=())
    assert layout.pitch_px == 104
    chip = sea_chip(2, bands=SIX, size_px=100)
    sheet = np.asarray(Image.open(io.BytesIO(draw_sheet(layout, chip.reflectance, None))))
    assert sheet.shape == (layout.rows * 104, COLUMNS * 104, 3)
    layout = layout_of()
    chip = sea_chip(2, bands=SIX, masks=True)
    assert chip.masks is not None
    shown = pictures(layout, draw_sheet(layout, chip.reflectance, chip.masks))
    # scl (blue at its right edge) is left of cloud, which is dark all over.
    assert np.abs(shown["cloud"][:, 0] - shown["cloud"][128, 128]).max() <= 2


def test_what_is_not_there_is_said_with_its_setting() -> None:
    bare = layout_of(bands=SIX[:4], masks=())
    assert [panel.name for panel in bare.panels] == ["natural", "nir", "ndwi", "b02", "b03", "b04", "b08"]
    assert [(title, why.rpartition("(")[2]) for title, why in bare.absent] == [
        ("Short-wave infrared", "tiling.include_swir)"),
        ("SCL and masks", "masks.persist)"),
    ]
    older = layout_of(masks=MASK_BANDS[:4])
    assert [title for title, _ in older.absent] == ["SCL"]
    assert layout_of().absent == ()
    assert [panel.name for panel in layout_of(bands=("B04",), masks=()).panels] == ["b04"]


def test_layouts_are_json_and_have_names_of_their_own() -> None:
    layouts = [layout_of(), layout_of(bands=SIX[:4]), layout_of(masks=()), layout_of(ndwi_water_thresh=0.1)]
    layouts += [layout_of(ndwi_water_thresh=None), layout_of(side_px=128)]
    assert len({layout.name for layout in layouts}) == len(layouts)
    for layout in layouts:
        json.dumps(layout.to_json(), allow_nan=False)
    unknown = next(panel for panel in layouts[4].to_json()["panels"] if panel["name"] == "ndwi")
    assert unknown["ramp"]["middle_text"] == "0 (threshold not known)"


@pytest.mark.parametrize("threshold", [-1.0, -0.5, 0.0, 0.05, 0.3, 1.0])
def test_ndwi_changes_its_colour_exactly_at_the_threshold(threshold: float) -> None:
    random = np.random.default_rng(1)
    green, nir = random.integers(1, 10_001, (2, 200, 200)).astype(np.intp)
    green[0, 0] = 0
    picture = colours(colour_ndwi(green, nir, threshold)).astype(int)
    blue = picture[..., 2] > picture[..., 0]
    water = ndwi((green / 10_000).astype(np.float32), (nir / 10_000).astype(np.float32)) > threshold
    np.testing.assert_array_equal(blue.ravel()[1:], water.ravel()[1:])
    assert picture[0, 0].tolist() == [40, 40, 40]


def test_scl_has_a_colour_for_each_class() -> None:
    assert [number for number, _, _ in SCL_CLASSES] == list(range(12))
    coloured = colours(colour_scl(np.array([[*range(12), 12, 255]], np.uint8)))[0]
    assert len({tuple(colour) for colour in coloured[:13].tolist()}) == 13
    assert coloured[12].tolist() == coloured[13].tolist()
    assert coloured[6].tolist() == [0, 0, 255]


def test_the_same_chip_is_the_same_sheet() -> None:
    chip, layout = sea_chip(3, bands=SIX, masks=True), layout_of()
    one, other = (draw_sheet(layout, chip.reflectance, chip.masks) for _ in range(2))
    assert one == other


def test_a_chip_without_any_data_is_a_grey_sheet() -> None:
    layout = layout_of(masks=())
    shown = pictures(layout, draw_sheet(layout, np.zeros((6, 256, 256), np.float32), None))
    assert all((picture == 40).all() for picture in shown.values())


def test_a_desk_keeps_nothing_of_the_chip_before() -> None:
    desk = Desk()
    for seed, size_px, masks in [(4, 256, True), (5, 256, True), (6, 100, False), (7, 256, True), (8, 100, False)]:
        chip = sea_chip(seed, bands=SIX, size_px=size_px, masks=masks)
        layout = layout_of(side_px=size_px, masks=MASK_BANDS if masks else ())
        alone = draw_sheet(layout, chip.reflectance, chip.masks)
        assert draw_sheet(layout, chip.reflectance, chip.masks, desk=desk) == alone
