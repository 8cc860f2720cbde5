"""Copies of a dataset, for tests that spoil one each."""

import itertools
from collections.abc import Callable

import pytest

from s2chips_core.storage import Storage
from tests.datasets import Datasets, copy

Copies = Callable[[Storage], Storage]


@pytest.fixture(scope="session")
def copies(datasets: Datasets, tmp_path_factory: pytest.TempPathFactory) -> Copies:
    """`copies(storage)`: the same dataset elsewhere."""
    folder, numbers = tmp_path_factory.mktemp("copies"), itertools.count()

    def make(storage: Storage) -> Storage:
        return copy(storage, datasets.at(folder / str(next(numbers))))

    return make
