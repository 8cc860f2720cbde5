import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from s2chips_core.errors import InputError
from s2chips_core.sandbox import search


def _item(name: str, west: float, hour: int, **properties: Any) -> dict[str, Any]:
    box = shapely.box(west, 0, west + 1, 1)
    return {
        "type": "Feature",
        "id": name,
        "collection": properties.pop("collection", "a"),
        "bbox": list(box.bounds),
        "geometry": json.loads(shapely.to_geojson(box)),
        "properties": {"datetime": f"2025-01-01T{hour:02d}:00:00.000000Z", **properties},
        "assets": {},
    }


ITEMS = [
    _item("one", 0, 1, **{"eo:cloud_cover": 10.0, "platform": "x"}),
    _item("two", 2, 2, **{"eo:cloud_cover": 50.0, "platform": "y", "created": "2025-02-01T00:00:00Z"}),
    _item("three", 179.5, 3, **{"eo:cloud_cover": 30.0}),
    _item("four", 0.5, 4, collection="b", **{"eo:cloud_cover": 20.0}),
]


def _ids(now: datetime | None = None, **request: Any) -> list[str]:
    return [item["id"] for item in search.select(ITEMS, request, now)]


@pytest.mark.parametrize(
    ("request_", "ids"),
    [
        ({}, ["four", "three", "two", "one"]),
        ({"ids": ["one", "two"]}, ["two", "one"]),
        ({"collections": ["b"]}, ["four"]),
        ({"bbox": [0.2, 0.2, 0.3, 0.3]}, ["one"]),
        ({"bbox": [0.2, 0.2, -9, 0.3, 0.3, 9]}, ["one"]),
        ({"bbox": [179, 0, -179, 1]}, ["three"]),
        ({"intersects": {"type": "Point", "coordinates": [0.7, 0.5]}}, ["four", "one"]),
        ({"intersects": {"type": "MultiPoint", "coordinates": [[0.1, 0.1], [2.5, 0.5]]}}, ["two", "one"]),
        ({"intersects": {"type": "LineString", "coordinates": [[1.2, 0.5], [2.5, 0.5]]}}, ["four", "two"]),
        ({"datetime": "2025-01-01T02:00:00Z"}, ["two"]),
        ({"datetime": "2025-01-01T02:00:00Z/.."}, ["four", "three", "two"]),
        ({"datetime": "../2025-01-01T03:00:00+01:00"}, ["two", "one"]),
        ({"datetime": "/2025-01-01T01:00:00Z"}, ["one"]),
        ({"datetime": "2025-01-01T01:00:00Z/2025-01-01T02:00:00Z"}, ["two", "one"]),
        ({"query": {"eo:cloud_cover": {"lte": 30}}}, ["four", "three", "one"]),
        ({"query": {"eo:cloud_cover": {"gt": 10, "lt": 50}}}, ["four", "three"]),
        ({"query": {"platform": {"eq": "x"}}}, ["one"]),
        ({"query": {"platform": {"neq": "x"}}}, ["four", "three", "two"]),
        ({"query": {"platform": {"in": ["x", "y"]}}}, ["two", "one"]),
        ({"query": {"platform": {"startsWith": "y"}}}, ["two"]),
        ({"sortby": "+datetime"}, ["one", "two", "three", "four"]),
        ({"sortby": [{"field": "properties.eo:cloud_cover", "direction": "desc"}]}, ["two", "three", "four", "one"]),
        ({"sortby": ["properties.platform", "-id"]}, ["one", "two", "three", "four"]),
        ({"filter": {"op": "=", "args": [{"property": "id"}, "one"]}}, ["four", "three", "two", "one"]),
    ],
)
def test_search(request_: dict[str, Any], ids: list[str]) -> None:
    assert _ids(**request_) == ids


def test_what_is_published_later_is_hidden() -> None:
    assert _ids(now=datetime(2025, 1, 31, tzinfo=UTC)) == ["four", "three", "one"]
    assert _ids(now=datetime(2025, 2, 1, tzinfo=UTC)) == ["four", "three", "two", "one"]


@pytest.mark.parametrize(
    "request_",
    [
        {"bbox": [1, 2, 3]},
        {"bbox": [0, 5, 1, 4]},
        {"bbox": ["a", 0, 1, 1]},
        {"intersects": {"type": "Pointless"}},
        {"intersects": "POINT(0 0)"},
        {"bbox": [0, 0, 1, 1], "intersects": {"type": "Point", "coordinates": [0, 0]}},
        {"datetime": "yesterday"},
        {"datetime": "../.."},
        {"datetime": "2025-01-02T00:00:00Z/2025-01-01T00:00:00Z"},
        {"datetime": "a/b/c"},
        {"query": {"eo:cloud_cover": {"like": 3}}},
        {"query": {"eo:cloud_cover": {"lt": "three"}}},
        {"query": ["x"]},
        {"sortby": [{"field": "id", "direction": "up"}]},
        {"ids": "one"},
    ],
)
def test_nonsense_is_refused_with_a_sentence(request_: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="expected"):
        _ids(**request_)


@given(limit=st.integers(1, 6))
def test_pages_add_up(limit: int) -> None:
    found, token, seen = search.select(ITEMS, {}, None), None, []
    for _ in range(10):
        chosen, token = search.page(found, limit=limit, token=token)
        seen += chosen
        if token is None:
            break
    assert seen == found


def test_fields() -> None:
    item = ITEMS[0]
    kept = search.with_fields(item, {"include": ["properties.platform"], "exclude": []})
    assert kept["properties"] == {"platform": "x"}
    assert "geometry" not in kept
    assert {"id", "type", "bbox", "collection"} <= set(kept)
    without = search.with_fields(item, {"include": [], "exclude": ["assets", "properties.platform"]})
    assert "assets" not in without
    assert set(without["properties"]) == {"datetime", "eo:cloud_cover"}
    assert "platform" in item["properties"]


def test_the_default_order_and_fields_are_those_of_recorded_answers(shared_data: Path) -> None:
    folder = shared_data / "stac/earth-search-v1"
    page = json.loads((folder / "search_2025-07-31_page1.json").read_text())
    next_page = json.loads((folder / "search_2025-07-31_page2.json").read_text())
    both = page["features"] + next_page["features"]
    found = search.select(both[::-1], {}, None)
    assert [item["id"] for item in found] == [item["id"] for item in both]
    _, token = search.page(found, limit=10, token=None)
    assert token == page["links"][0]["body"]["next"]
    recorded = json.loads((folder / "search_2025-07-31_fields_only.json").read_text())["features"][0]
    ours = search.with_fields(both[0], {"include": [], "exclude": ["geometry", "assets", "links"]})
    assert set(recorded) <= set(ours)
    assert not {"geometry", "assets", "links"} & set(ours)
