"""The three archives on loopback for tests: made once a process, as good as new for each test. Imported by conftest."""

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from s2chips_core.config import Settings, parse_settings
from tests.scenes.stand_ins import (
    KEYS,
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

PROVIDERS = ("earth_search", "planetary_computer", "cdse")


@pytest.fixture(scope="session")
def world(sandbox_archive: Path) -> World:
    return cut_world(sandbox_archive)


@dataclasses.dataclass
class Archives:
    """The three stand-ins."""

    earth_search: StandIn
    planetary_computer: PlanetaryComputer
    cdse: Cdse

    @property
    def all(self) -> tuple[StandIn, StandIn, StandIn]:
        """Each, in the order of PROVIDERS."""
        return self.earth_search, self.planetary_computer, self.cdse

    def stac(self, *providers: str) -> dict[str, Any]:
        """The section of the configuration."""
        return {
            "provider": list(providers),
            "endpoint": {name: getattr(self, name).endpoint for name in PROVIDERS},
            "s3_endpoint": f"http://{self.cdse.host}",
            "allowed_hosts": [self.earth_search.host, self.planetary_computer.host, "s3://eodata"],
        }

    def settings(self, *providers: str, **sections: dict[str, Any]) -> Settings:
        """All bands, and what the sections say."""
        tree = {
            "satellite_tracking": {"tiles": [TILE]},
            "stac": self.stac(*providers),
            "tiling": {"include_swir": True},
        }
        return parse_settings({**tree, **sections}, "test")


@pytest.fixture(scope="session")
def filled_archives(world: World, sandbox_archive: Path, shared_data: Path) -> Iterator[Archives]:
    made = Archives(StandIn(), PlanetaryComputer(), Cdse())
    with contextlib.ExitStack() as stack:
        for one in made.all:
            stack.enter_context(serve_stand_in(one))
        fill_earth_search(made.earth_search, world, sandbox_archive)
        fill_planetary_computer(made.planetary_computer, world, shared_data / "stac")
        fill_cdse(made.cdse, world, shared_data / "stac")
        yield made


@pytest.fixture
def archives(filled_archives: Archives, monkeypatch: pytest.MonkeyPatch) -> Archives:
    """As good as new, and the keys in the environment."""
    for one in filled_archives.all:
        one.asked.clear()
        one.gone = set()
        one.before_answer = lambda path: None
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    return filled_archives
