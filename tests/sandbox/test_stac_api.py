import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pystac_client
import pytest
import urllib3

from s2chips_core.errors import InputError
from s2chips_core.sandbox.server import Served, serve
from s2chips_core.sandbox.stac_api import read_items

STRAIT = {"type": "Point", "coordinates": [-5.9, 35.9]}


@pytest.fixture(scope="module")
def served(sandbox_archive: Path) -> Iterator[Served]:
    with serve(sandbox_archive) as running:
        yield running


def _ids(served: Served, **search: object) -> list[str]:
    client = pystac_client.Client.open(served.stac_url)
    return [item.id for item in client.search(**search).items()]  # type: ignore[arg-type]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_pystac_client_searches(served: Served, method: str) -> None:
    assert _ids(
        served,
        method=method,
        collections=["sentinel-2-l2a"],
        intersects=STRAIT,
        datetime="2025-10-12T00:00:00Z/2025-10-12T23:59:59Z",
        query={"eo:cloud_cover": {"lt": 30}},
    ) == ["S2B_30STE_20251012_0_L2A"]
    sortby = "+properties.created,+id"
    assert _ids(served, method=method, bbox=[-5.05, 35.95, -5.0, 36.0], sortby=sortby, limit=1) == [
        "S2B_30SUE_20251012_0_L2A",
        "S2B_T30SUE_20251012T111541_L2A",
        "S2B_30SUE_20251012_1_L2A",
        "S2C_30SUE_20251027_0_L2A",
    ]
    assert len(_ids(served, method=method, limit=3)) == 10
    assert len(_ids(served, method=method, limit=3, max_items=4)) == 4


def test_pystac_client_walks_collections_and_items(served: Served) -> None:
    client = pystac_client.Client.open(served.stac_url)
    assert {c.id for c in client.get_collections()} == {"sentinel-2-l2a", "sentinel-2-c1-l2a"}
    collection = client.get_collection("sentinel-2-c1-l2a")
    assert len(list(collection.get_items())) == 3
    item = collection.get_item("S2B_T30STE_20251012T111541_L2A")
    assert item is not None
    assert item.assets["blue"].href == f"http://{served.host}/data/{item.id}/B02.tif"


def test_cql2_filter_is_ignored_as_by_earth_search(served: Served) -> None:
    body = {"filter": {"op": "lte", "args": [{"property": "eo:cloud_cover"}, 0]}, "filter-lang": "cql2-json", "limit": 50}
    answer = urllib3.request("POST", f"{served.stac_url}/search", json=body).json()
    assert answer["numberMatched"] == 10


def test_the_answer_has_the_shape_of_a_recorded_one(served: Served, shared_data: Path) -> None:
    folder = shared_data / "stac/earth-search-v1"
    real = json.loads((folder / "search_2025-07-31_page1.json").read_text())
    ours = urllib3.request("POST", f"{served.stac_url}/search", json={"limit": 2}).json()
    assert set(ours) == set(real)
    assert set(ours["context"]) == set(real["context"])
    for link, real_link in zip(ours["links"], real["links"], strict=True):
        assert {k: link[k] for k in ("rel", "type")} == {k: real_link[k] for k in ("rel", "type")}
        assert set(link) == set(real_link)
    assert ours["links"][0]["merge"] is False
    landing, real_landing = urllib3.request("GET", served.stac_url).json(), json.loads((folder / "landing.json").read_text())
    assert set(landing) == set(real_landing)
    assert set(landing["conformsTo"]) <= set(real_landing["conformsTo"])
    rels = {link["rel"] for link in real_landing["links"]}
    assert {link["rel"] for link in landing["links"]} <= rels


def test_now_hides_the_late_scene_and_can_be_moved(served: Served) -> None:
    late = "S2C_30SUE_20251027_0_L2A"
    url = f"{served.stac_url}/collections/sentinel-2-l2a/items/{late}"
    try:
        served.now = datetime(2025, 10, 29, 12, tzinfo=UTC)
        assert late not in _ids(served)
        assert urllib3.request("GET", url).status == 404
        served.now = datetime(2025, 10, 31, tzinfo=UTC)
        assert late in _ids(served)
        assert urllib3.request("GET", url).status == 200
    finally:
        served.now = None


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "search?bbox=1,2,3", None),
        ("GET", "search?intersects=notjson", None),
        ("GET", "search?query=notjson", None),
        ("GET", "search?limit=0", None),
        ("GET", "search?next=nowhere", None),
        ("POST", "search", b"{"),
        ("POST", "search", b"[]"),
        ("POST", "search", b'{"limit": "many"}'),
        ("POST", "search", b'{"fields": 3}'),
    ],
)
def test_bad_requests_get_400_and_a_sentence(served: Served, method: str, path: str, body: bytes | None) -> None:
    answer = urllib3.request(method, f"{served.stac_url}/{path}", body=body)
    assert answer.status == 400
    assert "expected" in answer.json()["description"]


@pytest.mark.parametrize("path", ["collections/nothing", "collections/nothing/items", "collections/sentinel-2-l2a/items/x"])
def test_what_is_not_there_is_404(served: Served, path: str) -> None:
    assert urllib3.request("GET", f"{served.stac_url}/{path}").status == 404


def test_a_file_that_is_no_item_is_named(tmp_path: Path) -> None:
    (tmp_path / "item-x.json").write_text('{"id": "x", "properties": {"datetime": "2025-01-01T00:00:00Z"}}')
    with pytest.raises(InputError, match=r"item-x\.json.*collection"):
        read_items(tmp_path)
