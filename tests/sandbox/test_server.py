import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pystac_client
import pytest
import rasterio
import urllib3
from rasterio.windows import Window

from s2chips_core.errors import StorageError
from s2chips_core.sandbox.server import serve

NO_SIDECARS = rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR")
"""Rasterio asks for side files with Python's lock held, which a server in the same process cannot answer."""


def test_ranges_over_http(tmp_path: Path) -> None:
    data = np.random.default_rng(0).bytes(5_000)
    (tmp_path / "b.tif").write_bytes(data)
    with serve(tmp_path) as served:
        url = f"http://{served.host}/data/b.tif"

        def get(method: str = "GET", **headers: str) -> urllib3.BaseHTTPResponse:
            return urllib3.request(method, url, headers=headers)

        whole = get()
        assert (whole.status, whole.data) == (200, data)
        assert whole.headers["accept-ranges"] == "bytes"
        part = get(Range="bytes=100-299")
        assert (part.status, part.data) == (206, data[100:300])
        assert part.headers["content-range"] == "bytes 100-299/5000"
        assert part.headers["content-length"] == "200"
        assert part.headers["etag"] == whole.headers["etag"]
        assert get(Range="bytes=-10").data == data[-10:]
        assert get(Range="bytes=4990-9999").data == data[4990:]
        beyond = get(Range="bytes=5000-")
        assert (beyond.status, beyond.headers["content-range"]) == (416, "bytes */5000")
        head = get("HEAD")
        assert (head.status, head.headers["content-length"], head.data) == (200, "5000", b"")
        assert get(**{"Range": "bytes=0-9", "If-Range": '"other"'}).status == 200
        (tmp_path / "b.tif").write_bytes(data + b"x")
        assert get().headers["etag"] != whole.headers["etag"]
        assert urllib3.request("GET", f"http://{served.host}/data/none.tif").status == 404
        assert urllib3.request("POST", url).status == 405


def test_nothing_outside_the_folder_is_served(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("s")
    folder = tmp_path / "archive"
    folder.mkdir()
    (folder / "link.txt").symlink_to(tmp_path / "secret.txt")
    with serve(folder) as served:
        connection = urllib3.HTTPConnectionPool("127.0.0.1", int(served.host.split(":")[1]))
        for path in ("/data/%2e%2e/secret.txt", "/data/..%2fsecret.txt", "/data//etc/passwd", "/data/link.txt", "/data/"):
            assert connection.urlopen("GET", path).status == 404, path


def test_gdal_reads_windows_through_http(sandbox_archive: Path) -> None:
    name = "S2C_30STE_20251027_0_L2A/B08.tif"
    window = Window(900, 900, 400, 300)
    with serve(sandbox_archive) as served:
        with (
            NO_SIDECARS,
            rasterio.open(f"http://{served.host}/data/{name}") as far,
        ):
            pixels = far.read(1, window=window)
        assert served.counters.requests["data"] < 20
        assert served.counters.bytes["data"] < 3e6
    with rasterio.open(sandbox_archive / name) as near:
        assert np.array_equal(pixels, near.read(1, window=window))


def test_the_real_small_archive_is_served_too(shared_data: Path) -> None:
    folder = shared_data / "archive-32VPH"
    with serve(folder, now=datetime(2025, 1, 1, tzinfo=UTC)) as served:
        client = pystac_client.Client.open(served.stac_url)
        items = list(client.search(intersects={"type": "Point", "coordinates": [11.0, 56.5]}).items())
        assert {item.id for item in items} == {"S2A_32VPH_20220825_0_L2A", "S2A_T32VPH_20220825T103641_L2A"}
        for item in items:
            with NO_SIDECARS, rasterio.open(item.assets["nir"].href) as file:
                assert file.shape == (10980, 10980)


def test_latency_is_not_waited_for_one_after_the_other(tmp_path: Path) -> None:
    (tmp_path / "x.tif").write_bytes(b"x")
    with serve(tmp_path, latency_s=0.3) as served, ThreadPoolExecutor(8) as pool:
        started = time.monotonic()
        answers = list(pool.map(lambda _: urllib3.request("GET", f"http://{served.host}/data/x.tif").status, range(8)))
        spent = time.monotonic() - started
    assert answers == [200] * 8
    assert 0.3 <= spent < 2.0


def test_it_stops_and_leaves_no_thread(tmp_path: Path) -> None:
    before = set(threading.enumerate())  # other archives may be served meanwhile
    with serve(tmp_path) as served:
        host = served.host
    assert set(threading.enumerate()) <= before
    with pytest.raises(urllib3.exceptions.MaxRetryError):
        urllib3.PoolManager().request("GET", f"http://{host}/v1", retries=urllib3.Retry(0), timeout=2)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="no folder"), serve(tmp_path / "none"):
        pass
