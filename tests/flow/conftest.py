"""Whole days: a dataset, its configuration and a Dagster instance of their own."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from s2chips_core import layout
from s2chips_core.sandbox.archive import DEMO_DAYS, DEMO_NOW
from s2chips_core.sandbox.server import Served, serve
from s2chips_core.storage import Storage
from s2chips_dagster.runs import Runs
from tests.archive_fixtures import archives, filled_archives, world
from tests.datasets import Datasets
from tests.storage.s3_servers import KEYS

__all__ = ["archives", "filled_archives", "make_runs", "world"]

REPOSITORY = Path(__file__).parents[2]
FOLDERS = ("plan", "chips", "matches", "outcomes", "indexes", "labels", "provenance")
"""What of a dataset does not tell when it was made, but for the index."""

FOLDERS_ONLY = Datasets("local", None)
MakeRuns = Callable[..., Runs]


def files_of(storage: Storage) -> dict[str, bytes]:
    """What two datasets of the same day have in common, byte for byte."""
    found = {key: storage.get(key) for folder in FOLDERS for key in storage.list(folder)}
    return {key: data for key, data in found.items() if key != layout.tiles_index()}


@pytest.fixture(scope="module")
def demo_archive(sandbox_archive: Path) -> Iterator[Served]:
    """The embedded archive as it is at the demo's time; its address stands in what is made of it."""
    with serve(sandbox_archive, now=DEMO_NOW) as served:
        yield served


@pytest.fixture(scope="module")
def day_here(demo_archive: Served, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The first day of it as one process makes it in a folder."""
    folder = tmp_path_factory.mktemp("here")
    with pytest.MonkeyPatch.context() as monkeypatch:
        runs = make_runs_in(folder, monkeypatch)(demo_archive, now=DEMO_NOW.isoformat())
        assert runs.run_day(DEMO_DAYS[0], {})
        found = files_of(runs.storage)
    assert len([key for key in found if key.startswith("chips/")]) > 20
    return found


@pytest.fixture
def make_runs(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeRuns:
    """Runs against a served archive, or the one of `stac`: `make_runs(served, now=..., name=..., **sections)`.

    In a folder; tests that use the fixture `datasets` have them where that says.
    """
    if "datasets" not in request.fixturenames:
        return make_runs_in(tmp_path, monkeypatch)
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    return make_runs_in(tmp_path, monkeypatch, request.getfixturevalue("datasets"))


def make_runs_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, datasets: Datasets = FOLDERS_ONLY) -> MakeRuns:
    """The same, without a test."""
    home = tmp_path / "dagster"
    home.mkdir()
    shutil.copyfile(REPOSITORY / "dagster.yaml", home / "dagster.yaml")
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    monkeypatch.delenv("S2CHIPS_DATASET_ROOT", raising=False)

    def make(
        served: Served | None, *, now: str, name: str = "dataset", template: str = "demo.yaml", **sections: Any
    ) -> Runs:
        tree = yaml.safe_load((REPOSITORY / "config" / template).read_text())
        if served is not None:
            sections.setdefault("stac", {}).update(endpoint=served.stac_url, allowed_hosts=[served.host])
        sections["storage"] = datasets.settings(tmp_path / name) | sections.get("storage", {})
        for section, values in sections.items():
            tree[section] = {**tree.get(section, {}), **values}
        config = tmp_path / f"{name}.yaml"
        config.write_text(yaml.safe_dump(tree))
        return Runs(config, now=now)

    return make
