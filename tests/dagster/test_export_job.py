"""`export_dataset`: the options of the Launchpad reach the export, and the run shows what came of it."""

import json
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest

from s2chips_core import layout, tables
from s2chips_core.config import Settings
from s2chips_core.export.options import KEY_VARIABLE, ExportOptions
from s2chips_core.index.records import INDEX_SCHEMA
from s2chips_dagster.export_job import JOB, OP, ExportConfig
from tests.dagster.conftest import DayRun

KEY = "0123456789abcdef"


def run(day_run: DayRun, out: Path, **options: Any) -> dg.ExecuteInProcessResult:
    return day_run.execute(JOB, day=None, ops={OP: {"out": str(out), **options}})


def error_of(result: dg.ExecuteInProcessResult) -> str:
    [failure] = [event for event in result.all_events if event.is_step_failure]
    error = failure.step_failure_data.error
    assert error is not None
    return f"{error.message} {error.cause.message if error.cause else ''}"


def test_a_whole_export(day_run: DayRun, tmp_path: Path) -> None:
    result = run(day_run, tmp_path / "out")
    assert result.success
    index = tables.read_table(day_run.storage, layout.tiles_index(), INDEX_SCHEMA)
    shown = pd.read_parquet(tmp_path / "out" / "chips.parquet")
    assert shown["chip_id"].tolist() == index["chip_id"].tolist()
    [output] = [event for event in result.all_events if event.is_successful_output]
    metadata = {name: value.value for name, value in output.step_output_data.metadata.items()}
    manifest = json.loads((tmp_path / "out" / "export.json").read_text())
    assert metadata["manifest"] == manifest
    assert (metadata["chips"], metadata["files"]) == (len(index), manifest["files"])
    assert metadata["card"].startswith("# Data card")
    assert metadata["path"] == str(tmp_path / "out")
    assert manifest["ais"] == "synthetic"
    # The demo's pictures are of no public archive: the card does not claim that they are Copernicus data.
    assert "Imagery as served by http://127.0.0.1" in metadata["card"]
    assert "Copernicus Sentinel data" not in metadata["card"]


def test_without_ais_with_the_key_of_the_environment(
    day_run: DayRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    options = {"without_ais": True, "formats": ["geoparquet"], "bands": ["B04", "B03"], "split": ["train"]}
    ids = []
    for name in ("one", "two"):
        assert run(day_run, tmp_path / name, **options).success
        ids.append(pd.read_parquet(tmp_path / name / "chips.parquet")["vessel_id"].tolist())
    assert ids[0] == ids[1]
    told = (tmp_path / "one" / "export.json").read_text()
    assert json.loads(told)["pseudonym_key"] == "environment"
    assert KEY not in told
    assert json.loads(told)["options"]["bands"] == ["B04", "B03"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"formats": ["zarr"]}, "export option format"),
        ({"where": "nonsense > 1"}, "export option where"),
        ({"where": "length_m > 1e6"}, "no chip of"),
        ({"assets": "link", "without_ais": True}, "written anew"),
    ],
)
def test_what_cannot_be_fails_with_the_option(day_run: DayRun, tmp_path: Path, options: dict[str, Any], said: str) -> None:
    result = run(day_run, tmp_path / "out", **options)
    assert not result.success
    assert said in error_of(result)
    assert list(tmp_path.iterdir()) == []


def test_an_empty_folder_name_is_not_taken_for_the_working_folder(day_run: DayRun) -> None:
    result = day_run.execute(JOB, day=None, ops={OP: {"out": " "}})
    assert not result.success
    assert "run config: out: got ' ', expected the path of the folder to make" in error_of(result)


def test_a_short_key_is_refused_unshown(day_run: DayRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, "s3cret")
    result = run(day_run, tmp_path / "out", without_ais=True)
    assert "at least 16" in error_of(result)
    assert "s3cret" not in error_of(result)


def test_defaults_are_those_of_the_core() -> None:
    shown, core = ExportConfig(out="x"), ExportOptions()
    for name in ExportOptions.__dataclass_fields__:
        value, default = getattr(shown, "split" if name == "splits" else name), getattr(core, name)
        # None is not shown in the Launchpad: an empty list or text stands for it.
        assert (tuple(value) if isinstance(value, list) else value) == default or (not value and default is None), name
    # A section of the settings in run config is taken for values of the settings.
    assert not set(ExportConfig.model_fields) & set(Settings.model_fields)
    assert all(field.description for field in ExportConfig.model_fields.values())
