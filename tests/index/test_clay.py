"""Batches for Clay from a dataset, against what the digital numbers of the scene give."""

import io
import json
import tracemalloc
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import rasterio
from pyproj import Transformer
from rasterio.windows import Window

from s2chips_core import layout, tables
from s2chips_core.chips.artefacts import encode_geotiff
from s2chips_core.chips.chip import Chip, CutRequest
from s2chips_core.chips.cutting import cut_scene
from s2chips_core.config import Settings
from s2chips_core.errors import InputError, StorageError
from s2chips_core.fetch import Fetcher
from s2chips_core.index.clay import iter_clay_batches, read_clay_batch
from s2chips_core.index.records import INDEX_SCHEMA, PART_SCHEMA, chip_key, index_frame, row_from_chip
from s2chips_core.index.tiles import build_tiles_index
from s2chips_core.scenes.items import parse_item
from s2chips_core.scenes.matches import MATCH_SCHEMA
from s2chips_core.scenes.providers import PROVIDERS, collection_profile
from s2chips_core.scenes.scene import Scene
from s2chips_core.storage import LocalStorage
from tests.chips.range_server import serving
from tests.chips.rasters import ULX_M, ULY_M
from tests.chips.scenes import (
    make_files,
    make_pixels,
    make_scene,
    make_settings,
    padded_window,
    request_at,
    to_10_m,
    with_offset,
)
from tests.index.chips import NOW, chip_of, labels_alone, match_of, matches_frame, scene_of

SIX = ("B02", "B03", "B04", "B08", "B11", "B12")
MEAN = {"B02": 1105, "B03": 1355, "B04": 1552, "B08": 2743, "B11": 2388, "B12": 1835}
MEAN |= {"B05": 1887, "B06": 2422, "B07": 2630, "B8A": 2785}
STD = {"B02": 1809, "B03": 1757, "B04": 1888, "B08": 1742, "B11": 1470, "B12": 1379}
STD |= {"B05": 1870, "B06": 1732, "B07": 1697, "B8A": 1648}
TOLERANCE = 2e-6
"""Of values up to 8 standard deviations: float32 keeps 24 bits of them and of the reflectance."""
EVERY_PIXEL = make_settings(gate={"enabled": False})


def cube_of_dn(dn: np.ndarray, band: str) -> np.ndarray:
    """What Clay wants of DN whose offset is gone; a chip is clipped to reflectance 0.0001 to 1, DN 1 to 10000."""
    return np.where(dn == 0, 0, (np.clip(dn.astype("float64"), 1, 10_000) - MEAN[band]) / STD[band])


def keep(storage: LocalStorage, scene: Scene, chips: Sequence[Chip], settings: Settings) -> pd.DataFrame:
    """Chips as a dataset has them; returns the rows of its `tiles.parquet`."""
    rows = []
    for chip in chips:
        request = chip.request
        match = match_of(0, scene=scene, mmsi=request.mmsi, target_id=request.target_id, lat=request.lat, lon=request.lon)
        plain = tables.conform(matches_frame([match]), MATCH_SCHEMA, "m").to_pylist()[0]
        key = chip_key(plain, settings)
        row = row_from_chip(
            plain,
            key,
            chip,
            labels_alone(plain, key, chip, settings),
            created_at=NOW,
            software_version="0",
            config_hash="0" * 8,
        )
        storage.put(key.path, encode_geotiff(chip, tags={}, geotiff="gtiff", compression="deflate"))
        rows.append(row)
    day = scene.datetime.date()
    tables.write_table(storage, layout.index_part(day, day, layout.CAPTURE), index_frame(rows), PART_SCHEMA)
    build_tiles_index(storage)
    return tables.read_table(storage, layout.tiles_index(), INDEX_SCHEMA)


