"""The page of the dataset as a person meets it: opened from a disk in Chromium, filtered, clicked, and used by keyboard."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest
from playwright.sync_api import Browser, Page, expect

from s2chips_core import layout
from s2chips_core.config import load_settings
from s2chips_core.pages.dataset import write_dataset_page
from s2chips_core.storage import LocalStorage
from tests.browser.conftest import PageLog
from tests.pages.sample_dataset import FIRST_DAY, SampleDataset, make_dataset, write_dataset
from tests.pages.sample_day import sea_jpeg

pytestmark = pytest.mark.browser

REPOSITORY = Path(__file__).parents[2]
CHIPS = 700
HOSTILE = ("<img src=x onerror=\"document.title='owned'\">", "</script>\u2028<b>&amp;")


class Made:
    """A dataset on a disk with its page."""

    def __init__(self, folder: Path) -> None:
        self.storage = LocalStorage(folder)
        self.data: SampleDataset = make_dataset(CHIPS, days=300, names=HOSTILE)
        write_dataset(self.storage, self.data)
        picture = sea_jpeg(7)
        for path in self.data.index["path"]:
            self.storage.put(layout.chip_artefacts(path, ("_quicklook.jpg",))[0], picture)
        self.storage.put(layout.report(max(self.data.outcomes)), b"<title>a day</title>")
        settings = load_settings(REPOSITORY / "config" / "config.yaml", {})
        at = datetime(2025, 11, 5, 12, tzinfo=UTC)
        write_dataset_page(self.storage, settings=settings, generated_at=at, software_version="0.1.0")
        self.address = Path(self.storage.url(layout.dataset_page())).as_uri()

    @property
    def index(self) -> pd.DataFrame:
        return self.data.index


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return Made(tmp_path_factory.mktemp("dataset"))


def open_page(page: Page, made: Made, part: str = "") -> None:
    page.goto("about:blank")
    page.goto(made.address + part)
    expect(page.locator("#cards li").first).to_be_visible()


def open_map(page: Page) -> None:
    page.locator("#map").scroll_into_view_if_needed()
    expect(page.locator("#map-state")).to_contain_text("in sight")


def test_pages_of_cards_with_pictures_that_load_when_seen(page: Page, made: Made) -> None:
    open_page(page, made)
    expect(page.locator("#result")).to_have_text(f"1–60 of {CHIPS} chips")
    newest = made.index["chip_id"].iloc[-1]
    first = page.locator("#cards img").first
    first.scroll_into_view_if_needed()
    expect(first).to_have_attribute("src", re.compile(rf"^\.\./chips/.*/{newest}_quicklook\.jpg$"))
    first.evaluate("image => image.decode()")
    assert first.evaluate("image => image.naturalWidth") == 256
    assert page.locator("#cards img[loading=lazy]").count() == 60
    page.locator("#page-last").click()
    expect(page.locator("#page-at")).to_have_text("Page 12 of 12")
    expect(page.locator("#cards li")).to_have_count(CHIPS - 11 * 60)
    assert page.evaluate("document.activeElement.classList.contains('card')")
    assert page.title() == "Ship chips", "a ship's name ran as code"


def test_filters_work_over_all_chips_and_are_kept_in_the_address(page: Page, made: Made) -> None:
    open_page(page, made)
    index = made.index
    page.locator("#filter-split").select_option("val")
    page.locator("#filter-type").select_option("Tanker")
    wanted = index[(index["split"] == "val") & (index["ship_type"] == "Tanker")]
    expect(page.locator("#result")).to_contain_text(f"of {len(wanted)} chips ({CHIPS} in all)")
    assert "split=val" in page.url
    assert "type=Tanker" in page.url
    open_page(page, made, "#tile=32u&length=150+200")
    wanted = index[index["mgrs_tile"].str.startswith("32U") & index["length_m"].between(150, 199.4)]
    expect(page.locator("#result")).to_contain_text(f"of {len(wanted)} chip")
    page.locator("#filters button[type=reset]").click()
    mmsi = int(index["mmsi"].value_counts().index[0])
    page.locator("#filter-text").fill(str(mmsi))
    expect(page.locator("#result")).to_contain_text(f"of {(index['mmsi'] == mmsi).sum()} chips")
    page.locator("#order").select_option("oldest")
    expect(page.locator("#cards .card").first).to_have_attribute("data-chip", str(index.index[index["mmsi"] == mmsi][0]))
    page.locator("#filter-text").fill("no ship is called so")
    expect(page.locator("#none")).to_be_visible()


def test_the_viewer_shows_facts_and_steps_in_the_order_of_the_gallery(page: Page, made: Made) -> None:
    open_page(page, made)
    cards = page.locator("#cards .card")
    cards.nth(0).click()
    last, before = made.index.iloc[-1], made.index.iloc[-2]
    expect(page.locator("#viewer")).to_contain_text(last["chip_id"])
    expect(page.locator("#viewer")).to_contain_text(last["scene_id"])
    page.keyboard.press("ArrowRight")
    expect(page.locator("#viewer")).to_contain_text(before["chip_id"])
    links = page.locator("#viewer a").evaluate_all("all => all.map(a => a.getAttribute('href'))")
    assert f"../{before['path']}" in links
    page.keyboard.press("Escape")
    expect(page.locator("#viewer")).to_be_hidden()


def test_a_cluster_opens_by_click_and_by_key(page: Page, made: Made) -> None:
    open_page(page, made)
    open_map(page)
    expect(page.locator("#map-state")).to_contain_text(f"{CHIPS} chips in sight")
    clusters = page.locator("#chart .cluster")
    before = clusters.evaluate_all("all => all.map(each => each.getAttribute('aria-label'))")
    clusters.first.click()
    expect(page.locator("#map-state")).not_to_contain_text(f"{CHIPS} chips")
    page.locator("#fit").click()
    expect(page.locator("#map-state")).to_contain_text(f"{CHIPS} chips in sight")
    assert clusters.evaluate_all("all => all.map(each => each.getAttribute('aria-label'))") == before
    clusters.first.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#map-state")).not_to_contain_text(f"{CHIPS} chips")
    expect(page.locator("#chart .leaflet-marker-icon[tabindex]:focus")).to_have_count(1)
    page.locator("#in-view").check()
    told = page.locator("#map-state").text_content() or ""
    seen = int(told.split(" ")[0])
    expect(page.locator("#result")).to_contain_text(f"of {seen} chip")


def test_the_map_follows_the_filter_and_opens_chips(page: Page, made: Made) -> None:
    lone = made.index.drop_duplicates("mmsi", keep=False).iloc[0]
    open_page(page, made, f"#text={lone['mmsi']}")
    open_map(page)
    dot = page.locator("#chart .dot")
    expect(dot).to_have_count(1)
    dot.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#viewer")).to_contain_text(lone["chip_id"])


def test_days_by_keyboard(page: Page, made: Made) -> None:
    open_page(page, made)
    days = sorted(made.data.outcomes)
    assert page.locator("#calendar [data-day][tabindex='0']").count() == 1
    page.locator("#calendar [data-day][tabindex='0']").focus()
    page.keyboard.press("Enter")
    frame = made.data.outcomes[days[-1]]
    expect(page.locator("#funnel-title")).to_contain_text(str(days[-1].year))
    expect(page.locator("#funnel .stage b").first).to_have_text(f"{len(frame)}")
    expect(page.locator("#funnel-day a")).to_have_attribute("href", f"report_{layout.ymd(days[-1])}.html")
    page.keyboard.press("ArrowLeft")
    assert page.evaluate("document.activeElement.dataset.day") == str(days[-2])
    page.keyboard.press("Home")
    assert page.evaluate("document.activeElement.dataset.day") == str(days[0])
    assert days[0] >= FIRST_DAY
    page.locator(f"[data-day='{days[-1]}']").click()  # pressed already: back to all days
    expect(page.locator("#funnel-title")).to_have_text("All days")
    with_chips = next(day for day in days[::-1] if (made.data.outcomes[day]["outcome"] == "chipped").any())
    page.locator(f"[data-day='{with_chips}']").click()
    page.get_by_role("button", name="Its chips in the gallery").click()
    sensed = (made.index["scene_datetime"].dt.date == with_chips).sum()
    expect(page.locator("#result")).to_contain_text(f"of {sensed} chip")
    page.locator("#tokens button").click()
    expect(page.locator("#result")).to_have_text(f"1–60 of {CHIPS} chips")


def test_vessels_in_more_than_one_split_page_by_page(page: Page, made: Made) -> None:
    open_page(page, made)
    rows = page.locator("#vessel-rows tr")
    first = rows.first.text_content()
    page.locator("#vessel-after").click()
    expect(page.locator("#vessel-at")).to_contain_text("Page 2 of")
    expect(rows.first).not_to_have_text(first or "")
    page.locator("#vessel-before").click()
    expect(rows.first).to_have_text(first or "")
    rows.first.locator("button").click()
    mmsi = int(page.locator("#filter-text").input_value())
    expect(page.locator("#result")).to_contain_text(f"of {(made.index['mmsi'] == mmsi).sum()} chips")


def test_without_a_file_it_says_what_is_missing(page: Page, page_log: PageLog, tmp_path: Path) -> None:
    made = Made(tmp_path)
    for key in made.storage.list(layout.dataset_assets()):
        if "columns" in key:
            made.storage.delete(key)
    page.goto(made.address)
    expect(page.locator("#result")).to_contain_text("is not there. Was the page made anew? Then reload it.")
    page_log.console_errors.clear()  # the missing file


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_nothing_is_cut_off_in_both_colour_schemes(browser: Browser, made: Made, scheme: str, width: int) -> None:
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
    try:
        page = context.new_page()
        open_page(page, made)
        open_map(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        background = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (max(map(int, re.findall(r"\d+", background)[:3])) < 80) == (scheme == "dark")
        drawn = page.locator("#chart canvas").first.evaluate(
            "c => new Set(c.getContext('2d').getImageData(0, 0, c.width, c.height).data).size"
        )
        assert drawn > 3, "the coast is not drawn"
    finally:
        context.close()
