"""The law of a host's limit, without a network and with a clock of our own."""

import random
from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s2chips_core.host_limit import DEAD_AFTER_S, DEAD_FAILURES, LEAST, PATIENCE_S, Failure, HostLimit


class Clock:
    def __init__(self) -> None:
        self.now_s = 50.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


def run_rounds(limit: HostLimit, rounds: int, failure_of: dict[int, Failure] | None = None) -> None:
    """Full rounds; the n-th request of each fails as `failure_of` says."""
    for _ in range(rounds):
        size = limit.limit
        started = [limit.start() for _ in range(size)]
        for number, started_in in enumerate(started):
            failure = (failure_of or {}).get(number)
            if failure is None:
                limit.succeeded(started_in)
            else:
                limit.failed(started_in, failure, "said so")


def test_begins_at_most_and_stays_there(clock: Clock) -> None:
    limit = HostLimit(64, clock)
    run_rounds(limit, 5)
    assert (limit.limit, limit.free, limit.in_flight) == (64, 64, 0)


def test_a_place_is_taken_and_given_back(clock: Clock) -> None:
    limit = HostLimit(2, clock)
    first = limit.start()
    limit.start()
    assert (limit.free, limit.in_flight) == (0, 2)
    limit.succeeded(first)
    assert limit.free == 1
    limit.dropped()
    assert limit.free == 2


def test_a_round_that_is_all_refused_halves(clock: Clock) -> None:
    limit = HostLimit(64, clock)
    everything = dict.fromkeys(range(64), Failure.REFUSED)
    seen = []
    for _ in range(7):
        run_rounds(limit, 1, everything)
        seen.append(limit.limit)
    assert seen == [32, 16, 8, 4, 2, LEAST, LEAST]


@pytest.mark.parametrize("failure", [Failure.BROKEN, Failure.TIMEOUT, Failure.SHORT, Failure.SERVER_ERROR])
def test_what_is_no_refusal_counts_a_quarter(clock: Clock, failure: Failure) -> None:
    limit = HostLimit(64, clock)
    run_rounds(limit, 1, dict.fromkeys(range(64), failure))
    assert limit.limit == pytest.approx(64 * (1 - 0.25 / 2) + 0.75, abs=1)


def test_a_signature_that_ran_out_says_nothing_of_the_load(clock: Clock) -> None:
    limit = HostLimit(64, clock)
    run_rounds(limit, 3, dict.fromkeys(range(64), Failure.SIGNATURE))
    assert limit.limit == 64


def test_successes_raise_it_by_one_a_round(clock: Clock) -> None:
    limit = HostLimit(64, clock)
    run_rounds(limit, 3, dict.fromkeys(range(64), Failure.REFUSED))
    assert limit.limit == 8
    seen = []
    for _ in range(4):
        run_rounds(limit, 1)
        seen.append(limit.limit)
    assert seen == [9, 10, 11, 12]
    run_rounds(limit, 100)
    assert limit.limit == 64


def test_what_was_sent_before_a_change_does_not_count_again(clock: Clock) -> None:
    limit = HostLimit(8, clock)
    old = [limit.start() for _ in range(16)]
    for started_in in old:
        limit.failed(started_in, Failure.REFUSED, "said so")
    assert limit.limit == 4


@given(st.integers(1, 64), st.lists(st.sampled_from([None, *Failure]), max_size=400))
def test_never_outside_its_bounds(most: int, outcomes: list[Failure | None]) -> None:
    limit = HostLimit(most, Clock())
    flying: deque[int] = deque()
    for outcome in outcomes:
        while limit.free:
            flying.append(limit.start())
        started_in = flying.popleft()
        if outcome is None:
            limit.succeeded(started_in)
        else:
            limit.failed(started_in, outcome, "said so")
        assert min(LEAST, most) <= limit.limit <= most
        assert limit.in_flight == len(flying)


@pytest.mark.parametrize("takes", [5, 12, 30])
def test_settles_at_what_the_host_takes(clock: Clock, takes: int) -> None:
    limit = HostLimit(64, clock)
    flying: deque[tuple[int, bool]] = deque()
    limits, refused = [], 0
    for step in range(6000):
        while limit.free:
            served = sum(good for _, good in flying)
            flying.append((limit.start(), served < takes))
        started_in, good = flying.popleft()
        if good:
            limit.succeeded(started_in)
        else:
            limit.failed(started_in, Failure.REFUSED, "429")
        if step >= 3000:
            limits.append(limit.limit)
            refused += not good
    assert takes * 0.7 <= sum(limits) / len(limits) <= takes * 1.5
    assert refused / 3000 < 0.25


@pytest.mark.parametrize(("share", "at_least"), [(0.1, 24), (0.3, 8)])
def test_chance_failures_leave_enough_in_flight(clock: Clock, share: float, at_least: int) -> None:
    # A third of them each 503, reset and short body, as the sandbox mixes them.
    dice = random.Random(1)
    limit = HostLimit(64, clock)
    flying: deque[int] = deque()
    limits = []
    for _ in range(20_000):
        while limit.free:
            flying.append(limit.start())
        started_in = flying.popleft()
        if dice.random() < share:
            failure = dice.choice([Failure.REFUSED, Failure.BROKEN, Failure.SHORT])
            limit.failed(started_in, failure, "said so")
        else:
            limit.succeeded(started_in)
        limits.append(limit.limit)
    assert sum(limits) / len(limits) >= at_least


def test_retry_after_leaves_the_whole_host_alone(clock: Clock) -> None:
    limit = HostLimit(64, clock)
    first, second = limit.start(), limit.start()
    limit.failed(first, Failure.REFUSED, "429", pause_s=7.0)
    limit.failed(second, Failure.REFUSED, "429", pause_s=3.0)
    assert limit.pause_s() == 7.0
    clock.now_s += 6.5
    assert limit.pause_s() == 0.5
    clock.now_s += 0.5
    assert limit.pause_s() == 0.0


def fail(limit: HostLimit, times: int, pause_s: float = 0.0) -> None:
    for _ in range(times):
        limit.failed(limit.start(), Failure.BROKEN, "no answer", pause_s)


def test_given_up_after_so_many_in_so_long(clock: Clock) -> None:
    limit = HostLimit(64, clock)
    fail(limit, DEAD_FAILURES + 1)
    assert limit.given_up is None  # many, but at once: it may be back in a second
    clock.now_s += DEAD_AFTER_S
    fail(limit, 1)
    assert limit.given_up == "22 requests failed in a row in 30 s, the last: no answer"


def test_few_failures_give_nobody_up(clock: Clock) -> None:
    limit = HostLimit(64, clock)
    for _ in range(DEAD_FAILURES - 1):
        fail(limit, 1)
        clock.now_s += DEAD_AFTER_S
    assert limit.given_up is None
    fail(limit, 1)
    assert limit.given_up is not None


def test_one_success_begins_anew(clock: Clock) -> None:
    limit = HostLimit(64, clock)
    for _ in range(10):
        fail(limit, DEAD_FAILURES - 1)
        clock.now_s += DEAD_AFTER_S / 2
        limit.succeeded(limit.start())
    assert limit.given_up is None


def test_a_pause_that_was_asked_for_is_no_silence_but_not_for_ever(clock: Clock) -> None:
    limit = HostLimit(64, clock)
    passed_s = 0.0
    while limit.given_up is None and passed_s < 1000:
        fail(limit, 16, pause_s=40.0)
        clock.now_s += 40.0
        passed_s += 40.0
    assert PATIENCE_S + DEAD_AFTER_S <= passed_s <= PATIENCE_S + DEAD_AFTER_S + 50
