"""`s2chips prune`: what is said where, and exit codes."""

from pathlib import Path

import pandas as pd
import pytest

from s2chips_core import layout
from s2chips_core.index.prune_selection import PRUNE_SCHEMA
from s2chips_core.sandbox.archive import DEMO_NOW
from s2chips_dagster.prune_command import format_reasons
from tests.dagster.conftest import DAY, Dataset, files_of
from tests.dagster.test_cli import run
from tests.dagster.test_prune_jobs import FOLDERS, index_of, spoil_ais

TRASH = layout.trash_id(DEMO_NOW)


def test_dry_run_prune_list_restore(copied: Dataset, home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    storage = copied.storage
    reasons = spoil_ais(storage)
    before, count = files_of(storage, *FOLDERS), len(index_of(storage))
    config = ("--config", copied.config)

    code, out, err = run(capfd, "prune", "--dry-run", *config)
    assert code == 0, err[-2000:]
    lines = out.splitlines()
    assert lines[0].split() == ["chip_id", "mmsi", "ship", "dt_s", "distance_m", "reason"]
    assert {int(line.split()[1]): line.split()[-1] for line in lines[1:4]} == reasons
    assert lines[4] == f"3 of {count} chips would go: tolerances 10 min, 500 m"
    assert f"{DAY}: {count} chips judged, 3 without AIS" in err
    assert files_of(storage, *FOLDERS) == before

    tolerances = ("--time-tolerance-min", "30", "--distance-tolerance-m", "2000")
    code, out, _ = run(capfd, "prune", *tolerances, *config)
    assert code == 0
    assert out.splitlines()[3].startswith("2 of ")
    assert "tolerances 30 min, 2000 m" in out
    assert f"s2chips prune --restore {TRASH}" in out

    code, out, _ = run(capfd, "prune", "--list", *config)
    assert code == 0
    assert out.splitlines()[1].split()[:2] == [TRASH, "2"]

    code, out, _ = run(capfd, "prune", "--restore", "latest", *config)
    assert (code, out) == (0, f"trash {TRASH}: 2 chips put back, 0 could not be\n")
    assert files_of(storage, *FOLDERS) == before

    code, out, _ = run(capfd, "prune", "--list", *config)
    assert (code, out) == (0, "there is no trash\n")
    code, out, err = run(capfd, "prune", "--restore", "latest", *config)
    assert (code, out) == (1, "")
    assert "a trash, but there is none" in err


def test_nothing_to_prune(copied: Dataset, home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    count = len(index_of(copied.storage))
    code, out, _ = run(capfd, "prune", "--config", copied.config)
    assert (code, out) == (0, f"0 of {count} chips went: tolerances 10 min, 500 m\n")
    code, out, _ = run(capfd, "prune", "--last-day", "2025-01-01", "--config", copied.config)
    assert (code, out) == (0, "0 of 0 chips went: tolerances 10 min, 500 m\n")


def test_chips_that_cannot_be_put_back_are_a_failure(copied: Dataset, home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    spoil_ais(copied.storage)
    run(capfd, "prune", "--config", copied.config)
    # Ships are matched by the AIS as it is now: the targets are others.
    assert copied.execute("chip_day").success
    code, out, _ = run(capfd, "prune", "--restore", TRASH, "--config", copied.config)
    assert code == 1
    assert out.splitlines()[0] == f"trash {TRASH}: 0 chips put back, 3 could not be"
    assert len(out.splitlines()) == 4


def test_the_table_is_in_columns() -> None:
    rows = [
        {"chip_id": "a" * 16, "mmsi": 244660000, "ship_name": None, "dt_s": None, "distance_m": None, "reason": "no_ais"},
        {"chip_id": "b" * 16, "mmsi": 1, "ship_name": "A Ø", "dt_s": -61.04, "distance_m": 1234.56, "reason": "distance"},
    ]
    frame = pd.DataFrame(rows).astype({"dt_s": float, "distance_m": float})
    assert set(frame.columns) <= set(PRUNE_SCHEMA.names)
    assert format_reasons(frame) == (
        "chip_id                mmsi  ship   dt_s  distance_m  reason\n"
        "aaaaaaaaaaaaaaaa  244660000  -         -           -  no_ais\n"
        "bbbbbbbbbbbbbbbb          1  A Ø   -61.0      1234.6  distance"
    )
