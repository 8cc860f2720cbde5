"""From ground, sky, ships and swath to pixel values: one superblock of one scene.

Values are surface reflectance × 10000 as `int16`, without offset. What is not near a ship is drawn on the 20 m grid and
without noise, so that it compresses; near ships there is the texture of the sea. Not here: how a collection encodes the
values and where they are stored (`archive`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from s2chips_core.overpasses.tile_grid import tile_corner
from s2chips_core.sandbox import hulls, reflectance
from s2chips_core.sandbox.ground import SUPERBLOCK_PX, Ground, repeated, spread
from s2chips_core.sandbox.hulls import PaintedShip
from s2chips_core.sandbox.passes import Pass, across_track_m
from s2chips_core.sandbox.reflectance import BANDS, BANDS_10M, CLOUD, SHADOW, TEXTURE
from s2chips_core.sandbox.weather import LEVELS, Weather

_HALF_PX = SUPERBLOCK_PX // 2
PATCH_HALF_PX = 140
"""The sea has its texture this far around a ship: half a chip of 256 px and a seam."""
_SEAM_PX = 12
_TEXTURE_PX = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One pass as one tile saw it."""

    over: Pass
    tile_id: str
    edge_m: float
    """Where the data ends, metres east of the track."""
    weather: Weather
    ships: Sequence[PaintedShip]
    """Those afloat, in the tile's zone."""
    texture: np.ndarray
    """Of `sea_texture`."""
    bands: int = len(BANDS)
    """The first so many of `BANDS` are drawn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pixels:
    """One superblock of pixels."""

    bands: tuple[np.ndarray, ...]
    """One int16 array a band, the first of `BANDS`: (2048, 2048) of 10 m or (1024, 1024) of 20 m."""
    scl: np.ndarray
    """uint8, shape (1024, 1024), 0 where there is no data."""
    valid_10m: np.ndarray | None
    """bool, shape (2048, 2048); none where all is valid."""
    valid_20m: np.ndarray | None


def sea_texture(seed: int) -> np.ndarray:
    """Waves and noise that repeat after 512 px, standard deviation 1, float32, shape (bands, 512, 512)."""
    generator = np.random.default_rng(seed)
    n = _TEXTURE_PX
    rows, cols = np.mgrid[0:n, 0:n].astype(np.float32)
    swell = np.zeros((n, n), np.float32)
    for _ in range(14):
        length_px, angle = generator.uniform(7, 26), generator.normal(0.6, 0.28)
        k = np.rint(n / length_px * np.array([np.cos(angle), np.sin(angle)])).astype(int)
        swell += np.sin(np.float32(2 * np.pi / n) * (k[0] * rows + k[1] * cols) + generator.uniform(0, 6.28)).astype(
            np.float32
        )
    common = _blurred(generator.standard_normal((n, n), np.float32))
    out = np.empty((len(BANDS), n, n), np.float32)
    for band in range(len(BANDS)):
        own = _blurred(generator.standard_normal((n, n), np.float32))
        mixed = swell / swell.std() * 0.6 + common / common.std() * 0.6 + own / own.std() * 0.55
        out[band] = mixed / mixed.std()
    return out


def _blurred(noise: np.ndarray) -> np.ndarray:
    """Through a sensor that lets a neighbour in."""
    for axis in (0, 1):
        noise = noise * 0.66 + 0.17 * (np.roll(noise, 1, axis) + np.roll(noise, -1, axis))
    return noise


def render(view: View, ground: Ground, row: int, col: int) -> Pixels | None:
    """Superblock (`row`, `col`) of the tile; none where the satellite saw nothing of it."""
    across = across_track_m(view.over, ground.node_x_m, ground.node_y_m)
    if across.min() >= view.edge_m:
        return None
    sky = _Sky.over(view.weather, ground)
    bands = []
    for band in range(view.bands):
        plain = reflectance.DN[:, band][ground.class_20m]
        if sky is not None:
            sky.cover(plain, band, sky.indices)
        if band < BANDS_10M:
            plain = repeated(plain)
            if ground.class_10m is not None:
                _sharpen_shore(plain, band, ground, sky)
        bands.append(plain)
    scl = reflectance.SCL[ground.class_20m]
    if sky is not None:
        sky.classify(scl)
    _draw_ships(view, ground, sky, bands, scl, row, col)
    if across.max() < view.edge_m:
        return Pixels(bands=tuple(bands), scl=scl, valid_10m=None, valid_20m=None)
    inside = view.edge_m - across
    valid_10m, valid_20m = spread(inside, SUPERBLOCK_PX) > 0, spread(inside, _HALF_PX) > 0
    scl[~valid_20m] = 0
    return Pixels(bands=tuple(bands), scl=scl, valid_10m=valid_10m, valid_20m=valid_20m)


@dataclass(frozen=True, slots=True)
class _Sky:
    """Cloud and shadow over one superblock, on the 20 m grid."""

    thickness: np.ndarray
    shadow: np.ndarray
    indices: np.ndarray
    """Flat indices of the 20 m pixels with any of both."""

    @classmethod
    def over(cls, weather: Weather, ground: Ground) -> "_Sky | None":
        thick = weather.thickness(ground.node_x_m, ground.node_y_m)
        dark = weather.shadow(ground.node_x_m, ground.node_y_m)
        if max(thick.max(), dark.max()) < 0.02:
            return None
        thickness = np.clip(np.rint(spread(thick, _HALF_PX) * LEVELS), 0, LEVELS) / np.float32(LEVELS)
        shadow = np.clip(np.rint(spread(dark, _HALF_PX) * 12), 0, 12) / np.float32(12)
        return cls(thickness, shadow, np.flatnonzero((thickness > 0) | (shadow > 0)))

    def cover(self, values: np.ndarray, band: int, indices: np.ndarray, at: np.ndarray | None = None) -> None:
        """Darken and veil `values` (flat positions `at`) with the sky of the 20 m pixels `indices`, in place."""
        flat = values.view()
        flat.shape = (-1,)  # unlike reshape, this refuses to make a copy, whose changes would be lost
        at = indices if at is None else at
        thick, dark = self.thickness.reshape(-1)[indices], self.shadow.reshape(-1)[indices]
        lit = flat[at] * (1 - (1 - np.float32(SHADOW[band])) * dark)
        cloud = np.float32(CLOUD[band]) * (0.62 + 0.38 * thick)
        # In steps of 32: a smooth veil compresses badly and looks no better.
        veiled = np.where(thick > 0, np.rint((lit + (cloud - lit) * thick) / 32) * 32, np.rint(lit))
        flat[at] = veiled.astype(np.int16)

    def classify(self, scl: np.ndarray) -> None:
        scl[(self.shadow > 0.35) & (self.thickness < 0.12)] = 3
        scl[self.thickness >= 0.04] = 7
        scl[self.thickness >= 0.12] = 10
        scl[self.thickness >= 0.3] = 8
        scl[self.thickness >= 0.65] = 9


def _sharpen_shore(values: np.ndarray, band: int, ground: Ground, sky: _Sky | None) -> None:
    """Where the 10 m class differs from the 20 m class, the pixel has its own value."""
    assert ground.class_10m is not None
    differs = np.flatnonzero(ground.class_10m.reshape(-1) != repeated(ground.class_20m).reshape(-1))
    values[np.unravel_index(differs, values.shape)] = reflectance.DN[:, band][ground.class_10m.reshape(-1)[differs]]
    if sky is not None:
        rows, cols = np.divmod(differs, SUPERBLOCK_PX)
        sky.cover(values, band, rows // 2 * _HALF_PX + cols // 2, at=differs)


def _draw_ships(
    view: View, ground: Ground, sky: _Sky | None, bands: list[np.ndarray], scl: np.ndarray, row: int, col: int
) -> None:
    _, ulx_m, uly_m = tile_corner(view.tile_id)
    west, north = ulx_m + col * SUPERBLOCK_PX * 10.0, uly_m - row * SUPERBLOCK_PX * 10.0
    textured = np.zeros((SUPERBLOCK_PX, SUPERBLOCK_PX), np.float32) if view.ships else None
    windows = []
    for ship in view.ships:
        x, y = (ship.x_m - west) / 10.0, (north - ship.y_m) / 10.0
        left, right = _even(x - PATCH_HALF_PX), _even(x + PATCH_HALF_PX)
        top, low = _even(y - PATCH_HALF_PX), _even(y + PATCH_HALF_PX)
        if left < right and top < low:
            windows.append((ship, slice(top, low), slice(left, right), x, y))
    for _, rows, cols, x, y in windows:
        assert textured is not None
        _texture(view, ground, sky, bands, textured, rows, cols, x, y, (row * SUPERBLOCK_PX, col * SUPERBLOCK_PX))
    for ship, rows, cols, _, _ in windows:
        x_m = west + 10.0 * (np.arange(cols.start, cols.stop) + 0.5)[None, :]
        y_m = north - 10.0 * (np.arange(rows.start, rows.stop) + 0.5)[:, None]
        _draw_ship(ship, x_m, y_m, ground, sky, bands, scl, rows, cols)


def _even(px: float) -> int:
    return int(np.clip(round(px / 2) * 2, 0, SUPERBLOCK_PX))


def _texture(
    view: View,
    ground: Ground,
    sky: _Sky | None,
    bands: list[np.ndarray],
    textured: np.ndarray,
    rows: slice,
    cols: slice,
    x: float,
    y: float,
    origin: tuple[int, int],
) -> None:
    """Give the surroundings of a ship at pixel (`x`, `y`) their texture, once where surroundings overlap."""
    across = np.clip((PATCH_HALF_PX - np.abs(np.arange(cols.start, cols.stop) + 0.5 - x)) / _SEAM_PX, 0, 1)
    down = np.clip((PATCH_HALF_PX - np.abs(np.arange(rows.start, rows.stop) + 0.5 - y)) / _SEAM_PX, 0, 1)
    wanted = (down[:, None] * across[None, :]).astype(np.float32)
    more = np.maximum(wanted - textured[rows, cols], 0)
    np.maximum(textured[rows, cols], wanted, out=textured[rows, cols])
    clear, _ = _light(sky, rows, cols)
    land = reflectance.IS_LAND[_classes(ground, rows, cols)]
    strength = more * clear * np.where(land, np.float32(6), np.float32(1))
    at = np.ix_(
        np.arange(origin[0] + rows.start, origin[0] + rows.stop) % _TEXTURE_PX,
        np.arange(origin[1] + cols.start, origin[1] + cols.stop) % _TEXTURE_PX,
    )
    for band in range(len(bands)):
        # In steps of 3, which halves what the noise takes on disk.
        added = np.rint(view.texture[band][at] * strength * np.float32(TEXTURE[band] / 3)) * 3
        _add(bands[band], band, rows, cols, added)


def _draw_ship(
    ship: PaintedShip,
    x_m: np.ndarray,
    y_m: np.ndarray,
    ground: Ground,
    sky: _Sky | None,
    bands: list[np.ndarray],
    scl: np.ndarray,
    rows: slice,
    cols: slice,
) -> None:
    cover, paint = hulls.hull(ship, x_m, y_m)
    foam = hulls.wake(ship, x_m, y_m)
    clear, shadow = _light(sky, rows, cols)
    water = ~reflectance.IS_LAND[_classes(ground, rows, cols)]
    for band in range(len(bands)):
        light = clear * (1 - (1 - SHADOW[band]) * shadow)
        added = np.zeros(cover.shape) if foam is None else foam[band] * light * water
        before = bands[band][rows, cols] if band < BANDS_10M else repeated(bands[band][_half(rows), _half(cols)])
        added += cover * (paint[band] * light - before * clear - added)
        _add(bands[band], band, rows, cols, added)
    seen = _mean_of_four(cover * clear) > 0.35
    scl[_half(rows), _half(cols)][seen] = 5


def _classes(ground: Ground, rows: slice, cols: slice) -> np.ndarray:
    if ground.class_10m is not None:
        return ground.class_10m[rows, cols]
    return repeated(ground.class_20m[_half(rows), _half(cols)])


def _light(sky: _Sky | None, rows: slice, cols: slice) -> tuple[np.ndarray, np.ndarray]:
    """How much of the ground is seen through the cloud, and how deep the shadow is, on the 10 m grid."""
    if sky is None:
        return np.ones((1, 1), np.float32), np.zeros((1, 1), np.float32)
    part = _half(rows), _half(cols)
    return 1 - repeated(sky.thickness[part]), repeated(sky.shadow[part])


def _half(part: slice) -> slice:
    return slice(part.start // 2, part.stop // 2)


def _mean_of_four(values: np.ndarray) -> np.ndarray:
    rows, cols = values.shape
    mean: np.ndarray = values.reshape(rows // 2, 2, cols // 2, 2).mean(axis=(1, 3))
    return mean


def _add(values: np.ndarray, band: int, rows: slice, cols: slice, added: np.ndarray) -> None:
    if band >= BANDS_10M:
        rows, cols, added = _half(rows), _half(cols), _mean_of_four(added)
    values[rows, cols] += np.rint(added).astype(np.int16)
