"""Windows recorded as they come: waiting, groups, what is missed, what was killed before."""

import threading
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from s2chips_core import layout, tables
from s2chips_core.ais import capture as capturing
from s2chips_core.ais import connection_limit, recording
from s2chips_core.ais.capture_record import MISSED, PARTIAL, RECORDED, read_records
from s2chips_core.ais.day import Recorded, record_day
from s2chips_core.ais.journal import JournalWriter, journals
from s2chips_core.ais.recording import record_windows
from s2chips_core.ais.snapshots import read_snapshots
from s2chips_core.ais.windows import CaptureGroup, Window
from s2chips_core.errors import CaptureError, StorageError
from s2chips_core.overpasses.plan import PLAN_SCHEMA
from s2chips_core.sandbox.ais_server import TEST_KEY, AisServed, serve_ais
from s2chips_core.storage import LocalStorage
from tests.ais.capture_rig import EAGER, TILE, fleet, meeting_folder, now, settings_of, wait_for, window

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[AisServed]:
    monkeypatch.setattr(connection_limit, "SPACING_S", 0.02)
    monkeypatch.setattr(recording, "CONNECT_EARLY", timedelta(seconds=0.5))
    with serve_ais(fleet(100), limits=EAGER) as served:
        yield served


def record(served: AisServed, storage: LocalStorage, *windows: Window, **given: object) -> list[str]:
    told: list[str] = []
    values: dict[str, object] = {
        "settings": settings_of(served.url),
        "storage": storage,
        "clock": now,
        "api_key": TEST_KEY,
        "stop": threading.Event(),
        "progress": told.append,
        "meeting_folder": meeting_folder(storage),
        **given,
    }
    record_windows(windows, **values)  # type: ignore[arg-type]
    return told


def test_each_group_is_waited_for_in_turn(served: AisServed, storage: LocalStorage) -> None:
    first, second = window(1.4, starts_s=1.0), window(2.5, starts_s=2.2)
    past = window(-1, starts_s=-3, tile="29SQV")
    told = record(served, storage, second, past, first)
    one, two = read_records(storage, first.day)
    assert (one.passes[0].window, two.passes[0].window) == (first, second)
    assert (one.passes[0].status, two.passes[0].status) == (RECORDED, RECORDED)
    assert len(served.subscriptions) == 2
    for asked, over in zip(served.subscriptions, (first, second), strict=True):
        assert over.start - timedelta(seconds=0.5) <= asked.at < over.start, "a little early, not more"
    waits = [text for text in told if text.startswith("next window opens at")]
    assert len(waits) == 2
    assert (
        f"{second.start:%H:%M:%S} UTC, 30STF, in 1 s" in waits[1]
        or f"{second.start:%H:%M:%S} UTC, 30STF, in 0 s" in waits[1]
    )


def test_a_group_that_fails_does_not_keep_the_next_from_being_recorded(served: AisServed, storage: LocalStorage) -> None:
    first, second = window(0.6), window(2.4, starts_s=1.8)
    served.faults.refuse()
    threading.Timer(1.0, served.faults.clear).start()
    told: list[str] = []
    with pytest.raises(CaptureError, match="HTTP 503"):
        record(served, storage, first, second, progress=told.append)
    one, two = read_records(storage, first.day)
    assert (one.passes[0].status, two.passes[0].status) == (MISSED, RECORDED)
    assert any("nothing recorded of 30STF" in text for text in told)


