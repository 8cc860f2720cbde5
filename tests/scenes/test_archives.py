"""One product at three archives: found, signed for, cut, and the same at each."""

import contextlib
import dataclasses
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import ndimage

from s2chips_core.chips.chip import Chip, CutRequest
from s2chips_core.chips.cutting import cut_scene
from s2chips_core.config import Settings
from s2chips_core.errors import ConfigError
from s2chips_core.scenes.archives import check_archives, choose_same, find_elsewhere, open_fetcher, search_archives
from s2chips_core.scenes.radiometry import to_reflectance
from s2chips_core.scenes.scene import Scene
from s2chips_core.scenes.search import SearchResult
from tests.archive_fixtures import PROVIDERS, Archives
from tests.scenes.samples import scene
from tests.scenes.stand_ins import KEYS, PRODUCT, SENSED, TILE, World

NOW = SENSED + timedelta(days=5)


def points_of(places: list[tuple[float, float]]) -> pd.DataFrame:
    time = pd.Series([SENSED] * len(places)).astype("datetime64[ms, UTC]")
    return pd.DataFrame({"lon": [lon for lon, _ in places], "lat": [lat for _, lat in places], "time": time})


def nobody(scenes: list[Scene]) -> Any:
    raise AssertionError("one provider alone leaves nothing to another")


def scene_at(archives: Archives, name: str, world: World) -> Scene:
    found = search_archives(
        points_of(world.water(2)), settings=archives.settings(name), now=NOW, cloud_cover_max=30, left=nobody
    )
    assert found.skipped == []
    [only] = found.scenes
    return only


def test_each_finds_the_scene_with_the_tile_s_own_time(archives: Archives, world: World) -> None:
    for name in PROVIDERS:
        only = scene_at(archives, name, world)
        assert (only.provider, only.datetime, only.datetime_is) == (name, SENSED, "tile")
        assert (only.mgrs_tile, only.platform, only.processing_baseline) == (TILE, "S2B", "05.11")
    # Of the metadata's 400 kB only the beginning is asked for.
    assert archives.planetary_computer.count("MTD_TL.xml") == archives.cdse.count("MTD_TL.xml") == 1


def cut_at(archives: Archives, name: str, world: World, **sections: Any) -> dict[str, Chip]:
    settings = archives.settings(name, **sections)
    requests = [
        CutRequest(target_id=f"t{n}", mmsi=n, lon=lon, lat=lat, chip_id=f"{n:016x}")
        for n, (lon, lat) in enumerate(world.water(6))
    ]
    only = scene_at(archives, name, world)
    with contextlib.closing(open_fetcher(settings.stac)) as fetcher:
        answers = list(cut_scene(only, requests, settings=settings, fetcher=fetcher))
    assert all(isinstance(answer, Chip) for answer in answers), answers
    return {answer.request.target_id: answer for answer in answers if isinstance(answer, Chip)}


def test_a_chip_is_the_same_from_each(archives: Archives, world: World) -> None:
    assert all((world.with_offset[band] <= 1000).any() for band in ("B08", "B11"))
    dark = np.isin(world.with_offset["B11"], np.arange(1, 1001))
    near_dark = ndimage.binary_dilation(dark, np.ones((5, 5))).repeat(2, axis=0).repeat(2, axis=1)
    chips = {name: cut_at(archives, name, world) for name in PROVIDERS}
    assert {chip.boa_offset_dn for chip in chips["earth_search"].values()} == {0}
    assert {(c.boa_offset_dn, c.boa_offset_source) for c in chips["planetary_computer"].values()} == {(-1000, "baseline")}
    assert {(c.boa_offset_dn, c.boa_offset_source) for c in chips["cdse"].values()} == {(-1000, "item_offset")}
    for target, first in chips["earth_search"].items():
        for name in PROVIDERS[1:]:
            other = chips[name][target]
            assert (other.transform, other.epsg, other.bands) == (first.transform, first.epsg, first.bands)
            assert other.numbers == first.numbers
            # Of the 20 m bands where no pixel of the kernel lost its sign with the offset; of the others everywhere.
            differs = other.reflectance != first.reflectance
            swir = [band in ("B11", "B12") for band in first.bands]
            assert not differs[~np.array(swir)].any()
            row, col = round((world.uly_m - first.transform[5]) / 10), round((first.transform[2] - world.ulx_m) / 10)
            clear = ~near_dark[row : row + 256, col : col + 256]
            assert not differs[:, clear].any()
            assert clear.mean() > 0.8
            np.testing.assert_array_equal(other.reflectance == 0, first.reflectance == 0)
    for name in PROVIDERS[2:]:
        for target, other in chips[name].items():
            np.testing.assert_array_equal(other.reflectance, chips["planetary_computer"][target].reflectance)


