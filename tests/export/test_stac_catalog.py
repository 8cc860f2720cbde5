"""The catalogue above the items: whole, relative, and small files."""

import json
from pathlib import Path

import pystac
import pytest
import shapely

from tests.export.conftest import Export
from tests.export.validation import stac_validator_says, use_local_schemas


def collection_of(export: Export) -> pystac.Collection:
    return pystac.Collection.from_file(export.folder / "stac" / "collection.json")


@pytest.mark.parametrize("which", ["whole", "nameless"])
def test_valid_by_two_validators(which: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    use_local_schemas(monkeypatch)
    export: Export = request.getfixturevalue(which)
    assert collection_of(export).validate_all() == 16
    assert len(collection_of(export).validate()) == 5
    for path in [*(export.folder / "stac").glob("*.json"), *(export.folder / "stac").glob("*/catalog.json")]:
        said = stac_validator_says(path)
        assert said["valid_stac"], said


def test_every_chip_once_below_its_day(whole: Export) -> None:
    found: dict[str, str] = {}
    children = list(collection_of(whole).get_children())
    for child in children:
        for item in child.get_items():
            assert item.id not in found
            found[item.id] = child.title or ""
            assert item.get_parent() is child
            assert item.get_collection().id == "s2chips"
    assert found == {i: f"{chip.row['scene_datetime']:%Y-%m-%d}" for i, chip in whole.kept.items()}
    assert [child.title for child in children] == sorted({*found.values()})


def test_every_link_is_relative_and_leads_somewhere(whole: Export) -> None:
    """So that the folder can be moved, or served as it is."""
    for path in (whole.folder / "stac").rglob("*.json"):
        tree = json.loads(path.read_text(encoding="utf-8"))
        hrefs = [link["href"] for link in tree["links"]] + [a["href"] for a in tree.get("assets", {}).values()]
        for href in hrefs:
            assert href.startswith("."), href
            assert (path.parent / href).resolve().is_file(), href
            assert (path.parent / href).resolve().is_relative_to(whole.folder.resolve())


def test_extent_and_summaries(whole: Export) -> None:
    collection, rows = collection_of(whole), [chip.row for chip in whole.kept.values()]
    bounds = shapely.total_bounds(shapely.from_wkb([row["geometry"] for row in rows]))
    assert collection.extent.spatial.bboxes[0] == pytest.approx(bounds.tolist())
    times = [row["scene_datetime"] for row in rows]
    assert collection.extent.temporal.intervals == [[min(times), max(times)]]
    summaries = collection.summaries.to_dict()
    assert summaries["s2chips:split"] == sorted({row["split"] for row in rows})
    assert summaries["s2chips:ais_source"] == ["aisstream"]
    assert summaries["proj:code"] == ["EPSG:32630"]
    assert summaries["eo:cloud_cover"] == {"minimum": 3.5, "maximum": 3.5}
    assert [band["name"] for band in summaries["eo:bands"]] == ["B02", "B03", "B04", "B08", "B11", "B12"]
    assert "s2chips:ship_type" in summaries


def test_licence_and_providers(whole: Export, nameless: Export) -> None:
    for export in (whole, nameless):
        collection = collection_of(export)
        assert collection.license == "other"
        [licence] = collection.get_links("license")
        assert Path(str(licence.get_absolute_href())).name == "DATACARD.md"
        roles = {role for provider in collection.providers or [] for role in provider.roles or []}
        assert roles == {"producer", "licensor", "processor"}
        assert set(collection.assets) == {"index", "labels"}


def test_without_tables_there_are_no_assets(make_export: object) -> None:
    export: Export = make_export(formats=("stac",))  # type: ignore[operator]
    assert not collection_of(export).assets
    assert {p.name for p in export.folder.iterdir()} == {"DATACARD.md", "chips", "stac", "checksums.sha256", "export.json"}
