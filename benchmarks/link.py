"""The files of a folder over HTTP from a process of its own, as a far archive answers: late, slowly, sometimes wrongly.

Here: byte ranges with a time to the first byte, a cap on the whole link, faults, and exact counts. It answers more cheaply
than the sandbox's server, so that on a small machine the readers are measured and not the server. Not here: STAC.
"""

import asyncio
import contextlib
import multiprocessing
import os
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from s2chips_core.sandbox.data_files import parse_range
from s2chips_core.sandbox.faults import Faults, Kind

PIECE_BYTES = 64 * 1024
FAULT_KINDS: tuple[Kind, ...] = ("503", "reset", "short")


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """How the archive is reached."""

    latency_ms: float = 0.0
    """From the request to the first byte of its answer."""
    megabytes_s: float | None = None
    """Of all answers together; none: as fast as loopback."""
    faults: float = 0.0
    """Share of requests that fail, in equal parts by 503, a reset connection and half a body."""

    @property
    def label(self) -> str:
        """A short name."""
        parts = [f"{self.latency_ms:g} ms"]
        parts += [f"{self.megabytes_s:g} MB/s"] if self.megabytes_s else []
        parts += [f"{self.faults:.0%} faults"] if self.faults else []
        return ", ".join(parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """What the server has done."""

    requests: int
    bytes: int
    """Of bodies."""
    faults: int


class Archive:
    """The running server, seen from the process that asks."""

    def __init__(self, host: str, pipe: Connection) -> None:
        self.host, self.url, self._pipe = host, f"http://{host}/data", pipe

    def start(self, conditions: Conditions) -> None:
        """Serve like this from now on, and count from 0."""
        self._pipe.send(conditions)
        self._pipe.recv()

    def counts(self) -> Served:
        """Since `start`."""
        self._pipe.send("counts")
        return self._pipe.recv()  # type: ignore[no-any-return]


@contextlib.contextmanager
def serve(folder: Path) -> Iterator[Archive]:
    """Serve `folder` until the block ends."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_run, args=(folder, there), daemon=True)
    process.start()
    there.close()
    try:
        yield Archive(here.recv(), here)
    finally:
        here.send("stop")
        process.join(10)
        if process.is_alive():
            process.kill()


def _run(folder: Path, pipe: Connection) -> None:
    asyncio.run(_Server(folder, pipe).run())


class _Server:
    def __init__(self, folder: Path, pipe: Connection) -> None:
        self.folder, self.pipe = folder, pipe
        self.conditions, self.faults = Conditions(), Faults()
        self.requests = self.bytes = self.failed = 0
        self.free_at_s = 0.0
        self.files: dict[str, tuple[int, int, str] | None] = {}

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: _Connection(self), "127.0.0.1", 0, backlog=512)
        self.pipe.send(f"127.0.0.1:{server.sockets[0].getsockname()[1]}")
        done = loop.create_future()
        loop.add_reader(self.pipe.fileno(), self._asked, done)
        await done
        server.close()

    def _asked(self, done: "asyncio.Future[None]") -> None:
        try:
            asked = self.pipe.recv()
        except EOFError:  # whoever measures is gone
            asked = "stop"
        if asked == "stop":
            asyncio.get_running_loop().remove_reader(self.pipe.fileno())
            done.set_result(None)
        elif asked == "counts":
            self.pipe.send(Served(requests=self.requests, bytes=self.bytes, faults=self.failed))
        else:
            self.conditions, self.faults = asked, Faults()
            self.requests = self.bytes = self.failed = 0
            if asked.faults:
                self.faults.mix(FAULT_KINDS, asked.faults)
            self.pipe.send("ok")

    def file(self, path: str) -> tuple[int, int, str] | None:
        """Descriptor, size and ETag."""
        if path not in self.files:
            found = (self.folder / path).resolve()
            self.files[path] = None
            if found.is_relative_to(self.folder.resolve()) and found.is_file():
                descriptor = os.open(found, os.O_RDONLY)
                about = os.fstat(descriptor)
                self.files[path] = descriptor, about.st_size, f'"{about.st_mtime_ns:x}-{about.st_size:x}"'
        return self.files[path]

    async def take(self, size: int) -> None:
        """Wait until the link has carried `size` bytes more."""
        rate = self.conditions.megabytes_s
        if rate:
            now = asyncio.get_running_loop().time()
            self.free_at_s = max(self.free_at_s, now) + size / (rate * 1e6)
            await asyncio.sleep(self.free_at_s - now)


class _Connection(asyncio.Protocol):
    def __init__(self, server: _Server) -> None:
        self.server, self.received = server, b""
        self.task: asyncio.Task[None] | None = None
        self.writable = asyncio.Event()
        self.writable.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.task is not None:
            self.task.cancel()

    def pause_writing(self) -> None:
        self.writable.clear()

    def resume_writing(self) -> None:
        self.writable.set()

    def data_received(self, data: bytes) -> None:
        self.received += data
        self._next()

    def _next(self) -> None:
        if self.task is None or self.task.done():
            head, end, rest = self.received.partition(b"\r\n\r\n")
            if end:
                self.received = rest
                self.task = asyncio.ensure_future(self._answer(head.decode("latin-1")))
                self.task.add_done_callback(lambda task: None if task.cancelled() else self._next())

    async def _answer(self, head: str) -> None:
        server = self.server
        first, *lines = head.split("\r\n")
        method, target, _ = first.split(" ")
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        server.requests += 1
        if server.conditions.latency_ms:
            await asyncio.sleep(server.conditions.latency_ms / 1000)
        fault = server.faults.next(target)
        kind = fault.kind if fault else None
        server.failed += kind is not None
        if kind == "reset":
            linger = struct.pack("ii", 1, 0)
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.transport.abort()
            return
        if kind == "503":
            self._send_head("503 Service Unavailable", {"Retry-After": "0", "Content-Length": "0"})
            return
        found = server.file(target.partition("?")[0].removeprefix("/data/"))
        if found is None:
            self._send_head("404 Not Found", {"Content-Length": "0"})
            return
        descriptor, size, etag = found
        answer = {"Accept-Ranges": "bytes", "ETag": etag, "Content-Type": "image/tiff"}
        try:
            part = parse_range(headers["range"], size) if "range" in headers else None
        except ValueError:
            self._send_head("416 Range Not Satisfiable", {"Content-Range": f"bytes */{size}", "Content-Length": "0"})
            return
        start, stop = part or (0, size)
        if part:
            answer["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
        self._send_head("206 Partial Content" if part else "200 OK", {**answer, "Content-Length": str(stop - start)})
        if method == "HEAD":
            return
        if kind == "short":
            stop = start + (stop - start) // 2
        await self._send_body(descriptor, start, stop)
        if kind == "short":
            self.transport.close()

    def _send_head(self, status: str, headers: dict[str, str]) -> None:
        lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in headers.items())]
        self.transport.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))

    async def _send_body(self, descriptor: int, start: int, stop: int) -> None:
        for at in range(start, stop, PIECE_BYTES):
            piece = os.pread(descriptor, min(PIECE_BYTES, stop - at), at)
            await self.server.take(len(piece))
            await self.writable.wait()
            self.server.bytes += len(piece)
            self.transport.write(piece)
