"""The command line: usage, exit codes, and where things are said."""

import errno
import io
import re
import subprocess
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from s2chips_core import layout, tables
from s2chips_core.index.outcomes import OUTCOME_SCHEMA
from s2chips_core.index.records import INDEX_SCHEMA
from s2chips_core.overpasses.plan import PLAN_SCHEMA
from s2chips_core.overpasses.schedule import read_schedule
from s2chips_core.sandbox.archive import DEMO_DAYS, DEMO_NOW
from s2chips_core.sandbox.server import Served
from s2chips_core.storage import LocalStorage
from s2chips_dagster import cli, demo
from s2chips_dagster.cli import main
from s2chips_dagster.runs import Runs
from tests.dagster.conftest import DAY, REPOSITORY, Dataset, DayRun, MakeDataset, files_of, start_cli


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--version"], ["--help"], ["run", "--help"]):
        with pytest.raises(SystemExit) as stopped:
            main(arguments)
        assert stopped.value.code == 0
    assert "chip-from-file" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["fly"],
        ["run", "--date", "27.10.2025"],
        ["run", "--max-chips", "-1"],
        ["run", "--max-chips", "few"],
        ["chip-from-file"],
        ["chip-from-file", "ships.csv", "--column", "mmsi"],
        ["chip-from-file", "ships.csv", "--column", "mmsi="],
        ["predict-overpasses", "--days", "0"],
        ["recut"],
        ["recut", "--check", "0"],
        ["recut", "a", "--check", "2"],
        ["recut", "a", "b", "--out", "again.tif"],
        ["recut", "--check", "2", "--out", "again.tif"],
        ["recut", "0123456789abcdef", "--moved", "https://a"],
        ["predict-overpasses", "--source", "horoscope"],
        ["demo", "--config", "x.yaml"],
        ["prune", "--time-tolerance-min", "0"],
        ["prune", "--distance-tolerance-m", "inf"],
        ["prune", "--distance-tolerance-m", "far"],
        ["prune", "--dry-run", "--restore", "latest"],
        ["prune", "--restore"],
        ["prune", "--list", "--distance-tolerance-m", "5"],
        ["prune", "--first-day", "2025-10-28", "--last-day", "2025-10-27"],
    ],
)
def test_wrong_usage_is_exit_code_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2


