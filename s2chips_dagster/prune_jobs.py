"""The jobs that move chips to the trash and back, and what they tell.

Not partitioned: recorded AIS is held against the chips of all days, or of a range. What was moved shows as an observation of
the `chips` of each day concerned, and as a materialisation of `tiles_index`.
"""

from collections.abc import Iterable, Mapping
from datetime import date
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field, create_model

from s2chips_core import __version__, layout
from s2chips_core.config import Settings
from s2chips_core.errors import ConfigError
from s2chips_core.storage import Storage
from s2chips_dagster import run_config
from s2chips_dagster.jobs import PRUNING_TAGS
from s2chips_dagster.metadata import counts_table, records_table, throttled
from s2chips_dagster.pages import report_dataset, report_day
from s2chips_dagster.resources import Workspace

if TYPE_CHECKING:
    from s2chips_core.index.prune import PruneResult
    from s2chips_core.index.prune_moves import Move
    from s2chips_core.index.prune_restore import RestoreResult

PRUNE = {"prune": ("time_tolerance_min", "distance_tolerance_m")}
NIGHTLY_RUN_CONFIG = {"ops": {"prune_chips": {"config": {"dry_run": False}}}}
SHOWN_ROWS = 200
"""Of a table in the UI; the file has all."""
COLUMNS = ["chip_id", "mmsi", "ship_name", "reason", "dt_s", "distance_m", "detail"]


class RestoreConfig(dg.Config):
    """What is put back."""

    trash: str = Field(default="latest", description="The trash to put back: its id, such as 20251030T020000Z, or latest.")


def build_prune_jobs(settings: Settings) -> list[dg.JobDefinition]:
    """`prune_by_ais` and `restore_pruned`, with the run config's defaults from `settings`."""
    Options: Any = run_config.run_config("PruneOptions", settings, PRUNE)
    PruneConfig: Any = create_model(
        "PruneConfig",
        __base__=Options,
        dry_run=(
            bool,
            Field(default=True, description="Only say which chips would go and why; false: move them to the trash."),
        ),
        first_day=(str, Field(default="", description="Only chips sensed from this day on, YYYY-MM-DD; empty: all.")),
        last_day=(str, Field(default="", description="Only chips sensed until this day, YYYY-MM-DD; empty: all.")),
    )

    @dg.op(name="prune_chips")
    def prune_chips(context: dg.OpExecutionContext, config: PruneConfig, workspace: Workspace) -> None:
        """Hold every chip against recorded AIS; what it does not vouch for goes to the trash."""
        prune(context, config, workspace)

    @dg.op(name="restore_chips")
    def restore_chips(context: dg.OpExecutionContext, config: RestoreConfig, workspace: Workspace) -> None:
        """Put the chips of a trash back where they were."""
        restore(context, config.trash, workspace)

    @dg.job(
        name="prune_by_ais",
        description="Keep only chips that recorded AIS vouches for; a dry run unless dry_run is false. The others go to the "
        "trash, from where restore_pruned puts them back.",
        tags=PRUNING_TAGS,
    )
    def prune_by_ais() -> None:
        prune_chips()

    @dg.job(name="restore_pruned", description="Put chips back that prune_by_ais has removed.", tags=PRUNING_TAGS)
    def restore_pruned() -> None:
        restore_chips()

    return [prune_by_ais, restore_pruned]


def prune(context: dg.OpExecutionContext, config: Any, workspace: Workspace) -> None:
    """One prune, or a dry run of it, with everything that follows from it."""
    from s2chips_core.index.prune import prune_chips

    settings = workspace.settings(run_config.overrides(config))
    first_day, last_day = (_day(name, getattr(config, name)) for name in ("first_day", "last_day"))
    storage = workspace.storage(settings)
    result = prune_chips(
        settings=settings,
        storage=storage,
        now=workspace.clock(),
        software_version=__version__,
        dry_run=config.dry_run,
        first_day=first_day,
        last_day=last_day,
        tell=throttled(context.log),
    )
    for chip_id, why in result.left.items():
        context.log.warning("chip %s should go and is left: %s", chip_id, why)
    _follow_up(context, result, result.finished, workspace, settings)
    context.add_output_metadata(prune_metadata(result, settings, storage))


