"""Captures by Dagster against the AIS server on loopback: what is kept, shown and marked, and how they are stopped."""

import json
import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest
import yaml

from s2chips_core import layout, tables
from s2chips_core.ais.capture_record import MISSED, PARTIAL, RECORDED, CaptureRecord, Gap, PassRecord, read_records
from s2chips_core.ais.snapshots import read_snapshots
from s2chips_core.ais.windows import Window
from s2chips_core.overpasses.plan import PLAN_SCHEMA
from s2chips_core.sandbox.ais_limits import Limits
from s2chips_core.sandbox.ais_server import TEST_KEY, AisServed, serve_ais
from s2chips_core.storage import LocalStorage
from s2chips_dagster import past_runs
from s2chips_dagster.captures import journals_left, pass_rows, until_interrupted
from s2chips_dagster.definitions import build_definitions
from s2chips_dagster.run_config import KEY_VARIABLE, RECOVERY_RUN_CONFIG, capture_run_config
from tests.ais.capture_rig import HASTY, TILE, fleet, now, window
from tests.dagster.test_sensors import leave_journal

STOP_MOST_S = 5.0


class Rig:
    """`capture_ais` on a dataset of its own, with the machine's clock."""

    def __init__(self, folder: Path, url: str, instance: dg.DagsterInstance, **ais: Any) -> None:
        self.storage, self.instance = LocalStorage(folder / "dataset"), instance
        tree = {
            "satellite_tracking": {"source": "tle", "tiles": [TILE]},
            "ais": {"source": "aisstream", "url": url, **HASTY, **ais},
            "storage": {"dataset_root": str(self.storage.root)},
        }
        self.config = folder / "config.yaml"
        self.config.write_text(yaml.safe_dump(tree))
        self.job = build_definitions(self.config).resolve_job_def("capture_ais")

    def plan(self, *windows: Window) -> None:
        """The plan of today."""
        rows = pd.DataFrame(
            {
                "tile_id": [one.tile_id for one in windows],
                "satellite": [one.satellite for one in windows],
                "overpass_time": [one.overpass_time for one in windows],
                "window_start": [one.start for one in windows],
                "window_end": [one.end for one in windows],
                "time_sigma_s": 1.0,
                "imaging": "planned",
                "source": "tle",
            }
        )
        tables.write_table(self.storage, layout.plan(windows[0].day), rows, PLAN_SCHEMA)

    def run(self, run_config: Mapping[str, Any] | None = None) -> dg.ExecuteInProcessResult:
        """One run of today's partition."""
        return self.job.execute_in_process(
            run_config=run_config, partition_key=now().date().isoformat(), instance=self.instance, raise_on_error=False
        )

    def shown(self, result: dg.ExecuteInProcessResult) -> dict[str | None, dict[str, Any]]:
        """Partition -> what its materialisation shows."""
        return {
            event.partition: {name: value.value for name, value in event.materialization.metadata.items()}
            for event in result.get_asset_materialization_events()
        }


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture
def served() -> Iterator[AisServed]:
    with serve_ais(fleet(100.0), limits=Limits(min_interval_s=0.0)) as served:
        yield served


@pytest.fixture
def rig(served: AisServed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, instance: dg.DagsterInstance) -> Rig:
    monkeypatch.setenv(KEY_VARIABLE, TEST_KEY)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Rig(tmp_path, served.url, instance)


def warnings_of(capfd: pytest.CaptureFixture[str]) -> list[str]:
    return [line for line in capfd.readouterr().err.splitlines() if " - WARNING - " in line]


def test_a_run_records_the_windows_that_it_is_given(rig: Rig, capfd: pytest.CaptureFixture[str]) -> None:
    mine, other = window(3.0, starts_s=1.5), window(-20.0, starts_s=-40.0, tile="30SUE")
    rig.plan(mine, other)
    result = rig.run(capture_run_config([mine]))
    assert result.success
    shown = rig.shown(result)[mine.day.isoformat()]
    fixes = read_snapshots(rig.storage, mine.day)
    assert (shown["ais_source"], shown["fixes"], shown["ships"]) == ("aisstream", len(fixes), fixes["mmsi"].nunique())
    assert shown["ships"] > 5
    # The plan's other window is shown too, though it was no task of this run.
    assert (shown["recorded"], shown["partial"], shown["missed"]) == (1, 0, 1)
    rows = [record.data for record in shown["passes"].records]
    assert [(row["tile_id"], row["status"]) for row in rows] == [("30SUE", "missed"), (TILE, "recorded")]
    assert rows[1]["fixes"] == str(len(fixes))
    assert float(rows[1]["covered_s"]) == pytest.approx(1.5, abs=0.01)
    assert shown["seconds"] >= 1.5
    assert shown["lost"] == 0
    assert shown["captures"] == 1
    assert Path(shown["path"]).is_dir()
    assert all(Path(url).is_file() for url in shown["snapshots"])
    assert warnings_of(capfd) == []


