"""One scene on its way to chips: reading, gate and radiometry in the order that reads least.

Here: the order of steps. Not here: how any step is done (`scene_pixels`, `gate`, `scenes.radiometry`), when the bands of a
scene may be read (`cutting`), the values that come and go (`chip`).

Order: SCL of every ship, which refuses clouded and dry centres at once; then B03 and B08, which refuse what is no water or
has no data; then the other bands for the ships that are left. The bands are read in pieces of ships along the blocks of the
files; a block that a later piece needs too stays until then.
"""

import dataclasses
import logging
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from s2chips_core.chips.chip import MASK_BANDS, NOT_KNOWN, Chip, CutRequest, MaskArray, Refusal
from s2chips_core.chips.engine import Engine
from s2chips_core.chips.gate import (
    SCL_INVALID,
    GateNumbers,
    Judgement,
    RefusalReason,
    is_class,
    judge_missing_scl,
    judge_nodata,
    judge_scl,
    judge_water,
    ndwi,
    verdict,
)
from s2chips_core.chips.grid import Transform, footprints
from s2chips_core.chips.scene_pixels import ScenePixels, Ship
from s2chips_core.config import Settings
from s2chips_core.errors import MissingAssetError, ReadError
from s2chips_core.scenes.radiometry import OffsetDecision, decide_boa_offset, pixel_evidence
from s2chips_core.scenes.scene import Scene

log = logging.getLogger(__name__)

