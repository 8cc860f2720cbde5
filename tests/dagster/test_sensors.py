"""The looks for windows and for late scenes, with a fixed clock, an instance of their own and real plan files."""

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest
import yaml

from s2chips_core import layout, tables
from s2chips_core.ais.capture_record import CaptureRecord, Gap, PassRecord, write_record
from s2chips_core.ais.journal import JournalWriter
from s2chips_core.ais.timing import MOST_ATTEMPTS, RECORD_GRACE, Memory
from s2chips_core.ais.windows import Window, group_windows
from s2chips_core.overpasses.plan import PLAN_SCHEMA
from s2chips_core.storage import LocalStorage
from s2chips_dagster import past_runs, sensors
from s2chips_dagster.definitions import build_definitions
from s2chips_dagster.resources import NOW_VARIABLE, Workspace
from s2chips_dagster.run_config import KEY_VARIABLE

TODAY = date(2025, 10, 27)
PASS = datetime(2025, 10, 27, 11, 4, 22, tzinfo=UTC)
HALF = timedelta(minutes=5)
MINUTE = timedelta(minutes=1)
LEAD = timedelta(seconds=150 + sensors.CAPTURE_INTERVAL_S)
"""By the next look there would be less than `scheduling.capture_lead_s` left."""
OVER = HALF + timedelta(seconds=150) + RECORD_GRACE
"""After the pass: its record must be there."""


@dataclasses.dataclass(slots=True)
class Rig:
    """The sensors of a configuration, a dataset and an instance; the clock is set by whoever looks."""

    config: Path
    storage: LocalStorage
    instance: dg.DagsterInstance
    definitions: dg.Definitions
    patch: pytest.MonkeyPatch
    cursor: str | None = None

    def plan(self, *passes: tuple[str, datetime], day: date | None = None, source: str = "tle") -> None:
        """The plan of a day, and empty ones for the days around it that have none."""
        day = day or (passes[0][1].date() if passes else TODAY)
        rows = pd.DataFrame(
            {
                "tile_id": [tile for tile, _ in passes],
                "satellite": "S2B",
                "relative_orbit": 51,
                "absolute_orbit": None,
                "overpass_time": [when for _, when in passes],
                "window_start": [when - HALF for _, when in passes],
                "window_end": [when + HALF for _, when in passes],
                "time_sigma_s": 1.0,
                "imaging": "planned",
                "source": source,
                "source_epoch": None,
            }
        )
        for name in ("overpass_time", "window_start", "window_end", "source_epoch"):
            rows[name] = pd.to_datetime(rows[name], utc=True)
        tables.write_table(self.storage, layout.plan(day), rows, PLAN_SCHEMA)
        for around in (day - timedelta(days=1), day + timedelta(days=1)):
            if not self.storage.exists(layout.plan(around)):
                tables.write_table(self.storage, layout.plan(around), tables.empty(PLAN_SCHEMA), PLAN_SCHEMA)

    def look(self, now: datetime, sensor: str = "overpass_capture_sensor") -> Any:
        """One tick, as the daemon evaluates it; the cursor goes on to the next."""
        self.patch.setenv(NOW_VARIABLE, now.isoformat())
        repository = self.definitions.get_repository_def()
        context = dg.build_sensor_context(
            self.instance,
            cursor=self.cursor,
            repository_def=repository,
            resources={"workspace": Workspace(config_file=str(self.config))},
        )
        data = repository.get_sensor_def(sensor).evaluate_tick(context)
        self.cursor = data.cursor
        return data

    def submit(self, requests: Sequence[dg.RunRequest], status: dg.DagsterRunStatus, **tags: str) -> list[dg.DagsterRun]:
        """What the daemon makes of run requests, at this state."""
        made = []
        for request in requests:
            job = self.definitions.resolve_job_def(str(request.job_name))
            run = self.instance.create_run_for_job(
                job,
                run_config=dict(request.run_config),
                tags={**request.tags, past_runs.RUN_KEY_TAG: str(request.run_key), **tags},
                status=status,
            )
            made.append(run)
        return made

    def by_hand(self, day: date, status: dg.DagsterRunStatus, job: str = "capture_ais") -> None:
        """A run that somebody started in the UI."""
        definition = self.definitions.resolve_job_def(job)
        self.instance.create_run_for_job(definition, tags={past_runs.PARTITION_TAG: day.isoformat()}, status=status)


