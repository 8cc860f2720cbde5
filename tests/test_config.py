"""The settings tree and what it refuses."""

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from s2chips_core.config import Settings, config_path, load_settings, parse_settings
from s2chips_core.errors import ConfigError
from tests.sections.trees import SOMEWHERE, refused

REPOSITORY = Path(__file__).parents[1]


@pytest.mark.parametrize("name", ["config.yaml", "demo.yaml"])
def test_shipped_files_are_valid(name: str) -> None:
    load_settings(REPOSITORY / "config" / name, {})


def test_production_file_names_every_key_with_its_default() -> None:
    tree = yaml.safe_load((REPOSITORY / "config" / "config.yaml").read_text())
    for section, field in Settings.model_fields.items():
        model = field.annotation
        assert isinstance(model, type)
        assert issubclass(model, BaseModel)
        assert set(tree[section]) == set(model.model_fields), section
    # Production looks ahead; without a word `backfill` is the source, so that scenes exist at once.
    chosen = {("satellite_tracking", "areas"), ("satellite_tracking", "source")}
    defaults = parse_settings(SOMEWHERE, "x").model_dump(mode="json")
    shipped = parse_settings(tree, "x").model_dump(mode="json")
    for section in tree:
        for key in tree[section]:
            if (section, key) not in chosen | {("satellite_tracking", "tiles")}:
                assert shipped[section][key] == defaults[section][key], (section, key)


def test_every_key_is_described() -> None:
    for section, field in Settings.model_fields.items():
        model = field.annotation
        assert isinstance(model, type)
        assert issubclass(model, BaseModel)
        for key, described in model.model_fields.items():
            assert described.description, f"{section}.{key}"


def test_a_wrong_key_names_file_path_and_what_is_known() -> None:
    error = refused({**SOMEWHERE, "gate": {"max_cloud": 0.1}})
    assert (error.file, error.key) == ("x.yaml", "gate.max_cloud")
    secret = refused({**SOMEWHERE, "ais": {"api_key": "hush"}})
    assert "ais.api_key" in str(secret)
    assert "hush" not in str(secret)
    assert "max_cloud_center_frac" in str(error)


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("gate", "max_cloud_center_frac", 2),
        ("gate", "center_window_px", 63),
        ("stac", "provider", "usgs"),
        ("stac", "cloud_cover_max", -1),
        ("tiling", "resample", "lanczos"),
        ("satellite_tracking", "tiles", ["30IZZ"]),
        ("ais", "max_gap_min", "soon"),
        ("limits", "max_ships", -3),
        ("gate", "cloud_classes", [99]),
        ("ais", "message_types", ["BaseStationReport"]),
        ("ais", "max_connections", 4),
        ("ais", "url", "https://stream.aisstream.io/v0/stream"),
        ("satellite_tracking", "source", "guess"),
        ("satellite_tracking", "cache_hours", 0.5),
    ],
)
def test_a_wrong_value_names_path_and_value(section: str, key: str, value: object) -> None:
    tree = {**SOMEWHERE, section: {**SOMEWHERE.get(section, {}), key: value}}
    error = refused(tree)
    assert error.key.startswith(f"{section}.{key}")
    assert repr(value[0] if isinstance(value, list) else value) in str(error)


def test_whole_tree_rules() -> None:
    assert "center_window_px" in str(refused({**SOMEWHERE, "tiling": {"chip_size_px": 32}}))
    assert "mapping" in str(refused(["no"]))


def test_the_inbox_is_beside_the_dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def inbox(root: object, inbox: str | None) -> Path | None:
        tree = {**SOMEWHERE, "storage": {"dataset_root": str(root)}, "ais": {"inbox": inbox}}
        return parse_settings(tree, "x").inbox_folder

    assert inbox(tmp_path / "data", "inbox") == tmp_path / "inbox"
    assert inbox(tmp_path / "data", str(tmp_path / "elsewhere")) == tmp_path / "elsewhere"
    assert inbox(tmp_path / "data", None) is None
    monkeypatch.chdir(tmp_path)
    assert inbox("s3://bucket/data", "inbox") == tmp_path / "inbox"
    assert parse_settings(SOMEWHERE, "x").inbox_folder == tmp_path / "inbox"


