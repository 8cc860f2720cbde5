"""Asset checks: what must be true of each table and of the chips. Blocking where a later asset would be poisoned.

The judging is in `s2chips_core.index.checks`; here it is bound to assets and partitions.
"""

from collections.abc import Callable, Sequence
from datetime import date
from typing import TYPE_CHECKING

import dagster as dg

from s2chips_core import layout
from s2chips_core.config import Settings
from s2chips_core.errors import SchemaError, StorageError
from s2chips_core.storage import Storage
from s2chips_dagster.partitions import daily, day_of
from s2chips_dagster.resources import Workspace

if TYPE_CHECKING:
    from s2chips_core.index.checks import CheckResult


def build_checks(assets: Sequence[dg.AssetsDefinition], settings: Settings) -> list[dg.AssetChecksDefinition]:
    """All checks. Each is one function of the core with its verdict, sentence and numbers."""
    by_name = {asset.key.to_user_string(): asset for asset in assets}
    days = daily(settings.scheduling.first_day)

    def of_day(
        asset: str, name: str, judge: "Callable[[Storage, date], CheckResult]", what: str
    ) -> dg.AssetChecksDefinition:
        @dg.asset_check(asset=by_name[asset], name=name, description=what, blocking=True, partitions_def=days)
        def check(context: dg.AssetCheckExecutionContext, workspace: Workspace) -> dg.AssetCheckResult:
            storage, day = workspace.storage(workspace.settings()), day_of(context.partition_key)
            return _result(lambda: judge(storage, day))

        return check

    def of_all(asset: str, name: str, judge: "Callable[[Storage], CheckResult]", what: str) -> dg.AssetChecksDefinition:
        @dg.asset_check(asset=by_name[asset], name=name, description=what)
        def check(workspace: Workspace) -> dg.AssetCheckResult:
            storage = workspace.storage(workspace.settings())
            return _result(lambda: judge(storage))

        return check

    return [
        of_day("overpass_plan", "schema", _plan_schema, "The plan has its declared columns."),
        of_day("ais_snapshots", "schema", _snapshots_schema, "The snapshots have their declared columns."),
        of_day("scene_matches", "schema", _matches_schema, "The matches have their declared columns."),
        of_day("chips", "schema", _outcomes_schema, "The outcomes have their declared columns."),
        of_day("chips", "outcomes_cover_targets", _outcomes_cover, "Every target has exactly one outcome."),
        of_day("chips", "unique_ids", _unique_ids, "No chip_id is there twice."),
        of_day(
            "chips",
            "not_clipped_low",
            _not_clipped_low,
            "In some band at most 1 % of the valid pixels of up to 50 chips are at the lower clip: "
            "more in all bands would be an offset taken off twice.",
        ),
        of_day("chips", "no_synthetic_in_real", _no_synthetic_in_real, "No synthetic AIS in a dataset that has real AIS."),
        of_day("daily_geojson", "equals_index_and_files", _day_files, "Index, files and GeoJSON are the same chips."),
        of_day("daily_geojson", "labels_match_chips", _day_labels, "Each chip is labelled with its target and its vessels."),
        of_all("tiles_index", "schema", _tiles_schema, "tiles.parquet has its declared columns."),
        of_all("tiles_index", "unique_ids", _tiles_unique, "No chip_id is there twice."),
        of_all("tiles_index", "equals_files", _tiles_files, "Rows, files and parts are the same chips."),
    ]


def checks_of_source(storage: Storage, day: date, source_id: str) -> "dict[str, CheckResult]":
    """The checks of the chips asset for another source of a day: the job that chips a file has no asset of its own."""
    return {
        "outcomes_cover_targets": _outcomes_cover(storage, day, source_id),
        "unique_ids": _unique_ids(storage, day, source_id),
        "not_clipped_low": _not_clipped_low(storage, day, source_id),
        "no_synthetic_in_real": _no_synthetic_in_real(storage, day),
    }