def test_what_differs_where_an_archive_takes_the_offset_off() -> None:
    """It has to put something for DN of 1 to 1000, reflectances of 0 and below: 0 would be no data."""
    carried = np.arange(65536).astype(np.uint16)
    here = to_reflectance(carried, -1000)
    taken_off = np.where(carried == 0, 0, np.maximum(carried.astype(int) - 1000, 1)).astype(np.uint16)
    np.testing.assert_array_equal(to_reflectance(taken_off, 0), here)
    to_zero = np.maximum(carried.astype(int) - 1000, 0).astype(np.uint16)
    differ = np.flatnonzero(to_reflectance(to_zero, 0) != here)
    np.testing.assert_array_equal(differ, np.arange(1, 1001))
    assert set(here[differ]) == {np.float32(0.0001)}


def test_the_list_is_asked_in_order_and_only_for_what_is_left(archives: Archives, world: World) -> None:
    settings = archives.settings("planetary_computer", "earth_search", "cdse")
    points = points_of(world.water(4))
    asked: list[int] = []

    def left(scenes: list[Scene]) -> Any:
        asked.append(len(scenes))
        return np.array([False, True, False, True]) if not scenes else np.zeros(4, bool)

    archives.planetary_computer.rig.items, kept = [], archives.planetary_computer.rig.items
    try:
        found = search_archives(points, settings=settings, now=NOW, cloud_cover_max=30, left=left)
    finally:
        archives.planetary_computer.rig.items = kept
    assert [one.provider for one in found.scenes] == ["earth_search"]
    assert asked == [0, 1]
    assert archives.cdse.asked == []
    # With the scene at hand nobody else is asked.
    archives.earth_search.asked.clear()
    found = search_archives(
        points, settings=settings, now=NOW, cloud_cover_max=30, left=lambda scenes: np.full(4, not scenes)
    )
    assert [one.provider for one in found.scenes] == ["planetary_computer"]
    assert archives.earth_search.asked == []


def test_a_scene_that_an_earlier_archive_has_is_not_taken_twice(archives: Archives, world: World) -> None:
    found = search_archives(
        points_of(world.water(2)),
        settings=archives.settings("earth_search", "cdse"),
        now=NOW,
        cloud_cover_max=30,
        left=lambda scenes: np.ones(2, bool),
    )
    assert [one.provider for one in found.scenes] == ["earth_search"]
    assert archives.cdse.count("/search") == 1


def test_the_other_part_of_a_tile_is_another_scene(archives: Archives, monkeypatch: pytest.MonkeyPatch) -> None:
    """As S2B_1CDH_20190104_0 and _1 of Earth Search: one tile and datatake, 3 s apart, 8 % of it in both."""
    part, other = scene(), scene(scene_id="other", datetime=SENSED + timedelta(seconds=3))
    has = {"earth_search": [part], "cdse": [dataclasses.replace(part, provider="cdse"), other]}

    def search(points: pd.DataFrame, *, settings: Settings, **_: Any) -> SearchResult:
        return SearchResult(scenes=has[settings.stac.providers[0]], requests=1, bytes=1, skipped=[])

    monkeypatch.setattr("s2chips_core.scenes.archives.search_scenes", search)
    found = search_archives(
        points_of([(10.0, 58.0)]),
        settings=archives.settings("earth_search", "cdse"),
        now=NOW,
        cloud_cover_max=30,
        left=lambda scenes: np.ones(1, bool),
    )
    assert found.scenes == [part, other]


def match_of(one: Scene, target: str, lon: float, lat: float) -> dict[str, Any]:
    names = ("scene_id", "provider", "collection", "processing_baseline", "cloud_cover")
    told = {name: getattr(one, name) for name in names}
    return {**told, "target_id": target, "scene": one.to_json(), "lon": lon, "lat": lat, "detail": "Matched."}