def test_a_wrong_configuration_is_exit_code_1_and_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.setenv("S2CHIPS_CONFIG", "")
    file = tmp_path / "c.yaml"
    file.write_text("satellite_tracking: {tiles: [30STF]}\nstac: {cloud_cover_max: 400}\n")
    assert main(["run", "--config", str(file)]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert "stac.cloud_cover_max: got 400" in told.err
    assert main(["run", "--config", str(tmp_path / "none.yaml")]) == 1
    assert "none.yaml" in capsys.readouterr().err


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from s2chips_dagster.cli import _parser; _parser().format_help(); "
        "print([m for m in ('dagster', 'pandas', 'rasterio', 'pyarrow') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


Words = pytest.CaptureFixture[str]


def run(capfd: Words, *arguments: object) -> tuple[int, str, str]:
    """Exit code, stdout, stderr."""
    capfd.readouterr()
    code = main([str(argument) for argument in arguments])
    told = capfd.readouterr()
    return code, told.out, told.err


def tifs(storage: LocalStorage) -> set[str]:
    return {key for key in storage.list("chips") if key.endswith(".tif") and not key.endswith("_masks.tif")}


def last_words(stderr: str) -> str:
    """The lines that are for people: what Dagster logs has its date in front."""
    return "\n".join(line for line in stderr.splitlines() if line.startswith("s2chips: "))


def test_run_prints_the_result_and_logs_elsewhere(make_dataset: MakeDataset, home: Path) -> None:
    dataset = make_dataset()
    process = start_cli("run", "--date", DAY, "--max-chips", 2, "--config", dataset.config, home=home)
    stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == 0, stderr[-3000:]
    lines = stdout.splitlines()
    assert lines[0].startswith(f"{DAY}: ")
    assert "2 chipped" in lines[0]
    assert [line.split(":")[0].strip() for line in lines[1:]] == ["page", "footprints", "index", "all days"]
    for line in lines[1:]:
        assert Path(line.split(": ", 1)[1]).is_file()
    assert "STEP_SUCCESS" in stderr or "chips cut" in stderr
    assert "Traceback" not in stderr

    # The cap holds in every place.
    assert len(tifs(dataset.storage)) == 2
    assert len(tables.read_table(dataset.storage, layout.tiles_index(), INDEX_SCHEMA)) == 2
    outcomes = tables.read_table(dataset.storage, layout.outcomes(DAY), OUTCOME_SCHEMA)
    assert (outcomes["outcome"] == "chipped").sum() == 2
    assert (outcomes["outcome"] == "over_cap").any()


def test_max_ships_caps_what_is_tried(make_dataset: MakeDataset, home: Path, capfd: Words) -> None:
    dataset = make_dataset()
    code, out, _ = run(capfd, "run", "--date", DAY, "--max-ships", 5, "--config", dataset.config)
    assert code == 0
    outcomes = tables.read_table(dataset.storage, layout.outcomes(DAY), OUTCOME_SCHEMA)
    assert (outcomes["outcome"] != "over_cap").sum() == 5
    assert f"{len(outcomes) - 5} over_cap" in out


def test_the_day_is_lag_days_ago_unless_it_is_named(copied: Dataset, home: Path, capfd: Words) -> None:
    code, out, _ = run(capfd, "run", "--config", copied.config)
    assert code == 0
    assert out.startswith(f"{DEMO_NOW.date() - timedelta(days=2)}: ")
    assert DEMO_NOW.date() - timedelta(days=2) == DAY


@pytest.mark.parametrize("day", ["2025-09-30", "2999-01-01"])
def test_a_day_that_is_no_partition_is_refused_in_words(
    make_dataset: MakeDataset, home: Path, capfd: Words, day: str
) -> None:
    code, out, err = run(capfd, "run", "--date", day, "--config", make_dataset().config)
    assert (code, out) == (1, "")
    assert "Traceback" not in err
    assert (
        last_words(err) == f"s2chips: day: got '{day}', expected a day from 2025-10-01 (scheduling.first_day) to today, UTC"
    )


def test_real_ais_without_capture_fails_with_one_clear_sentence(make_dataset: MakeDataset, home: Path, capfd: Words) -> None:
    dataset = make_dataset(ais={"source": "aisstream"})
    code, out, err = run(capfd, "run", "--date", DAY, "--config", dataset.config)
    assert (code, out) == (1, "")
    told = [line for line in err.splitlines() if line.startswith("s2chips: ")]
    assert len(told) == 1
    assert "AISSTREAM_API_KEY is not set" in told[0]
    assert "synthetic ships never stand in for real ones unasked" in told[0]
    # Nothing synthetic, nothing at all but the plan.
    assert {
        key.split("/")[0] for key in files_of(dataset.storage, "ais", "chips", "matches", "outcomes", "indexes")
    } == set()


def test_an_archive_that_fails_is_told_in_words(
    sandbox: Served, make_dataset: MakeDataset, home: Path, capfd: Words
) -> None:
    sandbox.faults.fail("404", match="/search")
    dataset = make_dataset(served=sandbox)
    code, out, err = run(capfd, "run", "--date", DAY, "--config", dataset.config)
    assert (code, out) == (1, "")
    assert last_words(err).startswith(f"s2chips: overpass_plan: STAC service {sandbox.stac_url}")


@pytest.fixture
def table(day_run: DayRun, tmp_path: Path) -> Path:
    """Three ships of the demo day."""
    index = tables.read_table(day_run.storage, layout.tiles_index(), INDEX_SCHEMA).head(3)
    frame = index[["mmsi", "lat", "lon"]].assign(overpass_time=index["scene_datetime"].dt.strftime("%Y-%m-%dT%H:%M:%SZ"))
    frame.to_csv(tmp_path / "ships.csv", index=False)
    frame.to_excel(tmp_path / "ships.xlsx", index=False)
    return tmp_path / "ships.csv"


@pytest.mark.parametrize("suffix", [".csv", ".xlsx"])
def test_chip_from_file(make_dataset: MakeDataset, home: Path, table: Path, capfd: Words, suffix: str) -> None:
    dataset = make_dataset()
    code, out, err = run(capfd, "chip-from-file", table.with_suffix(suffix), "--config", dataset.config)
    assert code == 0, err[-2000:]
    assert out.splitlines()[0] == f"{DAY}: 3 targets: 3 chipped"
    assert len(tifs(dataset.storage)) == 3


def test_chip_from_file_holds_to_the_cap(make_dataset: MakeDataset, home: Path, table: Path, capfd: Words) -> None:
    dataset = make_dataset()
    code, out, _ = run(capfd, "chip-from-file", table, "--max-chips", 1, "--config", dataset.config)
    assert code == 0
    assert out.splitlines()[0] == f"{DAY}: 3 targets: 1 chipped, 2 over_cap"
    assert len(tifs(dataset.storage)) == 1


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("poem.csv", b"shall I compare thee\nto a summer's day\n", "at least mmsi, lat, lon"),
        ("broken.xlsx", b"PK\x03\x04 no workbook", "broken.xlsx"),
        ("empty.csv", b"", "empty.csv"),
        ("none.csv", None, "a readable CSV, XLSX or Parquet file"),
    ],
)
def test_a_file_that_is_no_table_is_a_clear_error(
    make_dataset: MakeDataset, home: Path, tmp_path: Path, capfd: Words, name: str, data: bytes | None, said: str
) -> None:
    dataset = make_dataset()
    if data is not None:
        (tmp_path / name).write_bytes(data)
    code, out, err = run(capfd, "chip-from-file", tmp_path / name, "--config", dataset.config)
    assert (code, out) == (1, "")
    assert "Traceback" not in err
    [told] = [line for line in err.splitlines() if line.startswith("s2chips: ")]
    assert name in told
    assert said in told
    assert not dataset.storage.root.exists()


