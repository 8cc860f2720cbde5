"""Cut all chips of one scene: reading, gate and radiometry in the order that reads least.

Here: the order of things. Not here: how any step is done (`scene_pixels`, `gate`, `scenes.radiometry`), the values that
come and go (`chip`) and what is written (`artefacts`).

Order: SCL of every ship, which refuses clouded and dry centres at once; then B03 and B08, which refuse what is no water or
has no data; then the other bands for the ships that are left. Ships are taken in batches along the blocks of the file, so
that memory is bounded and neighbours share blocks.
"""

import logging
import threading
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from s2chips_core.chips.chip import NOT_KNOWN, Chip, CutRequest, MaskArray, Refusal
from s2chips_core.chips.gate import (
    SCL_INVALID,
    GateNumbers,
    Judgement,
    RefusalReason,
    judge_missing_scl,
    judge_nodata,
    judge_scl,
    judge_water,
    ndwi,
    verdict,
)
from s2chips_core.chips.grid import footprint
from s2chips_core.chips.reader import CancelledReadError, SceneReader
from s2chips_core.chips.scene_pixels import ScenePixels, Ship
from s2chips_core.config import Settings
from s2chips_core.errors import MissingAssetError, ReadError
from s2chips_core.fetch import Fetcher
from s2chips_core.scenes.radiometry import OffsetDecision, decide_boa_offset, pixel_evidence
from s2chips_core.scenes.scene import Scene

__all__ = ["Chip", "CutRequest", "Refusal", "cut_scene"]

log = logging.getLogger(__name__)

BATCH_BYTES = 96 * 1024 * 1024
"""Digital numbers that one batch may hold: 128 ships of 6 bands."""
EVIDENCE_BANDS = ("B08", "B11")
"""Dark over water: their pixels show whether the radiometric offset is in there."""
SCL_WATER = 6


def cut_scene(
    scene: Scene,
    requests: Sequence[CutRequest],
    *,
    settings: Settings,
    fetcher: Fetcher,
    stop: threading.Event | None = None,
    offset: OffsetDecision | None = None,
) -> Iterator[Chip | Refusal]:
    """Cut the chips of one scene, each as soon as its last band is there.

    Args:
        scene: where the pixels are.
        requests: ships in this scene.
        settings: `tiling`, `masks`, `gate` and `compute` are looked at.
        fetcher: the HTTP door.
        stop: when it is set the iterator ends soon, without the requests that are left.
        offset: the scene's radiometric offset, where it was decided before; none: it is decided here.

    Yields:
        A Chip or a Refusal for every request, exactly once, in no particular order. What cannot be read refuses the ships
        it concerns; nothing is raised for it.
    """
    needed = needed_bands(settings)
    missing = [band for band in needed if band not in scene.assets]
    if missing:
        detail = f"scene {scene.scene_id} lists no {', '.join(missing)}"
        for request in requests:
            yield Refusal(request=request, reason=RefusalReason.MISSING_ASSET, detail=detail, numbers=None)
        return
    with _Pool(settings.compute.workers, thread_name_prefix="cut") as pool:
        pixels = ScenePixels(scene, needed[0], settings.tiling.resample, SceneReader(fetcher, pool), stop)
        try:
            yield from _Cutter(scene, settings, pixels, offset or decide_boa_offset(scene)).cut(requests)
        except CancelledReadError:
            log.info("cutting of %s was stopped", scene.scene_id)


def needed_bands(settings: Settings) -> tuple[str, ...]:
    """The bands that must be read for a chip: first those that judge water, then the others of the chip."""
    return tuple(dict.fromkeys((*_water_bands(settings), *settings.tiling.bands)))


def _water_bands(settings: Settings) -> tuple[str, ...]:
    return ("B03", "B08") if settings.masks.use_ndwi else ()


class _Pool(ThreadPoolExecutor):
    """Threads that nobody waits for when the work is given up."""

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self.shutdown(wait=kind is None, cancel_futures=True)