@pytest.fixture
def make_rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv(KEY_VARIABLE, "a-key")
    with dg.DagsterInstance.ephemeral() as instance:

        def make(**sections: Mapping[str, Any]) -> Rig:
            tree: dict[str, Any] = {
                "satellite_tracking": {"source": "tle", "tiles": ["30STF", "30SUE"]},
                "storage": {"dataset_root": str(tmp_path / "dataset")},
            }
            for section, values in sections.items():
                tree[section] = {**tree.get(section, {}), **values}
            config = tmp_path / "config.yaml"
            config.write_text(yaml.safe_dump(tree))
            return Rig(
                config=config,
                storage=LocalStorage(tmp_path / "dataset"),
                instance=instance,
                definitions=build_definitions(config),
                patch=monkeypatch,
            )

        yield make


@pytest.fixture
def rig(make_rig: Any) -> Rig:
    made: Rig = make_rig()
    return made


def windows_of(request: dg.RunRequest) -> list[Window]:
    return [Window.from_dict(each) for each in request.run_config["ops"]["ais_snapshots"]["config"]["windows"]]


def tiles_of(request: dg.RunRequest) -> list[str]:
    return [window.tile_id for window in windows_of(request)]


def record_of(window: Window, covered_s: float) -> CaptureRecord:
    gap = Gap(start=window.start, end=window.end, reason="silence")
    return CaptureRecord(
        capture_id="20251027T105922-00000000-abcdef",
        ais_source="aisstream",
        url="wss://x",
        started_at=window.start,
        ended_at=window.end,
        ended="done",
        connections=1,
        messages=0,
        ignored={},
        lost=0,
        passes=(PassRecord(window=window, covered_s=covered_s, gaps=(gap,), fixes=0, ships=0),),
    )


def leave_journal(storage: LocalStorage, capture_id: str, *windows: Window) -> None:
    header = {
        "ais_source": "aisstream",
        "url": "wss://x",
        "started_at": PASS.isoformat(),
        "windows": [window.to_dict() for window in windows],
    }
    JournalWriter(storage, capture_id, header)


# --- starting ---


def test_a_capture_is_asked_for_in_time_with_its_windows_tags_and_priority(rig: Rig) -> None:
    rig.plan(("30STF", PASS), ("30SUE", PASS + 3 * MINUTE))
    early = rig.look(PASS - HALF - LEAD - timedelta(seconds=1))
    assert early.run_requests == []
    assert early.skip_message == "the next capture is due at 2025-10-27 10:56:22 UTC"
    [request] = rig.look(PASS - HALF - LEAD).run_requests
    assert request.job_name == "capture_ais"
    assert request.partition_key == "2025-10-27"
    assert tiles_of(request) == ["30STF", "30SUE"]
    assert [window.overpass_time for window in windows_of(request)] == [PASS, PASS + 3 * MINUTE]
    [group] = group_windows(windows_of(request), 150)
    assert request.tags["s2chips/capture"] == group.group_id
    assert request.tags["s2chips/kind"] == "capture"
    assert request.tags["dagster/priority"] == "10"
    assert "a-key" not in json.dumps([request.run_config, request.tags, rig.cursor])


