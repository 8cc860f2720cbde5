"""The job that removes what is old: of the dataset, and of Dagster's own history.

Not here: what may go (`s2chips_core.index.housekeeping`, `old_runs`).
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field, create_model

from s2chips_core.config import Settings
from s2chips_dagster import run_config
from s2chips_dagster.jobs import HOUSEKEEPING_TAGS
from s2chips_dagster.metadata import records_table
from s2chips_dagster.resources import Workspace

if TYPE_CHECKING:
    from s2chips_core.index.housekeeping import Tidied
    from s2chips_dagster.old_runs import OldRun

JOB, OP = "housekeeping", "tidy_up"
RETENTIONS = {"retention": ("ais_days", "trash_days", "journal_days", "report_days", "lock_days", "run_days")}
WEEKLY_RUN_CONFIG = {"ops": {OP: {"config": {"dry_run": False}}}}
SHOWN_ROWS = 200
"""Of a table in the UI."""
RUNS = "run"


def build_housekeeping_job(settings: Settings) -> dg.JobDefinition:
    """`housekeeping`, with the run config's defaults from `settings`."""
    Options: Any = run_config.run_config("HousekeepingOptions", settings, RETENTIONS)
    HousekeepingConfig: Any = create_model(
        "HousekeepingConfig",
        __base__=Options,
        dry_run=(bool, Field(default=True, description="Only say what would go; false: remove it for good.")),
    )

    @dg.op(name=OP)
    def tidy_up(context: dg.OpExecutionContext, config: HousekeepingConfig, workspace: Workspace) -> None:
        """Remove what is older than the retentions, or say what would go."""
        context.add_output_metadata(keep_house(context, config, workspace))

    @dg.job(
        name=JOB,
        description="Remove what is older than the section retention says; a dry run unless dry_run is false. There is no "
        "way back.",
        tags=HOUSEKEEPING_TAGS,
    )
    def housekeeping() -> None:
        tidy_up()

    return housekeeping


def keep_house(context: dg.OpExecutionContext, config: Any, workspace: Workspace) -> dict[str, Any]:
    """Tidy the dataset, then Dagster's history; what the UI shows of it."""
    from s2chips_core.index.housekeeping import tidy
    from s2chips_dagster.old_runs import delete_runs, find_old_runs

    settings, now = workspace.settings(run_config.overrides(config)), workspace.clock()
    tidied = tidy(settings, workspace.storage(settings), now, dry_run=config.dry_run)
    for name, why in tidied.left.items():
        context.log.warning("%s is left: %s", name, why)
    times, days = settings.scheduling, settings.retention.run_days
    # Schedules and sensors ask what became of the runs of these days.
    least = max(days or 0, times.give_up_days + 1, times.lag_days + 1)
    runs = [] if days is None else find_old_runs(context.instance, now - timedelta(days=least))
    if not config.dry_run:
        delete_runs(context.instance, runs)
    return housekeeping_metadata(tidied, runs)


def housekeeping_metadata(tidied: "Tidied", runs: "list[OldRun]") -> dict[str, Any]:
    """Counts and bytes by kind, then each thing."""
    from s2chips_core.index.housekeeping import KINDS

    each: list[Mapping[str, Any]] = [
        {"kind": o.kind, "name": o.name, "since": f"{o.since}", "files": len(o.keys), "bytes": o.size_bytes}
        for o in tidied.old
    ]
    each += [
        {
            "kind": RUNS,
            "name": f"{r.job} {r.run_id[:8]}",
            "since": f"{r.created:%Y-%m-%d}",
            "files": 1,
            "bytes": r.size_bytes,
        }
        for r in runs
    ]
    kinds = []
    for kind in (*KINDS, RUNS):
        of_kind = [row for row in each if row["kind"] == kind]
        sums = {name: sum(row[name] for row in of_kind) for name in ("files", "bytes")}
        oldest = min((row["since"] for row in of_kind), default="")
        kinds.append({"kind": kind, "count": len(of_kind), **sums, "oldest": oldest})
    return {
        "count": len(each),
        "bytes": sum(row["bytes"] for row in each),
        "kinds": records_table(kinds, ["kind", "count", "files", "bytes", "oldest"]),
        "table": records_table(each[:SHOWN_ROWS], ["kind", "name", "since", "files", "bytes"]),
        "dry_run": tidied.dry_run,
        "left": dg.MetadataValue.json(dict(tidied.left)),
    }
