"""What the report counts."""

from s2chips_core.index.outcomes import Outcome
from s2chips_core.pages.day_summary import Stage, build_funnel, find_mismatches


def test_funnel_counts_what_is_left() -> None:
    outcomes = (
        [Outcome.CHIPPED] * 5 + [Outcome.NO_SCENE] * 3 + [Outcome.GATE_CLOUD] * 2 + [Outcome.NODATA, Outcome.READ_ERROR]
    )
    outcomes += [Outcome.OVER_CAP] * 2
    targets = [{"outcome": str(o), "source_id": "capture", "target_id": str(n)} for n, o in enumerate(outcomes)]
    assert build_funnel(targets, {("capture", "12")}) == (  # one of the two over the cap had a scene
        Stage(label="AIS targets", count=14, losses=()),
        Stage(label="With a scene", count=10, losses=((Outcome.NO_SCENE, 3), (Outcome.OVER_CAP, 1))),
        Stage(label="Kept by the gate", count=7, losses=((Outcome.GATE_CLOUD, 2), (Outcome.NODATA, 1))),
        Stage(label="Chipped", count=5, losses=((Outcome.READ_ERROR, 1), (Outcome.OVER_CAP, 1))),
    )


def test_a_chip_and_its_target_must_name_each_other() -> None:
    target = {"outcome": "chipped", "chip_id": "a"}
    assert find_mismatches([target], {"a"}, {"a": [target]}) == []
    assert len(find_mismatches([target], set(), {"a": [target]})) == 1
    assert len(find_mismatches([], {"a"}, {})) == 1
