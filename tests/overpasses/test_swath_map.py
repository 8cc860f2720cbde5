"""The whole picture of a plan."""

import dataclasses
import re
import xml.etree.ElementTree as ET
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import shapely

from s2chips_core import tables
from s2chips_core.errors import InputError
from s2chips_core.overpasses.plan import PLAN_SCHEMA, Swath
from s2chips_core.overpasses.swath_layers import MAX_SINGLE_TILES
from s2chips_core.overpasses.swath_map import MAX_BYTES, MAX_LISTED, swath_map_svg
from s2chips_core.overpasses.tile_shapes import tiles_touching

NS = "{http://www.w3.org/2000/svg}"
AT = datetime(2025, 10, 27, 11, 4, 22, tzinfo=UTC)
SATELLITES = ("S2A", "S2B", "S2C")
NO_PASSES = tables.empty(PLAN_SCHEMA)


def plan(tiles: list[str], overpasses: int = 3, source: str = "tle") -> pd.DataFrame:
    """Every tile in every overpass, one each 25 h."""
    rows: list[dict[str, Any]] = []
    for n in range(overpasses):
        for place, tile in enumerate(tiles):
            at = AT + timedelta(hours=25 * n, seconds=place / 100)
            times = dict.fromkeys(("overpass_time", "window_start", "window_end"), at)
            look = {"satellite": SATELLITES[n % 3], "relative_orbit": 94 + n, "imaging": "planned", "source": source}
            rows.append({"tile_id": tile, "time_sigma_s": 1.5, **look, **times})
    return tables.to_frame(tables.conform(pd.DataFrame(rows), PLAN_SCHEMA, "sample"))


def strips(number: int, lon: float, lat: float, high_deg: float = 12.0, points: int = 2) -> list[Swath]:
    """Swaths of 3 degrees across, each next to the one before; `points` vertices along each side."""
    found = []
    for n in range(number):
        west = (lon + 2.6 * n + 180.0) % 360.0 - 180.0
        along = [high_deg * (k / (points - 1) - 0.5) for k in range(points)]
        ring = [(west + 0.2 * y, lat + y) for y in along] + [(west + 3 + 0.2 * y, lat + y) for y in reversed(along)]
        start = AT + timedelta(minutes=100 * n)
        facts = {"relative_orbit": 94 + n, "absolute_orbit": None, "imaging": "planned", "source": "acquisition_plan"}
        stop = start + timedelta(seconds=60)
        found.append(Swath(satellite=SATELLITES[n % 3], start=start, stop=stop, geometry=shapely.Polygon(ring), **facts))
    return found


def read(picture: str) -> ET.Element:
    assert len(picture.encode()) <= MAX_BYTES
    return ET.fromstring(picture)


def texts(picture: str) -> list[str]:
    return [node.text or "" for node in read(picture).iter(f"{NS}text")]


def test_a_strait_shows_tiles_swaths_legend_and_overpasses() -> None:
    tiles = tiles_touching((-6.0, 35.5, -5.0, 36.5))
    picture = swath_map_svg(plan(tiles), strips(3, -9.0, 36.0), tiles, title="Strait of Gibraltar")
    shown = texts(picture)
    assert shown[0] == "Strait of Gibraltar"
    assert set(tiles) <= set(shown), "every tile has its name"
    assert {"S2A · 1 overpass", "S2B · 1 overpass", "S2C · 1 overpass", "ESA acquisition plan"} <= set(shown)
    assert "Orbital elements (TLE)" in shown, "the passes' source"
    assert {"Mon 27 Oct 11:04:22", "Tue 28 Oct 12:04:22", "Wed 29 Oct 13:04:22"} <= set(shown)
    assert any(text.startswith("S2A R094 · ") and text.endswith(" tiles · ± 2 s") for text in shown)
    assert {"R094", "R095", "R096"} <= set(shown)
    assert f"3 overpasses of {len(tiles)} tiles · 27 October 2025 to 29 October 2025 · times are UTC" in shown
    root = read(picture)
    assert root.get("role") == "img"
    assert root.get("aria-label") == root[0].text == "Strait of Gibraltar"
    assert "Mon 27 Oct 11:04:22, S2A R094" in (root[1].text or "")


def test_the_picture_needs_nothing_and_runs_nothing() -> None:
    hostile = "\" onload='x' <b>&"
    passes = plan(["30STF"]).assign(satellite=hostile, source=hostile)
    swaths = [dataclasses.replace(one, satellite=hostile, source=hostile) for one in strips(1, -7.0, 36.0)]
    allowed = {"svg", "title", "desc", "rect", "g", "path", "text", "circle"}
    for shown in (swaths, []):
        picture = swath_map_svg(passes, shown, ["30STF"], title=hostile)
        for node in read(picture).iter():
            assert node.tag.removeprefix(NS) in allowed
            assert not {"id", "style", "href"} & node.attrib.keys()
            assert not any(name.startswith("on") for name in node.attrib)
        assert "url(" not in picture
        assert picture.count("http") == 1, "the namespace"


def test_it_has_its_own_ground() -> None:
    root = read(swath_map_svg(plan(["30STF"]), [], ["30STF"], title="t"))
    ground = root.find(f"{NS}rect")
    assert ground is not None
    assert (ground.get("width"), ground.get("height"), ground.get("fill")) == ("100%", "100%", "#ffffff")


def test_without_swaths_tiles_have_the_colour_of_their_first_pass() -> None:
    rows = plan(["30STF"], 2, "backfill")
    picture = swath_map_svg(rows, [], ["30STF", "30STE"], title="t")
    paths = {node.find(f"{NS}title").text: node for node in read(picture).iter(f"{NS}path") if len(node)}  # type: ignore[union-attr]
    assert paths["30STF"].get("fill") == "#7b3294"
    assert paths["30STE"].get("fill") == "none"
    shown = texts(picture)
    assert {"Archive (backfill)", "Tiles in the colour of their first pass", "Watched tile, no pass"} <= set(shown)