@pytest.mark.parametrize(
    "status", [dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]
)
def test_once_for_each_window_also_when_it_is_planned_again(rig: Rig, status: dg.DagsterRunStatus) -> None:
    rig.plan(("30STF", PASS))
    asked = rig.look(PASS - HALF - LEAD).run_requests
    rig.submit(asked, status)
    again = rig.look(PASS - HALF - LEAD + MINUTE / 2)
    assert again.run_requests == []
    assert again.skip_message == "the windows that are open or near have their runs (1)"
    rig.plan(("30STF", PASS + timedelta(seconds=21)))
    assert rig.look(PASS - HALF).run_requests == []
    # A lost cursor changes nothing: what Dagster has is what counts.
    rig.cursor = None
    assert rig.look(PASS - HALF).run_requests == []
    rig.plan(("30STF", PASS + timedelta(seconds=21)), ("30SUE", PASS))
    [added] = rig.look(PASS - HALF).run_requests
    assert tiles_of(added) == ["30SUE"], "what a new plan adds is recorded by a run of its own"


def test_a_start_in_the_middle_of_a_window_after_the_daemon_was_down(rig: Rig) -> None:
    rig.plan(("29SQV", PASS - 6 * MINUTE), ("30STF", PASS), ("30SUE", PASS + 3 * MINUTE))
    [request] = rig.look(PASS + MINUTE / 2).run_requests
    assert tiles_of(request) == ["30STF", "30SUE"], "what has closed is not in it"


def test_a_failed_capture_is_asked_for_again_while_its_window_is_open(rig: Rig) -> None:
    rig.plan(("30STF", PASS))
    keys = []
    for n in range(MOST_ATTEMPTS):
        [request] = rig.look(PASS - HALF + n * MINUTE).run_requests
        keys.append(request.run_key)
        assert request.tags["s2chips/attempt"] == str(n + 1)
        rig.submit([request], dg.DagsterRunStatus.FAILURE)
    assert len(set(keys)) == MOST_ATTEMPTS
    assert rig.look(PASS).run_requests == []


@pytest.mark.parametrize(
    ("status", "tags"),
    [
        (dg.DagsterRunStatus.FAILURE, {past_runs.KEY_TAG: past_runs.REFUSED}),
        (dg.DagsterRunStatus.CANCELED, {}),
        (dg.DagsterRunStatus.SUCCESS, {}),
    ],
)
def test_a_refused_key_and_what_somebody_stopped_are_not_tried_again(
    rig: Rig, status: dg.DagsterRunStatus, tags: dict[str, str]
) -> None:
    rig.plan(("30STF", PASS))
    rig.submit(rig.look(PASS - HALF).run_requests, status, **tags)
    assert rig.look(PASS).run_requests == []


def test_a_capture_by_hand_has_the_windows_of_its_day_while_it_runs(rig: Rig) -> None:
    rig.plan(("30STF", PASS))
    rig.by_hand(TODAY, dg.DagsterRunStatus.STARTED)
    assert rig.look(PASS - HALF).run_requests == []


def test_a_run_that_ended_by_hand_has_nothing(rig: Rig) -> None:
    rig.plan(("30STF", PASS))
    rig.by_hand(TODAY, dg.DagsterRunStatus.SUCCESS)
    rig.by_hand(TODAY, dg.DagsterRunStatus.STARTED, job="chip_day")
    assert len(rig.look(PASS - HALF).run_requests) == 1


def test_a_window_that_opens_before_midnight(rig: Rig) -> None:
    midnight = datetime(2025, 10, 28, tzinfo=UTC)
    rig.plan(("01KAB", midnight - 2 * MINUTE))
    rig.plan(("60KZG", midnight + 2 * MINUTE), day=date(2025, 10, 28))
    [request] = rig.look(midnight - 8 * MINUTE).run_requests
    assert tiles_of(request) == ["01KAB", "60KZG"], "one group over two days"
    assert request.partition_key == "2025-10-27"
    rig.submit([request], dg.DagsterRunStatus.STARTED)
    assert rig.look(midnight + MINUTE).run_requests == []


def test_a_window_of_tomorrow_alone_runs_in_a_partition_that_there_is(rig: Rig) -> None:
    midnight = datetime(2025, 10, 28, tzinfo=UTC)
    rig.plan(day=TODAY)
    rig.plan(("60KZG", midnight + 2 * MINUTE), day=date(2025, 10, 28))
    [request] = rig.look(midnight - 5 * MINUTE).run_requests
    assert request.partition_key == "2025-10-27"
    assert [window.day for window in windows_of(request)] == [date(2025, 10, 28)]


