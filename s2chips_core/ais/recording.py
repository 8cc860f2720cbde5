"""Recording windows as they come: waiting for each group, capturing it, going on to the next.

Not here: one group (`capture`), whose windows they are (`day`), when Dagster starts it (`s2chips_dagster.sensors`).
"""

import functools
import os
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from s2chips_core import layout
from s2chips_core.ais.capture import CONNECT_EARLY, SOURCE, Clock, Progress, capture_group, recover_journals
from s2chips_core.ais.connection_limit import default_folder
from s2chips_core.ais.dataset import claim_dataset
from s2chips_core.ais.windows import CaptureGroup, Window, group_windows
from s2chips_core.config import Settings
from s2chips_core.errors import AisKeyError, CaptureError
from s2chips_core.fetch import without_query
from s2chips_core.storage import Storage

TELL_EVERY = timedelta(minutes=10)
"""While a window is waited for."""


def utc_now() -> datetime:
    """The machine's time, aware UTC."""
    return datetime.now(UTC)


def record_windows(
    windows: Sequence[Window],
    *,
    settings: Settings,
    storage: Storage,
    clock: Clock,
    api_key: str | None,
    stop: threading.Event,
    progress: Progress = lambda text: None,
    meeting_folder: Path | None = None,
) -> None:
    """Record every window that has not closed yet: real AIS, waiting for each group of them in turn.

    Neither a group that could not be recorded nor one whose snapshots are still being written keeps later ones from it.
    Arguments and errors as in `day.record_day`.
    """
    url = without_query(settings.ais.url)
    to_come = [window for window in windows if window.end > clock()]
    nothing_yet = not any(_is_recorded(storage, day) for day in {window.day for window in windows})
    if not api_key and (to_come or (windows and nothing_yet)):
        raise AisKeyError(
            url,
            "AISSTREAM_API_KEY is not set: put a key from https://aisstream.io into .env or the environment "
            "(synthetic ships never stand in for real ones unasked)",
        )
    if to_come:
        _check_that_it_runs(clock, url, stop)
        claim_dataset(storage, {SOURCE})
    recover_journals(storage)
    captures: list[_Capture] = []
    for group in group_windows(to_come, settings.ais.linger_s):
        what = _in_words(group)
        _wait(
            group.start - CONNECT_EARLY,
            f"next window opens at {group.start:%Y-%m-%d %H:%M:%S} UTC, {what}",
            clock,
            stop,
            progress,
        )
        if stop.is_set():
            break
        progress(f"recording {what}, until {group.end:%H:%M:%S} UTC and {settings.ais.linger_s:g} s for late messages")
        work = functools.partial(
            capture_group,
            group,
            ais=settings.ais,
            storage=storage,
            clock=clock,
            api_key=api_key or "",
            stop=stop,
            meeting_folder=meeting_folder or default_folder(os.environ),
            progress=progress,
        )
        captures.append(_Capture(what, work, progress))
        try:
            captures[-1].listened.wait()
        except BaseException:  # an interrupt: nobody would end the thread later
            stop.set()
            raise
        if captures[-1].fault is not None:
            break
    for capture in captures:
        capture.join()
    for error in [*(one.fault for one in captures), *(one.failure for one in reversed(captures))]:
        if error is not None:
            raise error


class _Capture(threading.Thread):
    """One group's capture in a thread of its own: the next window may open while the snapshots of this one are written.

    A daemon: who interrupts the program a second time does not wait for it, and its journal is finished by the next start.
    """

    def __init__(self, what: str, work: Callable[..., object], progress: Progress) -> None:
        super().__init__(name="ais-capture", daemon=True)
        self._what, self._work, self._progress = what, work, progress
        self.listened = threading.Event()
        """The windows are over, or the capture has ended in another way."""
        self.failure: CaptureError | None = None
        """Nothing was recorded; the next windows may go better."""
        self.fault: BaseException | None = None
        """Why it makes no sense to go on."""
        self.start()

    def run(self) -> None:
        """Do the work, and keep what it ends with for the thread that waits."""
        try:
            self._work(listened=self.listened.set)
        except AisKeyError as error:
            self.fault = error
        except CaptureError as error:
            self.failure = error
            self._progress(f"nothing recorded of {self._what}: {error.problem}")
        except BaseException as error:  # noqa: BLE001 - raised again by the thread that waits
            self.fault = error
        finally:
            self.listened.set()


def _is_recorded(storage: Storage, day: date) -> bool:
    return bool(storage.list(layout.captures_of_day(day))) or any(
        layout.is_snapshot(key) for key in storage.list(layout.ais_folder(day))
    )


def _check_that_it_runs(clock: Clock, url: str, stop: threading.Event) -> None:
    before = clock()
    stop.wait(0.02)
    if clock() == before and not stop.is_set():
        raise CaptureError(
            url, f"the clock stands at {before:%Y-%m-%d %H:%M:%S} UTC (S2CHIPS_NOW): a capture needs one that runs"
        )


def _wait(until: datetime, what: str, clock: Clock, stop: threading.Event, progress: Progress) -> None:
    """Wait for a moment of the clock, which is looked at every second: it may be set while this waits."""
    told: datetime | None = None
    while (now := clock()) < until and not stop.is_set():
        if told is None or abs(now - told) >= TELL_EVERY:
            progress(f"{what}, in {_length(until - now)}")
            told = now
        stop.wait(min(1.0, (until - now).total_seconds()))


def _length(time: timedelta) -> str:
    seconds = round(time.total_seconds())
    if seconds < 120:
        return f"{seconds} s"
    if seconds < 7200:
        return f"{seconds // 60} min"
    return f"{seconds / 3600:.1f} h" if seconds < 172_800 else f"{seconds / 86_400:.1f} days"


def _in_words(group: CaptureGroup) -> str:
    tiles = sorted({window.tile_id for window in group.windows})
    return f"{', '.join(tiles[:3])}{f' and {len(tiles) - 3} more tiles' if len(tiles) > 3 else ''}"
