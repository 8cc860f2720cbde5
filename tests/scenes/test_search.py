import copy
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from s2chips_core.errors import ArchiveError, MissingAssetError, ReadError
from s2chips_core.sandbox.search import with_fields
from s2chips_core.scenes.item_fields import item_fields
from s2chips_core.scenes.providers import PROVIDERS
from s2chips_core.scenes.search import AT_ONCE, SearchResult, search_areas, search_scenes
from s2chips_core.scenes.search_pages import CountingStacIO
from tests.scenes.samples import item, recorded_items, settings
from tests.scenes.stac_rig import FIELDS, StacRig, serve

AT = datetime(2025, 7, 31, 11, 4, 22, 123_000, tzinfo=UTC)
NOW = AT + timedelta(days=5)


@pytest.fixture
def rig() -> Iterator[StacRig]:
    with serve(StacRig([item(n) for n in range(7)])) as running:
        yield running


def quick() -> CountingStacIO:
    return CountingStacIO(retries=3, backoff_s=0.0)


def points(*rows: tuple[float, float, datetime]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["lon", "lat", "time"])
    frame["time"] = pd.to_datetime(frame["time"], utc=True).astype("datetime64[ms, UTC]")
    return frame


HERE = points((-5.0, 36.5, AT - timedelta(hours=3)))


def search(rig: StacRig, where: pd.DataFrame = HERE, cloud_cover_max: float | None = 30.0, **more: Any) -> SearchResult:
    stac = {"endpoint": rig.url, **more.pop("stac", {})}
    more.setdefault("now", NOW)
    return search_scenes(
        where, settings=settings(stac=stac), cloud_cover_max=cloud_cover_max, stac_io=more.pop("stac_io", quick()), **more
    )


def test_finds_the_scenes_around_a_point_over_all_pages(rig: StacRig) -> None:
    rig.page_size = 3
    told: list[object] = []
    found = search(rig, progress=told.append)
    assert [scene.scene_id for scene in found.scenes] == [f"S2A_30STF_20250731_{n}_L2A" for n in range(7)]
    assert found.skipped == []
    assert told[-1] == f"search {len(rig.searches)} of {len(rig.searches)}: 7 scenes so far"
    # The count is the server's: landing page, searches, and two more pages for the one that finds something.
    assert found.requests == rig.requests == 1 + len(rig.searches) + 2


def test_asks_for_the_window_the_cloud_and_the_collection(rig: StacRig) -> None:
    search(rig)
    assert {asked["collections"][0] for asked in rig.searches} == {"sentinel-2-l2a"}
    assert all(asked["query"] == {"eo:cloud_cover": {"lte": 30.0}} for asked in rig.searches)
    assert all(asked["limit"] == 200 for asked in rig.searches)
    begins, ends = zip(*(asked["datetime"].split("/") for asked in rig.searches), strict=True)
    assert min(begins) == "2025-07-30T08:04:22.123Z"
    assert max(ends) == "2025-08-01T08:04:22.123Z"


def test_without_a_cloud_limit_nothing_is_asked_of_it(rig: StacRig) -> None:
    rig.items[2]["properties"]["eo:cloud_cover"] = 99
    assert len(search(rig, cloud_cover_max=None).scenes) == 7
    assert all("query" not in asked for asked in rig.searches)


def test_the_cloud_is_checked_again_here(rig: StacRig) -> None:
    """Earth Search ignores what it does not know; this one does not even say that it knows `query`."""
    rig.items[2]["properties"]["eo:cloud_cover"] = 99
    rig.conforms_to.remove("https://api.stacspec.org/v1.0.0/item-search#query")
    found = search(rig)
    assert all("query" not in asked for asked in rig.searches)
    assert len(found.scenes) == 6


