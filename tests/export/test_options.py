"""What may be asked of an export."""

from typing import Any

import pytest

from s2chips_core.errors import ConfigError, InputError
from s2chips_core.export.options import FORMATS, KEY_VARIABLE, ExportOptions, export_key


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("formats", ()),
        ("formats", ("stac", "stac")),
        ("formats", ("stac", "zarr")),
        ("splits", ("train", "dev")),
        ("bands", ()),
        ("bands", ("B02", "B99")),
        ("assets", "reference"),
        ("array", "png"),
        ("categories", "colour"),
        ("shard_chips", 0),
        ("shard_mb", -1),
    ],
)
def test_what_cannot_be_is_named(name: str, value: object) -> None:
    options: dict[str, Any] = {name: value}
    with pytest.raises(InputError, match=f"export option {name.removesuffix('s')}"):
        ExportOptions(**options)


@pytest.mark.parametrize("options", [{"without_ais": True}, {"bands": ("B02",)}])
def test_files_that_are_written_anew_cannot_be_links(options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="written anew"):
        ExportOptions(assets="link", **options)
    assert ExportOptions(**options).rewrites
    assert not ExportOptions(assets="link").rewrites


def test_only_shards_do_without_chips_as_files() -> None:
    assert not ExportOptions(formats=("webdataset",)).chip_files
    for name in FORMATS:
        assert ExportOptions(formats=("webdataset", name) if name != "webdataset" else FORMATS).chip_files


def test_a_condition_is_not_told_without_ais() -> None:
    where = "mmsi == 244660001"
    assert ExportOptions(where=where).to_dict()["where"] == where
    told = ExportOptions(where=where, without_ais=True).to_dict()["where"]
    assert "244660001" not in told
    assert ExportOptions(without_ais=True).to_dict()["where"] is None


def test_the_key_comes_from_the_environment_and_is_never_shown() -> None:
    assert export_key({}) is None
    assert export_key({KEY_VARIABLE: ""}) is None
    assert export_key({KEY_VARIABLE: "0123456789abcdef"}) == b"0123456789abcdef"
    with pytest.raises(ConfigError, match="at least 16") as error:
        export_key({KEY_VARIABLE: "s3cret"})
    assert "s3cret" not in str(error.value)
