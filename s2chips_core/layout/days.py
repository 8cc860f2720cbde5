"""Keys of what became of the ships of a day: matches and outcomes, and the parts that the sources own."""

import re
from datetime import date

from s2chips_core.layout.names import day_of, safe, ymd


def matches(day: date) -> str:
    """The matches of a day, all sources."""
    return f"matches/{ymd(day)}.parquet"


def matches_part(day: date, source_id: str) -> str:
    """The matches of one source of a day."""
    return f"matches/parts/{ymd(day)}/{safe(source_id)}.parquet"


def matches_parts_of_day(day: date) -> str:
    """The matches parts of a day."""
    return f"matches/parts/{ymd(day)}"


def outcomes_folder() -> str:
    """The outcomes of all days, and their parts."""
    return "outcomes"


def outcomes(day: date) -> str:
    """The outcomes of a day, all sources."""
    return f"outcomes/{ymd(day)}.parquet"


def day_of_outcomes(key: str) -> date | None:
    """The day of an `outcomes` key; none for any other key below `outcomes_folder`."""
    found = re.fullmatch(r"outcomes/([^/]+)\.parquet", key)
    return day_of(found[1]) if found else None


def outcomes_part(day: date, source_id: str) -> str:
    """The outcomes of one source of a day."""
    return f"outcomes/parts/{ymd(day)}/{safe(source_id)}.parquet"


def outcomes_parts_of_day(day: date) -> str:
    """The outcomes parts of a day."""
    return f"outcomes/parts/{ymd(day)}"


def source_lock(ais_day: date, source_id: str) -> str:
    """The name of the lock that a run of a source of a day holds from its first decision to its commit."""
    return f"day-{ymd(ais_day)}-{safe(source_id)}"
