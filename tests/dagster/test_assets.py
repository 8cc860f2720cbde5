"""The assets as Dagster materialises them: what they write, what they show, and what run config changes."""

import base64
import io
from typing import Any

import dagster as dg
import pandas as pd
import pytest
from PIL import Image

from s2chips_core import layout, tables
from s2chips_core.ais.snapshots import read_snapshots
from s2chips_core.index.outcomes import OUTCOME_SCHEMA, Outcome
from s2chips_core.index.records import INDEX_SCHEMA
from s2chips_core.overpasses.plan import PLAN_SCHEMA
from s2chips_core.sandbox.archive import DEMO_DAYS
from s2chips_core.sandbox.server import Served
from s2chips_core.scenes.matches import MATCH_SCHEMA
from s2chips_dagster.run_config import KEY_VARIABLE
from tests.dagster.conftest import DAY, Dataset, DayRun, MakeDataset

SHOWN = {
    "overpass_plan": {"overpasses", "tiles", "sources", "imaging", "notes", "map", "requests", "path", "preview"},
    "ais_snapshots": {
        "ais_source",
        "fixes",
        "ships",
        "passes",
        "recorded",
        "partial",
        "missed",
        "lost",
        "snapshots",
        "path",
    },
    "scene_matches": {"targets", "matched", "match_rate", "statuses", "scenes", "requests", "path", "preview"},
    "chips": {
        *("chips", "outcomes", "contact_sheet", "chips_per_second", "requests", "bytes", "path", "preview"),
        *("pass_rate", "gate_pass_rate"),
    },
    "daily_geojson": {"footprints", "days", "path"},
    "tiles_index": {"chips", "parts", "path"},
    "daily_report": {"page", "outcomes", "targets", "chips", "pass_rate"},
    "dataset_report": {"page", "chips", "days", "targets", "pass_rate", "bytes", "vessels_in_more_than_one_split"},
}


PLOTTED = {
    "overpass_plan": {"overpasses", "tiles"},
    "ais_snapshots": {"fixes", "ships", "recorded", "missed"},
    "scene_matches": {"targets", "matched", "match_rate", "scenes", "requests"},
    "chips": {"chips", "targets", "pass_rate", "gate_pass_rate", "chips_per_second", "requests", "bytes"},
    "daily_geojson": {"footprints"},
    "tiles_index": {"chips", "parts"},
    "daily_report": {"targets", "chips", "pass_rate"},
    "dataset_report": {"chips", "days", "targets", "pass_rate", "bytes"},
}
"""What the UI plots over partitions or over time."""


def outcomes_of(dataset: Dataset) -> pd.DataFrame:
    return tables.read_table(dataset.storage, layout.outcomes(DAY), OUTCOME_SCHEMA)


@pytest.mark.parametrize("asset", SHOWN)
def test_each_materialisation_shows_what_it_made(day_run: DayRun, asset: str) -> None:
    shown = day_run.metadata(asset)
    assert SHOWN[asset] | {"seconds"} <= set(shown)
    for name in ("path", "page"):
        if name in shown:
            assert shown[name].startswith(str(day_run.storage.root))
            assert day_run.storage.root.joinpath(shown[name]).exists()


@pytest.mark.parametrize("asset", PLOTTED)
def test_what_the_ui_plots_is_a_number(day_run: DayRun, asset: str) -> None:
    assert set(PLOTTED) == set(SHOWN)
    shown = day_run.metadata(asset)
    for name in PLOTTED[asset] | {"seconds"}:
        assert isinstance(shown[name], int | float), name
        assert not isinstance(shown[name], bool)
    for name in ("pass_rate", "gate_pass_rate", "match_rate"):
        assert 0 <= shown.get(name, 0) <= 1


def test_each_partitioned_asset_is_materialised_for_its_day(day_run: DayRun) -> None:
    events = day_run.result.get_asset_materialization_events()
    assert [e.asset_key.to_user_string() for e in events][:4] == ["overpass_plan", "ais_snapshots", "scene_matches", "chips"]
    assert {e.asset_key.to_user_string() for e in events} == set(SHOWN) - {"tiles_index", "dataset_report"}
    assert {e.partition for e in events} == {DAY.isoformat()}


