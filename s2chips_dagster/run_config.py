"""Run config: what a user may change for one run, with the configuration file's values as defaults.

The classes are made from the settings models, so that the Launchpad shows the same names, values and descriptions as the
file. Values are checked by the settings themselves, before any work starts (`Settings.override`).
"""

import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any, cast

import dagster as dg
from pydantic import BaseModel, Field, create_model

from s2chips_core.config import Settings

AIS = {"ais": ("source", "synthetic_ships_per_tile", "synthetic_seed")}
MATCHING = {
    "stac": ("cloud_cover_max", "search_window_hours", "max_dt_min"),
    "ais": ("position", "max_gap_min"),
    "limits": ("max_ships",),
}
CHIPPING = {
    "tiling": ("include_swir", "resample"),
    "masks": ("use_scl", "use_ndwi", "persist"),
    "gate": (
        "enabled",
        "center_window_px",
        "max_cloud_center_frac",
        "max_land_center_frac",
        "ndwi_water_thresh",
        "min_water_center_frac",
        "max_nodata_frac",
        "on_missing_scl",
    ),
    "limits": ("bind_chips_to_ships", "max_chips"),
}


def run_config(name: str, settings: Settings, sections: Mapping[str, Sequence[str]]) -> type[dg.Config]:
    """A Dagster config class with one nested class for each section.

    Args:
        name: the name of the class.
        settings: where the defaults come from.
        sections: section -> keys to offer.
    """
    fields: dict[str, Any] = {}
    for section, keys in sections.items():
        model = getattr(settings, section)
        nested = create_model(
            f"{name}{section.title()}",
            __base__=dg.Config,
            **cast(Any, {key: _field(type(model), key, getattr(model, key)) for key in keys}),
        )
        fields[section] = (nested, Field(default=nested(), description=(type(model).__doc__ or "").strip()))
    return cast(type[dg.Config], create_model(name, __base__=dg.Config, **fields))


def merge(*sections: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """Several selections of keys as one."""
    merged: dict[str, tuple[str, ...]] = {}
    for selection in sections:
        for section, keys in selection.items():
            merged[section] = (*merged.get(section, ()), *keys)
    return merged


def overrides(config: dg.Config) -> dict[str, dict[str, Any]]:
    """Section -> key -> value, as `Settings.override` takes it."""
    return {
        section: {key: getattr(value, key) for key in type(value).model_fields}
        for section in type(config).model_fields
        if isinstance(value := getattr(config, section), dg.Config)
    }


def _field(model: type[BaseModel], key: str, default: object) -> tuple[Any, Any]:
    annotation: Any = model.model_fields[key].annotation
    if isinstance(annotation, types.UnionType):
        annotation = typing.Union[typing.get_args(annotation)]  # noqa: UP007 - Dagster reads Optional, not X | None
    return annotation, Field(default=default, description=model.model_fields[key].description)
