"""`s2chips doctor` as a whole: every check by itself, each in its time, and nothing left behind."""

import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from dagster import DagsterInstance
from dagster._daemon.types import DaemonHeartbeat

from s2chips_core import tables
from s2chips_core.errors import SHOWN_MOST_CHARS
from s2chips_core.overpasses.plan import PLAN_SCHEMA
from s2chips_core.overpasses.plan_files import write_day
from s2chips_core.sandbox.ais_server import TEST_KEY, AisServed
from s2chips_core.sandbox.archive import DEMO_NOW
from s2chips_core.sandbox.server import Served
from s2chips_core.storage import LocalStorage
from s2chips_dagster import doctor
from s2chips_dagster.cli import main
from s2chips_dagster.doctor import examine, run_bounded
from s2chips_dagster.findings import Finding, ok
from s2chips_dagster.run_config import KEY_VARIABLE
from tests.dagster.conftest import write_config
from tests.dagster.doctor_fixtures import NOT_A_KEY, Examine, ais, look, real, served, surroundings

__all__ = ["ais", "look", "served", "surroundings"]


def test_all_is_well(look: Examine, served: Served, ais: AisServed, tmp_path: Path, home: Path) -> None:
    with DagsterInstance.from_config(str(home)) as instance:
        for daemon in instance.get_required_daemon_types():
            instance.add_daemon_heartbeat(DaemonHeartbeat(time.time(), daemon, "1", []))
    tomorrow = DEMO_NOW.date() + timedelta(days=1)
    write_day(LocalStorage(tmp_path / "dataset"), tomorrow, tables.empty(PLAN_SCHEMA), [], [])
    before = sorted(path for path in (tmp_path / "dataset").rglob("*") if path.is_file())
    found = look(ais=real(ais))
    verdicts = {name: one.verdict for name, one in found.items()}
    assert verdicts == {
        "config": "ok",
        "dataset": found["dataset"].verdict,  # the disk is whose it is
        "ais key": "ok",
        "dagster": "ok",
        "clock": "warning",  # S2CHIPS_NOW
        "archive": "ok",
        "pixels": "ok",
        "plan": "ok",
        "plan sources": "skipped",  # backfill
        "ais service": "ok",
    }
    assert "S2CHIPS_NOW" in found["clock"].sentence
    assert sorted(path for path in (tmp_path / "dataset").rglob("*") if path.is_file()) == before
    # One directory of one band; one polite conversation.
    assert served.counters.requests["data"] == 1
    assert served.counters.bytes["data"] <= 16 * 1024
    assert (ais.counters.subscriptions, ais.counters.errors) == (1, [])
    deadline = time.monotonic() + 5
    while ais.counters.open and time.monotonic() < deadline:
        time.sleep(0.01)
    assert ais.counters.open == 0
    assert TEST_KEY not in "".join(one.sentence + one.remedy for one in found.values())


def test_offline_asks_nobody(look: Examine, served: Served, ais: AisServed) -> None:
    found = look(offline=True, ais=real(ais))
    assert [found[name].verdict for name in ("archive", "pixels", "ais service")] == ["skipped"] * 3
    assert served.counters.requests == {"stac": 0, "data": 0}
    assert ais.counters.attempts == []
    assert found["config"].verdict == "ok"


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        ({"stac": {"cloud_cover_max": 400}}, "stac.cloud_cover_max"),
        ({"stac": {"collection": "landsat"}}, "stac.collection"),
        ({"satellite_tracking": {"tiles": ["30SAA"]}}, "30SAA"),
        ({"storage": {"dataset_root": "gs://bucket"}}, "storage.dataset_root"),
    ],
)
def test_a_wrong_configuration_stops_nothing_else(look: Examine, sections: dict[str, Any], words: str) -> None:
    found = look(offline=True, **sections)
    assert (found["config"].verdict, words in found["config"].sentence) == ("failed", True)
    assert found["dataset"].sentence == "needs the configuration"
    assert found["ais key"].verdict == "ok"
    assert found["dagster"].verdict == "warning"
    assert len(found) == 10


def test_without_a_file_or_with_a_clock_that_is_none(tmp_path: Path, look: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "none.yaml" in examine(tmp_path / "none.yaml", offline=True)[0].sentence
    monkeypatch.setenv("S2CHIPS_NOW", "noon")
    assert "S2CHIPS_NOW" in look(offline=True)["config"].sentence


def test_no_key(look: Examine, ais: AisServed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY_VARIABLE)
    found = look(ais=real(ais))
    assert found["ais key"].verdict == "failed"
    # The socket is opened and closed; nothing is subscribed to.
    assert (found["ais service"].verdict, "not subscribed" in found["ais service"].sentence) == ("ok", True)
    assert [attempt.status for attempt in ais.counters.attempts] == [101]
    assert ais.counters.subscriptions == 0


def test_a_check_that_takes_too_long_or_breaks_is_alone() -> None:
    release = threading.Event()

    def waits() -> Finding:
        release.wait(20)
        return ok("slow", "late")

    def breaks() -> Finding:
        raise RuntimeError("no such thing")

    began = time.monotonic()
    slow, broken, fine = run_bounded({"slow": waits, "broken": breaks, "fine": lambda: ok("fine", "well")}, 0.5)
    release.set()
    assert time.monotonic() - began < 5
    assert (slow.verdict, slow.sentence) == ("failed", "no result within 0.5 s")
    assert (broken.verdict, "RuntimeError: no such thing" in broken.sentence) == ("failed", True)
    assert fine.verdict == "ok"


def test_an_archive_that_does_not_answer_in_time(look: Examine, served: Served) -> None:
    served.faults.fail("slow", match="/v1", delay_s=6.0)
    began = time.monotonic()
    found = look(limit_s=2.0)
    assert time.monotonic() - began < 6
    assert (found["archive"].verdict, found["archive"].sentence) == ("failed", "no result within 2 s")
    assert found["config"].verdict == "ok"


def test_no_key_in_what_an_error_says(look: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, NOT_A_KEY)

    def breaks(stac: object) -> None:
        raise RuntimeError(f"it has {NOT_A_KEY}")

    monkeypatch.setattr(doctor, "provider_of", breaks)
    found = look(offline=True)
    assert "it has ***" in found["config"].sentence
    assert NOT_A_KEY not in str(found)


@pytest.mark.parametrize("before", [0, 300, SHOWN_MOST_CHARS - 10])
def test_no_half_of_a_key_where_an_error_is_cut(look: Examine, monkeypatch: pytest.MonkeyPatch, before: int) -> None:
    key = "0123456789abcdef" * 20
    monkeypatch.setenv(KEY_VARIABLE, key)

    def fail(*args: Any) -> Finding:
        raise RuntimeError("x" * before + key)

    monkeypatch.setattr(doctor, "check_plan", fail)
    found = look(offline=True)
    assert any("RuntimeError" in one.sentence for one in found.values())
    assert not any(key[:8] in one.sentence for one in found.values())


def test_the_command(served: Served, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write_config(tmp_path / "dataset.yaml", served)
    assert main(["doctor", "--offline", "--config", str(file)]) == 0
    told = capsys.readouterr().out
    assert [line.split("  ")[0] for line in told.splitlines() if not line.startswith(" ")][:3] == [
        "config",
        "dataset",
        "ais key",
    ]
    assert told.splitlines()[-1].startswith("10 checks: ")
    file = write_config(tmp_path / "bad.yaml", served, stac={"cloud_cover_max": 400})
    assert main(["doctor", "--offline", "--config", str(file)]) == 1
    assert "→ correct the file" in capsys.readouterr().out