def test_the_numbers_are_those_of_the_tables(day_run: DayRun) -> None:
    shown = {asset: day_run.metadata(asset) for asset in SHOWN}
    storage = day_run.storage
    plan = tables.read_table(storage, layout.plan(DAY), PLAN_SCHEMA)
    fixes = read_snapshots(storage, DAY)
    matches = tables.read_table(storage, layout.matches(DAY), MATCH_SCHEMA)
    index = tables.read_table(storage, layout.tiles_index(), INDEX_SCHEMA)
    outcomes = outcomes_of(day_run)
    assert (shown["overpass_plan"]["overpasses"], shown["overpass_plan"]["tiles"]) == (len(plan), plan["tile_id"].nunique())
    assert (shown["ais_snapshots"]["fixes"], shown["ais_snapshots"]["ships"]) == (len(fixes), fixes["mmsi"].nunique())
    assert shown["ais_snapshots"]["ais_source"] == "synthetic"
    assert (shown["ais_snapshots"]["recorded"], shown["ais_snapshots"]["missed"]) == (len(plan), 0)
    assert shown["scene_matches"]["statuses"] == matches["status"].value_counts().to_dict()
    assert shown["scene_matches"]["matched"] == int((matches["status"] == "matched").sum())
    assert shown["chips"]["chips"] == shown["tiles_index"]["chips"] == len(index) > 0
    assert shown["daily_geojson"]["footprints"] == len(index)
    for name, count in outcomes["outcome"].value_counts().items():
        assert f"| {name} | {count} |" in shown["daily_report"]["outcomes"]
    assert shown["chips"]["requests"] > 0
    assert shown["chips"]["bytes"] > 100_000


def test_the_contact_sheet_is_a_picture_with_all_chips(day_run: DayRun) -> None:
    text = day_run.metadata("chips")["contact_sheet"]
    data = base64.b64decode(text.split("base64,")[1].rstrip(")"))
    picture = Image.open(io.BytesIO(data)).convert("L")
    assert min(picture.size) > 200
    low, high = picture.getextrema()
    assert high - low > 100, "black, or blown"


def test_a_synthetic_capture_says_so_in_the_log(make_dataset: MakeDataset, capfd: pytest.CaptureFixture[str]) -> None:
    dataset = make_dataset()
    assert dataset.execute("plan_overpasses").success
    assert dataset.execute("capture_ais").success
    assert "is synthetic: for trials, never as ground truth" in capfd.readouterr().err


