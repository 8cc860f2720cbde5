"""The page of a day as a person meets it: opened in Chromium, looked at, clicked and typed into."""

import dataclasses
import functools
import http.server
import io
import re
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect

from s2chips_core import layout, tables
from s2chips_core.ais.fixes import FIX_SCHEMA
from s2chips_core.ais.snapshots import write_snapshots
from s2chips_core.pages.day import build_report, write_report
from s2chips_core.pages.day_items import MAX_INLINE_QUICKLOOKS
from s2chips_core.storage import LocalStorage
from tests.browser.conftest import PageLog, is_foreign
from tests.pages.overpass_day import NOW, make_overpasses
from tests.pages.sample_day import DAY, GENERATED_AT, SETTINGS, TYPES, ReportDay, make_day, put_day

pytestmark = pytest.mark.browser

CHIPS, REFUSED = 70, 26
HOSTILE = (
    "<script>document.title='owned'</script>",
    "<img src=x onerror=\"document.title='owned'\">",
    "</script>\u2028<b>&amp;",
)


def write_page(day: ReportDay, folder: Path, **more: Any) -> str:
    """Put the day's page into a folder; its address."""
    path = folder / "report.html"
    path.write_bytes(
        build_report(DAY, **day.arguments(), **({"generated_at": GENERATED_AT} | more), software_version="0.1.0")
    )
    return path.as_uri()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page of a usual day in its dataset; some of its ships have names that would like to be code."""
    day = make_day(chips=CHIPS, refused=REFUSED, names=HOSTILE, ais_source="synthetic")
    storage = LocalStorage(tmp_path_factory.mktemp("dataset"))
    put_day(storage, day, masks=True)
    ship = day.index.iloc[3]
    fixes = pd.DataFrame(
        {
            "mmsi": ship["mmsi"],
            "time": [ship["scene_datetime"] + pd.Timedelta(seconds=s) for s in (-60, 60)],
            "lat": [ship["lat"] - 0.004, ship["lat"] + 0.004],
            "lon": ship["lon"],
            "ais_source": "synthetic",
        }
    )
    write_snapshots(storage, DAY, tables.to_frame(tables.conform(fixes, FIX_SCHEMA, "fixes")), metadata=None)
    written = write_report(DAY, storage=storage, settings=SETTINGS, generated_at=GENERATED_AT, software_version="0.1.0")
    return storage.path(written.key).as_uri()


@pytest.fixture(scope="module")
def passes_address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page of a day with a plan and a capture: recorded, partial, missed and coming passes."""
    folder = tmp_path_factory.mktemp("report")
    return write_page(make_day(chips=4, refused=3), folder, overpasses=make_overpasses(), generated_at=NOW)


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """Serves files and says nothing."""

    def log_message(self, *args: Any) -> None:
        """Not to stderr."""


def pixels(place: Locator) -> Any:
    """What is on the screen there: (rows, cols, 3), 0-255."""
    return np.asarray(Image.open(io.BytesIO(place.screenshot())).convert("RGB")).astype(float)


def assert_pictures_are_there(images: Locator, number: int) -> None:
    expect(images).to_have_count(number)
    widths = images.evaluate_all(
        "async (all) => { await Promise.all(all.map((i) => i.decode())); return all.map((i) => i.naturalWidth); }"
    )
    assert len(widths) == number
    assert all(width > 0 for width in widths)


