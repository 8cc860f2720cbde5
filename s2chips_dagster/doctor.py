"""`s2chips doctor`: looks at everything that a run needs from outside, each thing by itself and for seconds only.

Here: which checks there are, each in its time, and that none stops another. Nothing is left behind but what planning too
would have in its cache. Not here: looking at the dataset, an archive, the plan and Dagster (`doctor_…`), talking to the AIS
service (`ais_probe`), what is found (`findings`).
"""

import dataclasses
import functools
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from s2chips_core.ais.connection_limit import default_folder
from s2chips_core.config import Settings
from s2chips_core.errors import SHOWN_MOST_CHARS, S2ChipsError
from s2chips_core.overpasses.plan import watched_tiles
from s2chips_core.scenes.providers import provider_of
from s2chips_core.sections import ProviderName
from s2chips_core.signing import ACCESS_KEY_VARIABLE, SECRET_KEY_VARIABLE, SESSION_TOKEN_VARIABLE
from s2chips_core.storage import s3_errors
from s2chips_dagster import findings
from s2chips_dagster.ais_probe import probe_ais_service
from s2chips_dagster.doctor_archive import check_archive, check_clock, check_pixels, check_s3_keys
from s2chips_dagster.doctor_dagster import check_dagster
from s2chips_dagster.doctor_dataset import check_dataset
from s2chips_dagster.doctor_plan import check_plan, check_plan_sources
from s2chips_dagster.findings import Finding, failed, ok, skipped
from s2chips_dagster.resources import NOW_VARIABLE, OFFSET_VARIABLE, Workspace
from s2chips_dagster.run_config import KEY_VARIABLE

LIMIT_S = 15.0
"""For each check; all but the first run side by side."""
CORRECT_IT = "correct the file, or name another one with --config or S2CHIPS_CONFIG"

SECRETS = (
    KEY_VARIABLE,
    ACCESS_KEY_VARIABLE,
    SECRET_KEY_VARIABLE,
    SESSION_TOKEN_VARIABLE,
    s3_errors.ACCESS_KEY_VARIABLE,
    s3_errors.SECRET_KEY_VARIABLE,
    s3_errors.SESSION_TOKEN_VARIABLE,
)

Check = Callable[[], Finding]


def examine(
    config_file: Path,
    *,
    offline: bool,
    machine_clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    limit_s: float = LIMIT_S,
) -> list[Finding]:
    """Run every check; none stops another.

    Args:
        config_file: of the runs.
        offline: leave out what needs the network.
        machine_clock: aware UTC.
        limit_s: a check that takes longer has failed.
    """
    doctor = _Doctor(config_file, offline, machine_clock)
    checks: dict[str, Check] = {
        "dataset": doctor.dataset,
        "ais key": doctor.ais_key,
        "dagster": doctor.dagster,
        "clock": doctor.clock,
        "archive": doctor.archive,
        "pixels": doctor.pixels,
        "plan": doctor.plan,
        "plan sources": doctor.plan_sources,
        "ais service": doctor.ais_service,
    }
    found = run_bounded({"config": doctor.config}, limit_s)
    found += run_bounded(doctor.for_each_provider(checks), limit_s)
    secrets = [os.environ.get(name, "").strip() for name in SECRETS]
    return [_without_keys(one, secrets) for one in found]


def run_bounded(checks: Mapping[str, Check], limit_s: float) -> list[Finding]:
    """The findings in order; the checks run side by side, in threads that nobody waits for any longer than `limit_s`."""
    started: dict[str, Future[Finding]] = {}
    for name, check in checks.items():
        future: Future[Finding] = Future()
        started[name] = future
        threading.Thread(target=_work, args=(name, check, future), name=f"doctor-{name}", daemon=True).start()
    end = time.monotonic() + limit_s
    found = []
    for name, future in started.items():
        try:
            found.append(future.result(max(0.0, end - time.monotonic())))
        except TimeoutError:
            remedy = "try again; if it stays so, something between here and there answers too late or not at all"
            found.append(failed(name, f"no result within {limit_s:g} s", remedy))
    return found


def _work(name: str, check: Check, future: "Future[Finding]") -> None:
    try:
        future.set_result(check())
    except _NeedsConfigError:
        future.set_result(skipped(name, "needs the configuration"))
    except S2ChipsError as error:
        future.set_result(failed(name, str(error), "correct what it names"))
    except Exception as error:  # noqa: BLE001 - whatever it is, the other checks are still worth having
        text = f"not foreseen: {type(error).__name__}: {error}"
        future.set_result(failed(name, text, "report this line, with what is special about this machine"))


class _NeedsConfigError(Exception):
    """The configuration could not be read, which is told once."""


