"""Building the embedded archive: which products it has, and their files.

Three tiles on two days in two collections, with everything that makes real archives awkward: tiles that overlap across a
zone border, a swath edge, a scene under cloud, a reprocessed datatake, a scene without SCL, a scene published late, scenes
without red-edge bands (those of the first day). Never on the path of real runs. Not here: serving it (`server`).
"""

import dataclasses
import hashlib
import json
import os
import shutil
import uuid
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyproj
from filelock import FileLock

import s2chips_core.ais.synthetic
from s2chips_core.ais.synthetic import SyntheticShip
from s2chips_core.errors import StorageError
from s2chips_core.overpasses.tile_grid import TILE_SIDE_M, tile_corner
from s2chips_core.sandbox import passes, render
from s2chips_core.sandbox.cog import CogTiles, KnownTile
from s2chips_core.sandbox.ground import SUPERBLOCK_PX, SUPERBLOCKS_ACROSS, ground_of
from s2chips_core.sandbox.hulls import PaintedShip, painted
from s2chips_core.sandbox.items import Product, item_of
from s2chips_core.sandbox.passes import PASSES, WORLD_EPSG, Pass, fleet_of_pass, sensing_time, ship_places
from s2chips_core.sandbox.reflectance import BANDS, BANDS_10M, BANDS_EVERYWHERE
from s2chips_core.sandbox.terrain import Terrain
from s2chips_core.sandbox.weather import Weather

DEMO_TILES = passes.TILES
DEMO_DAYS = tuple(over.day for over in PASSES)
DEMO_NOW = datetime(2025, 10, 29, 12, tzinfo=UTC)
"""Seventeen days after the first pass, two after the second."""

MARKER = "archive.json"
_SERVING = {"data_files.py", "faults.py", "search.py", "server.py", "stac_api.py"}
_FIRST, _SECOND = PASSES
_BANKS_A_PASS = 3
_WGS84 = pyproj.Geod(ellps="WGS84")
AFLOAT_M = 30.0
"""A ship this far from the shore is painted; one on land is not."""


def products() -> list[Product]:
    """All products of the archive: both days without the offset, the first day with it too, and one processed again."""
    late = datetime(2025, 10, 30, 4, 12, 9, tzinfo=UTC)
    found = []
    for over in PASSES:
        for number, tile in enumerate(DEMO_TILES):
            soon = over.nadir_time + timedelta(hours=7, minutes=23 + 4 * number)
            common = Product(
                over=over,
                tile_id=tile,
                collection="sentinel-2-l2a",
                has_scl=(over, tile) != (_SECOND, "29SQV"),
                bands=_bands(over),
                published=late if (over, tile) == (_SECOND, "30SUE") else soon,
            )
            found.append(common)
            if over is _FIRST:
                found.append(dataclasses.replace(common, collection="sentinel-2-c1-l2a"))
            if (over, tile) == (_FIRST, "30SUE"):
                again = soon + timedelta(days=4, hours=3)
                found.append(dataclasses.replace(common, baseline="05.12", sequence=1, published=again))
    return found


def _bands(over: Pass) -> tuple[str, ...]:
    return BANDS if over is _SECOND else BANDS[:BANDS_EVERYWHERE]


def build_archive(folder: Path, *, seed: int, ships_per_tile: int, progress: Callable[[str], None] | None = None) -> Path:
    """Make the archive in `folder`, or leave it as it is when it is complete and was made with the same parameters.

    Args:
        folder: gets `item-*.json`, one folder of COGs a product, and `archive.json`.
        seed: of the synthetic ships and of noise; `ais.synthetic_seed`.
        ships_per_tile: `ais.synthetic_ships_per_tile`.
        progress: told a line now and then.

    Returns:
        `folder`.

    Raises:
        StorageError: `folder` holds something that is no archive, or cannot be written.
    """
    tell = progress or (lambda _: None)
    folder = folder.expanduser().resolve()
    parameters = {"seed": seed, "ships_per_tile": ships_per_tile, "sources": sources_hash()}
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.parent / f".{folder.name}.lock"):
        if _is_complete(folder, parameters):
            tell(f"archive {folder} is there already")
            return folder
        if folder.exists() and any(folder.iterdir()) and not (folder / MARKER).is_file():
            raise StorageError(str(folder), f"is not empty and has no {MARKER}: expected a new folder or an archive")
        building = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}")
        try:
            building.mkdir()
            _build(building, seed, ships_per_tile, tell)
            files = {
                p.relative_to(building).as_posix(): p.stat().st_size for p in sorted(building.rglob("*")) if p.is_file()
            }
            (building / MARKER).write_text(json.dumps({**parameters, "files": files}, indent=1), encoding="utf-8")
            shutil.rmtree(folder, ignore_errors=True)
            building.replace(folder)
        except OSError as error:
            raise StorageError(str(folder), f"the archive cannot be written: {error.strerror}") from error
        finally:
            shutil.rmtree(building, ignore_errors=True)
    return folder


