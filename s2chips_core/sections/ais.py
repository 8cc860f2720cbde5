"""The section `ais`: who was there, by recordings and by files.

The key of the service is no setting: it comes from the environment. Not here: how far a chip may be from AIS (`storage`).
"""

from typing import Annotated, Literal, get_args
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from s2chips_core.sections.section import LOOPBACK, Section, without_login

AisMessageType = Literal[
    "PositionReport",
    "StandardClassBPositionReport",
    "ExtendedClassBPositionReport",
    "LongRangeAisBroadcastMessage",
    "ShipStaticData",
    "StaticDataReport",
]
AisColumn = Literal[
    "mmsi",
    "lat",
    "lon",
    "overpass_time",
    "captured_time",
    "source",
    "notes",
    "sog",
    "cog",
    "heading",
    "ship_name",
    "ship_type",
    "length",
    "width",
    "to_bow",
    "to_stern",
    "to_port",
    "to_starboard",
]


class Ais(Section):
    """Who was there."""

    source: Literal["aisstream", "synthetic"] = Field(
        "aisstream",
        description="Real AIS from aisstream.io, or synthetic fixes (marked so everywhere, for trials only).",
    )
    synthetic_ships_per_tile: int = Field(25, ge=0, le=10_000, description="How many ships synthetic AIS puts on a tile.")
    synthetic_seed: int = Field(20251027, ge=0, description="Seed of the synthetic ships: same seed, same ships.")
    window_min: float = Field(5.0, gt=0, le=60, description="Recording time each side of the overpass, minutes.")
    url: str = Field(
        "wss://stream.aisstream.io/v0/stream",
        pattern=r"^wss?://",
        description="WebSocket of the AIS service; plain ws:// only on this machine.",
    )
    message_types: tuple[AisMessageType, ...] = Field(
        get_args(AisMessageType),
        min_length=1,
        description="AIS messages to subscribe to: positions, and what ships say of themselves.",
    )
    linger_s: float = Field(
        150.0, ge=0, le=900, description="Listening on after a window: messages arrive up to 2 min late, seconds."
    )
    batch_size: int = Field(
        10_000, ge=1, le=1_000_000, description="Messages that are written to the journal at once, if not sooner by time."
    )
    flush_interval_s: float = Field(
        5.0, gt=0, le=300, description="Longest time a message waits for the journal: what a crash can lose, seconds."
    )
    reconnect_initial_s: float = Field(1.0, gt=0, le=60, description="First wait before connecting again, seconds.")
    reconnect_max_s: float = Field(60.0, gt=0, le=900, description="Longest wait before connecting again, seconds.")
    silence_timeout_s: float = Field(
        60.0, gt=0, le=900, description="A connection that delivers nothing for so long is given up, seconds."
    )
    max_connections: int = Field(
        2, ge=1, le=3, description="Connections at once from this machine; the service allows each user two or three."
    )
    position: Literal["at_sensing_time", "as_reported"] = Field(
        "at_sensing_time", description="Centre captured ships where they were when the tile was sensed, or as reported."
    )
    max_gap_min: float = Field(
        15.0,
        gt=0,
        le=720,
        description="Largest time from the sensing time to the nearest fix, minutes; beyond: refused.",
    )
    columns: dict[AisColumn, Annotated[str, Field(pattern=r"\S")]] = Field(
        {},
        description="Which column of an AIS file is which, where its titles are not among those that are understood by "
        "themselves: name -> title, such as {overpass_time: Seen at}.",
    )
    inbox: str | None = Field(
        "inbox",
        min_length=1,
        description="Folder whose AIS files are chipped, each once; a relative one is beside the dataset folder. null = no "
        "inbox.",
    )

    @property
    def titles(self) -> dict[str, str]:
        """`columns`, by plain names."""
        return {str(name): title for name, title in self.columns.items()}

    @model_validator(mode="after")
    def _safe_and_ordered(self) -> "Ais":
        if self.reconnect_max_s < self.reconnect_initial_s:
            raise ValueError(f"reconnect_max_s ({self.reconnect_max_s:g}) from {self.reconnect_initial_s:g} up")
        if self.url.startswith("ws://") and urlsplit(self.url).hostname not in LOOPBACK:
            # The key travels in the first message.
            raise ValueError(f"wss:// in url, or a host of this machine ({', '.join(LOOPBACK)}), it is {self.url}")
        return self

    @field_validator("url")
    @classmethod
    def _no_login(cls, url: str) -> str:
        return without_login(url)
