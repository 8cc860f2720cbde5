"""What the page's script gets of a chip."""

import base64
import io
from typing import Any

import pytest
from PIL import Image

from s2chips_core.index.records import INDEX_SCHEMA
from s2chips_core.pages.items import chip_item
from s2chips_core.tables import conform
from tests.pages.sample_day import make_day, sea_jpeg


@pytest.fixture(scope="module")
def chip() -> dict[str, Any]:
    """A row of the index."""
    row: dict[str, Any] = conform(make_day(chips=1, refused=0).index, INDEX_SCHEMA, "index").to_pylist()[0]
    return row


@pytest.mark.parametrize(("full", "size"), [(True, (256, 256)), (False, (128, 128))])
def test_pictures_are_whole_or_thumbnails(chip: dict[str, Any], full: bool, size: tuple[int, int]) -> None:
    quicklook = sea_jpeg(1)
    item = chip_item(chip, [], quicklook, full=full)
    picture = base64.b64decode(item["picture"])
    with Image.open(io.BytesIO(picture)) as image:
        assert (image.format, image.size) == ("JPEG", size)
    assert (picture == quicklook) is full
    assert item["side_px"] == 256
    assert item["files"][1] == ("Quicklook", "../chips/train/244660000/20251027/0000000000000000_quicklook.jpg")


@pytest.mark.parametrize(
    ("heading_deg", "sog_kn", "cog_deg", "drawn_deg"),
    [(10.0, 9.0, 20.0, 10.0), (None, 9.0, 20.0, 20.0), (None, 0.3, 20.0, None), (None, None, None, None)],
)
def test_a_ship_without_heading_lies_along_its_course_while_it_moves(
    chip: dict[str, Any], heading_deg: float | None, sog_kn: float | None, cog_deg: float | None, drawn_deg: float | None
) -> None:
    moved = {**chip, "heading_deg": heading_deg, "sog_kn": sog_kn, "cog_deg": cog_deg}
    assert chip_item(moved, [], sea_jpeg(1), full=True)["heading_deg"] == drawn_deg