def sources_hash() -> str:
    """Of the code that decides what the archive shows: an archive made by other code is made again."""
    digest = hashlib.sha256()
    modules = sorted(Path(__file__).parent.glob("*.py"))
    painting = [path for path in modules if path.name not in _SERVING and not path.name.startswith("ais_")]
    for path in [*painting, Path(s2chips_core.ais.synthetic.__file__)]:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _is_complete(folder: Path, parameters: dict[str, object]) -> bool:
    try:
        marker = json.loads((folder / MARKER).read_text(encoding="utf-8"))
        if {key: marker[key] for key in parameters} != parameters:
            return False
        return all((folder / name).stat().st_size == size for name, size in marker["files"].items())
    except (OSError, ValueError, KeyError, TypeError):
        return False  # no archive, or a broken one: it is made again


def _build(folder: Path, seed: int, ships_per_tile: int, tell: Callable[[str], None]) -> None:
    terrain = Terrain()
    fleets = {
        over.day: _afloat(terrain, over, fleet_of_pass(over, ships_per_tile=ships_per_tile, seed=seed)) for over in PASSES
    }
    at_sea = {over.day: ship_places(fleets[over.day], over.nadir_time, WORLD_EPSG) for over in PASSES}
    # By the first day's ships: the scene at the edge is published in time on that day only.
    edge_m = passes.swath_edge_m(_FIRST, at_sea[_FIRST.day])
    weathers = {over.day: _weather(over, at_sea[over.day], edge_m, seed) for over in PASSES}
    texture = render.sea_texture(seed)
    with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
        for number, tile in enumerate(DEMO_TILES):
            tell(f"rendering tile {tile} ({number + 1} of {len(DEMO_TILES)})")
            views = [
                render.View(
                    over=over,
                    tile_id=tile,
                    edge_m=edge_m,
                    weather=weathers[over.day],
                    ships=_painted(fleets[over.day], over, tile),
                    texture=texture,
                    bands=len(_bands(over)),
                )
                for over in PASSES
            ]
            tile_files = _TileFiles([p for p in products() if p.tile_id == tile])
            piers = terrain.piers_on(tile_corner(tile)[0])

            def superblock(row: int, col: int) -> None:
                ground = ground_of(terrain, tile, row, col, piers)  # noqa: B023 - the loop waits for its jobs
                tile_files.put([(view, render.render(view, ground, row, col)) for view in views], row, col)  # noqa: B023

            jobs = [
                pool.submit(superblock, row, col) for row in range(SUPERBLOCKS_ACROSS) for col in range(SUPERBLOCKS_ACROSS)
            ]
            try:
                for job in as_completed(jobs):
                    job.result()
            finally:
                for job in jobs:
                    job.cancel()
            tile_files.write(folder, edge_m)


def _afloat(terrain: Terrain, over: Pass, fleet: Sequence[SyntheticShip]) -> list[SyntheticShip]:
    xy = ship_places(fleet, over.nadir_time, WORLD_EPSG)
    inland_m = terrain.distance_inland_m(xy[:, 0], xy[:, 1])
    return [ship for ship, distance in zip(fleet, inland_m, strict=True) if distance < -AFLOAT_M]