def test_a_file_without_rows_is_done(make_dataset: MakeDataset, home: Path, tmp_path: Path, capfd: Words) -> None:
    (tmp_path / "none.csv").write_text("mmsi,lat,lon\n")
    dataset = make_dataset()
    code, out, _ = run(capfd, "chip-from-file", tmp_path / "none.csv", "--config", dataset.config)
    assert code == 0
    [report] = re.findall(r"^  rows: (\S+\.csv)$", out, re.MULTILINE)
    assert Path(report).read_bytes().count(b"\n") == 1, "its header"
    assert tables.read_table(dataset.storage, layout.tiles_index(), INDEX_SCHEMA).empty


def test_columns_are_named_on_the_command_line(
    make_dataset: MakeDataset, home: Path, table: Path, tmp_path: Path, capfd: Words
) -> None:
    dataset = make_dataset()
    strange = tmp_path / "strange.csv"
    pd.read_csv(table).rename(columns={"mmsi": "Schiff", "overpass_time": "Seen at"}).to_csv(strange, index=False)
    named = ["--column", "mmsi=Schiff", "--column", "overpass_time = Seen at"]
    code, out, err = run(capfd, "chip-from-file", strange, *named, "--config", dataset.config)
    assert code == 0, err[-2000:]
    assert out.splitlines()[0] == f"{DAY}: 3 targets: 3 chipped"
    [report] = re.findall(r"^  rows: (\S+\.csv)$", out, re.MULTILINE)
    assert Path(report).read_text(encoding="utf-8-sig").count("chipped") == 3


@pytest.mark.parametrize(
    ("column", "said"),
    [
        ("mmsi=Boot", "ais.columns.mmsi: got 'Boot', expected the title of a column; there are ['mmsi', 'lat', 'lon'"),
        ("mmssi=Boot", "command line: ais.columns.mmssi"),
    ],
)
def test_a_column_that_cannot_be_is_one_sentence(
    make_dataset: MakeDataset, home: Path, table: Path, capfd: Words, column: str, said: str
) -> None:
    dataset = make_dataset()
    code, out, err = run(capfd, "chip-from-file", table, "--column", column, "--config", dataset.config)
    assert (code, out) == (1, "")
    [told] = [line for line in err.splitlines() if line.startswith("s2chips: ")]
    assert said in told
    assert not dataset.storage.root.exists()


