"""The door to the STAC service: scenes around points and over areas.

Earth Search ignores CQL2 `filter`, so cloud is asked for with `query` and checked again here. Where the service takes
`fields`, items come without what nobody reads. A few searches are under way at once; what is found does not depend on which
ends first, and one that fails fails all. Not here: which searches to make (`search_plan`), their pages (`search_pages`), the
fields (`item_fields`), reading items (`items`).
"""

import contextlib
import dataclasses
import itertools
import logging
import threading
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
from pystac_client import Client

from s2chips_core.config import Settings
from s2chips_core.errors import ArchiveError, InputError, ReadError
from s2chips_core.fetch import Fetcher
from s2chips_core.overpasses.tile_grid import Area
from s2chips_core.scenes.candidates import SHIP_SPEED_M_S
from s2chips_core.scenes.item_fields import is_cut_short, item_fields
from s2chips_core.scenes.items import ID_MOST_CHARS, parse_item
from s2chips_core.scenes.providers import CollectionProfile, Provider, provider_of
from s2chips_core.scenes.scene import Scene
from s2chips_core.scenes.search_pages import CountingStacIO, open_client, read_pages
from s2chips_core.scenes.search_plan import MOST_BOXES, PlannedSearch, plan_searches, union_geometry
from s2chips_core.scenes.sensing_time import LONGEST_DATATAKE, Refused, resolve_sensing_times

AT_ONCE = 6
"""Searches under way at once. Half of what urllib3 keeps open to one host."""
PAGE_MOST_ITEMS = 1000
"""The most that Planetary Computer and CDSE take for `limit`."""
PAGE_MOST_BYTES = 4_000_000
"""A page of more than 6 MB is refused by the Lambda of Earth Search; items differ in size by a third."""
FEW_ITEMS = 20
"""Fewer do not tell how large items are."""

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SearchResult:
    """What a search found."""

    scenes: list[Scene]
    """Each once, sorted by time and id; every one knows its tile's own time."""
    requests: int
    """Sent to the STAC service; those that were repeated after a failure count once."""
    bytes: int
    """Of its answers, unpacked."""
    skipped: list[Refused]
    """Items that are not used, with the reason."""


def search_scenes(
    points: pd.DataFrame,
    *,
    settings: Settings,
    now: datetime,
    cloud_cover_max: float | None,
    cloud_cover_above: float | None = None,
    progress: Callable[[object], None] | None = None,
    stac_io: CountingStacIO | None = None,
    fetch_metadata: Callable[[str], bytes] | None = None,
) -> SearchResult:
    """Every scene within `stac.search_window_hours` of any of the points.

    Args:
        points: `lon`, `lat` (degrees) and `time` (UTC); a row that lacks one is not searched for.
        settings: `stac` names the archive; `ais` says how far a ship may have gone since it reported.
        now: nothing is looked for later than this.
        cloud_cover_max: percent; none: whatever the cloud.
        cloud_cover_above: only scenes with more cloud than this, percent.
        progress: told what has been asked, one line a search.
        stac_io: how to ask, if not with the defaults.
        fetch_metadata: how to get granule metadata where items tell only the datatake's start, if not from
            `stac.allowed_hosts`.

    Raises:
        ArchiveError: the service did not answer a search to its end, or did not give a file with a scene's sensing time.
        ConfigError: the provider has no such collection.
    """
    archive = _Archive(settings, stac_io, progress, _Cloud(most=cloud_cover_max, above=cloud_cover_above))
    window_s = settings.stac.search_window_hours * 3600.0
    whole = points.dropna(subset=["lon", "lat", "time"])
    planned = plan_searches(
        whole["lon"].to_numpy(np.float64),
        whole["lat"].to_numpy(np.float64),
        whole["time"].dt.tz_convert("UTC").dt.tz_localize(None).to_numpy("datetime64[ms]"),
        before_s=window_s + archive.lead_s,
        after_s=window_s,
        margin_m=SHIP_SPEED_M_S * min(settings.ais.max_gap_min, settings.stac.max_dt_min) * 60.0,
        latest=_utc64(now),
    )
    archive.run(planned)
    return archive.result(fetch_metadata)


