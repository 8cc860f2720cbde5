"""Counting what the sandbox serves, and failing on purpose.

An ASGI layer around the routes. Not here: the routes (`stac_api`, `data_files`).
"""

import asyncio
import random
import socket
import struct
import threading
from dataclasses import dataclass, field
from typing import Literal

from starlette.types import ASGIApp, Message, Receive, Scope, Send

Kind = Literal["503", "429", "404", "reset", "short", "slow"]
KINDS: tuple[Kind, ...] = ("503", "429", "404", "reset", "short", "slow")


@dataclass(slots=True)
class Counters:
    """Requests and body bytes, by kind: `stac` and `data`."""

    requests: dict[str, int] = field(default_factory=lambda: {"stac": 0, "data": 0})
    bytes: dict[str, int] = field(default_factory=lambda: {"stac": 0, "data": 0})
    faults: int = 0
    """Requests that were failed on purpose."""
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(self, kind: str, *, requests: int = 0, size: int = 0, faults: int = 0) -> None:
        """Count."""
        with self._lock:
            self.requests[kind] += requests
            self.bytes[kind] += size
            self.faults += faults

    def reset(self) -> None:
        """Everything back to 0."""
        with self._lock:
            for counts in (self.requests, self.bytes):
                counts.update(stac=0, data=0)
            self.faults = 0


@dataclass(slots=True)
class _Fault:
    kind: Kind
    every_nth: int | None
    probability: float
    times: int | None
    match: str
    delay_s: float
    dice: random.Random
    seen: int = 0
    done: int = 0

    def strikes(self, url: str) -> bool:
        if self.match not in url or (self.times is not None and self.done >= self.times):
            return False
        self.seen += 1
        due = self.seen % self.every_nth == 0 if self.every_nth else self.dice.random() < self.probability
        self.done += due
        return due


class Faults:
    """What goes wrong, settable while the server runs."""

    def __init__(self) -> None:
        self._faults: list[_Fault] = []
        self._lock = threading.Lock()

    def fail(
        self,
        kind: Kind,
        *,
        every_nth: int | None = None,
        probability: float = 1.0,
        times: int | None = None,
        match: str = "",
        delay_s: float = 5.0,
        seed: int = 0,
    ) -> None:
        """From now on fail requests.

        Args:
            kind: an HTTP status; `reset` breaks the connection; `short` sends half of the body and hangs up; `slow` waits.
            every_nth: each so manieth matching request; without it, by `probability` with `seed`.
            probability: share of matching requests.
            times: stop after so many.
            match: part of the path and query.
            delay_s: how long `slow` waits, seconds.
            seed: of the dice.
        """
        if kind not in KINDS:
            raise ValueError(f"no fault {kind!r}; known: {', '.join(KINDS)}")
        with self._lock:
            dice = random.Random(seed)  # noqa: S311 - no secret hangs on it
            self._faults.append(_Fault(kind, every_nth, probability, times, match, delay_s, dice))

    def clear(self) -> None:
        """No more faults."""
        with self._lock:
            self._faults.clear()

    def next(self, url: str) -> tuple[Kind, float] | None:
        """What happens to the next request for `url`: the kind and its delay in seconds."""
        with self._lock:
            for fault in self._faults:
                if fault.strikes(url):
                    return fault.kind, fault.delay_s
        return None


class CountingFailingApp:
    """Counts, delays and fails requests around an ASGI application."""

    def __init__(self, app: ASGIApp, counters: Counters, faults: Faults, latency_s: float) -> None:
        self.app, self.counters, self.faults, self.latency_s = app, counters, faults, latency_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        url = scope["path"] + ("?" + scope["query_string"].decode("latin-1") if scope["query_string"] else "")
        kind = "data" if scope["path"].startswith("/data/") else "stac"
        self.counters.add(kind, requests=1)
        if self.latency_s:
            await asyncio.sleep(self.latency_s)
        fault = self.faults.next(url)
        if fault is not None:
            self.counters.add(kind, faults=1)
            name, delay_s = fault
            if name == "reset":
                _reset(send)
                return
            if name == "slow":
                await asyncio.sleep(delay_s)
            elif name != "short":
                await self._refuse(int(name), send)
                return
        short = fault is not None and fault[0] == "short"

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.body":
                body = message.get("body", b"")
                if short:
                    half = body[: len(body) // 2]
                    self.counters.add(kind, size=len(half))
                    await send({"type": "http.response.body", "body": half, "more_body": True})
                    send.__self__.transport.close()  # type: ignore[attr-defined]
                    return
                self.counters.add(kind, size=len(body))
            await send(message)

        await self.app(scope, receive, counted)

    @staticmethod
    async def _refuse(status: int, send: Send) -> None:
        headers = [(b"content-type", b"text/plain"), (b"content-length", b"8")]
        if status in (429, 503):
            headers.append((b"retry-after", b"0"))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"on plan\n"})


def _reset(send: Send) -> None:
    """Break the connection with a TCP reset. `send` is a method of uvicorn's request, which knows its transport."""
    transport = send.__self__.transport  # type: ignore[attr-defined]
    sock = transport.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
