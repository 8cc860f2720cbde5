"""STAC items, against their schemas, rasterio, the archive's own items, and pystac's readers."""

import datetime
import hashlib
import json
from pathlib import Path
from typing import Any

import pystac
import pytest
import rasterio
import shapely
from pystac.extensions.eo import EOExtension
from pystac.extensions.file import FileExtension
from pystac.extensions.projection import ProjectionExtension
from pystac.extensions.raster import RasterExtension

from s2chips_core.export.stac import EO_BANDS, bbox_of, bbox_of_all, platform, relative
from tests.export.conftest import Export
from tests.export.validation import stac_validator_says, use_local_schemas


def items_of(export: Export) -> dict[str, pystac.Item]:
    collection = pystac.Collection.from_file(export.folder / "stac" / "collection.json")
    return {item.id: item for item in collection.get_items(recursive=True)}


@pytest.mark.parametrize("which", ["whole", "nameless"])
def test_valid_by_two_validators(which: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    use_local_schemas(monkeypatch)
    export: Export = request.getfixturevalue(which)
    for item in items_of(export).values():
        assert len(item.validate()) == 5  # core, and four extensions
        said = stac_validator_says(Path(item.self_href))
        assert said["valid_stac"], said
        assert len(said["schema"]) == 5


@pytest.mark.parametrize(
    ("name", "value"),
    [("proj:shape", "x"), ("eo:cloud_cover", 101), ("datetime", "yesterday"), ("proj:code", 32630)],
)
def test_the_validators_find_what_is_wrong(
    whole: Export, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, value: object
) -> None:
    use_local_schemas(monkeypatch)
    item = next(iter(items_of(whole).values()))
    tree = json.loads(Path(item.self_href).read_text())
    tree["properties"][name] = value
    (tmp_path / "bad.json").write_text(json.dumps(tree))
    assert not stac_validator_says(tmp_path / "bad.json")["valid_stac"]
    with pytest.raises(pystac.STACValidationError):
        pystac.validation.validate_dict(tree)


def test_what_pystac_reads_is_in_the_files(whole: Export) -> None:
    for chip_id, item in items_of(whole).items():
        row = whole.kept[chip_id].row
        assert item.datetime == row["scene_datetime"]
        assert item.common_metadata.platform == {"S2B": "sentinel-2b"}[row["platform"]]
        assert item.common_metadata.created == row["created_at"]
        assert EOExtension.ext(item).cloud_cover == row["cloud_cover"]
        data = item.assets["data"]
        with rasterio.open(data.get_absolute_href()) as raster:
            proj = ProjectionExtension.ext(item)
            assert proj.code == f"EPSG:{raster.crs.to_epsg()}"
            assert proj.shape == [raster.height, raster.width]
            assert proj.transform == list(raster.transform)[:6]
            assert proj.bbox == list(raster.bounds)
            assert [band.name for band in EOExtension.ext(data).bands or []] == list(raster.descriptions)
            bands = RasterExtension.ext(data).bands or []
            assert [(str(b.data_type), b.nodata) for b in bands] == [("float32", raster.nodata)] * raster.count
        assert shapely.equals_exact(
            shapely.geometry.shape(item.geometry), shapely.from_wkb(row["geometry"]), tolerance=1e-7, normalize=True
        )
        if "masks" in item.assets:
            with rasterio.open(item.assets["masks"].get_absolute_href()) as raster:
                told = [(b["name"], b["data_type"], b["nodata"]) for b in item.assets["masks"].extra_fields["bands"]]
                assert told == [(name, "uint8", raster.nodata) for name in raster.descriptions]
        assert item.bbox == pytest.approx(shapely.from_wkb(row["geometry"]).bounds)


def test_assets_are_what_their_checksums_say(nameless: Export) -> None:
    seen = set()
    for item in items_of(nameless).values():
        for name, asset in item.assets.items():
            content = Path(asset.get_absolute_href()).read_bytes()
            told = FileExtension.ext(asset)
            assert told.size == len(content)
            assert told.checksum == "1220" + hashlib.sha256(content).hexdigest()
            seen.add((name, asset.media_type, tuple(asset.roles)))
    assert seen == {
        ("data", "image/tiff; application=geotiff", ("data", "reflectance")),
        ("masks", "image/tiff; application=geotiff", ("data-mask",)),
        ("quicklook", "image/jpeg", ("thumbnail", "overview")),
        ("metadata", "application/json", ("metadata", "labels")),
    }


def test_the_rest_of_the_row_is_under_a_prefix(whole: Export) -> None:
    for chip_id, item in items_of(whole).items():
        row = whole.kept[chip_id].row
        assert item.properties["s2chips:mmsi"] == row["mmsi"]
        assert item.properties["s2chips:split"] == row["split"]
        assert item.properties["s2chips:ais_time"] == row["ais_time"].isoformat(timespec="milliseconds")[:-6] + "Z"
        assert "s2chips:geometry" not in item.properties
        assert "s2chips:labels" not in item.properties


def test_bands_are_those_of_the_archive(shared_data: Path) -> None:
    """Of a real item of Earth Search."""
    path = shared_data / "stac" / "earth-search-v1" / "item_c1_S2B_T10TFR_20231223_as_pystac_to_dict.json"
    assets = json.loads(path.read_text())["assets"]
    real = {band["name"]: band for asset in assets.values() for band in asset.get("eo:bands", [])}
    for name, band in EO_BANDS.items():
        assert band == real[name]
    assert platform("S2B") == json.loads(path.read_text())["properties"]["platform"]


@pytest.mark.parametrize(
    ("here", "there", "link"),
    [
        ("stac/collection.json", "stac/20251027/catalog.json", "./20251027/catalog.json"),
        ("stac/20251027/a.json", "stac/collection.json", "../collection.json"),
        ("stac/20251027/a.json", "stac/20251027/catalog.json", "./catalog.json"),
        ("stac/20251027/a.json", "chips/train/1/20251027/a.tif", "../../chips/train/1/20251027/a.tif"),
        ("stac/collection.json", "stac/collection.json", "./collection.json"),
        ("stac/collection.json", "DATACARD.md", "../DATACARD.md"),
    ],
)
def test_links_are_relative(here: str, there: str, link: str) -> None:
    assert relative(here, there) == link
    base = Path("/x") / here
    assert (base.parent / link).resolve() == Path("/x") / there


def test_on_both_sides_of_the_antimeridian() -> None:
    both = shapely.MultiPolygon([shapely.box(179.9, -17, 180, -16), shapely.box(-180, -17, -179.95, -16)])
    assert bbox_of(both) == [179.9, -17, -179.95, -16]
    apart = shapely.MultiPolygon([shapely.box(1, 1, 2, 2), shapely.box(3, 1, 4, 2)])
    assert bbox_of(apart) == [1, 1, 4, 2]


def test_the_extent_of_chips_on_both_sides_of_the_antimeridian() -> None:
    """West is above east then (RFC 7946, 5.2): a sea around Fiji is not the whole world."""
    across = shapely.MultiPolygon([shapely.box(179.9, -17, 180, -16), shapely.box(-180, -17, -179.95, -16)])
    east, west = shapely.box(178, -18, 178.1, -17.9), shapely.box(-179, -19, -178.9, -18.9)
    assert bbox_of_all([across]) == bbox_of(across)
    assert bbox_of_all([west, across, east]) == [178, -19, -178.9, -16]
    # A far chip beside them is taken in on the shorter way.
    assert bbox_of_all([across, shapely.box(10, 50, 11, 51)]) == [10, -17, -179.95, 51]
    # None is on the antimeridian: as they come, also where the other way is shorter.
    assert bbox_of_all([east, west]) == [-179, -19, 178.1, -17.9]
    assert bbox_of_all([shapely.box(1, 2, 3, 4)]) == [1, 2, 3, 4]


def test_a_cloud_optimized_file_says_so(make_item: Any) -> None:
    assert make_item(cloud_optimized=True)["assets"]["data"]["type"].endswith("profile=cloud-optimized")
    assert "cloud" not in make_item(cloud_optimized=False)["assets"]["data"]["type"]


@pytest.fixture
def make_item(whole: Export) -> Any:
    from s2chips_core.export.chip_files import RasterFacts
    from s2chips_core.export.folder import Digest
    from s2chips_core.export.stac import stac_item
    from s2chips_core.index.records import INDEX_SCHEMA

    row = {name: next(iter(whole.kept.values())).row[name] for name in INDEX_SCHEMA.names}
    digests = dict.fromkeys((".tif", "_quicklook.jpg", ".json"), Digest(sha256="0" * 64, size=1))

    def make(*, cloud_optimized: bool, **changes: Any) -> dict[str, Any]:
        raster = RasterFacts(rows=32, cols=32, cloud_optimized=cloud_optimized)
        return stac_item({**row, **changes}, raster, digests)

    return make


def test_what_is_not_known_is_not_made_up(make_item: Any) -> None:
    item = make_item(cloud_optimized=False, cloud_cover=None, ship_type=None, sog_kn=float("nan"))
    assert "eo:cloud_cover" not in item["properties"]
    assert item["properties"]["s2chips:ship_type"] is None
    assert item["properties"]["s2chips:sog_kn"] is None
    assert "masks" not in item["assets"]


def test_times_are_utc(make_item: Any) -> None:
    moment = datetime.datetime(2025, 10, 27, 23, 30, tzinfo=datetime.timezone(datetime.timedelta(hours=0)))
    assert make_item(cloud_optimized=False, scene_datetime=moment)["properties"]["datetime"] == "2025-10-27T23:30:00.000Z"
