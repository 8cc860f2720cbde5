"""What keys are put together from: names that may be one component, days, and the sources of a day.

Not here: any key.
"""

import re
from datetime import date

CAPTURE = "capture"
"""The source id of what was recorded around passes."""

_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def safe(name: str) -> str:
    """`name` if it can be one component of a key, else ValueError: letters, digits, `.`, `_`, `-`."""
    if not _SAFE.fullmatch(name):
        raise ValueError(f"{name!r} cannot be part of a key: expected letters, digits, '.', '_' or '-'")
    return name


def ymd(day: date) -> str:
    """`YYYYMMDD`."""
    return f"{day.year:04}{day:%m%d}"  # %Y has fewer digits before the year 1000


def day_of(ymd: str) -> date | None:
    """The day of a `YYYYMMDD`; none when there is no such day."""
    try:
        return date.fromisoformat(ymd) if re.fullmatch("[0-9]{8}", ymd) else None
    except ValueError:
        return None


def file_source(sha256_hex: str) -> str:
    """The source id of an AIS file, from the SHA-256 of its bytes."""
    return f"file-{sha256_hex[:12]}"
