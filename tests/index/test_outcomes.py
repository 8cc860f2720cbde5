"""Outcome rows."""

import pytest

from s2chips_core import tables
from s2chips_core.index.outcomes import (
    OUTCOME_SCHEMA,
    STANDING,
    Outcome,
    chipped_row,
    counts,
    outcome_row,
    outcomes_frame,
    standing_row,
    unmatched_row,
)
from s2chips_core.scenes.matches import MatchStatus
from tests.index.chips import index_row, match_of, numbers_of, unmatched_of


@pytest.mark.parametrize("status", [s for s in MatchStatus if s != MatchStatus.MATCHED])
def test_what_matching_said_is_the_outcome(status: MatchStatus) -> None:
    row = unmatched_row(unmatched_of(1, status.value))
    assert (row["outcome"], row["detail"]) == (status.value, f"said {status}")


def test_a_match_with_a_scene_is_no_outcome() -> None:
    with pytest.raises(ValueError, match="matched"):
        unmatched_row(match_of(1))


def test_a_refusal_keeps_its_numbers() -> None:
    row = outcome_row(
        match_of(1),
        Outcome.GATE_CLOUD,
        "31 % cloud",
        chip_id="a" * 16,
        fingerprint="f",
        numbers=numbers_of(qa_cloud_frac=0.31, qa_land_frac=None),
    )
    found = outcomes_frame([row]).iloc[0]
    assert (found["outcome"], found["qa_cloud_frac"], found["detail"]) == ("gate_cloud", 0.31, "31 % cloud")
    assert found["target_id"] == "t001"
    assert found[["qa_land_frac"]].isna().all()


def test_a_chip_tells_what_it_is() -> None:
    row = chipped_row(match_of(1), index_row(match_of(1)))
    assert row["detail"] == (
        "chip of S2B_30STF_20251027_0_L2A, verdict pass: cloud 0.0%, land 0.0%, water 97.0%, nodata 0.0%"
    )
    assert row["outcome"] == "chipped"


def test_a_decision_that_stands_takes_the_ship_as_it_is_known_now() -> None:
    earlier = outcome_row(
        match_of(1), Outcome.GATE_LAND, "land", chip_id="a", fingerprint="f", numbers=numbers_of(qa_land_frac=0.7)
    )
    row = standing_row(match_of(1, ship_name="RENAMED", target_id="t9"), earlier)
    assert (row["ship_name"], row["target_id"], row["qa_land_frac"], row["fingerprint"]) == ("RENAMED", "t9", 0.7, "f")


def test_read_errors_and_caps_do_not_stand() -> None:
    never = {"read_error", "missing_asset", "over_cap", "chipped", "duplicate", *(status.value for status in MatchStatus)}
    assert never.isdisjoint(STANDING)
    assert {o.value for o in Outcome} == never - {"matched"} | set(STANDING)


def test_counts_have_every_outcome() -> None:
    frame = outcomes_frame([unmatched_row(unmatched_of(n, "no_scene")) for n in range(3)])
    assert counts(frame) == {o.value: 3 * (o == Outcome.NO_SCENE) for o in Outcome}
    assert set(counts(tables.empty(OUTCOME_SCHEMA)).values()) == {0}
