"""`s2chips export`: what is asked, what is told, and the exit code."""

from pathlib import Path

import pandas as pd
import pytest

from s2chips_dagster.cli import main
from s2chips_dagster.export_command import CHOSEN
from s2chips_dagster.export_job import ExportConfig
from tests.dagster.conftest import DayRun


def test_every_option_of_the_job(day_run: DayRun) -> None:
    assert {*CHOSEN, "out", "formats", "split"} == set(ExportConfig.model_fields)


def test_results_on_stdout(day_run: DayRun, home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    arguments = ["--split", "train", "--where", "length_m > 20", "--array", "npy", "--shard-chips", "3", "--seed", "7"]
    assert main(["export", "--config", str(day_run.config), "--out", str(out), *arguments]) == 0
    told = capsys.readouterr()
    chips = len(pd.read_parquet(out / "chips.parquet"))
    lines = told.out.splitlines()
    assert lines[0].startswith(f"{chips} chips ({chips} train) with ")
    assert lines[0].endswith("labelled SYNTHETIC ships")
    assert any("left out" in line and "of another split" in line for line in lines)
    assert any(line.startswith("  coco train: ") for line in lines)
    assert f"  webdataset train: {chips} chips in {-(-chips // 3)} shards" in lines
    assert f"  folder: {out} (" in told.out
    assert lines[-1] == f"  card: {out / 'DATACARD.md'}"
    assert "chips chosen" in told.err
    assert "chips chosen" not in told.out
    # Again into the same folder: the earlier export is replaced.
    again = ["--format", "geoparquet", "--format", "stac"]
    assert main(["export", "--config", str(day_run.config), "--out", str(out), *again]) == 0
    assert (out / "stac").is_dir()
    assert (out / "chips.parquet").is_file()
    assert not (out / "webdataset").exists()


def test_failures_are_one_sentence(day_run: DayRun, home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("mine")
    assert main(["export", "--config", str(day_run.config), "--out", str(tmp_path / "out")]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert "expected a new or empty folder, or an earlier export; it holds other files" in told.err
    assert (tmp_path / "out" / "thesis.tex").read_text() == "mine"


@pytest.mark.parametrize(
    "arguments", [[], ["--out"], ["--out", "x", "--format", "zarr"], ["--out", "x", "--shard-mb", "big"]]
)
def test_wrong_usage(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["export", *arguments])
    assert stopped.value.code == 2