@pytest.mark.parametrize("inbox", [".", "..", "data", "data/inbox"])
def test_an_inbox_that_would_empty_other_folders_is_refused(tmp_path: Path, inbox: str) -> None:
    tree = {**SOMEWHERE, "storage": {"dataset_root": str(tmp_path / "data")}, "ais": {"inbox": inbox}}
    assert "a folder of its own in ais.inbox" in str(refused(tree))


def test_override_validates_and_says_where_it_came_from() -> None:
    settings = parse_settings(SOMEWHERE, "x")
    assert settings.override({"gate": {"max_land_center_frac": 0.5}}).gate.max_land_center_frac == 0.5
    with pytest.raises(ConfigError, match=r"run config: gate.max_land_center_frac: got 5"):
        settings.override({"gate": {"max_land_center_frac": 5}})


def test_settings_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        parse_settings(SOMEWHERE, "x").gate.enabled = False  # type: ignore[misc]


def test_environment_names_file_and_root(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(yaml.safe_dump(SOMEWHERE))
    assert config_path({"S2CHIPS_CONFIG": str(file)}) == file
    assert config_path({}) == Path("config/config.yaml")
    assert load_settings(file, {"S2CHIPS_DATASET_ROOT": "elsewhere"}).storage.dataset_root == "elsewhere"


@pytest.mark.parametrize("content", [b"a: [", b"\xff\xfe\x00x", b"- 1"])
def test_what_is_no_yaml_mapping_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "c.yaml"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=r"c\.yaml"):
        load_settings(file, {})
    with pytest.raises(ConfigError, match="readable"):
        load_settings(tmp_path / "none.yaml", {})


def test_config_hash_changes_with_what_decides_a_chip_and_with_nothing_else() -> None:
    base = parse_settings(SOMEWHERE, "x")
    assert base.config_hash == base.override({"limits": {"max_ships": 3}, "compute": {"workers": 2}}).config_hash
    for overrides in (
        {"tiling": {"include_swir": True}},
        {"gate": {"max_nodata_frac": 0.1}},
        {"masks": {"persist": True}},
        {"splits": {"by": "mmsi"}},
        {"storage": {"geotiff": "cog"}},
    ):
        assert base.override(overrides).config_hash != base.config_hash


def test_the_hash_of_the_defaults_is_that_of_before_there_were_band_profiles() -> None:
    base = parse_settings(SOMEWHERE, "x")
    assert base.config_hash == "94a9c1a121a7f8a6"
    clay = base.override({"tiling": {"band_profile": "clay10"}})
    assert clay.tiling.bands == ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12")
    assert clay.config_hash != base.config_hash
    # The bands of the other profile decide nothing then, the rest does.
    assert clay.override({"tiling": {"include_swir": True, "bands_core": ["B04"]}}).config_hash == clay.config_hash
    assert clay.override({"tiling": {"resample": "nearest"}}).config_hash != clay.config_hash


@pytest.mark.parametrize(
    "overrides",
    [
        {},
        {"tiling": {"include_swir": True}, "gate": {"enabled": False}},
        {"tiling": {"band_profile": "clay10", "resample": "nearest"}, "storage": {"geotiff": "cog", "compression": "zstd"}},
        {"masks": {"persist": True}, "splits": {"train": 0.5, "val": 0.25, "test": 0.25, "by": "mmsi"}},
    ],
)
def test_what_decides_comes_back_from_its_text(overrides: dict[str, dict[str, Any]]) -> None:
    made = parse_settings(SOMEWHERE, "x").override(overrides)
    other = parse_settings({"satellite_tracking": {"tiles": ["32VPH"]}, "compute": {"workers": 3}}, "y").override(
        {"tiling": {"band_profile": "clay10", "include_swir": True}, "masks": {"use_ndwi": False}}
    )
    again = other.with_deciding(made.deciding_json, "here")
    assert again.config_hash == made.config_hash
    assert again.tiling.bands == made.tiling.bands
    assert (again.masks, again.gate, again.splits) == (made.masks, made.gate, made.splits)
    assert (again.compute, again.satellite_tracking) == (other.compute, other.satellite_tracking)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"tiling": 1}'])
