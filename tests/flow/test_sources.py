"""Days with several sources: captures and files beside each other, files over several days, real and synthetic apart."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from s2chips_core import layout, tables
from s2chips_core.index.outcomes import OUTCOME_SCHEMA
from s2chips_core.index.records import INDEX_SCHEMA
from s2chips_core.sandbox.archive import DEMO_DAYS, DEMO_NOW
from s2chips_core.sandbox.server import Served, serve
from s2chips_dagster.runs import Runs
from tests.flow.conftest import MakeRuns

pytestmark = pytest.mark.usefixtures("datasets")

DAY = DEMO_DAYS[0]
NOW = DEMO_NOW.isoformat()


@pytest.fixture(scope="module")
def archive(sandbox_archive: Path) -> Iterator[Served]:
    with serve(sandbox_archive, now=DEMO_NOW) as served:
        yield served


def index_of(runs: Runs) -> pd.DataFrame:
    return tables.read_table(runs.storage, layout.tiles_index(), INDEX_SCHEMA)


def outcomes_of(runs: Runs) -> pd.DataFrame:
    days = [key for key in runs.storage.list("outcomes") if "/parts/" not in key]
    return pd.concat([tables.read_table(runs.storage, key, OUTCOME_SCHEMA) for key in days])


def chips_by_synthetic_file(runs: Runs, folder: Path) -> Path:
    """A file that says of itself that it is synthetic, with ships of the capture exactly where their chips are."""
    index = index_of(runs)
    file = folder / "same.csv"
    rows = [
        f"{row['mmsi']},{row['lat']},{row['lon']},{row['scene_datetime'].isoformat()},synthetic"
        for row in index.to_dict("records")[:3]
    ]
    file.write_text("\n".join(["mmsi,lat,lon,overpass_time,source", *rows]))
    return file


def test_two_sources_with_the_same_chip_settle(archive: Served, make_runs: MakeRuns, tmp_path: Path) -> None:
    runs = make_runs(archive, now=NOW)
    assert runs.run_day(DAY, {})
    assert runs.index()
    before = index_of(runs)
    file = chips_by_synthetic_file(runs, tmp_path)
    archive.counters.reset()
    assert runs.chip_file(file, {}) == [DAY]
    assert archive.counters.requests["data"] == 0, "the chips are there already"
    assert set(index_of(runs)["chip_id"]) == set(before["chip_id"])
    assert len(outcomes_of(runs)) == len(outcomes_of(runs).drop_duplicates(["source_id", "target_id"]))
    settled = {key: runs.storage.get(key) for key in runs.storage.list("chips")}
    assert runs.run_day(DAY, {})
    assert runs.chip_file(file, {}) == [DAY]
    assert {key: runs.storage.get(key) for key in runs.storage.list("chips")} == settled
    assert archive.counters.requests["data"] == 0


def test_one_chip_for_a_ship_and_datatake_whatever_day_its_rows_are_of(
    archive: Served, make_runs: MakeRuns, tmp_path: Path
) -> None:
    runs = make_runs(archive, now=NOW)
    file = tmp_path / "ships.csv"
    times = ("2025-10-12T11:00:00Z", "2025-10-12T10:00:00Z", "2025-10-11T23:50:00Z", "2025-10-13T01:00:00Z")
    rows = [f"244660123,35.9,-5.15,{time}" for time in times]
    others = [f"24466{n:04d},35.{n},-5.15,2025-10-{day}T11:20:00Z" for n, day in ((7002, 12), (7003, 12), (7004, 13))]
    file.write_text("\n".join(["mmsi,lat,lon,overpass_time", *rows, *others]))
    days = runs.chip_file(file, {"gate": {"enabled": False}})
    assert days == [pd.Timestamp(f"2025-10-{day}").date() for day in (11, 12, 13)]
    outcomes = outcomes_of(runs)
    told = outcomes[outcomes["mmsi"] == 244660123].set_index("ais_time")["outcome"]
    assert told.value_counts().to_dict() == {"duplicate": 3, "chipped": 1}
    assert told[pd.Timestamp(times[0])] == "chipped"
    index = index_of(runs)
    assert (index["mmsi"] == 244660123).sum() == 1
    # Chips sensed on another day than their AIS lie under the day of sensing.
    assert {path.split("/")[3] for path in index["path"]} == {"20251012"}
    assert not runs.storage.exists(layout.daily_geojson(pd.Timestamp("2025-10-13").date()))

    # The cap is the run's, not each day's.
    assert runs.chip_file(file, {"gate": {"enabled": False}, "limits": {"bind_chips_to_ships": True, "max_ships": 2}})
    assert (outcomes_of(runs)["outcome"] == "over_cap").sum() == 5
    assert len(index_of(runs)) <= 2


def test_rows_without_a_time_stay_where_they_were_first(archive: Served, make_runs: MakeRuns, tmp_path: Path) -> None:
    file = tmp_path / "ships.csv"
    file.write_text("mmsi,lat,lon,overpass_time\n244660123,35.9,-5.15,\n244660124,35.9,-5.15,soon\n")
    first = make_runs(archive, now=NOW)
    assert first.chip_file(file, {}) == [DEMO_NOW.date()]
    later = make_runs(archive, now="2025-10-31T12:00:00Z")
    assert later.chip_file(file, {}) == [DEMO_NOW.date()]
    outcomes = outcomes_of(later)
    assert sorted(outcomes["row_number"]) == [2, 3]
    assert set(outcomes["outcome"]) == {"pending_l2a", "invalid_ais"}


def test_real_and_synthetic_never_mix(
    archive: Served, make_runs: MakeRuns, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "ships.csv"
    file.write_text("mmsi,lat,lon,overpass_time\n244660123,35.9,-5.15,2025-10-12T11:20:00Z\n")
    runs = make_runs(archive, now=NOW, name="real")
    assert runs.chip_file(file, {}) == [DAY]
    before = runs.storage.list("indexes") + runs.storage.list("ais")
    assert not runs.run_day(DAY, {})
    assert "this dataset is of real AIS, got synthetic" in capsys.readouterr().err
    assert runs.storage.list("indexes") + runs.storage.list("ais") == before

    runs = make_runs(archive, now=NOW, name="synthetic")
    assert runs.run_day(DAY, {})
    with pytest.raises(Exception, match="this dataset is of synthetic AIS, got file"):
        runs.chip_file(file, {})


def test_a_chip_of_an_offset_taken_off_twice_stops_the_job(
    shared_data: Path, make_runs: MakeRuns, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    real = shared_data / "archive-32VPH"
    wrong = tmp_path / "wrong"
    wrong.mkdir()
    for tif in real.glob("B*.tif"):
        shutil.copyfile(tif, wrong / tif.name)
    item = (real / "item-sentinel-2-l2a.json").read_text()
    (wrong / "item-wrong.json").write_text(
        item.replace('"earthsearch:boa_offset_applied": true', '"earthsearch:boa_offset_applied": false')
    )
    with serve(wrong) as served:
        runs = make_runs(served, now="2022-09-30T00:00:00Z", gate={"enabled": False})
        assert runs.chip_file(real / "ais.csv", {}) is None
    assert "check not_clipped_low failed" in capsys.readouterr().err
    assert not runs.storage.exists(layout.tiles_index())
