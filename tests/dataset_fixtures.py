"""Datasets for tests, and the servers that some of them are in: one of each kind for a test process.

Imported by conftest. Of the tests with the mark `local_only` a reason is asked for; they are skipped in a bucket, and so
named. Tests that make no dataset are not run a second time.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from s2chips_core.storage import Storage
from tests.datasets import KINDS, Datasets, kinds_asked_for


@pytest.fixture(scope="session")
def rclone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    """A real S3 server that ignores conditions."""
    from tests.storage.s3_servers import serve_rclone

    with serve_rclone(tmp_path_factory.mktemp("rclone")) as server:
        yield server


@pytest.fixture(scope="session")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    """One that keeps to them, in a process of its own."""
    from tests.storage.s3_servers import serve_moto_process

    with serve_moto_process(tmp_path_factory.mktemp("moto")) as server:
        yield server


@pytest.fixture(scope="session")
def storage_kind(request: pytest.FixtureRequest) -> str:
    """One of `KINDS`."""
    return str(request.param) if hasattr(request, "param") else kinds_asked_for()[0]


@pytest.fixture(scope="session")
def datasets(request: pytest.FixtureRequest, storage_kind: str) -> Datasets:
    """Where the datasets are."""
    return Datasets(storage_kind, None if storage_kind == "local" else request.getfixturevalue(storage_kind))


@pytest.fixture
def storage(datasets: Datasets, tmp_path: Path) -> Storage:
    """An empty dataset."""
    return datasets.at(tmp_path / "dataset")


def parametrize_kinds(metafunc: pytest.Metafunc) -> None:
    """Every test that makes a dataset, on each kind that is asked for, or that its mark `on_bucket` names."""
    if "storage_kind" not in metafunc.fixturenames:
        return
    kinds, named = kinds_asked_for(), metafunc.definition.get_closest_marker("on_bucket")
    if len(kinds) == 1:
        kinds += named.args if named is not None and kinds == KINDS[:1] else ()
    elif metafunc.definition.get_closest_marker("local_only"):
        kinds = kinds[:1]
    if len(kinds) > 1:
        metafunc.parametrize("storage_kind", kinds, indirect=True, scope="session")


def skip_local_only(item: pytest.Item) -> None:
    """A test about local files is named with its reason."""
    mark, kinds = item.get_closest_marker("local_only"), kinds_asked_for()
    if mark is not None and "local" not in kinds:
        pytest.skip(f"on local disk only: {mark.args[0]}")


def without_datasets(items: list[pytest.Item]) -> list[pytest.Item]:
    """Tests that are the same in a bucket, which has been asked for."""
    if "local" in kinds_asked_for():
        return []
    return [
        item
        for item in items
        if "storage_kind" not in getattr(item, "fixturenames", ()) and item.get_closest_marker("local_only") is None
    ]
