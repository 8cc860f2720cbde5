"""What an asset body needs from outside: the settings, the dataset, the archive and the clock.

Everything is made when it is asked for, so that loading the code location reads one YAML file and nothing else.
"""

import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg

from s2chips_core.config import Settings, load_settings
from s2chips_core.errors import ConfigError
from s2chips_core.storage import Storage, open_storage

NOW_VARIABLE = "S2CHIPS_NOW"
OFFSET_VARIABLE = "S2CHIPS_CLOCK_OFFSET_S"
"""Seconds from the machine's clock to the one that runs see: it goes on running, unlike S2CHIPS_NOW. For rehearsals."""


class Workspace(dg.ConfigurableResource):  # type: ignore[type-arg]
    """One configuration file and what follows from it."""

    config_file: str
    """The YAML file."""
    now: str = ""
    """A fixed time (ISO 8601) instead of the clock: for the demo and for tests."""

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        """Refuse bad run config of any step before the first one starts: a resource is set up once, when a run begins."""
        run = context.run
        if run is None:  # a sensor or schedule
            return
        from s2chips_dagster.run_config import refuse_bad_values

        try:
            warnings = refuse_bad_values(run.run_config, self.settings())
        except ConfigError as error:
            if context.log is not None:
                context.log.error("%s", error)  # a line of its own: Dagster shows it in a stack trace only
            raise
        for warning in warnings:
            if context.log is not None:
                context.log.warning("%s", warning)

    def settings(self, overrides: Mapping[str, Mapping[str, Any]] | None = None) -> Settings:
        """The settings of the file, with the run's own values in place of some; ConfigError names what is wrong."""
        settings = load_settings(Path(self.config_file), os.environ)
        return settings.override(overrides) if overrides else settings

    def storage(self, settings: Settings) -> Storage:
        """The dataset."""
        return open_storage(settings.storage, os.environ)

    def clock(self) -> datetime:
        """The time, aware UTC; ConfigError when a fixed time is no time, or the offset no number."""
        fixed = self.now or os.environ.get(NOW_VARIABLE, "")
        if not fixed:
            return datetime.now(UTC) + _offset(os.environ.get(OFFSET_VARIABLE) or "0")
        try:
            moment = datetime.fromisoformat(fixed)
        except ValueError as error:
            raise ConfigError("environment", NOW_VARIABLE, fixed, "ISO 8601, such as 2025-10-27T12:00:00Z") from error
        # Its date is a partition: a time of another zone is brought to UTC.
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def _offset(text: str) -> timedelta:
    try:
        return timedelta(seconds=float(text))
    except (ValueError, OverflowError) as error:
        raise ConfigError("environment", OFFSET_VARIABLE, text, "a number of seconds, such as -34128000") from error
