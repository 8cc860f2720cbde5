"""Run config: what a user may change for one run, with the configuration file's values as defaults.

The classes are made from the settings models, so that the Launchpad shows the same names, values and descriptions as the
file. Values are checked by the settings themselves (`Settings.override`): those of all steps when a run begins
(`refuse_bad_values`).
"""

import types
import typing
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Optional, cast

import dagster as dg
from pydantic import BaseModel, Field, create_model

from s2chips_core.config import Settings
from s2chips_core.errors import ConfigError
from s2chips_core.sections import ALL

if TYPE_CHECKING:
    from s2chips_core.ais.windows import CaptureGroup, Window

KEY_VARIABLE = "AISSTREAM_API_KEY"
"""The key of the AIS service is in the environment only: run config is stored as plain text."""
KEY_MISSING = f"{KEY_VARIABLE} is not set: put it into .env and start Dagster again; nothing is recorded without it"


def not_real_ais(source: str) -> str:
    """Why nothing is recorded by itself with this `ais.source`, and what to do."""
    return (
        f"ais.source is {source}: continuous capture is of real AIS only; for that set it to aisstream and put "
        f"{KEY_VARIABLE} into .env, for a day of synthetic ships launch run_day"
    )


AIS = {"ais": ("source", "synthetic_ships_per_tile", "synthetic_seed")}
MATCHING = {
    "stac": ("cloud_cover_max", "search_window_hours", "max_dt_min"),
    "ais": ("position", "max_gap_min"),
    "limits": ("max_ships",),
}
CHIPPING = {
    "tiling": ("band_profile", "include_swir", "resample"),
    "masks": ("use_scl", "use_ndwi", "persist"),
    "gate": (
        "enabled",
        "center_window_px",
        "max_cloud_center_frac",
        "max_land_center_frac",
        "ndwi_water_thresh",
        "min_water_center_frac",
        "cloud_classes",
        "land_classes",
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


class CaptureWindow(dg.Config):
    """One pass over one tile, and from when to when AIS is recorded for it."""

    tile_id: str = Field(description="MGRS tile, such as 30STF.")
    satellite: str = Field(default="", description="S2A, S2B or S2C; empty for a recording that belongs to no pass.")
    overpass_time: Optional[str] = Field(  # noqa: UP045 - Dagster reads Optional, not X | None
        default=None, description="When the tile is sensed, ISO 8601; none for a recording that belongs to no pass."
    )
    start: str = Field(description="From then on, ISO 8601.")
    end: str = Field(description="Until then, ISO 8601.")


def capture_config(settings: Settings) -> type[dg.Config]:
    """The run config of `ais_snapshots`: settings, and the windows that a sensor or schedule asks for."""
    windows: Any = Field(
        default=[],
        description="What to record. Filled in by overpass_capture_sensor and periodic_ais_capture; empty: every window of "
        "the day's plan that has not closed yet.",
    )
    recover = Field(default=False, description="Record nothing; only finish captures that were killed, from their journals.")
    base: Any = run_config("AisSettings", settings, AIS)
    made = create_model("AisConfig", __base__=base, windows=(list[CaptureWindow], windows), only_recover=(bool, recover))
    return cast(type[dg.Config], made)


def capture_run_config(windows: "Sequence[Window]") -> dict[str, Any]:
    """The run config of a capture of these windows."""
    return {"ops": {"ais_snapshots": {"config": {"windows": [window.to_dict() for window in windows]}}}}


RECOVERY_RUN_CONFIG = {"ops": {"ais_snapshots": {"config": {"only_recover": True}}}}


def capture_group(windows: Sequence[CaptureWindow], origin: str = "run config") -> "CaptureGroup | None":
    """The windows of a run as the group to record; none for none. `origin`: what to call it in an error.

    Raises:
        ConfigError: a time is none, or a window ends before it begins.
    """
    from s2chips_core.ais.windows import CaptureGroup, Window

    group: list[Window] = []
    for number, asked in enumerate(windows):
        key = f"windows[{number}]"
        try:
            window = Window.from_dict(asked.model_dump())
        except ValueError as error:
            raise ConfigError(origin, key, asked.model_dump(), f"times in ISO 8601 ({error})") from error
        if window.end <= window.start:
            raise ConfigError(origin, key, asked.model_dump(), "an end after the start")
        group.append(window)
    group.sort(key=lambda window: (window.start, window.tile_id, window.satellite))
    return CaptureGroup(windows=tuple(group)) if group else None


def refuse_bad_values(config: Mapping[str, Any], settings: Settings) -> list[str]:
    """Check what a run was given for all of its steps, before the first of them starts.

    Types were checked by Dagster already; bounds, and what goes together, only the settings know.

    Args:
        config: the run's own, as it was launched.
        settings: of the file.

    Returns:
        Warnings: values that are not looked at.

    Raises:
        ConfigError: a value is not allowed; it names the step and the key.
    """
    warnings = []
    for step, given in (config.get("ops") or {}).items():
        values = _plain_tree(given.get("config") if isinstance(given, Mapping) else None)
        sections = {name: each for name, each in values.items() if name in Settings.model_fields}
        origin = f"run config of {step}"
        chosen = settings.override(sections, origin)
        given_cap = sections.get("limits", {}).get("max_chips") is not None  # `all` is the Launchpad's own, and no cap
        if chosen.limits.bind_chips_to_ships and given_cap and chosen.limits.max_chips is not None:
            warnings.append(
                f"{origin}: limits.max_chips ({chosen.limits.max_chips}) is not looked at: limits.bind_chips_to_ships is on"
            )
        if windows := values.get("windows"):
            capture_group([CaptureWindow(**each) for each in windows], origin)
    return warnings


def _plain_tree(values: Any) -> dict[str, Any]:
    """Without values that are in an environment variable: they are known, and checked, when their step starts."""
    if not isinstance(values, Mapping):
        return {}
    return {
        key: _plain_tree(value) if isinstance(value, Mapping) else value
        for key, value in values.items()
        if not (isinstance(value, Mapping) and set(value) == {"env"})
    }


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


def _plain_type(annotation: Any) -> Any:
    """`int` of a bounded int: the settings hold the bounds."""
    return typing.get_args(annotation)[0] if typing.get_origin(annotation) is typing.Annotated else annotation


def _field(model: type[BaseModel], key: str, default: object) -> tuple[Any, Any]:
    annotation: Any = model.model_fields[key].annotation
    if typing.get_origin(annotation) in (types.UnionType, typing.Union):
        # The Launchpad leaves out defaults that are null: a cap must be there to be seen. The settings check it.
        annotation, default = Any, ALL if default is None else default
    elif typing.get_origin(annotation) is dict:
        annotation = dict[str, str]  # whose names and texts the settings check
    elif typing.get_origin(annotation) is tuple:
        annotation, default = list[_plain_type(typing.get_args(annotation)[0])], list(cast(Any, default))  # type: ignore[misc]
    return annotation, Field(default=default, description=model.model_fields[key].description)
