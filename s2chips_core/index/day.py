"""The chips of one source of a day: from its matches to artefacts, index parts and outcomes.

Here: the calls. Not here: what still has to be cut and what stands (`day_run`), reading and judging pixels
(`chips.cutting`), the threads (`batch`), the journal and the removal of orphans (`commit`).
"""

import threading
from collections.abc import Callable
from datetime import date, datetime

from s2chips_core import layout
from s2chips_core.chips.cutting import cut_scenes
from s2chips_core.config import Settings
from s2chips_core.fetch import Fetcher
from s2chips_core.index.batch import Cut
from s2chips_core.index.day_result import DayResult, Progress
from s2chips_core.index.day_run import DayRun, Elsewhere, whole_ms
from s2chips_core.index.day_tables import put_day_tables
from s2chips_core.index.parts import COMMIT_LOCK
from s2chips_core.storage import Storage

__all__ = ["DayResult", "Progress", "chip_day", "write_day_tables"]


def chip_day(
    day: date,
    source_id: str,
    *,
    settings: Settings,
    storage: Storage,
    fetcher: Fetcher,
    clock: Callable[[], datetime],
    software_version: str,
    stop: threading.Event | None = None,
    progress: Callable[[Progress], None] | None = None,
    cut: Cut = cut_scenes,
    elsewhere: Elsewhere | None = None,
) -> DayResult:
    """Make the chips of one source of a day and commit them with the outcome of every target.

    Caps: chips that stand count first; then targets are tried in the order of `scene_datetime`, `chip_id`, as long as there
    are fewer chips than `Settings.limits.chips_cap`. The result does not depend on what is read first.

    Args:
        day: the AIS day.
        source_id: `layout.CAPTURE` or `layout.file_source(...)`.
        settings: the configuration.
        storage: the dataset; the matches of the source must be there.
        fetcher: reads the archive.
        clock: the time for `created_at`, aware UTC.
        software_version: goes into the index.
        stop: set it to give up.
        progress: told after every result.
        cut: reads chips, on this machine or on a cluster (`chips.cluster`).
        elsewhere: asked for the same scenes of another archive where this one has no files; none: those are missing.

    Raises:
        StorageError: the dataset cannot be read or written, or another process works on the same day and source.
        CancelledRunError: `stop` was set. What this run has written is deleted, the earlier commit stands.
    """
    with storage.lock(layout.source_lock(day, source_id)):
        run = DayRun(
            day=day,
            source_id=source_id,
            settings=settings,
            storage=storage,
            fetcher=fetcher,
            created_at=whole_ms(clock()),
            software_version=software_version,
            stop=stop,
            progress=progress,
            cut=cut,
            elsewhere=elsewhere,
        )
        return run.result()


def write_day_tables(day: date, storage: Storage) -> None:
    """Write the day's matches and outcomes: the union of the parts of its sources; with no parts, the table is removed."""
    with storage.lock(COMMIT_LOCK):
        put_day_tables(day, storage)