def search_areas(
    areas: Sequence[Area],
    start: datetime,
    end: datetime,
    *,
    settings: Settings,
    now: datetime,
    tiles: Collection[str] | None = None,
    cloud_cover_max: float | None = None,
    progress: Callable[[object], None] | None = None,
    stac_io: CountingStacIO | None = None,
    fetch_metadata: Callable[[str], bytes] | None = None,
) -> SearchResult:
    """Every scene that touches any of the boxes and was sensed from `start` until before `end`.

    Args:
        areas: west, south, east, north, degrees; `west` > `east` crosses the antimeridian.
        start, end: aware UTC.
        settings, now, cloud_cover_max, progress, stac_io, fetch_metadata: as for `search_scenes`.
        tiles: keep scenes of these MGRS tiles only (two-digit zone, as in 05VNK); none: all.

    Raises:
        ArchiveError, ConfigError: as `search_scenes`.
    """
    archive = _Archive(settings, stac_io, progress, _Cloud(most=cloud_cover_max))
    latest = min(end, now)
    first = start - timedelta(seconds=archive.lead_s)
    if first <= latest:
        chunks = [areas[i : i + MOST_BOXES] for i in range(0, len(areas), MOST_BOXES)]
        searches = [
            PlannedSearch(intersects=union_geometry(c), boxes=len(c), start=_utc64(first), end=_utc64(latest))
            for c in chunks
        ]
        archive.run(searches)
    found = archive.result(fetch_metadata, tiles)
    return dataclasses.replace(found, scenes=[s for s in found.scenes if start <= s.datetime < end])


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Cloud:
    """How much cloud, percent; none: no limit."""

    most: float | None
    above: float | None = None

    @property
    def query(self) -> dict[str, Any]:
        """For the query extension; empty without a limit."""
        limits = {"lte": self.most, "gt": self.above}
        asked = {operator: limit for operator, limit in limits.items() if limit is not None}
        return {"eo:cloud_cover": asked} if asked else {}

    def allows(self, percent: float) -> bool:
        """Whether a scene of this much is wanted."""
        return (self.most is None or percent <= self.most) and (self.above is None or percent > self.above)


