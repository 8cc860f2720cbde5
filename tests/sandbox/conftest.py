"""Fixtures of the sandbox's own tests; `tests/sandbox_fixtures.py` has those that all tests may use."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox_fixtures import sandbox, sandbox_archive

__all__ = ["sandbox", "sandbox_archive"]


@pytest.fixture(scope="session")
def items(sandbox_archive: Path) -> dict[str, dict[str, Any]]:
    """All items of the archive by id."""
    found = [json.loads(path.read_text(encoding="utf-8")) for path in sandbox_archive.glob("item-*.json")]
    return {item["id"]: item for item in found}
