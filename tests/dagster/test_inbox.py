"""The inbox under Dagster: looks of the sensor, and the runs that it asks for, on the embedded archive."""

import csv
import dataclasses
import hashlib
import io
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest

from s2chips_core import layout, tables
from s2chips_core.ais.inbox import SETTLING_S
from s2chips_core.index.outcomes import OUTCOME_SCHEMA
from s2chips_core.index.row_report import ROW_REPORT_SCHEMA
from s2chips_core.sandbox.archive import DEMO_NOW
from s2chips_dagster import inbox
from s2chips_dagster.resources import Workspace
from tests.dagster.conftest import DAY, REPOSITORY, Dataset, DayRun, MakeDataset
from tests.dagster.test_file_job import rows_like


@dataclasses.dataclass(slots=True)
class Rig:
    """A dataset with its inbox, the sensor's cursor, and a clock of its own for what settles."""

    dataset: Dataset
    instance: dg.DagsterInstance
    now_s: float = 1_000.0
    cursor: str | None = None

    @property
    def folder(self) -> Path:
        return self.dataset.storage.root.parent / "inbox"

    def look(self, later_s: float = 30.0) -> dg.SensorResult:
        """One look, some time after the last."""
        self.now_s += later_s
        context = dg.build_sensor_context(self.instance, cursor=self.cursor)
        workspace = Workspace(config_file=str(self.dataset.config), now=DEMO_NOW.isoformat())
        result = inbox.look_into_inbox(context, workspace, lambda: self.now_s)
        self.cursor = result.cursor
        return result

    def ask(self) -> list[dg.RunRequest]:
        """What is asked for once everything has settled."""
        self.look()
        return list(self.look().run_requests or [])

    def run(self, request: dg.RunRequest) -> dg.ExecuteInProcessResult:
        """What the daemon does with a request, in this process."""
        job = self.dataset.definitions.resolve_job_def("chip_from_ais_file")
        return job.execute_in_process(
            run_config=dict(request.run_config), tags=dict(request.tags), instance=self.instance, raise_on_error=False
        )

    def submitted(self, request: dg.RunRequest, status: dg.DagsterRunStatus, **tags: str) -> dg.DagsterRun:
        """A request at this state."""
        job = self.dataset.definitions.resolve_job_def("chip_from_ais_file")
        return self.instance.create_run_for_job(
            job, run_config=dict(request.run_config), tags={**request.tags, **tags}, status=status
        )

    def names(self, folder: str = "") -> list[str]:
        """What lies in the inbox, or in a folder of it."""
        return sorted(p.name for p in (self.folder / folder).glob("*") if p.is_file())


@pytest.fixture
def rig(make_dataset: MakeDataset) -> Iterator[Rig]:
    with dg.DagsterInstance.ephemeral() as instance:
        made = Rig(dataset=make_dataset(), instance=instance)
        made.folder.mkdir()
        yield made


@pytest.fixture(scope="module")
def ships(day_run: DayRun) -> bytes:
    """Two ships that have a scene, one whose scene is not published yet, and two bad rows."""
    rows = rows_like(day_run, 2)
    extra = pd.DataFrame(
        [
            {"mmsi": 244660123, "lat": 36.0, "lon": -5.4, "overpass_time": f"{DEMO_NOW.date()}T11:20:00Z"},
            {"mmsi": 244660125, "lat": 91, "lon": -5.4, "overpass_time": f"{DAY}T11:20:00Z"},
            {"mmsi": 2190064, "lat": 36.0, "lon": -5.4, "overpass_time": f"{DAY}T11:20:00Z"},
        ]
    )
    return pd.concat([rows, extra]).to_csv(index=False).encode()


def report_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig"), newline="")))


