"""Counting what the sandbox serves, and failing on purpose.

An ASGI layer around the routes. Not here: the routes (`stac_api`, `data_files`).
"""

import asyncio
import random
import socket
import struct
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from starlette.types import ASGIApp, Message, Receive, Scope, Send

Kind = Literal["503", "429", "500", "404", "reset", "short", "slow", "garbage", "damage"]
KINDS: tuple[Kind, ...] = ("503", "429", "500", "404", "reset", "short", "slow", "garbage", "damage")


@dataclass(slots=True)
class Counters:
    """Requests and body bytes, by kind: `stac` and `data`."""

    requests: dict[str, int] = field(default_factory=lambda: {"stac": 0, "data": 0})
    bytes: dict[str, int] = field(default_factory=lambda: {"stac": 0, "data": 0})
    faults: int = 0
    """Requests that were failed on purpose."""
    by_fault: Counter[str] = field(default_factory=Counter)
    """The same by kind of fault."""
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(self, kind: str, *, requests: int = 0, size: int = 0, fault: str | None = None) -> None:
        """Count."""
        with self._lock:
            self.requests[kind] += requests
            self.bytes[kind] += size
            if fault is not None:
                self.faults += 1
                self.by_fault[fault] += 1

    def reset(self) -> None:
        """Everything back to 0."""
        with self._lock:
            for counts in (self.requests, self.bytes):
                counts.update(stac=0, data=0)
            self.faults = 0
            self.by_fault.clear()


@dataclass(frozen=True, slots=True, kw_only=True)
class Struck:
    """What happens to a request."""

    kind: Kind
    delay_s: float
    """How long `slow` waits, seconds."""
    retry_after_s: int
    """How long 429 and 503 ask to be left alone, seconds."""


@dataclass(slots=True)
class _Fault:
    struck: Struck
    every_nth: int | None
    probability: float
    times: int | None
    match: str
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
        retry_after_s: int = 0,
        seed: int = 0,
    ) -> None:
        """From now on fail requests.

        Args:
            kind: an HTTP status; `reset` breaks the connection; `short` sends half of the body and hangs up; `slow` waits;
                `garbage` sends as many bytes, and all of them others; `damage` sends a few others in the middle.
            every_nth: each so manieth matching request; without it, by `probability` with `seed`.
            probability: share of matching requests.
            times: stop after so many.
            match: part of the path and query.
            delay_s: how long `slow` waits, seconds.
            retry_after_s: what 429 and 503 ask for, whole seconds.
            seed: of the dice.
        """
        if kind not in KINDS:
            raise ValueError(f"no fault {kind!r}; known: {', '.join(KINDS)}")
        with self._lock:
            dice = random.Random(seed)  # noqa: S311 - no secret hangs on it
            struck = Struck(kind=kind, delay_s=delay_s, retry_after_s=retry_after_s)
            self._faults.append(_Fault(struck, every_nth, probability, times, match, dice))

    def mix(self, kinds: Sequence[Kind], share: float, *, seed: int = 0, **more: Any) -> None:
        """From now on fail `share` of the requests, in equal parts by each of `kinds`; `more` as for `fail`."""
        part = share / len(kinds)
        for number, kind in enumerate(kinds):
            # Dice are thrown one after the other, so the later ones see fewer requests.
            self.fail(kind, probability=part / (1 - number * part), seed=seed + number, **more)

    def clear(self) -> None:
        """No more faults."""
        with self._lock:
            self._faults.clear()

    def next(self, url: str) -> Struck | None:
        """What happens to the next request for `url`; none: nothing."""
        with self._lock:
            for fault in self._faults:
                if fault.strikes(url):
                    return fault.struck
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
        name = None if fault is None else fault.kind
        if fault is not None:
            self.counters.add(kind, fault=fault.kind)
            if name == "reset":
                _reset(send)
                return
            if name == "slow":
                await asyncio.sleep(fault.delay_s)
            elif fault.kind.isdigit():
                await self._refuse(fault, send)
                return

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.body":
                body = message.get("body", b"")
                if name == "short":
                    half = body[: len(body) // 2]
                    self.counters.add(kind, size=len(half))
                    await send({"type": "http.response.body", "body": half, "more_body": True})
                    send.__self__.transport.close()  # type: ignore[attr-defined]
                    return
                self.counters.add(kind, size=len(body))
                if name in ("garbage", "damage"):
                    message = {**message, "body": other_bytes(body, few=name == "damage")}
            await send(message)

        await self.app(scope, receive, counted)

    @staticmethod
    async def _refuse(fault: Struck, send: Send) -> None:
        headers = [(b"content-type", b"text/plain"), (b"content-length", b"8")]
        if fault.kind in ("429", "503"):
            headers.append((b"retry-after", str(fault.retry_after_s).encode()))
        await send({"type": "http.response.start", "status": int(fault.kind), "headers": headers})
        await send({"type": "http.response.body", "body": b"on plan\n"})


def other_bytes(body: bytes, *, few: bool) -> bytes:
    """As many bytes, each of them another one; with `few`, only one in a thousand of those behind the first tenth.

    >>> other_bytes(b"abc", few=False), len(other_bytes(bytes(5000), few=True).strip(b"\\0")) > 0
    (b'\x9e\x9d\x9c', True)
    """
    changed = bytearray(body)
    places = range(len(body) // 10, len(body), 1000) if few else range(len(body))
    for place in places:
        changed[place] ^= 0xFF if not few else 0x10
    return bytes(changed)


def _reset(send: Send) -> None:
    """Break the connection with a TCP reset. `send` is a method of uvicorn's request, which knows its transport."""
    transport = send.__self__.transport  # type: ignore[attr-defined]
    sock = transport.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
