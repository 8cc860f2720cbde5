"""Which ships are looked for on which scenes: dense as in a strait, or sparse as at sea.

Here: choosing places on the embedded archive, some of which the gate refuses by SCL, and the value that readers get.
Places are chosen from the files on disk; no reader has a part in it. Not here: the files (`archive`), reading (`reading`).
"""

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.windows import Window

from s2chips_core.chips.gate import judge_scl, judge_water
from s2chips_core.chips.grid import lon_lat
from s2chips_core.scenes.items import parse_item
from s2chips_core.scenes.providers import PROVIDERS, collection_profile
from s2chips_core.scenes.radiometry import decide_boa_offset, to_reflectance
from s2chips_core.scenes.scene import Scene
from s2chips_core.sections import Gate

BANDS = ("B02", "B03", "B04", "B08", "B11", "B12")
CHIP_PX, TILE_PX = 256, 10980
REFUSED = 0.3
"""Share of ships that SCL refuses: cloud or land at the centre."""
SAFE_WATER = 0.7
"""Least share of water at the centre of a ship that passes, well above the gate's limit."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One ship on one scene."""

    ship: str
    scene: int
    """Index in `Workload.items`."""
    col: int
    """First column of its chip on the scene's 10 m grid; even and odd ones occur."""
    row: int
    passes: bool
    """Whether the gate lets it through; readers that are not ours are told."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """Ships and the scenes they are on."""

    name: str
    items: tuple[Mapping[str, Any], ...]
    """STAC items with hrefs relative to the folder."""
    ships: tuple[Place, ...]

    @property
    def passing(self) -> list[Place]:
        """The ships that give a chip."""
        return [ship for ship in self.ships if ship.passes]

    def scenes(self, base: str = "") -> list[Scene]:
        """The scenes as the project knows them, files below `base`."""
        return [scene_of(item) for item in self.items_at(base)]

    def items_at(self, base: str) -> list[dict[str, Any]]:
        """The items with absolute hrefs."""
        return [
            {
                **item,
                "assets": {key: {**asset, "href": f"{base}/{asset['href']}"} for key, asset in item["assets"].items()},
            }
            for item in self.items
        ]

    def save(self, path: Path) -> None:
        """As JSON."""
        path.write_text(json.dumps(dataclasses.asdict(self)), encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> "Workload":
        """The inverse of `save`."""
        tree = json.loads(path.read_text(encoding="utf-8"))
        return cls(name=tree["name"], items=tuple(tree["items"]), ships=tuple(Place(**ship) for ship in tree["ships"]))


def scene_of(item: Mapping[str, Any]) -> Scene:
    """The project's view of an item of Earth Search."""
    return parse_item(item, PROVIDERS["earth_search"], collection_profile("earth_search", item["collection"]))


def offset_of(scene: Scene) -> int:
    """The scene's radiometric offset, from its item."""
    offset_dn = decide_boa_offset(scene).boa_offset_dn
    assert offset_dn is not None, scene.scene_id
    return offset_dn


def center_of(place: Place, scene: Scene) -> tuple[float, float]:
    """Longitude and latitude of the middle of the ship's pixel."""
    blue = scene.assets["B02"]
    x_m = blue.ulx_m + (place.col + CHIP_PX // 2 + 0.5) * 10
    y_m = blue.uly_m - (place.row + CHIP_PX // 2 + 0.5) * 10
    lon, lat = lon_lat([x_m], [y_m], scene.epsg)
    return float(lon[0]), float(lat[0])


def read_items(folder: Path) -> list[dict[str, Any]]:
    """The items of an embedded archive that have SCL and all of `BANDS`."""
    items = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("item-*.json"))]
    return [item for item in items if {*BANDS, "SCL"} <= scene_of(item).assets.keys()]


def dense(folder: Path, ships: int = 200, scenes: int = 6, seed: int = 1) -> Workload:
    """`ships` in a few clusters on each of `scenes`."""
    items = read_items(folder)[:scenes]
    return _choose("dense", folder, items, [len(part) for part in np.array_split(np.arange(ships), scenes)], 4, 1_200, seed)


