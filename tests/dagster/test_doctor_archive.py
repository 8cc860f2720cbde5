"""Archives that are not there, are disturbed, or have nothing."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from s2chips_core.sandbox.server import Served
from s2chips_dagster.doctor import examine
from s2chips_dagster.findings import Finding
from tests.archive_fixtures import Archives, archives, filled_archives, world
from tests.dagster.conftest import write_config
from tests.dagster.doctor_fixtures import Examine, look, served, surroundings
from tests.scenes.stand_ins import KEYS, SENSED, TILE

__all__ = ["archives", "filled_archives", "look", "served", "surroundings", "world"]


@pytest.mark.parametrize(("ahead_s", "verdict"), [(0, "ok"), (-20, "warning"), (20, "warning"), (7200, "failed")])
def test_the_clock_against_the_archive(look: Examine, monkeypatch: pytest.MonkeyPatch, ahead_s: float, verdict: str) -> None:
    monkeypatch.delenv("S2CHIPS_NOW")
    found = look(clock=lambda: datetime.now(UTC) + timedelta(seconds=ahead_s))["clock"]
    assert found.verdict == verdict, found
    if ahead_s:
        said = re.search(r"about (\d+) s (ahead|behind)", found.sentence)
        assert said is not None
        # A date has whole seconds, and servers renew it once a second.
        assert abs(int(said[1]) - abs(ahead_s)) <= 2
        assert said[2] == ("ahead" if ahead_s > 0 else "behind")


def test_an_archive_that_is_not_there(look: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("S2CHIPS_NOW")
    found = look(stac={"endpoint": "http://127.0.0.1:9/v1"})
    for check in ("archive", "pixels"):
        assert found[check].verdict == "failed"
        assert found[check].sentence.endswith("the landing page cannot be read: no answer (NewConnectionError)")
        assert "stac.endpoint" in found[check].remedy
    assert found["clock"] == Finding(check="clock", verdict="skipped", sentence="not compared: the archive did not answer")


def test_an_archive_that_is_disturbed(look: Examine, served: Served) -> None:
    for kind, words in (("404", "has no collection sentinel-2-l2a"), ("503", "does not show the collection")):
        served.faults.fail(kind, match="/collections/")
        found = look()
        assert (found["archive"].verdict, words in found["archive"].sentence) == ("failed", True)
        served.faults.clear()
    served.faults.fail("404", match="/v1")
    found = look()
    assert [found[name].verdict for name in ("archive", "pixels")] == ["failed", "failed"]


@pytest.mark.parametrize(
    ("kind", "words"), [("404", "the server answered 404"), ("503", "the server answered 503"), ("reset", "no answer")]
)
def test_pixels_that_cannot_be_had(look: Examine, served: Served, kind: Any, words: str) -> None:
    served.faults.fail(kind, match="/data/")
    found = look()["pixels"]
    assert (found.verdict, words in found.sentence) == ("failed", True)


def test_pixels_of_a_host_that_is_not_allowed(look: Examine, served: Served) -> None:
    found = look(stac={"allowed_hosts": ["example.org"]})["pixels"]
    assert (found.verdict, found.remedy) == ("failed", f"add {served.host} to stac.allowed_hosts, if it is the archive's")
    assert served.counters.requests["data"] == 0


def look_at(archives: Archives, tmp_path: Path, served: Served, *providers: str) -> dict[str, Finding]:
    file = write_config(tmp_path / "dataset.yaml", served)
    tree = yaml.safe_load(file.read_text())
    tree["stac"] |= archives.stac(*providers)
    tree["satellite_tracking"]["tiles"] = [TILE]
    file.write_text(yaml.safe_dump(tree))
    return {one.check: one for one in examine(file, offline=False)}


@pytest.fixture
def near_the_scene(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few days after the one scene of the archives on loopback."""
    monkeypatch.setenv("S2CHIPS_NOW", (SENSED + timedelta(days=5)).isoformat())


def test_each_archive_of_the_list_is_looked_at(
    archives: Archives, served: Served, tmp_path: Path, near_the_scene: None
) -> None:
    found = look_at(archives, tmp_path, served, "earth_search", "planetary_computer", "cdse")
    for name in ("earth_search", "planetary_computer", "cdse"):
        assert found[f"archive {name}"].verdict == "ok", found[f"archive {name}"]
        assert found[f"pixels {name}"].verdict == "ok", found[f"pixels {name}"]
    assert found["s3 keys"].sentence == "CDSE_ACCESS_KEY_ID and CDSE_SECRET_ACCESS_KEY are set"
    assert archives.planetary_computer.count("/token/") == 1
    told = "".join(one.sentence + one.remedy for one in found.values())
    assert not any(secret in told for secret in (*KEYS.values(), "stand-in-token", "X-Amz"))


def test_missing_and_wrong_keys_of_cdse(
    archives: Archives, served: Served, tmp_path: Path, near_the_scene: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CDSE_ACCESS_KEY_ID")
    found = look_at(archives, tmp_path, served, "cdse")
    assert (found["s3 keys"].verdict, "CDSE_ACCESS_KEY_ID not set" in found["s3 keys"].sentence) == ("failed", True)
    assert (found["archive"].verdict, found["pixels"].verdict) == ("ok", "failed")
    assert "needs S3 keys: CDSE_ACCESS_KEY_ID not in the environment" in found["pixels"].sentence
    monkeypatch.setenv("CDSE_ACCESS_KEY_ID", "SOMEBODY")
    found = look_at(archives, tmp_path, served, "cdse")
    assert (found["s3 keys"].verdict, found["pixels"].verdict) == ("ok", "failed")
    assert "403" in found["pixels"].sentence
    assert "the keys" in found["pixels"].remedy
    assert "SOMEBODY" not in found["pixels"].sentence


def test_a_tile_without_scenes(look: Examine) -> None:
    found = look(satellite_tracking={"tiles": ["31TCJ"]})["pixels"]
    assert (found.verdict, "no scene of 31TCJ" in found.sentence) == ("warning", True)