class _Cutter:
    def __init__(self, scene: Scene, settings: Settings, pixels: ScenePixels, offset: OffsetDecision) -> None:
        self._scene, self._settings, self._pixels = scene, settings, pixels
        self._bands, self._water_bands = settings.tiling.bands, _water_bands(settings)
        self._offset = offset

    def cut(self, requests: Sequence[CutRequest]) -> Iterator[Chip | Refusal]:
        size = self._settings.tiling.chip_size_px
        left = yield from self._judge_scl(self._pixels.place(requests, size))
        batch_ships = max(1, BATCH_BYTES // (2 * size * size * len(needed_bands(self._settings))))
        for start in range(0, len(left), batch_ships):
            batch = left[start : start + batch_ships]
            yield from self._cut_batch(batch)
            for ship in batch:
                ship.scl = None
                ship.raw.clear()

    def _judge_scl(self, ships: list[Ship]) -> Generator[Refusal, None, list[Ship]]:
        gate = self._settings.gate
        if not self._settings.masks.use_scl:
            return ships
        passed: list[Ship] = []
        if "SCL" not in self._scene.assets:
            missing = judge_missing_scl(gate, f"scene {self._scene.scene_id} lists no SCL")
            for ship in ships:
                yield from self._pass_or_refuse(ship, missing, passed)
            return passed
        for ship, problem in self._pixels.read_scl(ships):
            if problem is not None:
                # The item lists an SCL: that it cannot be had now does not make the scene one without.
                judgement = _unreadable(problem, ship.numbers)
            else:
                assert ship.scl is not None
                judgement = judge_scl(ship.scl, gate)
            yield from self._pass_or_refuse(ship, judgement, passed)
        return passed

    def _cut_batch(self, ships: list[Ship]) -> Iterator[Chip | Refusal]:
        evidence = [b for b in EVIDENCE_BANDS if b in self._scene.assets] if self._offset.boa_offset_dn is None else []
        first = tuple(dict.fromkeys((*(self._water_bands or self._bands), *evidence)))
        read: list[Ship] = []
        for ship, problem in self._pixels.read_bands(ships, first):
            yield from self._pass_or_refuse(ship, _unreadable(problem, ship.numbers), read)
        if not read:
            return
        if self._offset.boa_offset_dn is None:
            self._offset = self._decide_by_pixels(read, evidence)
            log.info("radiometric offset of %s: %s", self._scene.scene_id, self._offset.detail)
        offset_dn = self._offset.boa_offset_dn
        if offset_dn is None:
            detail = f"the radiometric offset is not known: {self._offset.detail}"
            for ship in read:
                yield _refuse(ship, RefusalReason.READ_ERROR, detail)
            return
        passed: list[Ship] = []
        for ship in read:
            yield from self._pass_or_refuse(ship, self._judge_bands(ship, first, offset_dn), passed)
        rest = tuple(band for band in self._bands if band not in first)
        for ship, problem in self._pixels.read_bands(passed, rest):
            judgement = _unreadable(problem, ship.numbers)
            if judgement.reason is None:
                judgement = judge_nodata(ship.numbers, self._has_data(ship, self._bands), self._settings.gate)
            whole: list[Ship] = []
            yield from self._pass_or_refuse(ship, judgement, whole)
            if whole:
                yield self._finish(ship, offset_dn)
            ship.raw.clear()

    def _pass_or_refuse(self, ship: Ship, judgement: Judgement, passed: list[Ship]) -> Iterator[Refusal]:
        ship.numbers = judgement.numbers
        if judgement.reason is None:
            passed.append(ship)
        else:
            yield _refuse(ship, judgement.reason, judgement.detail)

    def _judge_bands(self, ship: Ship, bands: tuple[str, ...], offset_dn: int) -> Judgement:
        gate = self._settings.gate
        judgement = judge_nodata(ship.numbers, self._has_data(ship, bands), gate)
        if judgement.reason is None and self._water_bands:
            green, nir = (self._pixels.reflectance(ship, band, offset_dn) for band in self._water_bands)
            judgement = judge_water(judgement.numbers, green, nir, gate)
        return judgement

    def _has_data(self, ship: Ship, bands: Sequence[str]) -> dict[str, npt.NDArray[np.bool_]]:
        return {band: self._pixels.has_data(ship, band) for band in bands}

    def _decide_by_pixels(self, ships: list[Ship], bands: Sequence[str]) -> OffsetDecision:
        """Look at the dark bands of the first ships, over SCL's water where there is SCL."""
        dn = np.concatenate([self._pixels.digital_numbers(ship, band).ravel() for band in bands for ship in ships])
        classes = [ship.scl for _ in bands for ship in ships if ship.scl is not None]
        if len(classes) < len(ships) * len(bands):
            return decide_boa_offset(self._scene, pixel_evidence(dn))
        water = np.concatenate([scl.ravel() for scl in classes]) == SCL_WATER
        return decide_boa_offset(self._scene, pixel_evidence(dn, water))

    def _finish(self, ship: Ship, offset_dn: int) -> Chip:
        transform = self._pixels.transform(ship)
        return Chip(
            request=ship.request,
            bands=self._bands,
            reflectance=np.stack([self._pixels.reflectance(ship, band, offset_dn) for band in self._bands]),
            epsg=self._scene.epsg,
            transform=transform,
            footprint=footprint(ship.window, transform, self._scene.epsg),
            numbers=ship.numbers,
            verdict=verdict(ship.numbers, self._settings.gate),
            boa_offset_dn=offset_dn,
            boa_offset_source=self._offset.boa_offset_source,
            scl_present=ship.numbers.scl_present,
            masks=self._masks(ship, offset_dn) if self._settings.masks.persist else None,
        )

    def _masks(self, ship: Ship, offset_dn: int) -> MaskArray:
        gate = self._settings.gate
        cloud, land, water, scl = (np.full((ship.window.rows, ship.window.cols), NOT_KNOWN, np.uint8) for _ in range(4))
        if ship.scl is not None:
            scl = ship.scl
            known = ~np.isin(scl, SCL_INVALID)
            cloud[known] = np.isin(scl, gate.cloud_classes)[known]
            land[known] = np.isin(scl, gate.land_classes)[known]
        if self._water_bands:
            green, nir = (self._pixels.reflectance(ship, band, offset_dn) for band in self._water_bands)
            known = (green != 0) & (nir != 0)
            water[known] = (ndwi(green, nir) > gate.ndwi_water_thresh)[known]
        valid = np.logical_and.reduce(list(self._has_data(ship, self._bands).values()))
        return np.stack([cloud, land, water, valid.astype(np.uint8), scl])


def _refuse(ship: Ship, reason: RefusalReason, detail: str) -> Refusal:
    return Refusal(request=ship.request, reason=reason, detail=detail, numbers=ship.numbers)


def _unreadable(problem: ReadError | None, numbers: GateNumbers) -> Judgement:
    """The refusal for what could not be read; no refusal when there is no problem."""
    if problem is None:
        return Judgement(numbers=numbers)
    missing = isinstance(problem, MissingAssetError)
    reason = RefusalReason.MISSING_ASSET if missing else RefusalReason.READ_ERROR
    return Judgement(numbers=numbers, reason=reason, detail=str(problem))
