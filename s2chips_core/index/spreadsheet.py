"""A table as CSV for people: it opens in a spreadsheet, and nothing in it runs there.

Names of ships come from strangers. Here: the text. Not here: the tables (`row_report`, `prune`), and Excel workbooks
(`ais.workbook`).
"""

import csv
import io
import re

import pandas as pd

_FORMULA = re.compile(r"(?:^|(?<=[,;\t\r\n|\"]))(?=[=+\-@\t\r])")
"""Where a spreadsheet, whatever it takes for the delimiter, would begin to read a formula."""


def format_csv(table: pd.DataFrame) -> bytes:
    """A table as UTF-8 with the mark that Excel looks for, times in ISO 8601 with milliseconds, nulls empty.

    A text that a spreadsheet would take for a formula gets an apostrophe in front, as spreadsheets themselves do it.

    Args:
        table: numbers, booleans, texts and aware times.
    """
    sink = io.StringIO(newline="")
    writer = csv.writer(sink)
    writer.writerow(table.columns)
    columns = [[_cell(value) for value in values] for _, values in table.items()]
    writer.writerows(zip(*columns, strict=True))
    return b"\xef\xbb\xbf" + sink.getvalue().encode("utf-8", errors="replace")


def _cell(value: object) -> str:
    if value is None or value is pd.NA or value is pd.NaT or value != value:
        return ""
    if isinstance(value, pd.Timestamp):
        return value.tz_convert("UTC").strftime("%Y-%m-%dT%H:%M:%S.") + f"{value.microsecond // 1000:03d}Z"
    return _FORMULA.sub("'", value) if isinstance(value, str) else str(value)
