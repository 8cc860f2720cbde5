"""The sections of what is kept: `storage` (where results go), `prune` (which chips stay), `retention` (for how long).

The keys of a bucket are no settings: they come from the environment. Not here: what the results are called (`layout`).
"""

import re
from typing import Literal

from pydantic import Field, field_validator

from s2chips_core.sections.section import Days, Positive, Section

_BUCKET = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])((?:/(?!\.\.?(?:/|$))[\w.=+@,-]+)*)/?", re.ASCII)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
"""Also with one slash too few, which would be a folder of that name; one letter is a drive."""
_SERVICE = re.compile(r"https?://[\w.-]+(:\d+)?/?", re.ASCII)


class StorageSettings(Section):
    """Where results go."""

    dataset_root: str = Field("data", description="Folder of the dataset, or s3://bucket/prefix.")
    s3_endpoint: str | None = Field(None, description="S3 service of the dataset, http(s)://host[:port]; none: AWS.")
    s3_region: str | None = Field(None, description="Region of the dataset's bucket; none: AWS_REGION, else us-east-1.")
    s3_locks: Literal["conditional", "this_machine"] = Field(
        "conditional",
        description="How writers of a bucket are kept apart: by `conditional` writes, whatever machine they are on, or on "
        "`this_machine`, for a service that ignores conditions: then all runs must be on one machine.",
    )
    geotiff: Literal["gtiff", "cog"] = Field("gtiff", description="Plain tiled GeoTIFF, or Cloud-Optimized GeoTIFF.")
    compression: Literal["deflate", "zstd", "lzw", "none"] = Field("deflate", description="Compression of chips.")

    @field_validator("dataset_root")
    @classmethod
    def _known_scheme(cls, root: str) -> str:
        if ("://" in root or _SCHEME.match(root)) and _BUCKET.fullmatch(root) is None:
            raise ValueError("a folder, or s3://bucket/prefix without empty parts or '..'")
        return root

    @field_validator("s3_endpoint")
    @classmethod
    def _service(cls, endpoint: str | None) -> str | None:
        if endpoint is not None and _SERVICE.fullmatch(endpoint) is None:
            raise ValueError("http://host[:port] or https://host[:port]")
        return endpoint.rstrip("/") if endpoint else None

    @property
    def bucket(self) -> tuple[str, str] | None:
        """Bucket and prefix of the dataset; none when it is in a folder."""
        found = _BUCKET.fullmatch(self.dataset_root)
        return None if found is None else (found[1], (found[2] or "").strip("/"))


class Prune(Section):
    """What `prune` keeps."""

    time_tolerance_min: Positive = Field(
        10.0, description="Largest |scene time - AIS time| to the nearest recorded fix of the ship, minutes."
    )
    distance_tolerance_m: Positive = Field(
        500.0,
        description="Largest distance from the chip centre to recorded AIS, metres: to where it puts the ship at the "
        "sensing time, or to the nearest fix for chips that were cut as reported.",
    )


class Retention(Section):
    """How long things are kept that `housekeeping` may remove, in days; all: for ever."""

    ais_days: Days = Field(
        None,
        description="AIS of a day that has been chipped, and that no chip of today or in the trash needs; all: for ever.",
    )
    trash_days: Days = Field(
        None, description="Chips that prune took out; afterwards they cannot be put back; all: for ever."
    )
    journal_days: Days = Field(
        None, description="What a capture had heard that was killed and never finished; all: for ever."
    )
    report_days: Days = Field(None, description="Pages and views of days, which can be made again; all: for ever.")
    lock_days: Days = Field(30, description="Files or objects of locks that nobody has held for so long; all: for ever.")
    run_days: Days = Field(None, description="Ended runs of Dagster, with their events and logs; all: for ever.")
