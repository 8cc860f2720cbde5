"""A lock that several machines can hold in turn, kept in a place where a write can be made to depend on what is there.

Here: the law. Not here: the place (`s3`). The lock is a small object that is always replaced on the condition that it is
still the one that was seen, so that of two who want it one succeeds. Whoever holds it renews it every RENEW_S; who waits
takes it over when it has not changed for LEASE_S, by its own watch: clocks of different machines are never compared. Who
does not wait so long asks how old it is by the clock of the place, or a dead holder would be in the way for ever. A
holder that could not renew it for SURE_S, because it was frozen or cut off, must write no more: half of LEASE_S before
anybody else may. The answer to a write may be lost although it was done; the next one then fails because of our own. So
whoever is refused looks at what is there: each write says something that was never said before.

Sources: C. Gray and D. Cheriton, Leases (SOSP 1989); the renewal by condition is that of Kubernetes' leader election.
"""

import contextlib
import json
import logging
import os
import random as _random
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Protocol

from s2chips_core.errors import LockedError, StorageError
from s2chips_core.storage.base import lock_key

log = logging.getLogger(__name__)

LEASE_S = 60.0
"""A lock that nobody has renewed for so long is free, seconds."""
SURE_S = 30.0
"""So long after its last renewal a holder may write, seconds."""
RENEW_S = 10.0
AGAIN_S = 2.0
"""After a renewal that did not go through, seconds."""
_ATTEMPTS = 3
_WHOLE_S = 1.0
"""Times of objects are whole seconds at many services."""
_POLL_FIRST_S, _POLL_MOST_S = 0.1, 2.0


class Place(Protocol):
    """One object, and writes that depend on what it is."""

    def read(self) -> tuple[bytes, str] | None:
        """What is there, with a tag that every write changes; none when nothing is."""

    def write(self, data: bytes, seen: str | None) -> str | None:
        """Put `data` where the tag is still `seen` (None: where nothing is); its new tag, or none: somebody was quicker."""

    def unchanged_s(self) -> float:
        """How long it has been as it is, by the place's own clock, seconds; 0 when nothing is there."""


def watch() -> float:
    """Seconds that grow while this machine sleeps, too, where the system counts them."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class Lease:
    """The lock as long as it is held."""

    def __init__(self, name: str, tag: str, held_since: float, clock: Callable[[], float]) -> None:
        self.name, self._tag, self._clock = name, tag, clock
        self._renewed, self._lost, self._over = held_since, False, False
        self._said: dict[bytes, float] = {}
        """What was written since the last answer, and when: each of it may be what is there."""
        self._turn = threading.Lock()

    @property
    def sure(self) -> bool:
        """Whether nobody else can hold it now."""
        return not self._lost and self._clock() < self._renewed + SURE_S

    def check(self, key: str) -> None:
        """LockedError when somebody else may hold it by now: `key` must not be written."""
        if not self.sure:
            raise LockedError(key, f"is not written: the lock {self.name} could not be renewed and may be another's by now")

    def renew(self, place: Place) -> bool:
        """Once more, and whether that went through; an error of the place is no loss yet."""
        with self._turn:
            if self._over:
                return True
            try:
                renewed = self._write(place, _held)
            except StorageError as error:
                log.warning("the lock %s could not be renewed: %s", self.name, error)
                return False
            if self._lost:
                log.error("the lock %s was taken over by another process", self.name)
            return renewed

    def let_go(self, place: Place) -> bool:
        """Others may have it at once; where this cannot be said, they wait until it has run out.

        Returns:
            Whether nobody else has had it until now.
        """
        with self._turn:
            if self._over:
                return True
            was_sure, wrote = self.sure, False
            for _ in range(_ATTEMPTS):
                with contextlib.suppress(StorageError):
                    wrote = self._write(place, _free)
                    break
            # An own word that was not answered may have set it free, and another taken it since.
            return was_sure or wrote

    def forget(self) -> bool:
        """Its object is to be removed: nothing is written of it any more. Whether it may be: it is nobody else's."""
        with self._turn:
            self._over = self.sure
            return self._over

    def _write(self, place: Place, make: Callable[[], bytes]) -> bool:
        for _ in range(_ATTEMPTS):
            data, began = make(), self._clock()
            self._said[data] = began
            tag = place.write(data, self._tag)
            if tag is not None:
                self._keep(tag, began)
                return True
            found = place.read()
            if found is None or found[0] not in self._said:
                self._lost = True
                return False
            self._tag, self._renewed = found[1], max(self._renewed, self._said[found[0]])
            if found[0] == data:
                self._keep(found[1], began)
                return True
        return False

    def _keep(self, tag: str, since: float) -> None:
        self._tag, self._renewed = tag, max(self._renewed, since)
        self._said.clear()


