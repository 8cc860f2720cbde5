"""Files of chips: of one making, and written anew without a trace of what they were."""

import io
import json
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.io import MemoryFile

from s2chips_core import layout
from s2chips_core.chips.chip import MASK_BANDS
from s2chips_core.errors import StorageError
from s2chips_core.export.chip_files import read_chip, rewritten
from s2chips_core.index.records import INDEX_SCHEMA, properties
from s2chips_core.storage import LocalStorage
from tests.export.chips import SWIR, Kept, index, keep
from tests.index.chips import SETTINGS, scene_of


@pytest.fixture
def kept(storage: LocalStorage) -> Kept:
    made = keep(storage, 1, scene_of(), settings=SWIR, neighbours=1)
    index(storage, [made])
    return made


def row_of(kept: Kept) -> dict[str, Any]:
    return {name: kept.row[name] for name in INDEX_SCHEMA.names}


def test_read(storage: LocalStorage, kept: Kept) -> None:
    files = read_chip(storage, row_of(kept))
    for suffix, data in files.data.items():
        assert data == storage.get(layout.chip_artefacts(kept.row["path"], (suffix,))[0])
    assert set(files.data) == {".tif", "_masks.tif", "_quicklook.jpg", ".json"}
    facts = files.raster
    assert (facts.rows, facts.cols, facts.cloud_optimized, facts.mask_bands) == (32, 32, False, MASK_BANDS)
    assert files.labels is not None
    assert [label["mmsi"] for label in files.labels] == [kept.row["mmsi"], 311_000_000]


def test_a_chip_without_masks_and_without_labels(storage: LocalStorage, kept: Kept) -> None:
    storage.delete(kept.row["path"].replace(".tif", "_masks.tif"))
    storage.put(kept.row["path"].replace(".tif", ".json"), json.dumps(properties(row_of(kept))).encode())
    files = read_chip(storage, row_of(kept))
    assert "_masks.tif" not in files.data
    assert files.raster.mask_bands == ()
    assert files.labels is None


@pytest.mark.parametrize("suffix", [".tif", "_quicklook.jpg", ".json"])
def test_a_file_that_is_gone(storage: LocalStorage, kept: Kept, suffix: str) -> None:
    storage.delete(kept.row["path"].replace(".tif", suffix))
    with pytest.raises(StorageError, match=r"cannot be read; materialise tiles_index") as error:
        read_chip(storage, row_of(kept))
    assert kept.row["path"].replace(".tif", suffix) in str(error.value)


@pytest.mark.parametrize("suffix", [".tif", ".json"])
def test_a_chip_that_was_made_anew(storage: LocalStorage, kept: Kept, suffix: str) -> None:
    """Another configuration gives other pixels under the same name."""
    key = kept.row["path"].replace(".tif", suffix)
    before = storage.get(key)
    keep(storage, 1, scene_of(), settings=SETTINGS)
    for other in layout.chip_artefacts(kept.row["path"], (".tif", ".json")):
        if other != key:
            continue
        assert storage.get(other) != before
    with pytest.raises(StorageError, match="is not the chip"):
        read_chip(storage, row_of(kept))


@pytest.mark.on_bucket("rclone")
def test_a_chip_that_changes_while_it_is_read(storage: LocalStorage, kept: Kept) -> None:
    """Sidecar and picture are new, the `.tif` is still old, as a run that is under way has it."""
    tif = storage.get(kept.row["path"])
    keep(storage, 1, scene_of(), settings=SETTINGS)
    storage.put(kept.row["path"], tif)
    with pytest.raises(StorageError, match="is not the chip"):
        read_chip(storage, row_of(kept))


@pytest.mark.parametrize(("suffix", "problem"), [(".tif", "is no GeoTIFF"), (".json", "is no sidecar")])
def test_a_file_that_is_broken(storage: LocalStorage, kept: Kept, suffix: str, problem: str) -> None:
    storage.put(kept.row["path"].replace(".tif", suffix), b"broken")
    with pytest.raises(StorageError, match=problem):
        read_chip(storage, row_of(kept))


def opened(data: bytes) -> Any:
    return MemoryFile(data).open()


@pytest.mark.parametrize("geotiff", ["gtiff", "cog"])
@pytest.mark.parametrize("compression", ["deflate", "zstd", "lzw", "none"])
@pytest.mark.parametrize("bands", [None, ("B08", "B02")])
def test_written_anew_pixels_are_the_same_bits(
    storage: LocalStorage, geotiff: str, compression: str, bands: tuple[str, ...] | None
) -> None:
    settings = SWIR.override({"storage": {"geotiff": geotiff, "compression": compression}})
    made = keep(storage, 1, scene_of(), settings=settings, neighbours=1)
    files = read_chip(storage, row_of(made))
    bands = bands or tuple(made.row["bands"])
    shown = {"vessel_id": "ffee", "chip_id": "abcd", "bands": list(bands), "lat": made.row["lat"]}
    anew = rewritten(files, shown, [{"vessel_id": "ffee"}])
    with opened(files.data[".tif"]) as old, opened(anew.data[".tif"]) as new:
        wanted = old.read([made.row["bands"].index(band) + 1 for band in bands])
        assert new.read().tobytes() == wanted.tobytes()
        assert new.descriptions == bands
        same = ["crs", "transform", "dtype", "nodata", "width", "height", "compress"]
        # An uncompressed COG does not say that it is one, and becomes a plain file.
        same += ["tiled", "blockxsize", "interleave"] if (geotiff, compression) != ("cog", "none") else []
        assert {k: new.profile.get(k) for k in same} == {k: old.profile.get(k) for k in same}
        told = {k: v for k, v in new.tags().items() if k not in ("AREA_OR_POINT", "OVR_RESAMPLING_ALG")}
        assert told == {"chip_id": "abcd", "vessel_id": "ffee", "lat": str(made.row["lat"])}
        assert new.tags(ns="IMAGE_STRUCTURE").get("LAYOUT") == old.tags(ns="IMAGE_STRUCTURE").get("LAYOUT")
    assert anew.raster == files.raster
    assert anew.raster.cloud_optimized is (geotiff == "cog" and compression != "none")
    for trace in (made.row["mmsi"], made.row["chip_id"], made.row["fingerprint"]):
        assert str(trace).encode() in files.data[".tif"]
        assert str(trace).encode() not in anew.data[".tif"]
    assert json.loads(anew.data[".json"]) == {**shown, "labels": [{"vessel_id": "ffee"}]}


def test_a_picture_is_left_as_it_is(storage: LocalStorage, kept: Kept) -> None:
    files = read_chip(storage, row_of(kept))
    anew = rewritten(files, {"chip_id": "abcd", "bands": ["B02"]}, None)
    assert anew.data["_quicklook.jpg"] == files.data["_quicklook.jpg"]
    assert anew.data["_masks.tif"] == files.data["_masks.tif"]
    assert "labels" not in json.loads(anew.data[".json"])


def test_the_pixels_are_those_that_were_cut(storage: LocalStorage, kept: Kept) -> None:
    with rasterio.open(io.BytesIO(read_chip(storage, row_of(kept)).data[".tif"])) as raster:
        np.testing.assert_array_equal(raster.read(), kept.pixels)
