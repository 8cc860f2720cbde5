"""Keys of what is known of passes."""

from datetime import date

from s2chips_core import layout

DAY = date(2025, 10, 27)


def test_keys_of_the_contract() -> None:
    assert layout.plan(DAY) == "plan/overpasses_20251027.parquet"


def test_a_plan_has_its_notes_and_swaths_beside_it() -> None:
    folders = {key.rpartition("/")[0] for key in (layout.plan(DAY), layout.plan_notes(DAY), layout.plan_swaths(DAY))}
    assert folders == {"plan"}
    assert layout.plan_cache("ab.tle") == "plan/cache/ab.tle"
