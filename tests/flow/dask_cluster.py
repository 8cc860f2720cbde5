"""A Dask cluster on loopback: a scheduler and workers, each a process of its own that can be killed."""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

READY_MOST_S = 60.0


class Cluster:
    """Its processes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = folder / "scheduler.json"
        self.scheduler = self._start("scheduler", "--scheduler-file", str(self._file), "--host", "127.0.0.1", "--port", "0")
        end = time.monotonic() + READY_MOST_S
        while not self._file.is_file() or not self._file.read_text(encoding="utf-8").endswith("}"):
            assert time.monotonic() < end, (folder / "scheduler-0.log").read_text(encoding="utf-8")
            time.sleep(0.05)
        self.address: str = json.loads(self._file.read_text(encoding="utf-8"))["address"]
        self.workers: list[subprocess.Popen[bytes]] = []

    def add_worker(self) -> None:
        """One more, of one thread, with nobody to start it again."""
        self.workers.append(self._start("worker", self.address, "--nthreads", "1", "--no-nanny", "--host", "127.0.0.1"))

    def close(self) -> None:
        """End what still runs."""
        for process in (*self.workers, self.scheduler):
            process.kill()
            process.wait(10)

    def _start(self, kind: str, *arguments: str) -> "subprocess.Popen[bytes]":
        number = len(getattr(self, "workers", []))
        command = [sys.executable, "-m", f"distributed.cli.dask_{kind}", *arguments, "--no-dashboard"]
        environment = {**os.environ, "DASK_TEMPORARY_DIRECTORY": str(self._folder)}
        with (self._folder / f"{kind}-{number}.log").open("wb") as log:
            return subprocess.Popen(command, stdout=log, stderr=log, env=environment)


@contextlib.contextmanager
def serve_cluster(folder: Path, workers: int) -> Iterator[Cluster]:
    """A cluster with some workers."""
    folder.mkdir(parents=True, exist_ok=True)
    cluster = Cluster(folder)
    try:
        for _ in range(workers):
            cluster.add_worker()
        yield cluster
    finally:
        cluster.close()
