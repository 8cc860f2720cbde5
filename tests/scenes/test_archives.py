"""One product at three archives: found, signed for, cut, and the same at each."""

import contextlib
import dataclasses
import logging
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from s2chips_core import layout, tables
from s2chips_core.chips.chip import Chip, CutRequest
from s2chips_core.chips.cutting import cut_scene
from s2chips_core.config import Settings, parse_settings
from s2chips_core.errors import ConfigError
from s2chips_core.scenes.archives import check_archives, choose_same, find_elsewhere, open_fetcher, search_archives
from s2chips_core.scenes.scene import Scene
from tests.scenes.samples import scene
from tests.scenes.stand_ins import (
    KEYS,
    OVER,
    PRODUCT,
    SENSED,
    TILE,
    Cdse,
    PlanetaryComputer,
    StandIn,
    World,
    cut_world,
    fill_cdse,
    fill_earth_search,
    fill_planetary_computer,
    serve_stand_in,
)

NOW = SENSED + timedelta(days=5)
PROVIDERS = ("earth_search", "planetary_computer", "cdse")


@pytest.fixture(scope="module")
def world(sandbox_archive: Path) -> World:
    return cut_world(sandbox_archive)


@dataclasses.dataclass
class Archives:
    """The three stand-ins."""

    earth_search: StandIn
    planetary_computer: PlanetaryComputer
    cdse: Cdse

    def settings(self, *providers: str, **sections: dict[str, Any]) -> Settings:
        stac = {
            "provider": list(providers),
            "endpoint": {name: getattr(self, name).endpoint for name in PROVIDERS},
            "s3_endpoint": f"http://{self.cdse.host}",
            "allowed_hosts": [self.earth_search.host, self.planetary_computer.host, "s3://eodata"],
        }
        tree = {"satellite_tracking": {"tiles": [TILE]}, "stac": stac, "tiling": {"include_swir": True}}
        return parse_settings({**tree, **sections}, "test")


@pytest.fixture(scope="module")
def filled(world: World, sandbox_archive: Path, shared_data: Path) -> Iterator[Archives]:
    made = Archives(StandIn(), PlanetaryComputer(), Cdse())
    with contextlib.ExitStack() as stack:
        for one in (made.earth_search, made.planetary_computer, made.cdse):
            stack.enter_context(serve_stand_in(one))
        fill_earth_search(made.earth_search, world, sandbox_archive)
        fill_planetary_computer(made.planetary_computer, world, shared_data / "stac")
        fill_cdse(made.cdse, world, shared_data / "stac")
        yield made


@pytest.fixture
def archives(filled: Archives, monkeypatch: pytest.MonkeyPatch) -> Archives:
    """As good as new, and the keys in the environment."""
    for one in (filled.earth_search, filled.planetary_computer, filled.cdse):
        one.asked.clear()
        one.gone = set()
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    return filled


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
    chips = {name: cut_at(archives, name, world) for name in PROVIDERS}
    assert {chip.boa_offset_dn for chip in chips["earth_search"].values()} == {0}
    assert {(c.boa_offset_dn, c.boa_offset_source) for c in chips["planetary_computer"].values()} == {(-1000, "baseline")}
    assert {(c.boa_offset_dn, c.boa_offset_source) for c in chips["cdse"].values()} == {(-1000, "item_offset")}
    for target, first in chips["earth_search"].items():
        for name in PROVIDERS[1:]:
            other = chips[name][target]
            assert (other.transform, other.epsg, other.bands) == (first.transform, first.epsg, first.bands)
            assert other.numbers == first.numbers
            np.testing.assert_array_equal(other.reflectance, first.reflectance)
