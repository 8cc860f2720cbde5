"""The sections of the configuration: every key with its type, limits, default and description.

Frozen pydantic models, extra keys refused; the unit is in the name where there is one. One module for each subject, and all
of them are imported from here. Not here: how they become one tree, the file and what overrides it (`config`).
"""

from s2chips_core.sections.ais import Ais, AisColumn
from s2chips_core.sections.chip import CLAY10, Band, Gate, Masks, Splits, Tiling
from s2chips_core.sections.runs import Compute, Limits, Scheduling
from s2chips_core.sections.satellite_tracking import Area, SatelliteTracking
from s2chips_core.sections.section import ALL, LOOPBACK, Section
from s2chips_core.sections.stac import ASSET_HOSTS, PROVIDER_NAMES, ProviderName, Stac
from s2chips_core.sections.storage import Prune, Retention, StorageSettings

__all__ = [
    "ALL",
    "ASSET_HOSTS",
    "CLAY10",
    "LOOPBACK",
    "PROVIDER_NAMES",
    "Ais",
    "AisColumn",
    "Area",
    "Band",
    "Compute",
    "Gate",
    "Limits",
    "Masks",
    "ProviderName",
    "Prune",
    "Retention",
    "SatelliteTracking",
    "Scheduling",
    "Section",
    "Splits",
    "Stac",
    "StorageSettings",
    "Tiling",
]
