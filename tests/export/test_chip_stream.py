"""Chips in order, on threads, a bounded number at a time."""

import threading
import time

import pyarrow as pa
import pytest

from s2chips_core.export import chip_stream
from s2chips_core.export.chip_stream import in_order, iter_rows


def test_rows_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chip_stream, "ROWS_AT_ONCE", 3)
    left, right = pa.table({"a": list(range(10))}), pa.table({"b": [f"{n}" for n in range(10)]})
    assert list(iter_rows(left, right)) == [({"a": n}, {"b": f"{n}"}) for n in range(10)]
    assert list(iter_rows(left.slice(0, 0), right.slice(0, 0))) == []


def test_the_order_is_that_of_the_items() -> None:
    def work(number: int) -> int:
        time.sleep(0.01 * (3 - number % 4))
        return number * number

    assert list(in_order(((n,) for n in range(20)), work, threads=4)) == [n * n for n in range(20)]


def test_no_more_wait_than_may() -> None:
    """A reader that is quicker than the writer is held up."""
    begun, lock = 0, threading.Lock()

    def work(number: int) -> int:
        nonlocal begun
        with lock:
            begun += 1
        return number

    results = in_order(((n,) for n in range(1000)), work, threads=2)
    for taken in range(1, 51):
        next(results)
        assert begun <= taken + 2 * chip_stream.AHEAD_OF_EACH
    results.close()
    assert begun < 70


def test_the_first_error_ends_it() -> None:
    done: list[int] = []

    def work(number: int) -> int:
        if number == 3:
            raise ValueError("three")
        done.append(number)
        return number

    with pytest.raises(ValueError, match="three"):
        list(in_order(((n,) for n in range(1000)), work, threads=2))
    assert len(done) < 20