def test_what_is_no_deciding_configuration_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"here: .*expected the JSON of a deciding configuration"):
        parse_settings(SOMEWHERE, "x").with_deciding(text, "here")


def test_a_deciding_configuration_of_a_later_version_is_refused_by_name() -> None:
    base = parse_settings(SOMEWHERE, "x")
    tree = json.loads(base.deciding_json)
    with pytest.raises(ConfigError, match="here: further"):
        base.with_deciding(json.dumps({**tree, "further": 1}), "here")
    with pytest.raises(ConfigError, match=r"here: gate\.further"):
        base.with_deciding(json.dumps({**tree, "gate": {**tree["gate"], "further": 1}}), "here")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda c: (
            st.lists(c)
            | st.dictionaries(
                st.sampled_from(["gate", "stac", "tiling", "tiles", "areas", "enabled", "satellite_tracking", "x"]), c
            )
        ),
        max_leaves=12,
    )
)
def test_any_tree_gives_settings_or_a_config_error(tree: object) -> None:
    with contextlib.suppress(ConfigError):
        parse_settings(tree, "x.yaml")


def test_a_line_that_is_no_yaml_is_not_quoted(tmp_path: Path) -> None:
    """It may hold a key that is in the wrong place."""
    file = tmp_path / "config.yaml"
    file.write_text("ais:\n  source: aisstream\n  api_key: 'never-shown\n")
    with pytest.raises(ConfigError, match=r"in line 4, column 1.*expected YAML") as error:
        load_settings(file, {})
    assert "never-shown" not in str(error.value)
    assert error.value.__suppress_context__
    file.write_bytes(b"ais: never-shown\xff\n")
    with pytest.raises(ConfigError, match="UTF-8") as error:
        load_settings(file, {})
    assert "never-shown" not in str(error.value)


def test_a_login_in_a_url_is_not_shown() -> None:
    tree = {"satellite_tracking": {"tiles": ["30STF"]}, "storage": {"s3_endpoint": "https://name:never-shown@host:9000"}}
    with pytest.raises(ConfigError, match=r"storage\.s3_endpoint: got 'https://\*\*\*@host:9000'"):
        parse_settings(tree, "x.yaml")


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("ais", "url", "wss://user:{}@ais.example/x"),
        ("ais", "url", "ws://user:{}@ais.example/x"),
        ("stac", "endpoint", "https://user:{}@stac.example/v1"),
        ("stac", "s3_endpoint", "https://user:{}@s3.example"),
        ("storage", "s3_endpoint", "https://user:{}@s3.example"),
        ("storage", "dataset_root", "s3://user:{}@bucket/x"),
        ("compute", "dask_scheduler", "tcp://user:{}@dask.example:8786"),
    ],
)
@pytest.mark.parametrize("password", ["SECRET", "p/SECRET", "p?SECRET", "p@SECRET", "p SECRET"])
def test_a_login_in_a_url_is_refused_and_not_shown(section: str, key: str, value: str, password: str) -> None:
    tree = {"satellite_tracking": {"tiles": ["30STF"]}, section: {key: value.format(password)}}
    with pytest.raises(ConfigError, match=f"{section}.{key}") as refused:
        parse_settings(tree, "c.yaml")
    assert "SECRET" not in str(refused.value)
