"""The UI that the project starts is on this machine only, unless somebody decides otherwise."""

import contextlib
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from s2chips_core.sections import LOOPBACK
from tests.dagster.conftest import REPOSITORY
from tests.reliability import often

START = re.compile(r"dagster(?:-webserver| dev)\b[^\n`]*(?:-w|-p)\b[^\n`]*")
"""A command that starts a web server."""
TOLD = [REPOSITORY / "Makefile", REPOSITORY / "README.md", REPOSITORY / "docs" / "operations.md"]
START_MOST_S = 120.0


def host_of(command: str) -> str | None:
    """What `-h` or `--host` of a command names."""
    found = re.search(r"(?:-h|--host)[ =]+(\S+)", command)
    return found[1] if found else None


def commands() -> list[tuple[str, str]]:
    """Every command of the Makefile and the documents that starts one."""
    return [(file.name, command) for file in TOLD for command in START.findall(file.read_text(encoding="utf-8"))]


def test_commands_are_found() -> None:
    assert {"Makefile", "operations.md"} <= {name for name, _ in commands()}


@pytest.mark.parametrize(("name", "command"), commands())
def test_a_command_binds_loopback(name: str, command: str) -> None:
    """The demo's own is looked at in `test_demo`."""
    assert host_of(command) in LOOPBACK, f"{name}: {command}"


@pytest.mark.parametrize("command", ["dagster dev -w workspace.yaml -h 0.0.0.0 -p 3000", "dagster dev -w x -p 3000"])
def test_another_host_would_be_seen(command: str) -> None:
    assert START.findall(command) == [command]
    assert host_of(command) not in LOOPBACK


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="sockets are listed by Linux")
def test_the_web_server_listens_on_loopback_only(home: Path) -> None:
    """With the host that `make ui` gives it, and with none."""
    [of_make] = [command for name, command in commands() if name == "Makefile"]
    for options in [["-h", str(host_of(of_make))], []][: often(1, 2)]:
        port = free_port()
        command = [sys.executable, "-m", "dagster_webserver", "--empty-workspace", *options, "-p", str(port)]
        process = subprocess.Popen(command, cwd=home, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            until = time.monotonic() + START_MOST_S
            while not (listening := addresses(port)):
                assert process.poll() is None
                assert time.monotonic() < until
                time.sleep(0.1)
            assert listening == {"0100007F"}, "127.0.0.1 as the kernel writes it"
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(30)
            process.kill()
            process.wait()


def test_a_socket_on_all_addresses_would_be_seen() -> None:
    with socket.create_server(("0.0.0.0", 0)) as everywhere:
        assert addresses(everywhere.getsockname()[1]) == {"00000000"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def addresses(port: int) -> set[str]:
    """Where something listens on a port, in the hexadecimal of /proc/net/tcp."""
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            _, local, _, state, *_ = line.split()
            address, _, number = local.partition(":")
            if state == "0A" and int(number, 16) == port:
                found.add(address)
    return found
