"""When an AIS feed was listened to, and what that leaves of each window: covered seconds and gaps.

Pure bookkeeping, in terms of the clock that the windows are in, and of when messages arrived: as they come up to two minutes
late, what is lost in a gap was said a little before it. Not here: listening (`aisstream`), the record that is kept
(`capture_record`).

**An empty sea and a dead feed look alike.** Connections to the service are known to stay open, with the subscription
confirmed and pings answered, and to deliver nothing, for minutes or days; over an empty sea that is also how it should be.
So a silence is judged by what the same capture has heard in all. At the rate of its messages over all its connections,
ships would have said `SILENCE_EXPECTED` messages in that time or more, and said none (a chance of e⁻⁵ or less if they speak
independently): then the feed was dead, and the silence is a gap. Where less was to be expected it is a quiet sea, and
listened to. A capture that heard nothing at all has no rate to judge by: none of it counts as listened to, since nothing
shows that the feed delivered.
"""

import dataclasses
import itertools
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from s2chips_core.ais.capture_record import Gap, PassRecord
from s2chips_core.ais.windows import Window

SILENCE_EXPECTED = 5.0
"""A silence in which so many messages were to be expected is none of the sea's."""
LATE_START = "late start"
SILENCE = "silence"
NOTHING_HEARD = "no message at all: an empty sea or a dead feed"

_Interval = tuple[datetime, datetime]


@dataclasses.dataclass(slots=True, kw_only=True)
class Span:
    """One connection, from its subscription to its end."""

    start: datetime
    end: datetime
    """So far."""
    messages: int = 0
    lulls: list[_Interval] = dataclasses.field(default_factory=list)
    """Silences of at least `lull_s`, without the one that may be going on."""
    last: datetime
    """When the last message was heard, or `start`."""
    before: str | None = None
    """Why there was no connection before; None: no attempt had failed."""

    def all_lulls(self, lull_s: float) -> list[_Interval]:
        """With the one at the end."""
        if (self.end - self.last).total_seconds() < lull_s:
            return self.lulls
        return [*self.lulls, (self.last, self.end)]