def test_nothing_is_asked_of_the_future_or_of_nowhere(rig: StacRig) -> None:
    search(rig, now=AT - timedelta(hours=2))
    assert max(asked["datetime"].split("/")[1] for asked in rig.searches) == "2025-07-31T09:04:22.123Z"
    asked = rig.requests
    nowhere = search(rig, points((float("nan"), 36.5, AT), (-5.0, 36.5, AT + timedelta(days=30))))
    assert (nowhere.scenes, nowhere.requests, rig.requests) == ([], 0, asked)


def test_an_item_that_is_no_scene_is_skipped_with_the_reason(rig: StacRig) -> None:
    del rig.items[3]["properties"]["platform"]
    found = search(rig)
    assert len(found.scenes) == 6
    assert [(skipped.item_id, "platform" in skipped.reason) for skipped in found.skipped] == [(rig.items[3]["id"], True)]


def test_failures_that_pass_are_tried_again(rig: StacRig) -> None:
    rig.fail = [503, 502, 429]
    assert len(search(rig).scenes) == 7
    assert rig.fail == []


def refuses(rig: StacRig, problem: str, **more: Any) -> None:
    with pytest.raises(ArchiveError, match=problem) as caught:
        search(rig, **more)
    assert rig.url in str(caught.value)


def test_a_failed_page_fails_the_search(rig: StacRig) -> None:
    rig.page_size = 3
    rig.fail = [503] * 4
    refuses(rig, "page 1 of a search cannot be read.*503")
    rig.fail = [400]
    refuses(rig, "page 1 of a search cannot be read")

    def fail_third(page: dict[str, Any], number: int) -> object:
        return "<html>" if number == 3 else None

    rig.fail, rig.change_page = [], fail_third
    refuses(rig, "page 3 of a search cannot be read")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda page: page.pop("features"), r"cannot be read \(KeyError\)"),
        (lambda page: page.update(features=[{}]), r"cannot be read \(KeyError\)"),
        (lambda page: page.update(features=7), r"cannot be read \(TypeError\)"),
        (lambda page: page.update(links=[{"rel": "next"}]), "cannot be read"),
        (lambda page: page.update(links=[]), "announced 7 items and sent 3"),
        (lambda page: page.update(features=[], links=[]), "announced 7 items and sent 0"),
        (lambda page: page["links"][0]["body"].update(next=0), "page 2 holds only items of earlier pages"),
    ],
)
def test_an_answer_that_is_not_whole_fails_the_search(rig: StacRig, change: Any, problem: str) -> None:
    def once(page: dict[str, Any], number: int) -> None:
        if number == 1 and page["features"]:
            change(page)

    rig.page_size, rig.change_page = 3, once
    refuses(rig, problem)


def test_an_empty_page_with_a_next_link_is_not_the_end(rig: StacRig) -> None:
    rig.page_size = 7

    def first_empty(page: dict[str, Any], number: int) -> None:
        if number == 1 and page["features"]:
            following = {"next": 0, "asked": rig.searches[-1] | {"limit": 3}}
            page["links"] = [{"rel": "next", "method": "POST", "href": f"{rig.url}/search", "body": following}]
            page["features"] = []
            rig.change_page = None

    rig.change_page = first_empty
    assert len(search(rig).scenes) == 7


def test_a_service_that_is_none_is_refused(rig: StacRig) -> None:
    rig.conforms_to = ["https://api.stacspec.org/v1.0.0/core"]
    refuses(rig, "does not say that items can be searched")
    with pytest.raises(ArchiveError, match="the landing page cannot be read"):
        search_scenes(
            HERE,
            settings=settings(stac={"endpoint": "http://127.0.0.1:9"}),
            now=NOW,
            cloud_cover_max=None,
            stac_io=CountingStacIO(retries=0),
        )


