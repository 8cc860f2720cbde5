import copy
import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s2chips_core.errors import InputError
from s2chips_core.hrefs import host_of
from s2chips_core.overpasses.tile_grid import tile_corner
from s2chips_core.scenes.footprints import Footprint
from s2chips_core.scenes.items import parse_item
from s2chips_core.scenes.providers import ASSET_BANDS, PROVIDERS
from s2chips_core.scenes.scene import Scene
from s2chips_core.scenes.search import parse_items
from s2chips_core.sections import ASSET_HOSTS, ProviderName, Stac
from tests.reliability import often
from tests.scenes.samples import item, recorded_items

EARTH_SEARCH = PROVIDERS["earth_search"]
L2A = EARTH_SEARCH.collections["sentinel-2-l2a"]


def parse(tree: dict[str, Any], provider: str = "earth_search") -> Scene:
    return parse_item(tree, PROVIDERS[provider], PROVIDERS[provider].collections[tree["collection"]])


def test_reads_what_a_scene_needs() -> None:
    scene = parse(item(1))
    assert scene.scene_id == "S2A_30STF_20250731_1_L2A"
    assert scene.datetime == datetime(2025, 7, 31, 11, 4, 22, 123_000, tzinfo=UTC)
    assert scene.datetime_is == "tile"
    assert (scene.platform, scene.mgrs_tile, scene.epsg) == ("S2A", "30STF", 32630)
    assert scene.datatake_id == "GS2A_20250731T110031_052780"
    assert (scene.processing_baseline, scene.sequence, scene.boa_offset_flag) == ("05.11", 1, True)
    assert scene.revision == "2025-07-31T19:00:00.000Z"
    assert set(scene.assets) == set(ASSET_BANDS)
    nir = scene.assets["B08"]
    assert (nir.gsd_m, nir.ulx_m, nir.uly_m, nir.rows, nir.cols, nir.offset) == (10, 199980, 4000020, 10980, 10980, -0.1)


def test_every_recorded_level_2a_item_is_a_scene_that_json_keeps(shared_data: Path) -> None:
    read: Counter[tuple[str, str]] = Counter()
    for provider, file, tree in recorded_items(shared_data):
        if tree["collection"] not in PROVIDERS[provider].collections:
            continue
        scene = parse(tree, provider)
        read[provider, scene.collection] += 1
        assert Scene.from_json(scene.to_json()) == scene
        expected = set(ASSET_BANDS)
        if file.parent.name == "archive-32VPH":
            expected -= {"B05", "B06", "B07", "B8A", "SCL"}
        assert set(scene.assets) == expected
        # The tile grid is another source of the same truth.
        epsg, ulx_m, uly_m = tile_corner(scene.mgrs_tile)
        assert scene.epsg == epsg
        for band, asset in scene.assets.items():
            assert (asset.ulx_m, asset.uly_m) == (ulx_m, uly_m), (scene.scene_id, band)
            assert asset.rows * asset.gsd_m == asset.cols * asset.gsd_m == 109_800
            assert asset.gsd_m == (10 if band in ("B02", "B03", "B04", "B08") else 20)
    assert read == {
        ("earth_search", "sentinel-2-l2a"): 24,
        ("earth_search", "sentinel-2-c1-l2a"): 31,
        ("earth_search", "sentinel-s2-l2a-cogs"): 104,
        ("planetary_computer", "sentinel-2-l2a"): 15,
        ("cdse", "sentinel-2-l2a"): 1,
    }


def test_every_other_recorded_item_is_refused_under_any_profile(shared_data: Path) -> None:
    refused: Counter[str] = Counter()
    for provider, _, tree in recorded_items(shared_data):
        if provider == "earth_search" and tree["collection"] not in EARTH_SEARCH.collections:
            with pytest.raises(InputError, match=r"^item \S+: collection: got"):
                parse_item(tree, EARTH_SEARCH, L2A)
            if tree["collection"] == "sentinel-s2-l2a":  # Level-2A, though as JP2 only: right in all but its name
                continue
            # Even when it calls itself one.
            with pytest.raises(InputError, match=tree["id"]):
                parse_item({**tree, "collection": L2A.collection}, EARTH_SEARCH, L2A)
            refused[tree["collection"]] += 1
    assert refused == {"landsat-c2-l2": 2, "sentinel-1-grd": 20, "sentinel-2-l1c": 20}


