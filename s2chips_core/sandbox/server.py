"""Serving an archive on loopback: the STAC API and the pixels, in a thread of this process.

A test rig and a demo, never on the path of real runs. Not here: what is answered (`stac_api`, `data_files`), what goes
wrong on purpose (`faults`).
"""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Route

from s2chips_core.errors import StorageError
from s2chips_core.sandbox.data_files import DataFiles
from s2chips_core.sandbox.faults import Counters, CountingFailingApp, Faults
from s2chips_core.sandbox.stac_api import StacApi, read_items

_START_MOST_S, _STOP_MOST_S = 20.0, 10.0


class Served:
    """A running archive."""

    def __init__(self, host: str, now: datetime | None) -> None:
        self.host = host
        """`127.0.0.1:port`, for `stac.allowed_hosts`."""
        self.stac_url = f"http://{host}/v1"
        """The landing page, for `stac.endpoint`."""
        self.now = now
        """What was published later is hidden; none shows all. May be set at any time."""
        self.counters = Counters()
        self.faults = Faults()


@contextlib.contextmanager
def serve(folder: Path, *, now: datetime | None = None, latency_s: float = 0) -> Iterator[Served]:
    """Serve the items and files of `folder` on a free port of 127.0.0.1.

    Args:
        folder: any folder of `item-*.json` whose asset hrefs are relative to it.
        now: hide items whose `created` is later.
        latency_s: added to every request, seconds.

    GDAL in this process must not look for side files (`GDAL_DISABLE_READDIR_ON_OPEN=EMPTY_DIR`): rasterio does that with
    Python's lock held, and the server would wait for the lock.

    Raises:
        StorageError: the folder is not there, or the server does not come up.
        InputError: a file is no STAC item.
    """
    if not folder.is_dir():
        raise StorageError(str(folder), "is no folder: expected an archive")
    items = read_items(folder)
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(256)
        served = Served(f"127.0.0.1:{listener.getsockname()[1]}", now)
        api = StacApi(items, f"http://{served.host}", lambda: served.now)
        data = Route("/data/{path:path}", DataFiles(folder).__call__, methods=["GET", "HEAD"])
        app = CountingFailingApp(Starlette(routes=[*api.routes(), data]), served.counters, served.faults, latency_s)
        config = uvicorn.Config(
            app,
            loop="asyncio",
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="critical",
            access_log=False,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=2,
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="sandbox", daemon=True)
        thread.start()
        try:
            deadline = time.monotonic() + _START_MOST_S
            while not server.started:
                if not thread.is_alive() or time.monotonic() > deadline:
                    raise StorageError(str(folder), f"the server did not come up within {_START_MOST_S:g} s")
                time.sleep(0.01)
            yield served
        finally:
            server.should_exit = True
            thread.join(_STOP_MOST_S)
            if thread.is_alive():
                server.force_exit = True
                thread.join(_STOP_MOST_S)