def test_two_thousand_points_need_fewer_than_a_hundred_requests() -> None:
    rng = np.random.default_rng(11)
    ports = rng.uniform([-9, 36], [29, 59], (60, 2))
    items = []
    for number, (lon, lat) in enumerate(ports):
        for day in range(12):
            for tile in range(4):
                tree = item(number * 100 + day * 4 + tile, datetime=f"2025-07-{day + 10:02d}T11:04:22Z")
                west, south = lon - 0.9 + tile * 0.3, lat - 0.9 + tile * 0.3
                ring = [[west, south], [west + 1.5, south], [west + 1.5, south + 1], [west, south + 1], [west, south]]
                items.append({**tree, "geometry": {"type": "Polygon", "coordinates": [ring]}})
    places = ports[rng.integers(0, 60, 2000)] + rng.normal(0, 0.1, (2000, 2))
    seconds = rng.integers(0, 10 * 86_400, 2000)
    where = points(
        *(
            (x, y, datetime(2025, 7, 11, tzinfo=UTC) + timedelta(seconds=int(s)))
            for (x, y), s in zip(places, seconds, strict=True)
        )
    )
    with serve(StacRig(items)) as rig:
        found = search(rig, where)
    assert found.requests == rig.requests < 100
    assert len(found.scenes) > 2_000


def test_areas_over_the_antimeridian_and_only_some_tiles(rig: StacRig) -> None:
    far = item(50, **{"mgrs:utm_zone": 1, "mgrs:latitude_band": "W", "mgrs:grid_square": "CP", "proj:epsg": 32601})
    for asset in far["assets"].values():
        asset["proj:transform"][2], asset["proj:transform"][5] = 300_000, 7_200_000
    far["geometry"] = {
        "type": "Polygon",
        "coordinates": [[[-179.5, 64], [-178, 64], [-178, 65], [-179.5, 65], [-179.5, 64]]],
    }
    rig.items.append(far)
    more: dict[str, Any] = {"settings": settings(stac={"endpoint": rig.url}), "now": NOW, "stac_io": quick()}
    day = datetime(2025, 7, 31, tzinfo=UTC)
    areas = [(179.0, 64.0, -178.5, 65.0), (-5.2, 36.2, -5.0, 36.4)]
    found = search_areas(areas, day, day + timedelta(days=1), **more)
    assert len(found.scenes) == 8
    assert len(rig.searches) == 1
    found = search_areas(areas, day, day + timedelta(days=1), tiles=["01WCP"], **more)
    assert [scene.mgrs_tile for scene in found.scenes] == ["01WCP"]
    # From the start until before the end.
    assert len(search_areas(areas, AT, AT + timedelta(seconds=1), **more).scenes) == 8
    assert search_areas(areas, AT - timedelta(seconds=1), AT, **more).scenes == []
    assert search_areas([], day, day + timedelta(days=1), **more).scenes == []
    requests = rig.requests
    assert search_areas(areas, NOW + timedelta(days=1), NOW + timedelta(days=2), **more).requests == 0
    assert rig.requests == requests


