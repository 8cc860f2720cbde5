"""Seconds and bytes of the page of the dataset, made and opened in Chromium.

    python -m benchmarks.dataset_page [--chips 10000 100000]

A year and six seas, no pixels: pictures are asked for and are not there. Loading ends when the first cards are shown, the
filters when the result is told.
"""

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from benchmarks.memory import peak_mb
from s2chips_core import layout
from s2chips_core.config import load_settings
from s2chips_core.pages.dataset import write_dataset_page
from s2chips_core.storage import LocalStorage
from tests.browser.conftest import ARGUMENTS
from tests.pages.sample_dataset import make_dataset, write_dataset

MOST_MS = 60_000
CONFIG = Path(__file__).parents[1] / "config" / "config.yaml"


def main() -> None:
    """Measure and print one line for each size."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--chips", type=int, nargs="+", default=[10_000, 100_000])
    for chips in parser.parse_args().chips:
        with tempfile.TemporaryDirectory() as folder:
            measure(chips, LocalStorage(Path(folder)))


def measure(chips: int, storage: LocalStorage) -> None:
    """One size."""
    write_dataset(storage, make_dataset(chips))
    made = write_dataset_page(
        storage, settings=load_settings(CONFIG, {}), generated_at=datetime.now(UTC), software_version="benchmark"
    )
    sizes = {key.rpartition("/")[2]: len(storage.get(key)) for key in storage.list(layout.reports_folder())}
    chunks = sum(size for name, size in sizes.items() if name[:6].isdigit())
    columns = next(size for name, size in sizes.items() if name.startswith("columns-"))
    print(
        f"{made.chips:,} chips, {made.days} days: made in {made.seconds:.1f} s, peak {peak_mb():.0f} MB; "
        f"page {sizes['index.html'] / 1e3:.0f} kB, columns {columns / 1e3:.0f} kB ({columns / made.chips:.0f} B a chip), "
        f"chunks {chunks / 1e6:.1f} MB ({chunks / made.chips:.0f} B a chip), all {made.bytes / 1e6:.1f} MB"
    )
    executable = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=list(ARGUMENTS))
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        address = Path(storage.url(layout.dataset_page())).as_uri()
        told = {
            "first cards": timed(lambda: shown(page, lambda: page.goto(address))),
            "map": timed(lambda: look_at_map(page)),
            "filter by split": timed(lambda: shown(page, lambda: page.locator("#filter-split").select_option("val"))),
            "filter by name": timed(lambda: shown(page, lambda: page.locator("#filter-text").fill("star"))),
            "all again": timed(lambda: shown(page, lambda: page.locator("#filters button[type=reset]").click())),
            "longest first": timed(lambda: shown(page, lambda: page.locator("#order").select_option("longest"))),
        }
        memory_mb = page.evaluate("performance.memory.usedJSHeapSize") / 1e6
        browser.close()
    print("  " + ", ".join(f"{what} {seconds:.2f} s" for what, seconds in told.items()) + f"; heap {memory_mb:.0f} MB")


def timed(act: Callable[[], object]) -> float:
    """Seconds."""
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def shown(page: Page, act: Callable[[], object]) -> None:
    """Do something, and wait until the gallery has followed."""
    page.evaluate("document.querySelector('#cards')?.replaceChildren()")
    act()
    page.wait_for_selector("#gallery:not([aria-busy]) #cards li", timeout=MOST_MS)


def look_at_map(page: Page) -> None:
    """Scroll to it, and wait until its marks are there."""
    page.locator("#map").scroll_into_view_if_needed()
    page.wait_for_selector("#map-state:has-text('in sight')", timeout=MOST_MS)


if __name__ == "__main__":
    main()
