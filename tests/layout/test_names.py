"""What keys are put together from."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s2chips_core import layout
from s2chips_core.layout.names import day_of, safe


@pytest.mark.parametrize("name", ["30STF", "file-0123456789ab", "a.b_c-d", "0"])
def test_what_can_be_part_of_a_key_stays_as_it_is(name: str) -> None:
    assert safe(name) == name


@pytest.mark.parametrize("name", ["", ".", "..", "-a", "a/b", "a\\b", "a b", "a\n", "x\0", "é"])
def test_what_cannot_be_part_of_a_key_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="expected letters, digits"):
        safe(name)


def test_days_have_eight_digits() -> None:
    assert layout.ymd(date(2025, 1, 2)) == "20250102"


@given(st.dates())
def test_a_day_comes_back_from_its_digits(day: date) -> None:
    assert day_of(layout.ymd(day)) == day


@pytest.mark.parametrize(
    "text", ["", "20250229", "00000101", "20251301", "2025012", "202501011", "2025W401", "２０２５０１０１"]
)
def test_what_is_no_day(text: str) -> None:
    assert day_of(text) is None


def test_the_source_of_a_file_is_its_sum() -> None:
    assert layout.file_source("0123456789abcdef" * 4) == "file-0123456789ab"
