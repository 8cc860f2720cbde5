"""The code location: names of the contract, groups, partitions, and that it loads without the network."""

import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from s2chips_core.errors import ConfigError
from s2chips_dagster.definitions import build_definitions

REPOSITORY = Path(__file__).parents[2]
OF_A_DAY = ["overpass_plan", "ais_snapshots", "scene_matches", "chips", "daily_geojson", "daily_report"]
ASSETS = [*OF_A_DAY, "tiles_index", "dataset_report"]
JOBS = {
    "plan_overpasses",
    "capture_ais",
    "chip_day",
    "run_day",
    "chip_from_ais_file",
    "index_tiles",
    "prune_by_ais",
    "restore_pruned",
    "export_dataset",
}


@pytest.fixture(scope="module")
def definitions() -> dg.Definitions:
    return build_definitions(REPOSITORY / "config" / "config.yaml")


def test_assets_of_the_contract_in_the_order_that_data_flows(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    assert {key.to_user_string() for key in graph.get_all_asset_keys()} == set(ASSETS)
    for name in ASSETS:
        node = graph.get(dg.AssetKey(name))
        assert node.description, name
        assert node.group_name == "ship_chips"
        assert node.kinds, name
        assert node.owners, name
        assert all(ASSETS.index(parent.to_user_string()) < ASSETS.index(name) for parent in node.parent_keys)


def test_jobs_of_the_contract(definitions: dg.Definitions) -> None:
    names = {job.name for job in definitions.resolve_all_job_defs()}
    assert names >= JOBS


def test_sensors_and_schedules_of_the_contract(definitions: dg.Definitions) -> None:
    repository = definitions.get_repository_def()
    assert {each.name for each in repository.sensor_defs} >= {
        "overpass_capture_sensor",
        "late_scene_sensor",
        "ais_inbox_sensor",
    }
    assert {each.name for each in repository.schedule_defs} >= {
        "weekly_overpass_plan",
        "lagged_chipping",
        "periodic_ais_capture",
        "nightly_prune",
    }


def test_loading_is_light(tmp_path: Path) -> None:
    """The daemon and the UI load the code location again and again: what works on data is imported when it does."""
    code = (
        "import sys; from pathlib import Path; from s2chips_dagster.definitions import build_definitions;"
        f"build_definitions(Path({str(REPOSITORY / 'config' / 'config.yaml')!r})).get_repository_def();"
        "print([m for m in ('rasterio', 'shapely', 'pyproj', 'sgp4', 'websockets', 'pystac_client') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.strip() == "[]"


def test_daily_partitions_of_utc_with_today(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    for name in ASSETS:
        partitions = graph.get(dg.AssetKey(name)).partitions_def
        if name not in OF_A_DAY:
            assert partitions is None
            continue
        assert isinstance(partitions, dg.DailyPartitionsDefinition)
        assert partitions.timezone == "UTC"
        assert partitions.end_offset == 1
        assert partitions.get_first_partition_key() == "2015-06-23"


def test_every_table_and_the_chips_are_checked(definitions: dg.Definitions) -> None:
    keys = definitions.resolve_asset_graph().asset_check_keys
    assert {key.asset_key.to_user_string() for key in keys} == set(ASSETS) - {"daily_report", "dataset_report"}
    assert {"schema", "outcomes_cover_targets", "unique_ids", "not_clipped_low", "no_synthetic_in_real"} <= {
        key.name for key in keys if key.asset_key.to_user_string() == "chips"
    }


def test_run_config_shows_the_values_of_the_file(definitions: dg.Definitions) -> None:
    job = definitions.resolve_job_def("run_day")
    fields = job.run_config_schema.config_type.fields["ops"].config_type.fields
    chips = fields["chips"].config_type.fields["config"].config_type.fields
    gate = chips["gate"].config_type.fields
    assert gate["max_cloud_center_frac"].default_value == 0.05
    assert "cloud" in gate["max_cloud_center_frac"].description
    tiling = chips["tiling"].config_type.fields
    assert (tiling["include_swir"].default_value, tiling["band_profile"].default_value) == (False, "core")
    assert "ten bands of the Clay model (B02 B03 B04 B05 B06 B07 B08 B8A B11 B12)" in tiling["band_profile"].description


def test_a_wrong_file_is_refused_with_its_key(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("satellite_tracking: {tiles: [30STF]}\ngate: {max_cloud: 1}\n")
    with pytest.raises(ConfigError, match=r"gate\.max_cloud"):
        build_definitions(file)


def test_dagster_itself_validates_the_workspace(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "dagster", "definitions", "validate", "-w", "workspace.yaml"],
        cwd=REPOSITORY,
        env={"PATH": "/usr/bin:/bin", "DAGSTER_HOME": str(tmp_path), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
