"""The pixels of ships in one scene: raw as they are read, and on the 10 m grid of each chip as they are needed.

Here: placing ships on the scene's grid and bringing every asset's own grid (10 or 20 m) to it. Not here: HTTP and blocks
(`reader`), what is done with the pixels (`scene_cut`).
"""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from s2chips_core.chips.chip import CutRequest
from s2chips_core.chips.engine import Countdown, Engine
from s2chips_core.chips.gate import GateNumbers, center
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
from s2chips_core.chips.reader import Directory, LostWindows, Windows, open_asset, select_windows
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

    number: int
    """In its scene."""
    request: CutRequest
    window: Window
    """On the scene's 10 m grid."""
    numbers: GateNumbers = dataclasses.field(default_factory=GateNumbers)
    raw: dict[str, npt.NDArray[Any]] = dataclasses.field(default_factory=dict)
    """Band -> digital numbers on the asset's own grid, during one step."""


class ScenePixels:
    """Reads and regrids for the ships of one scene."""

    def __init__(self, scene: Scene, reference_band: str, method: str, engine: Engine) -> None:
        """Args:
        scene: where the assets are.
        reference_band: its upper-left corner is the origin of the 10 m grid.
        method: `tiling.resample`.
        engine: reads.
        """
        self._assets, self._epsg = scene.assets, scene.epsg
        self._origin = scene.assets[reference_band]
        self._method, self._engine = method, engine
        self._ships: list[Ship] = []
        self._sources: dict[str, Windows] = {}

    def place(self, requests: Sequence[CutRequest], chip_size_px: int) -> list[Ship]:
        """Ships with their windows; neighbours in the file are beside each other. Call it once."""
        if requests:
            x, y = utm_xy([r.lon for r in requests], [r.lat for r in requests], self._epsg)
            cols, rows = pixel_at(x, y, self._origin.ulx_m, self._origin.uly_m)
            order = np.lexsort((cols, rows // _BLOCK_PX)).tolist()
            places = zip(cols.tolist(), rows.tolist(), strict=True)
            windows = [chip_window(col, row, chip_size_px) for col, row in places]
            self._ships = [Ship(number=n, request=requests[i], window=windows[i]) for n, i in enumerate(order)]
        return self._ships

    def transform(self, ship: Ship) -> Transform:
        """Of the ship's chip."""
        return window_transform(ship.window, self._origin.ulx_m, self._origin.uly_m)

    def open(self, bands: Iterable[str], ships: Sequence[Ship], then: Callable[[], None]) -> None:
        """Read the directories of `bands`, all at once, and call `then` when it is known how `ships` are read from them."""
        bands = [band for band in bands if band not in self._sources]
        opened = Countdown(len(bands) + 1, then)
        wanted = {ship.number for ship in ships}
        for band in bands:
            asset = self._assets[band]
            if asset.gsd_m not in (10, 20) or self._shift(asset) is None:
                self._sources[band] = LostWindows(self._unfit(asset))
                opened()
            else:
                self._open(band, asset, wanted, opened)
        opened()

    def _open(self, band: str, asset: Asset, wanted: set[int], opened: Callable[[], None]) -> None:
        def found(directory: Directory) -> None:
            # Ships that have been refused take up no block; their numbers stay, so that those of the others do.
            windows = [self._raw_window(asset, band, s) if s.number in wanted else _NOWHERE for s in self._ships]
            self._sources[band] = select_windows(asset, directory, windows, self._engine)
            opened()

        open_asset(asset, self._engine, found)

    def needs_bytes(self, ship: Ship, bands: Iterable[str]) -> int:
        """What has to be reserved before `bands` of a ship are read, besides what is reserved already."""
        return sum(self._sources[band].needs_bytes(ship.number) for band in bands)

    def reserve(self, ship: Ship, bands: Iterable[str]) -> int:
        """The same, and take note that these bytes are being reserved."""
        return sum(self._sources[band].reserve(ship.number) for band in bands)

    def read(self, ships: Iterable[Ship], bands: Sequence[str], then: Callable[[], None]) -> None:
        """Read `bands` for `ships` and call `then` when all is there, as pixels or as an error."""
        numbers = [ship.number for ship in ships]
        arrived = Countdown(len(bands) + 1, then)
        for band in bands:
            self._sources[band].read(numbers, arrived)
        arrived()

    def drop(self, ship: Ship, bands: Iterable[str]) -> None:
        """`bands` of a ship are not needed any more."""
        for band in bands:
            self._sources[band].drop(ship.number)

    def problem(self, ship: Ship, bands: Iterable[str]) -> ReadError | None:
        """Why one of `bands` could not be read; none when all could."""
        problems = (self._sources[band].problem(ship.number) for band in bands)
        return next((problem for problem in problems if problem is not None), None)

    def raw(self, ship: Ship, band: str) -> npt.NDArray[Any]:
        """Digital numbers on the asset's own grid, with the margin that resampling needs; kept until `forget_raw`."""
        if band not in ship.raw:
            ship.raw[band] = self._sources[band].pixels(ship.number)
        return ship.raw[band]

    def forget_raw(self, ship: Ship) -> None:
        """The step is over: the blocks that the digital numbers lie in may go."""
        ship.raw.clear()

    def classes(self, ship: Ship) -> npt.NDArray[np.uint8]:
        """SCL of a ship, (rows, cols) on the 10 m grid."""
        return self.digital_numbers(ship, "SCL").astype(np.uint8)

    def has_data(self, ship: Ship, band: str) -> npt.NDArray[np.bool_]:
        """(rows, cols) on the 10 m grid: where DN is not 0. Not to be changed: many ships have the same."""
        if self.raw(ship, band).all():  # as nearly always
            return _everywhere(ship.window.rows, ship.window.cols)
        data: npt.NDArray[np.bool_] = self.digital_numbers(ship, band) != 0
        return data

    def digital_numbers(self, ship: Ship, band: str) -> npt.NDArray[Any]:
        """(rows, cols) on the 10 m grid, by the nearest pixel where the band is of 20 m; 0 is no data."""
        raw = self.raw(ship, band)
        coarse = self._coarse(self._assets[band], ship, self._margin(band))
        return raw if coarse is None else upsample_nearest(raw, coarse, ship.window.rows, ship.window.cols)

    def reflectance(
        self, ship: Ship, band: str, boa_offset_dn: int, out: npt.NDArray[np.float32] | None = None
    ) -> npt.NDArray[np.float32]:
        """(rows, cols) on the 10 m grid: 0 is no data, else 0.0001 to 1; in `out` where that is given."""
        raw = self.raw(ship, band)
        coarse = self._coarse(self._assets[band], ship, self._margin(band))
        if coarse is None:
            return to_reflectance(raw, boa_offset_dn, out)
        if self._method == "nearest":  # the same values, found for a quarter of the pixels
            return upsample_nearest(to_reflectance(raw, boa_offset_dn), coarse, ship.window.rows, ship.window.cols, out)
        fine = upsample(raw, coarse, ship.window.rows, ship.window.cols, self._method, boa_offset_dn)
        found = np.nan_to_num(np.clip(fine / QUANTIFICATION, LEAST_VALID, 1.0), nan=0.0).astype(np.float32)
        if out is None:
            return found
        out[:] = found
        return out

    def reflectance_of_centre(self, ship: Ship, band: str, boa_offset_dn: int, size_px: int) -> npt.NDArray[np.float32]:
        """The same of the centre window only."""
        if self._assets[band].gsd_m == 10:
            return to_reflectance(center(self.raw(ship, band), size_px), boa_offset_dn)
        return center(self.reflectance(ship, band, boa_offset_dn), size_px)

    def _margin(self, band: str) -> int:
        return 0 if band == "SCL" else MARGINS[self._method]

    def _unfit(self, asset: Asset) -> ReadError:
        facts = f"pixels of {asset.gsd_m} m from ({asset.ulx_m}, {asset.uly_m})"
        expected = f"10 or 20 m from ({self._origin.ulx_m}, {self._origin.uly_m})"
        return ReadError(without_query(asset.href), f"{facts} do not fit the scene's grid, expected {expected}")

    def _shift(self, asset: Asset) -> tuple[int, int] | None:
        return grid_shift_px(asset.ulx_m, asset.uly_m, self._origin.ulx_m, self._origin.uly_m)

    def _own_window(self, asset: Asset, ship: Ship) -> Window:
        """The chip in 10 m pixels from the asset's own corner."""
        right_px, down_px = self._shift(asset) or (0, 0)
        return shift_window(ship.window, right_px, down_px) if right_px or down_px else ship.window

    def _raw_window(self, asset: Asset, band: str, ship: Ship) -> Window:
        """What of the asset the chip needs."""
        coarse = self._coarse(asset, ship, self._margin(band))
        return self._own_window(asset, ship) if coarse is None else coarse.window

    def _coarse(self, asset: Asset, ship: Ship, margin: int) -> CoarseWindow | None:
        """The chip on the asset's grid when that is the 20 m one."""
        return coarse_window(self._own_window(asset, ship), margin) if asset.gsd_m == 20 else None


@functools.lru_cache(maxsize=4)
def _everywhere(rows: int, cols: int) -> npt.NDArray[np.bool_]:
    data = np.ones((rows, cols), np.bool_)
    data.setflags(write=False)
    return data


_NOWHERE = Window(row_off=-(1 << 40), col_off=-(1 << 40), rows=1, cols=1)
"""Outside every raster."""