class _Doctor:
    """The checks; each method is one."""

    def __init__(self, config_file: Path, offline: bool, machine_clock: Callable[[], datetime]) -> None:
        self._workspace = Workspace(config_file=str(config_file))
        self._file, self._offline, self._machine_clock = config_file, offline, machine_clock
        self._loaded: Settings | None = None

    @property
    def _settings(self) -> Settings:
        if self._loaded is None:
            raise _NeedsConfigError
        return self._loaded

    def for_each_provider(self, checks: Mapping[str, Check]) -> dict[str, Check]:
        """The checks, those of the archive once for each provider where the configuration lists several."""
        named = () if self._loaded is None else self._loaded.stac.providers
        several: dict[str, Check] = {}
        for name, check in checks.items():
            of_archive = {"archive": self.archive, "pixels": self.pixels}.get(name)
            if of_archive is None or len(named) < 2:
                several[name] = check
                continue
            for provider in named:
                several[f"{name} {provider}"] = functools.partial(_named, f"{name} {provider}", of_archive, provider)
        if "cdse" in named:
            several["s3 keys"] = functools.partial(check_s3_keys, os.environ)
        return several

    def _settings_of(self, provider: ProviderName | None) -> Settings:
        stac = self._settings.stac
        return self._settings.model_copy(update={"stac": stac.of(provider or stac.providers[0])})

    @property
    def _tomorrow(self) -> date:
        return self._workspace.clock().date() + timedelta(days=1)

    def config(self) -> Finding:
        """The file, its values, and what is only looked at when it is used."""
        try:
            loaded = self._workspace.settings()
            tiles = watched_tiles(loaded.satellite_tracking)
            for name in loaded.stac.providers:
                provider_of(loaded.stac.of(name))
            self._workspace.storage(loaded)
            self._workspace.clock()
        except S2ChipsError as error:
            return failed("config", str(error), CORRECT_IT)
        self._loaded = loaded
        return ok("config", f"{self._file}: {len(tiles)} tiles watched, ais.source {loaded.ais.source}")

    def dataset(self) -> Finding:
        """Whether it can be written."""
        return check_dataset(self._workspace.storage(self._settings))

    def ais_key(self) -> Finding:
        """Whether there is a key."""
        source = self._loaded.ais.source if self._loaded else "aisstream"
        return findings.judge_key(os.environ.get(KEY_VARIABLE), source)

    def dagster(self) -> Finding:
        """Dagster's home and daemons."""
        return check_dagster(self._machine_clock())

    def clock(self) -> Finding:
        """This machine's clock."""
        moved = next((f"{n}={os.environ[n]}" for n in (NOW_VARIABLE, OFFSET_VARIABLE) if os.environ.get(n)), "")
        if self._offline or self._loaded is None:
            return findings.judge_clock(None, moved, "offline" if self._offline else "needs the configuration")
        return check_clock(self._settings.stac, moved, self._machine_clock)

    def archive(self, name: ProviderName | None = None) -> Finding:
        """Whether the archive answers."""
        return skipped("archive", "offline") if self._offline else check_archive(self._settings_of(name).stac)

    def pixels(self, name: ProviderName | None = None) -> Finding:
        """Whether its pixels can be read."""
        if self._offline:
            return skipped("pixels", "offline")
        return check_pixels(self._settings_of(name), self._workspace.clock())

    def plan(self) -> Finding:
        """Whether tomorrow is planned."""
        return check_plan(self._settings, self._workspace.storage(self._settings), self._tomorrow)

    def plan_sources(self) -> Finding:
        """Whether it can be planned."""
        settings, now = self._settings, self._workspace.clock()
        return check_plan_sources(settings, self._workspace.storage(settings), self._tomorrow, now, offline=self._offline)

    def ais_service(self) -> Finding:
        """Whether the socket opens and, where there is a key, whether the service takes it."""
        settings = self._settings
        if self._offline or settings.ais.source == "synthetic":
            return skipped("ais service", "offline" if self._offline else "ais.source is synthetic, which asks nobody")
        return probe_ais_service(settings, os.environ.get(KEY_VARIABLE, "").strip(), default_folder(os.environ))


def _named(name: str, check: Callable[[ProviderName], Finding], provider: ProviderName) -> Finding:
    return dataclasses.replace(check(provider), check=name)


def _without_keys(finding: Finding, keys: Sequence[str]) -> Finding:
    """Whatever an error said, no key is in it; cut afterwards, so that no half of one is left."""
    for key in keys:
        if key:
            sentence, remedy = finding.sentence.replace(key, "***"), finding.remedy.replace(key, "***")
            finding = dataclasses.replace(finding, sentence=sentence, remedy=remedy)
    return dataclasses.replace(finding, sentence=finding.sentence[:SHOWN_MOST_CHARS])