@contextlib.contextmanager
def hold(
    place: Place,
    name: str,
    timeout_s: float,
    *,
    clock: Callable[[], float] = watch,
    sleep: Callable[[float], object] = time.sleep,
    random: Callable[[], float] = _random.random,
) -> Iterator[Lease]:
    """Wait for the lock, and renew it on a thread until the block ends.

    Args:
        place: of this lock.
        name: for errors.
        timeout_s: longest wait, seconds.
        clock: seconds that only grow.
        sleep: waits that many seconds.
        random: 0 to 1: those who wait do not ask at the same time.

    Raises:
        LockedError: it was held by somebody all the time; or, when the block has ended, it has become another's meanwhile.
        StorageError: the place cannot be read or written.
    """
    lease = _wait(place, name, timeout_s, clock, sleep, random)
    done = threading.Event()

    def keep() -> None:
        wait_s = RENEW_S
        while not done.wait(wait_s):
            wait_s = RENEW_S if lease.renew(place) else min(AGAIN_S, RENEW_S)

    keeper = threading.Thread(target=keep, name=f"s2chips-lock-{name}", daemon=True)
    keeper.start()
    kept = False
    try:
        yield lease
        kept = True
    finally:
        done.set()
        keeper.join()
        if not lease.let_go(place) and kept:
            # A write that was checked in time may have been done too late.
            raise LockedError(
                lock_key(name), "became another's while this process held it; what it did may not stand: run it again"
            )


def _wait(
    place: Place,
    name: str,
    timeout_s: float,
    clock: Callable[[], float],
    sleep: Callable[[float], object],
    random: Callable[[], float],
) -> Lease:
    end, poll_s = clock() + timeout_s, _POLL_FIRST_S
    seen_tag, seen_since = "", clock()
    while True:
        found = place.read()
        now = clock()
        if found is not None and found[1] != seen_tag:
            seen_tag, seen_since = found[1], now
        free = found is None or _is_free(found[0]) or now - seen_since >= LEASE_S
        if free or (now >= end and place.unchanged_s() >= LEASE_S + _WHOLE_S):
            tag = _take(place, None if found is None else found[1])
            if tag is not None:
                if found is not None and not _is_free(found[0]):
                    log.warning("the lock %s was not renewed for %g s by %s: taken over", name, LEASE_S, holder(found[0]))
                return Lease(name, tag, now, clock)
        if now >= end:
            who = "another process" if found is None else holder(found[0])
            raise LockedError(lock_key(name), f"still held by {who} after {timeout_s:g} s")
        sleep(poll_s * (0.5 + 0.5 * random()))
        poll_s = min(poll_s * 1.5, _POLL_MOST_S)


def _take(place: Place, seen: str | None) -> str | None:
    """Write there that it is ours; the tag, or none: somebody was quicker."""
    data = _held()
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            tag = place.write(data, seen)
        except StorageError:
            if attempt == _ATTEMPTS:
                raise
            continue
        if tag is None:
            found = place.read()
            return found[1] if found is not None and found[0] == data else None
        return tag
    return None


def holder(data: bytes) -> str:
    """Who holds it, for people."""
    try:
        said = json.loads(data)
        return f"process {said['process']} on {said['host']}"
    except (ValueError, KeyError, TypeError):
        return "another process"


def _held() -> bytes:
    return _body({"host": socket.gethostname(), "process": os.getpid()})


def _free() -> bytes:
    return _body({"free": True})


def _body(said: dict[str, object]) -> bytes:
    # The same bytes twice would have the same tag.
    return json.dumps({**said, "turn": uuid.uuid4().hex}).encode()


def _is_free(data: bytes) -> bool:
    try:
        said = json.loads(data)
    except ValueError:
        return False  # not written by this version: it runs out like any other
    return isinstance(said, dict) and said.get("free") is True
