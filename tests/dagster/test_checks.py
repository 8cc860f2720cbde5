"""Each asset check holds on a sound day, fails when what it guards is broken, and stops what comes after it."""

import dataclasses
import io
import json
from collections.abc import Callable
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import rasterio
from rasterio.io import MemoryFile

import s2chips_core.index.day
import s2chips_core.index.day_run
import s2chips_core.overpasses.planning
from s2chips_core import layout, tables
from s2chips_core.config import load_settings
from s2chips_core.index.outcomes import OUTCOME_SCHEMA
from s2chips_core.index.records import PART_SCHEMA
from s2chips_core.sandbox.archive import DEMO_NOW
from s2chips_core.storage import LocalStorage, Storage
from s2chips_dagster.assets import build_assets
from s2chips_dagster.checks import build_checks
from s2chips_dagster.resources import Workspace
from tests.dagster.conftest import DAY, Dataset, DayRun

BLOCKING = {
    "overpass_plan:schema",
    "ais_snapshots:schema",
    "scene_matches:schema",
    "chips:schema",
    "chips:outcomes_cover_targets",
    "chips:unique_ids",
    "chips:not_clipped_low",
    "chips:no_synthetic_in_real",
    "daily_geojson:equals_index_and_files",
    "daily_geojson:labels_match_chips",
}
OF_THE_INDEX = {"tiles_index:schema", "tiles_index:unique_ids", "tiles_index:equals_files"}
PART = layout.index_part(DAY, DAY, layout.CAPTURE)
Verdicts = dict[str, dg.AssetCheckEvaluation]
Harm = Callable[[LocalStorage], None]


def verdicts_of(*results: dg.ExecuteInProcessResult) -> Verdicts:
    found = [e for result in results for e in result.get_asset_check_evaluations()]
    return {f"{e.asset_key.to_user_string()}:{e.check_name}": e for e in found}


def failed(verdicts: Verdicts) -> set[str]:
    return {name for name, verdict in verdicts.items() if not verdict.passed}


def judge(dataset: Dataset) -> Verdicts:
    """Run all checks, and only them, as Dagster runs them: those of the day for its partition."""
    settings = load_settings(dataset.config, {})
    assets = build_assets(settings)
    checks = build_checks(assets, settings)
    of_day = [k for c in checks for k in c.check_keys if k.asset_key != dg.AssetKey("tiles_index")]
    definitions = dg.Definitions(
        assets=assets,
        asset_checks=checks,
        jobs=[
            dg.define_asset_job("judge_day", dg.AssetSelection.checks(*of_day)),
            dg.define_asset_job("judge_index", dg.AssetSelection.checks_for_assets("tiles_index")),
        ],
        resources={"workspace": Workspace(config_file=str(dataset.config), now=DEMO_NOW.isoformat())},
        executor=dg.in_process_executor,
    )
    jobs = {"judge_day": {"dagster/partition": DAY.isoformat()}, "judge_index": {}}
    return verdicts_of(
        *(definitions.resolve_job_def(job).execute_in_process(tags=tags, raise_on_error=False) for job, tags in jobs.items())
    )


def test_a_sound_day_passes_every_check_with_its_numbers(day_run: DayRun) -> None:
    verdicts = verdicts_of(day_run.result, day_run.index_result)
    assert set(verdicts) == BLOCKING | OF_THE_INDEX
    assert failed(verdicts) == set()
    assert {name for name, verdict in verdicts.items() if verdict.blocking} == BLOCKING
    chips = day_run.metadata("chips")["chips"]
    numbers = {name: {k: v.value for k, v in verdict.metadata.items()} for name, verdict in verdicts.items()}
    assert numbers["chips:unique_ids"] == {"chips": chips, "repeated": 0}
    assert numbers["chips:no_synthetic_in_real"] == {"real": 0, "synthetic": chips}
    assert 0 <= numbers["chips:not_clipped_low"]["clipped_share"] < 0.01
    assert numbers["chips:not_clipped_low"]["chips"] == chips
    assert all(verdict.description for verdict in verdicts.values())


def drop_column(key: str, column: str) -> Harm:
    def harm(storage: LocalStorage) -> None:
        rewrite(storage, key, lambda table: table.drop_columns([column]))

    return harm


