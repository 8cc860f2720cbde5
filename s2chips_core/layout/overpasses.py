"""Keys of what is known of passes: the plan of a day, and what it was made from."""

from datetime import date

from s2chips_core.layout.names import safe, ymd


def plan(day: date) -> str:
    """The overpass plan of a day."""
    return f"plan/overpasses_{ymd(day)}.parquet"


def plan_swaths(day: date) -> str:
    """What the satellites see on a day, as far as the plan knows: GeoJSON."""
    return f"plan/swaths_{ymd(day)}.geojson"


def plan_notes(day: date) -> str:
    """What a reader of a day's plan must know: refused sources, disagreements, a satellite that was moved."""
    return f"plan/notes_{ymd(day)}.json"


def plan_cache(source_sha: str) -> str:
    """A TLE text or acquisition plan as it was fetched, named after its source."""
    return f"plan/cache/{safe(source_sha)}"
