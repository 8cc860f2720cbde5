"""Keys of matches and outcomes."""

from datetime import date

from s2chips_core import layout

DAY = date(2025, 10, 27)


def test_keys_of_the_contract() -> None:
    assert layout.matches(DAY) == "matches/20251027.parquet"
    assert layout.outcomes(DAY) == "outcomes/20251027.parquet"


def test_parts_lie_in_the_folder_of_their_day() -> None:
    assert layout.matches_part(DAY, "capture") == f"{layout.matches_parts_of_day(DAY)}/capture.parquet"
    assert layout.outcomes_part(DAY, "capture") == f"{layout.outcomes_parts_of_day(DAY)}/capture.parquet"


def test_outcomes_of_days_are_told_from_their_parts() -> None:
    assert layout.day_of_outcomes(layout.outcomes(DAY)) == DAY
    for key in (
        layout.outcomes_part(DAY, "capture"),
        "outcomes/notes.parquet",
        "outcomes/20251327.parquet",
        "matches/20251027.parquet",
    ):
        assert layout.day_of_outcomes(key) is None


def test_every_source_of_a_day_has_a_lock_of_its_own() -> None:
    sources = [(DAY, "capture"), (DAY, "file-ab"), (date(2025, 10, 28), "capture")]
    assert len({layout.source_lock(*source) for source in sources}) == 3
