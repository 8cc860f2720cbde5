"""Connections: kept ones are used again, dead ones are noticed, TLS is verified, and another thread can end them."""

import contextlib
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from http.client import HTTPException
from pathlib import Path

import pytest

from s2chips_core.connections import DRAIN_MOST_BYTES, Connections, InterruptedReadError, StaleConnectionError
from s2chips_core.errors import ReadError
from s2chips_core.fetch import Fetcher
from s2chips_core.hrefs import Address

HEAD = b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody"


class Scripted:
    """Takes connections and sends the next answer of `answers` for each request; an empty one hangs up."""

    def __init__(self, listener: socket.socket, answers: list[bytes], secure: ssl.SSLContext | None = None) -> None:
        self.address = Address("https" if secure else "http", "127.0.0.1", listener.getsockname()[1])
        self.accepted, self.hung_up = 0, threading.Event()
        self._listener, self._answers, self._secure = listener, iter(answers), secure
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.accepted += 1
                with contextlib.suppress(OSError), self._wrap(connection) as stream:
                    while stream.recv(4096):
                        answer = next(self._answers, b"")
                        if not answer:
                            break
                        stream.sendall(answer)
                        if answer.startswith(b"HTTP/1.1 200 bye"):
                            break
                self.hung_up.set()

    def _wrap(self, connection: socket.socket) -> socket.socket:
        return self._secure.wrap_socket(connection, server_side=True) if self._secure else connection


Script = Callable[..., Scripted]


@pytest.fixture
def script() -> Iterator[Script]:
    with contextlib.ExitStack() as stack:

        def start(*answers: bytes, secure: ssl.SSLContext | None = None) -> Scripted:
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            return Scripted(listener, list(answers), secure)

        yield start


@pytest.fixture
def connections() -> Iterator[Connections]:
    connections = Connections(timeout_s=5.0, connect_s=5.0)
    yield connections
    connections.interrupt()


def read(connections: Connections, address: Address, length: int = 4) -> bytes:
    connection = connections.ask(address, HEAD)
    try:
        assert connection.response is not None
        return connection.response.read(length)
    finally:
        connections.give_back(connection)


def test_a_connection_is_kept(script: Script, connections: Connections) -> None:
    server = script(OK, OK, OK)
    assert [read(connections, server.address) for _ in range(3)] == [b"body"] * 3
    assert server.accepted == 1


def test_a_short_rest_is_read_to_keep_the_connection(script: Script, connections: Connections) -> None:
    server = script(OK.replace(b": 4", b": 9") + b" more", OK)
    assert [read(connections, server.address) for _ in range(2)] == [b"body"] * 2
    assert server.accepted == 1


@pytest.mark.parametrize(
    "answer",
    [
        OK.replace(b"OK\r\n", b"OK\r\nConnection: close\r\n"),
        OK.replace(b": 4", b": %d" % (DRAIN_MOST_BYTES + 5)),
        b"HTTP/1.0 200 OK\r\n\r\nbody",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n",
    ],
    ids=["said so", "a long rest", "no length", "chunks to come"],
)
def test_a_connection_with_more_to_come_is_not_kept(script: Script, connections: Connections, answer: bytes) -> None:
    server = script(answer, OK)
    assert [read(connections, server.address) for _ in range(2)] == [b"body"] * 2
    assert server.accepted == 2


def test_a_kept_connection_that_the_host_closed_is_noticed(script: Script, connections: Connections) -> None:
    server = script(OK.replace(b"200 OK", b"200 bye"), OK)
    assert read(connections, server.address) == b"body"
    assert server.hung_up.wait(5)
    time.sleep(0.05)
    assert read(connections, server.address) == b"body"
    assert server.accepted == 2


def test_a_kept_connection_that_ends_instead_of_an_answer_is_told_apart(script: Script, connections: Connections) -> None:
    server = script(OK, b"", OK)
    assert read(connections, server.address) == b"body"
    with pytest.raises(StaleConnectionError):
        read(connections, server.address)
    connections.give_back(connections.ask(server.address, HEAD, fresh=True))
    assert server.accepted == 2


@pytest.mark.parametrize("answer", [b"", b"nonsense\r\n\r\n"])
def test_no_answer_is_an_error_and_the_connection_is_gone(script: Script, connections: Connections, answer: bytes) -> None:
    server = script(answer, OK)
    with pytest.raises((OSError, HTTPException), match=r"closed connection|nonsense|reset"):
        read(connections, server.address)
    assert read(connections, server.address) == b"body"
    assert server.accepted == 2


def test_silence_is_a_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        connections = Connections(timeout_s=0.1, connect_s=5.0)
        with pytest.raises(TimeoutError):
            connections.ask(Address("http", "127.0.0.1", listener.getsockname()[1]), HEAD)
        connections.interrupt()


