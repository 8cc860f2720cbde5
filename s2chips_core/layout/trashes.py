"""Keys of pruning: what it would remove, and the trashes that hold what it has removed."""

from datetime import UTC, datetime

from s2chips_core.layout.index import journals_folder
from s2chips_core.layout.names import safe


def prune_proposal(suffix: str) -> str:
    """What the last dry run of pruning would remove, and every chip that it judged (`parquet` or `csv`)."""
    return f"prune/proposal.{suffix}"


def trash_folder() -> str:
    """All trashes."""
    return "trash"


def trash_id(now: datetime, number: int = 1) -> str:
    """The name of a trash: when it was filled, UTC, to the second; `number` tells those of one second apart."""
    return f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}" + (f"-{number}" if number > 1 else "")


def trash(trash_id: str) -> str:
    """One trash."""
    return f"{trash_folder()}/{safe(trash_id)}"


def in_trash(trash_id: str, key: str) -> str:
    """Where something of the dataset lies in a trash: under its own key."""
    return f"{trash(trash_id)}/{key}"


def trash_journal(trash_id: str) -> str:
    """What a trash holds, since when and why; written last, when all is there."""
    return f"{trash(trash_id)}/journal.json"


def trash_table(trash_id: str) -> str:
    """Why each chip of a trash was removed, with the numbers."""
    return f"{trash(trash_id)}/pruned.parquet"


def move_journal(trash_id: str) -> str:
    """What is on its way into a trash or out of it; gone when it has arrived."""
    return f"{journals_folder()}/trash-{safe(trash_id)}.json"


def is_move_journal(key: str) -> bool:
    """Whether a key below `journals_folder` is a `move_journal`."""
    return key.startswith(f"{journals_folder()}/trash-")
