"""The section `satellite_tracking`: somewhere must be watched, and boxes are the right way up."""

import pytest

from s2chips_core.config import parse_settings
from tests.sections.trees import refused

BOX = {"name": "a", "west": 170, "south": 1, "east": -170, "north": 2}


def test_somewhere_is_watched() -> None:
    assert "at least one tile" in str(refused({"satellite_tracking": {}}))


def test_a_box_may_cross_the_antimeridian_and_is_never_upside_down() -> None:
    settings = parse_settings({"satellite_tracking": {"areas": [BOX]}}, "x")
    assert (settings.satellite_tracking.areas[0].west, settings.satellite_tracking.areas[0].east) == (170, -170)
    error = refused({"satellite_tracking": {"areas": [{**BOX, "south": 2, "north": 1}]}})
    assert (error.key, error.expected) == ("satellite_tracking.areas.0", "south (2.0) below north (1.0)")


@pytest.mark.parametrize("tile", ["30STF", "1CCV", "01CCV", "60XWR"])
def test_tiles_that_there_may_be(tile: str) -> None:
    assert parse_settings({"satellite_tracking": {"tiles": [tile]}}, "x").satellite_tracking.tiles == (tile,)


@pytest.mark.parametrize("tile", ["61STF", "00STF", "30ITF", "30SIF", "30STW", "30stf", "T30STF", "30STF/.."])
def test_tiles_that_there_cannot_be(tile: str) -> None:
    assert refused({"satellite_tracking": {"tiles": [tile]}}).key == "satellite_tracking.tiles.0"
