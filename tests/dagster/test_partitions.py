"""Daily partitions, UTC: keys of the contract, today included."""

from datetime import UTC, date, datetime

import pytest

from s2chips_dagster.partitions import daily, day_of

FIRST = date(2025, 10, 1)


def test_keys_are_days_from_the_first_to_today() -> None:
    now = datetime(2025, 10, 4, 0, 0, 1, tzinfo=UTC)
    assert daily(FIRST).get_partition_keys(now) == ["2025-10-01", "2025-10-02", "2025-10-03", "2025-10-04"]
    # A second before midnight the next day is not one yet.
    assert daily(FIRST).get_partition_keys(datetime(2025, 10, 3, 23, 59, 59, tzinfo=UTC))[-1] == "2025-10-03"


def test_days_are_days_of_utc() -> None:
    window = daily(FIRST).time_window_for_partition_key("2025-10-27")
    assert window.start == datetime(2025, 10, 27, tzinfo=UTC)
    assert window.end == datetime(2025, 10, 28, tzinfo=UTC)


def test_a_key_names_its_day() -> None:
    assert day_of("2025-10-27") == date(2025, 10, 27)
    keys = daily(FIRST).get_partition_keys(datetime(2026, 3, 1, tzinfo=UTC))
    assert [day_of(key).isoformat() for key in keys] == keys
    with pytest.raises(ValueError, match="27"):
        day_of("27.10.2025")
