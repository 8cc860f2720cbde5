"""`s2chips doctor` against an archive and an AIS server of each test's own."""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from s2chips_core.sandbox.ais_server import TEST_KEY, AisServed, serve_ais
from s2chips_core.sandbox.archive import DEMO_NOW
from s2chips_core.sandbox.server import Served
from s2chips_dagster.doctor import examine
from s2chips_dagster.findings import Finding
from s2chips_dagster.run_config import KEY_VARIABLE
from tests.dagster.conftest import write_config

Examine = Callable[..., dict[str, Finding]]

NOT_A_KEY = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def served(sandbox: Served) -> Served:
    """An archive of this test's own, at the demo's time."""
    sandbox.now = DEMO_NOW
    return sandbox


@pytest.fixture
def ais() -> Iterator[AisServed]:
    with serve_ais() as server:
        yield server


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key, a cache and a Dagster home of this test's own."""
    monkeypatch.setenv(KEY_VARIABLE, TEST_KEY)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def look(served: Served, tmp_path: Path) -> Examine:
    """`look(offline=…, section={…})`: the findings by check."""

    def examined(
        *, offline: bool = False, limit_s: float = 15.0, clock: Callable[[], datetime] | None = None, **sections: Any
    ) -> dict[str, Finding]:
        file = write_config(tmp_path / "dataset.yaml", served, **sections)
        more = {"machine_clock": clock} if clock else {}
        return {one.check: one for one in examine(file, offline=offline, limit_s=limit_s, **more)}

    return examined


def real(server: AisServed | None) -> Mapping[str, Any]:
    return {"source": "aisstream", "url": server.url if server else "ws://127.0.0.1:9/v0/stream"}