def restore(context: dg.OpExecutionContext, which: str, workspace: Workspace) -> None:
    """One restore, with everything that follows from it."""
    from s2chips_core.index.prune_restore import restore_trash

    settings = workspace.settings()
    result = restore_trash(which, storage=workspace.storage(settings), tell=throttled(context.log))
    for chip_id, why in result.left.items():
        context.log.warning("chip %s could not be put back: %s", chip_id, why)
    _follow_up(context, result, result.finished, workspace, settings)
    rows = [{"chip_id": chip_id, "why": why} for chip_id, why in list(result.left.items())[:SHOWN_ROWS]]
    context.add_output_metadata(
        {
            "trash": result.trash_id,
            "restored": result.restored,
            "left_in_trash": len(result.left),
            "left": records_table(rows, ["chip_id", "why"]),
            "reasons": dg.MetadataValue.json(dict(result.left)),
        }
    )


def prune_metadata(result: "PruneResult", settings: Settings, storage: Storage) -> dict[str, Any]:
    """The table of what goes, counts by reason, tolerances, where the whole table is."""
    going = result.going
    reasons = {str(reason): int(count) for reason, count in result.judged["reason"].value_counts().items()}
    if result.dry_run:
        path = storage.url(layout.prune_proposal("csv"))
    else:
        path = storage.url(layout.trash_table(result.trash_id)) if result.trash_id else ""
    return {
        # The UI shows the first lines of an event: what goes comes first.
        "going": len(going),
        "table": records_table(_shown(going.head(SHOWN_ROWS).to_dict("records")), COLUMNS),
        "reasons": counts_table(reasons, "reason", "chips"),
        "path": dg.MetadataValue.path(path),
        "trash": result.trash_id or "",
        "dry_run": result.dry_run,
        "judged": len(result.judged),
        "time_tolerance_min": settings.prune.time_tolerance_min,
        "distance_tolerance_m": settings.prune.distance_tolerance_m,
        "left": dg.MetadataValue.json(dict(result.left)),
        "finished": dg.MetadataValue.json(
            [{"trash": m.trash_id, "action": str(m.action), "chips": len(m.paths)} for m in result.finished]
        ),
        "seconds": round(result.seconds, 3),
    }


def _shown(rows: Iterable[Mapping[Any, Any]]) -> list[dict[Any, Any]]:
    """Numbers as people read them."""
    return [
        {**row, **{name: None if row[name] != row[name] else round(row[name], 1) for name in ("dt_s", "distance_m")}}
        for row in rows
    ]


def _day(name: str, text: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError as error:
        raise ConfigError("run config", name, text, "a day, YYYY-MM-DD, or nothing") from error


def _follow_up(
    context: dg.OpExecutionContext,
    result: "PruneResult | RestoreResult",
    finished: "tuple[Move, ...]",
    workspace: Workspace,
    settings: Settings,
) -> None:
    """Pages anew, checks, events; for moves that had been broken off too."""
    from s2chips_core.index.checks import all_of, check_day_files
    from s2chips_core.index.dataset_checks import check_all_files

    for move in finished:
        context.log.warning(
            "a %s of %d chips (trash %s) had been broken off: it is finished now",
            move.action,
            len(move.paths),
            move.trash_id,
        )
    if not result.scene_days:
        return
    storage = workspace.storage(settings)
    for day in result.ais_days:
        if storage.exists(layout.report(day)):
            report_day(day, settings, workspace, context.log)
        context.log_event(
            dg.AssetObservation("chips", partition=day.isoformat(), description="chips were moved to the trash or back")
        )
    whole = check_all_files(storage)
    judged = all_of([*(check_day_files(storage, day) for day in result.scene_days), whole])
    if not judged.passed:
        raise dg.Failure(f"index, files and GeoJSON do not agree: {judged.description}")
    context.log_event(dg.AssetMaterialization("tiles_index", metadata={"chips": int(whole.numbers["chips"])}))
    context.log_event(dg.AssetMaterialization("dataset_report", metadata=report_dataset(workspace)))
