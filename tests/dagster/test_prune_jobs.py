"""`prune_by_ais` and `restore_pruned` on the demo day: AIS that has been moved, a dry run, the trash, and back."""

from collections.abc import Mapping
from typing import Any

import dagster as dg
import pandas as pd
import pytest

from s2chips_core import layout, tables
from s2chips_core.ais.fixes import FIX_SCHEMA
from s2chips_core.index.checks import check_day_files
from s2chips_core.index.dataset_checks import check_all_files
from s2chips_core.index.outcomes import OUTCOME_SCHEMA
from s2chips_core.index.records import INDEX_SCHEMA
from s2chips_core.storage import LocalStorage
from tests.dagster.conftest import DAY, Dataset, DayRun, files_of

FOLDERS = ("chips", "indexes", "outcomes", "matches")


def index_of(storage: LocalStorage) -> pd.DataFrame:
    return tables.read_table(storage, layout.tiles_index(), INDEX_SCHEMA)


def spoil_ais(storage: LocalStorage) -> dict[int, str]:
    """Move one ship by 1.1 km, take one out, make one 25 min late: MMSI -> reason."""
    moved, missing, late = index_of(storage).query("position_method == 'interpolated'")["mmsi"].head(3)
    for key in storage.list(layout.ais_folder(DAY)):
        if not layout.is_recorded_ais(key):
            continue
        fixes = tables.read_table(storage, key, FIX_SCHEMA)
        fixes.loc[fixes["mmsi"] == moved, "lat"] += 0.01
        fixes.loc[fixes["mmsi"] == late, "time"] += pd.Timedelta(minutes=25)
        tables.write_table(storage, key, fixes[fixes["mmsi"] != missing].reset_index(drop=True), FIX_SCHEMA)
    return {int(moved): "distance", int(missing): "no_ais", int(late): "time"}


def run(dataset: Dataset, op: str, instance: Any = None, **config: object) -> dg.ExecuteInProcessResult:
    job = {"prune_chips": "prune_by_ais", "restore_chips": "restore_pruned"}[op]
    return dataset.execute(job, day=None, ops={op: config}, instance=instance)


def said(result: dg.ExecuteInProcessResult) -> Mapping[str, Any]:
    [event] = [e for e in result.all_events if e.is_successful_output]
    return {name: value.value for name, value in event.step_output_data.metadata.items()}


def test_the_launchpad_shows_a_dry_run_and_the_tolerances_of_the_file(day_run: DayRun) -> None:
    job = day_run.definitions.resolve_job_def("prune_by_ais")
    fields = job.run_config_schema.config_type.fields["ops"].config_type.fields["prune_chips"].config_type.fields
    shown = fields["config"].config_type.fields
    assert shown["dry_run"].default_value is True
    assert (shown["first_day"].default_value, shown["last_day"].default_value) == ("", "")
    tolerances = shown["prune"].config_type.fields
    assert tolerances["time_tolerance_min"].default_value == 10.0
    assert tolerances["distance_tolerance_m"].default_value == 500.0
    assert all(field.description for field in (*shown.values(), *tolerances.values()))
    restore = day_run.definitions.resolve_job_def("restore_pruned").run_config_schema
    assert restore.config_type.fields["ops"].config_type.fields["restore_chips"]