def test_real_ais_without_a_key_fails_and_writes_no_fixes(
    make_dataset: MakeDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    dataset = make_dataset(ais={"source": "aisstream"})
    result = dataset.execute("run_day")
    assert not result.success
    assert [e.asset_key.to_user_string() for e in result.get_asset_materialization_events()] == ["overpass_plan"]
    assert dataset.storage.list(layout.ais_folder(DAY)) == []
    assert dataset.storage.list("chips") == []


def test_run_config_overrides_the_file_for_one_run(copied: Dataset) -> None:
    """The gate switched off for one run, and then the file's own again."""
    few = {"scene_matches": {"limits": {"max_ships": 15}}}
    assert copied.execute("chip_day", ops=few).success
    before = outcomes_of(copied)
    assert before["outcome"].str.startswith("gate_").any()
    assert copied.execute("chip_day", ops=few | {"chips": {"gate": {"enabled": False}}}).success
    off = outcomes_of(copied)
    assert not off["outcome"].str.startswith("gate_").any()
    assert (off["outcome"] == Outcome.CHIPPED).sum() > (before["outcome"] == Outcome.CHIPPED).sum()
    assert copied.execute("chip_day", ops=few).success
    pd.testing.assert_frame_equal(outcomes_of(copied), before)


def test_a_wrong_value_of_run_config_is_refused_in_words(copied: Dataset, capfd: pytest.CaptureFixture[str]) -> None:
    result = copied.execute("chip_day", ops={"chips": {"gate": {"max_cloud_center_frac": 7.0}}})
    assert not result.success
    assert "run config of chips: gate.max_cloud_center_frac: got 7" in capfd.readouterr().err


def test_caps_of_ships_and_of_chips(make_dataset: MakeDataset) -> None:
    dataset = make_dataset()
    ships = {"scene_matches": {"limits": {"max_ships": 12}}}
    few = {"chips": {"limits": {"bind_chips_to_ships": False, "max_chips": 2}}}
    assert dataset.execute("run_day", ops=ships | few).success
    assert (outcomes_of(dataset)["outcome"] == Outcome.CHIPPED).sum() == 2
    # With no cap on chips each of the twelve ships is tried; whoever is over the cap has an outcome all the same.
    assert dataset.execute("chip_day", ops=ships).success
    outcomes = outcomes_of(dataset)
    assert (outcomes["outcome"] == Outcome.CHIPPED).sum() > 2
    assert len(outcomes) - (outcomes["outcome"] == Outcome.OVER_CAP).sum() == 12


def test_bound_chips_are_capped_once_not_twice(make_dataset: MakeDataset) -> None:
    """The cap of the file: matching holds to it, and cutting does not take it off again."""
    dataset = make_dataset(limits={"max_ships": 12})
    assert dataset.execute("run_day").success
    outcomes = outcomes_of(dataset)
    assert len(outcomes) - (outcomes["outcome"] == Outcome.OVER_CAP).sum() == 12
    over = outcomes[outcomes["outcome"] == Outcome.OVER_CAP]
    assert not over["detail"].str.contains("chips was reached").any()


def test_a_day_without_an_overpass_is_empty_and_fine(make_dataset: MakeDataset) -> None:
    dataset = make_dataset()
    between = DEMO_DAYS[0].replace(day=20)
    assert dataset.execute("run_day", day=between).success
    assert dataset.execute("index_tiles", day=None).success
    assert tables.read_table(dataset.storage, layout.outcomes(between), OUTCOME_SCHEMA).empty
    assert tables.read_table(dataset.storage, layout.tiles_index(), INDEX_SCHEMA).empty
    assert dataset.storage.exists(layout.report(between))


def test_loading_asks_nobody(archive: Served, make_dataset: MakeDataset) -> None:
    archive.counters.reset()
    dataset = make_dataset()
    assert len(dataset.definitions.resolve_all_job_defs()) > 0
    assert archive.counters.requests == {"stac": 0, "data": 0}
    assert not dataset.storage.root.exists()


def test_the_index_is_made_after_a_backfill_and_waits_for_no_slot(day_run: DayRun) -> None:
    graph = day_run.definitions.resolve_asset_graph()
    assert graph.get(dg.AssetKey("tiles_index")).automation_condition is not None
    # A run that was killed would keep its slot, and who comes next would wait for ever.
    assert [key for key in graph.get_all_asset_keys() if graph.get(key).pools] == []


def test_index_and_page_are_made_once_after_days_and_not_again(day_run: DayRun) -> None:
    made = {dg.AssetKey("tiles_index"), dg.AssetKey("dataset_report")}
    selection = dg.AssetSelection.assets(*made)
    with dg.DagsterInstance.ephemeral() as instance:

        def requested(cursor: Any = None) -> tuple[set[dg.AssetKey], Any]:
            told = dg.evaluate_automation_conditions(day_run.definitions, instance, asset_selection=selection, cursor=cursor)
            return {key for key in made if told.get_num_requested(key)}, told.cursor

        nothing, cursor = requested()
        assert nothing == set()
        for asset in ("chips", "daily_report"):
            instance.report_runless_asset_event(dg.AssetMaterialization(asset, partition=DAY.isoformat()))
        first, cursor = requested(cursor)
        assert first == made
        assert day_run.execute("index_tiles", day=None, instance=instance).success
        assert requested(cursor)[0] == set()


def test_the_index_shows_its_head(day_run: DayRun) -> None:
    shown = day_run.metadata("tiles_index")["preview"].records
    index = tables.read_table(day_run.storage, layout.tiles_index(), INDEX_SCHEMA)
    assert [record.data["chip_id"] for record in shown] == index["chip_id"].head(len(shown)).tolist()
    assert 0 < len(shown) <= 10