@pytest.mark.parametrize("width", [300, 380, 960])
@pytest.mark.parametrize(
    "area", [(178.0, -19.0, -178.0, -16.0), (10.0, 80.0, 30.0, 83.0), (-70.0, -75.0, -60.0, -71.0), (-6.0, 35.5, -5.0, 36.5)]
)
def test_nothing_leaves_the_picture_anywhere_on_earth(area: tuple[float, float, float, float], width: int) -> None:
    tiles = tiles_touching(area)
    swaths = strips(4, area[0] - 3, (area[1] + area[3]) / 2)
    root = read(
        swath_map_svg(plan(tiles), swaths, tiles, title="A title that is far too long for a picture on a phone", width=width)
    )
    assert int(root.get("width", "")) == width
    height = int(root.get("height", ""))
    frame = root.find(f"{NS}svg")
    assert frame is not None
    drawn = 0
    for node in frame.iter(f"{NS}path"):
        x = [float(pair.split()[0]) for pair in re.findall(r"[ML]([-\d.]+ [-\d.]+)", node.get("d", ""))]
        drawn += bool(x)
        assert not x or (min(x) >= -25 and max(x) <= width + 25)
    assert drawn > len(tiles) / 2
    for node in root.iter(f"{NS}text"):
        assert 0 <= float(node.get("y", "")) <= height


def test_more_overpasses_than_have_room_are_counted() -> None:
    few = texts(swath_map_svg(plan(["30STF"], MAX_LISTED), [], ["30STF"], title="t"))
    assert sum(bool(re.fullmatch(r"\w{3} \d+ \w{3} [\d:]{8}", text)) for text in few) == MAX_LISTED
    more = texts(swath_map_svg(plan(["30STF"], 40), [], ["30STF"], title="t"))
    assert sum(bool(re.fullmatch(r"\w{3} \d+ \w{3} [\d:]{8}", text)) for text in more) == MAX_LISTED - 1
    assert any(re.match(r"and 26 more until ", text) for text in more)


def test_thousands_of_tiles_stay_small() -> None:
    tiles = tiles_touching((-20.0, 36.0, 40.0, 64.0))
    assert len(tiles) > 800
    every_other = plan(tiles[::2], 2, "repeat_cycle")
    picture = swath_map_svg(every_other, [], tiles, title="Europe")
    assert not set(tiles) & set(texts(picture))
    swaths = strips(40, -30.0, 48.0, 30.0, points=200)
    shown = texts(swath_map_svg(every_other, swaths, tiles, title="Europe"))
    assert "Watched tile" in shown


def test_the_most_single_tiles_fit_with_their_names() -> None:
    tiles = tiles_touching((-10.0, 40.0, 12.0, 48.0))[:MAX_SINGLE_TILES]
    assert len(tiles) == MAX_SINGLE_TILES
    shown = texts(swath_map_svg(plan(tiles, 20), strips(40, -30.0, 44.0, 20.0, points=50), tiles, title="t", width=2400))
    assert len(set(tiles) & set(shown)) > 0.9 * len(tiles)


def test_swaths_that_would_not_fit_are_left_out_and_that_is_said() -> None:
    """Coasts of a thousand inlets, so to speak: no outline of these can be simplified."""
    comb = [(x / 10, 34.0 + 4 * (x % 2)) for x in range(-90, -20)]
    jagged = shapely.Polygon([*comb, (-2.0, 33.0), (-9.0, 33.0)])
    swaths = [
        Swath(
            satellite="S2A",
            relative_orbit=None,
            absolute_orbit=None,
            start=AT + timedelta(minutes=n),
            stop=AT,
            geometry=jagged,
            imaging="planned",
            source="tle",
        )
        for n in range(200)
    ]
    picture = swath_map_svg(plan(["30STF"]), swaths, ["30STF"], title="t")
    said = next(text for text in texts(picture) if text.startswith("Drawn are "))
    assert re.match(r"Drawn are [1-9]\d* of 200 swaths, until Mon 27 Oct", said)


def test_empty_plans_and_bad_names() -> None:
    assert "0 overpasses of 1 tile" in texts(swath_map_svg(NO_PASSES, [], ["30STF"], title="t"))
    assert "0 overpasses of 0 tiles" in texts(swath_map_svg(NO_PASSES, [], [], title="t"))
    assert "0 overpasses of 0 tiles" in texts(swath_map_svg(NO_PASSES, strips(2, 0.0, 50.0), [], title="t"))
    assert "30STF" in texts(swath_map_svg(plan(["30STF"]), [], [], title="t")), "the passes' tiles, when no others are told"
    with pytest.raises(InputError, match="nowhere"):
        swath_map_svg(NO_PASSES, [], ["nowhere"], title="t")
    with pytest.raises(ValueError, match="300 or more"):
        swath_map_svg(NO_PASSES, [], [], title="t", width=200)


@pytest.mark.shared_data
def test_the_whole_grid_fits(shared_data: Path) -> None:
    tiles = sorted(pd.read_parquet(shared_data / "orbit" / "s2_tile_grid.parquet")["tile"])[::8]
    # Every other tile: a chequerboard of the Earth, which no merging makes simple.
    picture = swath_map_svg(plan(tiles[::2], 1, "repeat_cycle"), [], tiles, title="Everything")
    assert f"1 overpass of {len(tiles):,} tiles · 27 October 2025 · times are UTC" in texts(picture)