class Coverage:
    """What one capture listened to. One thread writes; `to_dict` may be called from another."""

    def __init__(self, begun: datetime, lull_s: float) -> None:
        """
        Args:
            begun: when the capture began to try.
            lull_s: silences shorter than this are never looked at, seconds.
        """
        self.begun, self.lull_s = begun, lull_s
        self.spans: list[Span] = []
        self.problem: str | None = None
        """Why there is no connection now; None: there is one, or no attempt has failed yet."""

    @property
    def messages(self) -> int:
        """Heard in all."""
        return sum(span.messages for span in self.spans)

    def opened(self, at: datetime) -> None:
        """A connection has subscribed."""
        self.spans.append(Span(start=at, end=at, last=at, before=self.problem))
        self.problem = None

    def heard(self, at: datetime) -> None:
        """A message came."""
        span = self.spans[-1]
        if (at - span.last).total_seconds() >= self.lull_s:
            span.lulls.append((span.last, at))
        span.messages += 1
        span.last = span.end = max(at, span.last)

    def alive(self, at: datetime) -> None:
        """The connection stands, whether or not anything came."""
        span = self.spans[-1]
        span.end = max(at, span.end)

    def lost(self, reason: str) -> None:
        """There is no connection, and this is why: it ended, or could not be made."""
        self.problem = reason

    def ended_dead(self, most_s: float, reason: str) -> None:
        """The line was cut: what the last connection heard is sure, and at most `most_s` before its end are not."""
        span = self.spans[-1]
        span.end = max(span.last, span.end - timedelta(seconds=most_s))
        self.problem = reason

    def listened(self) -> list[_Interval]:
        """The times in which the feed was listened to, in order, each moment once: the clock may have been set back."""
        silences = set(self._silences())
        pieces: list[_Interval] = []
        for span in self.spans if self.messages else ():
            at = span.start
            for lull in span.all_lulls(self.lull_s):
                if lull in silences:
                    pieces.append((at, lull[0]))
                    at = lull[1]
            pieces.append((at, span.end))
        joined: list[_Interval] = []
        for start, end in sorted(piece for piece in pieces if piece[1] > piece[0]):
            if joined and start <= joined[-1][1]:
                joined[-1] = joined[-1][0], max(end, joined[-1][1])
            else:
                joined.append((start, end))
        return joined

    def quiet_s(self) -> float:
        """Seconds of silence that are taken for a quiet sea's."""
        lulls = _length_s(lull for span in self.spans for lull in span.all_lulls(self.lull_s))
        return lulls - _length_s(self._silences()) if self.messages else 0.0

    def pass_record(self, window: Window, ended: str, *, fixes: int, ships: int) -> PassRecord:
        """How a window was recorded.

        Args:
            window: the window.
            ended: why nothing was listened to after the last connection, where no other reason is known.
            fixes: recorded in the window.
            ships: that they are of.
        """
        listened = [piece for each in self.listened() if (piece := _clip(each, window))]
        gaps: list[Gap] = []
        at = window.start
        for start, end in [*listened, (window.end, window.end)]:
            if start > at:
                gaps += self._explained(at, start, ended)
            at = max(at, end)
        return PassRecord(window=window, covered_s=round(_length_s(listened), 3), gaps=tuple(gaps), fixes=fixes, ships=ships)

    def to_dict(self) -> dict[str, Any]:
        """Values that JSON takes."""
        return {
            "begun": self.begun.isoformat(),
            "lull_s": self.lull_s,
            "problem": self.problem,
            "spans": [
                {
                    "start": span.start.isoformat(),
                    "end": span.end.isoformat(),
                    "last": span.last.isoformat(),
                    "messages": span.messages,
                    "before": span.before,
                    "lulls": [[start.isoformat(), end.isoformat()] for start, end in list(span.lulls)],
                }
                for span in list(self.spans)
            ],
        }

    @classmethod
    def from_dict(cls, tree: dict[str, Any]) -> "Coverage":
        """That of `to_dict`; KeyError, TypeError or ValueError when it is none."""
        coverage = cls(_time(tree["begun"]), float(tree["lull_s"]))
        coverage.problem = tree["problem"]
        coverage.spans = [
            Span(
                start=_time(span["start"]),
                end=_time(span["end"]),
                last=_time(span["last"]),
                messages=int(span["messages"]),
                before=span["before"],
                lulls=[(_time(start), _time(end)) for start, end in span["lulls"]],
            )
            for span in tree["spans"]
        ]
        return coverage

    def _silences(self) -> list[_Interval]:
        connected_s = _length_s((span.start, span.end) for span in self.spans)
        rate = self.messages / connected_s if connected_s > 0 else 0.0
        lulls = (lull for span in self.spans for lull in span.all_lulls(self.lull_s))
        return [lull for lull in lulls if _length_s([lull]) * rate >= SILENCE_EXPECTED]

    def _explained(self, start: datetime, end: datetime, ended: str) -> list[Gap]:
        """A time that was not listened to, cut where its reason changes."""
        reasons: list[tuple[datetime, str]] = [(datetime.min.replace(tzinfo=UTC), LATE_START)]
        spans = sorted(self.spans, key=lambda span: span.start)
        if spans:
            reasons.append((self.begun, spans[0].before or LATE_START))
            for span, after in zip(spans, [*spans[1:], None], strict=True):
                reasons.append((span.start, SILENCE if self.messages else NOTHING_HEARD))
                reasons.append((span.end, (self.problem or ended) if after is None else (after.before or SILENCE)))
        else:
            reasons.append((self.begun, self.problem or ended))
        # One that begins before the one before it, by a clock that was set back, holds from there on.
        since_when = itertools.accumulate((since for since, _ in reasons), max)
        reasons = [(since, reason) for since, (_, reason) in zip(since_when, reasons, strict=True)]
        gaps: list[Gap] = []
        for (since, reason), (until, _) in zip(reasons, [*reasons[1:], (end, "")], strict=True):
            a, b = max(since, start), min(max(until, since), end)
            if b <= a:
                continue
            if gaps and gaps[-1].reason == reason:
                gaps[-1] = dataclasses.replace(gaps[-1], end=b)
            else:
                gaps.append(Gap(start=a, end=b, reason=reason))
        return gaps


def _clip(piece: _Interval, window: Window) -> _Interval | None:
    start, end = max(piece[0], window.start), min(piece[1], window.end)
    return (start, end) if end > start else None


def _length_s(pieces: Iterable[_Interval]) -> float:
    return sum((end - start).total_seconds() for start, end in pieces)


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
