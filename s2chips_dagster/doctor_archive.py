"""Whether an archive answers and its pixels can be read: the checks of `s2chips doctor` that ask one.

Here: `archive`, `pixels`, `s3 keys`, and the time by an archive's clock. Services are asked the way runs ask them, by the
same readers. Not here: the other checks (`doctor`), what is found (`findings`).
"""

import contextlib
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future
from datetime import datetime, timedelta
from typing import Any

from pystac_client.exceptions import APIError

from s2chips_core.chips.grid import Window
from s2chips_core.chips.reader import SceneReader
from s2chips_core.config import Settings
from s2chips_core.errors import ArchiveError, HostNotAllowedError, ReadError
from s2chips_core.fetch import without_query
from s2chips_core.overpasses.plan import watched_tiles
from s2chips_core.overpasses.tile_grid import tile_area
from s2chips_core.scenes.archives import open_fetcher
from s2chips_core.scenes.providers import provider_of
from s2chips_core.scenes.search import search_areas
from s2chips_core.scenes.search_pages import FOREIGN, CountingStacIO, open_client
from s2chips_core.scenes.sensing_time import read_beginning
from s2chips_core.sections import Stac
from s2chips_core.signing import ACCESS_KEY_VARIABLE, SECRET_KEY_VARIABLE, missing_keys
from s2chips_dagster.findings import Finding, failed, judge_archive, judge_clock, ok, read_clock, shorten, warning

CONNECT_S, ANSWER_S = 5.0, 6.0
RECENT = timedelta(days=15)
"""A satellite is back over a tile after 10 days, and its L2A comes 2 to 3 days later."""
OF_STORAGE = "look at what it names: the keys, stac.allowed_hosts, the network"
NO_ANSWER = (
    "look at the network (proxy, firewall, DNS) and at stac.endpoint; the archive itself may be down: try again later"
)


def check_s3_keys(environment: Mapping[str, str]) -> Finding:
    """Whether the files of cdse can be signed for; whether its keys are the right ones shows in `pixels`."""
    missing = missing_keys(environment)
    if missing:
        said = f"{' and '.join(missing)} not set, and stac.provider names cdse, whose files need S3 keys"
        remedy = "make keys at https://eodata-s3keysmanager.dataspace.copernicus.eu and put them in .env"
        return failed("s3 keys", said, remedy)
    return ok("s3 keys", f"{ACCESS_KEY_VARIABLE} and {SECRET_KEY_VARIABLE} are set")


def check_clock(stac: Stac, moved: str, machine_clock: Callable[[], datetime]) -> Finding:
    """This machine's clock against the date of the archive's answer, whatever else it answers.

    Args:
        stac: of one provider.
        moved: how the environment moves the clock that runs see; empty: it does not.
        machine_clock: aware UTC.
    """
    provider, _ = provider_of(stac)
    answers: list[Any] = []
    asker = _asker(retries=0)
    asker.session.hooks["response"].append(lambda response, *_, **__: answers.append((response, machine_clock())))
    with contextlib.closing(asker.session), contextlib.suppress(APIError, ArchiveError):
        asker.request(provider.endpoint)
    if not answers:
        return judge_clock(None, moved, "the archive did not answer")
    response, received = answers[-1]
    return judge_clock(read_clock(response.headers, received - response.elapsed, received), moved)


def check_archive(stac: Stac) -> Finding:
    """The landing page and the collection.

    Args:
        stac: of one provider.
    """
    provider, profile = provider_of(stac)
    shown = without_query(provider.endpoint)
    began = time.monotonic()
    asker = _asker()
    with contextlib.closing(asker.session):
        try:
            client = open_client(provider.endpoint, asker)
        except ArchiveError as error:
            return failed("archive", shorten(str(error)), NO_ANSWER)
        # Version 0 of Earth Search does not say that it has collections; its searches know them.
        asked = client.conforms_to("COLLECTIONS")
        remedy = "look at stac.collection; the archive itself may be disturbed: try again later"
        try:
            found = client.get_collection(profile.collection) if asked else None
        except FOREIGN as error:
            said = f"{shown} does not show the collection {profile.collection}: {shorten(str(error))}"
            return failed("archive", said, remedy)
    if asked and (found is None or found.id != profile.collection):
        return failed("archive", f"{shown} has no collection {profile.collection}", remedy)
    return judge_archive(shown, profile.collection if asked else None, time.monotonic() - began)


def check_pixels(settings: Settings, now: datetime) -> Finding:
    """The directory of one band of the newest scene of a watched tile.

    Args:
        settings: `stac` is of one provider.
        now: the newest scene is one of the `RECENT` days before; aware.
    """
    tile = watched_tiles(settings.satellite_tracking)[0]
    fetcher, asker = open_fetcher(settings.stac, retries=1, timeout_s=ANSWER_S), _asker()
    with contextlib.closing(fetcher), contextlib.closing(asker.session):
        try:
            found = search_areas(
                [tile_area(tile)],
                now - RECENT,
                now,
                settings=settings,
                now=now,
                tiles={tile},
                stac_io=asker,
                fetch_metadata=lambda href: read_beginning(href, fetcher),
            )
        except ArchiveError as error:
            # Either the service, or the storage behind it, where the scenes' own times are read.
            remedy = OF_STORAGE if isinstance(error.__cause__, ReadError) else NO_ANSWER
            return failed("pixels", shorten(str(error)), remedy)
        scenes = found.scenes
        if not scenes and found.skipped:
            said = f"no scene of {tile} can be used: {shorten(found.skipped[-1].reason)}"
            return failed("pixels", said, OF_STORAGE)
        if not scenes:
            said = f"the archive has no scene of {tile} from the last {RECENT.days} days to read"
            return warning(
                "pixels", said, "see whether satellite_tracking names tiles that Sentinel-2 images (not open ocean)"
            )
        scene = scenes[-1]
        band = next((band for band in settings.tiling.bands if band in scene.assets), None)
        if band is None:
            return failed("pixels", f"{scene.scene_id} lists none of the bands", "look at stac.provider and stac.collection")
        asset, began = scene.assets[band], time.monotonic()
        # A window beside the raster has no pixels to fetch: the directory alone is read.
        [read] = SceneReader(fetcher, _Here()).read_windows(asset, [Window(row_off=-2, col_off=-2, rows=1, cols=1)])
        seconds, size = time.monotonic() - began, fetcher.bytes
    if isinstance(read, HostNotAllowedError):
        return failed("pixels", str(read), f"add {read.host} to stac.allowed_hosts, if it is the archive's")
    if isinstance(read, ReadError):
        return failed("pixels", str(read), "look at the network (proxy, firewall); if it is one file only, try again later")
    return ok("pixels", f"{band} of {scene.scene_id} can be read; {size / 1024:.0f} KiB took {seconds:.1f} s")


class _Here(Executor):
    """Does the work in the thread that asks for it: a pool's threads would be waited for at the end of the program."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        """Done when it returns."""
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


def _asker(retries: int = 1) -> CountingStacIO:
    asker = CountingStacIO(retries=retries)
    asker.timeout = (CONNECT_S, ANSWER_S)
    return asker