def test_a_file_is_chipped_once_and_moved_to_done_with_its_report(rig: Rig, ships: bytes) -> None:
    (rig.folder / "ships.csv").write_bytes(ships)
    first = rig.look()
    assert not first.run_requests
    assert "ships.csv: it has just come" in str(first.skip_reason)
    [request] = rig.look().run_requests or []
    sha256 = hashlib.sha256(ships).hexdigest()
    assert request.run_key == f"ships.csv@{sha256}"
    assert rig.run(request).success

    assert rig.names() == []
    assert rig.names("done") == ["ships.csv", "ships.csv.report.csv"]
    assert not list((rig.folder / "working").iterdir())
    assert (rig.folder / "done" / "ships.csv").read_bytes() == ships
    report = report_of(rig.folder / "done" / "ships.csv.report.csv")
    assert [row["row_number"] for row in report] == ["2", "3", "4", "5", "6"]
    assert [row["outcome"] for row in report[:2]] == ["chipped", "chipped"]
    assert report[2]["outcome"] == "pending_l2a"
    assert [row["outcome"] for row in report[3:]] == ["invalid_ais", "invalid_ais"]
    assert "row 5: lat 91" in report[3]["detail"]
    for row in report:
        assert bool(row["path"]) == (row["outcome"] == "chipped") == bool(row["chip_id"])
        assert not row["path"] or rig.dataset.storage.exists(row["path"])
    days = (DAY, DEMO_NOW.date())
    outcomes = pd.concat([tables.read_table(rig.dataset.storage, layout.outcomes(d), OUTCOME_SCHEMA) for d in days])
    assert {int(r["row_number"]): r["detail"] for r in report} == dict(
        zip(outcomes["row_number"], outcomes["detail"], strict=True)
    )
    kept = rig.dataset.storage.get(layout.ais_file_report(layout.file_source(sha256)))
    assert kept == (rig.folder / "done" / "ships.csv.report.csv").read_bytes()
    assert list(report[0]) == ROW_REPORT_SCHEMA.names

    again = rig.look()
    assert not again.run_requests
    assert "nothing lies in" in str(again.skip_reason)


def test_the_same_content_again_is_said_and_not_cut_again(rig: Rig, ships: bytes) -> None:
    (rig.folder / "ships.csv").write_bytes(ships)
    [request] = rig.ask()
    assert rig.run(request).success
    (rig.folder / "copy.csv").write_bytes(ships)
    (rig.folder / "ships.csv").write_bytes(ships)
    requests = rig.ask()
    assert [r.run_key for r in requests] == [f"copy.csv@{hashlib.sha256(ships).hexdigest()}"]
    result = rig.run(requests[0])
    assert result.success
    assert [e for e in result.all_events if e.is_step_success]
    note = (rig.folder / "done" / "copy.csv.note.txt").read_text()
    assert "copy.csv has the content of ships.csv, which was chipped before: 2 chips stand as they were, 0 were cut" in note

    # The other one waited for its turn; its name is taken in done/, and its key was used: it gets others.
    [third] = rig.ask()
    assert third.run_key == f"ships.csv@{hashlib.sha256(ships).hexdigest()}#2"
    assert rig.run(third).success
    assert [n for n in rig.names("done") if n.endswith("ships.csv") or n.startswith("ships-2")] == [
        "ships-2.csv",
        "ships-2.csv.note.txt",
        "ships-2.csv.report.csv",
        "ships.csv",
    ]


def test_a_file_that_is_no_table_is_moved_to_failed_with_the_error_and_can_be_dropped_again(rig: Rig) -> None:
    (rig.folder / "poem.csv").write_text("shall I compare thee\n")
    (rig.folder / "empty.xlsx").write_bytes(b"")
    requests = rig.ask()
    assert len(requests) == 2
    for request in requests:
        assert not rig.run(request).success
    assert rig.names("failed") == ["empty.xlsx", "empty.xlsx.error.txt", "poem.csv", "poem.csv.error.txt"]
    told = (rig.folder / "failed" / "poem.csv.error.txt").read_text()
    assert "at least mmsi, lat, lon" in told
    assert "Drop the file again" in told
    shutil.move(rig.folder / "failed" / "poem.csv", rig.folder / "poem.csv")  # keeps its time, as a person does it
    [again] = rig.ask()
    assert str(again.run_key).endswith("#2")
    assert not rig.run(again).success
    # Its place was free again, but not that of the first error.
    assert (rig.folder / "failed" / "poem-2.csv").exists()
    assert (rig.folder / "failed" / "poem.csv.error.txt").read_text() == told
    assert "poem.csv" in (rig.folder / "failed" / "poem-2.csv.error.txt").read_text()


