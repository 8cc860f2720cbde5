"""Rasterio as people tune it for clouds: GDAL's HTTP settings, merged ranges, 16 threads, datasets kept open.

GDAL's own pages on cloud optimisation and network retries, and rasterio's on concurrency (a dataset a thread).
"""

import threading

import numpy as np
import rasterio
from rasterio.windows import Window

from benchmarks.peers.gdal_settings import GDAL_HTTP, THREADS
from benchmarks.reading import Sink, Work
from benchmarks.workload import BANDS, Place


def read(work: Work, sink: Sink) -> None:
    """Chip by chip."""
    opened = threading.local()

    def window(href: str, rows: tuple[int, int], cols: tuple[int, int]) -> np.ndarray:
        files = opened.__dict__
        if href not in files:
            files[href] = rasterio.open(href)
        return files[href].read(1, window=Window(cols[0], rows[0], cols[1] - cols[0], rows[1] - rows[0]))

    def chip(place: Place) -> np.ndarray | None:
        with rasterio.Env(**GDAL_HTTP):
            window(*work.native_window(place, "SCL"))
            if not place.passes:
                return None
            return work.chip(place, [window(*work.native_window(place, band)) for band in BANDS])

    sink.collect(chip, work.ships, threads=THREADS)
