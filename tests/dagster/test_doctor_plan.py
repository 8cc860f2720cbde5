"""Plans and their sources that are missing, broken or too old."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from s2chips_core.storage import LocalStorage
from tests.dagster.doctor_fixtures import Examine, look, served, surroundings
from tests.overpasses.plan_kml import Made, published

__all__ = ["look", "served", "surroundings"]


def test_a_plan_that_is_missing_or_broken(look: Examine, tmp_path: Path) -> None:
    auto = {"source": "auto", "tle_sources": [], "acquisition_plan_sources": []}
    found = look(offline=True, satellite_tracking=auto)["plan"]
    assert (found.verdict, "2025-10-30" in found.sentence) == ("warning", True)
    LocalStorage(tmp_path / "dataset").put("plan/overpasses_20251030.parquet", b"PAR1")
    assert look(offline=True, satellite_tracking=auto)["plan"].verdict == "failed"


def test_plan_sources(look: Examine, tmp_path: Path) -> None:
    start = datetime(2025, 10, 20, 12, tzinfo=UTC)
    made = Made(start=start + timedelta(hours=1))
    period = ("20251020T120000", "20251107T150000")
    file = tmp_path / "s2b.kml"
    file.write_bytes(published("S2B", period, made))
    tracking = {"source": "acquisition_plan", "satellites": ["S2B"], "acquisition_plan_sources": [str(file)]}
    found = look(offline=True, satellite_tracking=tracking)["plan sources"]
    assert (found.verdict, found.sentence) == ("ok", "for 2025-10-30: acquisition plans of S2B")
    assert (
        look(offline=True, satellite_tracking=tracking | {"satellites": ["S2B", "S2C"]})["plan sources"].verdict == "warning"
    )
    tracking |= {"acquisition_plan_sources": [str(tmp_path / "none.kml")]}
    found = look(offline=True, satellite_tracking=tracking)["plan sources"]
    assert (found.verdict, "none.kml" in found.sentence) == ("failed", True)
    tracking |= {"acquisition_plan_sources": ["http://127.0.0.1:9/plan.kml"]}
    assert look(offline=True, satellite_tracking=tracking)["plan sources"].verdict == "skipped"
    found = look(satellite_tracking=tracking)["plan sources"]
    assert (found.verdict, "127.0.0.1:9" in found.sentence) == ("failed", True)


@pytest.mark.shared_data
def test_orbital_elements(look: Examine, shared_data: Path) -> None:
    tracking = {
        "source": "tle",
        "satellites": ["S2B"],
        "tle_sources": [str(shared_data / "orbit" / "sentinel2_tle_history.tle")],
        "max_tle_age_days": 1e-3,
    }
    found = look(offline=True, satellite_tracking=tracking)["plan sources"]
    assert (found.verdict, "days" in found.sentence) == ("failed", True)