def test_a_run_by_hand_records_what_is_left_of_the_day_and_warns_of_what_is_not(
    rig: Rig, capfd: pytest.CaptureFixture[str]
) -> None:
    late, gone = window(1.5), window(-20.0, starts_s=-40.0, tile="30SUE")
    rig.plan(late, gone)
    result = rig.run()
    shown = rig.shown(result)[late.day.isoformat()]
    assert (shown["recorded"], shown["partial"], shown["missed"]) == (0, 1, 1)
    assert "late start" in [record.data for record in shown["passes"].records][1]["gaps"]
    [warning] = warnings_of(capfd)
    assert "missed: S2C over 30SUE" in warning


def test_the_key_is_nowhere_but_in_the_environment(rig: Rig, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    mine = window(1.0)
    rig.plan(mine)
    result = rig.run()
    assert result.success
    assert TEST_KEY not in json.dumps([str(entry) for entry in rig.instance.all_logs(result.run_id)])
    run = rig.instance.get_run_by_id(result.run_id)
    assert run is not None
    assert TEST_KEY not in json.dumps([run.run_config, run.tags])
    out, err = capfd.readouterr()
    assert TEST_KEY not in out + err
    assert not [file for file in tmp_path.rglob("*") if file.is_file() and TEST_KEY.encode() in file.read_bytes()]


@pytest.mark.parametrize("key", [None, "another-key"])
def test_a_refused_key_marks_the_run_so_that_nobody_tries_again(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, key: str | None, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(KEY_VARIABLE) if key is None else monkeypatch.setenv(KEY_VARIABLE, key)
    mine = window(5.0)
    rig.plan(mine)
    result = rig.run(capture_run_config([mine]))
    assert not result.success
    run = rig.instance.get_run_by_id(result.run_id)
    assert run is not None
    assert run.tags[past_runs.KEY_TAG] == past_runs.REFUSED
    assert "AisKeyError" in capfd.readouterr().err


def test_other_failures_do_not_mark_it(rig: Rig) -> None:
    result = rig.run()  # there is no plan
    assert not result.success
    run = rig.instance.get_run_by_id(result.run_id)
    assert run is not None
    assert past_runs.KEY_TAG not in run.tags


def test_a_group_over_two_days_is_shown_for_both(rig: Rig) -> None:
    """As a run that begins before midnight has it: its partition is today, a pass is of tomorrow."""
    mine = window(1.5)
    tomorrow = mine.end + timedelta(days=1)
    of_tomorrow = Window(tile_id="30SUE", satellite="S2C", overpass_time=tomorrow, start=mine.start, end=mine.end)
    result = rig.run(capture_run_config([mine, of_tomorrow]))
    shown = rig.shown(result)
    assert set(shown) == {mine.day.isoformat(), of_tomorrow.day.isoformat()}
    assert [record.data["tile_id"] for record in shown[mine.day.isoformat()]["passes"].records] == [TILE]
    assert [record.data["tile_id"] for record in shown[of_tomorrow.day.isoformat()]["passes"].records] == ["30SUE"]


def test_a_killed_capture_is_finished_by_the_next_and_its_day_shown(rig: Rig) -> None:
    long_ago = window(-5.0)
    old = Window(
        tile_id=TILE,
        satellite="S2C",
        overpass_time=long_ago.start - timedelta(days=3),
        start=long_ago.start - timedelta(days=3),
        end=long_ago.end - timedelta(days=3),
    )
    leave_journal(rig.storage, "20251027T105922-00000000-abcdef", old)
    [left] = journals_left(rig.storage)
    assert (left.windows, left.held) == ((old,), False)
    with rig.storage.lock("capture-20251027T105922-00000000-abcdef"):
        [left] = journals_left(rig.storage)
        assert left.held
    result = rig.run(RECOVERY_RUN_CONFIG)
    assert result.success
    assert journals_left(rig.storage) == []
    shown = rig.shown(result)
    assert shown[old.day.isoformat()]["captures"] == 1
    [record] = read_records(rig.storage, old.day)
    assert record.ended == "recovered"


def test_a_damaged_journal_is_left_to_whoever_finishes_it(storage: LocalStorage) -> None:
    storage.put(f"{layout.capture_journal('20251027T105922-00000000-abcdef')}/header.json", b"{")
    [left] = journals_left(storage)
    assert left.windows == ()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for one process")
def test_what_was_heard_until_a_run_is_stopped_is_kept(
    rig: Rig, served: AisServed, capfd: pytest.CaptureFixture[str]
) -> None:
    mine = window(60.0)
    rig.plan(mine)
    stopped_at: list[float] = []

    def heard_some() -> bool:
        return served.counters.messages > 30

    def stop_when_it_hears() -> None:
        until = time.monotonic() + 30
        while time.monotonic() < until and not (heard_some() and rig.storage.list(layout.capture_journals())):
            time.sleep(0.05)
        time.sleep(1.0)
        stopped_at.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=stop_when_it_hears)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    thread.start()
    try:
        result = rig.run(capture_run_config([mine]))
    finally:
        thread.join()
        signal.signal(signal.SIGINT, before)
    assert time.monotonic() - stopped_at[0] < STOP_MOST_S
    assert not result.success
    assert len(read_snapshots(rig.storage, mine.day)) > 20
    [record] = read_records(rig.storage, mine.day)
    assert record.ended == "stopped"
    assert record.passes[0].status == PARTIAL
    assert journals_left(rig.storage) == []
    assert "what was heard until then is kept" in capfd.readouterr().err


def test_an_interruption_waits_for_the_work_and_goes_on() -> None:
    told: list[str] = []

    def work(stop: threading.Event) -> None:
        time.sleep(0.2)
        signal.raise_signal(signal.SIGUSR1)
        assert stop.wait(10.0)
        told.append("ended")

    class InterruptedHereError(BaseException):
        pass

    def interrupt(*_: object) -> None:
        raise InterruptedHereError

    before = signal.signal(signal.SIGUSR1, interrupt)
    try:
        with pytest.raises(InterruptedHereError):
            until_interrupted(work, lambda: told.append("stopped"))
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert told == ["ended", "stopped"]


def test_the_errors_and_results_of_the_work_are_its_own() -> None:
    stopped: list[bool] = []
    assert until_interrupted(lambda _: 7, lambda: stopped.append(True)) == 7
    with pytest.raises(KeyError):
        until_interrupted(lambda _: {}["x"], lambda: stopped.append(True))
    assert stopped == []


def test_passes_of_a_day() -> None:
    at = datetime(2025, 10, 27, 11, tzinfo=UTC)

    def of(tile: str, hours: float) -> Window:
        middle = at + timedelta(hours=hours)
        half = timedelta(minutes=5)
        return Window(tile_id=tile, satellite="S2B", overpass_time=middle, start=middle - half, end=middle + half)

    heard, quiet, missed, coming = of("30STE", 0), of("30STF", 0.1), of("30SUE", 0.2), of("30SUF", 2)
    gap = Gap(start=quiet.start, end=quiet.start + timedelta(seconds=30), reason="silence")
    record = CaptureRecord(
        capture_id="c",
        ais_source="aisstream",
        url="wss://x",
        started_at=at,
        ended_at=at,
        ended="done",
        connections=1,
        messages=9,
        ignored={},
        lost=0,
        passes=(
            PassRecord(window=heard, covered_s=600.0, gaps=(), fixes=9, ships=3),
            PassRecord(window=quiet, covered_s=570.0, gaps=(gap,), fixes=0, ships=0),
        ),
    )
    # The plan has moved one by seconds since it was recorded, and no longer has the other.
    moved = of("30STE", 0.002)
    rows = pass_rows([coming, missed, moved], [record], at + timedelta(hours=1))
    assert [(row["tile_id"], row["status"], row["fixes"]) for row in rows] == [
        ("30STE", RECORDED, 9),
        ("30STF", PARTIAL, 0),
        ("30SUE", MISSED, None),
        ("30SUF", "to come", None),
    ]
    assert rows[1]["gaps"] == "11:01:00–11:01:30 silence"
    assert rows[0]["overpass_time"] == moved.overpass_time
