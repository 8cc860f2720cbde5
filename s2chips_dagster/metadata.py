"""What a materialisation shows in the Dagster UI: counts, a table preview, pictures, paths."""

import base64
import logging
import math
import re
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

import dagster as dg

if TYPE_CHECKING:
    import pandas as pd

PREVIEW_ROWS = 10
_MARKDOWN = re.compile(r"[\\`*\[\]<>!|~&]")
"""What begins something in Markdown inside of a line; `_` is in many names and begins at most a slant."""


def table_preview(frame: "pd.DataFrame", columns: list[str]) -> dg.TableMetadataValue:
    """The first rows of some columns; every value as text, as the UI shows it."""
    return records_table([row for _, row in frame.head(PREVIEW_ROWS).iterrows()], columns)


def records_table(rows: "Iterable[Mapping[Any, Any] | pd.Series[Any]]", columns: list[str]) -> dg.TableMetadataValue:
    """All rows, some columns; every value as text, as the UI shows it."""
    records = [dg.TableRecord({c: _text(row[c]) for c in columns}) for row in rows]
    schema = dg.TableSchema(columns=[dg.TableColumn(name=c, type="string") for c in columns])
    return dg.MetadataValue.table(records=records, schema=schema)


def picture(data: bytes, alt: str, media_type: str = "image/jpeg") -> dg.MarkdownMetadataValue:
    """A picture (JPEG, PNG, SVG) that the UI shows inline."""
    return dg.MetadataValue.md(f"![{as_words(alt)}](data:{media_type};base64,{base64.b64encode(data).decode()})")


def as_words(text: str) -> str:
    """A text of somebody else for a place where the UI reads Markdown: no link, no picture that is fetched, one line."""
    return _MARKDOWN.sub(r"\\\g<0>", " ".join(text.split()))


def counts_table(counts: Mapping[str, int], name: str = "outcome", counted: str = "targets") -> dg.MarkdownMetadataValue:
    """Counts by name, also those that are 0, under these headings."""
    rows = "\n".join(f"| {as_words(each)} | {count} |" for each, count in counts.items())
    return dg.MetadataValue.md(f"| {name} | {counted} |\n|---|---:|\n{rows}")


def rate(part: int, whole: int) -> float:
    """A fraction from 0 to 1; 0 of nothing."""
    return round(part / whole, 4) if whole else 0.0


def throttled(log: logging.Logger, every_s: float = 5.0) -> Callable[[Any], None]:
    """A progress callback that logs at once, then at most every `every_s` seconds: Dagster stores an event for each line."""
    last = -math.inf

    def report(progress: object) -> None:
        nonlocal last
        if time.monotonic() - last >= every_s:
            last = time.monotonic()
            log.info("%s", progress)

    return report


def _text(value: object) -> str:
    if _missing(value):
        return ""
    # A column of a table in the UI is narrow: a time to the second fits into two lines.
    return f"{value:%Y-%m-%d %H:%M:%S}Z" if isinstance(value, datetime) and not value.utcoffset() else str(value)


def _missing(value: object) -> bool:
    import pandas as pd

    return value is None or value is pd.NaT or (isinstance(value, float) and value != value) or value is pd.NA
