"""No secret is in anything that runs leave behind: neither in what they say nor in what they write, whether they go well or
fail, whatever the services say to them.

First that the search finds a secret in each kind of place; then real runs, as a user starts them, and a search of it all.
"""

import base64
import contextlib
import gzip
import itertools
import json
import logging
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import urllib.parse
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import dagster as dg
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from botocore.config import Config

from s2chips_core import tables
from s2chips_core.ais import connection_limit
from s2chips_core.overpasses.plan import PLAN_SCHEMA
from s2chips_core.overpasses.schedule import format_schedule
from s2chips_core.sandbox.ais_server import AisServed, serve_ais
from s2chips_dagster.cli import main
from s2chips_dagster.resources import NOW_VARIABLE
from s2chips_dagster.run_config import KEY_VARIABLE
from tests.ais.capture_rig import EAGER, HASTY, fleet, now
from tests.archive_fixtures import Archives
from tests.flow.conftest import REPOSITORY
from tests.flow.secret_search import Search, files_below
from tests.reliability import often
from tests.scenes import stand_ins
from tests.scenes.stand_ins import SENSED, TILE, World
from tests.storage import s3_servers
from tests.storage.s3_servers import BUCKET, S3Server, serve_moto

DAY, LATER = SENSED.date(), (SENSED + timedelta(days=5)).isoformat()
SECRETS = {
    KEY_VARIABLE: "0a1b2c3d4e5f60718293a4b5c6d7e8f901234567",
    "AWS_SESSION_TOKEN": "stand-in/session+token/of=the==dataset//0001",
    **stand_ins.KEYS,
    **s3_servers.KEYS,
}
TOKEN = {"the SAS token": "stand-in-token-"}
WRONG = {"CDSE_SECRET_ACCESS_KEY": "not/the+key-of-anybody/0002"}
SEARCH = Search({**SECRETS, **TOKEN, "the wrong key": WRONG["CDSE_SECRET_ACCESS_KEY"]})
STAND_INS = ("werkzeug", "moto", "boto", "botocore", "responses")
"""Loggers of servers and clients that are the test's own."""


# --- the search finds what is there


def _parquet(secret: str, folder: Path) -> None:
    pq.write_table(pa.table({"detail": ["", f"refused: {secret}"] * 500}), folder / "outcomes.parquet", compression="zstd")


def _parquet_metadata(secret: str, folder: Path) -> None:
    table = pa.table({"a": [1]}).replace_schema_metadata({"s2chips": json.dumps({"url": f"wss://host?key={secret}"})})
    pq.write_table(table, folder / "snapshot.parquet")


def _workbook(secret: str, folder: Path) -> None:
    pd.DataFrame({"notes": [secret]}).to_excel(folder / "ais.xlsx")


def _database(secret: str, folder: Path) -> None:
    with contextlib.closing(sqlite3.connect(folder / "runs.db")) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("CREATE TABLE runs (run_body TEXT)")
        database.execute("INSERT INTO runs VALUES (?)", (json.dumps({"config": secret}),))
        database.commit()


def _snapshot(secret: str, folder: Path) -> None:
    """As Dagster keeps those of jobs."""
    with contextlib.closing(sqlite3.connect(folder / "index.db")) as database:
        database.execute("CREATE TABLE snapshots (snapshot_body BLOB)")
        database.execute("INSERT INTO snapshots VALUES (?)", (zlib.compress(json.dumps([secret] * 9).encode()),))
        database.commit()


def _url(secret: str, folder: Path) -> None:
    query = urllib.parse.urlencode({"k": secret})
    (folder / "provenance.json").write_text(json.dumps({"href": f"https://host/a.tif?{query}"}))


def _page(secret: str, folder: Path) -> None:
    text = base64.b64encode(f"<svg>{secret}</svg>".encode()).decode()
    (folder / "report.html").write_text(f'<img src="data:image/svg+xml;base64,{text}">')


def _log(secret: str, folder: Path) -> None:
    (folder / ".hidden").mkdir()
    (folder / ".hidden" / "chips.err").write_text(f"Traceback …\nKeyError: {secret!r}\n")


def _gzip(secret: str, folder: Path) -> None:
    (folder / "compute.log.gz").write_bytes(gzip.compress(secret.encode()))


def _bag(secret: str, folder: Path) -> None:
    with zipfile.ZipFile(folder / "export.zip", "w", zipfile.ZIP_DEFLATED) as bag:
        bag.writestr("inner.gz", gzip.compress(json.dumps({"a": secret}).encode()))


def _name(secret: str, folder: Path) -> None:
    (folder / f"lock-{secret.replace('/', '%2F')}").touch()


