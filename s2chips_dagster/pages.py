"""The page of the whole dataset as Dagster makes it, for the asset and for the job that takes a file.

Here: making it, and what is shown of it. Not here: the page (`s2chips_core.pages.dataset`).
"""

from typing import Any

import dagster as dg

from s2chips_core import __version__
from s2chips_dagster.chipping import imagery_credit
from s2chips_dagster.metadata import rate
from s2chips_dagster.resources import Workspace


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
