"""A dataset, and exports of it that tests only read."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from s2chips_core.export.dataset import export_dataset
from s2chips_core.export.options import ExportOptions
from s2chips_core.storage import LocalStorage
from tests.datasets import Datasets
from tests.export.chips import EXPORTED_AT, VERSION, Kept, make_dataset
from tests.index.chips import SETTINGS

KEY = b"a key that nobody else has"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """An export, and what it is of."""

    folder: Path
    manifest: dict[str, Any]
    storage: LocalStorage
    kept: Mapping[str, Kept]


def export(storage: LocalStorage, folder: Path, *, key: bytes | None = KEY, **options: Any) -> dict[str, Any]:
    """`export_dataset` at a fixed time; returns the manifest."""
    return export_dataset(
        storage,
        folder,
        ExportOptions(**options),
        settings=SETTINGS,
        now=EXPORTED_AT,
        software_version=VERSION,
        key=key,
    )


@pytest.fixture(scope="session")
def dataset(datasets: Datasets, tmp_path_factory: pytest.TempPathFactory) -> tuple[LocalStorage, Mapping[str, Kept]]:
    """Sixteen chips, not to be changed."""
    storage = datasets.at(tmp_path_factory.mktemp("export") / "dataset")
    return storage, make_dataset(storage)


@pytest.fixture(scope="session")
def make_export(
    dataset: tuple[LocalStorage, Mapping[str, Kept]], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Export]:
    """`make_export(**options)`."""
    storage, kept = dataset

    def make(**options: Any) -> Export:
        folder = tmp_path_factory.mktemp("exports") / "export"
        return Export(folder=folder, manifest=export(storage, folder, **options), storage=storage, kept=kept)

    return make


@pytest.fixture(scope="session")
def whole(make_export: Callable[..., Export]) -> Export:
    """Every format, with AIS."""
    return make_export(shard_chips=5)


@pytest.fixture(scope="session")
def nameless(make_export: Callable[..., Export]) -> Export:
    """Every format, without AIS."""
    return make_export(without_ais=True, shard_chips=5)