def _weather(over: Pass, at_sea: np.ndarray, edge_m: float, seed: int) -> Weather:
    """Fair weather with a bank of cloud over a few ships, and on the first day a front over the Atlantic."""
    azimuth, elevation = passes.sun_position(over.nadir_time, -5.7, 35.6)
    generator = np.random.default_rng([seed, over.absolute_orbit])
    front = 197_000.0 if over is _FIRST else None
    seen = at_sea[passes.across_track_m(over, at_sea[:, 0], at_sea[:, 1]) < edge_m - 6_000]
    # Within the middle tile, which is published on both days and keeps its sky mostly clear.
    middle = seen[(seen[:, 0] > 214_000) & (seen[:, 0] < 306_000) & (seen[:, 1] > 3_893_000) & (seen[:, 1] < 3_998_000)]
    chosen = generator.permutation(len(middle))[:_BANKS_A_PASS]
    banks = tuple((float(x), float(y), float(generator.uniform(1_200, 2_600))) for x, y in middle[chosen])
    return Weather(
        seed=over.absolute_orbit,
        cover=0.03,
        front_x_m=front,
        banks=banks,
        sun_azimuth_deg=azimuth,
        sun_elevation_deg=elevation,
    )


def _painted(fleet: Sequence[SyntheticShip], over: Pass, tile: str) -> list[PaintedShip]:
    """The ships where they were when this tile was sensed, on its grid."""
    epsg, time = tile_corner(tile)[0], sensing_time(over, tile)
    here = ship_places(fleet, time, epsg)
    lon, lat = np.array([ship.at(time) for ship in fleet]).reshape(-1, 2).T
    out = []
    for k, ship in enumerate(fleet):
        ahead = _ahead(lon[k], lat[k], ship.heading_deg, epsg)
        along = _ahead(lon[k], lat[k], ship.heading_deg if ship.cog_deg is None else ship.cog_deg, epsg)
        out.append(painted(ship, here[k], ahead, along))
    return out


def _ahead(lon: float, lat: float, azimuth_deg: float, epsg: int) -> np.ndarray:
    x, y, _ = _WGS84.fwd(lon, lat, azimuth_deg, 1_000.0)
    return np.concatenate(passes.transform(4326, epsg, np.array([x]), np.array([y])))


