"""Whole exports: the same bytes each time, nothing of ships that was to be left out, one state of a dataset that goes on."""

import json
import re
import tarfile
import threading
import zlib
from collections.abc import Callable
from pathlib import Path

import duckdb
import geopandas
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import rasterio
import shapely

from s2chips_core import layout
from s2chips_core.errors import InputError, StorageError
from s2chips_core.export.pseudonyms import Pseudonyms
from s2chips_core.index.clay import read_clay_batch
from s2chips_core.index.records import INDEX_SCHEMA
from s2chips_core.index.tiles import build_tiles_index
from s2chips_core.storage import LocalStorage
from tests.export.chips import make_dataset
from tests.export.conftest import KEY, Export, export

MakeExport = Callable[..., Export]


def tree(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.parametrize("options", [{}, {"without_ais": True}])
def test_the_same_export_has_the_same_bytes(make_export: MakeExport, options: dict[str, bool]) -> None:
    one, two = make_export(**options), make_export(**options)
    assert tree(one.folder) == tree(two.folder)


def test_another_key_other_names(nameless: Export, make_export: MakeExport) -> None:
    other = make_export(without_ais=True, key=b"another key of the same owner", formats=("geoparquet",))
    random = make_export(without_ais=True, key=None, formats=("geoparquet",))
    ids = [set(pd.read_parquet(e.folder / "chips.parquet")["vessel_id"]) for e in (nameless, other, random)]
    assert [len(each) for each in ids] == [12, 12, 12]
    assert not ids[0] & ids[1]
    assert not ids[0] & ids[2]
    assert [e.manifest["pseudonym_key"] for e in (nameless, other, random)] == ["environment", "environment", "random"]


def everything(folder: Path) -> dict[str, bytes]:
    """Every file, and what is within files: members of tars, blocks of GeoTIFFs, columns of Parquet, and names."""
    found = {name: name.encode() + b"\n" + data for name, data in tree(folder).items()}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.suffix == ".parquet":
            table = pq.read_table(path)
            found[f"{name} as text"] = repr((table.schema, table.schema.metadata, table.to_pylist())).encode()
            found[f"{name} footer"] = repr(pq.read_metadata(path).metadata).encode()
        if path.suffix == ".tar":
            with tarfile.open(path) as tar:
                for entry in tar:
                    member = tar.extractfile(entry)
                    assert member is not None
                    found[f"{name}/{entry.name}"] = entry.name.encode() + b"\n" + member.read()
    for name, data in list(found.items()):
        # Compressed blocks, wherever they begin.
        for start in (m.start() for m in re.finditer(rb"\x78[\x01\x5e\x9c\xda]", data)):
            try:
                found[f"{name}@{start}"] = zlib.decompressobj().decompress(data[start:])
            except zlib.error:
                continue
    return found


SECRETS = ("mmsi", "chip_id", "ship_name", "target_id", "fingerprint")


def secrets_of(made: Export) -> set[bytes]:
    """What names a ship or leads to it: ids, names, and exact fixes."""
    found: set[bytes] = set()
    for chip in made.kept.values():
        row = chip.row
        found |= {str(row[name]).encode() for name in SECRETS}
        found |= {json.dumps(row["ship_name"])[1:-1].encode(), str(row["ship_name"]).encode("utf-16-le")}
        found |= {int(row["mmsi"]).to_bytes(8, "little"), int(row["mmsi"]).to_bytes(8, "big"), f"{row['mmsi']:x}".encode()}
        found.add(row["ais_time"].isoformat(timespec="milliseconds").removesuffix("+00:00").encode())
        for label in row["labels"]:
            found |= {str(label["mmsi"]).encode(), str(label["ship_name"]).encode()}
            if not label["is_target"]:
                found |= {str(label[name]).encode() for name in ("to_bow_m", "to_starboard_m")}
    return found - {b"None", b"null", b"t000"} - {f"t{n:03d}".encode() for n in range(20)}


def test_nothing_names_a_ship(nameless: Export, whole: Export) -> None:
    """Every byte, also within tars, Parquet and compressed blocks. With AIS each secret is found: the search works."""
    secrets = secrets_of(nameless)
    assert len(secrets) > 16 * 5
    hidden, told = everything(nameless.folder), everything(whole.folder)
    open_words = b"\n".join(told.values())
    seen = {secret for secret in secrets if secret in open_words}
    assert {str(c.row["mmsi"]).encode() for c in whole.kept.values()} <= seen
    assert {str(c.row["ship_name"]).encode() for c in whole.kept.values()} <= seen
    assert b"52.75" in seen
    for name, data in hidden.items():
        for secret in secrets:
            assert secret not in data, f"{secret!r} in {name}"


def test_no_exact_place_is_told(nameless: Export) -> None:
    """Every place of a ship, in every file that tells any, is the middle of a pixel."""
    shown = pd.read_parquet(nameless.folder / "chips.parquet").set_index("chip_id")
    labels = pd.read_parquet(nameless.folder / "labels.parquet")
    assert ((labels[["col", "row"]] % 1) == 0.5).all(axis=None)
    exact = {(label["lat"], label["lon"]) for chip in nameless.kept.values() for label in chip.row["labels"]}
    places = set(zip(labels["lat"], labels["lon"], strict=True)) | set(zip(shown["lat"], shown["lon"], strict=True))
    assert not places & exact
    for chip_id, row in shown.iterrows():
        sidecar = json.loads((nameless.folder / row["path"].replace(".tif", ".json")).read_text())
        assert (sidecar["lat"], sidecar["lon"]) == (row["lat"], row["lon"])
        assert all((label["col"] % 1, label["row"] % 1) == (0.5, 0.5) for label in sidecar["labels"])
        with rasterio.open(nameless.folder / row["path"]) as raster:
            assert (float(raster.tags()["lat"]), float(raster.tags()["lon"])) == (row["lat"], row["lon"]), chip_id
    for path in (nameless.folder / "coco").iterdir():
        for image in json.loads(path.read_text())["images"]:
            assert (image["lat"], image["lon"]) == tuple(shown.loc[image["chip_id"], ["lat", "lon"]])
            assert all((col % 1, row % 1) == (0.5, 0.5) for col, row in image["ships_without_box"])


def test_pixels_are_the_same_bits(nameless: Export) -> None:
    """Of every chip, found again by its name."""
    shown = pd.read_parquet(nameless.folder / "chips.parquet")
    rows = {Pseudonyms(KEY).chip_id(chip_id): chip for chip_id, chip in nameless.kept.items()}
    assert len(rows) == len(shown) == 16
    for row in shown.to_dict("records"):
        chip = rows[row["chip_id"]]
        with rasterio.open(nameless.folder / row["path"]) as raster:
            assert raster.read().tobytes() == chip.pixels.tobytes()
            assert raster.tags()["vessel_id"] == row["vessel_id"]
            assert raster.tags()["chip_id"] == row["chip_id"]
            assert "mmsi" not in raster.tags()


def test_tables_are_read_by_others(whole: Export) -> None:
    path = whole.folder / "chips.parquet"
    frame = geopandas.read_parquet(path)
    assert frame.crs == "OGC:CRS84"
    assert set(frame["chip_id"]) == set(whole.kept)
    assert pq.read_schema(path).equals(INDEX_SCHEMA)
    for row in frame.to_dict("records"):
        assert shapely.equals(row["geometry"], shapely.from_wkb(whole.kept[row["chip_id"]].row["geometry"]))
        assert (whole.folder / row["path"]).is_file()
    with duckdb.connect() as db:
        query = "select count(*), count(distinct chip_id) from read_parquet(?)"
        assert db.execute(query, [str(path)]).fetchone() == (16, 16)
        joined = "select count(*) from read_parquet(?) l join read_parquet(?) c using (chip_id)"
        labels = str(whole.folder / "labels.parquet")
        assert db.execute(joined, [labels, str(path)]).fetchone() == (whole.manifest["labels"],)


def test_without_ais_the_table_is_geoparquet_too(nameless: Export) -> None:
    frame = geopandas.read_parquet(nameless.folder / "chips.parquet")
    assert shapely.contains_xy(frame.geometry, frame["lon"], frame["lat"]).all()
    assert "mmsi" not in frame.columns


def test_an_export_is_read_as_a_dataset_is(whole: Export) -> None:
    """Paths and chips are the same: what reads the dataset reads the export."""
    for chip in whole.kept.values():
        assert (whole.folder / chip.row["path"]).read_bytes() == whole.storage.get(chip.row["path"])
    rows = pd.read_parquet(whole.folder / "chips.parquet").head(2)
    with pytest.raises(InputError, match="256"):
        read_clay_batch(LocalStorage(whole.folder), rows, bands=("B02",))


@pytest.mark.local_only("files can be linked on one disk only")
def test_links(make_export: MakeExport) -> None:
    linked, copied = make_export(assets="link"), make_export()
    for chip in linked.kept.values():
        inode = linked.storage.path(chip.row["path"]).stat().st_ino
        assert (linked.folder / chip.row["path"]).stat().st_ino == inode
        assert (copied.folder / chip.row["path"]).stat().st_ino != inode
    other = {"export.json", "checksums.sha256"}
    one, two = ({k: v for k, v in tree(e.folder).items() if k not in other} for e in (linked, copied))
    assert one == two


def test_bands(make_export: MakeExport) -> None:
    made = make_export(bands=("B11", "B02"), formats=("geoparquet", "stac"))
    assert made.manifest["left_out"] == {"without one of the bands": 8}
    for row in pd.read_parquet(made.folder / "chips.parquet").to_dict("records"):
        chip = made.kept[row["chip_id"]]
        with rasterio.open(made.folder / row["path"]) as raster:
            wanted = chip.pixels[[chip.row["bands"].index(band) for band in ("B11", "B02")]]
            np.testing.assert_array_equal(raster.read(), wanted)
            assert raster.descriptions == ("B11", "B02")
            assert raster.tags()["mmsi"] == str(chip.row["mmsi"])
        sidecar = json.loads((made.folder / row["path"].replace(".tif", ".json")).read_text())
        assert (sidecar["bands"], sidecar["has_swir"]) == (["B11", "B02"], True)
        assert len(sidecar["labels"]) == len(chip.row["labels"])


def test_splits_and_conditions(make_export: MakeExport) -> None:
    made = make_export(splits=("val",), formats=("coco", "webdataset", "geoparquet"))
    assert set(pd.read_parquet(made.folder / "chips.parquet")["split"]) == {"val"}
    assert [p.name for p in (made.folder / "coco").iterdir()] == ["instances_val.json"]
    assert set(made.manifest["shards"]) == {"val"}


def test_a_split_without_chips(make_export: MakeExport) -> None:
    """An empty COCO file, so that a loader of three splits finds three, and no shard."""
    made = make_export(where="split == 'train'")
    assert set(made.manifest["shards"]) == {"train"}
    empty = json.loads((made.folder / "coco" / "instances_val.json").read_text())
    assert (empty["images"], empty["annotations"]) == ([], [])
    assert "instances_val.json` | 0 images" in (made.folder / "DATACARD.md").read_text()


def test_the_manifest_counts_what_is_there(whole: Export) -> None:
    manifest, files = whole.manifest, tree(whole.folder)
    assert manifest["chips"] == sum(manifest["chips_by_split"].values()) == 16
    assert manifest["files"] == len(files) - 2
    assert manifest["bytes"] == sum(
        len(data) for name, data in files.items() if name not in ("export.json", "checksums.sha256")
    )
    assert sum(sum(counts) for counts in manifest["shards"].values()) == 16


def test_chips_that_went_since_the_index_was_made(storage: LocalStorage, tmp_path: Path) -> None:
    """A clear error that names the remedy, and no export."""
    kept = make_dataset(storage)
    gone = next(iter(kept.values())).row["path"]
    storage.delete(gone)
    with pytest.raises(StorageError, match=r"materialise tiles_index \(job index_tiles\), then export again") as error:
        export(storage, tmp_path / "out")
    assert gone in str(error.value)
    assert list(tmp_path.glob("*out*")) == []


def test_the_dataset_goes_on_while_it_is_exported(storage: LocalStorage, tmp_path: Path) -> None:
    """Runs are not held up: the commit lock is free while chips are read."""
    make_dataset(storage)
    held = threading.Event()
    began: list[bool] = []

    def progress(told: str) -> None:
        if "written" in told and not began:
            began.append(True)
            build_tiles_index(storage)  # takes the lock
            held.set()

    from s2chips_core.export.dataset import export_dataset
    from s2chips_core.export.options import ExportOptions
    from tests.export.chips import EXPORTED_AT
    from tests.index.chips import SETTINGS

    export_dataset(
        storage,
        tmp_path / "out",
        ExportOptions(formats=("stac",)),
        settings=SETTINGS,
        now=EXPORTED_AT,
        software_version="0",
        progress=progress,
    )
    assert held.is_set()


@pytest.mark.local_only("no folder lies in a bucket")
@pytest.mark.parametrize("place", ["", "exports/one", ".."])
def test_not_within_the_dataset_nor_around_it(storage: LocalStorage, place: str) -> None:
    make_dataset(storage)
    before = storage.list("chips")
    with pytest.raises(InputError, match="a folder apart from the dataset"):
        export(storage, storage.root / place)
    assert storage.list("chips") == before


def test_labels_that_are_not_known(storage: LocalStorage, tmp_path: Path) -> None:
    """Chips of a version that knew no labels: told, and left out of COCO only."""
    kept = make_dataset(storage)
    chip = next(iter(kept.values()))
    [key] = layout.chip_artefacts(chip.row["path"], (".json",))
    said = json.loads(storage.get(key))
    del said["labels"]
    storage.put(key, json.dumps(said).encode())
    manifest = export(storage, tmp_path / "out")
    unknown = [counts["chips_without_labels"] for counts in manifest["coco"].values()]
    assert sum(unknown) == 1
    assert sum(counts["images"] for counts in manifest["coco"].values()) == 15
    assert "Of 1 chips no labels are known" in (tmp_path / "out" / "DATACARD.md").read_text()
    assert manifest["chips"] == 16