def test_a_scene_with_missing_files_is_found_at_the_next_archive(archives: Archives, world: World) -> None:
    first = scene_at(archives, "earth_search", world)
    places = world.water(3)
    matches = [match_of(first, f"t{n}", lon, lat) for n, (lon, lat) in enumerate(places)]
    missing = {"t0": "B03.tif: the server answered 404", "t2": "SCL.tif: the server answered 404"}
    settings = archives.settings("earth_search", "cdse", "planetary_computer")
    moved = find_elsewhere(missing, matches, settings=settings, now=NOW)
    assert set(moved) == {"t0", "t2"}
    assert archives.planetary_computer.asked == []
    assert (moved["t0"]["provider"], moved["t0"]["scene_id"]) == ("cdse", PRODUCT)
    assert moved["t2"]["detail"] == (
        f"Matched. Taken from cdse as {PRODUCT}, because files of earth_search are missing: SCL.tif: the server answered 404"
    )
    other = Scene.from_json(moved["t0"]["scene"])
    assert (other.datetime, other.mgrs_tile, other.datatake_id) == (first.datetime, first.mgrs_tile, first.datatake_id)
    # Gone there too: the one after; and behind the last there is nobody.
    again = find_elsewhere({"t0": "gone"}, [moved["t0"]], settings=settings, now=NOW)
    assert again["t0"]["provider"] == "planetary_computer"
    assert find_elsewhere({"t0": "gone"}, [again["t0"]], settings=settings, now=NOW) == {}


def test_the_same_scene_is_of_the_same_satellite_datatake_tile_and_time() -> None:
    one = scene(datatake_id="GS2A_20250731T103031_052780", processing_baseline="05.11")
    older = dataclasses.replace(one, scene_id="older", processing_baseline="05.00")
    newer = dataclasses.replace(one, scene_id="newer", processing_baseline="05.12")
    assert choose_same(one, [newer, older]) == newer
    assert choose_same(one, [newer, one, older]) == one
    # Without its orbit number, as the product's name tells it; rounded to a second less.
    told = dataclasses.replace(older, datatake_id="GS2A_20250731T103031", datetime=one.datetime.replace(microsecond=0))
    assert choose_same(one, [told]) == dataclasses.replace(told, datetime=one.datetime)
    for other in (
        dataclasses.replace(one, mgrs_tile="32VPJ"),
        dataclasses.replace(one, datatake_id="GS2B_20250731T103031_052780"),
        dataclasses.replace(one, datatake_id="GS2A_20250731T103032_052780"),
        dataclasses.replace(one, datatake_id=None),
        dataclasses.replace(one, datetime=one.datetime + timedelta(seconds=14)),
    ):
        assert choose_same(one, [other]) is None
    assert choose_same(dataclasses.replace(one, datatake_id=None), [dataclasses.replace(one, datatake_id=None)]) is None


def test_without_keys_nothing_is_asked_and_the_variables_are_named(
    archives: Archives, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = archives.settings("earth_search", "cdse")
    with pytest.raises(ConfigError, match="CDSE_ACCESS_KEY_ID and CDSE_SECRET_ACCESS_KEY: got 'nothing'"):
        check_archives(settings.stac, {})
    monkeypatch.delenv("CDSE_SECRET_ACCESS_KEY")
    with pytest.raises(ConfigError, match="environment: CDSE_SECRET_ACCESS_KEY: ") as caught:
        search_archives(points_of(world.water(1)), settings=settings, now=NOW, cloud_cover_max=30, left=nobody)
    assert KEYS["CDSE_ACCESS_KEY_ID"] not in str(caught.value)
    assert archives.earth_search.asked == []


def test_a_collection_that_one_of_the_list_does_not_have_is_refused(archives: Archives) -> None:
    settings = archives.settings("earth_search", "cdse")
    stac = settings.stac.model_copy(update={"collection": "sentinel-2-c1-l2a"})
    with pytest.raises(ConfigError, match="a Sentinel-2 L2A collection of cdse: sentinel-2-l2a"):
        check_archives(stac, KEYS)
    check_archives(stac.model_copy(update={"collection": {"earth_search": "sentinel-2-c1-l2a"}}), KEYS)