def test_names_of_the_real_items(shared_data: Path) -> None:
    scenes = {
        tree["id"]: parse(tree, p)
        for p, _, tree in recorded_items(shared_data)
        if tree["id"][:2] == "S2" and p != "earth_search"
    }
    cdse = scenes["S2C_MSIL2A_20250330T100051_N0511_R122_T33UWP_20250330T145914"]
    assert (cdse.platform, cdse.datatake_id) == ("S2C", "GS2C_20250330T100051_002952")
    assert (cdse.datetime_is, cdse.processing_baseline, cdse.mgrs_tile) == ("datatake_start", "05.11", "33UWP")
    assert cdse.assets["B11"].offset == -0.1
    assert cdse.assets["SCL"].offset is None
    assert cdse.granule_metadata_href is not None
    assert cdse.granule_metadata_href.endswith("/MTD_TL.xml")
    planetary = scenes["S2B_MSIL2A_20190629T212529_R043_T06VVN_20201006T080531"]
    assert (planetary.platform, planetary.datatake_id) == ("S2B", "GS2B_20190629T212529_012081")
    assert (planetary.datetime_is, planetary.processing_baseline) == ("datatake_start", "02.12")
    assert planetary.granule_metadata_href is not None


def test_the_default_hosts_take_every_recorded_href(shared_data: Path) -> None:
    asked: Counter[str] = Counter()
    for provider, file, tree in recorded_items(shared_data):
        if file.parent.name not in ("earth-search-v1", "planetary-computer", "cdse"):
            continue
        if tree["collection"] in PROVIDERS[provider].collections:
            found = parse(tree, provider)
            metadata = [] if found.datetime_is == "tile" else [found.granule_metadata_href]
            for href in [*(asset.href for asset in found.assets.values()), *metadata]:
                assert href is not None
                assert host_of(href) in ASSET_HOSTS[cast(ProviderName, provider)], href
                asked[provider] += 1
    assert asked["earth_search"] > 300
    assert asked["planetary_computer"] == 15 * 12
    assert asked["cdse"] == 12
    assert set(Stac().allowed_hosts) == {host for hosts in ASSET_HOSTS.values() for host in hosts}
    # Where a signed request for CDSE's files goes.
    assert host_of(Stac().s3_endpoint) in ASSET_HOSTS["cdse"]


@pytest.mark.parametrize("spelling", ["sentinel-2a", "Sentinel-2A", "SENTINEL-2A", "S2A", "sentinel2a"])
def test_spellings_of_the_satellite(spelling: str) -> None:
    assert parse(item(platform=spelling)).platform == "S2A"


def test_other_dialects_say_the_same() -> None:
    plain = item()
    dialect = copy.deepcopy(plain)
    properties = dialect["properties"]
    for key in (
        "proj:epsg",
        "mgrs:utm_zone",
        "mgrs:latitude_band",
        "mgrs:grid_square",
        "s2:processing_baseline",
        "s2:datatake_id",
    ):
        del properties[key]
    properties |= {"processing:version": "05.11", "eopf:datatake_id": "GS2A_20250731T110031_052780_N05.11"}
    for asset in dialect["assets"].values():
        del asset["raster:bands"]
        asset |= {"proj:code": "EPSG:32630", "raster:offset": -0.1, "proj:transform": [*asset["proj:transform"], 0, 0, 1]}
    assert parse(dialect) == parse(plain)


def test_the_product_name_tells_tile_baseline_and_datatake() -> None:
    tree = item()
    for key in list(tree["properties"]):
        if key.startswith(("mgrs:", "grid:", "s2:")):
            del tree["properties"][key]
    tree["properties"]["s2:product_uri"] = "S2A_MSIL2A_20250731T110031_N0511_R094_T30STF_20250731T161500.SAFE"
    scene = parse(tree)
    assert (scene.mgrs_tile, scene.processing_baseline, scene.datatake_id) == ("30STF", "05.11", "GS2A_20250731T110031")


def test_what_may_be_missing() -> None:
    tree = item()
    for key in (
        "s2:processing_baseline",
        "s2:datatake_id",
        "s2:sequence",
        "earthsearch:boa_offset_applied",
        "created",
        "updated",
        "proj:epsg",
    ):
        del tree["properties"][key]
    tree["assets"] = {"blue": {"href": "https://h/blue.tif"}, "thumbnail": {"href": "https://h/t.jpg"}}
    scene = parse(tree)
    assert (scene.processing_baseline, scene.datatake_id, scene.boa_offset_flag, scene.revision) == (None, None, None, "")
    assert scene.epsg == 32630
    blue = scene.assets["B02"]
    assert set(scene.assets) == {"B02"}
    assert (blue.ulx_m, blue.uly_m, blue.rows, blue.gsd_m, blue.offset) == (*tile_corner("30STF")[1:], 10980, 10, None)