def test_every_chip_has_a_picture_that_shows_something(page: Page, address: str) -> None:
    page.goto(address)
    images = page.locator("#cards img")
    assert_pictures_are_there(images, 60)
    while page.locator("#more").is_visible():
        page.locator("#more").click()
    assert_pictures_are_there(images, CHIPS)
    assert images.evaluate_all("(all) => all.every((i) => i.alt.startsWith('Sentinel-2 chip of '))")
    seen = pixels(images.nth(3))
    assert seen.std() > 5, "the picture is blank"
    assert 20 < seen.mean() < 235, "the picture is black or blown out"
    rows, cols, _ = seen.shape
    # The sample's hull is 17 px long of 256: about 10 of the card's.
    hull = seen[rows // 2 - 3 : rows // 2 + 3, cols // 2 - 1 : cols // 2 + 1]
    assert hull.mean() > seen.mean() + 60, "the ship is not at the centre of the picture"


def test_filters_change_the_count_as_they_should(page: Page, address: str) -> None:
    page.goto(address)
    result = page.get_by_role("status")
    expect(result).to_have_text(f"{CHIPS} of {CHIPS} chips and {REFUSED} of {REFUSED} targets without a chip")
    assert result.get_attribute("aria-live") == "polite"

    page.get_by_label("Split").select_option("val")
    expect(result).to_have_text(f"{CHIPS // 5} of {CHIPS} chips and 0 of {REFUSED} targets without a chip")
    expect(page.locator("#cards .card")).to_have_count(CHIPS // 5)
    expect(page.locator("#footprints .chip:visible")).to_have_count(CHIPS // 5)

    page.get_by_role("button", name="Clear").click()
    page.get_by_role("combobox", name="Outcome").select_option("gate_cloud")
    expect(result).to_have_text(f"0 of {CHIPS} chips and 2 of {REFUSED} targets without a chip")
    expect(page.locator("#refused-rows tr:visible")).to_have_count(2)

    page.get_by_role("button", name="Clear").click()
    page.get_by_label("Ship type").select_option("Cargo")
    everyone = range(CHIPS + REFUSED)
    cargo = [n for n in everyone if TYPES[n % len(TYPES)] == "Cargo"]
    chipped = sum(n < CHIPS for n in cargo)
    expect(result).to_have_text(re.compile(rf"^{chipped} of {CHIPS} chips and {len(cargo) - chipped} of "))

    page.get_by_role("button", name="Clear").click()
    page.get_by_label("Name or MMSI").fill("244660017")
    expect(result).to_have_text(re.compile(rf"^1 of {CHIPS} chips and 0 of "))
    page.get_by_label("Name or MMSI").fill("mv sample 1")
    named = [n for n in everyone if n >= len(HOSTILE) and n % 6 != 5 and str(n).startswith("1")]
    expect(result).to_have_text(re.compile(rf"^{sum(n < CHIPS for n in named)} of {CHIPS} chips"))
    page.get_by_label("Name or MMSI").fill("no such ship")
    expect(result).to_have_text(re.compile(rf"^0 of {CHIPS} chips and 0 of "))

    page.locator(".pick[data-outcome=chipped]").click()
    expect(page.get_by_role("combobox", name="Outcome")).to_have_value("chipped")


def test_a_click_on_a_footprint_opens_its_chip(page: Page, address: str) -> None:
    page.goto(address)
    footprints = page.locator("#footprints .chip")
    expect(footprints).to_have_count(CHIPS)
    assert all(box["width"] > 2 for box in [footprints.nth(n).bounding_box() for n in range(0, CHIPS, 10)] if box)
    page.locator("#chart").scroll_into_view_if_needed()
    # Chips may lie on each other: click where this one is on top.
    name, x, y = page.evaluate(
        """() => { for (const chip of document.querySelectorAll('#footprints .chip')) {
             const b = chip.getBoundingClientRect(), x = b.x + b.width / 2, y = b.y + b.height / 2;
             if (chip.contains(document.elementFromPoint(x, y))) return [chip.querySelector('title').textContent, x, y];
           } return [null, 0, 0]; }"""
    )
    assert name is not None
    page.mouse.click(x, y)
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    expect(dialog.get_by_role("heading", level=2)).to_have_text(name)
    assert_pictures_are_there(dialog.locator("img"), 1)
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()

    spot = page.locator("#footprints .spot").first
    spot.dispatch_event("click")
    expect(dialog.get_by_text("Reason")).to_be_visible()
    expect(dialog.locator("img")).to_have_count(0)


def test_the_viewer_shows_facts_and_looks(page: Page, address: str) -> None:
    page.goto(address)
    page.locator("#cards .card").nth(3).click()
    dialog = page.get_by_role("dialog")
    texts = ["MV SAMPLE 3", "244660003", "2025-10-27 11:04:22.123 UTC", "+1 min 4 s", "interpolated", "97.0 %", "500 m"]
    texts += ["S2B_30STE_20251027_0_L2A", "0 DN, from earthsearch flag"]
    for text in texts:
        expect(dialog.get_by_text(text, exact=True).first).to_be_visible()
    picture, plate = dialog.locator("img"), dialog.locator("[data-part=plate]")
    for label, layer in (("Ship", "ship"), ("AIS track", "track"), ("Position ± sigma", "sigma")):
        drawn = dialog.locator(f"[data-drawn={layer}]")
        expect(drawn).not_to_have_attribute("hidden", "")
        dialog.get_by_label(label, exact=True).uncheck()
        expect(drawn).to_have_attribute("hidden", "")
        dialog.get_by_label(label, exact=True).check()
    expect(dialog.get_by_label("Other vessels")).to_be_hidden()
    assert dialog.locator("[data-drawn=track] .when:not(.under)").all_text_contents() == ["11:03:22", "11:05:22"]
    dialog.get_by_label("Pixelated").check()
    expect(picture).to_have_css("image-rendering", "pixelated")
    small = plate.bounding_box()
    dialog.get_by_label("Zoom of the picture").select_option("4")
    large = plate.bounding_box()
    assert small is not None
    assert large is not None
    assert large["width"] == pytest.approx(4 * small["width"], rel=0.01)
    assert large["x"] + large["width"] / 2 == pytest.approx(small["x"] + small["width"] / 2, abs=2), "the middle stays"
    expect(dialog.locator(".scale span")).to_have_text("200 m")
    width = dialog.locator(".scale i").evaluate("(bar) => bar.getBoundingClientRect().width")
    assert width == pytest.approx(large["width"] * 20 / 256, abs=1.0)  # 20 px of 10 m

    dialog.get_by_role("button", name="Next").focus()
    page.keyboard.press("ArrowRight")
    expect(dialog.get_by_role("heading", level=2)).to_have_text("MV SAMPLE 4")
    dialog.get_by_role("button", name="Previous").click()
    expect(dialog.get_by_role("heading", level=2)).to_have_text("MV SAMPLE 3")
    hrefs = dialog.locator("[data-part=files] a").evaluate_all("(all) => all.map((a) => a.getAttribute('href'))")
    assert hrefs[0] == "../chips/val/244660003/20251027/0000000000000003.tif"
    dialog.get_by_role("button", name="Close").click()
    expect(dialog).to_be_hidden()


def colour(picture: Any, rows: slice, cols: slice) -> Any:
    """Mean red, green, blue of a part of a picture, in shares of its sides."""
    high, wide, _ = picture.shape
    part = picture[int(rows.start * high) : int(rows.stop * high), int(cols.start * wide) : int(cols.stop * wide)]
    return part.mean(axis=(0, 1))


def test_each_tab_shows_its_picture_and_keys_reach_all(page: Page, address: str) -> None:
    page.goto(address)
    page.locator("#cards .card").nth(4).click()
    dialog = page.get_by_role("dialog")
    tabs = dialog.get_by_role("tab")
    names = ["Natural", "NIR", "NDWI", "SCL", "Cloud", "Land", "Water", "Valid", "B02", "B03", "B04", "B08"]
    assert tabs.all_text_contents() == names
    expect(dialog.get_by_text("Short-wave infrared not there: the chip has no B12 (tiling.include_swir)")).to_be_visible()
    for label in ("Ship", "Position ± sigma"):
        dialog.get_by_label(label, exact=True).uncheck()
    frame, sea, land = (
        dialog.locator("[data-part=frame]"),
        (slice(0.6, 0.9), slice(0.5, 0.9)),
        (slice(0.2, 0.8), slice(0.02, 0.05)),
    )
    seen = {}
    tabs.first.focus()
    for name in names:
        tab = dialog.get_by_role("tab", name=name, exact=True)
        expect(tab).to_be_focused()
        expect(tab).to_have_attribute("aria-selected", "true")
        expect(dialog.get_by_role("tabpanel", name=name, exact=True)).to_be_visible()
        dialog.locator("img").evaluate("(i) => i.decode()")
        seen[name] = pixels(frame)
        page.keyboard.press("ArrowRight")
    expect(tabs.first).to_be_focused()  # round
    assert all(np.abs(seen[a] - seen[b]).mean() > 1 for a in names[:4] for b in names[:4] if a != b)
    for picture in (seen["Natural"], seen["B04"]):
        middle = colour(picture, slice(0.48, 0.52), slice(0.497, 0.503))
        assert middle.mean() > colour(picture, *sea).mean() + 60, "the ship is not at the centre of the picture"
    np.testing.assert_allclose(colour(seen["SCL"], *sea), (0, 0, 255), atol=6)
    np.testing.assert_allclose(colour(seen["SCL"], *land), (0, 160, 0), atol=6)
    assert colour(seen["NDWI"], *sea)[2] > colour(seen["NDWI"], *sea)[0] + 30
    assert colour(seen["NDWI"], *land)[0] > colour(seen["NDWI"], *land)[2] + 30

    # The picture that was chosen stays when the next chip is looked at, and the focus on its tab.
    page.keyboard.press("End")
    expect(dialog.get_by_role("tab", name="B08")).to_be_focused()
    dialog.get_by_role("button", name="Next").click()
    expect(dialog.get_by_role("tab", name="B08")).to_have_attribute("aria-selected", "true")
    page.keyboard.press("+")
    expect(dialog.get_by_label("Zoom of the picture")).to_have_value("2")


def test_sheets_are_loaded_when_they_are_looked_at(page: Page, address: str) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address)
    assert_pictures_are_there(page.locator("#cards img"), 60)
    assert not [url for url in asked if "/views/" in url]
    page.locator("#cards .card").nth(5).click()
    page.get_by_role("dialog").locator("img").evaluate("(i) => i.decode()")
    assert [url.rpartition("/")[2] for url in asked if "/views/" in url] == ["0000000000000005.jpg"]


def test_a_page_without_its_sheets_shows_the_quicklook_and_says_so(
    page: Page, page_log: PageLog, address: str, tmp_path: Path
) -> None:
    alone = tmp_path / "report.html"
    alone.write_bytes(Path(address.removeprefix("file://")).read_bytes())
    page.goto(alone.as_uri())
    page.locator("#cards .card").nth(4).click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("status")).to_contain_text("views/20251027/0000000000000004.jpg")
    expect(dialog.get_by_role("tab")).to_have_count(0)
    assert_pictures_are_there(dialog.locator("img"), 1)
    assert all("ERR_FILE_NOT_FOUND" in text for text in page_log.console_errors)
    page_log.console_errors.clear()


def test_the_page_works_from_a_server_too(page: Page, address: str) -> None:
    folder = Path(address.removeprefix("file://")).parents[1]
    handler = functools.partial(QuietHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            page.goto(f"http://127.0.0.1:{server.server_port}/{layout.report(DAY)}")
            page.locator("#cards .card").first.click()
            dialog = page.get_by_role("dialog")
            expect(dialog.get_by_role("tab")).to_have_count(12)
            assert_pictures_are_there(dialog.locator("img"), 1)
            assert dialog.locator("img").evaluate("(i) => i.naturalWidth") == 1024
        finally:
            server.shutdown()


def test_gate_numbers_are_told_apart_without_colour(page: Page, address: str) -> None:
    page.goto(address)
    page.get_by_role("combobox", name="Outcome").select_option("gate_cloud")
    page.locator("#cards .card").first.click()
    dialog = page.get_by_role("dialog")
    gauges = dialog.locator(".gauges li")
    expect(gauges).to_have_count(4)
    expect(gauges.nth(0)).to_contain_text("Cloud1.0 %at most 5.0 % · ✓ passed")
    expect(gauges.nth(2)).to_contain_text("Water97.0 %at least 50.0 % · ✓ passed")
    limit, value = gauges.nth(2).evaluate(
        "(li) => [li.querySelector('.limit').getBBox().x, li.querySelector('.value').getBBox().width]"
    )
    assert (limit, value) == (pytest.approx(50), pytest.approx(97))


def test_labels_of_other_vessels_are_drawn_where_they_are(page: Page, tmp_path: Path) -> None:
    day = make_day(chips=1, refused=0)

    def label(mmsi: int, *, target: bool, box: list[float] | None, col: float, row: float) -> dict[str, Any]:
        known = {"lat": 36.0, "lon": -5.0, "position_method": "interpolated", "ais_source": "aisstream", "truncated": False}
        size = {"length_m": 60.0, "width_m": 20.0, "box": box}
        return {**known, **size, "mmsi": mmsi, "is_target": target, "ship_name": f"SHIP {mmsi}", "col": col, "row": row}

    labels = [
        label(1, target=True, box=[127.0, 125.0, 129.0, 125.0, 129.0, 131.0, 127.0, 131.0], col=128.5, row=128.5),
        label(2, target=False, box=[50.0, 40.0, 60.0, 40.0, 60.0, 44.0, 50.0, 44.0], col=55.0, row=42.0),
        label(3, target=False, box=None, col=200.0, row=210.0),
    ]
    address = write_page(dataclasses.replace(day, index=day.index.assign(labels=[labels])), tmp_path)
    page.goto(address)
    page.locator("#cards .card").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_label("Other vessels")).to_be_checked()
    others = dialog.locator("[data-drawn=others] path:not(.under)")
    assert others.locator("title").all_text_contents() == ["SHIP 2, 60 m × 20 m", "SHIP 3, 60 m × 20 m"]
    plate = dialog.locator("[data-part=plate]").bounding_box()
    own = dialog.locator("[data-drawn=ship] path:not(.under)").last
    assert plate is not None
    for drawn, col, row in ((others.first, 55, 42), (others.last, 200, 210), (own, 128, 128)):
        box = drawn.bounding_box()
        assert box is not None
        # The middle: the box takes in the width of the line.
        middle = box["x"] + box["width"] / 2 - plate["x"], box["y"] + box["height"] / 2 - plate["y"]
        assert middle == pytest.approx((col / 256 * plate["width"], row / 256 * plate["width"]), abs=1)


def test_the_map_zooms_and_moves(page: Page, address: str) -> None:
    page.goto(address)
    chart, chip = page.locator("#chart"), page.locator("#footprints .chip g").first
    chart.scroll_into_view_if_needed()

    def place() -> tuple[float, float]:
        """Where the first chip's centre is across the window, px, and how many px a kilometre of the map has."""
        at: list[float] = chip.evaluate("(g) => { const m = g.getScreenCTM(); return [m.e, m.a]; }")
        return at[0], at[1]

    x, scale = place()
    page.get_by_role("button", name="Zoom in").click()
    assert place()[1] == pytest.approx(1.6 * scale, rel=1e-3)
    page.get_by_role("button", name="Scenes", exact=True).click()
    assert place() == pytest.approx((x, scale), rel=1e-3)
    page.get_by_role("button", name="Move east").click()
    assert place()[0] == pytest.approx(x - 90, abs=0.5)
    chart.focus()
    page.keyboard.press("ArrowLeft")
    assert place()[0] == pytest.approx(x, abs=0.5)
    frame = chart.bounding_box()
    assert frame is not None
    middle = frame["x"] + frame["width"] / 2, frame["y"] + frame["height"] / 2
    page.mouse.move(frame["x"] + 12, middle[1])
    page.mouse.down()
    page.mouse.move(frame["x"] + 62, middle[1], steps=5)
    page.mouse.up()
    assert place()[0] == pytest.approx(x + 50, abs=1)
    page.mouse.move(*middle)
    page.mouse.wheel(0, -300)
    page.wait_for_function("(s) => document.querySelector('#footprints .chip g').getScreenCTM().a > s", arg=1.3 * scale)
    expect(page.get_by_role("dialog")).to_be_hidden()
    page.get_by_label("Go to a scene").select_option(index=1)
    assert place()[1] == pytest.approx(scale, rel=0.05)
    degrees = page.locator("#labels .degree").all_text_contents()
    assert any(re.fullmatch(r"\d+(\.\d+)?° W", text) for text in degrees), degrees
    assert any(re.fullmatch(r"\d+(\.\d+)?° N", text) for text in degrees), degrees


def test_graticule_is_where_its_degrees_are(page: Page, address: str) -> None:
    page.goto(address)
    page.locator("#cards .card").first.click()
    centre = page.locator("#viewer dt", has_text="Chip centre").locator("+ dd").text_content() or ""
    page.keyboard.press("Escape")
    # The first chip must be drawn next to a line as far as its own longitude says.
    offset_px, offset_deg, px_per_deg = page.evaluate(
        """(lon) => {
          const texts = [...document.querySelectorAll('#labels .degree')].filter((t) => t.textContent.endsWith('W'));
          const ends = [texts[0], texts[texts.length - 1]];
          const [a, b] = ends.map((t) => [-parseFloat(t.textContent), Number(t.getAttribute('x'))]);
          const matrix = document.querySelector('#footprints .chip g').getScreenCTM();
          const frame = document.querySelector('#chart').getBoundingClientRect();
          const scale = (b[1] - a[1]) / (b[0] - a[0]);
          return [matrix.e - frame.left - a[1], lon - a[0], scale];
        }""",
        -float(centre.split(", ")[1].removesuffix("° W")),
    )
    assert offset_px == pytest.approx(offset_deg * px_per_deg, abs=1.0)


def test_names_of_ships_stay_text(page: Page, address: str) -> None:
    page.goto(address)
    assert "owned" not in page.title()
    for n, name in enumerate(HOSTILE):
        page.locator("#cards .card").nth(n).click()
        shown = page.get_by_role("dialog").get_by_role("heading", level=2).text_content()
        assert shown is not None
        assert shown.removeprefix(" ") == name
        page.keyboard.press("Escape")
    assert page.locator("#cards .words img, #cards .words script, #viewer-title b, img[src=x]").count() == 0
    assert "owned" not in page.title()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [(1280, 900), (390, 844)])
