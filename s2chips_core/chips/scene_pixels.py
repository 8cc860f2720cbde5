"""The pixels of ships in one scene: raw as they are read, and on the 10 m grid of each chip as they are needed.

Here: placing ships on the scene's grid and bringing every asset's own grid (10 or 20 m) to it. Not here: HTTP and blocks
(`reader`), what is done with the pixels (`cutting`).
"""

import dataclasses
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from s2chips_core.chips.chip import CutRequest
from s2chips_core.chips.gate import GateNumbers
from s2chips_core.chips.grid import (
    CoarseWindow,
    Transform,
    Window,
    chip_window,
    coarse_window,
    grid_shift_px,
    pixel_at,
    shift_window,
    utm_xy,
    window_transform,
)
from s2chips_core.chips.reader import SceneReader, WindowRead
from s2chips_core.chips.resample import MARGINS, upsample, upsample_nearest
from s2chips_core.errors import ReadError
from s2chips_core.fetch import without_query
from s2chips_core.scenes.radiometry import LEAST_VALID, QUANTIFICATION, to_reflectance
from s2chips_core.scenes.scene import Asset, Scene

_BLOCK_PX = 1024
"""Side of a block of Earth Search's COGs: ships are put in the order of these."""


@dataclasses.dataclass(slots=True, kw_only=True)
class Ship:
    """A request on its way to a chip."""

    request: CutRequest
    window: Window
    """On the scene's 10 m grid."""
    numbers: GateNumbers = dataclasses.field(default_factory=GateNumbers)
    scl: npt.NDArray[np.uint8] | None = None
    """(rows, cols) on the 10 m grid."""
    raw: dict[str, npt.NDArray[Any]] = dataclasses.field(default_factory=dict)
    """Band -> digital numbers on the asset's own grid, with the margin that resampling needs."""


class ScenePixels:
    """Reads and regrids for the ships of one scene."""

    def __init__(
        self, scene: Scene, reference_band: str, method: str, reader: SceneReader, stop: threading.Event | None
    ) -> None:
        """Args:
        scene: where the assets are.
        reference_band: its upper-left corner is the origin of the 10 m grid.
        method: `tiling.resample`.
        reader: of this scene.
        stop: when set, waiting ends with CancelledReadError.
        """
        self._assets, self._epsg = scene.assets, scene.epsg
        self._origin = scene.assets[reference_band]
        self._method, self._reader, self._stop = method, reader, stop

    def place(self, requests: Sequence[CutRequest], chip_size_px: int) -> list[Ship]:
        """Ships with their windows; neighbours in the file are beside each other."""
        if not requests:
            return []
        x, y = utm_xy([r.lon for r in requests], [r.lat for r in requests], self._epsg)
        cols, rows = pixel_at(x, y, self._origin.ulx_m, self._origin.uly_m)
        order = np.lexsort((cols, rows // _BLOCK_PX))
        return [Ship(request=requests[i], window=chip_window(int(cols[i]), int(rows[i]), chip_size_px)) for i in order]

    def transform(self, ship: Ship) -> Transform:
        """Of the ship's chip."""
        return window_transform(ship.window, self._origin.ulx_m, self._origin.uly_m)

    def read_scl(self, ships: Sequence[Ship]) -> Iterator[tuple[Ship, ReadError | None]]:
        """Read SCL for all ships at once; each ship as soon as its own is there."""
        asset = self._assets["SCL"]
        if not ships:
            return
        for ship, read in zip(ships, self._start(asset, ships, 0), strict=True):
            pixels = read.wait(self._stop)
            if isinstance(pixels, ReadError):
                yield ship, pixels
                continue
            coarse = self._coarse(asset, ship, 0)
            fine = pixels if coarse is None else upsample_nearest(pixels, coarse, ship.window.rows, ship.window.cols)
            ship.scl = fine.astype(np.uint8)
            yield ship, None

    def read_bands(self, ships: Sequence[Ship], bands: Sequence[str]) -> Iterator[tuple[Ship, ReadError | None]]:
        """Read `bands` for all ships at once; each ship as soon as all of its own are there."""
        if not ships:
            return
        self._reader.open(self._assets[band] for band in bands)
        reads = {band: self._start(self._assets[band], ships, MARGINS[self._method]) for band in bands}
        for number, ship in enumerate(ships):
            problem: ReadError | None = None
            for band in bands:
                pixels = reads[band][number].wait(self._stop)
                if isinstance(pixels, ReadError):
                    problem = pixels
                    break
                ship.raw[band] = pixels
            yield ship, problem

    def has_data(self, ship: Ship, band: str) -> npt.NDArray[np.bool_]:
        """(rows, cols) on the 10 m grid: where DN is not 0."""
        data: npt.NDArray[np.bool_] = self.digital_numbers(ship, band) != 0
        return data

    def digital_numbers(self, ship: Ship, band: str) -> npt.NDArray[Any]:
        """(rows, cols) on the 10 m grid, by the nearest pixel where the band is of 20 m; 0 is no data."""
        raw = ship.raw[band]
        coarse = self._coarse(self._assets[band], ship, MARGINS[self._method])
        return raw if coarse is None else upsample_nearest(raw, coarse, ship.window.rows, ship.window.cols)

    def reflectance(self, ship: Ship, band: str, boa_offset_dn: int) -> npt.NDArray[np.float32]:
        """(rows, cols) on the 10 m grid: 0 is no data, else 0.0001 to 1."""
        raw = ship.raw[band]
        coarse = self._coarse(self._assets[band], ship, MARGINS[self._method])
        if coarse is None:
            return to_reflectance(raw, boa_offset_dn)
        fine = upsample(raw, coarse, ship.window.rows, ship.window.cols, self._method, boa_offset_dn)
        return np.nan_to_num(np.clip(fine / QUANTIFICATION, LEAST_VALID, 1.0), nan=0.0).astype(np.float32)

    def _start(self, asset: Asset, ships: Sequence[Ship], margin: int) -> list[WindowRead]:
        if asset.gsd_m not in (10, 20) or self._shift(asset) is None:
            facts = f"pixels of {asset.gsd_m} m from ({asset.ulx_m}, {asset.uly_m})"
            expected = f"10 or 20 m from ({self._origin.ulx_m}, {self._origin.uly_m})"
            problem = ReadError(without_query(asset.href), f"{facts} do not fit the scene's grid, expected {expected}")
            return [WindowRead(problem) for _ in ships]
        windows = []
        for ship in ships:
            coarse = self._coarse(asset, ship, margin)
            windows.append(self._own_window(asset, ship) if coarse is None else coarse.window)
        return self._reader.start(asset, windows, self._stop)

    def _shift(self, asset: Asset) -> tuple[int, int] | None:
        return grid_shift_px(asset.ulx_m, asset.uly_m, self._origin.ulx_m, self._origin.uly_m)

    def _own_window(self, asset: Asset, ship: Ship) -> Window:
        """The chip in 10 m pixels from the asset's own corner."""
        right_px, down_px = self._shift(asset) or (0, 0)
        return shift_window(ship.window, right_px, down_px)

    def _coarse(self, asset: Asset, ship: Ship, margin: int) -> CoarseWindow | None:
        """The chip on the asset's grid when that is the 20 m one."""
        return coarse_window(self._own_window(asset, ship), margin) if asset.gsd_m == 20 else None
