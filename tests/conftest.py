"""What every test may use: the real data beside the project, and a dataset folder."""

import os
from pathlib import Path

import pytest

from s2chips_core.storage import LocalStorage
from tests.sandbox_fixtures import sandbox, sandbox_archive

__all__ = ["sandbox", "sandbox_archive"]

SHARED_DATA = Path(os.environ.get("S2CHIPS_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real Sentinel-2, STAC, orbit and AIS data; skips, and says so, when it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"the real data is not at {SHARED_DATA} (S2CHIPS_SHARED_DATA names another place)")
    return SHARED_DATA


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    """An empty dataset on local disk."""
    return LocalStorage(tmp_path / "dataset")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whole days first: the rehearsal takes minutes, nearly all of it waiting, and must not be what is left at the end."""
    items.sort(key=lambda item: 0 if "test_rehearsal" in item.nodeid else 1 if "/flow/" in item.nodeid else 2)
