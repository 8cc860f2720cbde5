"""A conversation with the AIS service that is disturbed, refused, or has to wait."""

from collections.abc import Callable
from pathlib import Path

import pytest

from s2chips_core.ais.connection_limit import ConnectionLimit, default_folder
from s2chips_core.sandbox.ais_server import TEST_KEY, AisServed
from s2chips_dagster import ais_probe
from s2chips_dagster.run_config import KEY_VARIABLE
from tests.dagster.doctor_fixtures import NOT_A_KEY, Examine, ais, look, real, served, surroundings

__all__ = ["ais", "look", "served", "surroundings"]


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
