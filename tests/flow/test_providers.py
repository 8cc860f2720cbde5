"""Whole days from Planetary Computer and CDSE, from a list of archives, with tokens that end and files that are gone."""

import base64
import contextlib
import io
import logging
import urllib.parse
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import rasterio

from s2chips_core import __version__, layout, tables
from s2chips_core.config import load_settings
from s2chips_core.index.outcomes import OUTCOME_SCHEMA
from s2chips_core.index.records import INDEX_SCHEMA
from s2chips_core.index.recut import recut
from s2chips_core.scenes.archives import open_fetcher
from s2chips_dagster.runs import Runs
from tests.archive_fixtures import PROVIDERS, Archives
from tests.datasets import everything
from tests.flow.conftest import MakeRuns
from tests.scenes.stand_ins import KEYS, SENSED, World

pytestmark = pytest.mark.usefixtures("datasets")

DAY = SENSED.date()
NOW = (SENSED + timedelta(days=5)).isoformat()


@pytest.fixture
def file(world: World, tmp_path: Path) -> Path:
    """Five ships where the scene has water, at the time when it was sensed."""
    rows = [f"24466{n:04d},{lat:.6f},{lon:.6f},{SENSED.isoformat()}" for n, (lon, lat) in enumerate(world.water(5, seed=2))]
    path = tmp_path / "ships.csv"
    path.write_text("\n".join(["mmsi,lat,lon,overpass_time", *rows]))
    return path


def run(make_runs: MakeRuns, archives: Archives, file: Path, *providers: str, name: str = "dataset") -> Runs:
    stac: dict[str, Any] = archives.stac(*providers)
    runs = make_runs(None, now=NOW, name=name, stac=stac)
    assert runs.chip_file(file, {}) == [DAY]
    return runs


def index_of(runs: Runs) -> pd.DataFrame:
    return tables.read_table(runs.storage, layout.tiles_index(), INDEX_SCHEMA).sort_values("mmsi").reset_index(drop=True)


def outcomes_of(runs: Runs) -> pd.DataFrame:
    days = [key for key in runs.storage.list("outcomes") if "/parts/" not in key]
    return pd.concat([tables.read_table(runs.storage, key, OUTCOME_SCHEMA) for key in days]).sort_values("mmsi")


def pixels_of(runs: Runs, path: str) -> np.ndarray:
    with rasterio.open(io.BytesIO(runs.storage.get(path))) as dataset:
        pixels: np.ndarray = dataset.read()
        return pixels


