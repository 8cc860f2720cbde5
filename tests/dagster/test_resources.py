"""The workspace: settings with a run's overrides, the dataset, and the clock."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from s2chips_core.config import DATASET_ROOT_VARIABLE
from s2chips_core.errors import ConfigError
from s2chips_core.storage import LocalStorage
from s2chips_dagster.resources import NOW_VARIABLE, OFFSET_VARIABLE, Workspace


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "c.yaml"
    file.write_text(
        "satellite_tracking: {tiles: [30STF]}\nstorage: {dataset_root: there}\ngate: {max_land_center_frac: 0.3}\n"
    )
    return file


def test_settings_are_the_file_and_a_run_may_replace_some(config: Path) -> None:
    workspace = Workspace(config_file=str(config))
    assert workspace.settings().gate.max_land_center_frac == 0.3
    changed = workspace.settings({"gate": {"max_cloud_center_frac": 0.5}})
    assert (changed.gate.max_cloud_center_frac, changed.gate.max_land_center_frac) == (0.5, 0.3)
    assert workspace.settings({}) == workspace.settings()


def test_settings_are_read_when_they_are_asked_for(config: Path) -> None:
    workspace = Workspace(config_file=str(config))
    config.write_text("satellite_tracking: {tiles: [30STF]}\nlimits: {max_ships: 3}\n")
    assert workspace.settings().limits.max_ships == 3
    config.unlink()
    with pytest.raises(ConfigError, match=r"c\.yaml"):
        workspace.settings()


def test_what_is_wrong_in_run_config_is_named(config: Path) -> None:
    with pytest.raises(ConfigError, match=r"run config: gate\.max_cloud_center_frac: got 3"):
        Workspace(config_file=str(config)).settings({"gate": {"max_cloud_center_frac": 3}})


def test_the_dataset_is_where_file_or_environment_say(config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    workspace = Workspace(config_file=str(config))
    storage = workspace.storage(workspace.settings())
    assert isinstance(storage, LocalStorage)
    assert storage.root == tmp_path / "there"
    assert not storage.root.exists(), "looking makes no folder"
    monkeypatch.setenv(DATASET_ROOT_VARIABLE, str(tmp_path / "elsewhere"))
    assert workspace.storage(workspace.settings()).url("x") == str(tmp_path / "elsewhere" / "x")


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("2025-10-29T12:00:00+00:00", datetime(2025, 10, 29, 12, tzinfo=UTC)),
        ("2025-10-29T14:00:00+02:00", datetime(2025, 10, 29, 12, tzinfo=UTC)),
        ("2025-10-29T12:00:00Z", datetime(2025, 10, 29, 12, tzinfo=UTC)),
        ("2025-10-29T12:00:00", datetime(2025, 10, 29, 12, tzinfo=UTC)),
    ],
)
def test_a_fixed_clock(config: Path, monkeypatch: pytest.MonkeyPatch, said: str, expected: datetime) -> None:
    for workspace in (Workspace(config_file=str(config), now=said), Workspace(config_file=str(config))):
        assert workspace.clock() == expected
        assert workspace.clock().utcoffset() == timedelta(0), "UTC: its date is a partition"
        monkeypatch.setenv(NOW_VARIABLE, said)


def test_its_own_time_goes_before_the_environment(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NOW_VARIABLE, "2001-01-01T00:00:00Z")
    assert Workspace(config_file=str(config), now="2025-10-29").clock() == datetime(2025, 10, 29, tzinfo=UTC)


def test_without_one_it_is_now_in_utc(config: Path) -> None:
    found = Workspace(config_file=str(config)).clock()
    assert found.utcoffset() == timedelta(0)
    assert abs(datetime.now(UTC) - found) < timedelta(seconds=10)


def test_a_clock_that_is_no_time_is_refused_in_words(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NOW_VARIABLE, "yesterday")
    with pytest.raises(ConfigError, match=rf"{NOW_VARIABLE}.*yesterday"):
        Workspace(config_file=str(config)).clock()


def test_a_moved_clock_goes_on_running(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = Workspace(config_file=str(config))
    monkeypatch.setenv(OFFSET_VARIABLE, "-86400.5")
    first, second = workspace.clock(), workspace.clock()
    assert first <= second
    assert abs(first - (datetime.now(UTC) - timedelta(days=1, milliseconds=500))) < timedelta(minutes=1)
    monkeypatch.setenv(NOW_VARIABLE, "2025-10-29T12:00:00Z")
    assert workspace.clock() == datetime(2025, 10, 29, 12, tzinfo=UTC), "a fixed time is fixed"


@pytest.mark.parametrize("said", ["tomorrow", "1e300", "nan"])
def test_an_offset_that_is_no_number_is_named(config: Path, monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    monkeypatch.setenv(OFFSET_VARIABLE, said)
    with pytest.raises(ConfigError, match=OFFSET_VARIABLE):
        Workspace(config_file=str(config)).clock()


def test_a_run_is_refused_in_a_line_of_its_own(tmp_path: Path) -> None:
    """Besides the stack trace that Dagster shows; a sensor, which has no run, is let be."""

    @dg.op
    def works(workspace: Workspace) -> None:
        pytest.fail("must not begin")

    @dg.op(config_schema=dict)
    def chips(context: dg.OpExecutionContext) -> None:
        works_after.append(context.run_id)

    works_after: list[str] = []
    file = tmp_path / "c.yaml"
    file.write_text("satellite_tracking: {tiles: [30STF]}\n")
    workspace = Workspace(config_file=str(file))
    job = dg.GraphDefinition(name="job", node_defs=[works, chips]).to_job(resource_defs={"workspace": workspace})
    config = {"ops": {"chips": {"config": {"gate": {"max_land_center_frac": 7}}}}}
    with dg.DagsterInstance.ephemeral() as instance:
        result = job.execute_in_process(run_config=config, instance=instance, raise_on_error=False)
        lines = [entry.user_message for entry in instance.all_logs(result.run_id) if not entry.is_dagster_event]
    assert not result.success
    assert works_after == []
    assert any(line.startswith("run config of chips: gate.max_land_center_frac: got 7, expected") for line in lines)
    with dg.build_resources({"workspace": workspace}) as resources:
        assert resources.workspace.settings().gate.max_land_center_frac == 0.2
