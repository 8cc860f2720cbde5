"""rasteret: a collection of the scenes built once with the headers of their files, then `read_window` from 16 threads."""

import numpy as np
import pyarrow as pa
import rasteret
import shapely
from obstore.store import HTTPStore
from rasteret.cloud import ObstoreBackend

from benchmarks.peers.gdal_settings import THREADS
from benchmarks.reading import Sink, Work
from benchmarks.workload import BANDS, CHIP_PX, Place


def read(work: Work, sink: Sink) -> None:
    """Build, then ship by ship, its bands with one call."""
    root = f"http://{work.host}/"
    backend = ObstoreBackend(HTTPStore.from_url(root, client_options={"allow_http": True}), url_prefix=root)
    table = pa.table(
        {
            "id": [scene.scene_id for scene in work.scenes],
            "datetime": pa.array([scene.datetime for scene in work.scenes], pa.timestamp("us", tz="UTC")),
            "geometry": [shapely.to_wkb(shapely.geometry.shape(scene.footprint)) for scene in work.scenes],
            "proj:epsg": [scene.epsg for scene in work.scenes],
            "assets": [{band: {"href": scene.assets[band].href} for band in ("SCL", *BANDS)} for scene in work.scenes],
        }
    )
    collection = rasteret.build_from_table(
        table, data_source="sentinel-2-l2a", enrich_cog=True, band_codes=["SCL", *BANDS], backend=backend
    )

    def load(place: Place, bands: list[str]) -> list[np.ndarray]:
        scene = work.scenes[place.scene]
        west, north = scene.assets["B02"].ulx_m + 10 * place.col, scene.assets["B02"].uly_m - 10 * place.row
        cube = collection.read_window(
            record_ids=[scene.scene_id],
            bounds=(west, north - 10 * CHIP_PX, west + 10 * CHIP_PX, north),
            res=(10, 10),
            bands=bands,
            target_crs=scene.epsg,
            backend=backend,
        )
        return list(cube.astype(np.uint16))

    def chip(place: Place) -> np.ndarray | None:
        load(place, ["SCL"])
        return work.chip_of_10m(place, load(place, list(BANDS))) if place.passes else None

    sink.collect(chip, work.ships, threads=THREADS)
