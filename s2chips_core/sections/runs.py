"""The sections of runs: `limits` (how much one does), `scheduling` (when they start), `compute` (what does the work).

Not here: how long Dagster keeps runs that have ended (`storage`).
"""

from datetime import date

from pydantic import Field

from s2chips_core.sections.section import Cap, Section


class Limits(Section):
    """How much one run does."""

    max_ships: Cap = Field(None, description="Most AIS targets a run tries, or all.")
    bind_chips_to_ships: bool = Field(True, description="The chips cap is the ships cap; `max_chips` is not looked at.")
    max_chips: Cap = Field(None, description="Most chips a run makes, if they are not bound to ships, or all.")

    @property
    def chips_cap(self) -> int | None:
        """The cap on chips that holds."""
        return self.max_ships if self.bind_chips_to_ships else self.max_chips


class Scheduling(Section):
    """When things run."""

    lag_days: int = Field(3, ge=0, le=60, description="Chip a day this many days later, when L2A is published.")
    give_up_days: int = Field(14, ge=0, le=365, description="Until then a ship without a scene is pending, not lost.")
    first_day: date = Field(date(2015, 6, 23), description="First daily partition (Sentinel-2A's launch).")
    capture_lead_s: float = Field(
        150.0, ge=0, le=3600, description="A capture run is started at least this long before its window opens, seconds."
    )
    weekly_plan_cron: str = Field("0 3 * * 1", description="When `weekly_overpass_plan` plans the horizon, cron, UTC.")
    chipping_cron: str = Field("0 6 * * *", description="When `lagged_chipping` looks for days to chip, cron, UTC.")
    periodic_ais_cron: str = Field("0 * * * *", description="When `periodic_ais_capture` records, cron, UTC.")
    prune_cron: str = Field("0 2 * * *", description="When `nightly_prune` removes what AIS does not vouch for, cron, UTC.")
    housekeeping_cron: str = Field("30 4 * * 0", description="When `weekly_housekeeping` removes what is old, cron, UTC.")
    late_scene_interval_s: int = Field(
        900, ge=1, le=86_400, description="How often `late_scene_sensor` asks the archive for late scenes, seconds."
    )


class Compute(Section):
    """What machines do the work."""

    workers: int = Field(64, ge=1, le=256, description="Requests in flight while reading pixels.")
    memory_mb: int = Field(
        512,
        ge=16,
        le=1 << 20,
        description="Megabytes that pixels may take on their way: in flight, decoded, and chips that are not written yet.",
    )
    dask_scheduler: str | None = Field(
        None,
        pattern=r"^(tcp|tls)://[\w.-]+:\d+$",
        description="Dask cluster that reads the pixels, tcp://host:port or tls://host:port; none: this machine.",
    )
    whole_blocks: bool = Field(
        False,
        description="Fetch every block of a file whole and compare its checksum, also where its first rows would do: about "
        "two fifths more bytes. For a way to the archive on which bytes may change unnoticed, which over https they do not.",
    )