def test_half_copied_files_and_those_of_other_programs_wait(rig: Rig, ships: bytes) -> None:
    growing = rig.folder / "ships.csv"
    for name in (".ships.csv", "~$ships.xlsx", "b.csv.part", "c.tmp", "Thumbs.db"):
        (rig.folder / name).write_bytes(ships)
    (rig.folder / "sub").mkdir()
    (rig.folder / "link.csv").symlink_to(rig.folder / ".ships.csv")
    for size in (10, 200, len(ships) - 1):
        growing.write_bytes(ships[:size])
        assert not rig.look().run_requests
    growing.write_bytes(ships)
    assert not rig.look().run_requests
    assert not rig.look(SETTLING_S - 1).run_requests
    [request] = rig.look(2).run_requests or []
    assert request.tags[inbox.NAME_TAG] == "ships.csv"
    assert rig.names() == sorted([".ships.csv", "~$ships.xlsx", "b.csv.part", "c.tmp", "Thumbs.db", "link.csv", "ships.csv"])


def test_a_file_that_cannot_be_opened_yet_waits_and_says_so(rig: Rig, ships: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    (rig.folder / "locked.csv").write_bytes(ships)
    real_open = Path.open

    def locked(self: Path, *arguments: Any, **options: Any) -> Any:
        if self.name == "locked.csv":
            raise PermissionError(13, "Permission denied")
        return real_open(self, *arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", locked)  # root opens what others may not
        for _ in range(3):
            result = rig.look()
            assert not result.run_requests
            assert "locked.csv: it cannot be opened yet (Permission denied)" in str(result.skip_reason)
    assert len(rig.ask()) == 1


def test_a_run_that_is_under_way_is_waited_for(rig: Rig, ships: bytes) -> None:
    (rig.folder / "ships.csv").write_bytes(ships)
    [request] = rig.ask()
    rig.submitted(request, dg.DagsterRunStatus.NOT_STARTED)
    waiting = rig.look()
    assert not waiting.run_requests
    assert "has it" in str(waiting.skip_reason)


@pytest.mark.parametrize("status", [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED])
def test_a_run_that_never_took_its_file_is_given_up_once(rig: Rig, ships: bytes, status: dg.DagsterRunStatus) -> None:
    (rig.folder / "ships.csv").write_bytes(ships)
    [request] = rig.ask()
    run = rig.submitted(request, status)
    assert not rig.look().run_requests
    assert rig.names() == []
    assert run.run_id in (rig.folder / "failed" / "ships.csv.error.txt").read_text()
    (rig.folder / "ships.csv").write_bytes(ships)
    [again] = rig.ask()
    assert rig.run(again).success
    assert rig.names("done") == ["ships.csv", "ships.csv.report.csv"]


def test_a_file_that_changed_after_it_was_asked_for_is_left_and_asked_for_again(rig: Rig, ships: bytes) -> None:
    (rig.folder / "ships.csv").write_bytes(ships[: ships.rindex(b"\n", 0, -1) + 1])
    [request] = rig.ask()
    (rig.folder / "ships.csv").write_bytes(ships)
    assert not rig.run(request).success
    assert rig.names() == ["ships.csv"]
    [again] = rig.ask()
    assert again.run_key == f"ships.csv@{hashlib.sha256(ships).hexdigest()}"
    assert rig.run(again).success
    assert rig.names("done") == ["ships.csv", "ships.csv.report.csv"]


def test_bad_run_config_leaves_the_file_where_it_is(rig: Rig, ships: bytes) -> None:
    (rig.folder / "ships.csv").write_bytes(ships)
    [request] = rig.ask()
    config = dict(request.run_config["ops"]["chip_ais_file"]["config"])
    job = rig.dataset.definitions.resolve_job_def("chip_from_ais_file")
    wrong = {"ops": {"chip_ais_file": {"config": {**config, "gate": {"max_land_center_frac": 7}}}}}
    assert not job.execute_in_process(run_config=wrong, instance=rig.instance, raise_on_error=False).success
    assert rig.names() == ["ships.csv"]
    assert not rig.dataset.storage.root.exists()


def test_a_run_that_is_killed_is_finished_by_the_next_look(rig: Rig, ships: bytes, tmp_path: Path) -> None:
    """kill -9 of a real process while it chips."""
    (rig.folder / "ships.csv").write_bytes(ships)
    [request] = rig.ask()
    run = rig.submitted(request, dg.DagsterRunStatus.STARTED)
    code = textwrap.dedent(
        """
        import sys, time, types
        from pathlib import Path
        from s2chips_core.storage import LocalStorage
        from s2chips_dagster import inbox

        path, sha256, root, run_id = sys.argv[1:]
        told = types.SimpleNamespace(add_run_tags=lambda run_id, tags: print(tags, flush=True))
        context = types.SimpleNamespace(run_id=run_id, instance=told)

        def chip(file):
            print(file, flush=True)
            time.sleep(600)

        inbox.chip_dropped(context, Path(path), sha256, LocalStorage(Path(root)), chip)
        """
    )
    config = request.run_config["ops"]["chip_ais_file"]["config"]
    root = str(rig.dataset.storage.root)
    process = subprocess.Popen(
        [sys.executable, "-c", code, config["path"], config["inbox_sha256"], root, run.run_id],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )
    assert process.stdout is not None
    assert inbox.TAKEN_TAG in process.stdout.readline()
    taken = Path(process.stdout.readline().strip())
    assert taken.read_bytes() == ships
    rig.instance.add_run_tags(run.run_id, {inbox.TAKEN_TAG: taken.parent.name})
    assert not rig.look().run_requests
    assert taken.exists(), "its run lives"
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    rig.look()
    assert not taken.parent.exists()
    assert rig.names("failed") == ["ships.csv", "ships.csv.error.txt"]
    assert "was killed" in (rig.folder / "failed" / "ships.csv.error.txt").read_text()
    # For Dagster the run goes on; dropped again the file is chipped all the same.
    (rig.folder / "ships.csv").write_bytes(ships)
    [again] = rig.ask()
    assert rig.run(again).success
    assert rig.names("done") == ["ships.csv", "ships.csv.report.csv"]


def test_a_cancelled_run_puts_its_file_into_failed(rig: Rig, ships: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    (rig.folder / "ships.csv").write_bytes(ships)
    [request] = rig.ask()

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("s2chips_dagster.file_job.chip_file", interrupted)
    assert not rig.run(request).success
    assert "cancelled" in (rig.folder / "failed" / "ships.csv.error.txt").read_text()


def test_without_an_inbox_the_sensor_is_off_and_says_so(make_dataset: MakeDataset) -> None:
    off = make_dataset("off", ais={"inbox": None})
    sensor = off.definitions.get_repository_def().get_sensor_def("ais_inbox_sensor")
    assert sensor.default_status is dg.DefaultSensorStatus.STOPPED
    with dg.DagsterInstance.ephemeral() as instance:
        assert "ais.inbox is null" in str(Rig(dataset=off, instance=instance).look().skip_reason)
    on = make_dataset("on").definitions.get_repository_def().get_sensor_def("ais_inbox_sensor")
    assert on.default_status is dg.DefaultSensorStatus.RUNNING
    assert on.minimum_interval_seconds == inbox.INTERVAL_S


def test_a_folder_that_cannot_be_made_is_told(make_dataset: MakeDataset, tmp_path: Path) -> None:
    (tmp_path / "inbox").write_text("in the way")
    with dg.DagsterInstance.ephemeral() as instance:
        assert "inbox" in str(Rig(dataset=make_dataset(), instance=instance).look().skip_reason)
    assert (tmp_path / "inbox").read_text() == "in the way"


def test_as_the_daemon_evaluates_it(rig: Rig, ships: bytes) -> None:
    """The sensor itself, with its own clock: the first look only sees."""
    (rig.folder / "ships.csv").write_bytes(ships)
    repository = rig.dataset.definitions.get_repository_def()
    context = dg.build_sensor_context(
        rig.instance,
        repository_def=repository,
        resources={"workspace": Workspace(config_file=str(rig.dataset.config), now=DEMO_NOW.isoformat())},
    )
    data = repository.get_sensor_def("ais_inbox_sensor").evaluate_tick(context)
    assert not data.run_requests
    assert "ships.csv" in str(data.skip_message)
    assert data.cursor is not None
    assert abs(time.time() - float(data.cursor.rsplit(",", 1)[1].strip("] "))) < 60