def rewrite(storage: LocalStorage, key: str, change: Callable[[pa.Table], pa.Table]) -> None:
    assert storage.exists(key)
    storage.put(key, tables.parquet_bytes(change(pq.read_table(io.BytesIO(storage.get(key))))))


def first_row_again(key: str) -> Harm:
    return lambda storage: rewrite(storage, key, lambda table: pa.concat_tables([table, table.slice(0, 1)]))


def without_first_row(key: str) -> Harm:
    return lambda storage: rewrite(storage, key, lambda table: table.slice(1))


def chips_of(storage: LocalStorage) -> list[str]:
    index = tables.read_table(storage, PART, PART_SCHEMA)
    return list(index["path"])


def delete_tif(storage: LocalStorage) -> None:
    storage.delete(chips_of(storage)[0])


def delete_quicklook(storage: LocalStorage) -> None:
    storage.delete(chips_of(storage)[0].removesuffix(".tif") + "_quicklook.jpg")


def clip_low(storage: LocalStorage) -> None:
    """What an offset that is taken off twice does to water, in one chip of the day."""
    key = chips_of(storage)[0]
    with rasterio.open(storage.url(key)) as chip:
        profile, names, values = chip.profile, chip.descriptions, chip.read()
    with MemoryFile() as memory:
        with memory.open(**profile) as chip:
            chip.write(np.where(values > 0, np.float32(0.0001), np.float32(0)))
            chip.descriptions = names
        storage.put(key, memory.read())


def forget_a_footprint(storage: LocalStorage) -> None:
    tree = json.loads(storage.get(layout.daily_geojson(DAY)))
    del tree["features"][0]
    storage.put(layout.daily_geojson(DAY), json.dumps(tree).encode())


def call_a_chip_real(storage: LocalStorage) -> None:
    """A chip of a file among the synthetic ones: the same chip, owned by another source."""
    part = tables.read_table(storage, PART, PART_SCHEMA).head(1)
    part = part.assign(ais_source="file", source_id="file-0123456789ab")
    tables.write_table(storage, layout.index_part(DAY, DAY, "file-0123456789ab"), part, PART_SCHEMA)


@pytest.mark.parametrize(
    ("harm", "expected", "said"),
    [
        (drop_column(layout.plan(DAY), "tile_id"), {"overpass_plan:schema"}, "tile_id"),
        (lambda s: s.delete(layout.plan(DAY)), {"overpass_plan:schema"}, "cannot be read"),
        (drop_column(layout.ais_snapshot(DAY, "30STE"), "lat"), {"ais_snapshots:schema"}, "lat"),
        (lambda s: s.put(layout.matches(DAY), b"PAR?"), {"scene_matches:schema"}, "no Parquet"),
        (drop_column(layout.outcomes(DAY), "outcome"), {"chips:schema"}, "outcome"),
        (
            without_first_row(layout.outcomes_part(DAY, layout.CAPTURE)),
            {"chips:outcomes_cover_targets"},
            "without an outcome: 1",
        ),
        (first_row_again(layout.outcomes_part(DAY, layout.CAPTURE)), {"chips:outcomes_cover_targets"}, "with several: 1"),
        (first_row_again(PART), {"chips:unique_ids"}, "repeated"),
        (clip_low, {"chips:not_clipped_low"}, "are clipped to 0.0001"),
        (
            delete_tif,
            {"chips:not_clipped_low", "daily_geojson:equals_index_and_files", "tiles_index:equals_files"},
            "files that are missing: 1",
        ),
        (
            delete_quicklook,
            {"daily_geojson:equals_index_and_files", "tiles_index:equals_files"},
            "files that are missing: 1",
        ),
        (without_first_row(layout.daily_labels(DAY)), {"daily_geojson:labels_match_chips"}, "with its target once: 1"),
        (forget_a_footprint, {"daily_geojson:equals_index_and_files"}, "not in the GeoJSON"),
        # The other two do not read it.
        (drop_column(layout.tiles_index(), "mmsi"), {"tiles_index:schema"}, "mmsi"),
        (drop_column(layout.tiles_index(), "chip_id"), OF_THE_INDEX, "chip_id"),
        (first_row_again(layout.tiles_index()), {"tiles_index:unique_ids"}, "repeated"),
        (without_first_row(layout.tiles_index()), {"tiles_index:equals_files"}, "in the parts, not in the index: 1"),
    ],
)
def test_what_is_broken_fails_its_check(copied: Dataset, harm: Harm, expected: set[str], said: str) -> None:
    harm(copied.storage)
    verdicts = judge(copied)
    assert failed(verdicts) == expected
    assert said in " ".join(str(verdicts[name].description) for name in expected)


