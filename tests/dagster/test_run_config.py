"""Run config is made of the settings: same names, defaults of the file, refused in the same words."""

import dagster as dg
import pytest

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
