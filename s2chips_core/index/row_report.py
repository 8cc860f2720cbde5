"""What became of each row of an AIS file, as a table for people.

Here: the table. Not here: the outcomes it is made from (`outcomes`), its text (`spreadsheet`).
"""

from collections.abc import Sequence

import pandas as pd
import pyarrow as pa

from s2chips_core import tables
from s2chips_core.tables import TIMESTAMP

ROW_REPORT_SCHEMA = pa.schema(
    [
        pa.field("row_number", pa.int64(), nullable=False),
        pa.field("mmsi", pa.int64()),
        pa.field("ship_name", pa.string()),
        pa.field("ais_time", TIMESTAMP),
        pa.field("ais_lat", pa.float64()),
        pa.field("ais_lon", pa.float64()),
        pa.field("outcome", pa.string(), nullable=False),
        pa.field("detail", pa.string(), nullable=False),
        pa.field("chip_id", pa.string()),
        pa.field("path", pa.string()),
        pa.field("scene_id", pa.string()),
    ]
)
"""One row for each data row of the file, in its order. `chip_id` and `path` (relative to the dataset) of its chip."""


def build_row_report(outcomes: Sequence[pd.DataFrame], chips: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The report of a file.

    Args:
        outcomes: OUTCOME_SCHEMA, of each day of the file.
        chips: INDEX_SCHEMA, the chips of the file on these days.

    Returns:
        ROW_REPORT_SCHEMA.
    """
    rows = [frame for frame in outcomes if len(frame)]
    if not rows:
        return tables.empty(ROW_REPORT_SCHEMA)
    report = pd.concat(rows).sort_values("row_number", kind="stable", ignore_index=True)
    paths = {chip_id: path for frame in chips for chip_id, path in zip(frame["chip_id"], frame["path"], strict=True)}
    chipped = report["outcome"] == "chipped"
    # A refused ship has the chip_id that it would have got.
    report["chip_id"] = report["chip_id"].where(chipped, None)
    report["path"] = report["chip_id"].map(paths).astype(object).where(chipped, None)
    return tables.to_frame(tables.conform(report, ROW_REPORT_SCHEMA, "row report"))
