"""Daily partitions, UTC, key YYYY-MM-DD: the day that AIS was recorded. Today is one of them."""

from datetime import date

import dagster as dg


def daily(first_day: date) -> dg.DailyPartitionsDefinition:
    """All days from `first_day` to today."""
    return dg.DailyPartitionsDefinition(start_date=first_day.isoformat(), timezone="UTC", end_offset=1)


def day_of(partition_key: str) -> date:
    """The day a partition key names."""
    return date.fromisoformat(partition_key)