class _Archive:
    """One search in the making: its client, and the items so far."""

    def __init__(
        self,
        settings: Settings,
        stac_io: CountingStacIO | None,
        progress: Callable[[object], None] | None,
        cloud: _Cloud,
    ) -> None:
        self.settings = settings
        self.provider, self.profile = provider_of(settings.stac)
        self.stac_io = CountingStacIO() if stac_io is None else stac_io
        self._before = (self.stac_io.requests, self.stac_io.bytes)
        self._progress = progress
        self._cloud = cloud
        self._limit = self.provider.page_limit
        self._items: dict[str, dict[str, Any]] = {}

    @property
    def lead_s(self) -> float:
        """How much earlier than the tile's time an item's `datetime` can be, seconds."""
        return LONGEST_DATATAKE.total_seconds() if self.profile.datetime_is == "datatake_start" else 0.0

    def run(self, planned: Sequence[PlannedSearch]) -> None:
        """Ask every search, some at once; keep each item once. The first that fails ends all."""
        if not planned:
            return
        client = open_client(self.provider.endpoint, self.stac_io)
        found: dict[int, list[dict[str, Any]]] = {}
        stop = threading.Event()

        def keep(number: int, items: list[dict[str, Any]]) -> None:
            found[number] = items
            if self._progress is not None:
                ids = {str(item["id"]) for each in found.values() for item in each}
                self._progress(f"search {len(found)} of {len(planned)}: {len(ids)} scenes so far")

        # The largest alone: it tells how many items go into a page.
        first, *others = sorted(range(len(planned)), key=lambda n: (-planned[n].boxes, n))
        bytes_before = self.stac_io.bytes
        items = self._search(client, planned[first], stop)
        self._limit = _page_limit(self.provider, len(items), self.stac_io.bytes - bytes_before)
        keep(first, items)
        pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="search")
        asked = {pool.submit(self._search, client, planned[number], stop): number for number in others}
        try:
            for future in as_completed(asked):
                keep(asked[future], future.result())
        finally:
            # Whoever gives up does not wait for requests that hang: they end by themselves, and nobody reads them.
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
        for number in range(len(planned)):
            self._items |= {str(item["id"]): item for item in found[number]}

    def result(self, fetch_metadata: Callable[[str], bytes] | None, tiles: Collection[str] | None = None) -> SearchResult:
        """Read the items, check cloud and tile again, and give every scene its own sensing time."""
        scenes, skipped = parse_items(self._items.values(), self.provider, self.profile)
        scenes = [scene for scene in scenes if self._cloud.allows(scene.cloud_cover)]
        scenes = [scene for scene in scenes if tiles is None or scene.mgrs_tile in tiles]
        if any(scene.datetime_is != "tile" for scene in scenes):
            fetcher = Fetcher(self.settings.stac.allowed_hosts)
            with contextlib.closing(fetcher):
                try:
                    scenes, refused = resolve_sensing_times(scenes, fetch_metadata or fetcher.get)
                except ReadError as error:
                    problem = f"the sensing time of a scene cannot be read: {error}"
                    raise ArchiveError(self.provider.endpoint, problem) from error
            skipped += refused
        for refused_item in skipped:
            _log.warning("item %s is not used: %s", refused_item.item_id, refused_item.reason)
        requests, read = self.stac_io.requests - self._before[0], self.stac_io.bytes - self._before[1]
        _log.info("%d scenes, %d items skipped, %d requests, %d bytes", len(scenes), len(skipped), requests, read)
        scenes.sort(key=lambda scene: (scene.datetime, scene.scene_id))
        return SearchResult(scenes=scenes, requests=requests, bytes=read, skipped=skipped)

    def _search(self, client: Client, search: PlannedSearch, stop: threading.Event) -> list[dict[str, Any]]:
        """The items of one search; as whole ones where the service cuts too much off."""
        fields = item_fields(self.profile) if client.conforms_to("FIELDS") else None
        items = self._ask(client, search, stop, fields)
        if fields is not None and any(is_cut_short(item) for item in items):
            _log.info("%s leaves out what was asked for: it is asked for whole items", self.provider.endpoint)
            items = self._ask(client, search, stop, None)
        return items

    def _ask(
        self, client: Client, search: PlannedSearch, stop: threading.Event, fields: list[str] | None
    ) -> list[dict[str, Any]]:
        asked: dict[str, Any] = {}
        if self._cloud.query and client.conforms_to("QUERY"):
            asked["query"] = self._cloud.query
        if fields is not None:
            asked["fields"] = {"include": fields}
        found = client.search(
            collections=[self.profile.collection],
            intersects=search.intersects,
            datetime=f"{_rfc3339(search.start)}/{_rfc3339(search.end)}",
            limit=self._limit,
            **asked,
        )
        pages = self.stac_io.get_pages(found.url, "POST", found.get_parameters())
        return list(itertools.takewhile(lambda _: not stop.is_set(), read_pages(self.provider.endpoint, pages)))


def _page_limit(provider: Provider, items: int, size: int) -> int:
    """How many items to ask for at once, after so many took `size` bytes: never fewer than the provider's own number."""
    if items < FEW_ITEMS:
        return provider.page_limit
    return max(provider.page_limit, min(PAGE_MOST_ITEMS, PAGE_MOST_BYTES * items // size))


def parse_items(
    items: Collection[dict[str, Any]], provider: Provider, profile: CollectionProfile
) -> tuple[list[Scene], list[Refused]]:
    """Read items; those that cannot be scenes are returned with the reason."""
    scenes, skipped = [], []
    for item in items:
        try:
            scenes.append(parse_item(item, provider, profile))
        except InputError as error:
            skipped.append(Refused(item_id=_shown_id(item.get("id")), reason=str(error)))
    return scenes, skipped


def _shown_id(item_id: object) -> str:
    """Of an item that is not used: it may have any id."""
    text = str(item_id) if isinstance(item_id, str | int) else type(item_id).__name__
    return text[:ID_MOST_CHARS].encode("utf-8", errors="backslashreplace").decode("utf-8")


def _utc64(when: datetime) -> np.datetime64:
    return np.datetime64(when.astimezone(UTC).replace(tzinfo=None), "ms")


def _rfc3339(when: np.datetime64) -> str:
    return f"{np.datetime_as_string(when, unit='ms')}Z"
