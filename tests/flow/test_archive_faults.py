"""Whole days against an archive that fails: the same chips bit for bit, or a read error that the next run takes again.

Every kind of fault at every share, for the catalogue's requests as for those of the pixels. The usual form mixes them; the
long form (`tests.reliability`) goes through all of them one by one and prints its figures.
"""

import contextlib
import dataclasses
import json
import random
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from benchmarks.workload import center_of, dense
from s2chips_core import layout, tables
from s2chips_core.ais.day import read_file
from s2chips_core.config import Settings, parse_settings
from s2chips_core.errors import ArchiveError
from s2chips_core.fetch import FetchStats
from s2chips_core.index.day import chip_day, write_day_tables
from s2chips_core.index.outcomes import OUTCOME_SCHEMA
from s2chips_core.index.records import INDEX_SCHEMA
from s2chips_core.index.tiles import build_tiles_index
from s2chips_core.sandbox.faults import Kind
from s2chips_core.sandbox.server import Served, serve
from s2chips_core.scenes.archives import open_fetcher
from s2chips_core.scenes.day import match_file
from s2chips_core.scenes.search import search_scenes
from s2chips_core.scenes.search_pages import CountingStacIO
from s2chips_core.storage import LocalStorage
from tests.archive_fixtures import Archives
from tests.reliability import often
from tests.scenes.samples import item
from tests.scenes.samples import settings as scene_settings
from tests.scenes.stac_rig import StacRig
from tests.scenes.stac_rig import serve as serve_rig
from tests.scenes.stand_ins import SENSED, World

SHIPS = often(40, 500)
NOW = datetime(2025, 10, 29, 12, tzinfo=UTC)
TIMEOUT_S, SLOW_S = 1.0, 1.5
"""Silence that the reader of pixels bears, and a silence that is longer."""
UNREAD = {"read_error", "missing_asset"}
Begin = Callable[[Served, float], object]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Rig:
    """A served archive, a file of ships on its scenes, and the day as it is without faults."""

    served: Served
    file: Path
    settings: Settings
    right: dict[str, bytes]
    outcomes: pd.Series
    requests: int
    seconds: float


