"""Whole days: a dataset, its configuration and a Dagster instance of their own."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from s2chips_core.sandbox.server import Served
from s2chips_dagster.runs import Runs
from tests.archive_fixtures import archives, filled_archives, world

__all__ = ["archives", "filled_archives", "make_runs", "world"]

REPOSITORY = Path(__file__).parents[2]

MakeRuns = Callable[..., Runs]


@pytest.fixture
def make_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeRuns:
    """Runs against a served archive, or the one of `stac`: `make_runs(served, now=..., name=..., **sections)`."""
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
        sections.setdefault("storage", {}).setdefault("dataset_root", str(tmp_path / name))
        for section, values in sections.items():
            tree[section] = {**tree.get(section, {}), **values}
        config = tmp_path / f"{name}.yaml"
        config.write_text(yaml.safe_dump(tree))
        return Runs(config, now=now)

    return make
