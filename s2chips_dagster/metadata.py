"""What a materialisation shows in the Dagster UI: counts, a table preview, pictures, paths."""

import base64
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

import dagster as dg
import pandas as pd

PREVIEW_ROWS = 10


def table_preview(frame: pd.DataFrame, columns: list[str]) -> dg.TableMetadataValue:
    """The first rows of some columns; every value as text, as the UI shows it."""
    records = [
        dg.TableRecord({c: "" if _missing(row[c]) else str(row[c]) for c in columns})
        for _, row in frame.head(PREVIEW_ROWS).iterrows()
    ]
    schema = dg.TableSchema(columns=[dg.TableColumn(name=c, type="string") for c in columns])
    return dg.MetadataValue.table(records=records, schema=schema)


def picture(jpeg: bytes, alt: str) -> dg.MarkdownMetadataValue:
    """A JPEG that the UI shows inline."""
    return dg.MetadataValue.md(f"![{alt}](data:image/jpeg;base64,{base64.b64encode(jpeg).decode()})")


def counts_table(counts: Mapping[str, int]) -> dg.MarkdownMetadataValue:
    """Counts by outcome, all outcomes, also those that are 0."""
    rows = "\n".join(f"| {name} | {count} |" for name, count in counts.items())
    return dg.MetadataValue.md(f"| outcome | targets |\n|---|---:|\n{rows}")


def throttled(log: logging.Logger, every_s: float = 5.0) -> Callable[[Any], None]:
    """A progress callback that logs at most every `every_s` seconds: Dagster stores an event for each line."""
    last = time.monotonic()

    def report(progress: object) -> None:
        nonlocal last
        if time.monotonic() - last >= every_s:
            last = time.monotonic()
            log.info("%s", progress)

    return report


def _missing(value: object) -> bool:
    return value is None or value is pd.NaT or (isinstance(value, float) and value != value) or value is pd.NA