def test_a_relative_href_is_taken_from_the_item_itself() -> None:
    tree = item()
    tree["assets"]["blue"]["href"] = "./B02.tif"
    tree["links"] = [{"rel": "self", "href": "https://example.org/items/a.json"}]
    assert parse(tree).assets["B02"].href == "https://example.org/items/B02.tif"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"properties": {"platform": "landsat-8"}}, "platform: got 'landsat-8', expected a Sentinel-2 satellite"),
        ({"properties": {"datetime": "2025-07-31"}}, "datetime: got '2025-07-31', expected an RFC 3339 time"),
        ({"properties": {"datetime": None}}, "datetime: got None"),
        ({"properties": {"eo:cloud_cover": None}}, "eo:cloud_cover: got None, expected 0 to 100 percent"),
        ({"properties": {"eo:cloud_cover": True}}, "eo:cloud_cover: got True"),
        ({"properties": {"sentinel:valid_cloud_cover": False}}, "expected a valid eo:cloud_cover"),
        ({"properties": {"proj:epsg": 3857}}, r"projection: got \[3857\], expected one UTM zone"),
        ({"properties": {"mgrs:grid_square": "II"}}, "MGRS tile: got '30SII'"),
        ({"properties": {"s2:product_type": "S2MSI1C"}}, "expected a Level-2A product"),
        ({"properties": {"earthsearch:boa_offset_applied": "yes"}}, "got 'yes', expected true or false"),
        ({"geometry": None}, "geometry: got None, expected a GeoJSON Polygon"),
        ({"geometry": {"type": "Point", "coordinates": [1, 2]}}, "geometry"),
        ({"geometry": {"type": "Polygon", "coordinates": [[[0, 0], [1, 1]]]}}, "geometry"),
        ({"geometry": {"type": "Polygon"}}, "geometry"),
        ({"assets": {"blue": {"href": 5}}}, "asset B02: href: got 5, expected a URL"),
        ({"assets": {"blue": {"href": "https://h/b", "proj:transform": [60, 0, 0, 0, -60, 0]}}}, "10 or 20 m"),
        ({"assets": {"blue": {"href": "https://h/b", "proj:transform": [10, 1, 0, 0, -10, 0]}}}, "north-up"),
        ({"assets": {"blue": {"href": "https://h/b", "proj:shape": [0, 5]}}}, "expected rows and columns"),
        ({"assets": {"blue": {"href": "https://h/b", "proj:code": "EPSG:32631"}}}, "one UTM zone"),
        ({"assets": None}, "assets: got None, expected an object"),
    ],
)
def test_what_cannot_be_a_scene_is_refused_by_name(change: dict[str, Any], message: str) -> None:
    tree = item()
    tree["properties"] |= change.pop("properties", {})
    with pytest.raises(InputError, match=message) as caught:
        parse({**tree, **change})
    assert str(caught.value).startswith(f"item {tree['id']}: ")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
PATHS = [
    *((("properties", key)) for key in item()["properties"]),
    *((("assets", "blue", key)) for key in ("href", "proj:transform", "proj:shape", "raster:bands", "proj:code", "bands")),
    ("assets", "scl"),
    ("assets",),
    ("properties",),
    ("geometry",),
    ("geometry", "coordinates"),
    ("links",),
    ("id",),
    ("properties", "s2:product_uri"),
    ("properties", "processing:version"),
]


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(PATHS), JSON, min_size=1, max_size=3))
def test_any_item_is_a_scene_or_refused(changes: dict[tuple[str, ...], Any]) -> None:
    tree = item()
    for path, value in changes.items():
        at: Any = tree
        for key in path[:-1]:
            at = at.get(key) if isinstance(at, dict) else None
        if isinstance(at, dict):
            at[path[-1]] = value
    scenes, refused = parse_items([tree], EARTH_SEARCH, L2A)
    assert len(scenes) + len(refused) == 1
    assert all("expected" in refusal.reason for refusal in refused)
    assert all(Scene.from_json(scene.to_json()) == scene for scene in scenes)


def test_any_item_with_what_json_can_hold_and_tables_cannot() -> None:
    """Half a pair of characters, a line turned around, an endless id; foreign members of a geometry, however deep."""
    deep: Any = []
    for _ in range(900):
        deep = [deep]
    for changes in (
        {"id": "a\ud800"},
        {"id": "a\u202eb"},
        {"id": "x" * 251},
        {"id": "a\0b"},
        {"id": "a\nb"},
    ):
        [refusal] = parse_items([{**item(), **changes}], EARTH_SEARCH, L2A)[1]
        assert "expected an id of 1 to 250 printable characters" in refusal.reason
        f"{refusal.item_id}{refusal.reason}".encode()
    tree = item()
    tree["geometry"]["more"] = deep
    [scene], _ = parse_items([tree], EARTH_SEARCH, L2A)
    assert scene.footprint.keys() == {"type", "coordinates"}
    assert Scene.from_json(scene.to_json()) == scene
    for path in (("properties", "platform"), ("properties", "eo:cloud_cover"), ("assets", "blue"), ("geometry",)):
        tree = item()
        at: Any = tree
        for key in path[:-1]:
            at = at[key]
        at[path[-1]] = deep
        scenes, refused = parse_items([tree], EARTH_SEARCH, L2A)
        assert len(scenes) + len(refused) == 1
        assert all(len(one.reason) < 5000 for one in refused)


