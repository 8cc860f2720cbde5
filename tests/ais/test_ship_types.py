"""Ship type numbers against ITU-R M.1371-5, table 53."""

import pytest

from s2chips_core.ais.ship_types import ship_type_name


@pytest.mark.parametrize(
    ("code", "name"),
    [(30, "Fishing"), (36, "Sailing"), (37, "Pleasure Craft"), (52, "Tug"), (60, "Passenger"), (79, "Cargo"), (80, "Tanker"),
     (99, "Other"), (49, "High Speed Craft"), (20, "Wing In Ground")],
)  # fmt: skip
def test_numbers_have_their_names(code: int, name: str) -> None:
    assert ship_type_name(code) == name


@pytest.mark.parametrize("code", [0, 1, 19, 38, 39])
def test_reserved_numbers_have_none(code: int) -> None:
    assert ship_type_name(code) is None
