"""Spans of time: from a moment until before another, aware UTC.

Here: joining and subtracting them. Not here: who covers which (`combine`, `planning`).
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from datetime import time as time_of_day

Span = tuple[datetime, datetime]


def day_span(day: date) -> Span:
    """A UTC day."""
    start = datetime.combine(day, time_of_day.min, UTC)
    return start, start + timedelta(days=1)


def join_spans(spans: Sequence[Span]) -> list[Span]:
    """The same time in as few spans as possible, in order.

    >>> join_spans([(3, 5), (1, 3), (8, 9)])
    [(1, 5), (8, 9)]
    """
    joined: list[Span] = []
    for start, end in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(joined[-1][1], end)
        else:
            joined.append((start, end))
    return joined


def gaps_of(spans: Sequence[Span], span: Span) -> list[Span]:
    """What of `span` is in none of `spans`, in order.

    >>> gaps_of([(3, 5), (1, 3), (8, 9)], (2, 10))
    [(5, 8), (9, 10)]
    """
    found = []
    at = span[0]
    for start, end in [*join_spans(spans), (span[1], span[1])]:
        if at < min(start, span[1]):
            found.append((at, min(start, span[1])))
        at = max(at, end)
    return found


def overlap(spans: Sequence[Span], span: Span) -> bool:
    """Whether any of `spans` has a moment of `span`."""
    return any(start < span[1] and end > span[0] for start, end in spans)
