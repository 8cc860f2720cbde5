"""The pages as Dagster makes them, for the assets and for the jobs that take a file or prune.

Here: making them, and what is shown of that of the dataset. Not here: the pages (`s2chips_core.pages`).
"""

import logging
from datetime import date
from typing import TYPE_CHECKING, Any

import dagster as dg

from s2chips_core import __version__
from s2chips_core.config import Settings
from s2chips_dagster.chipping import imagery_credit
from s2chips_dagster.metadata import rate, throttled
from s2chips_dagster.resources import Workspace

if TYPE_CHECKING:
    from s2chips_core.pages.day import DayPage


def report_day(day: date, settings: Settings, workspace: Workspace, log: logging.Logger) -> "DayPage":
    """Make the page of a day, and the pictures of its chips that are missing."""
    from s2chips_core.pages.day import write_report

    return write_report(
        day,
        storage=workspace.storage(settings),
        settings=settings,
        generated_at=workspace.clock(),
        software_version=__version__,
        imagery_credit=imagery_credit(settings),
        progress=throttled(log),
    )


def report_dataset(workspace: Workspace) -> dict[str, Any]:
    """Make the page; returns the metadata of `dataset_report`."""
    from s2chips_core.pages.dataset import write_dataset_page

    settings = workspace.settings()
    storage = workspace.storage(settings)
    made = write_dataset_page(
        storage,
        settings=settings,
        generated_at=workspace.clock(),
        software_version=__version__,
        imagery_credit=imagery_credit(settings),
    )
    return {
        "page": dg.MetadataValue.path(storage.url(made.key)),
        "chips": made.chips,
        "days": made.days,
        "targets": made.targets,
        "pass_rate": rate(made.chips, made.targets),
        "vessels_in_more_than_one_split": made.vessels_in_more_than_one_split,
        "bytes": made.bytes,
        "files_written": made.written,
        "seconds": round(made.seconds, 3),
    }
