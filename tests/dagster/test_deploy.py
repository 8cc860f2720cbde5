"""deploy/: the Compose file keeps to its specification, publishes nothing but the UI on loopback and holds no secret; the
Helm values say what dagster.yaml says; and what the Compose file starts works as plain processes on a real PostgreSQL."""

import contextlib
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import compose_spec
import dagster as dg
import pytest
import yaml
from dagster._core.instance.ref import InstanceRef

from s2chips_dagster.runs import HOME_VARIABLE
from tests.dagster.conftest import MakeDataset
from tests.dagster.postgres_server import PostgresServer
from tests.reliability import often

REPOSITORY = Path(__file__).parents[2]
DEPLOY = REPOSITORY / "deploy"
READY_MOST_S = 120.0
NAME = re.compile(r"\b(?:S2CHIPS|DAGSTER|AISSTREAM|CDSE|AWS)_[A-Z_]+\b")
LOOPBACK = "127.0.0.1"


def compose() -> dict[str, Any]:
    """The file, with its variables at their defaults."""
    text = (DEPLOY / "compose.yaml").read_text()
    text = re.sub(r"\$\{[A-Z0-9_]+:-([^}]*)\}", r"\1", text)
    tree: dict[str, Any] = yaml.safe_load(re.sub(r"\$\{([A-Z_]+):\?[^}]*\}", r"from \1", text))
    return tree


def helm() -> dict[str, Any]:
    tree: dict[str, Any] = yaml.safe_load((DEPLOY / "helm-values.yaml").read_text())
    return tree


def test_the_compose_file_keeps_to_the_specification() -> None:
    tree = compose()
    read = compose_spec.compose_spec.PyCompose.from_dict(tree)
    read.validate()
    assert set(read.service_names()) == set(tree["services"])
    broken = compose()
    broken["services"]["code"]["helthcheck"] = {}
    with pytest.raises(ValueError, match="helthcheck"):
        compose_spec.compose_spec.PyCompose.from_dict(broken)


def test_only_the_ui_is_published_and_on_loopback_only() -> None:
    services = compose()["services"]
    published = {name: service["ports"] for name, service in services.items() if "ports" in service}
    assert published == {"webserver": ["127.0.0.1:3000:3000"], "viewer": ["127.0.0.1:3001:3000"]}
    assert "--read-only" in services["viewer"]["command"]
    assert all("network_mode" not in service and not service.get("privileged") for service in services.values())
    assert helm()["dagsterWebserver"]["service"]["type"] == "ClusterIP"
    assert not helm()["ingress"]["enabled"]


def test_every_service_has_a_health_check_and_limits() -> None:
    for name, service in compose()["services"].items():
        assert service["healthcheck"]["test"][0] == "CMD", name
        assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory"}, name


def test_every_volume_that_is_mounted_is_declared() -> None:
    tree = compose()
    mounted = {volume.split(":")[0] for service in tree["services"].values() for volume in service.get("volumes", [])}
    assert {name for name in mounted if not name.startswith(".")} == set(tree["volumes"])


def test_every_variable_is_read_by_somebody() -> None:
    sources = [*REPOSITORY.glob("s2chips_*/**/*.py"), DEPLOY / "dagster-postgres.yaml", DEPLOY / "workspace.yaml"]
    read = {name for path in sources for name in NAME.findall(path.read_text())} | {HOME_VARIABLE}
    # These two are of Compose: what is mounted as the configuration file, and Dagster's password under PostgreSQL's name.
    read |= {"S2CHIPS_CONFIG_FILE"}
    for path in DEPLOY.iterdir():
        assert set(NAME.findall(path.read_text())) <= read, path.name
    for service in compose()["services"].values():
        for name in service.get("environment", {}):
            assert name in read or name in {"POSTGRES_DB", "POSTGRES_USER", "POSTGRES_PASSWORD"}


def test_no_secret_is_in_a_file() -> None:
    for name, service in compose()["services"].items():
        for variable, value in service.get("environment", {}).items():
            if re.search("PASSWORD|KEY|TOKEN", variable):
                assert value in (None, "from DAGSTER_POSTGRES_PASSWORD"), f"{name}: {variable}"
    for line in (DEPLOY / "env.example").read_text().splitlines():
        assert line.startswith("#"), line
        assert not re.search(r"(PASSWORD|KEY|TOKEN)=\S", line), line
    for path in DEPLOY.glob("helm-*.yaml"):
        for line in path.read_text().splitlines():
            value = re.search(r"^\s*\w*(?:password|secret|token)\w*:\s*([^{\s]\S*)", line, re.IGNORECASE)
            assert value is None or value[1] in ("false", "s2chips-postgres"), line


def test_the_helm_values_say_what_dagster_yaml_says(tmp_path: Path) -> None:
    here, values = yaml.safe_load((REPOSITORY / "dagster.yaml").read_text()), helm()
    added = values["additionalInstanceConfig"]
    assert not values["dagsterDaemon"]["runCoordinator"]["enabled"]
    assert not values["dagsterDaemon"]["runMonitoring"]["enabled"]
    assert added["concurrency"] == here["concurrency"]
    assert added["run_monitoring"] == here["run_monitoring"]
    assert added["nux"] == here["nux"]
    assert values["telemetry"] == here["telemetry"]
    assert values["pythonLogs"] == {
        "managedPythonLoggers": here["python_logs"]["managed_python_loggers"],
        "pythonLogLevel": here["python_logs"]["python_log_level"],
    }
    # The chart copies these into dagster.yaml as they are, and Dagster takes them.
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(added))
    with dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(tmp_path))) as instance:
        limits = instance.get_concurrency_config()
        assert limits.run_queue_config is not None
        assert limits.run_queue_config.max_concurrent_runs == here["concurrency"]["runs"]["max_concurrent_runs"]
        assert limits.pool_config.default_pool_limit == here["concurrency"]["pools"]["default_limit"]


