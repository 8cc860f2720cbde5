"""The lock of a bucket: one holder at a time, whatever breaks off, and no write by one who may have lost it."""

import contextlib
import threading
from collections.abc import Iterator

import pytest

from s2chips_core.errors import LockedError, StorageError
from s2chips_core.storage import lease as lease_module
from s2chips_core.storage.lease import LEASE_S, RENEW_S, SURE_S, Lease, hold


class Clock:
    """Seconds that pass when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Place:
    """An object in memory that keeps to conditions."""

    def __init__(self, clock: Clock) -> None:
        self.data: bytes | None = None
        self.tag = 0
        self.broken = False
        self.lost_answers = 0
        self.refused_answers = 0
        """As `lost_answers`, but for a client that asks again by itself and is refused by what it wrote."""
        self.clock, self.written_s = clock, clock.now
        self._lock = threading.Lock()

    def read(self) -> tuple[bytes, str] | None:
        return None if self.data is None else (self.data, str(self.tag))

    def write(self, data: bytes, seen: str | None) -> str | None:
        if self.broken:
            raise StorageError(".locks/x.lock", "cannot be written")
        with self._lock:
            if seen != (None if self.data is None else str(self.tag)):
                return None
            self.data, self.tag, self.written_s = data, self.tag + 1, self.clock.now
            if self.lost_answers:
                self.lost_answers -= 1
                raise StorageError(".locks/x.lock", "cannot be written: error sending request")
            if self.refused_answers:
                self.refused_answers -= 1
                return None
            return str(self.tag)

    def unchanged_s(self) -> float:
        return self.clock.now - self.written_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def place(clock: Clock) -> Place:
    return Place(clock)


@pytest.fixture(autouse=True)
def no_keeper(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Renewals are called by hand: the thread that does it waits for ever."""
    monkeypatch.setattr(lease_module, "RENEW_S", 1e6)
    return iter(())


def take(place: Place, clock: Clock, timeout_s: float = 1.0) -> Lease:
    manager = hold(place, "x", timeout_s, clock=clock, sleep=clock.sleep, random=lambda: 1.0)
    held = manager.__enter__()
    held.manager = manager  # type: ignore[attr-defined] # it lives as long as the lease
    return held


def test_one_after_the_other(place: Place, clock: Clock) -> None:
    for _ in range(3):
        with hold(place, "x", 1.0, clock=clock, sleep=clock.sleep) as held:
            assert held.sure
            with pytest.raises(LockedError, match=r"still held by process \d+ on .* after 1 s"):
                take(place, clock)


def test_a_dead_holder_is_waited_out_and_no_longer(place: Place, clock: Clock) -> None:
    first = take(place, clock)
    began = clock.now
    with pytest.raises(LockedError):
        take(place, clock, timeout_s=LEASE_S - 5)
    assert not first.sure
    second = take(place, clock, timeout_s=2 * LEASE_S)
    # The one who gave up does not count: the second one has watched for the whole time itself.
    assert LEASE_S <= clock.now - began - (LEASE_S - 5) <= LEASE_S + 10
    assert second.sure


def test_who_does_not_wait_gets_what_a_dead_holder_had(place: Place, clock: Clock) -> None:
    """Else a lock that is only ever looked at would be held for ever."""
    first = take(place, clock)
    for _ in range(3):
        clock.now += LEASE_S / 3
        with pytest.raises(LockedError):
            take(place, clock, timeout_s=0.0)
    clock.now += 1
    assert not first.sure
    assert take(place, clock, timeout_s=0.0).sure


def test_who_does_not_wait_never_gets_what_is_renewed(place: Place, clock: Clock) -> None:
    first = take(place, clock)
    for _ in range(40):
        clock.now += RENEW_S
        with pytest.raises(LockedError):
            take(place, clock, timeout_s=0.0)
        first.renew(place)
        assert first.sure


def test_a_holder_that_renews_is_never_overtaken(place: Place, clock: Clock) -> None:
    first = take(place, clock)
    for _ in range(40):
        with pytest.raises(LockedError):
            take(place, clock, timeout_s=RENEW_S)
        first.renew(place)
        assert first.sure


def test_nobody_writes_who_could_not_renew_before_anybody_else_may(place: Place, clock: Clock) -> None:
    first = take(place, clock)
    place.broken = True
    first.renew(place)
    clock.now += SURE_S - 0.1
    first.check("k")
    clock.now += 0.2
    with pytest.raises(LockedError, match=r"k.*is not written: the lock x"):
        first.check("k")
    assert LEASE_S >= 2 * SURE_S


def test_a_holder_that_was_overtaken_knows_at_its_next_renewal(place: Place, clock: Clock) -> None:
    first = take(place, clock)
    second = take(place, clock, timeout_s=2 * LEASE_S)
    first.renew(place)
    assert not first.sure
    first.let_go(place)
    assert second.sure
    second.renew(place)
    assert second.sure, "what the first one let go was not the second one's"
    with pytest.raises(LockedError):
        take(place, clock)


