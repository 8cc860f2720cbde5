"""The storages that the contract holds for."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from s2chips_core.storage import LocalStorage, Storage
from tests.storage.s3_servers import S3Server, serve_moto, serve_rclone


@pytest.fixture(scope="session")
def rclone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A real S3 server that ignores conditions."""
    with serve_rclone(tmp_path_factory.mktemp("rclone")) as server:
        yield server


@pytest.fixture(scope="session")
def moto() -> Iterator[S3Server]:
    """One that keeps to them."""
    with serve_moto() as server:
        yield server


@pytest.fixture(params=["local", "rclone", "moto"])
def any_storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    """An empty dataset, of each kind in turn."""
    if request.param == "local":
        return LocalStorage(tmp_path / "dataset")
    server: S3Server = request.getfixturevalue(request.param)
    return server.storage()
