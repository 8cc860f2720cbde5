"""What docs/operations.md says of controls is what the jobs offer, and a bad value stops a run before it begins."""

import json
import math
import re
from pathlib import Path
from typing import Any, NamedTuple

import dagster as dg
import pytest
import yaml
from dagster._core.snap.config_types import build_config_schema_snapshot
from dagster._core.snap.snap_to_yaml import default_values_yaml_from_type_snap
from pydantic import BaseModel

from s2chips_core.ais.tables import COLUMN_ALIASES
from s2chips_core.config import Settings, load_settings
from s2chips_core.errors import ConfigError
from s2chips_core.sections import ALL, Retention
from s2chips_dagster.definitions import build_definitions
from s2chips_dagster.run_config import KEY_VARIABLE, refuse_bad_values
from tests.dagster.conftest import DAY, REPOSITORY, DayRun, MakeDataset

PRODUCTION = REPOSITORY / "config" / "config.yaml"
SETTINGS = load_settings(PRODUCTION, {})
DEFINITIONS = build_definitions(PRODUCTION)
JOBS = {job.name: job for job in DEFINITIONS.resolve_all_job_defs() if not job.name.startswith("__")}
CONTROLS = (REPOSITORY / "docs" / "operations.md").read_text(encoding="utf-8")
FILE_JOB, FILE_STEP = "chip_from_ais_file", "chip_ais_file"
PLACES = (("path",), ("out",))
"""What has no default: the file to read, the folder to write."""
CAPS = ("limits.max_ships", "limits.max_chips", *(f"retention.{key}" for key in Retention.model_fields))


class Field(NamedTuple):
    """A value of a job's run config."""

    job: str
    step: str
    path: tuple[str, ...]
    field: Any
    """As Dagster has it."""

    @property
    def key(self) -> str:
        return ".".join(self.path)

    def given(self, value: object) -> dict[str, Any]:
        """Run config with this value."""
        tree: Any = value
        for name in reversed(self.path):
            tree = {name: tree}
        if self.job == FILE_JOB and self.path != ("path",):
            tree = {"path": str(PRODUCTION), **tree}
        return {"ops": {self.step: {"config": tree}}}


def _leaves(job: str, step: str, config_type: Any, path: tuple[str, ...] = ()) -> list[Field]:
    found = []
    for name, field in config_type.fields.items():
        inner = field.config_type
        if isinstance(getattr(inner, "fields", None), dict):
            found += _leaves(job, step, inner, (*path, name))
        else:
            found.append(Field(job, step, (*path, name), field))
    return found


def _fields() -> list[Field]:
    found = []
    for name, job in JOBS.items():
        for step, op in job.run_config_schema.config_type.fields["ops"].config_type.fields.items():
            config = op.config_type.fields.get("config")
            if config is not None and isinstance(getattr(config.config_type, "fields", None), dict):
                found += _leaves(name, step, config.config_type)
    return found


# Dagster keeps steps in a set; workers that share the tests must agree on their order.
FIELDS = sorted(_fields(), key=lambda field: (field.job, field.step, field.path))
OF_SETTINGS = [field for field in FIELDS if len(field.path) == 2 and field.path[0] in Settings.model_fields]


def name_of(field: Field) -> str:
    return f"{field.job}-{field.step}-{field.key}"


def model_of(section: str) -> type[BaseModel]:
    model = Settings.model_fields[section].annotation
    assert isinstance(model, type)
    assert issubclass(model, BaseModel)
    return model


# --- the Launchpad


def test_the_jobs_have_fields() -> None:
    assert {(field.job, field.key) for field in OF_SETTINGS} >= {
        ("run_day", "gate.cloud_classes"),
        ("chip_day", "stac.cloud_cover_max"),
        ("capture_ais", "ais.source"),
        (FILE_JOB, "ais.columns"),
    }


@pytest.mark.parametrize("field", OF_SETTINGS, ids=name_of)
def test_a_field_opens_with_the_value_of_the_file_and_its_description(field: Field) -> None:
    section, key = field.path
    assert field.field.default_provided
    value = getattr(SETTINGS, section).model_dump(mode="json")[key]
    assert field.field.default_value == (ALL if value is None else value)
    assert field.field.description == model_of(section).model_fields[key].description


@pytest.mark.parametrize("field", FIELDS, ids=name_of)
def test_every_field_is_described(field: Field) -> None:
    assert len(field.field.description or "") > 20
    assert field.field.description[-1] in ".)"


