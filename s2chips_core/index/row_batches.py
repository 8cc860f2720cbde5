"""Rows that come one after another, held as columns.

A row of the index with its labels takes 14 kB as a dict and 2 kB as columns, and a run holds those of its whole day. Here:
the batches. Not here: what is in a row (`records`), when it is written (`day_run`).
"""

from collections.abc import Mapping
from typing import Any

import pandas as pd
import pyarrow as pa

from s2chips_core import tables

BATCH_ROWS = 250


class RowBatches:
    """A table that grows."""

    def __init__(self, schema: pa.Schema, name: str) -> None:
        """Args:
        schema: of the table.
        name: what errors call it.
        """
        self._schema, self._name = schema, name
        self._pending: list[Mapping[str, Any]] = []
        self._batches: list[pa.Table] = []
        self._rows = 0

    def __len__(self) -> int:
        return self._rows

    def append(self, row: Mapping[str, Any]) -> None:
        """One more row; whoever gives it may not change it any more.

        Raises:
            SchemaError: one of the last rows is none of the schema.
        """
        self._pending.append(row)
        self._rows += 1
        if len(self._pending) >= BATCH_ROWS:
            self._close()

    def table(self) -> pa.Table:
        """All rows so far, in the order in which they came.

        Raises:
            SchemaError: as `append`.
        """
        self._close()
        return pa.concat_tables([self._schema.empty_table(), *self._batches])

    def _close(self) -> None:
        if self._pending:
            frame = pd.DataFrame(self._pending, columns=self._schema.names)
            self._batches.append(tables.conform(frame, self._schema, self._name))
            self._pending = []
