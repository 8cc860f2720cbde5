"""Dagster as its users have it: web server, daemon and code location as processes, asked in GraphQL as the UI does."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg

LOOPBACK = "127.0.0.1"
PATIENCE_S = 300.0
"""How long something is waited for that must come; others may keep the machine busy."""
ENDED = ("SUCCESS", "FAILURE", "CANCELED")
_LOCATION = {"repositoryLocationName": "s2chips", "repositoryName": "__repository__"}
_LAUNCH = """mutation ($params: ExecutionParams!) { launchRun(executionParams: $params) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message }
  ... on RunConfigValidationInvalid { errors { message } } } }"""
_TERMINATE = """mutation ($run: String!) { terminateRun(runId: $run, terminatePolicy: SAFE_TERMINATE) {
  __typename ... on TerminateRunFailure { message } ... on PythonError { message } } }"""
_RUN = "query ($run: ID!) { runOrError(runId: $run) { ... on Run { status startTime endTime } } }"
_BACKFILL = """mutation ($params: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $params) {
  __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }"""
_BACKFILL_STATUS = (
    "query ($id: String!) { partitionBackfillOrError(backfillId: $id) { ... on PartitionBackfill { status } } }"
)
_RUNS = """query ($tag: String!, $id: String!) { runsOrError(filter: {tags: [{key: $tag, value: $id}]}) {
  ... on Runs { results { runId status startTime endTime } } } }"""


class DagsterProcesses:
    """What is asked of the web server."""

    def __init__(self, port: int, folder: Path) -> None:
        self.url, self.folder = f"http://{LOOPBACK}:{port}", folder

    def launch(self, job: str, partition: str | None = None, run_config: dict[str, Any] | None = None) -> str:
        """Start a run, as the Launchpad does; its id."""
        tags = [] if partition is None else [{"key": "dagster/partition", "value": partition}]
        params = {
            "selector": {**_LOCATION, "jobName": job},
            "runConfigData": run_config or {},
            "mode": "default",
            "executionMetadata": {"tags": tags},
        }
        told = self.asked(_LAUNCH, params=params)["launchRun"]
        assert told["__typename"] == "LaunchRunSuccess", told
        return str(told["run"]["runId"])

    def terminate(self, run_id: str) -> None:
        """What the button does; the answer does not wait for the end of the run."""
        told = self.asked(_TERMINATE, run=run_id)["terminateRun"]
        # A run that has just ended cannot be terminated.
        assert told["__typename"] in ("TerminateRunSuccess", "TerminateRunFailure"), told

    def run(self, run_id: str) -> dict[str, Any]:
        """Status, begin and end."""
        return dict(self.asked(_RUN, run=run_id)["runOrError"])

    def wait_for_end(self, run_id: str, every_s: float = 0.5) -> dict[str, Any]:
        """The same when it has ended."""
        self.wait_until(f"run {run_id} has ended", lambda: self.run(run_id)["status"] in ENDED, every_s)
        return self.run(run_id)

    def backfill(self, job: str, partitions: list[str]) -> str:
        """Start a backfill, as the page of a job does; its id."""
        selector = {"repositorySelector": _LOCATION, "partitionSetName": f"{job}_partition_set"}
        params = {"selector": selector, "partitionNames": partitions, "tags": []}
        told = self.asked(_BACKFILL, params=params)["launchPartitionBackfill"]
        assert told["__typename"] == "LaunchBackfillSuccess", told
        return str(told["backfillId"])

    def backfill_status(self, backfill_id: str) -> str:
        """As the page of backfills shows it."""
        return str(self.asked(_BACKFILL_STATUS, id=backfill_id)["partitionBackfillOrError"]["status"])

    def runs_of_backfill(self, backfill_id: str) -> list[dict[str, Any]]:
        """Each with status, begin and end."""
        return list(self.asked(_RUNS, tag="dagster/backfill", id=backfill_id)["runsOrError"]["results"])

    def asked(self, query: str, **variables: Any) -> dict[str, Any]:
        """GraphQL."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(f"{self.url}/graphql", body, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                told = json.load(answer)
        except urllib.error.HTTPError as error:
            raise AssertionError(error.read().decode()[:2000]) from error
        assert "errors" not in told, told
        found: dict[str, Any] = told["data"]
        return found

    def wait_until(self, what: str, so: Callable[[], bool], every_s: float = 0.5, most_s: float = PATIENCE_S) -> None:
        """Fails with the last words of the processes."""
        end = time.monotonic() + most_s
        while not so():
            assert time.monotonic() < end, f"not after {most_s:g} s: {what}\n{self.said()}"
            time.sleep(every_s)

    def said(self) -> str:
        """The last lines of each process."""
        logs = sorted(self.folder.glob("*.log"))
        return "\n".join(f"{path.name}: {path.read_text(errors='replace')[-2000:]}" for path in logs)


@contextlib.contextmanager
def dagster_processes(folder: Path, environment: dict[str, str]) -> Iterator[DagsterProcesses]:
    """The code location, the web server, and the daemon: it runs what waits in the queue and what sensors ask for.

    Args:
        folder: for their words.
        environment: with DAGSTER_HOME, where there is a `dagster.yaml`, and what the code location reads.
    """
    # The process of a run has to be up before its start is answered: on a machine with much else to do in more than 60 s.
    environment = {**os.environ, "DAGSTER_GRPC_TIMEOUT_SECONDS": "600", **environment}
    home = Path(environment["DAGSTER_HOME"])
    with dg.DagsterInstance.from_config(str(home)):
        pass  # several processes at once on a new home would each make its tables
    code, web = _free_ports()
    server = {"host": LOOPBACK, "port": code, "location_name": "s2chips"}
    (home / "workspace.yaml").write_text(json.dumps({"load_from": [{"grpc_server": server}]}))
    workspace = ["-w", str(home / "workspace.yaml")]
    programs = {
        "code": ["dagster", "code-server", "start", "-h", LOOPBACK, "-p", str(code), "-m", "s2chips_dagster.definitions"],
        "webserver": ["dagster-webserver", "-h", LOOPBACK, "-p", str(web), *workspace],
        "daemon": ["dagster-daemon", "run", *workspace],
    }
    made = DagsterProcesses(web, folder)
    with contextlib.ExitStack() as stack:
        stack.enter_context(_started("code", programs["code"], folder, environment))
        made.wait_until("the code location listens", lambda: _listens(code))
        stack.enter_context(_started("webserver", programs["webserver"], folder, environment))
        made.wait_until("the web server answers", lambda: _listens(web))
        stack.enter_context(_started("daemon", programs["daemon"], folder, environment))
        yield made


@contextlib.contextmanager
def _started(name: str, command: list[str], folder: Path, environment: dict[str, str]) -> Iterator[None]:
    """A process of its own group, ended with all that it started."""
    program, *rest = command
    with (folder / f"{name}.log").open("wb") as said:
        process = subprocess.Popen(
            [str(Path(sys.executable).parent / program), *rest],
            env=environment,
            stdout=said,
            stderr=said,
            start_new_session=True,
        )
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(30)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((LOOPBACK, port), timeout=1):
        return True
    return False


def _free_ports() -> tuple[int, int]:
    with socket.socket() as first, socket.socket() as second:
        first.bind((LOOPBACK, 0))
        second.bind((LOOPBACK, 0))
        return first.getsockname()[1], second.getsockname()[1]
