"""Keys of AIS: what was recorded, what is being recorded, and the rows of AIS files.

Not here: what became of the ships (`days`).
"""

import re
from datetime import date

from s2chips_core.layout.names import CAPTURE, day_of, safe, ymd


def ais_folders() -> str:
    """The AIS of all days."""
    return "ais"


def day_of_ais_key(key: str) -> date | None:
    """The day of what lies in an `ais_folder`; none for other keys below `ais_folders`."""
    folder = re.fullmatch(r"ais/([^/]+)/[^/]+", key)
    return day_of(folder[1]) if folder else None


def ais_folder(day: date) -> str:
    """All AIS snapshots of a day."""
    return f"ais/{ymd(day)}"


def ais_snapshot(day: date, tile_id: str, suffix: str = "parquet") -> str:
    """What was recorded around the overpass of one tile (`parquet` or `xlsx`)."""
    return f"{ais_folder(day)}/ais_overpass_{safe(tile_id)}.{suffix}"


def is_snapshot(key: str) -> bool:
    """Whether a key below an `ais_folder` is a snapshot of a tile."""
    return key.rpartition("/")[2].startswith("ais_overpass_")


def capture_record(day: date, capture_id: str) -> str:
    """What one capture recorded for the passes of a day: coverage, gaps, counts."""
    return f"{captures_of_day(day)}/{safe(capture_id)}.json"


def captures_of_day(day: date) -> str:
    """The records of all captures for the passes of a day."""
    return f"ais/captures/{ymd(day)}"


def capture_journals() -> str:
    """The journals of captures that have not ended, or were killed."""
    return "ais/journal"


def capture_journal(capture_id: str) -> str:
    """What a running capture has heard, as it comes; gone when the snapshots are written."""
    return f"{capture_journals()}/{safe(capture_id)}"


def ais_file(day: date, source_id: str) -> str:
    """The rows of an AIS file that belong to a day, as they were read."""
    return f"{ais_folder(day)}/ais_{safe(source_id)}.parquet"


def source_of_ais_key(key: str) -> str:
    """Whose fixes a key below an `ais_folder` has: the capture's, or a file's."""
    found = re.fullmatch(r"ais_(file-[^.]+)\.parquet", key.rpartition("/")[2])
    return found[1] if found else CAPTURE


def is_recorded_ais(key: str) -> bool:
    """Whether a key below an `ais_folder` is a table of fixes: a snapshot, or rows of an AIS file."""
    return key.endswith(".parquet") and key.rpartition("/")[2].startswith(("ais_overpass_", "ais_file-"))


def ais_file_note(source_id: str) -> str:
    """When a file was first read, which is the time of its rows that tell none; and under which names."""
    return f"ais/files/{safe(source_id)}.json"


def ais_file_report(source_id: str) -> str:
    """What became of each row of a file: CSV."""
    return f"reports/files/{safe(source_id)}.csv"