def test_the_values_of_another_file_are_the_defaults(tmp_path: Path) -> None:
    """The demo's, not the defaults of the code."""
    demo = REPOSITORY / "config" / "demo.yaml"
    steps = build_definitions(demo).resolve_job_def("run_day").run_config_schema.config_type.fields["ops"].config_type.fields
    fields = steps["chips"].config_type.fields["config"].config_type.fields
    assert fields["tiling"].config_type.fields["include_swir"].default_value is True
    assert fields["masks"].config_type.fields["persist"].default_value is True


@pytest.mark.parametrize("value", [None, ALL, 7])
def test_a_cap_is_a_number_or_all(value: object) -> None:
    """`null` too: the file has it."""
    for field in (field for field in OF_SETTINGS if field.key in CAPS):
        refuse_bad_values(field.given(value), SETTINGS)
        section, key = field.path
        chosen = SETTINGS.override({section: {key: value}})
        assert getattr(getattr(chosen, section), key) == (7 if value == 7 else None)


def test_the_launchpad_shows_every_field_but_the_places() -> None:
    """As its own text has it: what has no default, or null, is not in it."""
    for name, job in JOBS.items():
        snapshot = build_config_schema_snapshot(job)
        root = snapshot.get_config_snap(job.run_config_schema.run_config_schema_type.key)
        tree = yaml.safe_load(default_values_yaml_from_type_snap(snapshot, root)) or {}
        for field in (field for field in FIELDS if field.job == name and field.path not in PLACES):
            shown: Any = tree["ops"][field.step]["config"]
            for part in field.path:
                shown = shown[part]
            assert shown == field.field.default_value


# --- bad values


CANDIDATES: tuple[Any, ...] = (
    -1,
    -1e12,
    1e12,
    10**12,
    math.nan,
    3,
    "no such value",
    "",
    [99],
    ["no such value"],
    {"no such column": "x"},
    {"mmsi": " "},
)
"""Values that some field does not take; which of them a field refuses is told by the settings."""


def is_for_dagster(field: Field, value: object) -> bool:
    """Whether the Launchpad itself refuses a value."""
    try:
        dg.validate_run_config(JOBS[field.job], field.given(value))
    except dg.DagsterInvalidConfigError:
        return True
    return False


def refused_by_settings(field: Field) -> list[Any]:
    """Values of the right kind that the settings refuse."""
    section, key = field.path
    found = []
    for value in CANDIDATES:
        try:
            SETTINGS.override({section: {key: value}})
        except ConfigError:
            if not is_for_dagster(field, value):
                found.append(value)
    return found


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dg.Definitions:
    """Production settings on an empty folder, with a key; the archive and the AIS service are not there."""
    monkeypatch.setenv(KEY_VARIABLE, "a-key")
    monkeypatch.chdir(tmp_path)
    tree = yaml.safe_load(PRODUCTION.read_text())
    tree["storage"]["dataset_root"] = str(tmp_path / "dataset")
    tree["stac"] |= {"endpoint": "http://127.0.0.1:9/", "allowed_hosts": ["127.0.0.1:9"]}
    tree["ais"]["url"] = "ws://127.0.0.1:9/"
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(tree))
    return build_definitions(file)


def failure(definitions: dg.Definitions, job: str, run_config: dict[str, Any]) -> tuple[str, list[str]]:
    """What a run fails with, the project's own words; and the steps that had started."""
    definition = definitions.resolve_job_def(job)
    with dg.DagsterInstance.ephemeral() as instance:
        result = definition.execute_in_process(
            run_config=run_config,
            partition_key=None if definition.partitions_def is None else DAY.isoformat(),
            instance=instance,
            raise_on_error=False,
        )
    assert not result.success
    started = [str(event.step_key) for event in result.all_events if event.event_type is dg.DagsterEventType.STEP_START]
    [failed] = [event for event in result.all_events if event.event_type is dg.DagsterEventType.RUN_FAILURE]
    error = failed.job_failure_data.error
    while error is not None and error.cls_name != "ConfigError":
        error = error.cause
    assert error is not None, "refused, but not in words of this project"
    return error.message, started


@pytest.mark.parametrize("field", OF_SETTINGS, ids=name_of)
def test_a_value_out_of_bounds_stops_the_run_before_any_step(field: Field, nowhere: dg.Definitions, tmp_path: Path) -> None:
    values = refused_by_settings(field)
    if not values:
        kind = getattr(field.field.config_type, "inner_type", field.field.config_type)
        assert any(word in f"{kind.kind} {kind.key}" for word in ("ENUM", "Bool")), "a kind with bounds that nothing breaks"
    for value in (values[0], values[-1]) if values else ():
        before = sorted(tmp_path.rglob("*"))
        message, started = failure(nowhere, field.job, field.given(value))
        assert f"run config of {field.step}: {field.key}" in message
        assert re.search(r": got .+, expected .+", message), message
        assert started == []
        assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("field", FIELDS, ids=name_of)
