"""Values on the command line: what a text must be, for the options of several commands.

Each takes the text and gives the value, or raises ArgumentTypeError, of which argparse makes wrong usage.
"""

import argparse
from datetime import date


def parse_day(text: str) -> date:
    """YYYY-MM-DD."""
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no day: expected YYYY-MM-DD") from error


def parse_count(text: str) -> int:
    """A whole number from 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no count: expected a whole number from 1")
    return int(text)