EVIDENCE_BANDS = ("B08", "B11")
"""Dark over water: their pixels show whether the radiometric offset is in there."""
EVIDENCE_BYTES = 96 * 1024 * 1024
"""Digital numbers of so many ships are looked at for that, at most: 128 ships of 6 bands."""
SCL_WATER = 6


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Ships whose bands are read together."""

    ships: tuple[Ship, ...]
    first: tuple[str, ...]
    """The bands that are looked at before the others are read."""
    size: int
    """Bytes to reserve: of blocks that no earlier piece needs, and of the chips."""
    next: Literal["more", "none", "later"]
    """Whether `next_piece` may be called again: `later` when the scene gets ready, or over, another time."""


def needed_bands(settings: Settings) -> tuple[str, ...]:
    """The bands that must be read for a chip: first those that judge water, then the others of the chip."""
    return tuple(dict.fromkeys((*_water_bands(settings), *settings.tiling.bands)))


def chip_bytes(settings: Settings) -> int:
    """What a chip in memory takes."""
    masks = len(MASK_BANDS) if settings.masks.persist else 0
    return settings.tiling.chip_size_px**2 * (4 * len(settings.tiling.bands) + masks)


def _water_bands(settings: Settings) -> tuple[str, ...]:
    return ("B03", "B08") if settings.masks.use_ndwi else ()


class SceneCut:
    """Answers all requests of one scene, step by step; every step ends by starting the next."""

    def __init__(
        self,
        scene: Scene,
        requests: Sequence[CutRequest],
        *,
        settings: Settings,
        offset: OffsetDecision | None,
        engine: Engine,
        answer: Callable[[Chip | Refusal], None],
        ready: Callable[["SceneCut"], None],
        over: Callable[[], None],
    ) -> None:
        """Args:
        scene: where the pixels are.
        requests: ships in this scene.
        settings: `tiling`, `masks` and `gate` are looked at.
        offset: the scene's radiometric offset, where it was decided before.
        engine: does the work.
        answer: given a Chip or a Refusal for every request, exactly once.
        ready: told when `next_piece` may be called.
        over: called instead when there is no piece.
        """
        self.scene, self._requests, self._settings, self._engine = scene, requests, settings, engine
        self._answer, self._ready, self._over = answer, ready, over
        self._bands, self._water_bands = settings.tiling.bands, _water_bands(settings)
        self._offset = offset or decide_boa_offset(scene)
        unknown = self._offset.boa_offset_dn is None
        self._evidence = tuple(b for b in EVIDENCE_BANDS if unknown and b in scene.assets)
        self._all = tuple(dict.fromkeys((*needed_bands(settings), *self._evidence)))
        self._chip_bytes = chip_bytes(settings)
        self._left: list[Ship] = []
        """Ships whose bands are still to be read."""
        self._at = 0
        self._scl_read = False

    def begin(self) -> None:
        """The first step."""
        needed = needed_bands(self._settings)
        missing = [band for band in needed if band not in self.scene.assets]
        if missing:
            detail = f"scene {self.scene.scene_id} lists no {', '.join(missing)}"
            for request in self._requests:
                self._answer(Refusal(request=request, reason=RefusalReason.MISSING_ASSET, detail=detail, numbers=None))
            self._over()
            return
        self._pixels = ScenePixels(self.scene, needed[0], self._settings.tiling.resample, self._engine)
        ships = self._pixels.place(self._requests, self._settings.tiling.chip_size_px)
        if not self._settings.masks.use_scl:
            self._open_bands(ships)
        elif "SCL" not in self.scene.assets:
            missing_scl = judge_missing_scl(self._settings.gate, f"scene {self.scene.scene_id} lists no SCL")
            self._open_bands([ship for ship in ships if self._passes(ship, missing_scl)])
        else:
            self._pixels.open(("SCL",), ships, lambda: self._read_scl(ships))

    def next_piece(self, most_bytes: int) -> Piece:
        """The next ships along the blocks, of so many bytes or a single one; only when the scene is ready."""
        undecided = self._offset.boa_offset_dn is None
        first = tuple(dict.fromkeys((*(self._water_bands or self._bands), *(self._evidence if undecided else ()))))
        bands = tuple(dict.fromkeys((*first, *self._bands)))
        ships: list[Ship] = []
        size = 0
        while self._at < len(self._left):
            ship = self._left[self._at]
            more = self._pixels.needs_bytes(ship, bands) + self._chip_bytes
            # What the offset is decided from must not depend on the memory of a machine.
            if ships and (len(ships) >= self._evidence_ships if undecided else size + more > most_bytes):
                break
            size += self._pixels.reserve(ship, bands) + self._chip_bytes
            ships.append(ship)
            self._at += 1
        after: Literal["more", "none"] = "more" if self._at < len(self._left) else "none"
        return Piece(ships=tuple(ships), first=first, size=size, next="later" if undecided else after)

    @property
    def _evidence_ships(self) -> int:
        size = self._settings.tiling.chip_size_px
        return max(1, EVIDENCE_BYTES // (2 * size * size * len(needed_bands(self._settings))))

    def cut(self, piece: Piece) -> None:
        """Begin with a piece whose bytes have been reserved."""
        self._pixels.read(piece.ships, piece.first, lambda: self._engine.compute(self._judge_first, piece))

    def _read_scl(self, ships: list[Ship]) -> None:
        size = 0
        for ship in ships:
            size += self._pixels.reserve(ship, ("SCL",))

        def read() -> None:
            self._pixels.read(ships, ("SCL",), lambda: self._engine.compute(self._judge_scl, ships))

        self._engine.memory.reserve(size, read)

    def _judge_scl(self, ships: list[Ship]) -> None:
        passed = []
        self._scl_read = self._settings.masks.persist or self._offset.boa_offset_dn is None
        for ship in ships:
            # The item lists an SCL: that it cannot be had now does not make the scene one without.
            judgement = _unreadable(self._pixels.problem(ship, ("SCL",)), ship.numbers)
            if judgement.reason is None:
                judgement = judge_scl(self._pixels.classes(ship), self._settings.gate)
                self._pixels.forget_raw(ship)
            if self._passes(ship, judgement):
                passed.append(ship)
            if judgement.reason is not None or not self._scl_read:
                self._pixels.drop(ship, ("SCL",))
        self._engine.memory.leave()
        self._open_bands(passed)

    def _open_bands(self, ships: list[Ship]) -> None:
        self._left = ships
        if not ships:
            self._over()
            return
        self._pixels.open(self._all, ships, lambda: self._ready(self))

    def _judge_first(self, piece: Piece) -> None:
        read = [s for s in piece.ships if self._goes_on(s, _unreadable(self._pixels.problem(s, piece.first), s.numbers))]
        if piece.next == "later":
            self._decide(read)
        offset_dn = self._offset.boa_offset_dn
        if offset_dn is None:
            detail = f"the radiometric offset is not known: {self._offset.detail}"
            for ship in read:
                self._goes_on(ship, Judgement(numbers=ship.numbers, reason=RefusalReason.READ_ERROR, detail=detail))
            passed = []
        else:
            passed = [ship for ship in read if self._goes_on(ship, self._judge_bands(ship, piece.first, offset_dn))]
        if passed:
            rest = tuple(band for band in self._bands if band not in piece.first)
            self._pixels.read(passed, rest, lambda: self._finish_all(passed))
        else:
            self._engine.memory.leave()
        if piece.next == "later":
            self._go_on(undecided=bool(read) and offset_dn is None)

    def _decide(self, ships: list[Ship]) -> None:
        if ships:
            self._offset = self._decide_by_pixels(ships)
            log.info("radiometric offset of %s: %s", self.scene.scene_id, self._offset.detail)

    def _go_on(self, *, undecided: bool) -> None:
        """After the piece that was to decide the offset."""
        left = self._left[self._at :]
        if undecided:
            detail = f"the radiometric offset is not known: {self._offset.detail}"
            for ship in left:
                self._passes(ship, Judgement(numbers=ship.numbers, reason=RefusalReason.READ_ERROR, detail=detail))
                self._forget(ship)
            left = []
        if left:
            self._ready(self)
        else:
            self._over()

    def _finish_all(self, ships: list[Ship]) -> None:
        transforms = [self._pixels.transform(ship) for ship in ships]
        grounds = footprints([ship.window for ship in ships], transforms, self.scene.epsg)
        for ship, transform, ground in zip(ships, transforms, grounds, strict=True):
            self._engine.memory.enter()
            self._engine.compute(self._finish, ship, transform, ground)
        self._engine.memory.leave()

    def _finish(self, ship: Ship, transform: Transform, ground: dict[str, Any]) -> None:
        judgement = _unreadable(self._pixels.problem(ship, self._bands), ship.numbers)
        if judgement.reason is None:
            judgement = judge_nodata(ship.numbers, self._has_data(ship, self._bands), self._settings.gate)
        if self._goes_on(ship, judgement):
            chip = self._chip(ship, transform, ground)
            self._forget(ship)
            self._answer(chip)
        else:
            self._engine.memory.leave()

    def _passes(self, ship: Ship, judgement: Judgement) -> bool:
        """Whether the ship goes on; if not it is refused."""
        ship.numbers = judgement.numbers
        if judgement.reason is None:
            return True
        self._answer(Refusal(request=ship.request, reason=judgement.reason, detail=judgement.detail, numbers=ship.numbers))
        return False

    def _goes_on(self, ship: Ship, judgement: Judgement) -> bool:
        """The same for a ship whose bands are reserved."""
        if self._passes(ship, judgement):
            return True
        self._forget(ship)
        self._engine.memory.release(self._chip_bytes)
        return False

    def _forget(self, ship: Ship) -> None:
        self._pixels.forget_raw(ship)
        self._pixels.drop(ship, (*self._all, *(("SCL",) if self._scl_read else ())))

    def _judge_bands(self, ship: Ship, bands: Sequence[str], offset_dn: int) -> Judgement:
        gate = self._settings.gate
        judgement = judge_nodata(ship.numbers, self._has_data(ship, bands), gate)
        if judgement.reason is None and self._water_bands:
            size_px = gate.center_window_px
            green, nir = (self._pixels.reflectance_of_centre(ship, b, offset_dn, size_px) for b in self._water_bands)
            judgement = judge_water(judgement.numbers, green, nir, gate)
        self._pixels.forget_raw(ship)
        return judgement

    def _has_data(self, ship: Ship, bands: Sequence[str]) -> dict[str, npt.NDArray[np.bool_]]:
        return {band: self._pixels.has_data(ship, band) for band in bands}

    def _decide_by_pixels(self, ships: list[Ship]) -> OffsetDecision:
        """Look at the dark bands of the first ships, over SCL's water where there is SCL."""
        bands = self._evidence
        dn = np.concatenate([self._pixels.digital_numbers(ship, band).ravel() for band in bands for ship in ships])
        if not self._scl_read:
            return decide_boa_offset(self.scene, pixel_evidence(dn))
        classes = [self._pixels.classes(ship).ravel() for _ in bands for ship in ships]
        return decide_boa_offset(self.scene, pixel_evidence(dn, np.concatenate(classes) == SCL_WATER))

    def _chip(self, ship: Ship, transform: Transform, ground: dict[str, Any]) -> Chip:
        offset_dn = self._offset.boa_offset_dn
        assert offset_dn is not None
        reflectance = np.empty((len(self._bands), ship.window.rows, ship.window.cols), np.float32)
        for layer, band in zip(reflectance, self._bands, strict=True):
            self._pixels.reflectance(ship, band, offset_dn, layer)
        return Chip(
            request=ship.request,
            bands=self._bands,
            reflectance=reflectance,
            epsg=self.scene.epsg,
            transform=transform,
            footprint=ground,
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
        if self._scl_read:
            scl = self._pixels.classes(ship)
            known = ~is_class(scl, SCL_INVALID)
            cloud[known] = is_class(scl, gate.cloud_classes)[known]
            land[known] = is_class(scl, gate.land_classes)[known]
        if self._water_bands:
            green, nir = (self._pixels.reflectance(ship, band, offset_dn) for band in self._water_bands)
            known = (green != 0) & (nir != 0)
            water[known] = (ndwi(green, nir) > gate.ndwi_water_thresh)[known]
        valid = np.logical_and.reduce(list(self._has_data(ship, self._bands).values()))
        return np.stack([cloud, land, water, valid.astype(np.uint8), scl])


def _unreadable(problem: ReadError | None, numbers: GateNumbers) -> Judgement:
    """The refusal for what could not be read; no refusal when there is no problem."""
    if problem is None:
        return Judgement(numbers=numbers)
    missing = isinstance(problem, MissingAssetError)
    reason = RefusalReason.MISSING_ASSET if missing else RefusalReason.READ_ERROR
    return Judgement(numbers=numbers, reason=reason, detail=str(problem))