TEXTS = ["", "\ud800", "\u202e", "x" * 5_000, "../../etc/passwd", "a/b", "NaN", "<script>", "\0", "9" * 400, "\u0663"]
HOSTILE = st.one_of(JSON, st.sampled_from(TEXTS), st.sampled_from([10**400, 1e308, -1e308, float("nan"), float("inf")]))


@settings(deadline=None, max_examples=often(200, 5000))
@given(st.dictionaries(st.sampled_from(PATHS), HOSTILE, min_size=1, max_size=3))
def test_what_an_item_says_can_be_kept_in_the_tables(changes: dict[tuple[str, ...], Any]) -> None:
    tree = json.loads(json.dumps(item()))
    for path, value in changes.items():
        at: Any = tree
        for key in path[:-1]:
            at = at.get(key) if isinstance(at, dict) else None
        if isinstance(at, dict):
            at[path[-1]] = value
    scenes, refused = parse_items([tree], EARTH_SEARCH, L2A)
    assert len(scenes) + len(refused) == 1
    for scene in scenes:
        kept = [scene.scene_id, scene.platform, scene.mgrs_tile, scene.processing_baseline or "", scene.to_json()]
        assert pa.array(kept).to_pylist() == kept
        Footprint.of(scene)
    for one in refused:
        f"{one.item_id}{one.reason}".encode()
        assert len(one.reason) < 5000


@pytest.mark.parametrize(
    "ring",
    [
        [[170, 40], [171, 40], [171, 41], [170, 40]],
        [[-3, 40], [177, -40], [177, 40], [-3, 40]],
        [[0, 90], [0, -90], [180, 0], [0, 90]],
        [[-5, 36], [-4, 36], [-5, 37], [-4, 37], [-5, 36]],
        [[-5, 36], [-5, 36], [-5, 36], [-5, 36]],
        [[360, 36], [-360, 36], [0, 37], [360, 36]],
        [[-5, 36, 1e308], [-4, 36, -1e308], [-4, 37, 0], [-5, 36, 1e308]],
    ],
)
def test_a_footprint_anywhere_on_earth_holds_what_it_holds(ring: list[list[float]]) -> None:
    tree = item()
    tree["geometry"] = {"type": "Polygon", "coordinates": [ring]}
    scenes, refused = parse_items([tree], EARTH_SEARCH, L2A)
    assert len(scenes) + len(refused) == 1
    for scene in scenes:
        Footprint.of(scene).edge_distance_m(np.array([5e5]), np.array([4e6]))


def _ring(corners: int, *, crossing: bool, centre: tuple[float, float] = (-5.0, 36.5)) -> list[list[float]]:
    turns = np.linspace(0.0, 2 * np.pi, corners, endpoint=False)
    if crossing:
        turns = np.random.default_rng(1).permutation(turns)
    ring = [[centre[0] + 0.4 * float(np.cos(turn)), centre[1] + 0.4 * float(np.sin(turn))] for turn in turns]
    return [*ring, ring[0]]


@pytest.mark.parametrize(
    ("ring", "problem"),
    [
        (_ring(999, crossing=False), None),
        (_ring(1000, crossing=False), "1001 corners"),
        (_ring(50, crossing=True), None),
        (_ring(500, crossing=True), "501 corners"),
        (_ring(100_000, crossing=True), "100001 corners"),
        (_ring(500, crossing=False, centre=(50.0, 36.5)), "501 corners"),
    ],
)
def test_a_footprint_that_takes_minutes_to_mend_is_refused(ring: list[list[float]], problem: str | None) -> None:
    """One of 500 corners whose edges all cross each other, 40 kB of JSON, took more than the limit of a test."""
    tree = item()
    tree["geometry"] = {"type": "Polygon", "coordinates": [ring]}
    scenes, refused = parse_items([tree], EARTH_SEARCH, L2A)
    if problem is None:
        assert refused == []
        assert Footprint.of(scenes[0]).holds(np.array([3e5]), np.array([4.04e6])).shape == (1,)
    else:
        assert problem in refused[0].reason
