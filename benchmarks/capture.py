"""A capture under load: messages a second, none lost, memory over time, and how long the snapshots take afterwards.

    python -m benchmarks.capture [--rate 5000] [--seconds 60] [--ships 12000]

The AIS server is another process. With so many ships every position is another fix: hardly any is dropped as a repeat.
`--slow-disk-s` makes each segment take longer, to see the queue fill, losses being counted, and memory staying bounded.
"""

import argparse
import multiprocessing
import os
import random
import tempfile
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from s2chips_core.ais.capture import capture_group
from s2chips_core.ais.journal import JournalWriter
from s2chips_core.ais.snapshots import read_snapshots
from s2chips_core.ais.windows import CaptureGroup, Window
from s2chips_core.config import parse_settings
from s2chips_core.sandbox.ais_feed import replay_feed
from s2chips_core.sandbox.ais_limits import Limits
from s2chips_core.sandbox.ais_message import message, position_report, ship_static_data
from s2chips_core.sandbox.ais_server import TEST_KEY, serve_ais
from s2chips_core.storage import LocalStorage

TILE = "30STF"
SOUTH_WEST = (36.1, -6.0)
SIDE_DEG = 0.8
STATIC_SHARE = 0.1
SAMPLE_S = 5.0


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rate", type=float, default=5000.0, help="messages a second")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long")
    parser.add_argument("--ships", type=int, default=12_000, help="different ships: each says something every few seconds")
    parser.add_argument("--slow-disk-s", type=float, default=0.0, help="what each segment takes longer")
    options = parser.parse_args()
    here, there = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(
        target=_serve, args=(there, options.rate, options.seconds, options.ships), daemon=True
    )
    server.start()
    url = here.recv()
    with tempfile.TemporaryDirectory(prefix="s2chips-bench-") as folder:
        measure(LocalStorage(Path(folder) / "dataset"), Path(folder), url, here, options)
    server.join()


def measure(storage: LocalStorage, folder: Path, url: str, server: Connection, options: argparse.Namespace) -> None:
    """Capture until the server has sent everything, and tell what came of it."""
    if options.slow_disk_s:
        _slow_down(options.slow_disk_s)
    began = datetime.now(UTC)
    end = began + timedelta(seconds=options.seconds + 600)
    window = Window(tile_id=TILE, satellite="S2C", overpass_time=began, start=began, end=end)
    settings = parse_settings({"satellite_tracking": {"tiles": [TILE]}, "ais": {"url": url, "linger_s": 0}}, "benchmark")
    stop, sent = threading.Event(), 0

    def watch() -> None:
        nonlocal sent
        while not server.poll(SAMPLE_S):
            print(f"  {time.monotonic() - start_s:5.0f} s  RSS {_rss_mb():6.0f} MB", flush=True)
        sent = server.recv()
        stop.set()
        stopped.append((time.monotonic(), time.process_time()))

    stopped: list[tuple[float, float]] = []
    start_s, start_cpu_s = time.monotonic(), time.process_time()
    print(f"listening at {options.rate:g} messages/s for {options.seconds:g} s; RSS before {_rss_mb():.0f} MB")
    watcher = threading.Thread(target=watch)
    watcher.start()
    captured = capture_group(
        CaptureGroup(windows=(window,)),
        ais=settings.ais,
        storage=storage,
        clock=lambda: datetime.now(UTC),
        api_key=TEST_KEY,
        stop=stop,
        meeting_folder=folder / "meeting",
        progress=print,
    )
    watcher.join()
    [(stop_s, stop_cpu_s)] = stopped
    record = captured.record
    print(f"sent {sent}, received {record.messages}, lost {record.lost}, missing {sent - record.messages}")
    print(f"CPU while listening: {(stop_cpu_s - start_cpu_s) / (stop_s - start_s):.0%} of one core")
    fixes = len(read_snapshots(storage, window.day))
    done_s = time.monotonic() - stop_s
    print(f"snapshots of {fixes} fixes (Parquet and Excel) {done_s:.0f} s later; RSS {_rss_mb():.0f} MB")


def _serve(pipe: Connection, rate: float, seconds: float, ships: int) -> None:
    """Send at a rate for so long, tell how many that were."""
    with serve_ais(replay_feed(_messages(ships), rate_per_s=rate), limits=Limits(min_interval_s=0.0)) as served:
        pipe.send(served.url)
        served.wait_subscribed(timeout_s=60)
        time.sleep(seconds)
        served.feed = None
        time.sleep(2.0)  # what waits in the server is still sent
        pipe.send(served.counters.messages)
        time.sleep(1.0)


def _messages(ships: int) -> Sequence[dict[str, Any]]:
    dice = random.Random(20251027)
    found = []
    for n in range(ships):
        lat, lon = SOUTH_WEST[0] + dice.random() * SIDE_DEG, SOUTH_WEST[1] + dice.random() * SIDE_DEG
        envelope: dict[str, Any] = {
            "mmsi": 224000001 + n,
            "ship_name": f"BENCHMARK {n}".ljust(20),
            "lat": lat,
            "lon": lon,
            "time_s": time.time(),
        }
        if dice.random() < STATIC_SHARE:
            body = ship_static_data(
                name=f"BENCHMARK {n}",
                call_sign="EAB",
                imo=9000000 + n,
                ship_type=70,
                dimension_m=(100, 20, 10, 10),
                destination="ALGECIRAS",
            )
            found.append(message("ShipStaticData", body, **envelope))
        body = position_report(
            lat=lat, lon=lon, sog_kn=10.0, cog_deg=90.0, heading_deg=90, nav_status=0, second=int(time.time()) % 60
        )
        found.append(message("PositionReport", body, **envelope))
    return found


def _slow_down(seconds: float) -> None:
    append = JournalWriter.append

    def slow(self: JournalWriter, *given: Any) -> str | None:
        time.sleep(seconds)
        return append(self, *given)

    JournalWriter.append = slow  # type: ignore[method-assign]


def _rss_mb() -> float:
    for line in Path(f"/proc/{os.getpid()}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return float("nan")


if __name__ == "__main__":
    main()
