"""The table of matches against the tables before and after it."""

from s2chips_core.ais.targets import TARGET_SCHEMA
from s2chips_core.index.outcomes import Outcome
from s2chips_core.scenes.matches import MATCH_SCHEMA, MatchStatus


def test_a_match_is_its_target_and_more() -> None:
    assert MATCH_SCHEMA.names[: len(TARGET_SCHEMA)] == TARGET_SCHEMA.names
    assert [MATCH_SCHEMA.field(name) for name in TARGET_SCHEMA.names] == list(TARGET_SCHEMA)
    assert len(set(MATCH_SCHEMA.names)) == len(MATCH_SCHEMA)


def test_a_target_without_a_scene_has_a_row_all_the_same() -> None:
    required = {field.name for field in MATCH_SCHEMA if not field.nullable} - {
        field.name for field in TARGET_SCHEMA if not field.nullable
    }
    assert required == {"status", "detail"}


def test_every_status_but_matched_is_an_outcome() -> None:
    assert {status.value for status in MatchStatus} - {outcome.value for outcome in Outcome} == {"matched"}
