"""Listening to aisstream.io: connect, subscribe, receive, notice silence, connect again.

What the service does was learnt from its users: it drops connections every few minutes, or lets them stand and delivers
nothing; it answers too many with HTTP 429; of a wrong key it says no more than one frame. Whether the time of a silence
counts as listened to is judged by `coverage`. Here a silence of `silence_timeout_s` is only a reason to try another
connection; the next one is given twice the time to say something, and so on, so that a quiet sea costs few connections.
Not here: what a message means (`messages`), turns between processes (`connection_limit`), keeping (`recorder`).
"""

import contextlib
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime

from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.sync.client import ClientConnection

from s2chips_core.ais.connection_limit import ConnectionLimit
from s2chips_core.ais.coverage import SILENCE, Coverage
from s2chips_core.ais.handshake import PING_S, Opening, closing_reason, failure_reason, other_host, retry_after_s
from s2chips_core.ais.messages import Confirmation, Ignored, Position, ServiceError, Static, parse_message
from s2chips_core.ais.subscription import Subscription
from s2chips_core.errors import AisKeyError
from s2chips_core.sections import Ais

SILENCE_MOST_S = 900.0
"""The longest patience with a silent connection, however often it was doubled."""
LOOK_EVERY_S = 0.2
"""How long a request to stop can wait when nothing comes."""
SETTLED_WAITS = 10.0
"""A connection that has delivered for so many `reconnect_initial_s` was a good one: failures before it are forgotten."""
_log = logging.getLogger(__name__)


class AisStream:
    """One capture's conversation with the service, over as many connections as it takes, one at a time.

    `coverage`, `ignored` and the counts may be read from other threads while it listens.
    """

    def __init__(
        self,
        subscription: Subscription,
        *,
        ais: Ais,
        api_key: str,
        limit: ConnectionLimit,
        clock: Callable[[], datetime],
        stop: threading.Event,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Args:
            subscription: what to listen to.
            ais: the service's URL, and how patient to be with it.
            api_key: is sent in the first message of each connection, and goes nowhere else.
            limit: the turns at this service.
            clock: aware UTC: when messages came.
            stop: ends the listening, within a second.
            monotonic: seconds, for silences.
        """
        self.subscription, self.ais, self.limit = subscription, ais, limit
        self._key = _Secret(api_key)
        self._clock, self._stop, self._monotonic = clock, stop, monotonic
        self.coverage = Coverage(clock(), ais.silence_timeout_s)
        self.connections = 0
        self.messages = 0
        """Frames received, confirmations and errors not counted."""
        self.ignored: Counter[str] = Counter()
        self._patience_s = ais.silence_timeout_s

    def listen(self, until: datetime, keep: Callable[[Position | Static], None]) -> None:
        """Listen until a time, or until stopped; never ends because of a connection.

        Args:
            until: by the clock.
            keep: gets what was heard, in order of arrival; called in this thread.

        Raises:
            AisKeyError: the service does not take the key, now or a short time ago.
        """

        def done() -> bool:
            return self._stop.is_set() or self._clock() >= until

        while not done():
            with self.limit.turn(self._key.value, done, self._waits) as mine:
                connection = self._connect(done) if mine else None
                if connection is not None:
                    with connection:
                        self._converse(connection, until, keep)

    def _waits(self, reason: str) -> None:
        if self.coverage.problem is None:
            self.coverage.lost(reason)
        _log.info("%s", reason)

    def _connect(self, done: Callable[[], bool]) -> ClientConnection | None:
        """A connection, or None: it could not be made (then everybody backs off), or it is time to end."""
        opening = Opening(self.ais.url)
        try:
            while True:
                with contextlib.suppress(TimeoutError):
                    connection = opening.wait(LOOK_EVERY_S)
                    break
                if done():
                    opening.abandon()
                    return None
        except (OSError, WebSocketException) as error:
            self._back_off(failure_reason(error), retry_after_s(error, datetime.now(UTC)))
            return None
        if (other := other_host(connection, self.ais.url)) is not None:
            with connection:
                self._back_off(f"redirected to {other}: the key goes to no other host", None)
            return None
        return connection

    def _converse(self, connection: ClientConnection, until: datetime, keep: Callable[[Position | Static], None]) -> None:
        coverage, clock, monotonic, stopped = self.coverage, self._clock, self._monotonic, self._stop.is_set
        try:
            connection.send(self.subscription.to_json(self._key.value))
        except ConnectionClosed as error:
            self._back_off(closing_reason(error), None)
            return
        self.connections += 1
        coverage.opened(clock())
        opened = last = monotonic()
        settled_after_s = SETTLED_WAITS * self.ais.reconnect_initial_s
        settled = delivered = False
        while not stopped():
            try:
                frame = connection.recv(timeout=LOOK_EVERY_S)
            except TimeoutError:
                now = clock()
                coverage.alive(now)
                if now >= until:
                    return
                if monotonic() - last >= self._patience_s:
                    coverage.lost(SILENCE)
                    _log.warning("nothing heard for %.0f s: connecting again", self._patience_s)
                    self._patience_s = max(self._patience_s, min(2 * self._patience_s, SILENCE_MOST_S))
                    return
                continue
            except ConnectionClosed as error:
                self._closed(error)
                return
            received_at = clock()
            parsed = parse_message(frame, received_at)
            if isinstance(parsed, ServiceError):
                self._refused(parsed)
                return
            if not isinstance(parsed, Confirmation):
                self.messages += 1
                coverage.heard(received_at)
                last = monotonic()
                if not delivered:
                    delivered = True
                    self._patience_s = self.ais.silence_timeout_s
                if not settled and last - opened >= settled_after_s:
                    settled = True
                    self.limit.delivered()
                if isinstance(parsed, Ignored):
                    self.ignored[parsed.reason] += 1
                else:
                    keep(parsed)
            if received_at >= until:
                return

    def _closed(self, error: ConnectionClosed) -> None:
        reason = closing_reason(error)
        now = self._clock()
        if error.rcvd is None and error.sent is not None:
            # This side gave up on pings: how long the line had been cut is not known any better.
            self.coverage.alive(now)
            self.coverage.ended_dead(2 * PING_S, reason)
        else:
            self.coverage.alive(now)
        self._back_off(reason, None)

    def _refused(self, error: ServiceError) -> None:
        text = self._key.hidden_in(error.text)
        if error.is_key:
            self.coverage.lost("the service does not take the key")
            self.limit.refuse_key(self._key.value)
            raise AisKeyError(self.limit.url, f"does not take the key ({text}); check AISSTREAM_API_KEY in .env")
        self._back_off(f"error of the service: {text}", None)

    def _back_off(self, reason: str, retry_after_s: float | None) -> None:
        reason = self._key.hidden_in(reason)
        self.coverage.lost(reason)
        wait_s = self.limit.failed(retry_after_s)
        _log.warning("AIS service: %s; connecting again in %.1f s", reason, wait_s)


class _Secret:
    """A key that shows itself to nobody."""

    __slots__ = ("value",)

    def __init__(self, value: str) -> None:
        self.value = value

    def __repr__(self) -> str:
        return "_Secret(***)"

    def hidden_in(self, text: str) -> str:
        """The text without the key."""
        return text.replace(self.value, "***") if self.value else text
