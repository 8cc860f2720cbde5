"""The section `satellite_tracking`: when the satellites pass, and over what.

Not here: from when to when AIS is recorded (`ais`).
"""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from s2chips_core.sections.section import Section

TileName = Annotated[str, Field(pattern=r"^([1-9]|0[1-9]|[1-5]\d|60)[C-HJ-NP-X][A-HJ-NP-Z][A-HJ-NP-V]$")]


class Area(Section):
    """A named longitude/latitude box; `west` > `east` crosses the antimeridian."""

    name: str = Field(description="What people call it.")
    west: float = Field(ge=-180, le=180, description="Western edge, degrees east.")
    south: float = Field(ge=-90, le=90, description="Southern edge, degrees north.")
    east: float = Field(ge=-180, le=180, description="Eastern edge, degrees east.")
    north: float = Field(ge=-90, le=90, description="Northern edge, degrees north.")

    @model_validator(mode="after")
    def _ordered(self) -> "Area":
        if self.south >= self.north:
            raise ValueError(f"south ({self.south}) below north ({self.north})")
        return self


class SatelliteTracking(Section):
    """When the satellites pass."""

    source: Literal["backfill", "tle", "acquisition_plan", "auto"] = Field(
        "backfill",
        description="Where the overpass plan comes from: `backfill` takes real scenes of the archive as the schedule, "
        "`tle` and `acquisition_plan` look ahead, `auto` takes ESA's plan where it covers, else a fresh TLE, else the "
        "repeat cycle.",
    )
    satellites: tuple[Literal["S2A", "S2B", "S2C"], ...] = Field(
        ("S2A", "S2B", "S2C"), min_length=1, description="Which satellites to plan for."
    )
    tiles: tuple[TileName, ...] = Field((), description="MGRS tiles to watch, such as 30STF.")
    areas: tuple[Area, ...] = Field((), description="Named boxes to watch; every tile that touches one is watched.")
    horizon_days: int = Field(
        10,
        ge=1,
        le=60,
        description="How far ahead the plan reaches, days; `backfill` has no future and does not look at it.",
    )
    max_tle_age_days: float = Field(
        14.0, gt=0, le=60, description="Largest time from a TLE's epoch to the pass, days; beyond: refused with its age."
    )
    tle_sources: tuple[str, ...] = Field(
        ("https://celestrak.org/NORAD/elements/gp.php?GROUP=resource&FORMAT=json",),
        description="Where orbital elements come from: file paths or URLs of TLE or OMM (JSON, CSV, XML) texts.",
    )
    acquisition_plan_sources: tuple[str, ...] = Field(
        ("https://sentinels.copernicus.eu/copernicus/sentinel-2/acquisition-plans",),
        description="Where ESA's acquisition plans come from: file paths or URLs of KML, or of a page that links to it.",
    )
    cache_hours: float = Field(
        12.0, ge=2, le=240, description="How long a fetched TLE or plan is used before it is asked for again, hours."
    )
    backfill_days: int = Field(7, ge=1, le=365, description="How far back `predict-overpasses` looks unless told, days.")

    @model_validator(mode="after")
    def _somewhere(self) -> "SatelliteTracking":
        if not self.tiles and not self.areas:
            raise ValueError("at least one tile or one area")
        return self
