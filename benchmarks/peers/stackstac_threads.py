"""stackstac: `stackstac.stack` cut to each chip's bounds, computed ship by ship on 16 threads."""

import numpy as np
import pandas as pd
import pystac
import stackstac
from rasterio.enums import Resampling

from benchmarks.peers.gdal_settings import GDAL_HTTP, THREADS
from benchmarks.reading import Sink, Work
from benchmarks.workload import BANDS, CHIP_PX, Place
from s2chips_core.scenes.providers import collection_profile

_to_datetime = pd.to_datetime
"""stackstac 0.5 still names an argument that pandas 3 has dropped; it never changed the result."""


def read(work: Work, sink: Sink) -> None:
    """Ship by ship, its bands with one call."""
    pd.to_datetime = lambda *args, infer_datetime_format=True, **kw: _to_datetime(*args, **kw)
    items = [pystac.Item.from_dict(dict(item)) for item in work.items]
    keys = {band: key[0] for band, key in collection_profile("earth_search", "sentinel-2-l2a").asset_keys.items()}
    environment = stackstac.DEFAULT_GDAL_ENV.updated(always=GDAL_HTTP)

    def load(place: Place, bands: list[str]) -> list[np.ndarray]:
        scene = work.scenes[place.scene]
        west, north = scene.assets["B02"].ulx_m + 10 * place.col, scene.assets["B02"].uly_m - 10 * place.row
        cube = stackstac.stack(
            items[place.scene],
            assets=[keys[band] for band in bands],
            epsg=scene.epsg,
            resolution=10,
            bounds=(west, north - 10 * CHIP_PX, west + 10 * CHIP_PX, north),
            resampling=Resampling.nearest,
            dtype=np.dtype("uint16"),
            fill_value=np.uint16(0),
            rescale=False,
            properties=False,
            band_coords=False,
            gdal_env=environment,
            errors_as_nodata=(),
        )
        return list(cube.data.compute(scheduler="synchronous")[0])

    def chip(place: Place) -> np.ndarray | None:
        load(place, ["SCL"])
        return work.chip_of_10m(place, load(place, list(BANDS))) if place.passes else None

    sink.collect(chip, work.ships, threads=THREADS)