def corner_of(row: Mapping[str, Any]) -> tuple[int, int]:
    """Row and column of a chip's first pixel in the scene of `tests.chips.scenes`, from its place alone."""
    x, y = Transformer.from_crs(4326, 32632, always_xy=True).transform(row["lon"], row["lat"])
    return int((ULY_M - y) // 10) - 128, int((x - ULX_M) // 10) - 128


@pytest.mark.parametrize("offset", [False, True])
def test_cut_scenes_from_their_dn(storage: LocalStorage, offset: bool) -> None:
    """The chain from an archive's files to batches, against windows of DN: sea, land, cloud, no data, edges."""
    pixels = make_pixels()
    places = [(450, 450), (700, 500), (200, 200), (500, 890), (-40, 300), (990, 20)]
    stored = with_offset(pixels) if offset else pixels
    with serving(make_files(stored)) as server:
        scene = make_scene(server, stored, boa_offset_flag=not offset)
        answers = list(
            cut_scene(
                scene,
                [request_at(col, row) for col, row in places],
                settings=EVERY_PIXEL,
                fetcher=Fetcher((server.host,), sleep=lambda s: None, timeout_s=10),
            )
        )
    chips = [answer for answer in answers if isinstance(answer, Chip)]
    assert len(chips) == len(places)
    rows = keep(storage, scene, chips, EVERY_PIXEL)
    bands = ("B11", "B08", "B02", "B12", "B04")
    batch = read_clay_batch(storage, rows, bands=bands)
    assert batch.chip_ids == tuple(rows["chip_id"])
    assert (batch.pixels.shape, batch.pixels.dtype) == ((len(places), 5, 256, 256), np.float32)
    for found, row in zip(batch.pixels, rows.to_dict("records"), strict=True):
        top, left = corner_of(row)
        for layer, band in zip(found, bands, strict=True):
            dn = to_10_m(pixels[band]) if band in ("B11", "B12") else pixels[band]
            expected = cube_of_dn(padded_window(dn, top, left, 256), band)
            # Cubic interpolation of 20 m bands is GDAL's to a hundredth of a DN.
            np.testing.assert_allclose(layer, expected, rtol=0, atol=1e-4 if band in ("B11", "B12") else TOLERANCE)
    assert (batch.pixels == 0).any()


@pytest.mark.shared_data
def test_real_ten_bands(shared_data: Path, storage: LocalStorage) -> None:
    """Real DN of all ten bands, 128 px each, in the middle of a chip without data around it."""
    # The order that PROVENANCE.md tells of these files.
    order = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B11", "B12")
    ten = tuple(band for band in order if band not in ("B01", "B09"))
    files = sorted((shared_data / "ais-ships" / "chips").glob("ship_*.tif"))[:6]
    scene, chips, dns = scene_of(), [], []
    for number, file in enumerate(files):
        with rasterio.open(file) as raster:
            dn = np.pad(raster.read(), ((0, 0), (64, 64), (64, 64)))[:, :256, :256]
        assert dn.shape == (12, 256, 256)
        dns.append(dn)
        reflectance = np.where(dn == 0, 0, np.clip(dn / 10_000, 0.0001, 1)).astype("float32")
        reflectance = reflectance[[order.index(band) for band in ten]]
        request = CutRequest(target_id=f"t{number}", mmsi=219_000_000 + number, lat=56.5, lon=11.0 + number / 10, chip_id="")
        chips.append(chip_of(request, scene, bands=ten, reflectance=reflectance))
    rows = keep(storage, scene, chips, Settings.model_validate({"satellite_tracking": {"tiles": ["32VPH"]}}))
    by_mmsi = rows.set_index("mmsi", drop=False).loc[[c.request.mmsi for c in chips]]
    for bands in (None, ten, ten[::-1], ("B8A", "B05"), ("B12",)):
        batch = read_clay_batch(storage, by_mmsi, bands=bands)
        assert batch.bands == (bands or ten)
        for found, dn in zip(batch.pixels, dns, strict=True):
            for layer, band in zip(found, batch.bands, strict=True):
                np.testing.assert_allclose(layer, cube_of_dn(dn[order.index(band)], band), rtol=0, atol=TOLERANCE)


@pytest.mark.shared_data
@pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning")
@pytest.mark.parametrize("collection", ["sentinel-2-l2a", "sentinel-2-c1-l2a"])
def test_real_ships(shared_data: Path, storage: LocalStorage, collection: str) -> None:
    """Chips of real ships cut from an archive, with and without the offset, against rasterio's windows of DN."""
    folder = shared_data / "archive-32VPH"
    ships = pd.read_csv(folder / "ais.csv").query("has_pixels").head(40)
    requests = [
        CutRequest(target_id=str(n), mmsi=s.mmsi, lat=round(s.lat, 5), lon=round(s.lon, 5), chip_id="0" * 16)
        for n, s in enumerate(ships.itertuples())
    ]
    settings = make_settings(gate={"max_nodata_frac": 1.0})
    with serving({path.name: path for path in folder.glob("*.tif")}) as server:
        item = json.loads((folder / f"item-{collection}.json").read_text())
        item["links"] = [{"rel": "self", "href": server.href("item.json")}]
        scene = parse_item(item, PROVIDERS["earth_search"], collection_profile("earth_search", collection))
        fetcher = Fetcher((server.host,), sleep=lambda s: None, timeout_s=10)
        answers = list(cut_scene(scene, requests, settings=settings, fetcher=fetcher))
    chips = [answer for answer in answers if isinstance(answer, Chip)][:8]
    assert len(chips) == 8
    rows = keep(storage, scene, chips, settings)
    batch = read_clay_batch(storage, rows, bands=("B08", "B02", "B03", "B04"), hour="real")
    # Sensed in week 34 (22 to 28 August 2022), at 10:36 UTC.
    turns = np.arctan2(batch.time[:, [0, 2]], batch.time[:, [1, 3]]) / (2 * np.pi) % 1 * [52, 24]
    np.testing.assert_allclose(turns, [[34, 10]] * 8, atol=1e-4)
    for row, found, latlon in zip(rows.itertuples(), batch.pixels, batch.latlon, strict=True):
        np.testing.assert_allclose(np.degrees(np.arctan2(latlon[0], latlon[1])), row.lat, atol=1e-5)
        np.testing.assert_allclose(np.degrees(np.arctan2(latlon[2], latlon[3])), row.lon, atol=1e-5)
        for layer, band in zip(found, batch.bands, strict=True):
            with rasterio.open(folder / f"{band}.tif") as raster:  # of sentinel-2-l2a: without offset
                x, y = Transformer.from_crs(4326, raster.crs, always_xy=True).transform(row.lon, row.lat)
                at_row, at_col = raster.index(x, y)
                box = Window(at_col - 128, at_row - 128, 256, 256)
                dn = raster.read(1, window=box, boundless=True, fill_value=0)
            np.testing.assert_allclose(layer, cube_of_dn(dn, band), rtol=0, atol=TOLERANCE)


def dataset(storage: LocalStorage, count: int, bands: tuple[str, ...] = SIX, size: int = 256) -> pd.DataFrame:
    """Chips whose reflectance in each band tells which chip and band it is; returns the rows."""
    settings = Settings.model_validate({"satellite_tracking": {"tiles": ["30STF"]}, "tiling": {"chip_size_px": size}})
    chips = []
    for number in range(count):
        values = [(100 * number + int(band[1:], 16)) / 10_000 for band in bands]
        pixels = np.broadcast_to(np.float32(values)[:, None, None], (len(bands), size, size))
        request = CutRequest(target_id=f"t{number}", mmsi=1000 + number, lat=36.0 + number, lon=-5.0 - number, chip_id="")
        chips.append(chip_of(request, scene_of(), bands=bands, reflectance=pixels))
    return keep(storage, scene_of(), chips, settings)


def test_every_row_is_its_chip_in_the_order_of_the_rows(storage: LocalStorage) -> None:
    rows = dataset(storage, 7).sample(frac=1, random_state=3)
    batch = read_clay_batch(storage, rows)
    assert batch.bands == SIX
    numbers = rows["mmsi"].to_numpy("int64") - 1000
    for b, band in enumerate(SIX):
        expected = (100 * numbers + int(band[1:], 16) - MEAN[band]) / STD[band]
        np.testing.assert_allclose(batch.pixels[:, b, 128, 128], expected, atol=TOLERANCE)
    latitude, longitude = np.radians(36 + numbers), np.radians(-5 - numbers)
    around = [np.sin(latitude), np.cos(latitude), np.sin(longitude), np.cos(longitude)]
    np.testing.assert_allclose(batch.latlon, np.stack(around, axis=1), atol=1e-6)
    assert batch.chip_ids == tuple(rows["chip_id"])


def test_datacube(storage: LocalStorage) -> None:
    """The names, shapes and types that Clay's encoder takes; each array can become a tensor without a copy."""
    cube = read_clay_batch(storage, dataset(storage, 3), bands=["B04", "B11"]).datacube()
    assert {name: array.shape for name, array in cube.items()} == {
        "pixels": (3, 2, 256, 256),
        "time": (3, 4),
        "latlon": (3, 4),
        "waves": (2,),
        "gsd": (),
    }
    assert all(
        a.dtype == np.float32 and a.flags.c_contiguous and a.flags.writeable and a.flags.owndata for a in cube.values()
    )
    assert float(cube["gsd"]) == 10
    np.testing.assert_array_equal(cube["waves"], np.float32([0.665, 1.61]))


def test_hour(storage: LocalStorage) -> None:
    rows = dataset(storage, 1)  # sensed at 11:04
    np.testing.assert_allclose(read_clay_batch(storage, rows).time[0, 2:], [0, -1], atol=1e-6)
    real = read_clay_batch(storage, rows, hour="real").time[0, 2:]
    np.testing.assert_allclose(real, [np.sin(np.radians(165)), np.cos(np.radians(165))], atol=1e-6)


def test_rows_may_be_a_frame_or_plain(storage: LocalStorage) -> None:
    """The index as pandas reads it, as this package does, as Arrow gives it, and in another zone are the same."""
    rows = dataset(storage, 4)
    index = io.BytesIO(storage.get(layout.tiles_index()))
    local = rows.assign(scene_datetime=rows["scene_datetime"].dt.tz_convert("Pacific/Auckland"))
    arrow = tables.conform(rows, INDEX_SCHEMA, "rows").to_pylist()
    reference = read_clay_batch(storage, rows, hour="real")
    for other in (pd.read_parquet(index), local, arrow, rows.to_dict("records"), (row for row in arrow)):
        batch = read_clay_batch(storage, other, hour="real")
        for name, array in reference.datacube().items():
            np.testing.assert_array_equal(batch.datacube()[name], array)


def test_batches_are_the_whole_in_pieces(storage: LocalStorage) -> None:
    rows = dataset(storage, 7)
    whole = read_clay_batch(storage, rows)
    batches = list(iter_clay_batches(storage, rows, batch_size=3))
    assert [len(batch.chip_ids) for batch in batches] == [3, 3, 1]
    assert sum((batch.chip_ids for batch in batches), ()) == whole.chip_ids
    for name in ("pixels", "time", "latlon"):
        np.testing.assert_array_equal(np.concatenate([getattr(b, name) for b in batches]), getattr(whole, name))
    assert all(batch.bands == SIX for batch in batches)
    assert list(iter_clay_batches(storage, rows.head(0))) == []


def test_rows_are_taken_and_chips_read_when_a_batch_is_asked_for(storage: LocalStorage) -> None:
    taken = []

    def endless() -> Iterator[Mapping[str, Any]]:
        while True:
            taken.append(1)
            yield row

    (row,) = dataset(storage, 1).to_dict("records")
    batches = iter_clay_batches(storage, endless(), batch_size=4)
    assert len(taken) == 0
    for number in (1, 2, 3):
        next(batches)
        assert len(taken) == 4 * number


def test_memory_does_not_grow_with_the_rows(storage: LocalStorage) -> None:
    """The one that is looked at and the one that is made, and what it takes to read a chip; not all fifteen."""
    (row,) = dataset(storage, 1).to_dict("records")
    batch_bytes = 4 * 6 * 256 * 256 * 4
    tracemalloc.start()
    try:
        for batch in iter_clay_batches(storage, [row] * 60, batch_size=4):
            assert batch.pixels.nbytes == batch_bytes
        assert tracemalloc.get_traced_memory()[1] < 3 * batch_bytes
    finally:
        tracemalloc.stop()


def both(storage: LocalStorage, rows: Any, **options: Any) -> Iterator[Any]:
    """The two ways to read."""
    yield lambda: read_clay_batch(storage, rows, **options)
    yield lambda: list(iter_clay_batches(storage, rows, **options))


def refuses(error: type[Exception], said: str, storage: LocalStorage, rows: Any, **options: Any) -> None:
    for read in both(storage, rows, **options):
        with pytest.raises(error, match=said):
            read()


def test_bands_that_clay_or_the_chip_does_not_have(storage: LocalStorage) -> None:
    rows = dataset(storage, 2, bands=("B02", "B03", "B04", "B08"))
    path = rows["path"][0]
    refuses(InputError, "bands: got 'B09', expected some of B02, B03", storage, rows, bands=("B02", "B09"))
    refuses(InputError, "bands: got 'B02, B02'", storage, rows, bands=("B02", "B02"))
    refuses(InputError, r"bands: got \(\)", storage, rows, bands=())
    said = f"{path}: got 'bands B02, B03, B04, B08', expected a chip that has B11, B12 too"
    refuses(InputError, said, storage, rows, bands=("B02", "B11", "B12"))


def test_chips_of_different_bands_need_named_ones(storage: LocalStorage) -> None:
    six = dataset(storage, 2).tail(1)
    four = dataset(storage, 1, bands=("B02", "B03", "B04", "B08"))
    rows = pd.concat([four, six])
    refuses(InputError, f"{six['path'].item()}: got 'bands B02, .* B12', expected .* as the first chip", storage, rows)
    assert read_clay_batch(storage, rows, bands=("B08", "B02")).pixels.shape == (2, 2, 256, 256)


def test_a_chip_of_another_size(storage: LocalStorage) -> None:
    rows = dataset(storage, 1, size=128)
    refuses(InputError, f"{rows['path'][0]}: got '128 × 128 px', expected '?256 × 256 px", storage, rows)


def test_a_chip_that_is_not_there_or_broken(storage: LocalStorage) -> None:
    rows = dataset(storage, 3)
    path = rows["path"][2]
    whole = storage.get(path)
    storage.delete(path)
    refuses(StorageError, f"{path}: there is no such chip", storage, rows)
    for broken in (b"", b"no tiff", whole[: len(whole) // 2]):
        storage.put(path, broken)
        refuses(StorageError, f"{path}: is no GeoTIFF that can be read", storage, rows)
        refuses(StorageError, f"{path}: is no GeoTIFF that can be read", storage, rows.tail(1))
    refuses(StorageError, "is no key", storage, rows.assign(path="../" + rows["path"]))


def test_rows_that_are_none(storage: LocalStorage) -> None:
    rows = dataset(storage, 1)
    without = rows.drop(columns=["path", "lat"])
    expected = "rows: got 'no lat, path', expected chip_id, path, scene_datetime, lat, lon as in tiles.parquet"
    refuses(InputError, expected, storage, without)
    refuses(InputError, expected, storage, without.to_dict("records"))
    with pytest.raises(InputError, match="rows: got 'none', expected at least one row"):
        read_clay_batch(storage, [])
    refuses(InputError, "hour: got 'dawn', expected noon or real", storage, rows, hour="dawn")
    naive = rows.assign(scene_datetime=rows["scene_datetime"].dt.tz_localize(None))
    refuses(InputError, "time: got '2025-10-27 .*expected an aware datetime", storage, naive)


@pytest.mark.parametrize("options", [{"batch_size": 0}, {"hour": "dawn"}, {"bands": ["B10"]}])
def test_arguments_are_checked_before_the_first_batch_is_asked_for(storage: LocalStorage, options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=next(iter(options))):
        iter_clay_batches(storage, [], **options)
