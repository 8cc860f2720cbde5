"""Runs of the jobs from the command line: in this process, on the instance that the Dagster UI shows."""

import hashlib
import os
import sys
from collections.abc import Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any

import dagster as dg
from filelock import FileLock

from s2chips_core import layout, tables
from s2chips_core.config import load_settings
from s2chips_core.errors import InputError, S2ChipsError
from s2chips_dagster.definitions import build_definitions
from s2chips_dagster.resources import Workspace

HOME_VARIABLE = "DAGSTER_HOME"


class Runs:
    """The jobs of one configuration file. An interruption of a run comes out as KeyboardInterrupt."""

    def __init__(self, config_file: Path, *, now: str = "") -> None:
        self.definitions = build_definitions(config_file, now=now)
        self.workspace = Workspace(config_file=str(config_file), now=now)
        self.settings = load_settings(config_file, os.environ)
        self.storage = self.workspace.storage(self.settings)
        find_home()

    def now(self) -> datetime:
        """The time that the runs see."""
        return self.workspace.clock()

    def run_day(self, day: date, config: Mapping[str, Mapping[str, Any]]) -> bool:
        """`run_day` for one day; run config by asset. Whether it succeeded."""
        return self._execute("run_day", _ops(config), partition_key=day.isoformat())

    def chip_day(self, day: date, config: Mapping[str, Mapping[str, Any]]) -> bool:
        """`chip_day`: match and chip what was recorded. Whether it succeeded."""
        return self._execute("chip_day", _ops(config), partition_key=day.isoformat())

    def index(self) -> bool:
        """Make `tiles.parquet` and the page of the dataset. Whether it succeeded."""
        return self._execute("index_tiles", {})

    def chip_file(self, path: Path, config: Mapping[str, Any]) -> list[date] | None:
        """`chip_from_ais_file`; the days it touched, or none when it failed.

        Raises:
            ConfigError, InputError, MixedAisError: the values or the file cannot be; nothing was started.
        """
        from s2chips_core.ais.day import check_file

        sections = {section: values for section, values in config.items() if isinstance(values, Mapping)}
        titles = self.settings.override(sections, "command line").ais.titles
        check_file(path, storage=self.storage, now=self.now(), columns=titles)
        ops = {"chip_ais_file": {"config": {"path": str(path), **config}}}
        result = self._result("chip_from_ais_file", {"ops": ops})
        if not result.success:
            return None
        made = result.get_asset_materialization_events()
        chipped = [event.partition for event in made if event.asset_key == dg.AssetKey("chips")]
        return sorted(date.fromisoformat(day) for day in chipped if day is not None)

    def print_row_report(self, path: Path) -> None:
        """Where the report of a file's rows is: to stdout."""
        source_id = layout.file_source(hashlib.sha256(path.read_bytes()).hexdigest())
        print(f"  rows: {self.storage.url(layout.ais_file_report(source_id))}")

    def prune(self, config: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """`prune_by_ais`; what its op says of itself, or none when it failed."""
        return self._said("prune_by_ais", "prune_chips", config)

    def restore(self, which: str) -> Mapping[str, Any] | None:
        """`restore_pruned`; what its op says of itself, or none when it failed."""
        return self._said("restore_pruned", "restore_chips", {"trash": which})

    def housekeeping(self, config: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """`housekeeping`; what its op says of itself, or none when it failed."""
        return self._said("housekeeping", "tidy_up", config)

    def _said(self, job: str, op: str, config: Mapping[str, Any]) -> Mapping[str, Any] | None:
        result = self._result(job, {"ops": {op: {"config": dict(config)}}})
        outputs = [event.step_output_data.metadata for event in result.all_events if event.is_successful_output]
        return {name: value.value for name, value in outputs[-1].items()} if result.success else None

    def export(self, config: Mapping[str, Any]) -> bool:
        """`export_dataset`, with values of `ExportConfig`. Whether it succeeded."""
        from s2chips_dagster.export_job import JOB, OP

        return self._execute(JOB, {"ops": {OP: {"config": dict(config)}}})

    def print_outcomes(self, day: date) -> None:
        """How many targets of a day came to which outcome: to stdout."""
        from s2chips_core.index.outcomes import OUTCOME_SCHEMA, counts

        outcomes = tables.read_table(self.storage, layout.outcomes(day), OUTCOME_SCHEMA)
        told = ", ".join(f"{count} {name}" for name, count in counts(outcomes).items() if count)
        print(f"{day}: {len(outcomes)} targets: {told or 'none (no overpass of a watched tile? try another day)'}")

    def print_day(self, day: date) -> None:
        """What became of the ships of a day, and where to look: to stdout."""
        self.print_outcomes(day)
        for what, key in (("page", layout.report(day)), ("footprints", layout.daily_geojson(day))):
            if self.storage.exists(key):
                print(f"  {what}: {self.storage.url(key)}")
        print(f"  index: {self.storage.url(layout.tiles_index())}")
        if self.storage.exists(layout.dataset_page()):
            print(f"  all days: {self.storage.url(layout.dataset_page())}")

    def _execute(self, job: str, run_config: dict[str, Any], partition_key: str | None = None) -> bool:
        return self._result(job, run_config, partition_key).success

    def _result(self, job: str, run_config: dict[str, Any], partition_key: str | None = None) -> dg.ExecuteInProcessResult:
        definition = self.definitions.resolve_job_def(job)
        days = definition.partitions_def
        if partition_key is not None and days is not None and not days.has_partition_key(partition_key):
            first = self.settings.scheduling.first_day
            raise InputError("day", partition_key, f"a day from {first} (scheduling.first_day) to today, UTC")
        with open_instance() as instance:
            result = definition.execute_in_process(
                run_config={**run_config, "loggers": {"console": {"config": {"log_level": "INFO"}}}},
                partition_key=partition_key,
                instance=instance,
                raise_on_error=False,
            )
        if any(_is_interrupted(event) for event in result.all_events):
            # Dagster has made an ordinary failure of it; whoever runs several jobs must not go on to the next.
            raise KeyboardInterrupt
        failed = [event for event in result.all_events if event.is_step_failure]
        for event in failed:
            print(f"s2chips: {event.step_key}: {_cause(event.step_failure_data.error)}", file=sys.stderr)
        for event in result.all_events:
            if not failed and event.event_type is dg.DagsterEventType.RUN_FAILURE:  # before any step
                print(f"s2chips: {_cause(event.job_failure_data.error)}", file=sys.stderr)
        return result


def report_days(asset: str, days: Mapping[date, Mapping[str, Any]]) -> None:
    """Tell the instance that an asset was made for some days without a run, so that the UI shows it.

    Where there is no instance (no DAGSTER_HOME), there is nobody to tell.

    Args:
        asset: its name.
        days: metadata by day.
    """
    find_home()
    if not os.environ.get(HOME_VARIABLE):
        return
    with open_instance() as instance:
        for day, metadata in days.items():
            event = dg.AssetMaterialization(asset, partition=day.isoformat(), metadata=dict(metadata))
            instance.report_runless_asset_event(event)


def _ops(config: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    return {"ops": {name: {"config": dict(values)} for name, values in config.items() if values}}


def open_instance() -> dg.DagsterInstance:
    """The instance of DAGSTER_HOME. One process at a time: two that open a new one both make its SQLite tables, and fail."""
    home = Path(os.environ.get(HOME_VARIABLE, ""))
    if not os.environ.get(HOME_VARIABLE) or not home.is_dir():
        return dg.DagsterInstance.get()  # says itself what is wrong
    with FileLock(home / ".s2chips-instance.lock"):
        return dg.DagsterInstance.get()


def find_home() -> None:
    """Use the checkout as DAGSTER_HOME when none is named, so that the UI started there shows these runs."""
    if not os.environ.get(HOME_VARIABLE) and (Path.cwd() / "dagster.yaml").is_file():
        os.environ[HOME_VARIABLE] = str(Path.cwd())


def _is_interrupted(event: dg.DagsterEvent) -> bool:
    if event.is_step_failure:
        error = event.step_failure_data.error
    elif event.event_type is dg.DagsterEventType.RUN_FAILURE:
        error = event.job_failure_data.error
    else:
        return False
    return error is not None and error.cls_name == "DagsterExecutionInterruptedError"


def _cause(error: Any) -> str:
    """What the project itself said, without Dagster's wrapping; else the innermost message."""
    chain = []
    while error is not None:
        chain.append(error)
        error = error.cause
    for found in chain:
        if found.cls_name in _project_errors(S2ChipsError):
            # Dagster puts the class in front of the message.
            return str(found.message).strip().split(": ", 1)[-1]
    return chain[-1].message.strip() if chain else "failed"


def _project_errors(error: type[Exception]) -> set[str]:
    return {error.__name__}.union(*(_project_errors(kind) for kind in error.__subclasses__()))
