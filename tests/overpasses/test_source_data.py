"""Elements and plans as the configured sources give them, real ones among what cannot be used."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from s2chips_core.overpasses.source_data import read_acquisition_plans, read_elements
from s2chips_core.sections import SatelliteTracking
from s2chips_core.storage import LocalStorage
from tests.chips.range_server import RangeServer, serving

NOW = datetime(2025, 2, 20, tzinfo=UTC)


@pytest.fixture
def server() -> Iterator[RangeServer]:
    with serving({}) as server:
        yield server


def tracking(**sources: Any) -> SatelliteTracking:
    return SatelliteTracking(tiles=("30STF",), **{name: tuple(map(str, paths)) for name, paths in sources.items()})


@pytest.mark.shared_data
def test_elements_of_a_service_and_of_files(
    shared_data: Path, storage: LocalStorage, server: RangeServer, tmp_path: Path
) -> None:
    history = (shared_data / "orbit" / "sentinel2_tle_history.tle").read_bytes().splitlines(keepends=True)
    server.files["gp.php"] = b"".join(history[:6])
    wrong = tmp_path / "wrong.tle"
    wrong.write_bytes(b"".join(history[:3]).replace(b"98.5685", b"98.5686"))
    poem = tmp_path / "poem.txt"
    poem.write_text("shall I compare thee")
    sources = tracking(tle_sources=[f"{server.href('gp.php')}?GROUP=resource", wrong, poem])
    found = read_elements(sources, storage=storage, now=NOW)
    assert [one.satellite for one in found.elements] == ["S2A", "S2A"]
    assert found.requests == 1
    assert len(found.notes) == 2
    assert any("wrong.tle" in note and "checksum" in note and not note.endswith(".") for note in found.notes)
    assert any(str(poem) in note for note in found.notes)

    # An answer of the service that holds none does not replace what it gave before.
    server.files["gp.php"] = b"GP data has not updated since your last successful download of GROUP=resource"
    later = read_elements(sources, storage=storage, now=NOW + timedelta(days=2))
    assert later.elements == found.elements
    assert any("the copy of 2025-02-20 00:00 UTC (2 days old) is used instead" in note for note in later.notes)


@pytest.mark.shared_data
def test_plans_of_a_page_and_of_a_folder(
    shared_data: Path, storage: LocalStorage, server: RangeServer, tmp_path: Path
) -> None:
    folder = shared_data / "orbit" / "acquisition_plan"
    server.files["acquisition-plans"] = b"""<!doctype html><html><ul>
        <li><a href="/documents/d/sentinel/s2b_mp_acq__kml_20250213t120000_20250303t150000">S2B</a></li>
        <li><a href="/documents/d/sentinel/how-to-read-kml">Help</a></li></ul></html>"""
    kml = folder / "S2B_MP_ACQ__KML_20250213T120000_20250303T150000.kml"
    server.files["documents/d/sentinel/s2b_mp_acq__kml_20250213t120000_20250303t150000"] = kml
    server.files["documents/d/sentinel/how-to-read-kml"] = b"<html>Open it.</html>"
    own = tmp_path / "plans"
    own.mkdir()
    # The content counts, whatever the name.
    (own / "whatever").write_bytes((folder / "S2C_MP_ACQ__KML_20250206T120000_20250224T150000.kml").read_bytes())
    sources = tracking(acquisition_plan_sources=[server.href("acquisition-plans"), own])
    found = read_acquisition_plans(sources, storage=storage, now=NOW)
    assert sorted((plan.satellite, len(plan.segments)) for plan in found.plans) == [("S2B", 1104), ("S2C", 881)]
    [note] = found.notes
    assert "how-to-read-kml" in note
    assert found.requests == len(server.asked) == 3


def test_nothing_configured_is_nothing_found(storage: LocalStorage) -> None:
    nothing = tracking(tle_sources=[], acquisition_plan_sources=[])
    assert read_elements(nothing, storage=storage, now=NOW).elements == ()
    assert read_acquisition_plans(nothing, storage=storage, now=NOW).notes == ()
