"""`s2chips doctor` against the embedded archive and AIS server: every failure provoked, nothing left behind."""

import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from dagster import DagsterInstance
from dagster._daemon.types import DaemonHeartbeat

from s2chips_core import tables
from s2chips_core.ais.connection_limit import ConnectionLimit, default_folder
from s2chips_core.overpasses.plan import PLAN_SCHEMA
from s2chips_core.overpasses.plan_files import write_day
from s2chips_core.sandbox.ais_server import TEST_KEY, AisServed, serve_ais
from s2chips_core.sandbox.archive import DEMO_NOW
from s2chips_core.sandbox.server import Served
from s2chips_core.storage import LocalStorage
from s2chips_dagster import ais_probe, doctor
from s2chips_dagster.cli import main
from s2chips_dagster.doctor import examine, run_bounded
from s2chips_dagster.findings import Finding, ok
from s2chips_dagster.run_config import KEY_VARIABLE
from tests.archive_fixtures import Archives, archives, filled_archives, world
from tests.dagster.conftest import write_config
from tests.overpasses.plan_kml import Made, published
from tests.scenes.stand_ins import KEYS, SENSED, TILE

__all__ = ["archives", "filled_archives", "world"]

Examine = Callable[..., dict[str, Finding]]
NOT_A_KEY = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def served(sandbox: Served) -> Served:
    """An archive of this test's own, at the demo's time."""
    sandbox.now = DEMO_NOW
    return sandbox


@pytest.fixture
def ais() -> Iterator[AisServed]:
    with serve_ais() as server:
        yield server


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key, a cache and a Dagster home of this test's own."""
    monkeypatch.setenv(KEY_VARIABLE, TEST_KEY)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def look(served: Served, tmp_path: Path) -> Examine:
    """`look(offline=…, section={…})`: the findings by check."""

    def examined(
        *, offline: bool = False, limit_s: float = 15.0, clock: Callable[[], datetime] | None = None, **sections: Any
    ) -> dict[str, Finding]:
        file = write_config(tmp_path / "dataset.yaml", served, **sections)
        more = {"machine_clock": clock} if clock else {}
        return {one.check: one for one in examine(file, offline=offline, limit_s=limit_s, **more)}

    return examined


def real(server: AisServed | None) -> Mapping[str, Any]:
    return {"source": "aisstream", "url": server.url if server else "ws://127.0.0.1:9/v0/stream"}


def test_all_is_well(look: Examine, served: Served, ais: AisServed, tmp_path: Path, home: Path) -> None:
    with DagsterInstance.from_config(str(home)) as instance:
        for daemon in instance.get_required_daemon_types():
            instance.add_daemon_heartbeat(DaemonHeartbeat(time.time(), daemon, "1", []))
    tomorrow = DEMO_NOW.date() + timedelta(days=1)
    write_day(LocalStorage(tmp_path / "dataset"), tomorrow, tables.empty(PLAN_SCHEMA), [], [])
    before = sorted(path for path in (tmp_path / "dataset").rglob("*") if path.is_file())
    found = look(ais=real(ais))
    verdicts = {name: one.verdict for name, one in found.items()}
    assert verdicts == {
        "config": "ok",
        "dataset": found["dataset"].verdict,  # the disk is whose it is
        "ais key": "ok",
        "dagster": "ok",
        "clock": "warning",  # S2CHIPS_NOW
        "archive": "ok",
        "pixels": "ok",
        "plan": "ok",
        "plan sources": "skipped",  # backfill
        "ais service": "ok",
    }
    assert "S2CHIPS_NOW" in found["clock"].sentence
    assert sorted(path for path in (tmp_path / "dataset").rglob("*") if path.is_file()) == before
    # One directory of one band; one polite conversation.
    assert served.counters.requests["data"] == 1
    assert served.counters.bytes["data"] <= 16 * 1024
    assert (ais.counters.subscriptions, ais.counters.errors) == (1, [])
    deadline = time.monotonic() + 5
    while ais.counters.open and time.monotonic() < deadline:
        time.sleep(0.01)
    assert ais.counters.open == 0
    assert TEST_KEY not in "".join(one.sentence + one.remedy for one in found.values())