def test_shifted_ais_is_pruned_and_restored_bit_for_bit(copied: Dataset) -> None:
    storage = copied.storage
    reasons = spoil_ais(storage)
    before, was = files_of(storage, *FOLDERS), index_of(storage)

    dry = run(copied, "prune_chips")
    assert dry.success
    assert files_of(storage, *FOLDERS) == before
    told = said(dry)
    assert (told["dry_run"], told["going"], told["judged"], told["trash"]) == (True, 3, len(was), "")
    assert {int(r["mmsi"]): r["reason"] for r in (record.data for record in told["table"].records)} == reasons
    assert pd.read_csv(told["path"])["stays"].sum() == len(was) - 3

    with dg.DagsterInstance.ephemeral() as instance:
        pruned = run(copied, "prune_chips", instance, dry_run=False)
        assert pruned.success
        index = instance.get_latest_materialization_event(dg.AssetKey("tiles_index"))
        assert index is not None
        assert index.asset_materialization is not None
        assert index.asset_materialization.metadata["chips"].value == len(was) - 3
        [observed] = instance.fetch_observations(dg.AssetKey("chips"), limit=5).records
        assert observed.partition_key == DAY.isoformat()
    assert set(index_of(storage)["mmsi"]) == set(was["mmsi"]) - set(reasons)
    assert check_all_files(storage).passed
    assert check_day_files(storage, DAY).passed
    outcomes = tables.read_table(storage, layout.outcomes(DAY), OUTCOME_SCHEMA)
    assert set(outcomes.loc[outcomes["outcome"] == "pruned", "mmsi"]) == set(reasons)
    page = storage.get(layout.report(DAY)).decode()
    assert "<code>pruned</code>" in page
    for detail in outcomes.loc[outcomes["outcome"] == "pruned", "detail"]:
        assert detail in page
    trash = said(pruned)["trash"]

    restored = run(copied, "restore_chips", trash=trash)
    assert restored.success
    assert (said(restored)["restored"], said(restored)["left_in_trash"]) == (3, 0)
    assert files_of(storage, *FOLDERS) == before
    assert storage.list(layout.trash_folder()) == []
    assert "<code>pruned</code>" not in storage.get(layout.report(DAY)).decode()


def test_the_checks_of_the_assets_pass_and_the_day_run_again_leaves_it_so(copied: Dataset) -> None:
    """The tolerances were narrow, AIS is what it was: matching finds the same, and what was pruned stands."""
    pruned = run(copied, "prune_chips", dry_run=False, prune={"time_tolerance_min": 0.25, "distance_tolerance_m": 500})
    assert 0 < said(pruned)["going"] < said(pruned)["judged"]
    before = files_of(copied.storage, *FOLDERS)
    again = copied.execute("chip_day")
    index = copied.execute("index_tiles", day=None)
    assert again.success
    assert index.success
    checks = [*again.get_asset_check_evaluations(), *index.get_asset_check_evaluations()]
    assert len(checks) >= 9
    assert all(check.passed for check in checks)
    assert files_of(copied.storage, *FOLDERS) == before


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({"prune": {"time_tolerance_min": 0}}, "prune.time_tolerance_min: got 0"),
        ({"prune": {"distance_tolerance_m": -5}}, "prune.distance_tolerance_m: got -5"),
        ({"first_day": "27.10.2025"}, "first_day: got '27.10.2025', expected a day, YYYY-MM-DD"),
        ({"first_day": "2025-10-28", "last_day": "2025-10-27"}, "expected a last day that is not before the first"),
    ],
)
def test_bad_values_are_refused_before_anything_is_done(copied: Dataset, config: dict[str, object], problem: str) -> None:
    before = files_of(copied.storage, *FOLDERS)
    result = run(copied, "prune_chips", dry_run=False, **config)
    assert not result.success
    # What the settings check is refused before any step, the rest by the step.
    failures = [e.step_failure_data for e in result.all_events if e.is_step_failure]
    failures += [e.job_failure_data for e in result.all_events if e.event_type is dg.DagsterEventType.RUN_FAILURE]
    assert problem in "".join(str(failure.error) for failure in failures)
    assert files_of(copied.storage, *FOLDERS) == before


def test_what_cannot_be_put_back_is_said(copied: Dataset) -> None:
    run(copied, "prune_chips", dry_run=False, prune={"time_tolerance_min": 0.25, "distance_tolerance_m": 500})
    gone = copied.execute("chip_day", ops={"chips": {"gate": {"max_cloud_center_frac": 0.06}}})
    assert gone.success
    copied.execute("index_tiles", day=None)
    restored = run(copied, "restore_chips")
    assert restored.success
    told = said(restored)
    assert told["restored"] == 0
    assert set(told["reasons"].values()) == {"it has been made anew since"}
    unknown = run(copied, "restore_chips", trash="never")
    assert not unknown.success