def test_a_run_that_is_refused_before_it_begins_says_why(make_dataset: MakeDataset, home: Path, capfd: Words) -> None:
    dataset = make_dataset()
    runs = Runs(dataset.config)
    assert not runs.run_day(DAY, {"chips": {"gate": {"max_land_center_frac": 7}}})
    [told] = [line for line in capfd.readouterr().err.splitlines() if line.startswith("s2chips: ")]
    assert told.startswith("s2chips: run config of chips: gate.max_land_center_frac: got 7, expected")
    assert not dataset.storage.root.exists()


def predict(capfd: Words, *arguments: object) -> tuple[pd.DataFrame, str]:
    code, out, err = run(capfd, "predict-overpasses", *arguments)
    assert code == 0, err
    return pd.read_csv(io.StringIO(out)), err


def test_predict_overpasses_prints_the_plan(make_dataset: MakeDataset, home: Path, capfd: Words) -> None:
    dataset = make_dataset()
    found, err = predict(capfd, "--start", DAY, "--days", 2, "--config", dataset.config)
    assert list(found.columns) == PLAN_SCHEMA.names
    kept = tables.read_table(dataset.storage, layout.plan(DAY), PLAN_SCHEMA)
    assert list(found["tile_id"]) == list(kept["tile_id"])
    # Times are ISO 8601 in UTC, and say so.
    assert found["overpass_time"].str.fullmatch(r"2025-10-27T\d\d:\d\d:\d\d\.\d{3,6}Z").all()
    assert list(pd.to_datetime(found["overpass_time"])) == list(kept["overpass_time"])
    assert f"{DAY}: {len(kept)} overpasses" in err
    assert f"{DAY + timedelta(days=1)}: 0 overpasses" in err


def test_predict_overpasses_reaches_back_as_configured(make_dataset: MakeDataset, home: Path, capfd: Words) -> None:
    dataset = make_dataset(satellite_tracking={"backfill_days": 3})
    found, err = predict(capfd, "--config", dataset.config)
    assert err.count(" overpasses") == 3
    assert found["overpass_time"].str.startswith(str(DEMO_DAYS[1])).all()
    assert len(found) > 0


def test_predict_overpasses_of_nothing_is_a_table_all_the_same(make_dataset: MakeDataset, home: Path, capfd: Words) -> None:
    dataset = make_dataset()
    found, _ = predict(capfd, "--start", "2025-10-20", "--days", 2, "--config", dataset.config)
    assert list(found.columns) == PLAN_SCHEMA.names
    assert found.empty


def test_predict_overpasses_writes_a_file_and_says_where(
    make_dataset: MakeDataset, home: Path, tmp_path: Path, capfd: Words
) -> None:
    dataset = make_dataset()
    out_file = tmp_path / "plan" / "schedule.csv"
    arguments = ("predict-overpasses", "--start", DAY, "--days", 1, "--config", dataset.config, "--out")
    code, out, _ = run(capfd, *arguments, out_file)
    assert (code, out) == (0, f"{out_file}\n")
    assert list(pd.read_csv(out_file).columns) == PLAN_SCHEMA.names
    code, out, err = run(capfd, *arguments, tmp_path)  # a folder
    assert (code, out) == (1, "")
    assert str(tmp_path) in last_words(err)


