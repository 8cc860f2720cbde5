"""What `s2chips doctor` makes of what it has measured: one finding a check, with its remedy. Pure.

Not here: measuring (`doctor`).
"""

import dataclasses
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Literal

from s2chips_core.config import Settings
from s2chips_dagster.run_config import KEY_VARIABLE

Verdict = Literal["ok", "warning", "failed", "skipped"]

GIB = 1 << 30
FEW_BYTES, LEAST_BYTES = 10 * GIB, 1 * GIB
"""A chip of four bands is 1 MiB before compression: room for some ten thousand, and for a thousand."""
BEAT_MOST_AGE = timedelta(minutes=5)
"""Dagster's daemons beat every 30 s; on a busy machine a beat may come late."""
CLOCK_WARN_S, CLOCK_FAIL_S = 3.0, 60.0
"""Windows and gaps of captures go by this machine's clock: seconds do no harm to a window of minutes, a minute does."""
SLOW_ARCHIVE_S = 5.0
_POOL = re.compile(r"HTTPS?ConnectionPool\(.*?Max retries exceeded with url: .*?\(Caused by (\w+)\(.*\)\)", re.DOTALL)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one check found."""

    check: str
    verdict: Verdict
    sentence: str
    remedy: str = ""
    """What to do; there is one for every warning and failure."""

    def __post_init__(self) -> None:
        if self.verdict in ("warning", "failed") and not self.remedy:
            raise ValueError(f"{self.check}: a {self.verdict} without a remedy")


def ok(check: str, sentence: str) -> Finding:
    """All is well."""
    return Finding(check=check, verdict="ok", sentence=sentence)


def skipped(check: str, sentence: str) -> Finding:
    """Not looked at, and why."""
    return Finding(check=check, verdict="skipped", sentence=sentence)


def warning(check: str, sentence: str, remedy: str) -> Finding:
    """Runs go on, but not as somebody may expect."""
    return Finding(check=check, verdict="warning", sentence=sentence, remedy=remedy)


def failed(check: str, sentence: str, remedy: str) -> Finding:
    """Runs will fail for it."""
    return Finding(check=check, verdict="failed", sentence=sentence, remedy=remedy)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """The last sign of life of one of Dagster's daemons."""

    daemon: str
    at: datetime | None
    """Aware UTC; none: it has never run."""
    errors: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ClockReading:
    """This machine's clock beside another's."""

    ahead_s: float
    """This clock minus the other, seconds."""
    uncertainty_s: float
    """The largest error of `ahead_s`."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SourceAnswer:
    """What the sources of one kind gave for a day."""

    what: str
    """Such as `orbital elements`."""
    key: str
    """The setting that names them."""
    usable: tuple[str, ...]
    """Satellites that can be planned with it."""
    missing: tuple[str, ...]
    notes: tuple[str, ...]
    """What went wrong, as planning says it."""


def judge_key(key: str | None, ais_source: str) -> Finding:
    """Whether there is a key of the AIS service; it is not shown, nor anything of it."""
    name = "ais key"
    if not key:
        if ais_source == "synthetic":
            return skipped(name, "ais.source is synthetic, which needs no key")
        return failed(
            name,
            f"{KEY_VARIABLE} is not set: no AIS can be recorded",
            f"put {KEY_VARIABLE}=… into .env (a free key: https://aisstream.io), then start Dagster again",
        )
    if key != key.strip().strip("'\""):
        return failed(
            name,
            f"{KEY_VARIABLE} is set, but has blanks or quotation marks around it",
            f"write the key in .env without them: {KEY_VARIABLE}=…",
        )
    return ok(name, f"{KEY_VARIABLE} is set")


def judge_disk(root: str, free_bytes: int, *, exists: bool) -> Finding:
    """A dataset root that can be written, by the space left on its disk."""
    where = root if exists else f"{root} (will be made)"
    said = f"{where} can be written, {free_bytes / GIB:.1f} GiB are free"
    if free_bytes >= FEW_BYTES:
        return ok("dataset", said)
    return Finding(
        check="dataset",
        verdict="warning" if free_bytes >= LEAST_BYTES else "failed",
        sentence=said,
        remedy="make room, or name a folder on another disk in storage.dataset_root (or S2CHIPS_DATASET_ROOT)",
    )


def judge_beats(home: str, beats: Sequence[Beat], now: datetime) -> Finding:
    """Whether Dagster's daemons run, by their heartbeats.

    Args:
        home: DAGSTER_HOME.
        beats: of every daemon that the instance needs.
        now: by the machine's clock, as the heartbeats are.
    """
    start = "start it with `make ui` (dagster dev), and leave it running"
    last = max((beat.at for beat in beats if beat.at is not None), default=None)
    still = [beat.daemon for beat in beats if beat.at is None or now - beat.at > BEAT_MOST_AGE]
    if len(still) == len(beats):
        since = "has never run" if last is None else f"has not run since {last:%Y-%m-%d %H:%M} UTC"
        return warning(
            "dagster",
            f"the daemon {since}: no schedule and no sensor does anything ({home})",
            start,
        )
    if still:
        return warning(
            "dagster",
            f"the daemon runs, but not its parts {', '.join(sorted(still))} ({home})",
            "stop it and " + start,
        )
    broken = [beat for beat in beats if beat.errors]
    if broken:
        first = (broken[0].errors[0].strip().splitlines() or ["an error without words"])[0]
        return warning(
            "dagster",
            f"the daemon runs, but {broken[0].daemon} reports: {first[:200]}",
            "look at Deployment → Daemons in the UI",
        )
    return ok("dagster", f"the daemon runs ({home})")


def read_clock(headers: Mapping[str, str], sent: datetime, received: datetime) -> ClockReading | None:
    """This machine's clock against the `Date` of an HTTP answer.

    Args:
        headers: of the answer. `Age` is how long a cache had it (RFC 9111, section 5.1), seconds.
        sent, received: when it was asked for and had, by this machine's clock, aware UTC.

    Returns:
        None where the answer has no date. A date has whole seconds and was made some time between sending and receiving.
    """
    try:
        there = parsedate_to_datetime(headers["Date"])
        age_s = int(headers.get("Age", "0"))
    except (KeyError, ValueError):
        return None
    # A date that ends in -0000 comes without a zone; it is UTC (RFC 5322, section 3.3).
    there = (there if there.tzinfo else there.replace(tzinfo=UTC)) + timedelta(seconds=age_s + 0.5)
    uncertainty_s = 0.5 + (received - sent).total_seconds() / 2 + (1.0 if age_s else 0.0)
    return ClockReading(
        ahead_s=(sent + (received - sent) / 2 - there).total_seconds(),
        uncertainty_s=uncertainty_s,
    )


def judge_clock(reading: ClockReading | None, moved: str, unread: str = "the archive's answer has no date") -> Finding:
    """This machine's clock.

    Args:
        reading: none: it was not compared.
        moved: how the environment moves the clock that runs see; empty: it does not.
        unread: why it was not compared.
    """
    if reading is not None:
        off_s = max(0.0, abs(reading.ahead_s) - reading.uncertainty_s)
        way = "ahead of" if reading.ahead_s > 0 else "behind"
        if off_s > CLOCK_WARN_S:
            return Finding(
                check="clock",
                verdict="failed" if off_s > CLOCK_FAIL_S else "warning",
                sentence=f"this machine is about {abs(reading.ahead_s):.0f} s {way} the archive; captures are off by it",
                remedy="set the clock, and keep it right by NTP (timedatectl set-ntp true)",
            )
    if moved:
        return warning(
            "clock",
            f"runs do not see this machine's clock: {moved} is set",
            f"unset {moved.partition('=')[0]}, unless this is the demo or a rehearsal",
        )
    if reading is None:
        return skipped("clock", f"not compared: {unread}")
    return ok("clock", f"within {max(abs(reading.ahead_s), reading.uncertainty_s):.1f} s of the archive's")


def judge_archive(endpoint: str, collection: str | None, seconds: float) -> Finding:
    """An archive that has answered, by how long it took; without a collection only its landing page was asked for."""
    said = f"{endpoint} {f'has {collection}' if collection else 'answers'}, after {seconds:.1f} s"
    if seconds <= SLOW_ARCHIVE_S:
        return ok("archive", said)
    return warning(
        "archive",
        said,
        "look at the network (proxy, DNS); if only this archive is slow, try again later",
    )


def judge_plan(day: date, overpasses: int | None, settings: Settings) -> Finding:
    """Whether there is a plan for tomorrow.

    Args:
        day: tomorrow, UTC.
        overpasses: rows of its plan; none: there is no plan.
        settings: what makes plans, and whether somebody is to be recorded.
    """
    if overpasses is not None:
        return ok("plan", f"tomorrow ({day}) has a plan: {overpasses} overpasses")
    if settings.satellite_tracking.source == "backfill":
        said = "satellite_tracking.source is backfill, which plans no day to come"
        if settings.ais.source != "aisstream":
            return skipped("plan", said)
        return warning(
            "plan",
            f"{said}: nothing will be recorded by itself",
            "set satellite_tracking.source to auto, unless only files and past days are chipped",
        )
    return warning(
        "plan",
        f"there is no plan for tomorrow ({day}): nothing will be recorded then",
        "launch plan_overpasses for today (its run names each source that failed), or leave the daemon running",
    )


def judge_sources(mode: str, answers: Sequence[SourceAnswer], day: date, *, left_out: bool) -> Finding:
    """What plans are made from, by the satellites it gives for tomorrow.

    Args:
        mode: `satellite_tracking.source`; `auto` has the repeat cycle to fall back on, if the archive answers.
        answers: of every kind that `mode` looks at.
        day: tomorrow, UTC.
        left_out: URLs among the sources were not asked (offline).
    """
    said = "; ".join(f"{one.what} of {', '.join(one.usable) or 'no satellite'}" for one in answers)
    lacking = [one for one in answers if one.missing]
    if not lacking:
        return ok("plan sources", f"for {day}: {said}")
    if left_out:
        return skipped("plan sources", f"URLs are not asked offline; files give {said}")
    notes = [note.rstrip(".") for one in lacking for note in one.notes]
    why = f" ({'; '.join(notes[:2])}{f'; and {len(notes) - 2} more' if len(notes) > 2 else ''})" if notes else ""
    nothing = not any(one.usable for one in answers)
    return Finding(
        check="plan sources",
        verdict="failed" if nothing and mode != "auto" else "warning",
        sentence=f"for {day}: {said}{why}",
        remedy=f"look at {' and '.join(f'satellite_tracking.{one.key}' for one in lacking)}"
        + ("; until then plans come from the repeat cycle" if nothing and mode == "auto" else ""),
    )


def shorten(text: str) -> str:
    """An error of HTTP without what urllib3 tells twice: which pool, which URL, which attempts.

    >>> shorten("page: HTTPSConnectionPool(host='h', port=443): Max retries exceeded with url: /v1 (Caused by E('x'))")
    'page: no answer (E)'
    """
    return _POOL.sub(r"no answer (\1)", text)


def format_findings(findings: Sequence[Finding]) -> str:
    """The table for people: a line for each check, its remedy below it, and the sum."""
    wide = max((len(one.check) for one in findings), default=0)
    lines = []
    for one in findings:
        lines.append(f"{one.check:<{wide}}  {one.verdict:<7}  {' '.join(one.sentence.split())}")
        if one.remedy:
            lines.append(f"{'':<{wide}}           → {one.remedy}")
    counts = Counter(one.verdict for one in findings)
    sums = [f"{counts[verdict]} {verdict}" for verdict in ("ok", "warning", "failed", "skipped") if counts[verdict]]
    return "\n".join([*lines, f"{len(findings)} checks: {', '.join(sums)}"]) + "\n"
