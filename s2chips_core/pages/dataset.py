"""The page of the whole dataset, at the door: reads the index and the outcomes of all days, writes the page and its files.

Here: reading, writing, clearing away. Not here: what is on the page (`dataset_page`).
"""

import dataclasses
import time
from datetime import datetime

import pyarrow as pa

from s2chips_core import layout, tables
from s2chips_core.config import Settings
from s2chips_core.index.records import INDEX_SCHEMA
from s2chips_core.pages.dataset_days import read_days
from s2chips_core.pages.dataset_items import READ_COLUMNS
from s2chips_core.pages.dataset_page import build_dataset_page
from s2chips_core.pages.view_files import read_layouts
from s2chips_core.pages.views import Layout
from s2chips_core.storage import Storage

LOCK = "dataset-page"
"""Held while the page is made: two at once would clear away each other's files."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DatasetReport:
    """What was written."""

    key: str
    """Of the page."""
    chips: int
    days: int
    """Days with outcomes."""
    targets: int
    vessels_in_more_than_one_split: int
    bytes: int
    """Of the page and the files beside it."""
    written: int
    """Files that were not there yet."""
    seconds: float


def write_dataset_page(
    storage: Storage,
    *,
    settings: Settings,
    generated_at: datetime,
    software_version: str,
    title: str | None = None,
    imagery_credit: str | None = None,
) -> DatasetReport:
    """Make the page of everything that the dataset holds, and remove the files of the page before it.

    Files first, then the page, then what no page needs any more: whoever opens the page meanwhile finds what it names.

    Raises:
        StorageError: there is no index yet, or a table cannot be read.
        SchemaError: a table was written by another version.
    """
    began = time.monotonic()
    read = pa.schema([INDEX_SCHEMA.field(name) for name in READ_COLUMNS])
    with storage.lock(LOCK):
        index = tables.to_frame(tables.read_arrow(storage, layout.tiles_index(), read))
        days, refused = read_days(storage)
        layouts: dict[str, Layout] = {}
        for scene_day in index["scene_datetime"].dt.date.unique():
            layouts |= read_layouts(storage, scene_day)
        page = build_dataset_page(
            index,
            days,
            refused,
            layouts=layouts,
            settings=settings,
            generated_at=generated_at,
            software_version=software_version,
            title=title,
            imagery_credit=imagery_credit,
        )
        there, wanted = set(storage.list(layout.dataset_assets())), {}
        for asset in page.assets:
            wanted[layout.dataset_asset(asset.name)] = asset.data
        missing = [key for key in wanted if key not in there]
        for key in missing:
            storage.put(key, wanted[key])
        storage.put(layout.dataset_page(), page.html)
        for key in there - set(wanted):
            storage.delete(key)
    return DatasetReport(
        key=layout.dataset_page(),
        chips=len(index),
        days=len(days),
        targets=sum(day.targets for day in days),
        vessels_in_more_than_one_split=page.leaking_vessels,
        bytes=len(page.html) + sum(len(data) for data in wanted.values()),
        written=len(missing),
        seconds=time.monotonic() - began,
    )
