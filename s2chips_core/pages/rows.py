"""Rows of a table that is held as columns: made one batch after the other, each time they are gone through.

A row as a dict takes ten times its bytes as columns, and a page goes through all of them a few times. Here: the view. Not
here: reading tables (`tables`), what is made of rows (`day`).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, overload

import numpy as np
import numpy.typing as npt
import pyarrow as pa

BATCH_ROWS = 200

Row = Mapping[str, Any]


class Rows(Sequence[Row]):
    """The rows of a table, in its order."""

    def __init__(self, table: pa.Table) -> None:
        self.table = table.combine_chunks()

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def __iter__(self) -> Iterator[Row]:
        for start in range(0, len(self), BATCH_ROWS):
            yield from self.table.slice(start, BATCH_ROWS).to_pylist()

    @overload
    def __getitem__(self, place: int) -> Row: ...
    @overload
    def __getitem__(self, place: slice) -> "Rows": ...
    def __getitem__(self, place: int | slice) -> "Row | Rows":
        if isinstance(place, slice):
            start, stop, step = place.indices(len(self))
            return Rows(self.table.slice(start, max(stop - start, 0))) if step == 1 else self.take(range(start, stop, step))
        if not -len(self) <= place < len(self):
            raise IndexError(place)
        row: Row = self.table.slice(place % len(self), 1).to_pylist()[0]
        return row

    def only(self, *names: str) -> "Rows":
        """The same rows with these columns."""
        return Rows(self.table.select(list(names)))

    def take(self, places: Sequence[int] | npt.NDArray[np.int64]) -> "Rows":
        """Some of the rows, in this order."""
        return Rows(self.table.take(pa.array(places, pa.int64())))

    def column(self, name: str) -> list[Any]:
        """The values of a column."""
        values: list[Any] = self.table[name].to_pylist()
        return values

    def different(self, name: str) -> list[Any]:
        """The values of a column, each once, without null."""
        values: list[Any] = self.table[name].drop_null().unique().to_pylist()
        return values


class RowsByKey(Mapping[str, Sequence[Row]]):
    """The rows of a table by a text, those of one text in the order of the table; a text with no row is not in there."""

    def __init__(self, rows: Rows, key: str) -> None:
        keys = np.array(rows.column(key), dtype=np.str_)
        # The bytes of ids are a quarter of their texts, and sort alike.
        encoded = np.char.encode(keys, "utf-8") if len(keys) else np.empty(0, "S1")
        order = np.argsort(encoded, kind="stable")
        self._keys, self._rows = encoded[order], rows.take(order)

    def __getitem__(self, key: str) -> Sequence[Row]:
        first, behind = (int(np.searchsorted(self._keys, key.encode(), side)) for side in ("left", "right"))
        if first == behind:
            raise KeyError(key)
        return list(self._rows[first:behind])

    def __contains__(self, key: object) -> bool:
        if not isinstance(key, str):
            return False
        place = int(np.searchsorted(self._keys, key.encode()))
        return place < len(self._keys) and bool(self._keys[place] == key.encode())

    def __iter__(self) -> Iterator[str]:
        return (str(key.decode()) for key in np.unique(self._keys))

    def __len__(self) -> int:
        return len(np.unique(self._keys))