def test_a_value_of_another_kind_is_refused_by_the_launchpad_with_the_name_of_the_field(field: Field) -> None:
    wrong = {"what": ["is", "this"]} if field.path[-1] != "columns" else {"mmsi": ["is", "this"]}
    if field.key in CAPS:
        # Dagster takes anything here; the settings refuse it when the run begins.
        for value in (wrong, "many", True, 2.5, "5", [5]):
            with pytest.raises(ConfigError, match=rf"{field.step}: {re.escape(field.key)}: got .*expected"):
                refuse_bad_values(field.given(value), SETTINGS)
        return
    with pytest.raises(dg.DagsterInvalidConfigError) as error:
        dg.validate_run_config(JOBS[field.job], field.given(wrong))
    told = str(error.value)
    assert ":".join(("root", "ops", field.step, "config", *field.path)) in told or all(
        part in told for part in (field.step, *field.path)
    )


@pytest.mark.parametrize("field", [f for f in OF_SETTINGS if f.key not in CAPS], ids=name_of)
def test_nothing_is_no_value(field: Field, nowhere: dg.Definitions) -> None:
    if is_for_dagster(field, None):
        return
    message, started = failure(nowhere, field.job, field.given(None))
    assert field.key in message
    assert started == []


def test_a_bad_threshold_of_the_last_step_stops_a_day_before_ais_is_recorded(
    nowhere: dg.Definitions, tmp_path: Path
) -> None:
    config = {"ops": {"chips": {"config": {"gate": {"max_cloud_center_frac": 7}}}}}
    message, started = failure(nowhere, "run_day", config)
    assert "run config of chips: gate.max_cloud_center_frac: got 7, expected" in message
    assert "less than or equal to 1" in message
    assert started == []
    assert not (tmp_path / "dataset").exists()


def test_what_goes_together_is_looked_at_too() -> None:
    with pytest.raises(ConfigError, match=r"run config of chips: .*center_window_px \(512\) not above"):
        refuse_bad_values({"ops": {"chips": {"config": {"gate": {"center_window_px": 512}}}}}, SETTINGS)


@pytest.mark.parametrize("path", ["", "none.csv", "."])
def test_a_path_where_no_file_is_is_refused_by_its_name(path: str, nowhere: dg.Definitions, tmp_path: Path) -> None:
    definition = nowhere.resolve_job_def(FILE_JOB)
    with dg.DagsterInstance.ephemeral() as instance:
        result = definition.execute_in_process(
            run_config={"ops": {FILE_STEP: {"config": {"path": path}}}}, instance=instance, raise_on_error=False
        )
    [failed] = [event for event in result.all_events if event.is_step_failure]
    error = failed.step_failure_data.error
    assert error is not None
    assert error.cause is not None
    assert f"run config: path: got {path!r}, expected the path of a CSV, XLSX or Parquet file" in error.cause.message
    assert not (tmp_path / "dataset").exists()


def test_windows_of_a_capture_are_looked_at_before_it_starts(nowhere: dg.Definitions) -> None:
    window = {"tile_id": "30STF", "start": "2025-10-27T11:00:00Z", "end": "2025-10-27T10:00:00Z"}
    config = {"ops": {"ais_snapshots": {"config": {"windows": [window]}}}}
    message, started = failure(nowhere, "capture_ais", config)
    assert "run config of ais_snapshots: windows[0]" in message
    assert "an end after the start" in message
    assert started == []


def test_a_cap_that_is_not_looked_at_is_said() -> None:
    config = {"ops": {"chips": {"config": {"limits": {"max_chips": 5}}}}}
    [warning] = refuse_bad_values(config, SETTINGS)
    assert "limits.max_chips (5) is not looked at" in warning
    unbound = {"ops": {"chips": {"config": {"limits": {"max_chips": 5, "bind_chips_to_ships": False}}}}}
    assert refuse_bad_values(unbound, SETTINGS) == []


def test_the_launchpad_as_it_opens_warns_of_no_cap() -> None:
    config = {"ops": {"chips": {"config": {"limits": {"max_chips": "all", "bind_chips_to_ships": True}}}}}
    assert refuse_bad_values(config, SETTINGS) == []


