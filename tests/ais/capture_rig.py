"""What tests of the capture share: a window that is open now, ships in it, settings with short times."""

import hashlib
import tempfile
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from s2chips_core.ais.aisstream import AisStream
from s2chips_core.ais.capture import Captured, capture_group
from s2chips_core.ais.connection_limit import ConnectionLimit
from s2chips_core.ais.messages import Position, Static
from s2chips_core.ais.subscription import Subscription
from s2chips_core.ais.windows import CaptureGroup, Window
from s2chips_core.config import Settings, parse_settings
from s2chips_core.sandbox.ais_feed import ReplayFeed, replay_feed
from s2chips_core.sandbox.ais_limits import Limits
from s2chips_core.sandbox.ais_message import message, position_report
from s2chips_core.sandbox.ais_server import TEST_KEY, AisServed
from s2chips_core.sections import Ais
from s2chips_core.storage import LocalStorage, Storage

TILE = "30STF"
INSIDE = (36.4, -5.8)
"""Latitude, longitude in the tile."""
AREA = (-6.0, 36.1, -5.1, 36.9)
"""Longitude and latitude within the tile."""
EAGER = Limits(min_interval_s=0.0)
"""A server that lets connections follow each other as fast as they like."""
HASTY: dict[str, Any] = {
    "linger_s": 0.0,
    "flush_interval_s": 0.1,
    "reconnect_initial_s": 0.05,
    "reconnect_max_s": 0.2,
    "silence_timeout_s": 5.0,
}


def now() -> datetime:
    return datetime.now(UTC)


def ais_of(url: str, **values: Any) -> Ais:
    return settings_of(url, **values).ais


def settings_of(url: str, **values: Any) -> Settings:
    ais = {"source": "aisstream", "url": url, **HASTY, **values}
    return parse_settings({"satellite_tracking": {"tiles": [TILE]}, "ais": ais}, "test")


def window(seconds: float, *, starts_s: float = -1.0, tile: str = TILE) -> Window:
    """One that opens `starts_s` from now and closes `seconds` from now."""
    start, end = now() + timedelta(seconds=starts_s), now() + timedelta(seconds=seconds)
    return Window(
        tile_id=tile, satellite="S2C", overpass_time=_ms(start + (end - start) / 2), start=_ms(start), end=_ms(end)
    )


def _ms(moment: datetime) -> datetime:
    """To milliseconds, as a plan has it."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def report(
    mmsi: int = 224000001, at: datetime | None = None, *, lat: float = INSIDE[0], lon: float = INSIDE[1]
) -> dict[str, Any]:
    """A position report that the service had at `at` (now)."""
    moment = at or now()
    body = position_report(lat=lat, lon=lon, sog_kn=7.0, cog_deg=90.0, heading_deg=91, nav_status=0, second=moment.second)
    return message("PositionReport", body, mmsi=mmsi, ship_name="TESTER", lat=lat, lon=lon, time_s=moment.timestamp())


def fleet(rate_per_s: float, ships: int = 20) -> ReplayFeed:
    """Ships in the tile that report in turn."""
    reports = [report(224000001 + n, lat=36.2 + 0.03 * n, lon=-5.9 + 0.03 * n) for n in range(ships)]
    return replay_feed(reports, rate_per_s=rate_per_s)


class Listening:
    """An AisStream at work in a thread."""

    def __init__(
        self,
        served: AisServed,
        folder: Path,
        *,
        key: str = TEST_KEY,
        seconds: float = 30.0,
        clock: Callable[[], datetime] = now,
        limit: ConnectionLimit | None = None,
        **values: Any,
    ) -> None:
        ais = ais_of(served.url, **values)
        self.limit = limit or limit_of(ais, folder)
        self.stop = threading.Event()
        self.heard: list[Position | Static] = []
        self.failure: BaseException | None = None
        subscription = Subscription(areas=(AREA,), message_types=ais.message_types)
        self.stream = AisStream(subscription, ais=ais, api_key=key, limit=self.limit, clock=clock, stop=self.stop)
        self._until = clock() + timedelta(seconds=seconds)
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        try:
            self.stream.listen(self._until, self.heard.append)
        except BaseException as error:  # noqa: BLE001 - looked at by the test
            self.failure = error

    def __enter__(self) -> "Listening":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self.join()

    def join(self) -> None:
        self._thread.join(15)
        assert not self._thread.is_alive()

    def wait(self, judge: Callable[["Listening"], object], most_s: float = 8.0) -> None:
        wait_for(lambda: judge(self), most_s)


def limit_of(ais: Ais, folder: Path) -> ConnectionLimit:
    return ConnectionLimit(
        ais.url,
        most=ais.max_connections,
        first_wait_s=ais.reconnect_initial_s,
        longest_wait_s=ais.reconnect_max_s,
        folder=folder,
    )


def meeting_folder(storage: Storage) -> Path:
    """Where those who capture into this dataset take turns; on this machine, also where the dataset is in a bucket."""
    if isinstance(storage, LocalStorage):
        return storage.root.parent / "meeting"
    name = hashlib.sha256(storage.url("x").encode()).hexdigest()
    return Path(tempfile.gettempdir()) / "s2chips-test-meeting" / name


def wait_for(judge: Callable[[], object], most_s: float = 8.0) -> None:
    until = time.monotonic() + most_s
    while not judge():
        assert time.monotonic() < until, "it did not come to pass"
        time.sleep(0.01)


def capture(
    served: AisServed,
    storage: Storage,
    *windows: Window,
    stop: threading.Event | None = None,
    clock: Callable[[], datetime] = now,
    key: str = TEST_KEY,
    **values: Any,
) -> Captured:
    return capture_group(
        CaptureGroup(windows=windows),
        ais=ais_of(served.url, **values),
        storage=storage,
        clock=clock,
        api_key=key,
        stop=stop or threading.Event(),
        meeting_folder=meeting_folder(storage),
    )
