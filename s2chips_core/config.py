"""The settings tree, and the only place that knows YAML.

Secrets are never in here: they come from the environment at the door that needs them. The environment is an argument. Not
here: the keys of each section (`sections`).
"""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError, model_validator

from s2chips_core.errors import ConfigError
from s2chips_core.sections import (
    Ais,
    Compute,
    Gate,
    Limits,
    Masks,
    Prune,
    Retention,
    SatelliteTracking,
    Scheduling,
    Section,
    Splits,
    Stac,
    StorageSettings,
    Tiling,
)

CONFIG_VARIABLE = "S2CHIPS_CONFIG"
DATASET_ROOT_VARIABLE = "S2CHIPS_DATASET_ROOT"
DEFAULT_CONFIG = "config/config.yaml"


class Settings(Section):
    """The whole configuration."""

    satellite_tracking: SatelliteTracking
    ais: Ais = Ais()
    stac: Stac = Stac()
    tiling: Tiling = Tiling()
    masks: Masks = Masks()
    gate: Gate = Gate()
    storage: StorageSettings = StorageSettings()
    splits: Splits = Splits()
    limits: Limits = Limits()
    prune: Prune = Prune()
    retention: Retention = Retention()
    scheduling: Scheduling = Scheduling()
    compute: Compute = Compute()

    @model_validator(mode="after")
    def _center_fits(self) -> "Settings":
        if self.gate.center_window_px > self.tiling.chip_size_px:
            raise ValueError(
                f"gate.center_window_px ({self.gate.center_window_px}) not above tiling.chip_size_px "
                f"({self.tiling.chip_size_px})"
            )
        return self

    @model_validator(mode="after")
    def _inbox_is_a_folder_of_its_own(self) -> "Settings":
        inbox = self.inbox_folder
        if self.storage.bucket is not None:
            return self
        dataset = Path(self.storage.dataset_root).expanduser().resolve()
        if inbox is not None and (dataset.is_relative_to(inbox) or inbox.is_relative_to(dataset)):
            # Every file in an inbox is moved away.
            raise ValueError(f"a folder of its own in ais.inbox, beside the dataset ({dataset}), it is {inbox}")
        return self

    @property
    def inbox_folder(self) -> Path | None:
        """The inbox, absolute; none when there is none. A relative one is beside the dataset folder."""
        if self.ais.inbox is None:
            return None
        root = self.storage.dataset_root
        beside = Path.cwd() if self.storage.bucket else Path(root).expanduser().resolve().parent
        return (beside / Path(self.ais.inbox).expanduser()).resolve()

    @property
    def deciding_json(self) -> str:
        """Everything that decides what is in a chip: change one of these and chips are made anew."""
        decides = {
            "tiling": self.tiling.decides,
            "masks": self.masks.model_dump(mode="json"),
            "gate": self.gate.model_dump(mode="json"),
            "splits": self.splits.model_dump(mode="json"),
            "geotiff": self.storage.geotiff,
            "compression": self.storage.compression,
        }
        return json.dumps(decides, sort_keys=True)

    @property
    def config_hash(self) -> str:
        """The first 16 hex digits of the SHA-256 of `deciding_json`."""
        return hashlib.sha256(self.deciding_json.encode()).hexdigest()[:16]

    def with_deciding(self, text: str, origin: str) -> "Settings":
        """These settings, but for all that decides what is in a chip: that is taken from a `deciding_json`.

        Args:
            text: it may be of an earlier version; what it does not tell is the default.
            origin: what to call it in an error.

        Raises:
            ConfigError: it is no such text, or holds something that this version does not know.
        """
        expected = "the JSON of a deciding configuration"
        try:
            decides = json.loads(text)
            sections = {name: dict(decides.pop(name)) for name in ("tiling", "masks", "gate", "splits")}
            formats = {name: decides.pop(name) for name in ("geotiff", "compression")}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ConfigError(origin, "(file)", f"{type(error).__name__}: {error}", expected) from error
        if decides:
            raise ConfigError(origin, ", ".join(sorted(decides)), "keys that are not known", expected)
        tree = self.model_dump(mode="json")
        return parse_settings({**tree, **sections, "storage": {**tree["storage"], **formats}}, origin)

    def override(self, overrides: Mapping[str, Mapping[str, Any]], origin: str = "run config") -> "Settings":
        """A copy with some keys of some sections replaced, validated as the file is.

        Args:
            overrides: section -> key -> value.
            origin: what to call the source of the values in an error.

        Raises:
            ConfigError: a key or value is not allowed.
        """
        tree = self.model_dump(mode="json")
        for section, values in overrides.items():
            tree.setdefault(section, {}).update(values)
        return parse_settings(tree, origin)


def parse_settings(tree: object, file: str) -> Settings:
    """Validate a plain tree; ConfigError names the first key that is wrong, what came and what is expected."""
    if not isinstance(tree, dict):
        raise ConfigError(file, "(top level)", type(tree).__name__, "a mapping of sections")
    try:
        return Settings.model_validate(tree)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(p) for p in first["loc"]) or "(top level)"
        if first["type"] == "extra_forbidden":
            # The value is not shown: a key that is not known may hold a secret that is in the wrong place.
            raise ConfigError(file, key, "a key that is not known", f"one of {_siblings(first['loc'])}") from None
        if first["type"] == "missing":
            raise ConfigError(file, key, "nothing", "a value") from None
        got = "these values" if isinstance(first["input"], dict) else _without_login(first["input"])
        expected = first["msg"].removeprefix("Value error, ").replace("Input should be ", "", 1)
        raise ConfigError(file, key, got, expected) from None


def load_settings(path: Path, environment: Mapping[str, str]) -> Settings:
    """Read the YAML file at `path`; `S2CHIPS_DATASET_ROOT` in `environment` replaces `storage.dataset_root`.

    A relative dataset root is taken from the working directory.

    Raises:
        ConfigError: the file is not there, is no YAML, or says something that cannot be.
    """
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(str(path), "(file)", error.strerror, "a readable YAML file") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        # Without its cause, which quotes the line: that may hold a secret that is in the wrong place.
        raise ConfigError(str(path), "(file)", _problem(error), "YAML in UTF-8") from None
    settings = parse_settings(tree, str(path))
    root = environment.get(DATASET_ROOT_VARIABLE)
    if root:
        settings = settings.override({"storage": {"dataset_root": root}}, DATASET_ROOT_VARIABLE)
    return settings


def config_path(environment: Mapping[str, str]) -> Path:
    """The configuration file that `environment` names, else `config/config.yaml`."""
    return Path(environment.get(CONFIG_VARIABLE) or DEFAULT_CONFIG)


def _problem(error: yaml.YAMLError | UnicodeDecodeError) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        return f"{error.problem} in line {error.problem_mark.line + 1}, column {error.problem_mark.column + 1}"
    return f"{type(error).__name__} at {error.start}" if isinstance(error, UnicodeDecodeError) else type(error).__name__


def _without_login(value: object) -> object:
    """A URL without its name and password; more may go, for a password that is not escaped may have anything in it."""
    return re.sub(r"://.*@", "://***@", value, flags=re.DOTALL) if isinstance(value, str) else value


def _siblings(location: tuple[int | str, ...]) -> str:
    model: Any = Settings
    for part in location[:-1]:
        field = model.model_fields.get(str(part))
        if field is None or not hasattr(field.annotation, "model_fields"):
            return "none"
        model = field.annotation
    return ", ".join(model.model_fields)