def _result(judge: "Callable[[], CheckResult]") -> dg.AssetCheckResult:
    try:
        judged = judge()
    except (SchemaError, StorageError) as error:
        # A table that cannot be read fails the check; an exception would show as a check that could not be run.
        return dg.AssetCheckResult(passed=False, description=str(error))
    return dg.AssetCheckResult(passed=judged.passed, description=judged.description, metadata=dict(judged.numbers))


def _plan_schema(storage: Storage, day: date) -> "CheckResult":
    from s2chips_core.index.checks import check_schema
    from s2chips_core.overpasses.plan import PLAN_SCHEMA

    return check_schema(storage, layout.plan(day), PLAN_SCHEMA)


def _snapshots_schema(storage: Storage, day: date) -> "CheckResult":
    from s2chips_core.ais.fixes import FIX_SCHEMA
    from s2chips_core.index.checks import all_of, check_schema

    keys = [k for k in storage.list(layout.ais_folder(day)) if layout.is_snapshot(k) and k.endswith(".parquet")]
    return all_of([check_schema(storage, key, FIX_SCHEMA) for key in keys])


def _matches_schema(storage: Storage, day: date) -> "CheckResult":
    from s2chips_core.index.checks import check_schema
    from s2chips_core.scenes.matches import MATCH_SCHEMA

    return check_schema(storage, layout.matches(day), MATCH_SCHEMA)


def _outcomes_schema(storage: Storage, day: date) -> "CheckResult":
    from s2chips_core.index.checks import check_schema
    from s2chips_core.index.outcomes import OUTCOME_SCHEMA

    return check_schema(storage, layout.outcomes(day), OUTCOME_SCHEMA)


def _outcomes_cover(storage: Storage, day: date, source_id: str = layout.CAPTURE) -> "CheckResult":
    from s2chips_core import tables
    from s2chips_core.index.checks import check_outcomes_cover
    from s2chips_core.index.outcomes import OUTCOME_SCHEMA
    from s2chips_core.scenes.matches import MATCH_SCHEMA

    return check_outcomes_cover(
        tables.read_table(storage, layout.matches_part(day, source_id), MATCH_SCHEMA),
        tables.read_table(storage, layout.outcomes_part(day, source_id), OUTCOME_SCHEMA),
    )


def _unique_ids(storage: Storage, day: date, source_id: str = layout.CAPTURE) -> "CheckResult":
    from s2chips_core.index.checks import check_unique_chip_ids
    from s2chips_core.index.parts import rows_of_source

    return check_unique_chip_ids(rows_of_source(storage, day, source_id))


def _not_clipped_low(storage: Storage, day: date, source_id: str = layout.CAPTURE) -> "CheckResult":
    from s2chips_core.index.checks import check_reflectance
    from s2chips_core.index.parts import rows_of_source

    return check_reflectance(storage, list(rows_of_source(storage, day, source_id)["path"]))


def _no_synthetic_in_real(storage: Storage, day: date) -> "CheckResult":
    from s2chips_core.index.checks import check_ais_sources
    from s2chips_core.index.parts import ais_sources

    return check_ais_sources(ais_sources(storage))


def _day_files(storage: Storage, day: date) -> "CheckResult":
    from s2chips_core.index.checks import check_day_files

    return check_day_files(storage, day)


def _day_labels(storage: Storage, day: date) -> "CheckResult":
    from s2chips_core.index.checks import check_labels

    return check_labels(storage, day)


def _tiles_schema(storage: Storage) -> "CheckResult":
    from s2chips_core.index.checks import check_schema
    from s2chips_core.index.records import INDEX_SCHEMA

    return check_schema(storage, layout.tiles_index(), INDEX_SCHEMA)


def _tiles_unique(storage: Storage) -> "CheckResult":
    from s2chips_core.index.dataset_checks import check_unique_index

    return check_unique_index(storage)


def _tiles_files(storage: Storage) -> "CheckResult":
    from s2chips_core.index.dataset_checks import check_all_files

    return check_all_files(storage)