def test_a_renewal_counts_from_when_it_was_sent(place: Place, clock: Clock) -> None:
    first = take(place, clock)

    class Slow(Place):
        def write(self, data: bytes, seen: str | None) -> str | None:
            clock.now += SURE_S - 1
            return place.write(data, seen)

    first.renew(Slow(clock))
    clock.now += 2
    assert not first.sure


@pytest.mark.parametrize("before", ["nothing", "free"])
def test_of_many_who_see_it_free_one_gets_it(clock: Clock, before: str) -> None:
    all_have_seen, have_read = threading.Barrier(8), set[int]()

    class Seen(Place):
        def read(self) -> tuple[bytes, str] | None:
            found = super().read()
            if threading.get_ident() not in have_read:  # who is refused looks again, whose it is
                have_read.add(threading.get_ident())
                all_have_seen.wait(30)
            return found

    place, won = Seen(clock), list[Lease]()
    if before == "free":
        place.data = b'{"free": true}'

    def run() -> None:
        with contextlib.suppress(LockedError):
            won.append(take(place, clock, timeout_s=0.0))

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1


@pytest.mark.parametrize("data", [b"", b"\xff", b"[]", b"{}", b'{"free": 1}', b'"free"'])
def test_what_others_have_written_there_runs_out_as_well(place: Place, clock: Clock, data: bytes) -> None:
    place.data = data
    with pytest.raises(LockedError, match="still held by another process"):
        take(place, clock)
    assert take(place, clock, timeout_s=2 * LEASE_S).sure


@pytest.mark.parametrize("lost", ["lost_answers", "refused_answers"])
class TestAnswersThatAreLost:
    """A write that was done and whose answer never came is not another's."""

    def test_to_who_takes_it(self, place: Place, clock: Clock, lost: str) -> None:
        setattr(place, lost, 1)
        assert take(place, clock, timeout_s=0.0).sure

    def test_to_who_takes_it_over(self, place: Place, clock: Clock, lost: str) -> None:
        place.data = b"{}"
        setattr(place, lost, 1)
        began = clock.now
        assert take(place, clock, timeout_s=3 * LEASE_S).sure
        assert clock.now - began < LEASE_S + 10

    def test_to_who_renews(self, place: Place, clock: Clock, lost: str) -> None:
        first = take(place, clock)
        for _ in range(5):
            clock.now += SURE_S - 1
            setattr(place, lost, 1)
            first.renew(place)
            clock.now += 2
            first.renew(place)
            first.check("k")
        with pytest.raises(LockedError):
            take(place, clock, timeout_s=LEASE_S - 5)

    def test_to_who_lets_it_go(self, place: Place, clock: Clock, lost: str) -> None:
        with hold(place, "x", 0.0, clock=clock, sleep=clock.sleep) as held:
            setattr(place, lost, 1)
            held.renew(place)
            setattr(place, lost, 1)
        assert take(place, clock, timeout_s=0.0).sure


def test_what_was_done_counts_from_when_it_was_said(place: Place, clock: Clock) -> None:
    first = take(place, clock)
    place.lost_answers = 1
    clock.now += 10
    first.renew(place)

    class Silent(Place):
        """Whoever reads it learns what is there; writing takes as long as a lock is sure."""

        def read(self) -> tuple[bytes, str] | None:
            return place.read()

        def write(self, data: bytes, seen: str | None) -> str | None:
            clock.now += SURE_S + 1
            return None if seen == "1" else place.write(data, seen)

    first.renew(Silent(clock))
    assert not first.sure


def test_a_block_in_which_the_lock_became_anothers_is_no_success(place: Place, clock: Clock) -> None:
    def run() -> None:
        with hold(place, "x", 0.0, clock=clock) as held:
            held.check("k")  # and then this process is frozen, in the middle of its last write
            clock.now += SURE_S
            assert take(place, clock, timeout_s=2 * LEASE_S).sure

    with pytest.raises(LockedError, match="became another's"):
        run()


def test_a_long_pause_in_which_nobody_came_is_none(place: Place, clock: Clock) -> None:
    with hold(place, "x", 0.0, clock=clock) as held:
        clock.now += 10 * LEASE_S
        assert not held.sure
        assert held.renew(place)
        held.check("k")
        clock.now += 10 * LEASE_S
    assert take(place, clock, timeout_s=0.0).sure


def test_an_error_in_the_block_is_not_hidden(place: Place, clock: Clock) -> None:
    def run() -> None:
        with hold(place, "x", 0.0, clock=clock):
            take(place, clock, timeout_s=2 * LEASE_S + SURE_S)
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        run()


def test_a_lock_that_was_forgotten_is_not_renewed_and_was_nobody_elses(place: Place, clock: Clock) -> None:
    with hold(place, "x", 0.0, clock=clock) as held:
        assert held.forget()
        place.data = None
        assert held.renew(place)
        clock.now += SURE_S
        with pytest.raises(LockedError):
            held.check("k")
    assert place.data is None


def test_a_lock_that_may_be_anothers_is_not_forgotten(place: Place, clock: Clock) -> None:
    first = take(place, clock)
    clock.now += SURE_S
    assert not first.forget()
