"""One demo day, run once by Dagster for all of these tests, and copies of it to do harm to."""

import dataclasses
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from s2chips_core import layout
from s2chips_core.config import CONFIG_VARIABLE, DATASET_ROOT_VARIABLE
from s2chips_core.sandbox.archive import DEMO_DAYS, DEMO_NOW
from s2chips_core.sandbox.server import Served, serve
from s2chips_core.storage import LocalStorage
from s2chips_dagster.definitions import build_definitions
from s2chips_dagster.resources import NOW_VARIABLE
from s2chips_dagster.runs import HOME_VARIABLE
from tests.dagster.postgres_server import PostgresServer, serve_postgres
from tests.index.index_record import without_record

REPOSITORY = Path(__file__).parents[2]
DAY = DEMO_DAYS[1]
"""Chips, refusals by the gate, a scene without SCL, and ships whose scene is not published yet."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """A dataset, its configuration and the code location that works on it."""

    config: Path
    storage: LocalStorage
    definitions: dg.Definitions

    def execute(
        self, job: str, *, day: date | None = DAY, ops: Mapping[str, Any] | None = None, instance: Any = None
    ) -> dg.ExecuteInProcessResult:
        """Run a job in this process; failures are in the result."""
        run_config = {"ops": {name: {"config": values} for name, values in (ops or {}).items()}}
        return self.definitions.resolve_job_def(job).execute_in_process(
            run_config=run_config,
            partition_key=None if day is None else day.isoformat(),
            instance=instance,
            raise_on_error=False,
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DayRun(Dataset):
    """A day that was run and indexed, not to be changed."""

    result: dg.ExecuteInProcessResult
    index_result: dg.ExecuteInProcessResult

    def metadata(self, asset: str) -> Mapping[str, Any]:
        """What the materialisation of an asset shows, plain values."""
        result = self.index_result if asset in ("tiles_index", "dataset_report") else self.result
        [event] = [e for e in result.get_asset_materialization_events() if e.asset_key == dg.AssetKey(asset)]
        return {name: value.value for name, value in event.materialization.metadata.items()}


MakeDataset = Callable[..., Dataset]


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the developer's; what the command line puts into the environment is taken out again."""
    for name in (CONFIG_VARIABLE, DATASET_ROOT_VARIABLE, NOW_VARIABLE, HOME_VARIABLE):
        monkeypatch.setenv(name, "")  # so that the old value comes back, also when there was none
        monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def archive(sandbox_archive: Path) -> Iterator[Served]:
    """The demo's archive at the demo's time."""
    with serve(sandbox_archive, now=DEMO_NOW) as served:
        yield served


def write_config(file: Path, served: Served, **sections: Mapping[str, Any]) -> Path:
    """The demo's configuration with its dataset beside `file`, but for some keys."""
    tree = yaml.safe_load((REPOSITORY / "config" / "demo.yaml").read_text())
    tree["stac"] |= {"endpoint": served.stac_url, "allowed_hosts": [served.host]}
    tree["storage"] |= {"dataset_root": str(file.with_suffix(""))}
    for section, values in sections.items():
        tree[section] = {**tree.get(section, {}), **values}
    file.write_text(yaml.safe_dump(tree))
    return file


def dataset_of(file: Path) -> Dataset:
    """The dataset that `write_config` names."""
    return Dataset(
        config=file,
        storage=LocalStorage(file.with_suffix("")),
        definitions=build_definitions(file, now=DEMO_NOW.isoformat()),
    )


@pytest.fixture
def make_dataset(archive: Served, tmp_path: Path) -> MakeDataset:
    """An empty dataset: `make_dataset(name, **sections)`."""

    def make(name: str = "fresh", served: Served = archive, **sections: Mapping[str, Any]) -> Dataset:
        return dataset_of(write_config(tmp_path / f"{name}.yaml", served, **sections))

    return make


@pytest.fixture(scope="session")
def day_run(archive: Served, tmp_path_factory: pytest.TempPathFactory) -> DayRun:
    """`DAY` by `run_day`, and the index after it."""
    before = os.environ.pop(DATASET_ROOT_VARIABLE, None)
    try:
        made = dataset_of(write_config(tmp_path_factory.mktemp("day") / "dataset.yaml", archive))
        with dg.DagsterInstance.ephemeral() as instance:
            result = made.execute("run_day", instance=instance)
            index_result = made.execute("index_tiles", day=None, instance=instance)
    finally:
        if before is not None:
            os.environ[DATASET_ROOT_VARIABLE] = before
    assert result.success
    assert index_result.success
    return DayRun(
        config=made.config,
        storage=made.storage,
        definitions=made.definitions,
        result=result,
        index_result=index_result,
    )


@pytest.fixture
def copied(day_run: DayRun, make_dataset: MakeDataset) -> Dataset:
    """The dataset of `day_run` to do harm to."""
    made = make_dataset("copied")
    shutil.copytree(day_run.storage.root, made.storage.root)
    return made


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Dagster instance of this test's own, as DAGSTER_HOME, and the demo's time."""
    folder = tmp_path / "dagster"
    folder.mkdir()
    shutil.copyfile(REPOSITORY / "dagster.yaml", folder / "dagster.yaml")
    monkeypatch.setenv(HOME_VARIABLE, str(folder))
    monkeypatch.setenv(NOW_VARIABLE, DEMO_NOW.isoformat())
    return folder


@pytest.fixture
def postgres(monkeypatch: pytest.MonkeyPatch) -> Iterator[PostgresServer]:
    """A PostgreSQL server with an empty database, and in the environment where it is."""
    with serve_postgres() as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        yield server


def start_cli(*arguments: object, home: Path) -> "subprocess.Popen[str]":
    """`s2chips` in a process of its own that Ctrl-C reaches, also where the shell of the tests has it ignored."""
    return subprocess.Popen(
        [sys.executable, "-m", "s2chips_dagster.cli", *map(str, arguments)],
        cwd=REPOSITORY,
        env={**os.environ, HOME_VARIABLE: str(home), NOW_VARIABLE: DEMO_NOW.isoformat()},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def files_of(storage: LocalStorage, *folders: str) -> dict[str, bytes]:
    """Keys and bytes; of the index without its record."""
    found = {key: storage.get(key) for folder in folders for key in storage.list(folder)}
    index = layout.tiles_index()
    return found | {index: without_record(found[index])} if index in found else found