def test_a_schedule_that_cannot_be_written_whole_leaves_the_one_before(
    make_dataset: MakeDataset, home: Path, tmp_path: Path, capfd: Words, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = make_dataset()
    out_file = tmp_path / "schedule.csv"
    out_file.write_text("before")
    rename = Path.replace

    def full(path: Path, target: Path) -> Path:
        if target == out_file:
            raise OSError(errno.ENOSPC, "No space left on device")
        return rename(path, target)

    monkeypatch.setattr(Path, "replace", full)
    arguments = ("predict-overpasses", "--start", DAY, "--days", 1, "--config", dataset.config, "--out", out_file)
    code, out, err = run(capfd, *arguments)
    assert (code, out) == (1, "")
    assert "schedule.csv" in last_words(err)
    assert out_file.read_text() == "before"
    assert sorted(path.name for path in tmp_path.glob("*schedule*")) == ["schedule.csv"]


def test_a_printed_plan_is_a_schedule(make_dataset: MakeDataset, home: Path, tmp_path: Path, capfd: Words) -> None:
    dataset = make_dataset()
    out_file = tmp_path / "schedule.csv"
    code, _, _ = run(capfd, "predict-overpasses", "--start", DAY, "--days", 1, "--config", dataset.config, "--out", out_file)
    assert code == 0
    kept = tables.read_table(dataset.storage, layout.plan(DAY), PLAN_SCHEMA)
    assert len(kept) > 0
    pd.testing.assert_frame_equal(read_schedule(out_file), kept)


def test_predict_overpasses_looks_ahead_from_today(make_dataset: MakeDataset, home: Path, capfd: Words) -> None:
    """The archive knows 10-12 and 10-27; on 10-29 the repeat cycle tells 11-01 and 11-06, there is nothing else."""
    nowhere = {"tle_sources": ["/nowhere/a.tle"], "acquisition_plan_sources": []}
    dataset = make_dataset(satellite_tracking={"source": "backfill", "horizon_days": 9, **nowhere})
    found, err = predict(capfd, "--source", "auto", "--config", dataset.config)
    days = [DEMO_NOW.date() + timedelta(days=n) for n in range(9)]
    assert [line.split(":")[0] for line in err.splitlines() if line.endswith(" overpasses")] == [str(day) for day in days]
    assert set(found["source"]) == {"repeat_cycle"}
    assert set(found["overpass_time"].str[:10]) == {"2025-11-01", "2025-11-06"}
    warnings = [line for line in err.splitlines() if line.startswith("s2chips: warning: ")]
    assert any("/nowhere/a.tle: cannot be read" in line for line in warnings)
    assert dataset.storage.exists(layout.plan(days[-1]))
    with dg.DagsterInstance.from_config(str(home)) as instance:
        shown = instance.get_materialized_partitions(dg.AssetKey("overpass_plan"))
    assert shown == {str(day) for day in days}


def test_predict_overpasses_without_elements_is_a_clear_error(make_dataset: MakeDataset, home: Path, capfd: Words) -> None:
    dataset = make_dataset(satellite_tracking={"tle_sources": ["/nowhere/a.tle"]})
    code, out, err = run(capfd, "predict-overpasses", "--source", "tle", "--config", dataset.config)
    assert (code, out) == (1, "")
    told = last_words(err)
    assert told.startswith("s2chips: satellite_tracking.tle_sources: got '/nowhere/a.tle: cannot be read")
    assert "there are no orbital elements of S2B" in told


@pytest.mark.parametrize("done", [True, False])
def test_demo_is_exit_code_0_or_1(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, done: bool) -> None:
    asked: list[object] = []

    def run_demo(folder: Path, *, ui: bool, port: int) -> bool:
        asked.extend([folder, ui, port])
        return done

    monkeypatch.setattr(demo, "run_demo", run_demo)
    monkeypatch.chdir(tmp_path)
    assert main(["demo", "--folder", "there", "--port", "4321"]) == (0 if done else 1)
    assert asked == [tmp_path / "there", False, 4321]


def test_an_interruption_is_exit_code_1_and_no_traceback(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: Words
) -> None:
    def interrupted(*_: object, **__: object) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "run_demo", interrupted)
    monkeypatch.chdir(tmp_path)
    assert run(capfd, "demo") == (cli.FAILED, "", "s2chips: stopped\n")


def test_env_file_beside_the_workspace_is_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, make_dataset: MakeDataset, home: Path, capfd: Words
) -> None:
    """`.env` names the configuration; what the environment says already goes before it."""
    dataset = make_dataset()
    (tmp_path / ".env").write_text(f"S2CHIPS_CONFIG={dataset.config}\n")
    monkeypatch.chdir(tmp_path)
    arguments: Sequence[object] = ("--start", DAY, "--days", 1)
    found, _ = predict(capfd, *arguments)
    assert len(found) > 0
    monkeypatch.setenv("S2CHIPS_CONFIG", "other.yaml")
    code, _, err = run(capfd, "predict-overpasses", *arguments)
    assert code == 1
    assert "other.yaml" in last_words(err)
