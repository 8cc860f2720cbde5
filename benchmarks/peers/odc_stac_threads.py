"""odc-stac: `odc.stac.load` onto each chip's own geobox, GDAL configured by `configure_rio`, 16 threads over the ships."""

import numpy as np
import odc.stac
import pystac
from odc.geo.geobox import GeoBox
from rasterio import Affine

from benchmarks.peers.gdal_settings import GDAL_HTTP, THREADS
from benchmarks.reading import Sink, Work
from benchmarks.workload import BANDS, CHIP_PX, Place
from s2chips_core.scenes.providers import collection_profile


def read(work: Work, sink: Sink) -> None:
    """Ship by ship, its bands with one call."""
    odc.stac.configure_rio(cloud_defaults=True, **GDAL_HTTP)
    items = [pystac.Item.from_dict(dict(item)) for item in work.items]
    keys = {band: key[0] for band, key in collection_profile("earth_search", "sentinel-2-l2a").asset_keys.items()}

    def load(place: Place, bands: list[str]) -> list[np.ndarray]:
        blue, epsg = work.scenes[place.scene].assets["B02"], work.scenes[place.scene].epsg
        corner = Affine(10, 0, blue.ulx_m + 10 * place.col, 0, -10, blue.uly_m - 10 * place.row)
        box = GeoBox((CHIP_PX, CHIP_PX), corner, f"EPSG:{epsg}")
        cube = odc.stac.load([items[place.scene]], bands=[keys[band] for band in bands], geobox=box, resampling="nearest")
        return [cube[keys[band]].values[0] for band in bands]

    def chip(place: Place) -> np.ndarray | None:
        load(place, ["SCL"])
        return work.chip_of_10m(place, load(place, list(BANDS))) if place.passes else None

    sink.collect(chip, work.ships, threads=THREADS)
