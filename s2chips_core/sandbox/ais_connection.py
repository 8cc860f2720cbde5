"""One connection of the sandbox's AIS server, from its first subscription to its end, with the faults that strike it.

Runs in the server's event loop. Not here: handshakes and the clockwork (`ais_server`).
"""

import asyncio
import contextlib
import heapq
import itertools
import json
import time
from collections import deque
from collections.abc import Callable, Iterable, Set
from datetime import datetime
from typing import Any, NamedTuple

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from s2chips_core.sandbox.ais_counters import AisCounters, Received
from s2chips_core.sandbox.ais_faults import AisFaults
from s2chips_core.sandbox.ais_feed import Feed, Heard
from s2chips_core.sandbox.ais_limits import TOO_MANY_CONNECTIONS, WRONG_KEY, Limits
from s2chips_core.sandbox.ais_message import encode
from s2chips_core.sandbox.ais_subscription import Subscription, SubscriptionError, parse_body, parse_subscription

_LOOK_S = 0.02
"""How often a connection looks whether something is due."""
_HANG_UP_MOST_S = 1.0
_UNCHECKED = 200
"""Messages in a row, while no fault is set that could end the connection among them."""


class Service:
    """What all connections of one server share. `feed`, `keys` and `limits` may be set at any time from any thread."""

    def __init__(
        self,
        *,
        feed: Feed | None,
        keys: Set[str],
        clock: Callable[[], datetime],
        limits: Limits,
        confirmation_after_s: float,
    ) -> None:
        self.feed = feed
        """Where messages come from; its `rate_per_s`, `delay_s` may be set as well. None: silence."""
        self.keys = keys
        """API keys that are valid."""
        self.clock = clock
        self.limits = limits
        self.confirmation_after_s = confirmation_after_s
        self.faults = AisFaults()
        self.counters = AisCounters()
        self.subscriptions: list[Received] = []
        """Every message of every client, in order; also those that were answered with an error."""
        self._connections: dict[int, Connection] = {}

    @property
    def _subscribed(self) -> "list[Connection]":
        """Connections with a subscription, the oldest first."""
        return [each for each in self._connections.values() if each.subscription is not None]

    def subscribed_but(self, connection: "Connection") -> "list[Connection]":
        """All other connections with a subscription, the oldest first."""
        return [each for each in self._subscribed if each is not connection]


class _Later(NamedTuple):
    """A frame that is not sent before its time."""

    due_s: float
    order: int
    frame: bytes | str
    is_message: bool