def test_a_value_of_the_environment_is_left_to_its_step() -> None:
    config = {"ops": {"chips": {"config": {"gate": {"center_window_px": {"env": "PIXELS"}, "max_land_center_frac": 9}}}}}
    with pytest.raises(ConfigError, match="max_land_center_frac"):
        refuse_bad_values(config, SETTINGS)
    del config["ops"]["chips"]["config"]["gate"]["max_land_center_frac"]
    assert refuse_bad_values(config, SETTINGS) == []


# --- docs/operations.md


def rows_of(title: str, columns: int) -> list[list[str]]:
    section = re.split(r"\n##+ ", CONTROLS.split(f"\n### {title}\n", maxsplit=1)[1], maxsplit=1)[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")][1:]
    rows = [[cell.strip().replace("&#124;", "|") for cell in line.strip("|").split(" | ")] for line in lines]
    assert all(len(row) == columns for row in rows), rows
    return rows


def names(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


FIELD_ROWS = rows_of("One run", 6)
SWITCH_ROWS = rows_of("By itself", 6)


@pytest.mark.parametrize("row", FIELD_ROWS, ids=lambda row: row[1].strip("`"))
def test_a_row_of_the_document_is_a_field_of_each_job_it_names(row: list[str]) -> None:
    [key], [step], jobs, [default] = names(row[1]), names(row[2]), names(row[3]), names(row[4])
    assert jobs
    for job in jobs:
        here = FILE_STEP if job == FILE_JOB else step
        [found] = [field for field in FIELDS if (field.job, field.step, field.key) == (job, here, key)]
        assert row[5] == found.field.description
        if default == "none":
            assert not found.field.default_provided
        else:
            assert json.dumps(found.field.default_value).strip('"') == default


def test_every_setting_of_a_run_has_its_row() -> None:
    told = {(job, key) for row in FIELD_ROWS for key in names(row[1]) for job in names(row[3])}
    assert {(field.job, field.key) for field in OF_SETTINGS} <= told


@pytest.mark.parametrize("row", SWITCH_ROWS, ids=lambda row: row[1].strip("`"))
def test_a_row_of_the_document_is_a_switch(row: list[str]) -> None:
    [name] = names(row[1])
    repository = DEFINITIONS.get_repository_def()
    switches: dict[str, Any] = {each.name: each for each in (*repository.sensor_defs, *repository.schedule_defs)}
    switch = switches[name]
    assert row[2] == ("schedule" if isinstance(switch, dg.ScheduleDefinition) else "sensor")
    assert row[3] == ("on" if switch.default_status.value == "RUNNING" else "off")
    assert row[5] == switch.description
    for key in names(row[4]):
        setting = getattr(SETTINGS.scheduling, key)
        assert setting == (
            switch.cron_schedule if isinstance(switch, dg.ScheduleDefinition) else switch.minimum_interval_seconds
        )
    if not names(row[4]):
        assert row[4] == f"{switch.minimum_interval_seconds or 30} s"


def test_every_switch_has_its_row() -> None:
    repository = DEFINITIONS.get_repository_def()
    switches = {each.name for each in (*repository.sensor_defs, *repository.schedule_defs)}
    assert switches <= {name for row in SWITCH_ROWS for name in names(row[1])}


def test_the_titles_of_columns_are_those_that_are_read() -> None:
    told = [(names(column), names(titles)) for column, titles in rows_of("Columns of an AIS file", 2)]
    assert told == [([name], [name, *aliases]) for name, aliases in COLUMN_ALIASES.items()]


def test_what_is_shown_is_there(day_run: DayRun) -> None:
    """Each `asset` → `name` of the document is metadata of that asset."""
    told = [pair for row in rows_of("What is shown", 2) for pair in re.findall(r"`(\w+)` → `(\w+)`", row[1])]
    assert len(told) >= 8
    for asset, name in told:
        if asset != FILE_STEP:
            assert name in day_run.metadata(asset), (asset, name)


def test_what_is_shown_of_a_file_is_there(make_dataset: MakeDataset, tmp_path: Path) -> None:
    (tmp_path / "ships.csv").write_text("mmsi,lat,lon\n1,2,3\n")
    result = make_dataset().execute(FILE_JOB, day=None, ops={FILE_STEP: {"path": str(tmp_path / "ships.csv")}})
    assert result.success
    [output] = [event.step_output_data for event in result.all_events if event.is_successful_output]
    told = [pair for row in rows_of("What is shown", 2) for pair in re.findall(r"`(\w+)` → `(\w+)`", row[1])]
    assert {name for asset, name in told if asset == FILE_STEP} <= set(output.metadata)
    assert output.metadata["rows"].value == 1
