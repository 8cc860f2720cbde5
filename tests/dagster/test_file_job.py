"""`chip_from_ais_file`: every row of a file accounted for, each day a materialisation, beside what was captured."""

from pathlib import Path

import dagster as dg
import numpy as np
import pandas as pd
import pytest
import rasterio

from s2chips_core import layout, tables
from s2chips_core.index.outcomes import OUTCOME_SCHEMA
from s2chips_core.index.records import INDEX_SCHEMA
from s2chips_core.sandbox.archive import DEMO_DAYS, DEMO_NOW
from tests.dagster.conftest import DAY, Dataset, DayRun, MakeDataset, files_of


def rows_like(day_run: DayRun, count: int) -> pd.DataFrame:
    """Where and when ships of the demo day were sensed."""
    index = tables.read_table(day_run.storage, layout.tiles_index(), INDEX_SCHEMA).head(count)
    return pd.DataFrame(
        {
            "mmsi": index["mmsi"],
            "lat": index["lat"],
            "lon": index["lon"],
            "overpass_time": index["scene_datetime"].dt.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        }
    )


@pytest.fixture
def file(day_run: DayRun, tmp_path: Path) -> Path:
    """Four ships of the demo's second day, one of its first, one without a time, and two bad rows."""
    rows = rows_like(day_run, 4)
    extra = pd.DataFrame(
        [
            {"mmsi": 244660123, "lat": 36.0, "lon": -5.4, "overpass_time": f"{DEMO_DAYS[0]}T11:20:00Z"},
            {"mmsi": 244660124, "lat": 36.0, "lon": -5.4, "overpass_time": None},
            {"mmsi": 244660125, "lat": 91, "lon": -5.4, "overpass_time": f"{DAY}T11:20:00Z"},
            {"mmsi": 2190064, "lat": 36.0, "lon": -5.4, "overpass_time": f"{DAY}T11:20:00Z"},
        ]
    )
    path = tmp_path / "ships.csv"
    pd.concat([rows, extra]).to_csv(path, index=False)
    return path


def chip(dataset: Dataset, path: Path, **options: object) -> dg.ExecuteInProcessResult:
    return dataset.execute("chip_from_ais_file", day=None, ops={"chip_ais_file": {"path": str(path), **options}})


def test_every_row_has_an_outcome_and_every_day_a_materialisation(
    day_run: DayRun, make_dataset: MakeDataset, file: Path
) -> None:
    dataset = make_dataset()
    result = chip(dataset, file)
    assert result.success
    days = (*DEMO_DAYS, DEMO_NOW.date())
    outcomes = pd.concat([tables.read_table(dataset.storage, layout.outcomes(day), OUTCOME_SCHEMA) for day in days])
    assert sorted(outcomes["row_number"]) == list(range(2, 10))
    told = outcomes.set_index("row_number")["outcome"]
    assert set(told[[2, 3, 4, 5]]) == {"chipped"}
    assert set(told[[8, 9]]) == {"invalid_ais"}
    assert told[7] not in ("chipped", "invalid_ais")

    events = [e for e in result.all_events if e.event_type is dg.DagsterEventType.ASSET_MATERIALIZATION]
    chips = {e.partition: e.materialization.metadata for e in events if e.asset_key == dg.AssetKey("chips")}
    assert set(chips) == {day.isoformat() for day in days}
    assert chips[DAY.isoformat()]["chips"].value == 4
    assert "contact_sheet" in chips[DAY.isoformat()]
    index = tables.read_table(dataset.storage, layout.tiles_index(), INDEX_SCHEMA)
    assert {dg.AssetKey("tiles_index"), dg.AssetKey("dataset_report")} <= {e.asset_key for e in events}
    assert len(index) == int((outcomes["outcome"] == "chipped").sum())
    assert set(index["ais_source"]) == {"file"}
    assert set(index["position_method"]) == {"as_reported"}
    for day in days:
        assert dataset.storage.exists(layout.report(day))

    # A ship in the same place and scene is the same chip, also when it comes by a file.
    captured = tables.read_table(day_run.storage, layout.tiles_index(), INDEX_SCHEMA).head(4)
    assert set(captured["chip_id"]) <= set(index["chip_id"])
    for path in captured["path"]:
        with rasterio.open(dataset.storage.url(path)) as mine, rasterio.open(day_run.storage.url(path)) as theirs:
            np.testing.assert_array_equal(mine.read(), theirs.read())


def test_a_file_does_not_touch_what_was_captured(copied: Dataset, file: Path) -> None:
    parts = ("matches/parts", "outcomes/parts", "indexes/parts", f"ais/{layout.ymd(DAY)}")
    before = files_of(copied.storage, *parts)
    captured = tables.read_table(copied.storage, layout.outcomes(DAY), OUTCOME_SCHEMA)
    # Marked as what they are: real rows would not be let into a synthetic dataset.
    pd.read_csv(file).assign(source="synthetic").to_csv(file, index=False)
    assert chip(copied, file).success
    after = files_of(copied.storage, *parts)
    assert {key: after.get(key) for key in before} == before
    outcomes = tables.read_table(copied.storage, layout.outcomes(DAY), OUTCOME_SCHEMA)
    assert set(outcomes["source_id"]) == {layout.CAPTURE, *(s for s in outcomes["source_id"] if s.startswith("file-"))}
    assert len(outcomes) == len(captured) + 6
    index = tables.read_table(copied.storage, layout.tiles_index(), INDEX_SCHEMA)
    assert index["chip_id"].is_unique


def test_chipping_a_file_again_reads_no_pixel(make_dataset: MakeDataset, file: Path) -> None:
    dataset = make_dataset()
    assert chip(dataset, file).success
    kept = ("chips", "indexes", "outcomes", "matches")
    before = files_of(dataset.storage, *kept)
    again = chip(dataset, file)
    assert files_of(dataset.storage, *kept) == before
    shown = [
        e.materialization.metadata
        for e in again.all_events
        if e.event_type is dg.DagsterEventType.ASSET_MATERIALIZATION and e.asset_key == dg.AssetKey("chips")
    ]
    assert sum(int(m["requests"].value) for m in shown) == 0  # type: ignore[call-overload]
    assert sum(int(m["chips_cut"].value) for m in shown) == 0  # type: ignore[call-overload]


def test_run_config_of_the_job(make_dataset: MakeDataset, file: Path) -> None:
    dataset = make_dataset()
    assert chip(dataset, file, limits={"bind_chips_to_ships": False, "max_chips": 1}, tiling={"include_swir": False}).success
    index = tables.read_table(dataset.storage, layout.tiles_index(), INDEX_SCHEMA)
    assert index.groupby(index["scene_datetime"].dt.date).size().max() == 1
    assert set(index["has_swir"]) == {False}


def test_a_file_that_is_no_table_fails_in_words(
    make_dataset: MakeDataset, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    dataset = make_dataset()
    (tmp_path / "poem.csv").write_text("shall I compare thee\n")
    assert not chip(dataset, tmp_path / "poem.csv").success
    assert not chip(dataset, tmp_path / "none.csv").success
    told = capfd.readouterr().err
    assert "poem.csv" in told
    assert "at least mmsi, lat, lon" in told
    assert not dataset.storage.root.exists()
