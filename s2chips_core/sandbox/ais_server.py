"""A loopback WebSocket server that behaves as aisstream.io does: in a thread of this process, or as a program of its own.

    python -m s2chips_core.sandbox.ais_server --port 0 --demo-fleet 2025-10-27 --clock-offset-s -2592000

Here: handshakes, the clockwork, starting and stopping. Not here: where messages come from (`ais_feed`, `ais_fleet`), what a
subscription may say (`ais_subscription`), one connection (`ais_connection`), what goes wrong (`ais_faults`), the command
line (`ais_command`).
"""

import asyncio
import contextlib
import http
import itertools
import logging
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Set
from datetime import UTC, datetime
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from s2chips_core.errors import StorageError
from s2chips_core.sandbox.ais_connection import Connection, Service, frame_of
from s2chips_core.sandbox.ais_counters import Attempt
from s2chips_core.sandbox.ais_feed import Feed
from s2chips_core.sandbox.ais_limits import RATE_LIMITED, Limits

PATH = "/v0/stream"
TEST_KEY = "test-key"
_TICK_S = 0.02
_START_MOST_S, _STOP_MOST_S = 20.0, 10.0


class AisServed(Service):
    """A running AIS server. Everything may be read at any time, and the methods called, from any thread."""

    url: str
    """`ws://127.0.0.1:port/v0/stream`, for `ais.url`."""

    def __init__(self, **shared: Any) -> None:
        super().__init__(**shared)
        self._loop: asyncio.AbstractEventLoop
        self._stop: asyncio.Event
        self._numbers = itertools.count(1)
        self._last_by_address: dict[str, float] = {}
        self._failures: list[BaseException] = []

    def push(self, *frames: bytes | str | dict[str, Any]) -> None:
        """Send these frames now, as they are, to every subscribed connection, whatever it subscribed to.

        Bytes go as a binary frame, str as a text frame, a dict as the binary JSON frame that the service would send. They
        are not counted as messages, and come before messages that wait.
        """

        def put() -> None:
            for connection in self._subscribed:
                for frame in frames:
                    connection.send_later(frame_of(frame))

        self._loop.call_soon_threadsafe(put)

    def disconnect(self, code: int | None = None) -> None:
        """End all open connections now: with a close frame of this code, or abruptly (1006). Returns when that is done."""

        async def end() -> None:
            await asyncio.gather(*(connection.end(code) for connection in list(self._connections.values())))

        asyncio.run_coroutine_threadsafe(end(), self._loop).result(_STOP_MOST_S)

    def wait_subscribed(self, count: int = 1, *, timeout_s: float = 5.0) -> None:
        """Wait until so many subscriptions have been accepted since the start or the last `counters.reset`.

        Raises:
            TimeoutError: they did not come.
        """
        deadline_s = time.monotonic() + timeout_s
        while self.counters.subscriptions < count:
            if time.monotonic() > deadline_s:
                raise TimeoutError(f"{self.counters.subscriptions} of {count} subscriptions within {timeout_s:g} s")
            time.sleep(0.005)

    async def _run(self, listener: socket.socket, compression: bool, started: threading.Event) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        quiet = logging.Logger("ais_server", logging.CRITICAL)  # broken handshakes are meant here
        async with serve(
            self._handle,
            sock=listener,
            process_request=self._shake_hands,
            compression="deflate" if compression else None,
            ping_interval=None,
            close_timeout=0.5,
            server_header=None,
            logger=quiet,
        ):
            started.set()
            clockwork = asyncio.create_task(self._turn())
            stop = asyncio.create_task(self._stop.wait())
            await asyncio.wait((clockwork, stop), return_when=asyncio.FIRST_COMPLETED)
            for task in (clockwork, stop):
                task.cancel()
            (failure, _) = await asyncio.gather(clockwork, stop, return_exceptions=True)
        if isinstance(failure, Exception):
            raise failure

    async def _turn(self) -> None:
        """Give every connection what leaves the feed."""
        last_s: float | None = None
        while True:
            await asyncio.sleep(_TICK_S)
            listening = self._subscribed
            feed = self.feed
            if not listening or feed is None:
                last_s = None
                continue
            now_s = self.clock().timestamp()
            if last_s is not None and now_s > last_s:
                heard = feed.leaving(last_s, now_s)
                for connection in listening if heard else ():
                    connection.offer(heard)
            last_s = now_s

    async def _handle(self, websocket: ServerConnection) -> None:
        number = next(self._numbers)
        connection = self._connections[number] = Connection(self, websocket, number)
        self.counters.open += 1
        self.counters.most_open = max(self.counters.most_open, self.counters.open)
        try:
            await connection.run()
        except ConnectionClosed:
            pass
        except Exception as error:  # noqa: BLE001 - given on to the thread that waits
            self._failures.append(error)
        finally:
            del self._connections[number]
            self.counters.open -= 1

    async def _shake_hands(self, websocket: ServerConnection, request: Request) -> Response | None:
        """None accepts."""
        now_s = time.monotonic()
        address = str(websocket.remote_address[0])
        status, text, headers = self._verdict(address, request.path, now_s)
        self.counters.attempts.append(Attempt(at_s=now_s, status=status))
        if status == http.HTTPStatus.SWITCHING_PROTOCOLS or self.limits.refused_count_too:
            self._last_by_address[address] = now_s
        if status == http.HTTPStatus.SWITCHING_PROTOCOLS:
            return None
        if not status:
            raw = websocket.transport.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            websocket.transport.abort()
            await websocket.wait_closed()  # an answer now would end the connection in good order
        response = websocket.respond(http.HTTPStatus(status or 503), text)
        response.headers.update({"Server": "envoy", **headers})
        return response

    def _verdict(self, address: str, path: str, now_s: float) -> tuple[int, str, dict[str, str]]:
        """HTTP status (0: reset), body and headers of the answer to a handshake."""
        if path.partition("?")[0] != PATH:
            return 404, "", {}
        if self.faults.next("reset"):
            return 0, "", {}
        if rule := self.faults.next("refuse"):
            return rule.value, "", {}
        if rule := self.faults.next("too_many_requests"):
            return 429, RATE_LIMITED, {} if rule.value is None else {"Retry-After": str(rule.value)}
        since_s = now_s - self._last_by_address.get(address, -1e9)
        full = self.limits.over_limit == "429" and len(self._subscribed) >= self.limits.max_connections
        if full or since_s < self.limits.min_interval_s:
            return 429, RATE_LIMITED, {}
        return 101, "", {}


