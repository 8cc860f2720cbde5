"""`s2chips doctor`: looks at everything that a run needs from outside, each thing by itself and for seconds only.

Here: measuring. Nothing is left behind but what planning too would have in its cache, and services are asked the way runs
ask them, by the same readers. Not here: what a measurement means (`findings`), talking to the AIS service (`ais_probe`).
"""

import contextlib
import dataclasses
import functools
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from pystac_client.exceptions import APIError

from s2chips_core import layout, tables
from s2chips_core.ais.connection_limit import default_folder
from s2chips_core.chips.grid import Window
from s2chips_core.chips.reader import SceneReader
from s2chips_core.config import Settings
from s2chips_core.errors import ArchiveError, HostNotAllowedError, ReadError, S2ChipsError
from s2chips_core.fetch import without_query
from s2chips_core.overpasses.elements import RefusedElements, select_elements
from s2chips_core.overpasses.plan import PLAN_SCHEMA, watched_tiles
from s2chips_core.overpasses.segment_passes import coverage
from s2chips_core.overpasses.source_data import read_acquisition_plans, read_elements
from s2chips_core.overpasses.spans import day_span, overlap
from s2chips_core.overpasses.tile_grid import tile_area
from s2chips_core.scenes.archives import open_fetcher
from s2chips_core.scenes.providers import provider_of
from s2chips_core.scenes.search import search_areas
from s2chips_core.scenes.search_pages import FOREIGN, CountingStacIO, open_client
from s2chips_core.scenes.sensing_time import read_beginning
from s2chips_core.sections import ProviderName
from s2chips_core.signing import ACCESS_KEY_VARIABLE, SECRET_KEY_VARIABLE, SESSION_TOKEN_VARIABLE, missing_keys
from s2chips_core.storage import s3
from s2chips_dagster import findings
from s2chips_dagster.ais_probe import probe_ais_service
from s2chips_dagster.doctor_dataset import check_dataset
from s2chips_dagster.findings import Beat, Finding, SourceAnswer, failed, ok, shorten, skipped, warning
from s2chips_dagster.resources import NOW_VARIABLE, OFFSET_VARIABLE, Workspace
from s2chips_dagster.run_config import KEY_VARIABLE
from s2chips_dagster.runs import HOME_VARIABLE, find_home, open_instance

LIMIT_S = 15.0
"""For each check; all but the first run side by side."""
CONNECT_S, ANSWER_S = 5.0, 6.0
RECENT = timedelta(days=15)
"""A satellite is back over a tile after 10 days, and its L2A comes 2 to 3 days later."""
CORRECT_IT = "correct the file, or name another one with --config or S2CHIPS_CONFIG"
OF_STORAGE = "look at what it names: the keys, stac.allowed_hosts, the network"
NO_ANSWER = (
    "look at the network (proxy, firewall, DNS) and at stac.endpoint; the archive itself may be down: try again later"
)

