"""The section `ais`: where the key may go, names of columns, waits."""

from s2chips_core.config import parse_settings
from tests.sections.trees import SOMEWHERE, refused


def test_the_key_of_the_feed_travels_only_where_nobody_listens() -> None:
    error = refused({**SOMEWHERE, "ais": {"url": "ws://stream.aisstream.io/v0/stream"}})
    assert (error.key, "wss://" in error.expected) == ("ais", True)
    for url in ("ws://127.0.0.1:8765/v0/stream", "ws://localhost:1/x", "ws://[::1]:1/x", "wss://elsewhere/x"):
        assert parse_settings({**SOMEWHERE, "ais": {"url": url}}, "x").ais.url == url


def test_columns_of_files_are_named_by_names_that_are_known() -> None:
    settings = parse_settings({**SOMEWHERE, "ais": {"columns": {"mmsi": "Schiff"}}}, "x")
    assert settings.ais.titles == {"mmsi": "Schiff"}
    error = refused({**SOMEWHERE, "ais": {"columns": {"mmssi": "Schiff"}}})
    assert error.key.startswith("ais.columns.mmssi")
    assert "'overpass_time'" in error.expected
    assert refused({**SOMEWHERE, "ais": {"columns": {"mmsi": " "}}}).key == "ais.columns.mmsi"


def test_backing_off_grows() -> None:
    assert "reconnect_max_s" in str(refused({**SOMEWHERE, "ais": {"reconnect_initial_s": 9, "reconnect_max_s": 3}}))