@pytest.mark.parametrize("which", ["address", "passes_address"])
def test_nothing_sticks_out_and_text_is_readable(
    page: Page, which: str, scheme: Any, size: tuple[int, int], request: pytest.FixtureRequest
) -> None:
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.goto(request.getfixturevalue(which))
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
    ratios = page.evaluate(
        """() => {
          const linear = (v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
          const luminance = ([r, g, b]) => 0.2126 * linear(r / 255) + 0.7152 * linear(g / 255) + 0.0722 * linear(b / 255);
          const parse = (text) => text.match(/[\\d.]+/g).map(Number);
          const ground = (node) => {
            for (let at = node; at; at = at.parentElement) {
              const colour = parse(getComputedStyle(at).backgroundColor);
              if (colour.length < 4 || colour[3] > 0) return colour.slice(0, 3);
            }
            return [255, 255, 255];
          };
          const chosen = 'h1, h2, h3, nav a, .tile dt, .tile b, .tile span, .loss, .counts p, .counts code, .result'
            + ', .words b, .words span, .badge, td, th, .hint, .banner, label, .legend li, td small';
          return [...document.querySelectorAll(chosen)].map((node) => {
            const both = [luminance(parse(getComputedStyle(node).color)), luminance(ground(node))].sort((p, q) => q - p);
            return [(both[0] + 0.05) / (both[1] + 0.05), node.className + ' ' + node.tagName + ' ' + node.textContent];
          });
        }"""
    )
    worst = min(ratios)
    assert worst[0] >= 4.5, worst  # WCAG 2.2, 1.4.3


