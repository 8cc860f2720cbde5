"""Pending ships and what the archive has for them by now, against the embedded archive on loopback."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from s2chips_core import layout, tables
from s2chips_core.ais.day import record_synthetic
from s2chips_core.config import Settings, parse_settings
from s2chips_core.errors import ArchiveError
from s2chips_core.overpasses.plan import PLAN_SCHEMA
from s2chips_core.sandbox.archive import DEMO_DAYS, DEMO_NOW, DEMO_TILES
from s2chips_core.sandbox.passes import PASSES, sensing_time
from s2chips_core.sandbox.server import Served, serve
from s2chips_core.scenes.day import match_capture
from s2chips_core.scenes.late import days_to_look_at, find_late_scenes, in_turn, pending_targets
from s2chips_core.scenes.matches import MATCH_SCHEMA, MatchStatus
from s2chips_core.storage import LocalStorage
from tests.datasets import Datasets, copy

DAY = DEMO_DAYS[1]
[PASS] = [each for each in PASSES if each.day == DAY]
LATER = datetime(2025, 10, 30, 12, tzinfo=UTC)
"""By then the scene that was late is published."""


@pytest.fixture(scope="module")
def served(sandbox_archive: Path) -> Iterator[Served]:
    """The archive, whose time may be set."""
    with serve(sandbox_archive, now=DEMO_NOW) as served:
        yield served


@pytest.fixture
def archive(served: Served) -> Iterator[Served]:
    """The archive as it was two days after the pass."""
    yield served
    served.now = DEMO_NOW
    served.faults.clear()


@pytest.fixture(scope="module")
def settings(served: Served) -> Settings:
    return parse_settings(
        {
            "satellite_tracking": {"tiles": list(DEMO_TILES), "satellites": [PASS.platform]},
            "ais": {"source": "synthetic", "synthetic_ships_per_tile": 30, "synthetic_seed": 20251027},
            "stac": {"endpoint": served.stac_url, "allowed_hosts": [served.host]},
        },
        "test",
    )


@pytest.fixture(scope="module")
def matched_once(settings: Settings, datasets: Datasets, tmp_path_factory: pytest.TempPathFactory) -> LocalStorage:
    """The day recorded and matched: some ships are pending."""
    storage = datasets.at(tmp_path_factory.mktemp("matched"))
    times = pd.to_datetime([sensing_time(PASS, tile) for tile in DEMO_TILES], utc=True)
    plan = pd.DataFrame(
        {
            "tile_id": list(DEMO_TILES),
            "satellite": PASS.platform,
            "overpass_time": times,
            "window_start": times - pd.Timedelta(minutes=5),
            "window_end": times + pd.Timedelta(minutes=5),
            "time_sigma_s": 0.0,
            "imaging": "planned",
            "source": "tle",
        }
    )
    plan = tables.to_frame(tables.conform(plan, PLAN_SCHEMA, "plan"))
    record_synthetic(plan, DAY, settings=settings, storage=storage)
    match_capture(DAY, settings=settings, storage=storage, now=DEMO_NOW)
    return storage


@pytest.fixture
def matched(matched_once: LocalStorage, storage: LocalStorage, settings: Settings) -> Settings:
    """A copy of that day in `storage`."""
    copy(matched_once, storage)
    return settings


def statuses(storage: LocalStorage) -> pd.Series:
    matches = tables.read_table(storage, layout.matches_part(DAY, layout.CAPTURE), MATCH_SCHEMA)
    return matches.set_index("target_id")["status"]


def test_pending_ships_are_those_of_the_capture_that_matching_left(storage: LocalStorage, matched: Settings) -> None:
    pending = pending_targets(storage, DAY)
    found = statuses(storage)
    assert sorted(pending["target_id"]) == sorted(found.index[found == MatchStatus.PENDING_L2A])
    assert 0 < len(pending) < len(found)
    assert pending_targets(storage, DEMO_DAYS[0]).empty


def test_nothing_new_changes_nothing(archive: Served, storage: LocalStorage, matched: Settings) -> None:
    archive.counters.reset()
    pending = pending_targets(storage, DAY)
    before = {key: storage.get(key) for key in storage.list("matches")}
    late = find_late_scenes(DAY, pending, settings=matched, storage=storage, now=DEMO_NOW)
    assert (late.pending, dict(late.changed)) == (len(pending), {})
    assert late.requests == archive.counters.requests["stac"] <= 10
    assert {key: storage.get(key) for key in storage.list("matches")} == before


def test_a_late_scene_is_what_matching_all_would_find(archive: Served, storage: LocalStorage, matched: Settings) -> None:
    archive.now = LATER
    pending = pending_targets(storage, DAY)
    late = find_late_scenes(DAY, pending, settings=matched, storage=storage, now=LATER)
    assert {said.split(" ")[0] for said in late.changed.values()} == {"matched"}
    assert all("30SUE_20251027" in said for said in late.changed.values()), "that scene was late"
    match_capture(DAY, settings=matched, storage=storage, now=LATER)
    again = statuses(storage)
    assert {target: said.split(" ")[0] for target, said in late.changed.items()} == {
        target: again[target] for target in pending["target_id"] if again[target] != MatchStatus.PENDING_L2A
    }
    assert 0 < len(late.changed) < late.pending, "ships beside the swath stay pending"


def test_given_up_ships_are_a_change_too(archive: Served, storage: LocalStorage, matched: Settings) -> None:
    given_up = DEMO_NOW + timedelta(days=matched.scheduling.give_up_days)
    late = find_late_scenes(DAY, pending_targets(storage, DAY), settings=matched, storage=storage, now=given_up)
    assert set(late.changed.values()) == {"no_scene"}
    assert len(late.changed) == late.pending


def test_the_key_tells_what_has_changed(archive: Served, storage: LocalStorage, matched: Settings) -> None:
    pending = pending_targets(storage, DAY)

    def ask(now: datetime) -> str:
        return find_late_scenes(DAY, pending, settings=matched, storage=storage, now=now).key

    nothing = ask(DEMO_NOW)
    archive.now = LATER
    news = ask(LATER)
    assert news == ask(LATER + timedelta(minutes=15)) != nothing
    assert news != ask(LATER + timedelta(days=30))


def test_an_archive_that_is_down_is_an_archive_error(archive: Served, storage: LocalStorage, matched: Settings) -> None:
    archive.faults.fail("404", match="/v1")
    with pytest.raises(ArchiveError):
        find_late_scenes(DAY, pending_targets(storage, DAY), settings=matched, storage=storage, now=DEMO_NOW)


def test_whoever_no_longer_waits_ends_the_search(archive: Served, storage: LocalStorage, matched: Settings) -> None:
    def nobody_waits(_: object) -> None:
        raise ArchiveError("archive", "nobody waits")

    with pytest.raises(ArchiveError, match="nobody waits"):
        find_late_scenes(
            DAY, pending_targets(storage, DAY), settings=matched, storage=storage, now=DEMO_NOW, progress=nobody_waits
        )


def test_days_are_looked_at_until_after_they_are_given_up() -> None:
    days = days_to_look_at(date(2025, 10, 29), give_up_days=14)
    assert days[-1] == date(2025, 10, 29)
    # Ships are given up at 14 days, and so they are when nothing ran for the fortnight after that.
    assert days[0] == date(2025, 10, 1)
    assert days == sorted(set(days))


def test_each_day_has_its_turn() -> None:
    days = [date(2025, 10, n) for n in (3, 7, 9)]
    assert in_turn(days, None) == days
    assert in_turn(days, days[0]) == [days[1], days[2], days[0]]
    assert in_turn(days, days[2]) == days
    assert in_turn(days, date(2025, 10, 5)) == [days[1], days[2], days[0]], "a day that is no longer one of them"
    assert in_turn([], days[0]) == []
    last, asked = None, []
    for _ in range(6):
        last = in_turn(days, last)[0]
        asked.append(last)
    assert asked == days * 2