def sparse(folder: Path, ships_a_scene: int = 4, scenes: int | None = None, copies: int = 2, seed: int = 2) -> Workload:
    """`ships_a_scene` anywhere on the scenes; each scene counts `copies` times, under names and with ships of its own."""
    items = [copy_of(item, number) for number in range(copies) for item in read_items(folder)[:scenes]]
    return _choose("sparse", folder, items, [ships_a_scene] * len(items), ships_a_scene, 2_000, seed)


def copy_of(item: Mapping[str, Any], number: int) -> dict[str, Any]:
    """The item under another name; its files are in the folder of that name."""
    if number == 0:
        return dict(item)
    name = f"{item['id']}~{number}"
    assets = {key: {**asset, "href": asset["href"].replace(item["id"], name, 1)} for key, asset in item["assets"].items()}
    return {**item, "id": name, "assets": assets}


def original(name: str) -> str:
    """What a copy is a copy of."""
    return name.partition("~")[0]


def _choose(
    name: str, folder: Path, items: list[dict[str, Any]], counts: Sequence[int], clusters: int, spread_px: float, seed: int
) -> Workload:
    ships: list[Place] = []
    for number, (item, count) in enumerate(zip(items, counts, strict=True)):
        scene = scene_of(item)
        refused = max(1, round(count * REFUSED))
        wanted = {True: count - refused, False: refused}
        generator = np.random.default_rng([seed, number])
        judge = _Judge(folder, scene)
        for col, row in _candidates(judge, generator, count, clusters, spread_px):
            passes = judge.passes(col, row)
            if passes is not None and wanted[passes]:
                wanted[passes] -= 1
                ships.append(Place(ship=f"{number}-{len(ships)}", scene=number, col=col, row=row, passes=passes))
            if not any(wanted.values()):
                break
        assert not any(wanted.values()), f"{item['id']} has no place for {wanted}"
    return Workload(name=name, items=tuple(items), ships=tuple(ships))


def _candidates(
    judge: "_Judge", generator: np.random.Generator, count: int, clusters: int, spread_px: float
) -> Iterator[tuple[int, int]]:
    """Upper-left corners: around places that pass, so that land and cloud beside them refuse the others; then anywhere."""
    found = 0
    while found < clusters:
        middle = generator.uniform(0, TILE_PX - CHIP_PX, 2)
        if judge.passes(*middle.astype(int)):
            found += 1
            for corner in generator.normal(middle, spread_px, (3 * -(-count // clusters), 2)).astype(int):
                if corner.min() >= 0 and corner.max() <= TILE_PX - CHIP_PX:
                    yield int(corner[0]), int(corner[1])
    for corner in generator.integers(0, TILE_PX - CHIP_PX, (5_000, 2)):
        yield int(corner[0]), int(corner[1])


class _Judge:
    """The gate on the files of one scene."""

    def __init__(self, folder: Path, scene: Scene) -> None:
        def local(band: str) -> str:
            return str(folder / original(scene.scene_id) / f"{band}.tif")

        with rasterio.open(local("SCL")) as file:
            self.scl = file.read(1)
        self.green, self.nir = (rasterio.open(local(band)) for band in ("B03", "B08"))
        self.offset_dn = offset_of(scene)

    def passes(self, col: int, row: int) -> bool | None:
        """True or false by SCL; none for a place that the gate refuses for another reason."""
        half = self.scl[row // 2 : (row + CHIP_PX + 1) // 2, col // 2 : (col + CHIP_PX + 1) // 2]
        scl = half.repeat(2, 0).repeat(2, 1)[row % 2 :, col % 2 :][:CHIP_PX, :CHIP_PX]
        judgement = judge_scl(scl, Gate())
        if judgement.reason is not None:
            return False if judgement.reason in ("gate_cloud", "gate_land") else None
        window = Window(col, row, CHIP_PX, CHIP_PX)
        green, nir = (to_reflectance(file.read(1, window=window), self.offset_dn) for file in (self.green, self.nir))
        if not (green.all() and nir.all()):
            return None
        water = judge_water(judgement.numbers, green, nir, Gate()).numbers.qa_water_frac
        return True if water is not None and water > SAFE_WATER else None