def test_items_with_the_datatakes_start_are_searched_earlier_and_resolved(shared_data: Path) -> None:
    """A real item of the Planetary Computer."""
    trees = [
        tree
        for provider, file, tree in recorded_items(shared_data)
        if provider == "planetary_computer" and "35MNM" in tree["id"]
    ]
    tree = copy.deepcopy(trees[0])
    start = datetime.fromisoformat(tree["properties"]["datetime"])
    sensed = start + timedelta(minutes=20)
    lon, lat = np.mean(np.array(tree["geometry"]["coordinates"][0]), axis=0)
    where = points((lon, lat, sensed))
    asked = []

    def fetch(href: str) -> bytes:
        asked.append(href)
        if len(asked) > 1:
            raise MissingAssetError(href, "HTTP 404")
        return f"<SENSING_TIME metadataLevel='Standard'>{sensed.isoformat()}</SENSING_TIME>".encode()

    narrow = {"provider": "planetary_computer", "search_window_hours": 0.1}
    with serve(StacRig([tree])) as rig:
        found = search(rig, where, None, stac=narrow, fetch_metadata=fetch)
        assert [(scene.datetime, scene.datetime_is) for scene in found.scenes] == [
            (sensed.replace(microsecond=sensed.microsecond // 1000 * 1000), "tile")
        ]
        assert asked == [tree["assets"]["granule-metadata"]["href"]]
        found = search(rig, where, None, stac=narrow, fetch_metadata=fetch)
        assert found.scenes == []
        assert "HTTP 404" in found.skipped[0].reason
        # By default the metadata's host must be allowed: a scene is not used without its own time.
        with pytest.raises(ArchiveError, match=r"sensing time of a scene cannot be read: .*stac\.allowed_hosts"):
            search(rig, where, None, stac={**narrow, "allowed_hosts": ["example.org"]})

        def down(href: str) -> bytes:
            raise ReadError(href, "the server answered 503")

        # A service that is down has the scene all the same: its ships are not without one.
        with pytest.raises(ArchiveError, match=r"sensing time of a scene cannot be read: .*503"):
            search(rig, where, None, stac=narrow, fetch_metadata=down)


L2A = PROVIDERS["earth_search"].collections["sentinel-2-l2a"]


def test_a_service_that_knows_fields_is_asked_for_what_is_read(rig: StacRig) -> None:
    whole = search(rig)
    rig.conforms_to.append(FIELDS)
    ignored = search(rig)
    rig.cut = with_fields
    cut = search(rig)
    assert [body.get("fields") for body in rig.searches] == [None, *[{"include": item_fields(L2A)}] * 2]
    assert cut.scenes == ignored.scenes == whole.scenes
    assert len(whole.scenes) == 7
    # These items hold little but what is read; how much real ones shrink `test_item_fields` tells.
    assert cut.bytes < whole.bytes
    assert cut.requests == whole.requests


@pytest.mark.parametrize("kept", [(), ("geometry",), ("geometry", "assets"), ("properties", "assets")])
def test_a_service_that_cuts_too_much_off_is_asked_for_whole_items(rig: StacRig, kept: tuple[str, ...]) -> None:
    whole = search(rig)
    rig.conforms_to.append(FIELDS)
    rig.cut = lambda tree, _: {key: tree[key] for key in ("id", "collection", *kept)}
    assert search(rig).scenes == whole.scenes
    assert ["fields" in body for body in rig.searches] == [False, True, False]


@pytest.mark.parametrize(
    "kept", [(), ("datetime",), ("datetime", "eo:cloud_cover", "platform"), ("datetime", "s2:mgrs_tile")]
)
def test_a_service_that_cuts_properties_off_is_asked_for_whole_items(rig: StacRig, kept: tuple[str, ...]) -> None:
    """As Earth Search does when only `exclude` is said: of the properties only the time is left."""
    whole = search(rig)
    assert len(whole.scenes) == 7
    rig.conforms_to.append(FIELDS)
    rig.cut = lambda tree, _: {
        **tree,
        "properties": {name: value for name, value in tree["properties"].items() if name in kept},
    }
    assert search(rig).scenes == whole.scenes
    assert ["fields" in body for body in rig.searches] == [False, True, False]


def test_items_with_relative_hrefs_are_asked_for_with_their_links(rig: StacRig) -> None:
    for tree in rig.items:
        tree["links"] = [{"rel": "self", "href": f"https://archive.invalid/items/{tree['id']}/item.json"}]
        for asset in tree["assets"].values():
            asset["href"] = asset["href"].rsplit("/", 1)[-1]
    rig.conforms_to.append(FIELDS)
    rig.cut = with_fields
    red = search(rig).scenes[0].assets["B04"]
    assert red.href == "https://archive.invalid/items/S2A_30STF_20250731_0_L2A/red.tif"


def test_only_scenes_with_more_cloud_are_found(rig: StacRig) -> None:
    for number, tree in enumerate(rig.items):
        tree["properties"]["eo:cloud_cover"] = 10.0 * number
    both = [
        search(rig, cloud_cover_max=c, cloud_cover_above=a).scenes for c, a in ((30.0, None), (None, 30.0), (None, None))
    ]
    assert [len(scenes) for scenes in both] == [4, 3, 7]
    assert rig.searches[1]["query"] == {"eo:cloud_cover": {"gt": 30.0}}
    # A service that does not know `query` gives them all: they are looked at again here.
    rig.conforms_to = [name for name in rig.conforms_to if not name.endswith("#query")]
    assert search(rig, cloud_cover_max=None, cloud_cover_above=30.0).scenes == both[1]


def years(rig: StacRig, count: int) -> pd.DataFrame:
    """Points of so many years, and a scene at each: a search for each."""
    rig.items[:] = [item(n, datetime=f"{1985 + n}-06-15T11:00:00Z") for n in range(count)]
    return points(*((-5.0, 36.5, datetime(1985 + n, 6, 15, 12, tzinfo=UTC)) for n in range(count)))


def test_some_searches_are_under_way_at_once_and_the_order_does_not_matter(rig: StacRig) -> None:
    where = years(rig, 14)
    rig.wait_s = lambda body: 0.3 - 0.02 * int(body["datetime"][2:4]) % 0.3
    one_way = search(rig, where)
    assert len(one_way.scenes) == 14
    assert 1 < rig.most_busy <= AT_ONCE
    rig.wait_s = lambda body: 0.02 * int(body["datetime"][2:4]) % 0.3
    other_way = search(rig, where)
    assert (other_way.scenes, other_way.requests, other_way.bytes) == (one_way.scenes, one_way.requests, one_way.bytes)


def test_one_failed_search_of_many_fails_all_and_ends_the_others(rig: StacRig) -> None:
    where = years(rig, 40)

    def fail_2015(page: dict[str, Any], number: int) -> object:
        return "<html>" if any("1990" in tree["properties"]["datetime"] for tree in page["features"]) else None

    rig.change_page = fail_2015
    with pytest.raises(ArchiveError, match="page 1 of a search cannot be read"):
        search(rig, where)
    assert len(rig.searches) < 40


def test_what_progress_raises_ends_the_search(rig: StacRig) -> None:
    where = years(rig, 40)

    def enough(line: object) -> None:
        if "search 3 of" in str(line):
            raise TimeoutError(str(line))

    with pytest.raises(TimeoutError, match=r"search 3 of \d+: [0-3] scenes so far"):
        search(rig, where, progress=enough)
    assert len(rig.searches) < 20


def test_pages_are_as_large_as_the_items_allow(rig: StacRig) -> None:
    """The first search tells: 4 MB of small items are more than the 200 that are asked for at first."""
    rig.items[:] = [item(n // 9, datetime=f"20{10 + n // 450}-06-15T11:00:00Z") | {"id": f"item {n}"} for n in range(900)]
    where = points(*((-5.0, 36.5, datetime(year, 6, 15, 12, tzinfo=UTC)) for year in (2010, 2011)))
    assert len(search(rig, where).scenes) == 900
    assert [body["limit"] for body in rig.searches] == [200, 1000]
    assert rig.pages == [200, 200, 50, 450]
    for tree in rig.items:
        tree["properties"]["padding"] = "x" * 20_000
    rig.pages.clear()
    assert len(search(rig, where).scenes) == 900
    assert rig.pages == [200, 200, 50] * 2


def test_who_gives_up_does_not_wait_for_a_search_that_hangs(rig: StacRig) -> None:
    where, hangs, hung = years(rig, 6), threading.Event(), threading.Event()

    def wait_s(body: dict[str, Any]) -> float:
        if body["datetime"][:4] == "1990":
            hangs.set()
            hung.wait(30)
        return 0.0

    def enough(line: object) -> None:
        if "search 3 of" in str(line):
            assert hangs.wait(30)
            raise TimeoutError(str(line))

    rig.wait_s = wait_s
    with pytest.raises(TimeoutError, match="search 3 of"):
        search(rig, where, progress=enough)
    assert rig.busy >= 1
    hung.set()