class Connection:
    """One accepted connection."""

    def __init__(self, service: Service, socket: ServerConnection, number: int) -> None:
        self.service, self.socket, self.number = service, socket, number
        self.subscription: Subscription | None = None
        self.messages = 0
        """AIS messages sent."""
        self._since_s = 0.0
        self._queue: deque[bytes] = deque()
        self._later: list[_Later] = []
        self._held: list[tuple[int, int, bytes]] = []
        self._order = itertools.count()
        self._wake = asyncio.Event()
        self._hushed_s: float | None = None

    async def run(self) -> None:
        """Until it is over, whoever ends it."""
        try:
            async with asyncio.timeout(self.service.limits.subscribe_within_s):
                first = await self.socket.recv()
        except TimeoutError:
            self.service.counters.unsubscribed += 1
            await self.drop()
            return
        except ConnectionClosed:
            return
        if not await self._accept(first):
            return
        tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self._speak())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception) and not isinstance(result, ConnectionClosed):
                raise result

    def offer(self, heard: Iterable[Heard]) -> None:
        """Take what this connection has subscribed to from what leaves the feed."""
        subscription = self.subscription
        if subscription is None:
            return
        before, offered = len(self._queue), 0
        for frame, message_type, mmsi, lat, lon in heard:
            offered += 1
            if subscription.wants(message_type, mmsi, lat, lon):
                self._queue.append(frame)
        self.service.counters.filtered += offered - (len(self._queue) - before)
        if len(self._queue) > self.service.limits.max_backlog:
            self.service.counters.slow_readers += 1
            self._queue.clear()
            self.socket.transport.abort()
        self._wake.set()

    def send_later(self, frame: bytes | str, after_s: float = 0.0, *, is_message: bool = False) -> None:
        """Send a frame after so many seconds, ahead of the messages that wait then."""
        heapq.heappush(self._later, _Later(time.monotonic() + after_s, next(self._order), frame, is_message))
        self._wake.set()

    def hang_up(self) -> None:
        """Begin to end the connection without a close frame; what was sent before still arrives."""
        self.subscription = None
        self.socket.transport.close()

    async def drop(self) -> None:
        """End the connection without a close frame, as the service does."""
        self.hang_up()
        try:
            async with asyncio.timeout(_HANG_UP_MOST_S):
                await self.socket.wait_closed()
        except TimeoutError:  # the client does not take what was sent before
            self.socket.transport.abort()

    async def end(self, code: int | None, reason: str = "") -> None:
        """End the connection with a close frame of this code, or without (none)."""
        if code is None:
            await self.drop()
        else:
            self.subscription = None
            await self.socket.close(code, reason)

    @property
    def _age_s(self) -> float:
        """Seconds since the first subscription."""
        return time.monotonic() - self._since_s

    async def _accept(self, received: str | bytes) -> bool:
        """Whether a client's message is a subscription that may be; if not, it is told so and the connection ends."""
        service, body = self.service, parse_body(received)
        try:
            subscription = parse_subscription(body)
            if subscription.api_key not in service.keys or service.faults.holds("wrong_key", self.number):
                raise SubscriptionError(WRONG_KEY)
            others = service.subscribed_but(self)
            if self.subscription is None and len(others) >= service.limits.max_connections:
                if service.limits.over_limit != "close_old":
                    raise SubscriptionError(TOO_MANY_CONNECTIONS)
                for other in others[: len(others) - service.limits.max_connections + 1]:
                    other.hang_up()
            error = None
        except SubscriptionError as refusal:
            error = str(refusal)
        now_s = time.monotonic()
        service.subscriptions.append(
            Received(at=service.clock(), at_s=now_s, connection=self.number, body=body, error=error)
        )
        if error is not None:
            await self._fail(error)
            return False
        if self.subscription is None:
            self._since_s = now_s
        self.subscription = subscription
        service.counters.subscriptions += 1
        self._confirm()
        return True

    def _confirm(self) -> None:
        faults = self.service.faults
        if faults.holds("no_confirmation", self.number):
            return
        late = faults.holds("late_confirmation", self.number)
        compressed = bool(self.socket.protocol.extensions)
        frame = {"MessageType": "SubscriptionConfirmation", "Message": {"CompressionEnabled": compressed}}
        self.send_later(encode(frame), late.value if late else self.service.confirmation_after_s)

    async def _fail(self, text: str) -> None:
        self.service.counters.errors.append(text)
        with contextlib.suppress(ConnectionClosed):
            await self.socket.send(encode({"error": text}))
        await self.drop()

    async def _listen(self) -> None:
        async for received in self.socket:
            if not await self._accept(received):
                return

    async def _speak(self) -> None:
        faults = self.service.faults
        while True:
            if faults.on_connections and await self._struck():
                return
            if self._silent():
                self._queue.clear()
            else:
                await self._send_due()
                if self._starts_slowly():
                    self._queue.clear()
                for _ in range(1 if faults.on_connections else _UNCHECKED):
                    if not self._queue:
                        break
                    await self._send(self._queue.popleft())
                if self._queue:
                    continue
            self._wake.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S):
                    await self._wake.wait()

    async def _struck(self) -> bool:
        """Whether a fault ended the connection."""
        faults, age_s = self.service.faults, self._age_s
        if rule := faults.holds("error", self.number, messages=self.messages, age_s=age_s):
            await self._fail(rule.value)
            return True
        if rule := faults.holds("close", self.number, messages=self.messages, age_s=age_s):
            await self.end(*rule.value)
            return True
        return False

    def _silent(self) -> bool:
        rule = self.service.faults.holds("silence", self.number, messages=self.messages, age_s=self._age_s)
        if rule is None:
            self._hushed_s = None
            return False
        seconds, answer_pings = rule.value
        if self._hushed_s is None:
            self._hushed_s = time.monotonic()
            if not answer_pings:
                self.socket.transport.pause_reading()
        return seconds is None or time.monotonic() - self._hushed_s < seconds

    def _starts_slowly(self) -> bool:
        rule = self.service.faults.holds("slow_start", self.number)
        return rule is not None and self._age_s < rule.value

    async def _send_due(self) -> None:
        while self._later and self._later[0].due_s <= time.monotonic():
            _, _, frame, is_message = heapq.heappop(self._later)
            await (self._put(frame) if is_message else self.socket.send(frame))

    async def _send(self, frame: bytes) -> None:
        """One AIS message, with what befalls it."""
        faults = self.service.faults
        if not faults.on_messages:
            await self._put(frame)
            return
        if rule := faults.next("garbage", messages=self.messages):
            self.service.counters.garbage += 1
            await self.socket.send(rule.value[(rule.done - 1) % len(rule.value)])
        if rule := faults.next("too_big", messages=self.messages):
            self.service.counters.garbage += 1
            await self.socket.send(rule.value)
        if rule := faults.next("late", messages=self.messages):
            self.send_later(frame, rule.dice.uniform(*rule.value), is_message=True)
            return
        if rule := faults.next("out_of_order", messages=self.messages):
            heapq.heappush(self._held, (self.messages + rule.value, next(self._order), frame))
            return
        sent: bytes | str = frame.decode() if faults.next("text_frames", messages=self.messages) else frame
        copies = 2 if faults.next("duplicates", messages=self.messages) else 1
        for _ in range(copies):
            await self._put(sent)
        while self._held and self._held[0][0] <= self.messages:
            await self._put(heapq.heappop(self._held)[2])

    async def _put(self, frame: bytes | str) -> None:
        await self.socket.send(frame)
        self.messages += 1
        self.service.counters.count_message(self.number)


def frame_of(value: bytes | str | dict[str, Any]) -> bytes | str:
    """What is sent for it: bytes and str as they are, an object as UTF-8 JSON."""
    return json.dumps(value).encode() if isinstance(value, dict) else value