def assert_no_secret(folder: Path, *texts: str, made: Iterable[Runs] = (), least_files: int = 20) -> None:
    """In no file of the folder or of the datasets, and no text, in no spelling."""
    secrets = ["stand-in-token", "X-Amz-Signature", "X-Amz-Credential", *KEYS.values()]
    spellings = {secret for plain in secrets for secret in (plain, urllib.parse.quote(plain, safe=""))}
    spellings |= {base64.b64encode(plain.encode()).decode().rstrip("=")[:-1] for plain in secrets}
    contents = {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    for runs in made:
        contents |= {runs.storage.url(key): data for key, data in everything(runs.storage).items()}
    for path, content in contents.items():
        assert not [one for one in spellings if one.encode() in content], path
    assert len(contents) > least_files
    for text in texts:
        assert not [one for one in spellings if one in text]


def test_a_day_is_the_same_from_each_archive_and_says_where_it_came_from(
    archives: Archives, make_runs: MakeRuns, file: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    runs = {name: run(make_runs, archives, file, name, name=name) for name in PROVIDERS}
    rows = {name: index_of(one) for name, one in runs.items()}
    first = rows["earth_search"]
    assert len(first) == 5
    for name in PROVIDERS:
        assert set(rows[name]["provider"]) == {name}
        assert set(rows[name]["collection"]) == {"sentinel-2-l2a"}
        for column in ("chip_id", "scene_datetime", "mgrs_tile", "datatake", "qa_water_frac", "gate_verdict"):
            assert list(rows[name][column]) == list(first[column]), column
        for path, transform, other in zip(rows[name]["path"], rows[name]["transform"], first["path"], strict=True):
            assert list(transform) == list(first.loc[first["path"] == other, "transform"].iloc[0])
            # The four bands of 10 m: the offset's clipping is below the smallest reflectance.
            np.testing.assert_array_equal(pixels_of(runs[name], path)[:4], pixels_of(runs["earth_search"], other)[:4])
    for name, one in runs.items():
        settings = load_settings(tmp_path / f"{name}.yaml", {})
        with contextlib.closing(open_fetcher(settings.stac)) as fetcher:
            again = recut(
                rows[name]["chip_id"][0],
                settings=settings,
                storage=one.storage,
                fetcher=fetcher,
                software_version=__version__,
            )
        assert again.verdict == "identical", again
    assert_no_secret(tmp_path, caplog.text, made=runs.values())


def test_tokens_and_signatures_that_end_in_the_middle_of_a_day_are_renewed(
    archives: Archives, make_runs: MakeRuns, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    for name in ("planetary_computer", "cdse"):
        stand_in = getattr(archives, name)
        asked: list[str] = []

        def revoke(path: str, stand_in: Any = stand_in, asked: list[str] = asked) -> None:
            if path.endswith((".tif", ".jp2")):
                asked.append(path)
                if len(asked) == 4:
                    stand_in.revoke()

        stand_in.before_answer = revoke
        monkeypatch.setattr("s2chips_core.signing.YOUNG", timedelta(0))
        runs = run(make_runs, archives, file, name, name=name)
        made.append(runs)
        assert outcomes_of(runs)["outcome"].tolist() == ["chipped"] * 5
        refused = stand_in.count("", 403)
        assert refused >= 1
        assert refused < 20, "each is asked again, once"
    assert_no_secret(tmp_path, made=made)


def test_wrong_keys_fail_the_day_and_show_nothing(
    archives: Archives,
    make_runs: MakeRuns,
    file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """They do not leave its ships without a scene."""
    monkeypatch.setenv("CDSE_SECRET_ACCESS_KEY", wrong := "not-the-key-of-anybody")
    runs = make_runs(None, now=NOW, stac=archives.stac("cdse"))
    assert runs.chip_file(file, {}) is None, "the run has failed"
    said = "".join(capfd.readouterr())
    assert "the sensing time of a scene cannot be read: s3://eodata/" in said
    assert "MTD_TL.xml: the server answered 403" in said
    assert not runs.storage.list("outcomes")
    assert archives.cdse.count("MTD_TL.xml", 403) <= 3
    assert_no_secret(tmp_path, said, made=[runs], least_files=5)
    assert wrong not in said
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and wrong.encode() in path.read_bytes()]


def test_files_that_are_gone_come_from_the_next_archive_and_stay(
    archives: Archives, make_runs: MakeRuns, file: Path
) -> None:
    archives.earth_search.gone = {"B03"}
    archives.planetary_computer.gone = {"SCL"}
    runs = run(make_runs, archives, file, "earth_search", "planetary_computer", "cdse")
    rows = index_of(runs)
    assert set(rows["provider"]) == {"cdse"}
    outcomes = outcomes_of(runs)
    assert outcomes["outcome"].tolist() == ["chipped"] * 5
    assert set(outcomes["scene_id"]) == set(rows["scene_id"])
    before = {key: runs.storage.get(key) for key in runs.storage.list("chips")}
    alone = run(make_runs, archives, file, "cdse", name="alone")
    for path, same in zip(rows["path"], index_of(alone)["path"], strict=True):
        assert path == same
        np.testing.assert_array_equal(pixels_of(runs, path), pixels_of(alone, same))
    # Again: nothing is cut anew, though each archive is asked first for what it lacks.
    asked = archives.cdse.count(".jp2")
    runs = run(make_runs, archives, file, "earth_search", "planetary_computer", "cdse")
    assert {key: runs.storage.get(key) for key in runs.storage.list("chips")} == before
    assert archives.cdse.count(".jp2") == asked


def test_files_that_no_archive_has_are_missing(archives: Archives, make_runs: MakeRuns, file: Path) -> None:
    archives.earth_search.gone = archives.cdse.gone = {"B08"}
    runs = run(make_runs, archives, file, "earth_search", "cdse")
    outcomes = outcomes_of(runs)
    assert outcomes["outcome"].tolist() == ["missing_asset"] * 5
    assert all("404" in detail and "B08" in detail for detail in outcomes["detail"])


def test_a_scene_that_the_first_archive_does_not_list_comes_from_the_second(
    archives: Archives, make_runs: MakeRuns, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives.earth_search.rig, "items", [])
    runs = run(make_runs, archives, file, "earth_search", "planetary_computer", "cdse")
    assert set(index_of(runs)["provider"]) == {"planetary_computer"}
    assert archives.cdse.asked == []