PLACES: list[Callable[[str, Path], None]] = [
    _parquet,
    _parquet_metadata,
    _workbook,
    _database,
    _snapshot,
    _url,
    _page,
    _log,
    _gzip,
    _bag,
]


@pytest.mark.parametrize("secret", sorted(SECRETS))
@pytest.mark.parametrize("plant", PLACES, ids=lambda plant: plant.__name__.strip("_"))
def test_a_secret_is_found_in_each_kind_of_place(plant: Callable[[str, Path], None], secret: str, tmp_path: Path) -> None:
    plant(SECRETS[secret], tmp_path)
    [found] = SEARCH.in_files(files_below(tmp_path)).values()
    assert found == {secret}


def test_a_secret_in_a_name_is_found(tmp_path: Path) -> None:
    _name(SECRETS[KEY_VARIABLE], tmp_path)
    assert list(SEARCH.in_files(files_below(tmp_path)).values()) == [{KEY_VARIABLE}]


@pytest.mark.parametrize(
    "url",
    [
        "https://eodata/a?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=00ff",
        "https://account.blob.core.windows.net/a.tif?st=2025-10-12T00%3A00Z&sv=2021&sig=abc%2F",
        "https://account.blob.core.windows.net/a.tif?se=2025-10-12T00%3A00Z",
    ],
)
def test_a_signature_is_found_whoever_made_it(url: str) -> None:
    assert SEARCH.in_bytes(url.encode())
    assert SEARCH.in_bytes(url.partition("?")[0].encode()) == set()


# --- runs


class Left:
    """What runs leave behind: said, logged, and written below a folder and in buckets."""

    def __init__(self, folder: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
        self.folder, self._capfd, self._caplog = folder, capfd, caplog
        self.said = ""

    def s2chips(self, *arguments: object) -> tuple[int, str]:
        """One command; its exit code, and what it said."""
        code = main([str(one) for one in arguments])
        return code, self._hear()

    def dagster(self, *arguments: str) -> tuple[int, str]:
        """Dagster's own command line, in a process of its own."""
        command = [sys.executable, "-m", "dagster", *arguments]
        process = subprocess.run(command, cwd=REPOSITORY, timeout=200, check=False)
        return process.returncode, self._hear()

    def _hear(self) -> str:
        heard = "".join(self._capfd.readouterr())
        self.said += heard
        return heard

    def everything(self, *servers: S3Server) -> dict[str, bytes]:
        """By name."""
        logged = "\n".join(
            f"{record.getMessage()} {record.exc_info}"
            for record in self._caplog.records
            if not record.name.startswith(STAND_INS)
        )
        found = {"stdout and stderr": self.said.encode(), "log": logged.encode(), **files_below(self.folder)}
        for server in servers:
            found |= objects_of(server)
        return found


def objects_of(server: S3Server) -> dict[str, bytes]:
    """Every object of the bucket, also those that the storage never lists."""
    client = boto3.client(
        "s3",
        endpoint_url=server.endpoint,
        region_name="us-east-1",
        aws_access_key_id="any",
        aws_secret_access_key="any",
        config=Config(s3={"addressing_style": "path"}),
    )
    with contextlib.closing(client):
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=server.bucket)
        keys = [each["Key"] for page in pages for each in page.get("Contents", [])]
        return {f"s3: {key}": client.get_object(Bucket=server.bucket, Key=key)["Body"].read() for key in keys}


