"""The archives on loopback."""

from tests.archive_fixtures import archives, filled_archives, world

__all__ = ["archives", "filled_archives", "world"]
