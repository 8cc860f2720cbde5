"""Files beside the page: shipped as they were published, safe to load, named after what is in them."""

import gzip
import hashlib
import importlib.resources
import json
import re
import tomllib
from pathlib import Path

import pytest

from s2chips_core.pages.dataset_assets import VENDORED, data_asset, library_assets


@pytest.mark.parametrize("name", VENDORED)
def test_vendored_files_are_unchanged(name: str) -> None:
    data = (importlib.resources.files("s2chips_core.pages") / "vendor" / name).read_bytes()
    assert hashlib.sha256(gzip.decompress(data) if name.endswith(".gz") else data).hexdigest() == VENDORED[name]


def test_every_vendored_file_is_accounted_for() -> None:
    folder = importlib.resources.files("s2chips_core.pages") / "vendor"
    names = {each.name for each in folder.iterdir()}
    readme = (folder / "README.md").read_text()
    assert {name for name in names if not name.endswith(".LICENSE")} == {*VENDORED, "README.md"}
    assert all(f"`{name}`" in readme for name in names - {"README.md"})


def test_data_cannot_break_out_of_their_script() -> None:
    hostile = {"name": "</script><script>alert(1)</script>\u2028é<!--"}
    asset = data_asset("columns", hostile)
    text = asset.data.decode("ascii")
    assert "<" not in text
    found = re.fullmatch(r's2chips\.take\("columns",(.*)\);\n', text)
    assert found is not None
    assert json.loads(found[1]) == hostile


def test_the_name_holds_the_hash() -> None:
    first, same, other = data_asset("a", [1]), data_asset("a", [1]), data_asset("a", [2])
    assert first == same
    assert first.name != other.name
    assert hashlib.sha256(first.data).hexdigest().startswith(first.name.removeprefix("a-").removesuffix(".js"))
    with pytest.raises(ValueError, match="JSON compliant"):
        data_asset("a", [float("nan")])


def test_libraries_ask_for_nothing_else() -> None:
    for asset in library_assets().values():
        assert b"sourceMappingURL" not in asset.data


def test_an_installed_package_has_them_all() -> None:
    root = Path(__file__).parents[2]
    globs = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["s2chips_core"]
    core = root / "s2chips_core"
    shipped = {path for each in globs for path in core.glob(each)}
    data = {path for path in core.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")}
    assert data - shipped == set()
