"""Steps: each runs once, failures are told, nothing begins after the end."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from s2chips_core.chips.engine import Countdown, Engine
from s2chips_core.chips.memory import MemoryBudget
from s2chips_core.errors import ReadError
from s2chips_core.fetch import Fetcher
from tests.chips.range_server import serving


@pytest.fixture
def failures() -> list[BaseException]:
    return []


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


def engine_of(pool: ThreadPoolExecutor, failures: list[BaseException], fetcher: Fetcher) -> Engine:
    return Engine(fetcher, network=pool, processor=pool, memory=MemoryBudget(1), failed=failures.append)


def test_the_last_call_of_a_countdown_calls() -> None:
    called: list[int] = []
    count = Countdown(3, lambda: called.append(1))
    count()
    count()
    assert not called
    count()
    assert called == [1]


def test_ranges_and_errors_are_handed_on(pool: ThreadPoolExecutor, failures: list[BaseException]) -> None:
    got: list[bytes | ReadError] = []
    with serving({"a": b"0123456789"}) as server:
        engine = engine_of(pool, failures, Fetcher((server.host,), sleep=lambda s: None))
        engine.fetch(server.href("a"), 2, 3, got.append)
        pool.submit(int).result()
        engine.fetch(server.href("b"), 0, 3, got.append)
        pool.shutdown(wait=True)
    assert got[0] == b"234" or got[1] == b"234"
    assert sum(isinstance(one, ReadError) for one in got) == 1
    assert engine.idle
    assert failures == []


def test_what_a_step_raises_is_told(pool: ThreadPoolExecutor, failures: list[BaseException]) -> None:
    engine = engine_of(pool, failures, Fetcher(()))

    def broken() -> None:
        raise MemoryError("no more")

    engine.compute(broken)
    pool.shutdown(wait=True)
    assert [str(failure) for failure in failures] == ["no more"]
    assert engine.idle


def test_after_the_end_nothing_begins(pool: ThreadPoolExecutor, failures: list[BaseException]) -> None:
    engine = engine_of(pool, failures, Fetcher(()))
    ran: list[int] = []
    engine.close()
    engine.compute(ran.append, 1)
    pool.shutdown(wait=True)
    engine.transfer(ran.append, 2)  # and no error either: the work was given up
    assert (ran, failures, engine.idle) == ([], [], True)


def test_short_steps_do_not_wait_for_long_ones(failures: list[BaseException]) -> None:
    order: list[str] = []
    begin = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        engine = engine_of(pool, failures, Fetcher(()))
        engine.compute(begin.wait)
        engine.compute_long(order.append, "long 1")
        engine.compute(order.append, "short 1")
        engine.compute_long(order.append, "long 2")
        engine.compute(order.append, "short 2")
        begin.set()
    assert order == ["short 1", "short 2", "long 1", "long 2"]
    assert engine.idle
    assert failures == []