def test_synthetic_ships_among_real_ones_fail(copied: Dataset) -> None:
    call_a_chip_real(copied.storage)
    verdict = judge(copied)["chips:no_synthetic_in_real"]
    assert not verdict.passed
    assert "synthetic rows among 1 real" in str(verdict.description)


@dataclasses.dataclass(frozen=True)
class Stopped:
    """What is still made when a check fails."""

    check: str
    made: set[str]


CHIPPED = {"overpass_plan", "ais_snapshots", "scene_matches", "chips"}


@pytest.mark.parametrize(("harm", "check"), [(clip_low, "not_clipped_low"), (call_a_chip_real, "no_synthetic_in_real")])
def test_a_failed_check_of_chips_stops_what_shows_them(copied: Dataset, harm: Harm, check: str) -> None:
    harm(copied.storage)
    before = copied.storage.get(layout.report(DAY)), copied.storage.get(layout.daily_geojson(DAY))
    result = copied.execute("run_day")
    assert not result.success
    assert failed(verdicts_of(result)) == {f"chips:{check}"}
    assert {e.asset_key.to_user_string() for e in result.get_asset_materialization_events()} == CHIPPED
    assert (copied.storage.get(layout.report(DAY)), copied.storage.get(layout.daily_geojson(DAY))) == before


def test_a_plan_without_its_columns_stops_the_day(copied: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    plan_overpasses = s2chips_core.overpasses.planning.plan_overpasses

    def broken(*args: Any, storage: LocalStorage, **more: Any) -> Any:
        planned = plan_overpasses(*args, storage=storage, **more)
        drop_column(layout.plan(DAY), "tile_id")(storage)
        return planned

    monkeypatch.setattr(s2chips_core.overpasses.planning, "plan_overpasses", broken)
    result = copied.execute("run_day")
    assert not result.success
    assert failed(verdicts_of(result)) == {"overpass_plan:schema"}
    assert {e.asset_key.to_user_string() for e in result.get_asset_materialization_events()} == {"overpass_plan"}


def test_matches_without_their_columns_stop_the_cutting(copied: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    write_day_tables = s2chips_core.index.day.write_day_tables

    def broken(day: Any, storage: Storage) -> None:
        write_day_tables(day, storage)
        storage.put(layout.matches(day), b"PAR?")

    monkeypatch.setattr(s2chips_core.index.day, "write_day_tables", broken)
    result = copied.execute("chip_day")
    assert not result.success
    assert failed(verdicts_of(result)) == {"scene_matches:schema"}
    assert {e.asset_key.to_user_string() for e in result.get_asset_materialization_events()} == {"scene_matches"}


def test_outcomes_that_miss_a_ship_stop_the_report(copied: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    commit_source = s2chips_core.index.day_run.commit_source

    def broken(*args: Any, outcomes: pd.DataFrame, **more: Any) -> Any:
        return commit_source(*args, outcomes=outcomes.iloc[1:], **more)

    monkeypatch.setattr(s2chips_core.index.day_run, "commit_source", broken)
    result = copied.execute("chip_day")
    assert not result.success
    assert failed(verdicts_of(result)) == {"chips:outcomes_cover_targets"}
    assert {e.asset_key.to_user_string() for e in result.get_asset_materialization_events()} == {"scene_matches", "chips"}
    kept = tables.read_table(copied.storage, layout.outcomes_part(DAY, layout.CAPTURE), OUTCOME_SCHEMA)
    assert len(kept) == result_targets(result) - 1


def result_targets(result: dg.ExecuteInProcessResult) -> int:
    [event] = [e for e in result.get_asset_materialization_events() if e.asset_key == dg.AssetKey("scene_matches")]
    return int(event.materialization.metadata["targets"].value)  # type: ignore[arg-type]
