"""The table of labels of an export: one row for every ship in a chip, written as the chips come.

Here: its schema and the writer. Not here: how labels are made (`index.labels`) and shown (`pseudonyms`).
"""

from collections.abc import Mapping
from types import TracebackType
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from s2chips_core.export.chip_files import Labels
from s2chips_core.export.pseudonyms import LABEL_KEPT, VESSEL_ID
from s2chips_core.index.labels import LABEL_SCHEMA, OF_CHIP

ROWS_PER_GROUP = 50_000
ROWS_AT_ONCE = 1_000
"""Rows that wait as Python objects: they take ten times the memory of a table."""


def label_schema(*, without_ais: bool) -> pa.Schema:
    """`LABEL_SCHEMA`, or the columns of it that an export without AIS shows."""
    if not without_ais:
        return LABEL_SCHEMA
    shown = [f for f in LABEL_SCHEMA if f.name in LABEL_KEPT or (f.name in OF_CHIP and f.name != "source_id")]
    shown.insert(1, VESSEL_ID)
    return pa.schema(shown)


class LabelWriter:
    """The file; a row group waits in memory until it is full."""

    def __init__(self, file: IO[bytes], *, without_ais: bool) -> None:
        self.schema = label_schema(without_ais=without_ais)
        self.rows = 0
        self._writer = pq.ParquetWriter(file, self.schema, compression="zstd")
        self._waiting: list[dict[str, Any]] = []
        self._group: list[pa.Table] = []

    def __enter__(self) -> "LabelWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None:
            self._gather()
            self._write_group()
        self._writer.close()

    def add(self, row: Mapping[str, Any], labels: Labels | None) -> None:
        """Write the labels of a chip, whose row and labels are as the export shows them."""
        of_chip = {name: row[name] for name in OF_CHIP if name in self.schema.names}
        self._waiting += [{**label, **of_chip} for label in labels or ()]
        if len(self._waiting) >= ROWS_AT_ONCE:
            self._gather()

    def _gather(self) -> None:
        self.rows += len(self._waiting)
        self._group.append(pa.Table.from_pylist(self._waiting, self.schema))
        self._waiting = []
        if sum(table.num_rows for table in self._group) >= ROWS_PER_GROUP:
            self._write_group()

    def _write_group(self) -> None:
        if self._group:
            self._writer.write_table(pa.concat_tables(self._group), row_group_size=2 * ROWS_PER_GROUP)
        self._group = []
