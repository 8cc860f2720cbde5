"""The Dagster UI after a day of the demo: graph, metadata, the contact sheet as a picture; and the page of that day."""

import contextlib
import dataclasses
import io
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from playwright.sync_api import Page, expect

from s2chips_core import layout, tables
from s2chips_core.index.records import INDEX_SCHEMA
from s2chips_core.sandbox.archive import DEMO_DAYS, DEMO_NOW
from s2chips_core.sandbox.server import serve
from s2chips_core.storage import LocalStorage
from tests.browser.conftest import PageLog

pytestmark = pytest.mark.browser

REPOSITORY = Path(__file__).parents[2]
ASSETS = (
    *("overpass_plan", "ais_snapshots", "scene_matches", "chips", "daily_geojson", "daily_report"),
    *("tiles_index", "dataset_report"),
)
DAY = DEMO_DAYS[0]
START_MOST_S = 90.0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """A day of the demo that has been run."""

    config: Path
    environment: dict[str, str]
    storage: LocalStorage


@pytest.fixture(scope="module")
def day(sandbox_archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Day:
    """Run by the command line: Dagster's event loop and playwright's do not go together in one process."""
    folder = tmp_path_factory.mktemp("ui")
    home = folder / "dagster"
    home.mkdir()
    shutil.copyfile(REPOSITORY / "dagster.yaml", home / "dagster.yaml")
    config = folder / "config.yaml"
    environment = {
        **os.environ,
        "DAGSTER_HOME": str(home),
        "S2CHIPS_CONFIG": str(config),
        "S2CHIPS_NOW": DEMO_NOW.isoformat(),
        "S2CHIPS_DATASET_ROOT": str(folder / "dataset"),
    }
    with serve(sandbox_archive, now=DEMO_NOW) as served:
        tree = yaml.safe_load((REPOSITORY / "config" / "demo.yaml").read_text())
        tree["stac"] = {**tree["stac"], "endpoint": served.stac_url, "allowed_hosts": [served.host]}
        config.write_text(yaml.safe_dump(tree))
        command = [sys.executable, "-m", "s2chips_dagster.cli", "run", "--date", str(DAY)]
        done = subprocess.run(
            command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=200, check=False
        )
    assert done.returncode == 0, done.stderr[-3000:]
    return Day(config=config, environment=environment, storage=LocalStorage(folder / "dataset"))


@contextlib.contextmanager
def webserver(day: Day) -> Iterator[str]:
    """The Dagster webserver of the checkout on a free loopback port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "dagster_webserver", "-w", "workspace.yaml", "-h", "127.0.0.1", "-p", str(port)]
    log = day.config.with_suffix(".webserver.log")
    with log.open("wb") as sink:
        process = subprocess.Popen(command, cwd=REPOSITORY, env=day.environment, stdout=sink, stderr=sink)
        try:
            wait_for(f"http://127.0.0.1:{port}/server_info", process, log)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)


def wait_for(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    until = time.monotonic() + START_MOST_S
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5):
            return
        time.sleep(0.5)
    pytest.fail(f"the webserver did not come up: {log.read_text()[-2000:]}")


def test_graph_metadata_and_contact_sheet(day: Day, page: Page, page_log: PageLog) -> None:
    with webserver(day) as url:
        page.set_default_timeout(60_000)
        page.set_viewport_size({"width": 1600, "height": 900})

        page.goto(f"{url}/asset-groups")
        for name in ASSETS:
            expect(page.get_by_text(name, exact=True).first).to_be_visible(timeout=60_000)

        page.goto(f"{url}/assets/chips?view=partitions&partition={DAY}")
        for told in ("contact_sheet", "chips_per_second", "requests", "bytes", "outcomes", "gate_cloud"):
            expect(page.get_by_text(told, exact=True).first).to_be_visible(timeout=60_000)
        page.get_by_text("[Show Markdown]").first.click()
        sheet = page.locator(f'img[alt="quicklooks of {DAY}"]')
        expect(sheet).to_be_visible()
        assert sheet.evaluate("image => image.naturalWidth") >= 600
        picture = np.asarray(Image.open(io.BytesIO(sheet.screenshot())).convert("L")).astype(float)
        assert picture.std() > 10, "the contact sheet is blank"
        assert 20 < picture.mean() < 235

        page.goto(f"{url}/assets/chips?view=checks")
        expect(page.get_by_text("outcomes_cover_targets").first).to_be_visible(timeout=60_000)
        page.goto("about:blank")  # before the server ends, or the page complains of it
    page_log.console_errors.clear()  # what Dagster's own scripts say is not ours to judge


def test_the_page_of_a_real_run(day: Day, page: Page) -> None:
    index = tables.read_table(day.storage, layout.tiles_index(), INDEX_SCHEMA)
    page.goto(Path(day.storage.url(layout.report(DAY))).as_uri())
    page.wait_for_load_state("load")
    widths = page.evaluate("Array.from(document.querySelectorAll('img')).map(i => [i.complete, i.naturalWidth])")
    assert len(widths) >= len(index)
    assert all(width > 0 for complete, width in widths if complete)
