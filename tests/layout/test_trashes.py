"""Keys of trashes."""

from datetime import date, datetime, timedelta, timezone

from s2chips_core import layout

DAY = date(2025, 10, 27)


def test_a_trash_is_named_after_its_second_in_utc() -> None:
    when = datetime(2025, 10, 27, 1, 2, 3, 999_999, tzinfo=timezone(timedelta(hours=2)))
    assert layout.trash_id(when) == "20251026T230203Z"
    assert layout.trash_id(when, 2) == "20251026T230203Z-2"
    assert layout.in_trash("20251026T230203Z", "chips/a.tif") == "trash/20251026T230203Z/chips/a.tif"
    assert layout.is_move_journal(layout.move_journal("20251026T230203Z"))
    assert not layout.is_move_journal(layout.journal(DAY, "capture"))