SECRETS = (
    KEY_VARIABLE,
    ACCESS_KEY_VARIABLE,
    SECRET_KEY_VARIABLE,
    SESSION_TOKEN_VARIABLE,
    s3.ACCESS_KEY_VARIABLE,
    s3.SECRET_KEY_VARIABLE,
    s3.SESSION_TOKEN_VARIABLE,
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
        future.set_result(failed(name, text[:400], "report this line, with what is special about this machine"))


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
            several["s3 keys"] = self.s3_keys
        return several

    def s3_keys(self) -> Finding:
        """Whether the files of cdse can be signed for; whether its keys are the right ones shows in `pixels`."""
        missing = missing_keys(os.environ)
        if missing:
            said = f"{' and '.join(missing)} not set, and stac.provider names cdse, whose files need S3 keys"
            remedy = "make keys at https://eodata-s3keysmanager.dataspace.copernicus.eu and put them in .env"
            return failed("s3 keys", said, remedy)
        return ok("s3 keys", f"{ACCESS_KEY_VARIABLE} and {SECRET_KEY_VARIABLE} are set")

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
        """Dagster's home, and the heartbeats of its daemons."""
        find_home()
        home = os.environ.get(HOME_VARIABLE, "")
        if not home:
            said = f"{HOME_VARIABLE} is not set, and there is no dagster.yaml here"
            return failed("dagster", said, f"run s2chips in the checkout, or let {HOME_VARIABLE} name the folder")
        if not (Path(home) / "dagster.yaml").is_file():
            said = f"{HOME_VARIABLE} is {home}, which has no dagster.yaml"
            return failed("dagster", said, "name the folder that has it: the checkout")
        try:
            with open_instance() as instance:
                last = instance.get_daemon_heartbeats()
                beats = [_beat(name, last.get(name)) for name in instance.get_required_daemon_types()]
        except Exception as error:  # noqa: BLE001 - Dagster, SQLAlchemy and YAML each have their own
            said = f"the instance of {home} cannot be opened: {type(error).__name__}: {error}"
            return failed("dagster", said[:400], "correct dagster.yaml, or the rights to its folder")
        return findings.judge_beats(home, beats, self._machine_clock())

    def clock(self) -> Finding:
        """This machine's clock against the date of the archive's answer, whatever else it answers."""
        moved = next((f"{n}={os.environ[n]}" for n in (NOW_VARIABLE, OFFSET_VARIABLE) if os.environ.get(n)), "")
        if self._offline or self._loaded is None:
            return findings.judge_clock(None, moved, "offline" if self._offline else "needs the configuration")
        provider, _ = provider_of(self._settings.stac)
        answers: list[Any] = []
        asker = _asker(retries=0)
        asker.session.hooks["response"].append(lambda response, *_, **__: answers.append((response, self._machine_clock())))
        with contextlib.closing(asker.session), contextlib.suppress(APIError, ArchiveError):
            asker.request(provider.endpoint)
        if not answers:
            return findings.judge_clock(None, moved, "the archive did not answer")
        response, received = answers[-1]
        return findings.judge_clock(findings.read_clock(response.headers, received - response.elapsed, received), moved)

    def archive(self, name: ProviderName | None = None) -> Finding:
        """The landing page and the collection."""
        if self._offline:
            return skipped("archive", "offline")
        provider, profile = provider_of(self._settings_of(name).stac)
        shown = without_query(provider.endpoint)
        began = time.monotonic()
        asker = _asker()
        with contextlib.closing(asker.session):
            try:
                client = open_client(provider.endpoint, asker)
            except ArchiveError as error:
                return failed("archive", shorten(str(error)), NO_ANSWER)
            # Version 0 of Earth Search does not say that it has collections; its searches know them.
            asked = client.conforms_to("COLLECTIONS")
            remedy = "look at stac.collection; the archive itself may be disturbed: try again later"
            try:
                found = client.get_collection(profile.collection) if asked else None
            except FOREIGN as error:
                said = f"{shown} does not show the collection {profile.collection}: {shorten(str(error))}"
                return failed("archive", said, remedy)
        if asked and (found is None or found.id != profile.collection):
            return failed("archive", f"{shown} has no collection {profile.collection}", remedy)
        return findings.judge_archive(shown, profile.collection if asked else None, time.monotonic() - began)

    def pixels(self, name: ProviderName | None = None) -> Finding:
        """The directory of one band of the newest scene of a watched tile."""
        if self._offline:
            return skipped("pixels", "offline")
        settings, now = self._settings_of(name), self._workspace.clock()
        tile = watched_tiles(settings.satellite_tracking)[0]
        fetcher, asker = open_fetcher(self._settings.stac, retries=1, timeout_s=ANSWER_S), _asker()
        with contextlib.closing(fetcher), contextlib.closing(asker.session):
            try:
                found = search_areas(
                    [tile_area(tile)],
                    now - RECENT,
                    now,
                    settings=settings,
                    now=now,
                    tiles={tile},
                    stac_io=asker,
                    fetch_metadata=lambda href: read_beginning(href, fetcher),
                )
            except ArchiveError as error:
                # Either the service, or the storage behind it, where the scenes' own times are read.
                remedy = OF_STORAGE if isinstance(error.__cause__, ReadError) else NO_ANSWER
                return failed("pixels", shorten(str(error)), remedy)
            scenes = found.scenes
            if not scenes and found.skipped:
                said = f"no scene of {tile} can be used: {shorten(found.skipped[-1].reason)}"
                return failed("pixels", said, OF_STORAGE)
            if not scenes:
                said = f"the archive has no scene of {tile} from the last {RECENT.days} days to read"
                return warning(
                    "pixels", said, "see whether satellite_tracking names tiles that Sentinel-2 images (not open ocean)"
                )
            scene = scenes[-1]
            band = next((band for band in settings.tiling.bands if band in scene.assets), None)
            if band is None:
                return failed(
                    "pixels", f"{scene.scene_id} lists none of the bands", "look at stac.provider and stac.collection"
                )
            asset, began = scene.assets[band], time.monotonic()
            # A window beside the raster has no pixels to fetch: the directory alone is read.
            [read] = SceneReader(fetcher, _Here()).read_windows(asset, [Window(row_off=-2, col_off=-2, rows=1, cols=1)])
            seconds, size = time.monotonic() - began, fetcher.bytes
        if isinstance(read, HostNotAllowedError):
            return failed("pixels", str(read), f"add {read.host} to stac.allowed_hosts, if it is the archive's")
        if isinstance(read, ReadError):
            return failed(
                "pixels", str(read), "look at the network (proxy, firewall); if it is one file only, try again later"
            )
        return ok("pixels", f"{band} of {scene.scene_id} can be read; {size / 1024:.0f} KiB took {seconds:.1f} s")

    def plan(self) -> Finding:
        """Whether tomorrow is planned."""
        settings, day = self._settings, self._tomorrow
        storage = self._workspace.storage(settings)
        if not storage.exists(layout.plan(day)):
            return findings.judge_plan(day, None, settings)
        try:
            rows = len(tables.read_table(storage, layout.plan(day), PLAN_SCHEMA))
        except S2ChipsError as error:
            return failed("plan", str(error), "launch plan_overpasses for today: it writes the plan anew")
        return findings.judge_plan(day, rows, settings)

    def plan_sources(self) -> Finding:
        """What the sources give for tomorrow; a copy that is fresh enough is taken, as planning does."""
        settings, day = self._settings, self._tomorrow
        tracking = settings.satellite_tracking
        mode, satellites, now = tracking.source, tracking.satellites, self._workspace.clock()
        if mode == "backfill":
            return skipped("plan sources", "satellite_tracking.source is backfill, which plans from the archive")
        keys = [k for k in ("tle_sources", "acquisition_plan_sources") if mode == "auto" or k.startswith(mode)]
        urls = [source for key in keys for source in getattr(tracking, key) if "://" in source]
        if self._offline:
            files = {key: tuple(s for s in getattr(tracking, key) if "://" not in s) for key in keys}
            tracking = tracking.model_copy(update=files)
        storage, start = self._workspace.storage(settings), day_span(day)[0]
        answers = []
        if "tle_sources" in keys:
            sets = read_elements(tracking, storage=storage, now=now)
            picked = {s: select_elements(sets.elements, s, start, tracking.max_tle_age_days) for s in satellites}
            why = [one.reason for one in picked.values() if isinstance(one, RefusedElements)]
            usable = [s for s, one in picked.items() if not isinstance(one, RefusedElements)]
            answers.append(_answer("orbital elements", "tle_sources", usable, satellites, [*sets.notes, *why]))
        if "acquisition_plan_sources" in keys:
            plans = read_acquisition_plans(tracking, storage=storage, now=now)
            usable = [s for s in satellites if overlap(coverage(plans.plans, s), day_span(day))]
            answers.append(_answer("acquisition plans", "acquisition_plan_sources", usable, satellites, plans.notes))
        return findings.judge_sources(mode, answers, day, left_out=self._offline and bool(urls))

    def ais_service(self) -> Finding:
        """Whether the socket opens and, where there is a key, whether the service takes it."""
        settings = self._settings
        if self._offline or settings.ais.source == "synthetic":
            return skipped("ais service", "offline" if self._offline else "ais.source is synthetic, which asks nobody")
        return probe_ais_service(settings, os.environ.get(KEY_VARIABLE, "").strip(), default_folder(os.environ))


class _Here(Executor):
    """Does the work in the thread that asks for it: a pool's threads would be waited for at the end of the program."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        """Done when it returns."""
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


def _asker(retries: int = 1) -> CountingStacIO:
    asker = CountingStacIO(retries=retries)
    asker.timeout = (CONNECT_S, ANSWER_S)
    return asker


def _beat(daemon: str, last: Any) -> Beat:
    if last is None:
        return Beat(daemon=daemon, at=None)
    errors = tuple(str(error.message) for error in last.errors or ())
    return Beat(daemon=daemon, at=datetime.fromtimestamp(last.timestamp, UTC), errors=errors)


def _answer(what: str, key: str, usable: Sequence[str], satellites: Sequence[str], notes: Sequence[str]) -> SourceAnswer:
    missing = tuple(s for s in satellites if s not in usable)
    return SourceAnswer(what=what, key=key, usable=tuple(usable), missing=missing, notes=tuple(notes))


def _named(name: str, check: Callable[[ProviderName], Finding], provider: ProviderName) -> Finding:
    return dataclasses.replace(check(provider), check=name)


def _without_keys(finding: Finding, keys: Sequence[str]) -> Finding:
    """Whatever an error said, no key is in it."""
    for key in keys:
        if key:
            sentence, remedy = finding.sentence.replace(key, "***"), finding.remedy.replace(key, "***")
            finding = dataclasses.replace(finding, sentence=sentence, remedy=remedy)
    return finding
