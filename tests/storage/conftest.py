"""The storages that the contract holds for."""

from pathlib import Path

import pytest

from s2chips_core.storage import LocalStorage, Storage
from tests.storage.s3_servers import S3Server


@pytest.fixture(params=["local", "rclone", "moto"])
def any_storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    """An empty dataset, of each kind in turn."""
    if request.param == "local":
        return LocalStorage(tmp_path / "dataset")
    server: S3Server = request.getfixturevalue(request.param)
    return server.storage()
