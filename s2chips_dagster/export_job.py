"""The job that exports chips as files that others train on.

Not partitioned: an export is of the whole dataset, or of what its options leave. Everything is in `s2chips_core.export`.
"""

import os
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import Field

from s2chips_core.errors import ConfigError
from s2chips_dagster.metadata import throttled
from s2chips_dagster.resources import Workspace

JOB, OP = "export_dataset", "export_chips"


class ExportConfig(dg.Config):
    """Which chips, in which form. What an option may be is checked before any chip is read."""

    out: str = Field(
        description="The folder to make: new, empty, or an earlier export, which is replaced. Absolute, or below the "
        "folder in which Dagster was started."
    )
    formats: list[str] = Field(
        default=["stac", "webdataset", "coco", "geoparquet"],
        description="What to write: stac (catalogue), webdataset (shards), coco (boxes of ships), geoparquet (tables).",
    )
    split: list[str] = Field(default=["train", "val", "test"], description="Which splits: any of train, val and test.")
    bands: list[str] = Field(
        default=[],
        description="Only these bands, in this order; chips that lack one are left out. Empty: each chip as it is.",
    )
    where: str = Field(
        default="",
        description="Only chips for which this holds: a condition on columns of the index, such as qa_cloud_frac < 0.01 and "
        "length_m > 50. Empty: all.",
    )
    without_ais: bool = Field(
        default=False,
        description="Replace MMSI and ids by keyed hashes and leave out names and exact AIS positions. The key is "
        "S2CHIPS_EXPORT_KEY of the environment, else a random one that is thrown away.",
    )
    assets: str = Field(
        default="copy",
        description="copy, or link: hard links to the files of the dataset, on the same disk.",
    )
    array: str = Field(default="tif", description="Pixels in the shards: tif (the GeoTIFF) or npy (a numpy array).")
    shard_chips: int = Field(default=1000, description="Most chips of a shard.")
    shard_mb: int = Field(default=500, description="Most megabytes of a shard.")
    seed: int = Field(default=0, description="Of the order of chips in the shards.")
    categories: str = Field(default="ship", description="COCO categories: ship, or ship_type (one for each type of AIS).")


def build_export_job() -> dg.JobDefinition:
    """`export_dataset`."""

    @dg.op(name=OP)
    def export_chips(context: dg.OpExecutionContext, config: ExportConfig, workspace: Workspace) -> None:
        """Write the export; its manifest is the metadata of the output."""
        context.add_output_metadata(export(context, config, workspace))

    @dg.job(name=JOB, description="Chips as STAC catalogue, WebDataset shards, COCO and GeoParquet, with a data card.")
    def export_dataset() -> None:
        export_chips()

    return export_dataset


def export(context: dg.OpExecutionContext, config: ExportConfig, workspace: Workspace) -> dict[str, Any]:
    """One export; what the UI shows of it."""
    from s2chips_core import __version__, layout
    from s2chips_core.export.dataset import export_dataset
    from s2chips_core.export.options import ExportOptions, export_key
    from s2chips_dagster.chipping import imagery_credit

    if not config.out.strip():
        raise ConfigError("run config", "out", config.out, "the path of the folder to make")
    same = config.model_dump(exclude={"out", "formats", "split", "bands", "where"})
    options = ExportOptions(
        formats=tuple(config.formats),
        splits=tuple(config.split),  # `splits` is a section of the settings
        bands=tuple(config.bands) or None,
        where=config.where or None,
        **same,
    )
    settings, target = workspace.settings(), Path(config.out).expanduser().resolve()
    manifest = export_dataset(
        workspace.storage(settings),
        target,
        options,
        settings=settings,
        now=workspace.clock(),
        software_version=__version__,
        key=export_key(os.environ) if options.without_ais else None,
        imagery_credit=imagery_credit(settings),
        progress=throttled(context.log),
    )
    context.log.info("%s: %d chips in %d files, %d bytes", target, manifest["chips"], manifest["files"], manifest["bytes"])
    card = (target / layout.export_card()).read_text(encoding="utf-8")
    return {
        "path": dg.MetadataValue.path(str(target)),
        "chips": manifest["chips"],
        "labels": manifest["labels"],
        "files": manifest["files"],
        "bytes": manifest["bytes"],
        "manifest": dg.MetadataValue.json(manifest),
        "card": dg.MetadataValue.md(card),
    }
