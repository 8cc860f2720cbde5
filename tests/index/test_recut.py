"""Chips cut from an archive by a day's run, then again from what the dataset kept: the same, or what differs."""

import contextlib
import dataclasses
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import rasterio
from rasterio.io import MemoryFile

from s2chips_core import layout, tables
from s2chips_core.config import Settings
from s2chips_core.errors import InputError, SchemaError, StorageError
from s2chips_core.fetch import Fetcher
from s2chips_core.index.day import chip_day, write_day_tables
from s2chips_core.index.outcomes import OUTCOME_SCHEMA
from s2chips_core.index.records import INDEX_SCHEMA
from s2chips_core.index.recut import Recut, find_row, recut, select_chips
from s2chips_core.index.tiles import build_tiles_index
from s2chips_core.storage import LocalStorage, Storage
from tests.chips.range_server import RangeServer, serving
from tests.chips.rasters import make_cog
from tests.chips.scenes import make_files, make_pixels, make_scene, make_settings, request_at, with_offset
from tests.index.chips import DAY, NOW, match_of, write_matches

PIXELS = make_pixels(red_edge=True)
FILES = make_files(PIXELS)
PLACES = [(450, 450), (500, 520), (300, 600)]
PROFILES: dict[str, dict[str, dict[str, Any]]] = {
    "core": {"tiling": {}},
    "swir": {"tiling": {"include_swir": True}},
    "cog": {"tiling": {"include_swir": True}, "storage": {"geotiff": "cog", "compression": "zstd"}},
    "clay10": {"tiling": {"band_profile": "clay10"}},
    "nearest": {"tiling": {"include_swir": True, "resample": "nearest"}},
    "masks": {"tiling": {}, "masks": {"persist": True}},
    "gate off": {"tiling": {}, "gate": {"enabled": False}},
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Made:
    """A dataset, the archive it was cut from, and what cut it."""

    storage: LocalStorage
    server: RangeServer
    settings: Settings
    rows: list[dict[str, Any]]

    def recut(self, number: int = 0, *, settings: Settings | None = None, version: str = "0.1.0", **more: Any) -> Recut:
        settings = settings or self.settings
        hosts = more.pop("hosts", (self.server.host,))
        with_fetcher = Fetcher(hosts, sleep=lambda s: None, timeout_s=10)
        chip_id = more.pop("chip_id", self.rows[number]["chip_id"])
        return recut(
            chip_id,
            settings=settings,
            storage=self.storage,
            fetcher=with_fetcher,
            software_version=version,
            **more,
        )

    def edit(self, band: str, change: Any, pixels: Mapping[str, np.ndarray] = PIXELS) -> None:
        """Change the archive's file of a band."""
        dn = pixels[band].copy()
        change(dn)
        self.server.files[f"{band}.tif"] = make_cog(dn, 256, gsd_m=10 if len(dn) == 1000 else 20)


def pixels_of(geotiff: bytes) -> np.ndarray:
    with MemoryFile(geotiff) as memory, memory.open() as raster:
        found: np.ndarray = raster.read()
    return found


def make(
    storage: LocalStorage,
    server: RangeServer,
    settings: Settings,
    *,
    pixels: Mapping[str, np.ndarray] = PIXELS,
    places: list[tuple[int, int]] = PLACES,
    **scene: Any,
) -> Made:
    """Run a day whose ships are at these pixels."""
    seen = make_scene(server, pixels, **scene)
    matches = [
        match_of(n, scene=seen, lat=request_at(*place).lat, lon=request_at(*place).lon) for n, place in enumerate(places)
    ]
    write_matches(storage, matches)
    fetcher = Fetcher((server.host,), sleep=lambda s: None, timeout_s=10)
    result = chip_day(
        DAY,
        layout.CAPTURE,
        settings=settings,
        storage=storage,
        fetcher=fetcher,
        clock=lambda: NOW,
        software_version="0.1.0",
    )
    assert result.counts["chipped"] == len(places), result.outcomes["detail"].tolist()
    write_day_tables(DAY, storage)
    build_tiles_index(storage)
    rows = tables.conform(result.rows, INDEX_SCHEMA, "rows").to_pylist()
    return Made(storage=storage, server=server, settings=settings, rows=rows)


def bytes_of(storage: LocalStorage) -> dict[str, bytes]:
    return {
        key: storage.get(key) for folder in ("chips", "indexes", "outcomes", "provenance") for key in storage.list(folder)
    }


@pytest.fixture
def server() -> Iterator[RangeServer]:
    with serving(dict(FILES)) as served:
        yield served


@pytest.fixture
def made(storage: LocalStorage, server: RangeServer) -> Made:
    return make(storage, server, make_settings())


@pytest.mark.parametrize("profile", PROFILES)
def test_the_same_chip_comes_again_byte_for_byte(storage: LocalStorage, server: RangeServer, profile: str) -> None:
    made = make(storage, server, make_settings(**PROFILES[profile]))
    before = bytes_of(storage)
    # What the configuration says now decides nothing.
    now = make_settings(tiling={"band_profile": "core"}, gate={"max_cloud_center_frac": 0.0}, masks={"use_ndwi": False})
    for number, row in enumerate(made.rows):
        again = made.recut(number, settings=now)
        assert (again.verdict, again.differences) == ("identical", ()), again
        assert again.geotiff == storage.get(row["path"])
        assert str(again).startswith(f"{row['chip_id']}: identical\n  the file too, byte for byte")
    assert bytes_of(storage) == before


def test_one_ship_comes_again_where_the_pixels_of_all_told_the_offset(storage: LocalStorage, server: RangeServer) -> None:
    raised = with_offset(PIXELS)
    server.files.update(make_files(raised))
    made = make(storage, server, make_settings(), pixels=raised, boa_offset_flag=None)
    assert {(row["boa_offset_dn"], row["boa_offset_source"]) for row in made.rows} == {(-1000, "pixels")}
    again = made.recut()
    assert again.verdict == "identical", again
    assert "offset -1000 DN is taken from the row" in again.notes[0]


def test_a_changed_pixel_is_said(made: Made) -> None:
    def change(dn: np.ndarray) -> None:
        dn[440, 460] += 77

    made.edit("B04", change)
    again = made.recut()
    assert again.verdict == "different"
    assert again.differences == (
        "B04: 1 of 65536 pixels differ, by at most 0.0077",
        f"the archive has replaced the asset, or the stored chip was changed: {made.server.href('B04.tif')}",
    )
    assert again.geotiff is not None
    stored = pixels_of(made.storage.get(made.rows[0]["path"]))
    gap = np.abs(stored[2].astype(float) - pixels_of(again.geotiff)[2])
    assert (np.count_nonzero(gap), gap.max()) == (1, pytest.approx(0.0077, abs=1e-7))


def test_changed_coarse_pixels_and_numbers_are_said(made: Made) -> None:
    def change(dn: np.ndarray) -> None:
        dn[225, 225] = 400

    made.edit("B11", change)
    made.edit("SCL", lambda scl: scl.__setitem__((slice(224, 226), slice(224, 226)), 9))
    again = made.recut()
    # 16 pixels of 10 m are cloud now; in cubic interpolation a pixel of 20 m reaches 8 × 8 of 10 m.
    assert again.differences[0] == f"qa_cloud_frac: 0.0 in the index, {16 / 4096} now"
    assert again.differences[1].startswith("B11: 64 of 65536 pixels differ, by at most 0.0")
    assert again.differences[2].endswith(f": {made.server.href('B11.tif')}, {made.server.href('SCL.tif')}")


def test_an_asset_that_is_gone_is_said(made: Made) -> None:
    del made.server.files["B12.tif"]
    again = made.recut()
    assert (again.verdict, again.geotiff) == ("impossible", None)
    assert again.differences == (f"an asset is gone: {made.server.href('B12.tif')}: the server answered 404",)


def test_a_host_that_is_not_allowed_now_is_said_and_nothing_is_asked(made: Made) -> None:
    made.server.asked.clear()
    again = made.recut(hosts=("elsewhere.example",))
    assert again.verdict == "impossible"
    assert again.differences[0].startswith("the archive's host is not allowed now: ")
    assert "is not in stac.allowed_hosts (elsewhere.example)" in again.differences[0]
    assert made.server.asked == []


def test_an_archive_that_moved(made: Made) -> None:
    with serving(dict(made.server.files)) as mirror:
        moved = {f"http://{made.server.host}": f"http://{mirror.host}"}
        made.server.asked.clear()
        again = made.recut(hosts=(mirror.host,), moved=moved)
        assert again.verdict == "identical"
        assert mirror.asked
        assert not made.server.asked


def test_a_scene_that_the_gate_refuses_now_is_said_and_the_pixels_compared(made: Made) -> None:
    made.edit("SCL", lambda scl: scl.fill(9))
    again = made.recut()
    assert again.verdict == "different"
    assert again.differences[0].startswith("the gate refuses it now, gate_cloud: 100.0% of the 4096 valid pixels")
    assert again.differences[1] == "qa_cloud_frac: 0.0 in the index, 1.0 now"
    assert again.differences[2].endswith(made.server.href("SCL.tif"))
    assert len(again.differences) == 3
    made.edit("B02", lambda dn: dn.fill(0))
    made.server.files["B03.tif"] = made.server.files["B02.tif"]
    assert any(text.startswith("B03: 65536 of 65536 pixels differ") for text in made.recut().differences)


def test_an_asset_that_cannot_be_read_now_is_said(made: Made) -> None:
    made.server.fault = lambda number, path: (500, {}) if path == "B08.tif" else None
    again = made.recut()
    assert again.verdict == "impossible"
    assert again.differences[0].startswith("it cannot be cut now (read_error): ")
    assert "the server answered 500, 9 attempts" in again.differences[0]


def test_a_later_version_is_said_and_its_pixels_compared(made: Made) -> None:
    again = made.recut(version="0.2.0")
    assert (again.verdict, again.notes) == ("identical", ("it was cut by version 0.1.0, now by 0.2.0",))
    assert again.geotiff != made.storage.get(made.rows[0]["path"])
    made.edit("B02", lambda dn: dn.__isub__(1))
    again = made.recut(version="0.2.0")
    assert ", or the stored chip was changed, or this version cuts otherwise: " in again.differences[-1]


@pytest.mark.parametrize("what", ["scene", "config"])
def test_lost_provenance_is_said(made: Made, what: str) -> None:
    row = made.rows[0]
    key = row["scene_snapshot"] if what == "scene" else layout.deciding_config(row["config_hash"])
    made.storage.delete(key)
    again = made.recut()
    assert again.verdict == "impossible"
    assert again.differences[0].startswith(f"its provenance cannot be read: {key}: ")


@contextlib.contextmanager
def edited(storage: Storage, key: str) -> Iterator[Any]:
    """The raster at `key`, to be changed."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "raster.tif"
        path.write_bytes(storage.get(key))
        with rasterio.open(path, "r+") as raster:
            yield raster
        storage.put(key, path.read_bytes())


def test_a_stored_chip_that_was_changed_is_said(made: Made) -> None:
    path = made.rows[0]["path"]
    with edited(made.storage, path) as raster:
        values = raster.read()
        values[0, :2, :3] = 0.5
        raster.write(values)
        raster.update_tags(mmsi="1", note="mine")
    differences = made.recut().differences
    assert any(text.startswith("tag mmsi: 1 in the file, 244660000 now") for text in differences)
    assert any(text.startswith("tag note: mine in the file, None now") for text in differences)
    assert any(text.startswith("B02: 6 of 65536 pixels differ") for text in differences)


def test_a_stored_chip_that_is_gone_or_broken_is_said(made: Made) -> None:
    first, second = made.rows[0]["path"], made.rows[1]["path"]
    made.storage.delete(first)
    again = made.recut(0)
    assert (again.verdict, again.differences) == (
        "different",
        (f"{first} is gone: there is nothing to compare the pixels with",),
    )
    assert again.geotiff is not None
    made.storage.put(second, b"")
    made.storage.put(second.removesuffix(".tif") + ".json", b"{")
    assert made.recut(1).differences[0].startswith(f"{second} cannot be read")


def test_masks_are_compared(storage: LocalStorage, server: RangeServer) -> None:
    made = make(storage, server, make_settings(**PROFILES["masks"]))
    [key] = layout.chip_artefacts(made.rows[0]["path"], ("_masks.tif",))
    with edited(storage, key) as raster:
        water = raster.read(3)
        water[0, :4] = 0
        raster.write(water, 3)
    assert made.recut().differences == ("mask water: 4 of 65536 pixels differ",)
    storage.delete(key)
    assert made.recut().differences == (f"{key} is gone",)


def test_the_row_is_found_without_the_index_and_the_sidecar_is_the_later_one(made: Made) -> None:
    storage, row = made.storage, made.rows[0]
    storage.delete(layout.tiles_index())
    assert made.recut().verdict == "identical"
    build_tiles_index(storage)
    before = storage.get(layout.tiles_index())
    # The day is run with another gate; then somebody puts an index of before in its place.
    chip_day(
        DAY,
        layout.CAPTURE,
        settings=made.settings.override({"gate": {"max_land_center_frac": 0.1}}),
        storage=storage,
        fetcher=Fetcher((made.server.host,), sleep=lambda s: None),
        clock=lambda: NOW,
        software_version="0.1.0",
    )
    storage.put(layout.tiles_index(), before)
    found = find_row(storage, row["chip_id"])
    assert found is not None
    assert found["config_hash"] != row["config_hash"]
    assert made.recut().verdict == "identical"
    storage.delete(row["path"].removesuffix(".tif") + ".json")
    found = find_row(storage, row["chip_id"])
    assert found is not None
    assert found["config_hash"] == row["config_hash"]


def test_a_chip_that_is_none(made: Made) -> None:
    again = made.recut(chip_id="0123456789abcdef")
    assert (again.verdict, again.path) == ("impossible", None)
    assert "neither tiles.parquet, nor a sidecar, nor an outcome names it" in again.differences[0]
    with pytest.raises(InputError, match="chip_id"):
        made.recut(chip_id="../x")


def test_a_chip_that_went_is_told_by_its_outcome(made: Made) -> None:
    row = made.rows[0]
    outcomes = tables.read_table(made.storage, layout.outcomes(DAY), OUTCOME_SCHEMA)
    outcomes.loc[outcomes["chip_id"] == row["chip_id"], ["outcome", "detail"]] = ["pruned", "610 m from its track"]
    tables.write_table(made.storage, layout.outcomes(DAY), outcomes, OUTCOME_SCHEMA)
    made.storage.delete(layout.tiles_index())
    for key in layout.chip_artefacts(row["path"]):
        made.storage.delete(key)
    again = made.recut()
    assert again.differences == ("there is no such chip: outcomes/20251027.parquet says pruned (610 m from its track)",)


def test_a_few_chips_are_chosen_the_same_way_every_time(made: Made) -> None:
    ids = sorted(row["chip_id"] for row in made.rows)
    assert (select_chips(made.storage, 2), select_chips(made.storage, 9)) == (ids[:2], ids)


def test_an_index_that_is_none_is_said(made: Made) -> None:
    made.storage.put(layout.tiles_index(), b"no Parquet")
    with pytest.raises(StorageError, match=r"indexes/tiles.parquet: is no Parquet file"):
        select_chips(made.storage, 1)
    with pytest.raises(StorageError, match=r"indexes/tiles.parquet: is no Parquet file"):
        made.recut()
    made.storage.put(layout.tiles_index(), tables.parquet_bytes(pa.table({"chip_id": ["a"]})))
    with pytest.raises(SchemaError, match="written by another version"):
        made.recut()


def test_provenance_outlives_runs_and_stays_with_the_chips_it_is_of(made: Made) -> None:
    """The archive lists the scene anew: chips that stand keep the snapshot they were cut from."""
    storage, before = made.storage, {key: made.storage.get(key) for key in made.storage.list("provenance")}
    assert len(before) == 2
    again = make(storage, made.server, made.settings, cloud_cover=6.0)
    assert {row["scene_snapshot"] for row in again.rows} == {row["scene_snapshot"] for row in made.rows}
    assert {key: storage.get(key) for key in storage.list("provenance")} == before
    newer = make(storage, made.server, made.settings, cloud_cover=6.0, revision="2")
    assert {row["scene_snapshot"] for row in newer.rows}.isdisjoint({row["scene_snapshot"] for row in made.rows})
    assert len(storage.list("provenance/scenes")) == 2
    assert newer.recut().verdict == "identical"


def test_the_sidecar_names_the_snapshot(made: Made) -> None:
    row = made.rows[0]
    said = json.loads(made.storage.get(row["path"].removesuffix(".tif") + ".json"))
    assert said["scene_snapshot"] == row["scene_snapshot"]
    assert made.storage.exists(said["scene_snapshot"])