@pytest.mark.parametrize("at_once", [b"", OK.partition(b"body")[0].replace(b": 4", b": 90")], ids=["head", "body"])
def test_a_server_that_trickles_is_a_timeout(at_once: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def trickle() -> None:
            with contextlib.suppress(OSError), listener.accept()[0] as stream:
                stream.sendall(at_once)
                for byte in OK.replace(b": 4", b": 90") + bytes(86):
                    stream.sendall(bytes([byte]))
                    time.sleep(0.03)

        threading.Thread(target=trickle, daemon=True).start()
        connections = Connections(timeout_s=0.5, connect_s=5.0)
        with pytest.raises(TimeoutError):
            read(connections, Address("http", "127.0.0.1", listener.getsockname()[1]), 90)


def test_what_waits_and_what_comes_later_is_interrupted(script: Script, connections: Connections) -> None:
    server = script(OK)
    read(connections, server.address)  # a kept connection, closed by interrupt: no warning of a socket left open
    with socket.create_server(("127.0.0.1", 0)) as listener:
        silent = Address("http", "127.0.0.1", listener.getsockname()[1])
        seen: list[BaseException] = []

        def wait() -> None:
            try:
                connections.ask(silent, HEAD)
            except InterruptedReadError as error:
                seen.append(error)

        threads = [threading.Thread(target=wait) for _ in range(3)]
        for thread in threads:
            thread.start()
        time.sleep(0.1)
        began = time.monotonic()
        connections.interrupt()
        for thread in threads:
            thread.join(5)
        assert len(seen) == 3
        assert time.monotonic() - began < 2
    with pytest.raises(InterruptedReadError):
        connections.ask(server.address, HEAD)


def test_connecting_is_interrupted(connections: Connections) -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = Address("http", "127.0.0.1", full.getsockname()[1])
        # A queue that is full leaves those who come later without an answer.
        waiting = [socket.socket() for _ in range(8)]
        for sock in waiting:
            sock.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                sock.connect(full.getsockname())
        timer = threading.Timer(0.2, connections.interrupt)
        timer.start()
        began = time.monotonic()
        with pytest.raises(InterruptedReadError):
            connections.ask(address, HEAD)
        assert time.monotonic() - began < 2
        timer.join()
        for sock in waiting:
            sock.close()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl to make a certificate")
class TestTls:
    """Certificates are those that the system, or SSL_CERT_FILE, trusts."""

    @pytest.fixture
    def server(self, script: Script, tmp_path: Path) -> Scripted:
        key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
        self.trust = certificate
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
                *("-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"),
                *("-addext", "keyUsage=critical,digitalSignature,keyCertSign"),
                *("-keyout", str(key), "-out", str(certificate)),
            ],
            check=True,
            capture_output=True,
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        return script(OK, OK, OK, secure=context)

    def ask(self, name: str, server: Scripted) -> tuple[bytes, bytes]:
        host = f"{name}:{server.address.port}"
        with contextlib.closing(Fetcher((host,), retries=0)) as fetcher:
            return fetcher.get(f"https://{host}/x"), fetcher.get(f"https://{host}/x")

    def test_a_trusted_host_is_read_over_one_connection(self, server: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SSL_CERT_FILE", str(self.trust))
        assert self.ask("localhost", server) == (b"body", b"body")
        assert server.accepted == 1

    def test_a_trusted_host_under_another_name_is_not(self, server: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SSL_CERT_FILE", str(self.trust))
        with pytest.raises(ReadError, match=r"no trusted connection: .*127\.0\.0\.1"):
            self.ask("127.0.0.1", server)

    def test_nobody_vouches_for_this_host(self, server: Scripted) -> None:
        with pytest.raises(ReadError, match=r"no trusted connection: .*self.signed"):
            self.ask("localhost", server)
        assert server.accepted == 1

    def test_interrupt_ends_a_silent_tls_host(self, script: Script) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            connections = Connections(timeout_s=30.0, connect_s=5.0)
            timer = threading.Timer(0.2, connections.interrupt)
            timer.start()
            began = time.monotonic()
            with pytest.raises(InterruptedReadError):
                connections.ask(Address("https", "127.0.0.1", listener.getsockname()[1]), HEAD)
            assert time.monotonic() - began < 2
            timer.join()


def test_an_answer_that_only_announces_itself_is_given_up(script: Script) -> None:
    """Interim answers without end, each in time."""
    server = script(b"HTTP/1.1 100 Continue\r\n\r\n" * 100_000)
    connections = Connections(timeout_s=30.0, connect_s=5.0)
    with pytest.raises(ConnectionAbortedError, match="a head of more than 1048576 bytes"):
        connections.ask(server.address, HEAD)
    connections.interrupt()
