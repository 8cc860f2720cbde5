"""The embedded archive for tests: built once per machine and version of the code, then served on loopback.

Imported by conftest. The cache lies in the system's temporary folder, named after parameters and sources.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from s2chips_core.sandbox.archive import build_archive, sources_hash
from s2chips_core.sandbox.server import Served, serve

SEED, SHIPS_PER_TILE = 20251027, 30
"""As in config/demo.yaml, so that tests and the demo see the same scenes."""


@pytest.fixture(scope="session")
def sandbox_archive() -> Path:
    """Folder of the archive. `build_archive` holds a file lock, so parallel test processes wait for one another."""
    cache = Path(tempfile.gettempdir()) / "s2chips-test-archive" / f"{SEED}-{SHIPS_PER_TILE}-{sources_hash()}"
    return build_archive(cache, seed=SEED, ships_per_tile=SHIPS_PER_TILE)


@pytest.fixture
def sandbox(sandbox_archive: Path) -> Iterator[Served]:
    """The archive on loopback, with all that was ever published."""
    with serve(sandbox_archive) as served:
        yield served
