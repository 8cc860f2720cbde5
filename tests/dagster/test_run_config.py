"""Run config is made of the settings: same names, defaults of the file, refused in the same words."""

from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest

from s2chips_core.ais.windows import Window
from s2chips_core.config import Settings, parse_settings
from s2chips_core.errors import ConfigError
from s2chips_dagster import run_config

SETTINGS = parse_settings({"satellite_tracking": {"tiles": ["30STF"]}, "gate": {"max_land_center_frac": 0.3}}, "x")


def test_untouched_run_config_is_the_file() -> None:
    sections = run_config.merge(run_config.AIS, run_config.MATCHING, run_config.CHIPPING)
    config = run_config.run_config("Everything", SETTINGS, sections)()
    assert SETTINGS.override(run_config.overrides(config)) == SETTINGS


def test_every_key_is_one_of_the_settings_and_described() -> None:
    for section, keys in run_config.merge(run_config.AIS, run_config.MATCHING, run_config.CHIPPING).items():
        model = Settings.model_fields[section].annotation
        assert set(keys) <= set(model.model_fields)  # type: ignore[union-attr]


def test_a_value_of_the_run_replaces_the_file_and_is_checked() -> None:
    made = run_config.run_config("Chipping", SETTINGS, run_config.CHIPPING)
    assert issubclass(made, dg.Config)
    gate = type(made().gate)  # type: ignore[attr-defined]
    config = made(gate=gate(max_cloud_center_frac=0.5))
    assert SETTINGS.override(run_config.overrides(config)).gate.max_cloud_center_frac == 0.5
    assert SETTINGS.override(run_config.overrides(config)).gate.max_land_center_frac == 0.3
    wrong = made(gate=gate(max_cloud_center_frac=7))
    with pytest.raises(ConfigError, match=r"run config: gate\.max_cloud_center_frac: got 7"):
        SETTINGS.override(run_config.overrides(wrong))


def test_the_band_profile_is_one_of_two() -> None:
    made = run_config.run_config("Chipping", SETTINGS, run_config.CHIPPING)
    tiling = type(made().tiling)  # type: ignore[attr-defined]
    chosen = SETTINGS.override(run_config.overrides(made(tiling=tiling(band_profile="clay10"))))
    assert len(chosen.tiling.bands) == 10
    with pytest.raises(ConfigError, match=r"run config: tiling\.band_profile: got 'clay11', expected 'core' or 'clay10'"):
        SETTINGS.override({"tiling": {"band_profile": "clay11"}})


AT = datetime(2025, 10, 27, 11, tzinfo=UTC)


def window(minutes: float, tile_id: str = "30STF", overpass: bool = True) -> Window:
    middle = AT + timedelta(minutes=minutes)
    half = timedelta(minutes=5)
    return Window(
        tile_id=tile_id,
        satellite="S2B" if overpass else "",
        overpass_time=middle if overpass else None,
        start=middle - half,
        end=middle + half,
    )


def config_of(windows: list[Window]) -> Any:
    """As a run has it."""
    made: Any = run_config.capture_config(SETTINGS)
    values = run_config.capture_run_config(windows)["ops"]["ais_snapshots"]["config"]
    return made(windows=[run_config.CaptureWindow(**each) for each in values["windows"]])


def test_windows_travel_in_run_config() -> None:
    group = run_config.capture_group(config_of([window(3, "30SUE"), window(0), window(9, overpass=False)]).windows)
    assert group is not None
    assert list(group.windows) == [window(0), window(3, "30SUE"), window(9, overpass=False)]


def test_dagster_takes_the_windows_that_a_sensor_asks_for() -> None:
    @dg.op(name="ais_snapshots")
    def op(config: run_config.capture_config(SETTINGS)) -> None:  # type: ignore[valid-type]
        found.append(run_config.capture_group(config.windows))
        only_recover.append(config.only_recover)

    found: list[Any] = []
    only_recover: list[bool] = []
    job = dg.GraphDefinition(name="job", node_defs=[op]).to_job()
    for asked in (run_config.capture_run_config([window(0), window(1, overpass=False)]), run_config.RECOVERY_RUN_CONFIG, {}):
        assert job.execute_in_process(run_config=asked).success
    assert list(found[0].windows) == [window(0), window(1, overpass=False)]
    assert found[1:] == [None, None]
    assert only_recover == [False, True, False]


def test_a_run_by_hand_has_no_windows_and_the_settings_of_the_file() -> None:
    config: Any = run_config.capture_config(SETTINGS)()
    assert run_config.capture_group(config.windows) is None
    assert config.only_recover is False
    assert SETTINGS.override(run_config.overrides(config)) == SETTINGS


def test_a_run_has_no_place_for_the_key() -> None:
    """Run config is stored as plain text."""
    made: Any = run_config.capture_config(SETTINGS)
    names = {*made.model_fields, *made.model_fields["ais"].annotation.model_fields}
    assert not [name for name in names if "key" in name.lower()]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"start": "yesterday"}, r"run config: windows\[1\]: got .*yesterday.*ISO 8601"),
        ({"overpass_time": "27.10.2025"}, r"windows\[1\].*ISO 8601"),
        ({"end": AT.isoformat(), "start": AT.isoformat()}, r"windows\[1\].*an end after the start"),
    ],
)
def test_windows_that_cannot_be_are_refused_in_words(change: dict[str, str], said: str) -> None:
    good = run_config.CaptureWindow(**window(0).to_dict())
    bad = run_config.CaptureWindow(**{**window(0).to_dict(), **change})
    with pytest.raises(ConfigError, match=said):
        run_config.capture_group([good, bad])