def test_parts_have_names(page: Page, address: str) -> None:
    page.goto(address)
    expect(page.get_by_role("main")).to_have_count(1)
    expect(page.get_by_role("navigation", name="Parts of the page")).to_be_visible()
    expect(page.get_by_role("search")).to_be_visible()
    for name in ("Outcomes", "Gallery", "Map", "Targets without a chip", "Head of the index"):
        expect(page.get_by_role("heading", level=2, name=re.compile(f"^{name}"))).to_be_visible()
    nameless = page.evaluate(
        "() => [...document.querySelectorAll('button, select, input')].filter((n) => !n.hidden && !n.textContent.trim()"
        " && !n.getAttribute('aria-label') && !(n.labels && n.labels.length)).map((n) => n.outerHTML)"
    )
    assert nameless == []
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [(1280, 900), (390, 844)])
def test_axe_finds_nothing_to_complain_of(page: Page, address: str, scheme: Any, size: tuple[int, int]) -> None:
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.goto(address)
    found = {"page": Axe().run(page)}
    page.locator("#cards .card").nth(3).click()
    page.get_by_role("tab", name="SCL").click()
    found["chip"] = Axe().run(page)
    page.keyboard.press("Escape")
    page.get_by_role("combobox", name="Outcome").select_option("gate_cloud")
    page.locator("#cards .card").first.click()
    found["refused"] = Axe().run(page)
    assert all(len(result.response["passes"]) > 10 for result in found.values())
    assert {where: result.generate_report() for where, result in found.items() if result.violations_count} == {}