def test_a_window_that_opens_while_snapshots_are_written_is_recorded_whole(
    served: AisServed, storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish = capturing.finish_capture

    def finish_slowly(storage: LocalStorage, capture_id: str) -> capturing.Captured:
        time.sleep(1.2)
        return finish(storage, capture_id)

    monkeypatch.setattr(capturing, "finish_capture", finish_slowly)
    first, second = window(0.5), window(1.6, starts_s=0.8)
    record(served, storage, first, second)
    one, two = read_records(storage, first.day)
    assert (one.passes[0].status, two.passes[0].status) == (PARTIAL, RECORDED)


def test_a_fault_ends_the_recording_with_what_it_is(
    served: AisServed, storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise StorageError("ais/x", "no space")

    monkeypatch.setattr(capturing, "write_snapshots", fail)
    with pytest.raises(StorageError, match="no space"):
        record(served, storage, window(0.4))


def test_waiting_ends_when_it_is_asked_to(served: AisServed, storage: LocalStorage) -> None:
    stop = threading.Event()
    threading.Timer(0.3, stop.set).start()
    began = time.monotonic()
    told = record(served, storage, window(90_600, starts_s=90_000), stop=stop)
    assert time.monotonic() - began < 1.0
    assert told[0].endswith("in 25.0 h")
    assert served.counters.attempts == []
    assert storage.list("ais") == []


def test_a_clock_that_is_set_while_it_waits_is_followed(served: AisServed, storage: LocalStorage) -> None:
    began = now()
    ahead = timedelta()

    def clock() -> datetime:
        return now() + (timedelta(hours=2) if now() - began > timedelta(seconds=0.6) else ahead)

    over = window(7204.0, starts_s=7200.9)
    served.clock = clock
    record(served, storage, over, clock=clock)
    [found] = read_records(storage, over.day)
    assert found.passes[0].covered_s > 0


def test_a_capture_that_was_killed_is_finished_first(served: AisServed, storage: LocalStorage) -> None:
    over = window(-60, starts_s=-600)
    header = {
        "ais_source": "aisstream",
        "url": served.url,
        "started_at": over.start.isoformat(),
        "windows": [over.to_dict()],
    }
    JournalWriter(storage, "killed", header)
    record(served, storage, over)
    assert journals(storage) == []
    [found] = read_records(storage, over.day)
    assert (found.capture_id, found.ended, found.passes[0].status) == ("killed", "recovered", MISSED)
    assert served.counters.attempts == []


@pytest.mark.parametrize("with_group", [False, True])
def test_a_day_is_recorded(served: AisServed, storage: LocalStorage, tmp_path: Path, with_group: bool) -> None:
    # Longer than a second: a position's time is a whole one.
    over, other = window(2.4, starts_s=1.0), window(2.5, starts_s=1.1, tile="32VPH")
    past = window(-1, starts_s=-3, tile="29SQV")
    day = over.day
    if not with_group:
        tables.write_table(storage, layout.plan(day), _plan([past, over, other]), PLAN_SCHEMA)
    recorded: Recorded = record_day(
        day,
        settings=settings_of(served.url),
        storage=storage,
        clock=now,
        api_key=TEST_KEY,
        group=CaptureGroup(windows=(over,)) if with_group else None,
        stop=threading.Event(),
        progress=lambda text: None,
        meeting_folder=tmp_path / "meeting",
    )
    fixes = read_snapshots(storage, day)
    assert (recorded.ais_source, recorded.fixes, recorded.ships) == ("aisstream", len(fixes), fixes["mmsi"].nunique())
    assert recorded.ships > 5
    assert set(recorded.keys) == {layout.ais_snapshot(day, TILE, suffix) for suffix in ("parquet", "xlsx")}
    assert [(one.window.tile_id, one.status) for one in recorded.passes] == (
        [(TILE, RECORDED)] if with_group else [(TILE, RECORDED), ("32VPH", RECORDED)]
    )
    assert recorded.missed == (() if with_group else (past,))
    assert storage.exists(layout.dataset_note())


def _plan(windows: list[Window]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "tile_id": [one.tile_id for one in windows],
            "satellite": [one.satellite for one in windows],
            "overpass_time": pd.to_datetime([one.overpass_time for one in windows], utc=True).as_unit("ms"),
            "window_start": pd.to_datetime([one.start for one in windows], utc=True).as_unit("ms"),
            "window_end": pd.to_datetime([one.end for one in windows], utc=True).as_unit("ms"),
            "time_sigma_s": 1.0,
            "imaging": "unknown",
            "source": "tle",
        }
    )


def test_processes_meet_in_the_cache_folder_unless_told_otherwise(
    served: AisServed, storage: LocalStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    record(served, storage, window(0.6), meeting_folder=None)
    assert list((tmp_path / "cache" / "s2chips" / "connections").iterdir())
    wait_for(lambda: served.counters.open == 0)