# --- a machine that went down ---


def start_for_real(rig: Rig, run: dg.DagsterRun) -> None:
    """As Dagster has it of a run whose process was killed with everything else."""
    for kind in (dg.DagsterEventType.RUN_STARTING, dg.DagsterEventType.RUN_START):
        event = dg.DagsterEvent(event_type_value=kind.value, job_name=run.job_name)
        rig.instance.report_dagster_event(event, run_id=run.run_id)


def test_a_run_without_a_process_is_replaced(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.plan(("30STF", PASS))
    [run] = rig.submit(rig.look(PASS - HALF - LEAD).run_requests, dg.DagsterRunStatus.NOT_STARTED)
    start_for_real(rig, run)
    assert rig.look(PASS).run_requests == [], "started a moment ago"
    monkeypatch.setattr(past_runs, "running_for_s", lambda *_: 300.0)
    assert rig.look(PASS - HALF).run_requests == [], "its window opens just now"
    capture_id = f"{run.tags['s2chips/capture']}-abcdef"
    leave_journal(rig.storage, capture_id, *past_runs.windows_of(run))
    with rig.storage.lock(f"capture-{capture_id}"):
        assert rig.look(PASS).run_requests == [], "it listens"
    [again] = rig.look(PASS).run_requests
    assert again.tags["s2chips/attempt"] == "2"


def test_a_run_is_not_replaced_though_a_window_closed_while_it_was_starting(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it records is a smaller group, and so has another name."""
    rig.plan(("29SQV", PASS - 4 * MINUTE), ("30STF", PASS))
    [run] = rig.submit(rig.look(PASS + MINUTE - timedelta(seconds=5)).run_requests, dg.DagsterRunStatus.NOT_STARTED)
    start_for_real(rig, run)
    monkeypatch.setattr(past_runs, "running_for_s", lambda *_: 90.0)
    closed, still_open = past_runs.windows_of(run)
    assert closed.tile_id == "29SQV"
    [smaller] = group_windows([still_open], 150)
    capture_id = f"{smaller.group_id}-abcdef"
    assert smaller.group_id != run.tags["s2chips/capture"]
    leave_journal(rig.storage, capture_id, still_open)
    with rig.storage.lock(f"capture-{capture_id}"):
        assert rig.look(PASS + 3 * MINUTE).run_requests == []
    assert len(rig.look(PASS + 3 * MINUTE).run_requests) == 1, "now nobody listens"


def test_a_run_that_waits_for_its_next_window_is_not_replaced(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.plan(("29SQV", PASS), ("30STF", PASS + 12 * MINUTE))
    [run] = rig.submit(rig.look(PASS - HALF).run_requests, dg.DagsterRunStatus.NOT_STARTED)
    assert len(past_runs.windows_of(run)) == 2
    start_for_real(rig, run)
    monkeypatch.setattr(past_runs, "running_for_s", lambda *_: 600.0)
    assert rig.look(PASS + 6 * MINUTE).run_requests == []
    assert len(rig.look(PASS + 9 * MINUTE).run_requests) == 1, "it is open, and nobody listens"


def test_a_run_by_hand_without_a_process_does_not_keep_the_day_from_being_recorded(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.plan(("30STF", PASS), ("30SUE", PASS + 60 * MINUTE))
    rig.by_hand(TODAY, dg.DagsterRunStatus.STARTED)
    monkeypatch.setattr(past_runs, "running_for_s", lambda *_: 7200.0)
    assert rig.look(PASS - HALF).run_requests == [], "it may be waiting"
    window = Window(tile_id="30STF", satellite="S2B", overpass_time=PASS, start=PASS - HALF, end=PASS + HALF)
    leave_journal(rig.storage, "20251027T105922-00000000-abcdef", window)
    with rig.storage.lock("capture-20251027T105922-00000000-abcdef"):
        assert rig.look(PASS).run_requests == [], "it listens"
    [request] = rig.look(PASS).run_requests
    assert tiles_of(request) == ["30STF"]


def test_a_journal_that_nobody_holds_is_finished_by_a_run_once(rig: Rig) -> None:
    rig.plan(("30STF", PASS))
    [window] = windows_of(rig.look(PASS - HALF).run_requests[0])
    leave_journal(rig.storage, "20251027T105922-00000000-abcdef", window)
    with rig.storage.lock("capture-20251027T105922-00000000-abcdef"):
        assert rig.look(PASS + OVER).run_requests == []
    data = rig.look(PASS + OVER)
    [request] = data.run_requests
    assert request.run_config == {"ops": {"ais_snapshots": {"config": {"only_recover": True}}}}
    assert request.partition_key == "2025-10-27"
    assert data.asset_events == [], "what a journal holds is not missed"
    assert rig.look(PASS + OVER + MINUTE).run_requests == []


def test_a_capture_that_starts_finishes_journals_by_itself(rig: Rig) -> None:
    rig.plan(("30STF", PASS))
    leave_journal(rig.storage, "20251026T105922-00000000-abcdef")
    [request] = rig.look(PASS - HALF).run_requests
    assert tiles_of(request) == ["30STF"]


# --- missed ---


def test_a_window_that_nobody_recorded_is_reported_once(rig: Rig) -> None:
    rig.plan(("30STF", PASS))
    assert rig.look(PASS + OVER - timedelta(seconds=1)).asset_events == []
    data = rig.look(PASS + OVER)
    [event] = data.asset_events
    assert isinstance(event, dg.AssetObservation)
    assert (event.asset_key, event.partition) == (dg.AssetKey("ais_snapshots"), "2025-10-27")
    told = {name: value.value for name, value in event.metadata.items()}
    assert (told["status"], told["tile_id"], told["satellite"]) == ("missed", "30STF", "S2B")
    assert told["overpass_time"] == PASS.isoformat()
    assert "daemon was down" in str(told["reason"])
    assert data.run_requests == []
    rig.plan(("30STF", PASS + timedelta(seconds=9)))
    assert rig.look(PASS + OVER + MINUTE).asset_events == []
    assert rig.look(PASS + timedelta(days=1)).asset_events == []


def test_yesterdays_windows_are_reported_after_a_night_without_a_daemon(rig: Rig) -> None:
    rig.plan(("30STF", PASS))
    rig.plan(day=date(2025, 10, 28))
    [event] = rig.look(PASS + timedelta(hours=20)).asset_events
    assert event.partition == "2025-10-27"


def test_missed_is_judged_by_records_and_not_by_runs(rig: Rig) -> None:
    rig.plan(("30STF", PASS))
    [request] = rig.look(PASS - HALF).run_requests
    [window] = windows_of(request)
    rig.submit([request], dg.DagsterRunStatus.SUCCESS)
    [event] = dataclasses.replace(rig).look(PASS + OVER).asset_events
    assert "without a record" in str(event.description)
    write_record(rig.storage, record_of(window, 0.0))
    [event] = dataclasses.replace(rig).look(PASS + OVER).asset_events
    assert "listened to nothing of the window: silence" in str(event.description)
    write_record(rig.storage, record_of(window, 2.5))
    assert rig.look(PASS + OVER).asset_events == []
    assert [one.tile_id for one in Memory.from_text(rig.cursor).judged] == ["30STF"], "not asked for again"


def test_what_is_still_being_recorded_is_not_missed(rig: Rig) -> None:
    rig.plan(("30STF", PASS))
    rig.submit(rig.look(PASS - HALF).run_requests, dg.DagsterRunStatus.STARTED)
    assert rig.look(PASS + OVER).asset_events == []


def test_what_was_planned_from_scenes_that_were_there_already_is_not_missed(rig: Rig) -> None:
    rig.plan(("30STF", PASS), source="backfill")
    assert rig.look(PASS + OVER).asset_events == []


def test_a_damaged_record_is_told_and_stops_nothing(rig: Rig) -> None:
    rig.plan(("30STF", PASS), ("30SUE", PASS + timedelta(hours=1)))
    rig.storage.put(layout.capture_record(TODAY, "x"), b"{")
    data = rig.look(PASS + timedelta(hours=1))
    assert data.asset_events == []
    assert [tiles_of(request) for request in data.run_requests] == [["30SUE"]]


# --- nothing to do, and why ---


def test_without_a_key_nothing_is_started_and_the_reason_is_said(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.plan(("30STF", PASS))
    monkeypatch.delenv(KEY_VARIABLE)
    data = rig.look(PASS)
    assert data.run_requests == []
    assert "AISSTREAM_API_KEY is not set" in data.skip_message
    [event] = rig.look(PASS + OVER).asset_events
    assert "AISSTREAM_API_KEY is not set" in str(event.description)


def test_synthetic_ships_are_never_captured_unasked(make_rig: Any) -> None:
    rig = make_rig(ais={"source": "synthetic"})
    rig.plan(("30STF", PASS))
    data = rig.look(PASS)
    assert data.run_requests == []
    assert "continuous capture is of real AIS only; for that set it to aisstream" in data.skip_message


def test_a_plan_is_asked_for_once_a_day_when_tomorrow_has_none(rig: Rig) -> None:
    now = datetime(2025, 10, 27, 0, 0, 10, tzinfo=UTC)
    [request] = rig.look(now).run_requests
    assert (request.job_name, request.partition_key, request.run_key) == ("plan_overpasses", "2025-10-27", "plan@2025-10-27")
    again = rig.look(now + MINUTE)
    assert again.run_requests == []
    assert "there is no plan for 2025-10-27: it was asked for; if plan_overpasses failed, its run says" in again.skip_message
    rig.plan(("30STF", PASS))
    assert rig.look(now + 2 * MINUTE).run_requests == []
    [request] = rig.look(now + timedelta(days=1)).run_requests
    assert request.run_key == "plan@2025-10-28", "the day after has none"


def test_backfill_has_no_future_to_plan(make_rig: Any) -> None:
    rig = make_rig(satellite_tracking={"source": "backfill"})
    data = rig.look(PASS)
    assert data.run_requests == []
    assert "there is no plan for 2025-10-27: satellite_tracking.source is backfill, which has no future" in data.skip_message


def test_a_plan_that_cannot_be_read_is_as_none(rig: Rig) -> None:
    rig.plan(("30STF", PASS))
    rig.storage.put(layout.plan(TODAY), b"nonsense")
    [request] = rig.look(PASS).run_requests
    assert request.job_name == "plan_overpasses"


def test_nothing_to_come(rig: Rig) -> None:
    rig.plan(day=TODAY)
    assert rig.look(PASS).skip_message == "no window is to come in the plans of today and tomorrow"


def test_the_cursor_does_not_grow(rig: Rig) -> None:
    """A week of passes, none of them recorded: each is reported, and forgotten when its plan is no longer looked at."""
    sizes, reported = [], 0
    for n in range(7):
        day = PASS + timedelta(days=n)
        rig.plan(*[(f"30ST{letter}", day) for letter in "EFGH"])
        reported += len(rig.look(day + OVER).asset_events)
        sizes.append(len(str(rig.cursor)))
    assert reported == 28
    assert max(sizes[2:]) == min(sizes[2:])


def test_both_sensors_are_on_and_look_often_enough(rig: Rig) -> None:
    repository = rig.definitions.get_repository_def()
    captures, late = (repository.get_sensor_def(name) for name in ("overpass_capture_sensor", "late_scene_sensor"))
    assert captures.default_status is late.default_status is dg.DefaultSensorStatus.RUNNING
    assert captures.minimum_interval_seconds == sensors.CAPTURE_INTERVAL_S == 30
    assert late.minimum_interval_seconds == 900


def test_whatever_can_be_switched_says_what_it_does(rig: Rig) -> None:
    repository = rig.definitions.get_repository_def()
    for each in (*repository.sensor_defs, *repository.schedule_defs):
        assert each.description, each.name
