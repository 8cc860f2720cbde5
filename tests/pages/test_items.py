"""What the scripts of the pages get of a chip."""

import base64
from typing import Any

import numpy as np
import pytest
import shapely

from s2chips_core.index.records import PART_SCHEMA
from s2chips_core.pages.items import Sheet, chip_item, inline_picture, linked_picture
from s2chips_core.tables import conform
from tests.pages.sample_day import make_day


@pytest.fixture(scope="module")
def chip() -> dict[str, Any]:
    """A row of the index."""
    row: dict[str, Any] = conform(make_day(chips=1, refused=0).index, PART_SCHEMA, "index").to_pylist()[0]
    return row


def item_of(chip: dict[str, Any], **more: Any) -> dict[str, Any]:
    return chip_item(chip, [], picture="p.jpg", side_px=256, **more)


LABEL = {
    "mmsi": 244660000,
    "is_target": True,
    "ship_name": "MV SAMPLE 0",
    "col": 128.5,
    "row": 128.25,
    "length_m": 60.0,
    "width_m": None,
    "box": [127.0, 120.0, 130.0, 120.0, 130.0, 137.0, 127.0, 137.004],
    "truncated": False,
}


def test_pictures_and_files(chip: dict[str, Any]) -> None:
    item = item_of(chip, sheet=Sheet(src="views/20251027/0.jpg", layout="0123abcd"))
    assert (item["picture"], item["views"]) == ("p.jpg", {"src": "views/20251027/0.jpg", "layout": "0123abcd"})
    assert item["files"][1] == ("Quicklook", "../chips/train/244660000/20251027/0000000000000000_quicklook.jpg")
    assert linked_picture(chip["path"], "../../") == "../" + item["files"][1][1]
    assert base64.b64decode(inline_picture(b"jpeg").removeprefix("data:image/jpeg;base64,")) == b"jpeg"


@pytest.mark.parametrize(
    ("heading_deg", "sog_kn", "cog_deg", "drawn_deg"),
    [
        (10.0, 9.0, 20.0, 10.0),
        (None, 9.0, 200.0, 200.0),
        (None, 1.4, 20.0, None),
        (None, 1.5, 20.0, 20.0),
        (None, None, None, None),
    ],
)
def test_a_ship_without_heading_lies_along_its_course_while_it_moves(
    chip: dict[str, Any], heading_deg: float | None, sog_kn: float | None, cog_deg: float | None, drawn_deg: float | None
) -> None:
    moved = {**chip, "heading_deg": heading_deg, "sog_kn": sog_kn, "cog_deg": cog_deg, "length_m": 100.0, "width_m": 20.0}
    item = item_of(moved)
    if drawn_deg is None:
        assert item["hull"] is None
        return
    bow_port, bow_starboard, stern_starboard, stern_port = np.reshape(item["hull"], (4, 2))
    outline = shapely.Polygon([bow_port, bow_starboard, stern_starboard, stern_port])
    assert outline.area == pytest.approx(10 * 2, rel=0.01)
    ahead = (bow_port + bow_starboard) / 2 - (stern_port + stern_starboard) / 2
    assert np.degrees(np.arctan2(ahead[0], -ahead[1])) % 360 == pytest.approx(drawn_deg, abs=0.2)
    right = bow_starboard - bow_port
    assert np.degrees(np.arctan2(right[0], -right[1])) % 360 == pytest.approx((drawn_deg + 90) % 360, abs=0.5)
    np.testing.assert_allclose([outline.centroid.x, outline.centroid.y], item["place"]["at"], atol=0.02)


def test_labels_take_the_place_of_the_hull(chip: dict[str, Any]) -> None:
    other = {**LABEL, "is_target": False, "box": None, "truncated": True, "ship_name": None, "mmsi": 7, "length_m": None}
    item = item_of({**chip, "labels": [LABEL, other]})
    assert item["hull"] is None
    assert item["labels"] == [
        {
            "name": "MV SAMPLE 0, 60 m",
            "target": True,
            "at": [128.5, 128.25],
            "box": [127, 120, 130, 120, 130, 137, 127, 137],
        },
        {"name": "MMSI 7, cut off by the chip's edge", "target": False, "at": [128.5, 128.25], "box": None},
    ]
    assert item_of({**chip, "labels": [other]})["hull"] is None
    assert item_of({**chip, "labels": []})["hull"] is not None
    where = [("MMSI 7, cut off by the chip's edge", "column 128, row 128")]
    assert ("Other AIS vessels in the chip", where) in item["facts"]
    from_index = {name: value for name, value in chip.items() if name != "labels"}
    assert item_of(from_index)["labels"] == item_of({**chip, "labels": None})["labels"] == []


def test_a_track_is_said_in_words_too(chip: dict[str, Any]) -> None:
    item = item_of(chip, track=[(1.0, 2.0, "11:03:22"), (5.0, 2.0, "11:04:22")])
    assert item["track"] == [[1.0, 2.0, "11:03:22"], [5.0, 2.0, "11:04:22"]]
    assert item["facts"][-1] == ("AIS track", [("Fixes around sensing", "2 shown, 11:03:22 to 11:04:22 UTC")])


def test_whether_the_picture_shows_the_ship_is_said_where_it_was_judged(chip: dict[str, Any]) -> None:
    def said(**columns: Any) -> dict[str, str]:
        return {label: value for _, group in item_of({**chip, **columns})["facts"] for label, value in group}

    older = {name: value for name, value in chip.items() if not name.startswith("confirmation")}
    assert "Seen in the picture" not in {label for _, group in item_of(older)["facts"] for label, _ in group}
    judged = said(confirmation="ambiguous", confirmation_offset_m=84.2, confirmation_contrast=3.14)
    assert judged["Seen in the picture"] == "ambiguous"
    assert judged["Brightest near by"] == "84 m from the expected hull"
    assert judged["Contrast"] == "3.1"
    nothing = said(confirmation=None, confirmation_offset_m=None, confirmation_contrast=None)
    assert nothing["Seen in the picture"] == "could not be judged"
