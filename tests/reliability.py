"""How often a fault is provoked: a few times with every run of the tests, and often where S2CHIPS_RELIABILITY is set."""

import os


def often(usual: int, long: int) -> int:
    """`usual`, or `long` for the figures of docs/reliability.md."""
    return long if os.environ.get("S2CHIPS_RELIABILITY") else usual
