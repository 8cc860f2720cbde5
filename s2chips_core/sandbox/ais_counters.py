"""What the sandbox's AIS server remembers of its clients. Not here: counting it (`ais_connection`, `ais_server`)."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One handshake."""

    at_s: float
    """`time.monotonic()`, which is one clock for all processes of a machine."""
    status: int
    """101 accepted; 429 and others refused; 0 reset."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One message of a client."""

    at: datetime
    """By the server's clock, aware UTC."""
    at_s: float
    """`time.monotonic()`."""
    connection: int
    """Number of the connection, from 1 in the order of accepted handshakes."""
    body: Any
    """The JSON that came; or, where it is none, the text or bytes."""
    error: str | None
    """The error it was answered with; none: accepted."""


@dataclass(slots=True)
class AisCounters:
    """What happened since the start or the last `reset`. Read at any time; written by the server's thread."""

    attempts: list[Attempt] = field(default_factory=list)
    """Every handshake, in order."""
    open: int = 0
    """Connections now open; `reset` leaves it."""
    most_open: int = 0
    """The most at any time."""
    subscriptions: int = 0
    """Accepted ones, with those that replaced another."""
    unsubscribed: int = 0
    """Connections that were dropped because no subscription came in time."""
    messages: int = 0
    """AIS messages sent, to all connections together, with duplicates."""
    messages_by_connection: dict[int, int] = field(default_factory=dict)
    garbage: int = 0
    """Frames that were sent by the faults `garbage` and `too_big`."""
    errors: list[str] = field(default_factory=list)
    """Texts of the error frames sent."""
    slow_readers: int = 0
    """Connections that were dropped because they did not read."""
    filtered: int = 0
    """Messages that a connection did not get because its subscription does not ask for them."""

    @property
    def connections(self) -> int:
        """Accepted handshakes."""
        return sum(attempt.status == 101 for attempt in self.attempts)

    @property
    def refused(self) -> int:
        """Handshakes that were refused or reset."""
        return sum(attempt.status != 101 for attempt in self.attempts)

    def reset(self) -> None:
        """Everything but `open` back to nothing."""
        self.attempts.clear()
        self.errors.clear()
        self.messages_by_connection.clear()
        self.most_open = self.open
        self.subscriptions = self.unsubscribed = self.messages = self.garbage = self.slow_readers = self.filtered = 0

    def count_message(self, connection: int) -> None:
        """One more AIS message sent."""
        self.messages += 1
        self.messages_by_connection[connection] = self.messages_by_connection.get(connection, 0) + 1