@contextlib.contextmanager
def serve_ais(
    feed: Feed | None = None,
    *,
    keys: Set[str] = frozenset({TEST_KEY}),
    clock: Callable[[], datetime] | None = None,
    limits: Limits | None = None,
    port: int = 0,
    confirmation_after_s: float = 0.0,
    compression: bool = False,
) -> Iterator[AisServed]:
    """Serve AIS on 127.0.0.1 as aisstream.io does.

    A connection hears what leaves the feed from its subscription on; while nobody is subscribed the feed stands still (a
    fleet sails on). Frames are binary UTF-8 JSON. The first frame is
    `{"MessageType": "SubscriptionConfirmation", "Message": {"CompressionEnabled": …}}`.

    Args:
        feed: see `ais_feed.replay_feed`, `ais_fleet.fleet_feed`; none: nothing is sent but what is pushed.
        keys: valid API keys.
        clock: gives aware UTC, for the times in messages; none: the machine's. It may be offset, run at another speed, or
            jump ahead: what is due in between is then sent at once.
        limits: what is refused as a rule; none: as the service does, also one new connection a second.
        port: 0 takes a free one.
        confirmation_after_s: from the subscription to the confirmation; users measured 0.2.
        compression: permessage-deflate, when the client offers it.

    Raises:
        StorageError: the port is taken or the server does not come up.
    """
    served = AisServed(
        feed=feed,
        keys=keys,
        clock=clock or (lambda: datetime.now(UTC)),
        limits=limits or Limits(),
        confirmation_after_s=confirmation_after_s,
    )
    started = threading.Event()
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError as error:
            raise StorageError(f"127.0.0.1:{port}", f"the AIS server cannot listen: {error.strerror}") from error
        served.url = f"ws://127.0.0.1:{listener.getsockname()[1]}{PATH}"

        def run() -> None:
            try:
                asyncio.run(served._run(listener, compression, started))
            except BaseException as error:  # noqa: BLE001 - given on to the thread that waits
                served._failures.append(error)

        thread = threading.Thread(target=run, name="sandbox-ais", daemon=True)
        thread.start()
        try:
            if not started.wait(_START_MOST_S):
                raise StorageError(served.url, f"the AIS server did not come up within {_START_MOST_S:g} s")
            yield served
        finally:
            if started.is_set() and thread.is_alive():
                served._loop.call_soon_threadsafe(served._stop.set)
            thread.join(_STOP_MOST_S)
    if served._failures:
        raise served._failures[0]


if __name__ == "__main__":
    from s2chips_core.sandbox.ais_command import main

    raise SystemExit(main())
