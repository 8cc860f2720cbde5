import pytest
from hypothesis import given
from hypothesis import strategies as st

from s2chips_core.sandbox.data_files import parse_range


@given(size=st.integers(1, 10_000), first=st.integers(0, 9_999), length=st.integers(1, 10_000))
def test_a_closed_range(size: int, first: int, length: int) -> None:
    header = f"bytes={first}-{first + length - 1}"
    if first >= size:
        with pytest.raises(ValueError, match="bytes"):
            parse_range(header, size)
    else:
        assert parse_range(header, size) == (first, min(first + length, size))


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-", (0, 1000)),
        ("bytes=-1", (999, 1000)),
        ("bytes=-5000", (0, 1000)),
        ("bytes=500-499", None),
        ("bytes=0-1,5-6", None),
        ("bytes=-", None),
        ("lines=1-2", None),
    ],
)
def test_other_ranges(header: str, expected: tuple[int, int] | None) -> None:
    assert parse_range(header, 1000) == expected


def test_an_empty_suffix_cannot_be_satisfied() -> None:
    with pytest.raises(ValueError, match="bytes"):
        parse_range("bytes=-0", 1000)
