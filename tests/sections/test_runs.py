"""The sections of runs."""

import pytest

from s2chips_core.config import parse_settings
from tests.sections.trees import SOMEWHERE, refused


@pytest.mark.parametrize("value", [True, "5", 2.5, "many"])
def test_a_cap_is_a_whole_number_or_all(value: object) -> None:
    assert refused({**SOMEWHERE, "limits": {"max_ships": value}}).key.startswith("limits.max_ships")
    assert parse_settings({**SOMEWHERE, "limits": {"max_ships": "all"}}, "x").limits.max_ships is None


def test_chips_cap_follows_the_ships_cap_when_bound() -> None:
    base = parse_settings({**SOMEWHERE, "limits": {"max_ships": 5, "max_chips": 2}}, "x")
    assert base.limits.chips_cap == 5
    assert base.override({"limits": {"bind_chips_to_ships": False}}).limits.chips_cap == 2
