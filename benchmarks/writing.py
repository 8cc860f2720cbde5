"""CPU and bytes of the artefacts of a chip, on the chips of a dataset that is there, beside other ways to write them.

    python -m benchmarks.writing [--dataset demo/dataset] [--bands 4] [--rounds 7]

Every way is tried on every chip in turn, so that what else the machine does falls on all of them; the least CPU time of
the rounds counts for each chip. The other ways: GDAL's default deflate with predictor 3 and no predictor, the stretch that
orders all pixels, folders made for each file.
"""

import argparse
import dataclasses
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import shapely
from PIL import Image
from rasterio import Affine
from rasterio.io import MemoryFile

from s2chips_core.chips.artefacts import encode_geotiff
from s2chips_core.chips.chip import Chip, CutRequest
from s2chips_core.chips.gate import GateNumbers, GateVerdict
from s2chips_core.chips.quicklook import encode_quicklook
from s2chips_core.config import Settings, parse_settings
from s2chips_core.index.chip_files import TAG_FIELDS, encode_artefacts, write_artefacts
from s2chips_core.index.geojson import feature_bytes
from s2chips_core.index.parts import chips_of_scene_day, scene_days
from s2chips_core.index.records import properties, sidecar
from s2chips_core.storage import LocalStorage

RGB = ("B04", "B03", "B02")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A chip that is written again."""

    row: dict[str, Any]
    chip: Chip

    @property
    def tags(self) -> dict[str, str]:
        """Of its GeoTIFF."""
        said = properties(self.row)
        return {name: str(said[name]) for name in TAG_FIELDS}


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--dataset", type=Path, default=Path("demo/dataset"), help="a dataset with chips")
    parser.add_argument("--bands", type=int, default=4, help="the first so many bands of each chip")
    parser.add_argument("--chips", type=int, default=40, help="most chips")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    chips = list(read_chips(LocalStorage(options.dataset), options.bands))[: options.chips]
    print(f"{len(chips)} chips of {chips[0].chip.reflectance.shape}")
    print(f"{'':<44}{'CPU ms':>8}{'kB':>9}")
    with tempfile.TemporaryDirectory() as folder:
        for name, cpu_ms, kilobytes in measure(chips, ways(Path(folder)), options.rounds):
            print(f"{name:<44}{cpu_ms:>8.2f}{kilobytes:>9.1f}")


def ways(folder: Path) -> dict[str, Callable[[Made], int]]:
    """What is measured: each writes something of a chip and says how many bytes."""
    settings = parse_settings({"satellite_tracking": {"tiles": ["30STE"]}}, "benchmark")
    storage = LocalStorage(folder / "now")
    return {
        "all four artefacts, written": lambda made: write_all(made, storage, settings),
        "all four, encoded": lambda made: sum(map(len, encode_artefacts(made.row, made.chip, settings).values())),
        "  GeoTIFF: deflate 1 (default)": lambda made: geotiff(made, "gtiff", "deflate"),
        "  quicklook": lambda made: len(encode_quicklook(made.chip.reflectance, made.chip.bands)),
        "  sidecar": lambda made: len(sidecar(made.row)),
        "  GeoJSON": lambda made: len(feature_bytes(made.row)),
        "  four files to disk": lambda made: write_only(made, storage),
        "GeoTIFF: zstd 1": lambda made: geotiff(made, "gtiff", "zstd"),
        "GeoTIFF: lzw": lambda made: geotiff(made, "gtiff", "lzw"),
        "GeoTIFF: none": lambda made: geotiff(made, "gtiff", "none"),
        "GeoTIFF: cog, deflate 1": lambda made: geotiff(made, "cog", "deflate"),
        "other: deflate 6, predictor 3": lambda made: plain_gdal(made, PREDICTOR="3"),
        "other: deflate 6": lambda made: plain_gdal(made),
        "other: quicklook by ordering all pixels": lambda made: ordered_quicklook(made.chip),
        "other: four files, each making its folder": lambda made: write_making_folders(made, folder / "other"),
    }


def measure(chips: list[Made], tried: dict[str, Callable[[Made], int]], rounds: int) -> Iterable[tuple[str, float, float]]:
    """Name, CPU milliseconds and kilobytes, the mean over the chips, of each way."""
    cpu_s = np.full((len(tried), len(chips)), np.inf)
    size = np.zeros_like(cpu_s)
    for _ in range(rounds):
        for n, made in enumerate(chips):
            for way, write in enumerate(tried.values()):
                began = time.thread_time()
                size[way, n] = write(made)
                cpu_s[way, n] = min(cpu_s[way, n], time.thread_time() - began)
    return zip(tried, (cpu_s.mean(axis=1) * 1000).tolist(), (size.mean(axis=1) / 1000).tolist(), strict=True)


def read_chips(storage: LocalStorage, bands: int) -> Iterable[Made]:
    """The chips of a dataset with their rows."""
    for day in scene_days(storage):
        for row in chips_of_scene_day(storage, day).to_pylist():
            with rasterio.open(storage.path(row["path"])) as raster:
                pixels, transform, names = raster.read(), tuple(raster.transform)[:6], raster.descriptions
            fractions = {name: row[name] for name in ("qa_cloud_frac", "qa_land_frac", "qa_water_frac", "qa_nodata_frac")}
            chip = Chip(
                request=CutRequest(**{name: row[name] for name in ("target_id", "mmsi", "lat", "lon", "chip_id")}),
                bands=names[:bands],
                reflectance=np.ascontiguousarray(pixels[:bands]),
                epsg=row["epsg"],
                transform=transform,
                footprint=shapely.geometry.mapping(shapely.from_wkb(row["geometry"])),
                numbers=GateNumbers(**fractions, valid_px=1, scl_present=row["scl_present"]),
                verdict=GateVerdict(row["gate_verdict"]),
                boa_offset_dn=row["boa_offset_dn"],
                boa_offset_source=row["boa_offset_source"],
                scl_present=row["scl_present"],
                masks=None,
            )
            yield Made(row=row, chip=chip)


def write_all(made: Made, storage: LocalStorage, settings: Settings) -> int:
    """As a run does it."""
    encoded = encode_artefacts(made.row, made.chip, settings)
    write_artefacts(storage, made.row["path"], encoded)
    return sum(map(len, encoded.values()))


def sizes(made: Made) -> dict[str, int]:
    """About as large as a chip's files are."""
    return {".geojson": 1_800, ".json": 3_100, "_quicklook.jpg": 15_000, ".tif": made.chip.reflectance.nbytes // 4}


def write_only(made: Made, storage: LocalStorage) -> int:
    """Bytes that are there, into new files: replacing old ones is work of the file system for them."""
    shutil.rmtree(storage.root / "only", ignore_errors=True)
    encoded = {suffix: bytes(size) for suffix, size in sizes(made).items()}
    write_artefacts(storage, f"only/{made.row['path']}", encoded)
    return sum(map(len, encoded.values()))


def write_making_folders(made: Made, root: Path) -> int:
    """The same, with a folder made and a temporary file removed for each file."""
    shutil.rmtree(root, ignore_errors=True)
    total = 0
    for suffix, size in sizes(made).items():
        path = root / made.row["path"].replace(".tif", suffix)
        temporary = path.with_name(f".{path.name}.new")
        path.parent.mkdir(parents=True, exist_ok=True)
        total += temporary.write_bytes(bytes(size))
        temporary.replace(path)
        temporary.unlink(missing_ok=True)
    return total


def geotiff(made: Made, kind: Any, compression: Any) -> int:
    """Ours, in a format of the configuration."""
    return len(encode_geotiff(made.chip, tags=made.tags, geotiff=kind, compression=compression))


def plain_gdal(made: Made, **options: str) -> int:
    """What rasterio writes when it is told `compress="deflate"`."""
    chip = made.chip
    count, rows, cols = chip.reflectance.shape
    shape = {"count": count, "height": rows, "width": cols, "dtype": "float32", "nodata": 0}
    place = {"crs": f"EPSG:{chip.epsg}", "transform": Affine(*chip.transform)}
    with MemoryFile() as memory:
        with memory.open(
            driver="GTiff", tiled=True, blockxsize=128, blockysize=128, compress="deflate", **shape, **place, **options
        ) as dataset:
            dataset.write(chip.reflectance)
            dataset.descriptions = chip.bands
            dataset.update_tags(**made.tags)
        return len(memory.read())


def ordered_quicklook(chip: Chip) -> int:
    """The percentiles of all pixels in float64."""
    layers = np.stack([chip.reflectance[chip.bands.index(band)] for band in RGB], axis=-1)
    valid = (layers != 0).all(axis=-1)
    values = layers[valid].astype(np.float64)
    low, high = np.percentile(values, [2, 98], axis=0)
    widen = np.maximum(0.04 - (high - low), 0.0)
    low, high = low - widen / 3, high + widen * 2 / 3
    shares = np.clip((values - low) / (high - low), 0.0, 1.0)
    middle = float(np.median(shares.mean(axis=1)))
    if middle < 0.15:
        shares **= max(np.log(0.15) / np.log(max(middle, 1e-6)), 0.4)
    picture = np.full(layers.shape, 40, np.uint8)
    picture[valid] = (shares * 255.0 + 0.5).astype(np.uint8)
    with tempfile.SpooledTemporaryFile() as file:
        Image.fromarray(picture).save(file, "JPEG", quality=88, subsampling="4:4:4")
        return file.tell()


if __name__ == "__main__":
    main()
