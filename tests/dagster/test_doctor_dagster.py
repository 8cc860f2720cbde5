"""A home of Dagster that is missing or broken, and daemons that do not run."""

import time
from pathlib import Path

import pytest
from dagster import DagsterInstance
from dagster._daemon.types import DaemonHeartbeat

from tests.dagster.doctor_fixtures import Examine, look, served, surroundings

__all__ = ["look", "served", "surroundings"]


def test_dagster(look: Examine, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "has never run" in look(offline=True)["dagster"].sentence
    with DagsterInstance.from_config(str(home)) as instance:
        instance.add_daemon_heartbeat(DaemonHeartbeat(time.time() - 7200, "SENSOR", "1", []))
    assert "has not run since" in look(offline=True)["dagster"].sentence
    (home / "dagster.yaml").write_text("run_monitoring: {enabled: perhaps}\n")
    found = look(offline=True)["dagster"]
    assert (found.verdict, "cannot be opened" in found.sentence) == ("failed", True)
    (home / "dagster.yaml").unlink()
    assert "no dagster.yaml" in look(offline=True)["dagster"].sentence
    monkeypatch.delenv("DAGSTER_HOME")
    monkeypatch.chdir(tmp_path)
    assert "DAGSTER_HOME is not set" in look(offline=True)["dagster"].sentence
