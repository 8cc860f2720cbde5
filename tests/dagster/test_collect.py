"""`s2chips collect-ais`: a schedule recorded from the command line."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest
import yaml

from s2chips_core import layout, tables
from s2chips_core.ais import connection_limit, recording
from s2chips_core.ais.capture_record import PARTIAL, read_records
from s2chips_core.ais.journal import journals
from s2chips_core.ais.snapshots import read_snapshots
from s2chips_core.ais.windows import Window, windows_of_plan
from s2chips_core.overpasses.plan import PLAN_SCHEMA
from s2chips_core.overpasses.schedule import format_schedule
from s2chips_core.sandbox.ais_server import TEST_KEY, AisServed, serve_ais
from s2chips_core.storage import LocalStorage
from s2chips_dagster.cli import main
from s2chips_dagster.resources import NOW_VARIABLE, OFFSET_VARIABLE
from s2chips_dagster.run_config import KEY_VARIABLE
from tests.ais.capture_rig import EAGER, HASTY, TILE, fleet, now
from tests.dagster.conftest import REPOSITORY

pytestmark = pytest.mark.timeout(120)
Words = pytest.CaptureFixture[str]
KEY = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[AisServed]:
    monkeypatch.setattr(connection_limit, "SPACING_S", 0.02)
    with serve_ais(fleet(100), limits=EAGER, keys={KEY}) as served:
        yield served


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No key, the machine's clock, a cache of this test's own, and a working folder without .env."""
    for name in (KEY_VARIABLE, NOW_VARIABLE, OFFSET_VARIABLE, "S2CHIPS_DATASET_ROOT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("S2CHIPS_CONFIG", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def dataset(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path / "dataset")


def config(dataset: LocalStorage, url: str = "ws://127.0.0.1:9/v0/stream", **ais: Any) -> Path:
    tree = {
        "satellite_tracking": {"tiles": [TILE]},
        "ais": {"source": "aisstream", "url": url, **HASTY, "synthetic_ships_per_tile": 5, **ais},
        "storage": {"dataset_root": str(dataset.root)},
    }
    path = dataset.root.parent / "config.yaml"
    path.write_text(yaml.safe_dump(tree))
    return path


def schedule(dataset: LocalStorage, *passes: tuple[str, float], side_s: float = 300.0) -> tuple[Path, list[Window]]:
    """A schedule of passes: tile, and seconds from now; window of so many seconds each side."""
    overpass = pd.to_datetime([now() + timedelta(seconds=seconds) for _, seconds in passes], utc=True).as_unit("ms")
    side = pd.Timedelta(seconds=side_s)
    plan = pd.DataFrame(
        {
            "tile_id": [tile for tile, _ in passes],
            "satellite": "S2C",
            "overpass_time": overpass,
            "window_start": overpass - side,
            "window_end": overpass + side,
            "time_sigma_s": 1.0,
            "imaging": "unknown",
            "source": "tle",
        }
    )
    plan = tables.to_frame(tables.conform(plan, PLAN_SCHEMA, "test"))
    path = dataset.root.parent / "schedule.csv"
    path.write_text(format_schedule(plan))
    return path, windows_of_plan(plan)


def written(dataset: LocalStorage) -> list[str]:
    """All keys of the dataset."""
    paths = dataset.root.rglob("*")
    return sorted(
        path.relative_to(dataset.root).as_posix() for path in paths if path.is_file() and ".locks" not in path.parts
    )


def run(capsys: Words, *arguments: object) -> tuple[int, str, str]:
    code = main(["collect-ais", *map(str, arguments)])
    return code, *capsys.readouterr()


def test_a_dry_run_is_synthetic_at_once_and_marked_so(dataset: LocalStorage, capsys: Words) -> None:
    file, windows = schedule(dataset, (TILE, 3600.0), ("30STE", 3604.0), (TILE, 2 * 86_400.0))
    code, out, err = run(capsys, "--schedule", file, "--window-min", 5, "--config", config(dataset), "--dry-run")
    assert code == 0
    assert "synthetic: for trials, never as ground truth" in err
    told = out.splitlines()
    assert [line.split(": ")[1].split(",")[0] for line in told[:3]] == ["recorded"] * 3
    assert f"{windows[0].overpass_time:%Y-%m-%dT%H:%M:%SZ} {TILE} S2C: recorded, 600 of 600 s" in told[0]
    for day in {window.day for window in windows}:
        fixes = read_snapshots(dataset, day)
        assert set(fixes["ais_source"]) == {"synthetic"}
        assert {record.ais_source for record in read_records(dataset, day)} == {"synthetic"}
    assert len(read_records(dataset, windows[0].day)[0].passes) == 2


def test_what_was_recorded_is_shown_in_the_ui(home: Path, dataset: LocalStorage, capsys: Words) -> None:
    file, windows = schedule(dataset, (TILE, 3600.0), (TILE, 2 * 86_400.0))
    code, _, _ = run(capsys, "--schedule", file, "--config", config(dataset), "--dry-run")
    assert code == 0
    with dg.DagsterInstance.from_config(str(home)) as instance:
        shown = instance.fetch_materializations(dg.AssetKey("ais_snapshots"), limit=10).records
    assert {record.partition_key for record in shown} == {window.day.isoformat() for window in windows}
    for record in shown:
        assert record.asset_materialization is not None
        assert record.asset_materialization.metadata["ais_source"].value == "synthetic"


def test_a_dry_run_twice_adds_nothing(dataset: LocalStorage, capsys: Words) -> None:
    file, windows = schedule(dataset, (TILE, 3600.0))
    arguments = ("--schedule", file, "--config", config(dataset), "--dry-run")
    first = run(capsys, *arguments)
    before = read_snapshots(dataset, windows[0].day)
    second = run(capsys, *arguments)
    assert first[:2] == second[:2]
    pd.testing.assert_frame_equal(read_snapshots(dataset, windows[0].day), before)
    assert len(read_records(dataset, windows[0].day)) == 1


def test_a_dry_run_leaves_a_real_dataset_alone(dataset: LocalStorage, capsys: Words) -> None:
    dataset.put(layout.dataset_note(), b'{"ais": "real"}')
    file, _ = schedule(dataset, (TILE, 3600.0))
    code, out, err = run(capsys, "--schedule", file, "--config", config(dataset), "--dry-run")
    assert (code, out) == (1, "")
    assert "this dataset is of real AIS, got synthetic" in err
    assert written(dataset) == [layout.dataset_note()]


def test_without_a_key_nothing_is_written(dataset: LocalStorage, capsys: Words) -> None:
    file, _ = schedule(dataset, (TILE, 3600.0))
    code, out, err = run(capsys, "--schedule", file, "--config", config(dataset))
    assert (code, out) == (1, "")
    assert "AISSTREAM_API_KEY is not set" in err
    assert ".env" in err
    assert written(dataset) == []


def test_the_passes_to_come_are_waited_for_and_recorded(
    served: AisServed, dataset: LocalStorage, capsys: Words, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    monkeypatch.setattr(recording, "CONNECT_EARLY", timedelta(seconds=1))
    # The first has closed, the next two overlap, the last comes on its own.
    file, windows = schedule(dataset, (TILE, -3600.0), (TILE, 3.0), ("30STE", 3.5), (TILE, 8.0))
    code, out, err = run(capsys, "--schedule", file, "--window-min", 0.02, "--config", config(dataset, served.url))
    assert code == 0
    told = out.splitlines()
    assert [line.split(": ")[1].split(",")[0] for line in told[:4]] == ["missed", "recorded", "recorded", "recorded"]
    assert "2 of 2 s" in told[1]
    assert str(dataset.path(layout.ais_folder(windows[1].day))) in told[-1]
    assert "next window opens at" in err
    assert f"UTC, {TILE}, in" in err
    assert len(served.subscriptions) == 2, "one connection for each group"
    fixes = read_snapshots(dataset, windows[1].day)
    assert len(fixes) > 0
    assert set(fixes["ais_source"]) == {"aisstream"}
    assert journals(dataset) == []
    assert KEY not in out + err
    files = [path for path in dataset.root.parent.rglob("*") if path.is_file()]
    assert not [path for path in files if KEY.encode() in path.read_bytes()]


def test_passes_of_the_past_alone_are_a_failure(
    dataset: LocalStorage, capsys: Words, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    file, windows = schedule(dataset, (TILE, -7200.0))
    code, out, _ = run(capsys, "--schedule", file, "--config", config(dataset))
    assert code == 1
    assert out == f"{windows[0].overpass_time:%Y-%m-%dT%H:%M:%SZ} {TILE} S2C: missed\n"
    assert written(dataset) == []


def test_a_schedule_without_passes_is_done(dataset: LocalStorage, capsys: Words) -> None:
    file, _ = schedule(dataset)
    code, out, err = run(capsys, "--schedule", file, "--config", config(dataset))
    assert (code, out) == (0, "")
    assert "has no passes" in err


def test_a_key_that_is_refused_fails_at_once_without_showing_it(
    served: AisServed, dataset: LocalStorage, capsys: Words, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = KEY[::-1]
    monkeypatch.setenv(KEY_VARIABLE, wrong)
    file, _ = schedule(dataset, (TILE, 0.0))
    code, out, err = run(capsys, "--schedule", file, "--config", config(dataset, served.url))
    assert code == 1
    assert "missed, 0 of 600 s" in out
    assert "does not take the key" in err
    assert wrong not in out + err


def test_a_service_that_is_away_fails_with_its_reason(
    dataset: LocalStorage, capsys: Words, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    file, _ = schedule(dataset, (TILE, 0.0))
    code, out, err = run(capsys, "--schedule", file, "--window-min", 0.02, "--config", config(dataset))
    assert code == 1
    assert "missed, 0 of 2 s" in out
    assert "connection refused" in out
    assert err.splitlines()[-1].startswith("s2chips: AIS service ws://127.0.0.1:9/v0/stream: no connection until")


def test_a_clock_that_stands_still_cannot_wait(
    dataset: LocalStorage, capsys: Words, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    monkeypatch.setenv(NOW_VARIABLE, now().isoformat())
    file, _ = schedule(dataset, (TILE, 3600.0))
    code, _, err = run(capsys, "--schedule", file, "--config", config(dataset))
    assert code == 1
    assert "the clock stands at" in err
    assert written(dataset) == []


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--schedule"],
        ["--schedule", "x.csv", "--window-min", "0"],
        ["--schedule", "x.csv", "--window-min", "61"],
        ["--schedule", "x.csv", "--window-min", "nan"],
        ["--schedule", "x.csv", "--window-min", "five"],
    ],
)
def test_wrong_usage_is_exit_code_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["collect-ais", *arguments])
    assert stopped.value.code == 2


def test_a_schedule_that_is_none_is_named(dataset: LocalStorage, capsys: Words) -> None:
    code, _, err = run(capsys, "--schedule", dataset.root / "none.csv", "--config", config(dataset))
    assert code == 1
    assert "none.csv" in err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_cleanly_and_keeps_what_was_heard(
    served: AisServed, dataset: LocalStorage, number: signal.Signals
) -> None:
    file, windows = schedule(dataset, (TILE, 0.0), ("30STE", 7200.0))
    arguments = ["--schedule", str(file), "--config", str(config(dataset, served.url))]
    process = subprocess.Popen(
        [sys.executable, "-m", "s2chips_dagster.cli", "collect-ais", *arguments],
        env={**os.environ, KEY_VARIABLE: KEY, "PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        served.wait_subscribed(timeout_s=30)
        time.sleep(1.5)
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 1
    assert err.splitlines()[-1] == "s2chips: stopped"
    assert "Traceback" not in err
    first, second, *_ = out.splitlines()
    assert ": partial, " in first
    assert "stopped" in first
    assert second.endswith("30STE S2C: to come")
    [record] = read_records(dataset, windows[0].day)
    assert (record.ended, record.passes[0].status) == ("stopped", PARTIAL)
    assert read_snapshots(dataset, windows[0].day)["mmsi"].nunique() == 20
    assert KEY not in out + err
    assert TEST_KEY not in out + err