def test_the_viewer_is_walked_through_by_tab_and_gives_the_focus_back(page: Page, address: str) -> None:
    page.goto(address)
    card = page.locator("#cards .card").nth(3)
    card.focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="MV SAMPLE 3")
    expect(dialog).to_be_visible()
    assert page.evaluate("document.querySelector('#viewer').contains(document.activeElement)")
    dialog.get_by_role("button", name="Previous").focus()
    stops = []
    for _ in range(14):
        stops.append(
            page.evaluate(
                "(() => { const a = document.activeElement; return a.ariaLabel || (a.dataset.part === 'frame' && 'frame')"
                " || a.textContent.trim() || a.labels?.[0].textContent.trim(); })()"
            )
        )
        page.keyboard.press("Tab")
    buttons = ["Previous (left arrow)", "Next (right arrow)", "Close (Escape)"]
    looks = ["Natural", "frame", "Ship", "AIS track", "Position ± sigma", "Pixelated", "Zoom of the picture"]
    assert stops == [*buttons, *looks, "GeoTIFF", "Quicklook", "Sidecar", "Footprint"]
    expect(dialog.get_by_role("group", name="Numbers and facts")).to_be_focused()
    page.keyboard.press("Escape")
    expect(card).to_be_focused()


def test_beyond_the_cap_the_files_beside_the_page_are_shown_as_they_come_into_view(page: Page, tmp_path: Path) -> None:
    chips = MAX_INLINE_QUICKLOOKS + 1
    day = make_day(chips=chips, refused=0)
    storage = LocalStorage(tmp_path)
    for path, jpeg in zip(day.index["path"], day.quicklooks.values(), strict=True):
        storage.put(path.replace(".tif", "_quicklook.jpg"), jpeg)
    (tmp_path / "reports").mkdir()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(write_page(day, tmp_path / "reports"))
    expect(page.get_by_role("status")).to_have_text(f"{chips} of {chips} chips")
    expect(page.locator("#cards img")).to_have_count(60)
    page.locator("#cards img").first.scroll_into_view_if_needed()
    page.wait_for_function("document.querySelector('#cards img').naturalWidth === 256")
    assert 0 < sum("_quicklook" in url for url in asked) <= 60
    page.locator("#cards .card").first.click()
    assert_pictures_are_there(page.get_by_role("dialog").locator("img"), 1)


