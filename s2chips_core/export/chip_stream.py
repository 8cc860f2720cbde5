"""Chips one after the other, their files read by several threads: in the order of the rows, a bounded number at a time.

Not here: what is read (`chip_files`) and what is made of it (`dataset`).
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import pyarrow as pa

Row = dict[str, Any]
Result = TypeVar("Result")

AHEAD_OF_EACH = 2
"""Results that may wait for each thread: a chip is about 1 MB."""
ROWS_AT_ONCE = 1_000
"""Rows that are Python objects at a time."""


def iter_rows(*tables: pa.Table) -> Iterator[tuple[Row, ...]]:
    """The rows of equally long tables, side by side."""
    for start in range(0, tables[0].num_rows, ROWS_AT_ONCE):
        yield from zip(*(table.slice(start, ROWS_AT_ONCE).to_pylist() for table in tables), strict=True)


def in_order(items: Iterable[Any], work: Callable[..., Result], *, threads: int) -> Iterator[Result]:
    """`work(*item)` for each item, in order, on threads; at most `threads * AHEAD_OF_EACH` results wait.

    The first error ends it; what has not begun by then is not done.
    """
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="export") as pool:
        try:
            for item in items:
                waiting.append(pool.submit(work, *item))
                if len(waiting) > threads * AHEAD_OF_EACH:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