class _TileFiles:
    """The files of one tile while they are being made."""

    def __init__(self, wanted: list[Product]) -> None:
        self.products = wanted
        self.tiles = {p.item_id: {band: _cog(band) for band in (*p.bands, "SCL")} for p in wanted}
        half = SUPERBLOCKS_ACROSS * 256
        self.small = {
            (p.item_id, band): np.zeros((half, half), np.uint8 if band == "SCL" else np.uint16)
            for p in wanted
            for band in (*p.bands, "SCL")
        }
        self.scl_counts = {over.day: np.zeros(12, np.int64) for over in PASSES}

    def put(self, rendered: Sequence[tuple[render.View, render.Pixels | None]], row: int, col: int) -> None:
        """Encode, shrink and compress one superblock for every product."""
        rows, cols = (min(max(5490 - 1024 * k, 0), 1024) for k in (row, col))
        known: dict[tuple[str, int, int, int], list[KnownTile]] = defaultdict(list)
        for view, pixels in rendered:
            if pixels is None:
                self.scl_counts[view.over.day][0] += rows * cols
            else:
                self.scl_counts[view.over.day] += np.bincount(pixels.scl[:rows, :cols].ravel(), minlength=12)
            for product in self.products:
                if product.over is not view.over:
                    continue
                for number, band in enumerate(product.bands):
                    if pixels is None:
                        self._put_empty(product.item_id, band, row, col)
                    else:
                        valid = pixels.valid_10m if number < BANDS_10M else pixels.valid_20m
                        self._put(product.item_id, band, _encoded(pixels.bands[number], product, valid), row, col, known)
                if pixels is None:
                    self._put_empty(product.item_id, "SCL", row, col)
                else:
                    self._put(product.item_id, "SCL", pixels.scl, row, col, known)

    def _put(
        self,
        item: str,
        band: str,
        values: np.ndarray,
        row: int,
        col: int,
        known: dict[tuple[str, int, int, int], list[KnownTile]],
    ) -> None:
        cog, level = self.tiles[item][band], 0
        shrink = _every_second if band == "SCL" else _mean_of_valid
        if values.shape[0] == SUPERBLOCK_PX:
            for level, side in ((0, 1024), (1, 512)):
                for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)):
                    part = values[i * side : i * side + side, j * side : j * side + side]
                    cog.put(level, 2 * row + i, 2 * col + j, part, known[band, level, i, j])
                values = shrink(values)
        else:
            cog.put(0, row, col, values, known[band, 0, 0, 0])
            values = shrink(values)
        cog.put(level + 1, row, col, values, known[band, level + 1, 0, 0])
        self.small[item, band][row * 256 : row * 256 + 256, col * 256 : col * 256 + 256] = shrink(values)

    def _put_empty(self, item: str, band: str, row: int, col: int) -> None:
        cog, level = self.tiles[item][band], 0
        if band in BANDS[:BANDS_10M]:
            for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)):
                cog.put_plain(0, 2 * row + i, 2 * col + j, 0)
                cog.put_plain(1, 2 * row + i, 2 * col + j, 0)
            level = 1
        else:
            cog.put_plain(0, row, col, 0)
        cog.put_plain(level + 1, row, col, 0)

    def write(self, folder: Path, edge_m: float) -> None:
        """The last overviews, the files and the items."""
        for product in self.products:
            home = folder / product.item_id
            home.mkdir()
            _, ulx_m, uly_m = tile_corner(product.tile_id)
            sizes = {}
            for band, cog in self.tiles[product.item_id].items():
                if band == "SCL" and not product.has_scl:
                    continue
                self._last_overviews(product.item_id, band)
                cog.write(
                    home / f"{band}.tif",
                    epsg=tile_corner(product.tile_id)[0],
                    ulx_m=ulx_m,
                    uly_m=uly_m,
                    pixel_m=TILE_SIDE_M / cog.size_px,
                    offset=-0.1 if product.offset_dn and band != "SCL" else None,
                )
                sizes[band] = (home / f"{band}.tif").stat().st_size
            counts = self.scl_counts[product.over.day].tolist()
            item = item_of(product, edge_m=edge_m, scl_counts=counts, sizes=sizes)
            path = folder / f"item-{product.item_id}.json"
            path.write_text(json.dumps(item, indent=1), encoding="utf-8")

    def _last_overviews(self, item: str, band: str) -> None:
        cog, values = self.tiles[item][band], self.small[item, band]
        for level in range(3 if band in BANDS[:BANDS_10M] else 2, len(cog.levels)):
            padded = np.zeros((-(-values.shape[0] // 512) * 512,) * 2, values.dtype)
            padded[: values.shape[0], : values.shape[1]] = values
            for row in range(cog.tiles_across(level)):
                for col in range(cog.tiles_across(level)):
                    cog.put(level, row, col, padded[row * 512 : row * 512 + 512, col * 512 : col * 512 + 512])
            values = (_every_second if band == "SCL" else _mean_of_valid)(values)


def _cog(band: str) -> CogTiles:
    if band == "SCL":
        return CogTiles(TILE_SIDE_M // 20, np.uint8)
    return CogTiles(TILE_SIDE_M // (10 if band in BANDS[:BANDS_10M] else 20), np.uint16)


def _encoded(values: np.ndarray, product: Product, valid: np.ndarray | None) -> np.ndarray:
    """Reflectance × 10000 as the collection stores it: 1 is the least that is not nodata."""
    if product.sequence:
        values = values + ((values > 400) * (values >> 6)).astype(np.int16)  # brighter by 1.6 %: another terrain correction
    if product.offset_dn:
        values = values + np.int16(product.offset_dn)
    stored: np.ndarray = np.maximum(values, 1).view(np.uint16)
    if valid is not None:
        stored[~valid] = 0
    return stored


def _every_second(values: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(values[::2, ::2])


def _mean_of_valid(values: np.ndarray) -> np.ndarray:
    """Half the size, nodata left out of the mean; in steps of 16 or 64, or the overviews would be as big as the pixels.

    Values stay below 16384, so that four fit into 16 bit.
    """
    total = values[::2, ::2] + values[1::2, ::2]
    total += values[::2, 1::2]
    total += values[1::2, 1::2]
    if values.all():
        return _stepped((total + np.uint16(2)) >> np.uint16(2))
    count = (values > 0).reshape(values.shape[0] // 2, 2, values.shape[1] // 2, 2).sum(axis=(1, 3), dtype=np.uint16)
    mean: np.ndarray = np.where(count > 0, _stepped(total // np.maximum(count, 1)), 0).astype(np.uint16)
    return mean


def _stepped(values: np.ndarray) -> np.ndarray:
    fine, coarse = (values + np.uint16(8)) & np.uint16(0xFFF0), (values + np.uint16(32)) & np.uint16(0xFFC0)
    stepped: np.ndarray = np.maximum(np.where(values < 600, fine, coarse), 1)
    return stepped