@pytest.fixture(scope="module")
def large_day(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page of a day of 801 chips and 299 others: several chunks, a map that is painted, rows that are folded."""
    day = make_day(chips=801, refused=299)
    one = dataclasses.replace(day, quicklooks=dict(list(day.quicklooks.items())[:1]))
    folder = tmp_path_factory.mktemp("large") / "reports"
    folder.mkdir()
    for path in day.index["path"]:
        (folder.parent / path).parent.mkdir(parents=True, exist_ok=True)
        (folder.parent / path.replace(".tif", "_quicklook.jpg")).write_bytes(next(iter(one.quicklooks.values())))
    return write_page(one, folder)


def test_of_many_items_each_opens_and_each_is_found(page: Page, large_day: str) -> None:
    page.goto(large_day)
    result, dialog = page.get_by_role("status"), page.get_by_role("dialog")
    expect(result).to_have_text("801 of 801 chips and 299 of 299 targets without a chip")
    page.get_by_label("Name or MMSI").fill("244660")
    expect(result).to_have_text(re.compile(r"^801 of 801 chips and \d+ of 299 "))
    # Of the third chunk, and over its edge into the next and back; then one without a chip, of the last.
    page.get_by_label("Name or MMSI").fill("24466074")
    expect(result).to_have_text(re.compile(r"^10 of 801 chips"))
    page.locator("#cards .card").last.click()
    for key, mmsi in ((None, 749), ("ArrowLeft", 748), ("ArrowRight", 749)):
        if key:
            page.keyboard.press(key)
        expect(dialog.get_by_text(f"244660{mmsi}", exact=True)).to_be_visible()
    expect(dialog.get_by_role("button", name="Next")).to_be_disabled()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Clear").click()
    page.goto(f"{large_day}#chip-{749:016x}")
    page.reload()
    expect(dialog.get_by_text("244660749", exact=True)).to_be_visible()
    page.keyboard.press("ArrowRight")
    expect(dialog.get_by_text("244660750", exact=True)).to_be_visible()
    page.keyboard.press("Escape")

    expect(page.locator("#refused-rows tr")).to_have_count(100)
    page.locator("#refused-more").click()
    expect(page.locator("#refused-rows tr")).to_have_count(200)
    assert page.locator("#refused-rows tr").evaluate_all("(all) => all.map((row) => row.dataset.id)") == [
        f"target-{n}" for n in range(1, 201)
    ]
    page.get_by_role("combobox", name="Outcome").select_option("pruned")
    rows = page.locator("#refused-rows tr")
    expect(rows).to_have_count(23)
    expect(page.locator("#refused-result")).to_have_text("23 of 299 rows, filtered as the gallery is.")
    assert all("Pruned" in text for text in rows.all_text_contents())


def test_a_map_of_many_is_painted_and_its_chips_can_be_chosen(page: Page, large_day: str) -> None:
    page.goto(large_day)
    chart, canvas = page.locator("#chart"), page.locator("#chart canvas")
    expect(page.get_by_role("status")).to_contain_text("801 of 801")
    chart.scroll_into_view_if_needed()
    expect(canvas).to_be_visible()
    expect(page.locator("#footprints [data-id]")).to_have_count(0)
    everything = pixels(chart)

    # A place where one is told by its name is that ship's.
    frame = chart.bounding_box()
    assert frame is not None
    named = None
    for n in range(400):
        x, y = frame["x"] + 300 + 17 * (n % 20), frame["y"] + 120 + 17 * (n // 20)
        page.mouse.move(x, y)
        named = canvas.get_attribute("title")
        if named and ":" not in named:
            break
    assert named, "no chip is under the pointer anywhere"
    page.mouse.click(x, y)
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("heading", level=2)).to_have_text(named)
    page.keyboard.press("Escape")

    # Fewer than 1,000 are elements, as on any other day; they look as the painted ones do.
    page.get_by_label("Split").select_option("val")
    expect(page.locator("#footprints .chip")).to_have_count(160)
    expect(canvas).to_be_hidden()
    page.get_by_role("button", name="Clear").click()
    expect(canvas).to_be_visible()
    again = pixels(chart)
    assert np.abs(everything - again).mean() < 4, "the same map again"
    for _ in range(6):
        page.get_by_role("button", name="Zoom in").click()
    expect(canvas).to_be_hidden()
    assert 0 < page.locator("#footprints [data-id]").count() < 300


def test_a_browser_that_cannot_inflate_says_so_and_shows_the_rest(page: Page, large_day: str) -> None:
    page.add_init_script("delete globalThis.DecompressionStream")
    page.goto(large_day)
    expect(page.get_by_role("status")).to_have_text(re.compile("^This browser cannot unpack .* Firefox 113, Safari 16.4"))
    expect(page.locator("#refused-rows tr")).to_have_count(299)
    expect(page.get_by_label("Name or MMSI")).to_be_disabled()
    page.locator("#chart").scroll_into_view_if_needed()
    expect(page.locator("#chart canvas")).to_be_visible()


def test_without_scripts_the_map_and_all_rows_are_there(browser: Browser, large_day: str, address: str) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 900}, java_script_enabled=False)
    try:
        page = context.new_page()
        page.goto(large_day)
        expect(page.locator("#gallery noscript .banner")).to_be_visible()
        assert page.locator("#refused tbody tr").count() == 299
        last = page.locator("#refused tbody tr").last
        expect(last).to_be_visible()
        assert page.locator("#footprints .chip").count() == 801
        expect(page.locator("#footprints .chip").first).to_be_visible()
        page.goto(address)
        assert (page.locator("#footprints .chip").count(), page.locator("#refused tbody tr").count()) == (CHIPS, REFUSED)
    finally:
        context.close()


def test_an_address_with_a_chip_opens_it(page: Page, address: str) -> None:
    page.goto(f"{address}#chip-0000000000000004")
    expect(page.get_by_role("dialog").get_by_role("heading", level=2)).to_have_text("MV SAMPLE 4")


@pytest.mark.parametrize(("chips", "refused"), [(0, 0), (0, 7), (3, 0), (1, 1)])
def test_small_days_have_no_broken_parts(page: Page, tmp_path: Path, chips: int, refused: int) -> None:
    page.goto(write_page(make_day(chips=chips, refused=refused), tmp_path))
    if chips + refused == 0:
        expect(page.get_by_role("heading", name="Nothing on this day")).to_be_visible()
        expect(page.locator("dialog, form, table, nav")).to_have_count(0)
        return
    assert_pictures_are_there(page.locator("#cards img"), chips)
    expect(page.locator("#cards .card")).to_have_count(chips + refused)
    expect(page.get_by_role("heading", name="Head of the index")).to_be_visible()


def test_a_day_around_180_degrees_is_not_torn_apart(page: Page, tmp_path: Path) -> None:
    page.goto(write_page(make_day(chips=20, refused=13, lon=180.0, lat=-17.0), tmp_path))
    widths = [box["width"] for box in (n.bounding_box() for n in page.locator("#footprints .footprint").all()) if box]
    assert len(widths) == 20
    assert min(widths) > 4
    assert max(widths) < 1.2 * min(widths)
    degrees = page.locator("#labels .degree").all_text_contents()
    assert any(text.endswith("° E") for text in degrees), degrees
    assert any(text.endswith("° W") for text in degrees), degrees


def test_overpasses_are_shown_and_missed_ones_catch_the_eye(page: Page, passes_address: str) -> None:
    page.goto(passes_address)
    page.get_by_role("link", name="Overpasses").click()
    section = page.get_by_role("region", name=re.compile("^Overpasses"))
    expect(section.get_by_role("heading", level=2)).to_be_in_viewport()
    expect(page.get_by_role("note").filter(has_text="2 of 5 passes were missed")).to_be_visible()
    table = section.get_by_role("table", name=re.compile("^The passes of the day"))
    expect(table.get_by_role("row")).to_have_count(1 + 5)
    expect(table.get_by_role("row", name=re.compile("^Partial 30STE"))).to_contain_text("8 of 10 min")
    grounds = [
        table.locator(f"tr.p-{status}").first.evaluate("(row) => getComputedStyle(row).backgroundColor")
        for status in ("missed", "recorded")
    ]
    assert grounds[0] != grounds[1]
    captures = section.get_by_role("table", name=re.compile("^The captures of the day"))
    expect(captures.get_by_role("row")).to_have_count(1 + 1)
    expect(captures).to_contain_text("late start")


def test_all_columns_of_the_passes_fit_also_with_elements_from_long_after_the_pass(page: Page, tmp_path: Path) -> None:
    made = make_overpasses()
    long_after = made.passes.assign(source_epoch=made.passes["overpass_time"] + pd.Timedelta(days=56))
    later = dataclasses.replace(made, passes=long_after)
    page.set_viewport_size({"width": 1280, "height": 900})
    page.goto(write_page(make_day(chips=0, refused=0), tmp_path, overpasses=later, generated_at=NOW))
    passes = page.get_by_role("region", name="Passes", exact=True)
    expect(passes).to_contain_text("from 56.0 days after the pass")
    assert passes.evaluate("(one) => one.scrollWidth - one.clientWidth") <= 0


def test_the_picture_of_the_plan_has_a_name_and_shows_the_satellites_colour(page: Page, passes_address: str) -> None:
    page.goto(passes_address)
    picture = page.get_by_role("img", name="Overpasses on 2025-10-27")
    expect(picture).to_have_count(1)  # the one for narrow screens is not there for anybody
    expect(picture).to_be_visible()
    seen = pixels(picture)
    rows, cols, _ = seen.shape
    assert (rows, cols) == (pytest.approx(picture.evaluate("(svg) => svg.viewBox.baseVal.height"), abs=2), 960)
    # Right of the tiles is the swath of S2B: blue is what its orange takes away.
    swath, sea = seen[rows // 2, int(cols * 0.65)], seen[rows // 2, int(cols * 0.95)]
    assert swath[0] - swath[2] > sea[0] - sea[2] + 15, (swath, sea)

    page.set_viewport_size({"width": 390, "height": 844})
    expect(page.get_by_role("img", name="Overpasses on 2025-10-27")).to_have_count(1)
    narrow = page.get_by_role("img", name="Overpasses on 2025-10-27")
    assert page.evaluate("(n) => n.getBoundingClientRect().width", narrow.element_handle()) <= 390
    size = narrow.locator("text").first.evaluate("(t) => t.getBoundingClientRect().height")
    assert size > 12, "text stays readable on a phone"


def test_a_day_of_missed_passes_and_no_ships(page: Page, tmp_path: Path) -> None:
    day = make_day(chips=0, refused=0)
    page.goto(write_page(day, tmp_path, overpasses=make_overpasses(), generated_at=NOW))
    expect(page.get_by_role("heading", name="No ships on this day")).to_be_visible()
    expect(page.get_by_text("2 of 5 passes were missed")).to_be_visible()
    expect(page.get_by_role("img", name="Overpasses on 2025-10-27")).to_be_visible()


def test_the_log_sees_errors_and_foreign_requests(page: Page, page_log: PageLog) -> None:
    """The other tests rest on this: what goes wrong is noticed."""
    page.set_content(
        "<img src='https://example.org/x.png'>"
        "<script>console.error('seen'); setTimeout(() => { throw new Error('thrown'); })</script>"
    )
    page.wait_for_timeout(300)
    assert page_log.foreign_requests == ["https://example.org/x.png"]
    assert any("seen" in text for text in page_log.console_errors)
    assert any("thrown" in text for text in page_log.page_errors)
    assert not is_foreign("http://127.0.0.1:3000/a")
    for texts in (page_log.console_errors, page_log.page_errors, page_log.foreign_requests):
        texts.clear()
