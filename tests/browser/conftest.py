"""A real browser for the tests of pages: Debian's Chromium, steered by playwright, cut off from every other host."""

import dataclasses
import os
import shutil
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Error, Page, Request, Route, WebSocket, sync_playwright

NO_BROWSER_VARIABLE = "S2CHIPS_NO_BROWSER"
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    # A second wall behind the counting of requests: no name but loopback resolves.
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1 , EXCLUDE localhost",
)


@dataclasses.dataclass(slots=True)
class PageLog:
    """What went wrong on a page."""

    console_errors: list[str] = dataclasses.field(default_factory=list)
    """`console.error`, refused loads and broken policies."""
    page_errors: list[str] = dataclasses.field(default_factory=list)
    """Exceptions that nobody caught."""
    foreign_requests: list[str] = dataclasses.field(default_factory=list)
    """Addresses on other hosts; they were stopped."""

    @property
    def problems(self) -> list[str]:
        """All of them, each with its kind."""
        kinds = (("console", self.console_errors), ("page", self.page_errors), ("foreign request", self.foreign_requests))
        return [f"{kind}: {text}" for kind, texts in kinds for text in texts]


def is_foreign(url: str) -> bool:
    """Whether `url` leaves this machine."""
    parts = urlsplit(url)
    return parts.scheme in ("http", "https", "ws", "wss", "ftp") and parts.hostname not in LOOPBACK


# Not of session scope: while playwright's sync API is open, an event loop runs in this thread, and tests of other folders
# that call `asyncio.run` would be refused. At package scope it is still started once for all pages.
@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Chromium, started once. Fails when it is not installed, unless S2CHIPS_NO_BROWSER=1 allows to skip."""
    if os.environ.get(NO_BROWSER_VARIABLE) == "1":
        pytest.skip(f"{NO_BROWSER_VARIABLE}=1: pages are not looked at")
    executable = shutil.which("chromium") or shutil.which("chromium-browser")
    if executable is None:
        pytest.fail(
            "Chromium is not installed: install Debian's package `chromium` (apt-get install chromium), "
            f"or set {NO_BROWSER_VARIABLE}=1 to go without looking at the pages"
        )
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=executable, args=list(ARGUMENTS), headless=True)
        try:
            yield chromium
        finally:
            chromium.close()


@pytest.fixture
def page_log() -> PageLog:
    """What `page` has seen go wrong so far; empty it to allow what a test provokes on purpose."""
    return PageLog()


@pytest.fixture
def page(browser: Browser, page_log: PageLog) -> Iterator[Page]:
    """An empty page, 1280 x 900. After the test, anything in `page_log` is a failure."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, timezone_id="Asia/Kolkata")
    context.set_default_timeout(15_000)

    def on_console(message: ConsoleMessage) -> None:
        if message.type == "error":
            page_log.console_errors.append(f"{message.text} ({message.location.get('url', '')})")

    def on_request(request: Request) -> None:
        if is_foreign(request.url):
            page_log.foreign_requests.append(request.url)

    def on_websocket(socket: WebSocket) -> None:
        if is_foreign(socket.url):
            page_log.foreign_requests.append(socket.url)

    def on_page_error(error: Error) -> None:
        page_log.page_errors.append(str(error))

    def stop(route: Route) -> None:
        route.abort("blockedbyclient")

    context.on("request", on_request)
    context.route(is_foreign, stop)
    opened = context.new_page()
    opened.on("console", on_console)
    opened.on("pageerror", on_page_error)
    opened.on("websocket", on_websocket)
    try:
        yield opened
    finally:
        context.close()
    assert not page_log.problems, "\n".join(page_log.problems)