def test_offline_asks_nobody(look: Examine, served: Served, ais: AisServed) -> None:
    found = look(offline=True, ais=real(ais))
    assert [found[name].verdict for name in ("archive", "pixels", "ais service")] == ["skipped"] * 3
    assert served.counters.requests == {"stac": 0, "data": 0}
    assert ais.counters.attempts == []
    assert found["config"].verdict == "ok"


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        ({"stac": {"cloud_cover_max": 400}}, "stac.cloud_cover_max"),
        ({"stac": {"collection": "landsat"}}, "stac.collection"),
        ({"satellite_tracking": {"tiles": ["30SAA"]}}, "30SAA"),
        ({"storage": {"dataset_root": "gs://bucket"}}, "storage.dataset_root"),
    ],
)
def test_a_wrong_configuration_stops_nothing_else(look: Examine, sections: dict[str, Any], words: str) -> None:
    found = look(offline=True, **sections)
    assert (found["config"].verdict, words in found["config"].sentence) == ("failed", True)
    assert found["dataset"].sentence == "needs the configuration"
    assert found["ais key"].verdict == "ok"
    assert found["dagster"].verdict == "warning"
    assert len(found) == 10


def test_without_a_file_or_with_a_clock_that_is_none(tmp_path: Path, look: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "none.yaml" in examine(tmp_path / "none.yaml", offline=True)[0].sentence
    monkeypatch.setenv("S2CHIPS_NOW", "noon")
    assert "S2CHIPS_NOW" in look(offline=True)["config"].sentence


def test_no_key(look: Examine, ais: AisServed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY_VARIABLE)
    found = look(ais=real(ais))
    assert found["ais key"].verdict == "failed"
    # The socket is opened and closed; nothing is subscribed to.
    assert (found["ais service"].verdict, "not subscribed" in found["ais service"].sentence) == ("ok", True)
    assert [attempt.status for attempt in ais.counters.attempts] == [101]
    assert ais.counters.subscriptions == 0


def test_dagster(look: Examine, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "has never run" in look(offline=True)["dagster"].sentence
    with DagsterInstance.from_config(str(home)) as instance:
        instance.add_daemon_heartbeat(DaemonHeartbeat(time.time() - 7200, "SENSOR", "1", []))
    assert "has not run since" in look(offline=True)["dagster"].sentence
    (home / "dagster.yaml").write_text("run_monitoring: {enabled: perhaps}\n")
    found = look(offline=True)["dagster"]
    assert (found.verdict, "cannot be opened" in found.sentence) == ("failed", True)
    (home / "dagster.yaml").unlink()
    assert "no dagster.yaml" in look(offline=True)["dagster"].sentence
    monkeypatch.delenv("DAGSTER_HOME")
    monkeypatch.chdir(tmp_path)
    assert "DAGSTER_HOME is not set" in look(offline=True)["dagster"].sentence


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


def test_a_plan_that_is_missing_or_broken(look: Examine, tmp_path: Path) -> None:
    auto = {"source": "auto", "tle_sources": [], "acquisition_plan_sources": []}
    found = look(offline=True, satellite_tracking=auto)["plan"]
    assert (found.verdict, "2025-10-30" in found.sentence) == ("warning", True)
    LocalStorage(tmp_path / "dataset").put("plan/overpasses_20251030.parquet", b"PAR1")
    assert look(offline=True, satellite_tracking=auto)["plan"].verdict == "failed"


def test_plan_sources(look: Examine, tmp_path: Path) -> None:
    start = datetime(2025, 10, 20, 12, tzinfo=UTC)
    made = Made(start=start + timedelta(hours=1))
    period = ("20251020T120000", "20251107T150000")
    file = tmp_path / "s2b.kml"
    file.write_bytes(published("S2B", period, made))
    tracking = {"source": "acquisition_plan", "satellites": ["S2B"], "acquisition_plan_sources": [str(file)]}
    found = look(offline=True, satellite_tracking=tracking)["plan sources"]
    assert (found.verdict, found.sentence) == ("ok", "for 2025-10-30: acquisition plans of S2B")
    assert (
        look(offline=True, satellite_tracking=tracking | {"satellites": ["S2B", "S2C"]})["plan sources"].verdict == "warning"
    )
    tracking |= {"acquisition_plan_sources": [str(tmp_path / "none.kml")]}
    found = look(offline=True, satellite_tracking=tracking)["plan sources"]
    assert (found.verdict, "none.kml" in found.sentence) == ("failed", True)
    tracking |= {"acquisition_plan_sources": ["http://127.0.0.1:9/plan.kml"]}
    assert look(offline=True, satellite_tracking=tracking)["plan sources"].verdict == "skipped"
    found = look(satellite_tracking=tracking)["plan sources"]
    assert (found.verdict, "127.0.0.1:9" in found.sentence) == ("failed", True)


@pytest.mark.shared_data
def test_orbital_elements(look: Examine, shared_data: Path) -> None:
    tracking = {
        "source": "tle",
        "satellites": ["S2B"],
        "tle_sources": [str(shared_data / "orbit" / "sentinel2_tle_history.tle")],
        "max_tle_age_days": 1e-3,
    }
    found = look(offline=True, satellite_tracking=tracking)["plan sources"]
    assert (found.verdict, "days" in found.sentence) == ("failed", True)


def test_a_key_that_is_refused(look: Examine, ais: AisServed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, NOT_A_KEY)
    found = look(ais=real(ais))["ais service"]
    assert (found.verdict, "does not take the key (Api Key Is Not Valid)" in found.sentence) == ("failed", True)
    # Nobody tries it again so soon, and it is said why.
    again = look(ais=real(ais))["ais service"]
    assert (again.verdict, "refused this key" in again.sentence) == ("failed", True)
    assert len(ais.counters.attempts) == 1
    assert NOT_A_KEY not in f"{found} {again}"


@pytest.mark.parametrize(
    ("break_it", "verdict", "words"),
    [
        (lambda ais: ais.faults.too_many_requests(), "failed", "HTTP 429"),
        (lambda ais: ais.faults.refuse(status=503), "failed", "HTTP 503"),
        (lambda ais: ais.faults.reset(), "failed", "does not open"),
        (lambda ais: ais.faults.error("Subscription Object Is Malformed"), "failed", "Subscription Object Is Malformed"),
        (lambda ais: ais.faults.close(code=1011, reason="sorry"), "failed", "ended the connection"),
        (lambda ais: ais.faults.no_confirmation(), "warning", "neither took nor refused"),
    ],
)
def test_a_service_that_is_disturbed(
    look: Examine,
    ais: AisServed,
    monkeypatch: pytest.MonkeyPatch,
    break_it: Callable[[AisServed], None],
    verdict: str,
    words: str,
) -> None:
    monkeypatch.setattr(ais_probe, "ANSWER_S", 0.5)
    ais.faults.late_confirmation(seconds=0.3)
    break_it(ais)
    found = look(ais=real(ais))["ais service"]
    assert (found.verdict, words in found.sentence) == (verdict, True), found


def test_a_service_that_is_not_there(look: Examine) -> None:
    found = look(ais=real(None))["ais service"]
    assert (found.verdict, found.sentence.endswith("connection refused")) == ("failed", True)


def test_captures_go_first(look: Examine, ais: AisServed, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(ais_probe, "TURN_S", 0.5)
    folder = default_folder({"XDG_CACHE_HOME": str(tmp_path / "cache")})
    capture = ConnectionLimit(ais.url, most=1, first_wait_s=1.0, longest_wait_s=60.0, folder=folder)
    with capture.turn(TEST_KEY, lambda: False) as mine:
        assert mine
        found = look(ais={**real(ais), "max_connections": 1})["ais service"]
    assert (found.verdict, "all connections are in use" in found.sentence) == ("skipped", True)
    assert ais.counters.attempts == []


def test_a_check_that_takes_too_long_or_breaks_is_alone() -> None:
    release = threading.Event()

    def waits() -> Finding:
        release.wait(20)
        return ok("slow", "late")

    def breaks() -> Finding:
        raise RuntimeError("no such thing")

    began = time.monotonic()
    slow, broken, fine = run_bounded({"slow": waits, "broken": breaks, "fine": lambda: ok("fine", "well")}, 0.5)
    release.set()
    assert time.monotonic() - began < 5
    assert (slow.verdict, slow.sentence) == ("failed", "no result within 0.5 s")
    assert (broken.verdict, "RuntimeError: no such thing" in broken.sentence) == ("failed", True)
    assert fine.verdict == "ok"


def test_an_archive_that_does_not_answer_in_time(look: Examine, served: Served) -> None:
    served.faults.fail("slow", match="/v1", delay_s=6.0)
    began = time.monotonic()
    found = look(limit_s=2.0)
    assert time.monotonic() - began < 6
    assert (found["archive"].verdict, found["archive"].sentence) == ("failed", "no result within 2 s")
    assert found["config"].verdict == "ok"


def test_no_key_in_what_an_error_says(look: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, NOT_A_KEY)

    def breaks(stac: object) -> None:
        raise RuntimeError(f"it has {NOT_A_KEY}")

    monkeypatch.setattr(doctor, "provider_of", breaks)
    found = look(offline=True)
    assert "it has ***" in found["config"].sentence
    assert NOT_A_KEY not in str(found)


def test_the_command(served: Served, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write_config(tmp_path / "dataset.yaml", served)
    assert main(["doctor", "--offline", "--config", str(file)]) == 0
    told = capsys.readouterr().out
    assert [line.split("  ")[0] for line in told.splitlines() if not line.startswith(" ")][:3] == [
        "config",
        "dataset",
        "ais key",
    ]
    assert told.splitlines()[-1].startswith("10 checks: ")
    file = write_config(tmp_path / "bad.yaml", served, stac={"cloud_cover_max": 400})
    assert main(["doctor", "--offline", "--config", str(file)]) == 1
    assert "→ correct the file" in capsys.readouterr().out
