"""What every test may use: the real data beside the project, and a dataset in a folder or in a bucket."""

import os
from pathlib import Path

import pytest

from tests.dataset_fixtures import (
    datasets,
    moto,
    parametrize_kinds,
    rclone,
    skip_local_only,
    storage,
    storage_kind,
    without_datasets,
)
from tests.sandbox_fixtures import sandbox, sandbox_archive

__all__ = ["datasets", "moto", "rclone", "sandbox", "sandbox_archive", "storage", "storage_kind"]

SHARED_DATA = Path(os.environ.get("S2CHIPS_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real Sentinel-2, STAC, orbit and AIS data; skips, and says so, when it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"the real data is not at {SHARED_DATA} (S2CHIPS_SHARED_DATA names another place)")
    return SHARED_DATA


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Datasets of each kind that is asked for."""
    parametrize_kinds(metafunc)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """What is about local files is named."""
    skip_local_only(item)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Whole days first: the rehearsal takes minutes, nearly all of it waiting, and must not be what is left at the end."""
    left = without_datasets(items)
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in set(left)]
    items.sort(key=lambda item: 0 if "test_rehearsal" in item.nodeid else 1 if "/flow/" in item.nodeid else 2)