@pytest.fixture
def left(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> Left:
    """A Dagster home, a cache and temporary files below one folder; every secret in the environment, every log heard."""
    home, temporary = tmp_path / "dagster", tmp_path / "temporary"
    for folder in (home, temporary):
        folder.mkdir()
    shutil.copyfile(REPOSITORY / "dagster.yaml", home / "dagster.yaml")
    for name in (NOW_VARIABLE, "S2CHIPS_DATASET_ROOT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(REPOSITORY), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("S2CHIPS_CONFIG", "")
    monkeypatch.setattr(connection_limit, "SPACING_S", 0.02)
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    caplog.set_level(logging.DEBUG)
    return Left(tmp_path, capfd, caplog)


@pytest.fixture
def bucket() -> Iterator[S3Server]:
    with serve_moto() as server:
        yield server


@pytest.fixture
def ais() -> Iterator[AisServed]:
    with serve_ais(fleet(100.0), limits=EAGER, keys={SECRETS[KEY_VARIABLE]}) as served:
        yield served


def write_config(file: Path, **sections: Mapping[str, Any]) -> Path:
    tree: dict[str, Any] = {"satellite_tracking": {"source": "backfill", "tiles": [TILE]}, **sections}
    file.write_text(yaml.safe_dump(tree))
    return file


def in_bucket(server: S3Server) -> dict[str, str]:
    return {"dataset_root": server.root(), "s3_endpoint": server.endpoint, "s3_locks": server.locks}


def ships(world: World, file: Path) -> Path:
    rows = [f"24466{n:04d},{lat:.6f},{lon:.6f},{SENSED.isoformat()}" for n, (lon, lat) in enumerate(world.water(3, seed=2))]
    file.write_text("\n".join(["mmsi,lat,lon,overpass_time", *rows]))
    return file


def schedule(file: Path, seconds: float = 1.5) -> Path:
    """One pass, now."""
    at = pd.to_datetime([now()], utc=True).as_unit("ms")
    plan = pd.DataFrame(
        {
            "tile_id": ["30STF"],
            "satellite": "S2C",
            "overpass_time": at,
            "window_start": at - pd.Timedelta(seconds=1),
            "window_end": at + pd.Timedelta(seconds=seconds),
            "time_sigma_s": 1.0,
            "imaging": "unknown",
            "source": "tle",
        }
    )
    file.write_text(format_schedule(tables.to_frame(tables.conform(plan, PLAN_SCHEMA, "test"))))
    return file


@pytest.mark.timeout(300)
def test_runs_that_go_well_leave_no_secret(
    left: Left,
    bucket: S3Server,
    ais: AisServed,
    archives: Archives,
    world: World,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recording = {"source": "aisstream", "url": ais.url, **HASTY}
    config = write_config(
        tmp_path / "config.yaml",
        ais=recording,
        stac=archives.stac("planetary_computer", "cdse"),
        storage=in_bucket(bucket),
    )
    archives.planetary_computer.gone = {"B03"}  # so that both are read
    code, said = left.s2chips("collect-ais", "--schedule", schedule(tmp_path / "schedule.csv"), "--config", config)
    assert code == 0, said
    assert ais.counters.subscriptions == 1
    monkeypatch.setenv(NOW_VARIABLE, LATER)
    code, said = left.s2chips("chip-from-file", ships(world, tmp_path / "ships.csv"), "--config", config)
    assert code == 0, said
    assert "3 chipped" in said
    assert archives.planetary_computer.count(".tif", 206) > 0
    assert archives.cdse.count(".jp2", 206) > 0
    chips = [key for key in objects_of(bucket) if key.endswith(".tif")]
    assert len(chips) == 3
    chip_id = chips[0].rpartition("/")[2].removesuffix(".tif")
    assert left.s2chips("recut", chip_id, "--config", config)[0] == 0
    assert left.s2chips("export", "--out", tmp_path / "export", "--config", config)[0] == 0
    assert left.s2chips("prune", "--dry-run", "--config", config)[0] == 0
    _, said = left.s2chips("doctor", "--config", config)
    assert "can be written, read and locked" in said
    everything = left.everything(bucket)
    assert_all_kinds(everything)
    assert SEARCH.in_files(everything) == {}


def assert_all_kinds(everything: Mapping[str, bytes]) -> None:
    """That there was something to look into, of each kind."""
    for part in (
        "config.yaml",
        "history/runs.db",
        "compute_logs",
        "ais/captures/",
        "ais_overpass_30STF.parquet",
        ".xlsx",
        "provenance/scenes/",
        "provenance/configs/",
        "outcomes/",
        "matches/",
        "indexes/tiles.parquet",
        "reports/",
        ".json",
        ".geojson",
        ".locks/",
        "export/stac/",
    ):
        assert any(part in name for name in everything), part


# --- runs that fail


@contextlib.contextmanager
def serve_echo(status: int, write: Callable[[Mapping[str, str]], bytes]) -> Iterator[str]:
    """A service that refuses everything, and says in its answer what it was asked with; its URL."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args: object) -> None:
            pass

        def _refuse(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            body = write({"path": self.path, "secret": SECRETS["AWS_SECRET_ACCESS_KEY"], **dict(self.headers)})
            self.send_response(status, body.decode("latin-1").replace("\n", " ")[:200])
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _refuse  # noqa: N815 - names of http.server

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def as_json(asked: Mapping[str, str]) -> bytes:
    return json.dumps(dict(asked)).encode()


def as_text(asked: Mapping[str, str]) -> bytes:
    return "\n".join(f"{name}: {value}" for name, value in asked.items()).encode()


def as_xml(asked: Mapping[str, str]) -> bytes:
    said = "".join(f"<{name}>{value}</{name}>" for name, value in asked.items())
    return f"<Error><Code>SignatureDoesNotMatch</Code>{said}</Error>".encode()


ECHOES = [(400, as_json), (403, as_xml), (409, as_text)]
ECHOES += [one for one in itertools.product((400, 401, 403, 409, 412, 416), (as_json, as_text, as_xml)) if one not in ECHOES]


@pytest.mark.parametrize(("status", "write"), ECHOES[: often(3, len(ECHOES))])
def test_a_bucket_that_repeats_what_it_was_asked_is_not_quoted(
    status: int, write: Callable[[Mapping[str, str]], bytes], left: Left, tmp_path: Path
) -> None:
    with serve_echo(status, write) as url:
        storage = {"dataset_root": f"s3://{BUCKET}/x", "s3_endpoint": url}
        config = write_config(tmp_path / "config.yaml", storage=storage)
        code, said = left.s2chips("prune", "--list", "--config", config)
        assert code == 1
        assert f"in s3://{BUCKET}" in said
        code, said = left.s2chips("doctor", "--offline", "--config", config)
    assert code == 1
    assert "failed" in said
    assert SEARCH.in_files(left.everything()) == {}


@pytest.mark.timeout(300)
def test_runs_that_fail_leave_no_secret(
    left: Left, ais: AisServed, archives: Archives, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = {"dataset_root": str(tmp_path / "dataset")}
    file, passes = ships(world, tmp_path / "ships.csv"), schedule(tmp_path / "schedule.csv", 3.0)

    def config(name: str, *providers: str, **sections: Mapping[str, Any]) -> Path:
        given = {"storage": here, "stac": archives.stac(*(providers or ("cdse",))), **sections}
        return write_config(tmp_path / f"{name}.yaml", **given)

    # The AIS service does not take the key, and repeats it; then it fails with it in its words.
    ais.faults.error(f"Api Key {SECRETS[KEY_VARIABLE]} Is Not Valid", times=1)
    refused = config("ais", ais={"source": "aisstream", "url": ais.url, **HASTY})
    code, said = left.s2chips("collect-ais", "--schedule", passes, "--config", refused)
    assert "Api Key" in said, said

    monkeypatch.setenv(NOW_VARIABLE, LATER)
    # Keys that are another's: CDSE says 403.
    with monkeypatch.context() as other:
        other.setenv("CDSE_SECRET_ACCESS_KEY", WRONG["CDSE_SECRET_ACCESS_KEY"])
        code, said = left.s2chips("chip-from-file", file, "--config", config("cdse"))
        assert code == 1
        assert "the server answered 403" in said
        left.s2chips("doctor", "--config", config("cdse"))

    # Tokens that are taken back as soon as they are given: ships have no chips, and it is said why.
    blobs = archives.planetary_computer
    blobs.before_answer = lambda path: blobs.revoke() if path.endswith("tif") else None
    code, said = left.s2chips("chip-from-file", file, "--config", config("blobs", "planetary_computer"))
    assert "3 read_error" in said
    blobs.before_answer = lambda path: None

    # A token service whose answer is none, with a token in it.
    answer = as_json({"token": "sig=stand-in-token-0009%2F", "msft:expiry": "stand-in-token-0009, for ever"})
    monkeypatch.setattr(blobs, "other", lambda path: (200, {}, answer) if "/token/" in path else None)
    code, said = left.s2chips("chip-from-file", file, "--config", config("tokens", "planetary_computer"))
    assert "gave no token" in said

    # What is in the wrong place: in the file, in a run's own values.
    misplaced = {"ais": {"api_key": SECRETS[KEY_VARIABLE]}}
    code, said = left.s2chips("prune", "--dry-run", "--config", config("misplaced", **misplaced))
    assert "a key that is not known" in said
    everything = left.everything()
    del everything["misplaced.yaml"]
    assert any(b"403" in data for name, data in everything.items() if name.startswith("dataset/reports/files/"))
    assert SEARCH.in_files(everything) == {}


def test_what_dagster_says_of_a_run_that_fails_has_no_secret(left: Left, tmp_path: Path, world: World) -> None:
    """In a process of Dagster's own, with all that it prints, and a bucket that repeats what it was asked."""
    file = ships(world, tmp_path / "ships.csv")
    run_config = tmp_path / "run.yaml"
    run_config.write_text(yaml.safe_dump({"ops": {"chip_ais_file": {"config": {"path": str(file)}}}}))
    with serve_echo(400, as_json) as url:
        config = write_config(tmp_path / "config.yaml", storage={"dataset_root": f"s3://{BUCKET}/x", "s3_endpoint": url})
        os.environ["S2CHIPS_CONFIG"] = str(config)
        job = ("-m", "s2chips_dagster.definitions", "-j", "chip_from_ais_file")
        code, said = left.dagster("job", "execute", *job, "-c", str(run_config))
    assert code == 1
    assert "StorageError" in said
    with dg.DagsterInstance.get() as instance:
        [run] = instance.get_runs()
        assert run.status is dg.DagsterRunStatus.FAILURE
        assert any("StorageError" in str(log.to_json()) for log in instance.all_logs(run.run_id))
    assert SEARCH.in_files(left.everything()) == {}
