"""async-geotiff: files opened once through obstore, all windows in flight with `asyncio.gather`."""

import asyncio
from datetime import timedelta

import numpy as np
from async_geotiff import GeoTIFF, Window
from obstore.store import HTTPStore

from benchmarks.reading import Sink, Work
from benchmarks.workload import BANDS, Place

AT_ONCE = 16
"""Ships; each has up to six windows in flight."""


def read(work: Work, sink: Sink) -> None:
    """All ships in one event loop."""
    asyncio.run(_read(work, sink))


async def _read(work: Work, sink: Sink) -> None:
    base = f"http://{work.host}/data"
    store = HTTPStore.from_url(
        base,
        client_options={"allow_http": True},
        retry_config={"max_retries": 5, "backoff": {"init_backoff": timedelta(milliseconds=100)}},
    )
    opened: dict[str, asyncio.Task[GeoTIFF]] = {}
    turn = asyncio.Semaphore(AT_ONCE)

    async def window(place: Place, band: str) -> np.ndarray:
        href, rows, cols = work.native_window(place, band)
        path = href.removeprefix(base + "/")
        if path not in opened:
            opened[path] = asyncio.ensure_future(GeoTIFF.open(path, store=store))
        geotiff = await opened[path]
        part = Window(col_off=cols[0], row_off=rows[0], width=cols[1] - cols[0], height=rows[1] - rows[0])
        return np.asarray((await geotiff.read(window=part)).data)[0]

    async def one(place: Place) -> None:
        async with turn:
            try:
                await window(place, "SCL")
                if place.passes:
                    bands = await asyncio.gather(*(window(place, band) for band in BANDS))
                    sink.chip(place.ship, work.chip(place, bands))
            except Exception as error:  # noqa: BLE001 - whatever a library raises, this ship is lost
                sink.refused(place.ship, f"{type(error).__name__}: {error}")

    await asyncio.gather(*(one(place) for place in work.ships))