@pytest.mark.skipif(not often(0, 1), reason="five processes for one job: with S2CHIPS_RELIABILITY=1")
def test_what_the_compose_file_starts_runs_a_job(
    postgres: PostgresServer, make_dataset: MakeDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "dagster"
    home.mkdir()
    (home / "dagster.yaml").write_bytes((DEPLOY / "dagster-postgres.yaml").read_bytes())
    (home / "workspace.yaml").write_bytes((DEPLOY / "workspace.yaml").read_bytes())
    ports = dict(zip(("4000", "3000", "3001"), free_ports(3), strict=True))
    for name, value in {
        HOME_VARIABLE: str(home),
        "S2CHIPS_CONFIG": str(make_dataset().config),
        "S2CHIPS_CODE_HOST": LOOPBACK,
        "S2CHIPS_CODE_PORT": str(ports["4000"]),
    }.items():
        monkeypatch.setenv(name, value)
    services = compose()["services"]

    def command(name: str, part: str = "command") -> list[str]:
        """As in the file, but for the host, the ports and the folder of the image."""
        words = services[name][part] if part == "command" else services[name]["healthcheck"]["test"][1:]
        here = {**ports, "3000": ports["3001" if name == "viewer" else "3000"]}
        text = shlex.join(words).replace("0.0.0.0", LOOPBACK).replace("/opt/dagster", str(home))
        for there, port in here.items():
            text = re.sub(rf"\b{there}\b", str(port), text)
        program, *rest = shlex.split(text)
        return [str(Path(sys.executable).parent / program), *rest]

    with contextlib.ExitStack() as stack:
        for name in ("code", "daemon", "webserver", "viewer"):
            stack.enter_context(started(command(name), tmp_path / f"{name}.log"))
        for name in ("code", "webserver", "viewer", "daemon"):
            wait_until(f"{name} is healthy", lambda name=name: exit_code(command(name, "healthcheck")) == 0, tmp_path)

        told = launched(ports["3000"], "index_tiles")
        assert told["__typename"] == "LaunchRunSuccess", told
        run_id = told["run"]["runId"]
        wait_until("the run is over", lambda: status(ports["3000"], run_id) in ("SUCCESS", "FAILURE"), tmp_path)
        assert status(ports["3000"], run_id) == "SUCCESS", logs(tmp_path)
        assert status(ports["3001"], run_id) == "SUCCESS", "the viewer sees it"
        assert launched(ports["3001"], "index_tiles")["__typename"] == "UnauthorizedError"

    assert postgres.ask("select run_id, status from runs") == [(run_id, "SUCCESS")]
    assert not list(home.rglob("*.db"))


LAUNCH = """
mutation ($job: String!) {
  launchRun(executionParams: {selector: {
    repositoryLocationName: "s2chips", repositoryName: "__repository__", jobName: $job
  }}) { __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } }
}
"""
STATUS = "query ($run: ID!) { runOrError(runId: $run) { ... on Run { status } } }"


def launched(port: int, job: str) -> dict[str, Any]:
    """What the web server on `port` says when it is to start a job."""
    found: dict[str, Any] = asked(port, LAUNCH, job=job)["launchRun"]
    return found


def status(port: int, run_id: str) -> str:
    """The run's status, as the web server on `port` shows it."""
    return str(asked(port, STATUS, run=run_id)["runOrError"]["status"])


def asked(port: int, query: str, **variables: str) -> dict[str, Any]:
    """GraphQL, as the pages of the UI ask."""
    body = json.dumps({"query": query, "variables": variables}).encode()
    request = urllib.request.Request(f"http://{LOOPBACK}:{port}/graphql", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        told = json.load(answer)
    assert "errors" not in told, told
    found: dict[str, Any] = told["data"]
    return found


@contextlib.contextmanager
def started(command: list[str], log: Path) -> Iterator[None]:
    """A process of its own group, ended with all that it started."""
    with log.open("wb") as said:
        process = subprocess.Popen(command, cwd=REPOSITORY, stdout=said, stderr=said, start_new_session=True)
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def exit_code(command: list[str]) -> int:
    return subprocess.run(command, capture_output=True, check=False, timeout=60).returncode


def wait_until(what: str, so: Any, folder: Path) -> None:
    end = time.monotonic() + READY_MOST_S
    while not so():
        assert time.monotonic() < end, f"not after {READY_MOST_S:g} s: {what}\n{logs(folder)}"
        time.sleep(0.5)


def logs(folder: Path) -> str:
    """The last lines of each process."""
    return "\n".join(f"{path.name}: {path.read_text(errors='replace')[-2000:]}" for path in sorted(folder.glob("*.log")))


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind((LOOPBACK, 0))
        return [probe.getsockname()[1] for probe in probes]