@pytest.fixture(scope="module")
def rig(sandbox_archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    folder = tmp_path_factory.mktemp("faults")
    workload = dense(sandbox_archive, ships=SHIPS, scenes=3)
    scenes = workload.scenes()
    rows = []
    for number, place in enumerate(workload.ships):
        lon, lat = center_of(place, scenes[place.scene])
        rows.append(f"24466{number:04d},{lat:.6f},{lon:.6f},{scenes[place.scene].datetime.isoformat()}")
    file = folder / "ships.csv"
    file.write_text("\n".join(["mmsi,lat,lon,overpass_time", *rows]))
    with serve(sandbox_archive) as served:
        stac = {"endpoint": served.stac_url, "allowed_hosts": [served.host]}
        settings = parse_settings({"satellite_tracking": {"tiles": ["30STE"]}, "stac": stac}, "test")
        first = Rig(served=served, file=file, settings=settings, right={}, outcomes=pd.Series(), requests=0, seconds=0.0)
        began = time.monotonic()
        storage = LocalStorage(folder / "right")
        run_day(first, storage)
        seconds = time.monotonic() - began
        right = files_of(storage)
        outcomes = outcomes_of(storage)
        assert (outcomes == "chipped").sum() > SHIPS / 3
        assert outcomes.nunique() > 2, "some are refused, for more than one reason"
        requests = sum(served.counters.requests.values())
        yield dataclasses.replace(first, right=right, outcomes=outcomes, requests=requests, seconds=seconds)


def run_day(rig: Rig, storage: LocalStorage) -> FetchStats:
    """Every stage from a file to the index."""
    days = read_file(rig.file, storage=storage, now=NOW)
    match_file(days, settings=rig.settings, storage=storage, now=NOW)
    return cut_day(rig, storage, days.source_id, list(days.targets))


def cut_day(rig: Rig, storage: LocalStorage, source_id: str, days: list[date]) -> FetchStats:
    with contextlib.closing(open_fetcher(rig.settings.stac, timeout_s=TIMEOUT_S)) as fetcher:
        for day in days:
            chip_day(
                day,
                source_id,
                settings=rig.settings,
                storage=storage,
                fetcher=fetcher,
                clock=lambda: NOW,
                software_version="test",
            )
            write_day_tables(day, storage)
        build_tiles_index(storage)
        return fetcher.stats()


def files_of(storage: LocalStorage) -> dict[str, bytes]:
    """All that a dataset holds. The index is looked at as a table: its footer tells of files, other ones each time."""
    paths = [path for path in sorted(storage.root.rglob("*")) if path.is_file()]
    found = {path.relative_to(storage.root).as_posix(): path.read_bytes() for path in paths}
    found[layout.tiles_index()] = repr(tables.read_arrow(storage, layout.tiles_index(), INDEX_SCHEMA).to_pylist()).encode()
    return {key: data for key, data in found.items() if not key.startswith(".")}


def outcomes_of(storage: LocalStorage) -> pd.Series:
    keys = [key for key in storage.list("outcomes") if "/parts/" not in key]
    rows = pd.concat([tables.read_table(storage, key, OUTCOME_SCHEMA) for key in keys])
    return rows.set_index("target_id")["outcome"].sort_index()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """What a day with faults came to."""

    seconds: float
    requests: int
    faults: dict[str, int]
    retries: int
    unread: dict[str, int]
    searches_failed: int
    """Runs that ended because the catalogue could not be read to its end."""


def run_with_faults(rig: Rig, storage: LocalStorage, searches: int = 20) -> Cell:
    """A day, begun again as often as its search fails; then what it has to show."""
    rig.served.counters.reset()
    began = time.monotonic()
    failed = 0
    while True:
        try:
            stats = run_day(rig, storage)
            break
        except ArchiveError:
            failed += 1
            if failed == searches:
                raise
            assert not [*storage.list("matches"), *storage.list("outcomes")], "no half result"
    seconds = time.monotonic() - began
    outcomes = outcomes_of(storage)
    other = outcomes[outcomes != rig.outcomes]
    assert set(outcomes.index) == set(rig.outcomes.index)
    assert set(other) <= UNREAD
    wrong = {key: data for key, data in files_of(storage).items() if key.startswith("chips/") and data != rig.right.get(key)}
    assert list(wrong) == []
    assert len([key for key in storage.list("chips") if key.endswith(".tif")]) == int((outcomes == "chipped").sum())
    counters = rig.served.counters
    return Cell(
        seconds=seconds,
        requests=sum(counters.requests.values()),
        faults=dict(counters.by_fault),
        retries=stats.retries,
        unread=dict(Counter(other)),
        searches_failed=failed,
    )


def recover(rig: Rig, storage: LocalStorage) -> None:
    """The next run, without faults, ends as if there had been none."""
    rig.served.faults.clear()
    run_day(rig, storage)
    found = files_of(storage)
    assert sorted(found) == sorted(rig.right)
    assert [key for key in found if found[key] != rig.right[key]] == []


SHARES = (0.01, 0.1, 0.3)
KINDS: tuple[Kind, ...] = ("503", "429", "500", "reset", "short", "slow", "garbage", "damage")
CELLS = [(kind, share) for kind in (*KINDS, "404", "dns") for share in SHARES]
MIXED = ("mixed", 0.1)


def provoke(served: Served, kind: str, share: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on `share` of the requests, or of the look-ups of a host, fail."""
    if kind == "dns":
        fail_look_ups(share, monkeypatch)
    elif kind == "404":
        served.faults.fail("404", probability=share, match="/B03.tif")
    else:
        kinds: Any = KINDS if kind == "mixed" else (kind,)
        # Dice of their own, so that the few requests of the catalogue have their share. JSON in which one letter has become
        # another is still JSON: nobody can notice that.
        of_catalogue = [one for one in kinds if one != "damage"]
        if of_catalogue:
            served.faults.mix(of_catalogue, share, match="/v1", seed=1, delay_s=SLOW_S, retry_after_s=1)
        served.faults.mix(kinds, share, match="/data/", delay_s=SLOW_S, retry_after_s=1)


def fail_look_ups(share: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """The resolver of this machine knows no host any more, now and then."""
    dice, ask = random.Random(7), socket.getaddrinfo

    def getaddrinfo(*given: Any, **more: Any) -> Any:
        if dice.random() < share:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return ask(*given, **more)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


@pytest.mark.parametrize(("kind", "share"), often(1, 0) * [MIXED] + often(0, 1) * [MIXED, *CELLS])
def test_a_day_with_faults_is_the_day_without_or_says_what_it_could_not_read(
    kind: str, share: float, rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = LocalStorage(tmp_path / "dataset")
    with monkeypatch.context() as patch:
        provoke(rig.served, kind, share, patch)
        cell = run_with_faults(rig, storage)
    if often(0, 1):
        ratio = cell.seconds / rig.seconds
        print(f"| {kind} | {share:.0%} | {cell.seconds:.1f} ({ratio:.1f}x) | {cell.requests} ({rig.requests}) | ", end="")
        print(f"{sum(cell.faults.values())} | {cell.retries} | {cell.unread} | {cell.searches_failed} |")
    recover(rig, storage)


def _reset(page: dict[str, Any]) -> object:
    return ConnectionResetError


def _no_json(page: dict[str, Any]) -> object:
    return json.dumps(page)[:-40]


def _earlier_page(page: dict[str, Any]) -> None:
    page["links"][0]["body"]["next"] = 0


def _this_page(page: dict[str, Any]) -> None:
    page["links"][0]["body"]["next"] = 2


def _repeats(page: dict[str, Any]) -> None:
    page["features"] = [item(0), item(1), *page["features"]]


def _repeats_instead(page: dict[str, Any]) -> None:
    page["features"] = [page["features"][0], item(0)]


def _fewer(page: dict[str, Any]) -> None:
    page["features"] = page["features"][:1]


def _no_more(page: dict[str, Any]) -> None:
    page["links"] = []


@pytest.mark.parametrize("times", [1, 1000])
@pytest.mark.parametrize(
    ("breaks", "whole"),
    [
        (_reset, "once"),
        ("500", "once"),
        (_no_json, "once"),
        (_earlier_page, "never"),
        (_this_page, "never"),
        (_repeats, "always"),
        (_repeats_instead, "never"),
        (_fewer, "never"),
        (_no_more, "never"),
    ],
)
def test_pages_that_break_in_the_middle_give_all_or_fail(breaks: Any, whole: str, times: int) -> None:
    """The second of four pages, once or whenever it is asked for: seven scenes in all, or an error."""
    rig = StacRig([item(n) for n in range(7)])
    rig.page_size = 2
    left = [times]

    def change(page: dict[str, Any], number: int) -> object:
        if number != 2 or not left[0]:
            return None
        left[0] -= 1
        if breaks == "500":
            rig.fail = [500] * min(times, 9)
            return "broken off"
        return breaks(page)

    rig.change_page = change
    at = datetime(2025, 7, 31, 11, tzinfo=UTC)
    points = pd.DataFrame({"lon": [-5.0], "lat": [36.5], "time": pd.to_datetime([at])})

    def search() -> set[str]:
        found = search_scenes(
            points,
            settings=scene_settings(stac={"endpoint": rig.url}),
            now=NOW,
            cloud_cover_max=None,
            stac_io=CountingStacIO(retries=3, backoff_s=0.0),
        )
        return {scene.scene_id for scene in found.scenes}

    with serve_rig(rig):
        if whole == "always" or (whole == "once" and times == 1):
            assert len(search()) == 7
        else:
            with pytest.raises(ArchiveError):
                search()


@pytest.mark.parametrize("provider", ["planetary_computer", *often(0, 1) * ["cdse"]])
@pytest.mark.parametrize("share", often(1, 0) * [0.1] + often(0, 1) * list(SHARES))
def test_signatures_that_end_are_made_anew(
    provider: str, share: float, archives: Archives, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At `share` of the requests for pixels all signatures that were given out so far end."""
    monkeypatch.setattr("s2chips_core.signing.YOUNG", timedelta(0))
    ships = often(10, 100)
    rows = [f"24466{n:04d},{lat:.6f},{lon:.6f},{SENSED.isoformat()}" for n, (lon, lat) in enumerate(world.water(ships))]
    file = tmp_path / "ships.csv"
    file.write_text("\n".join(["mmsi,lat,lon,overpass_time", *rows]))
    stand_in: Any = getattr(archives, provider)
    rig = Rig(
        served=Served("", None),
        file=file,
        settings=archives.settings(provider),
        right={},
        outcomes=pd.Series(),
        requests=0,
        seconds=0.0,
    )
    began = time.monotonic()
    storage = LocalStorage(tmp_path / "right")
    run_day(rig, storage)
    seconds, requests = time.monotonic() - began, len(stand_in.asked)
    rig = dataclasses.replace(rig, right=files_of(storage), outcomes=outcomes_of(storage))
    assert (rig.outcomes == "chipped").all()
    stand_in.asked.clear()
    dice = random.Random(3)

    def end(path: str) -> None:
        if path.endswith((".tif", ".jp2")) and dice.random() < share:
            stand_in.revoke()

    stand_in.before_answer = end
    storage = LocalStorage(tmp_path / "dataset")
    cell = run_with_faults(rig, storage)
    refused = stand_in.count("", 403)
    assert refused or share < 0.1
    if often(0, 1):
        ratio = cell.seconds / seconds
        print(
            f"| {provider} | {share:.0%} | {cell.seconds:.1f} ({ratio:.1f}x) | {len(stand_in.asked)} ({requests}) | ", end=""
        )
        print(f"{refused} | {cell.retries} | {cell.unread} | {cell.searches_failed} |")
    stand_in.before_answer = lambda path: None
    recover(rig, storage)
