"""Pixels, time and place as the Clay foundation model v1.5 takes them, with numpy alone.

Here: the values and the arithmetic. Not here: reading chips of a dataset (`index.clay`). Means, standard deviations and
wavelengths are those of sensor `sentinel-2-l2a` in Clay's own table:
https://github.com/Clay-foundation/model/blob/main/configs/metadata.yaml
"""

import dataclasses
import types
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from s2chips_core.errors import InputError

Floats = npt.NDArray[np.float32]
Hour = Literal["noon", "real"]

GSD_M = 10.0
SIZE_PX = 256
"""Side of the chips that Clay was trained with."""
DN_PER_REFLECTANCE = 10_000
WEEKS_PER_YEAR = 52
"""Clay divides by 52 in years of 53 ISO weeks too: week 53 is encoded as week 1."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ClayBand:
    """What Clay knows of a band."""

    mean_dn: float
    """Of reflectance × 10000 without offset; `std_dn` too."""
    std_dn: float
    wave_um: float
    """Central wavelength, micrometres."""


CLAY_BANDS: Mapping[str, ClayBand] = types.MappingProxyType(
    {
        "B02": ClayBand(mean_dn=1105, std_dn=1809, wave_um=0.493),
        "B03": ClayBand(mean_dn=1355, std_dn=1757, wave_um=0.56),
        "B04": ClayBand(mean_dn=1552, std_dn=1888, wave_um=0.665),
        "B05": ClayBand(mean_dn=1887, std_dn=1870, wave_um=0.704),
        "B06": ClayBand(mean_dn=2422, std_dn=1732, wave_um=0.74),
        "B07": ClayBand(mean_dn=2630, std_dn=1697, wave_um=0.783),
        "B08": ClayBand(mean_dn=2743, std_dn=1742, wave_um=0.842),
        "B8A": ClayBand(mean_dn=2785, std_dn=1648, wave_um=0.865),
        "B11": ClayBand(mean_dn=2388, std_dn=1470, wave_um=1.61),
        "B12": ClayBand(mean_dn=1835, std_dn=1379, wave_um=2.19),
    }
)
"""By Sentinel-2 band name, in the order of Clay's training."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ClayBatch:
    """Some chips, ready for Clay's encoder. Arrays are float32, contiguous and the caller's own."""

    chip_ids: tuple[str, ...]
    """In the order of the first axis of `pixels`, `time` and `latlon`."""
    bands: tuple[str, ...]
    """In the order of the second axis of `pixels` and of `waves`."""
    pixels: Floats
    """(chips, bands, 256, 256): (reflectance × 10000 - mean) / std; 0 where there is no data."""
    time: Floats
    """(chips, 4): `encode_time`."""
    latlon: Floats
    """(chips, 4): `encode_latlon`."""
    waves: Floats
    """(bands,): micrometres."""
    gsd: Floats
    """(): metres."""

    def datacube(self) -> dict[str, Floats]:
        """The arrays by the names that Clay's encoder asks for; `torch.from_numpy` takes each as it is."""
        names = ("pixels", "time", "latlon", "waves", "gsd")
        return {name: getattr(self, name) for name in names}


def check_bands(bands: Sequence[str], where: str = "bands") -> tuple[str, ...]:
    """`bands`, if Clay knows each and each is there once.

    Raises:
        InputError: none, a band that Clay was not trained with, or a band twice.
    """
    expected = f"some of {', '.join(CLAY_BANDS)}, each once"
    if isinstance(bands, str) or not bands:
        raise InputError(where, bands, expected)
    unknown = [band for band in bands if band not in CLAY_BANDS]
    if unknown:
        raise InputError(where, ", ".join(map(str, unknown)), expected)
    if len(set(bands)) < len(bands):
        raise InputError(where, ", ".join(bands), expected)
    return tuple(bands)


def band_positions(chip_bands: Sequence[str], bands: Sequence[str], where: str = "chip") -> list[int]:
    """Where each of `bands` is in a chip with `chip_bands`, counted from 0.

    Raises:
        InputError: the chip does not have one of them.
    """
    missing = [band for band in bands if band not in chip_bands]
    if missing:
        raise InputError(where, f"bands {', '.join(map(str, chip_bands))}", f"a chip that has {', '.join(missing)} too")
    return [list(chip_bands).index(band) for band in bands]


def normalise(reflectance: npt.NDArray[Any], bands: Sequence[str], *, where: str = "chip") -> Floats:
    """(reflectance × 10000 - mean) / std of each band; 0, after normalising, where the band has no data.

    Args:
        reflectance: (bands, 256, 256); 0 is no data, else up to 1.
        bands: names of its layers, of `CLAY_BANDS`, in any order.
        where: named in errors.

    Returns:
        (bands, 256, 256), computed in double precision and rounded once.

    Raises:
        InputError: a band that Clay does not know, another shape, or values that are no reflectance.
    """
    known = [CLAY_BANDS[band] for band in check_bands(bands, where)]
    if reflectance.shape != (len(known), SIZE_PX, SIZE_PX):
        expected = f"shape {(len(known), SIZE_PX, SIZE_PX)}: bands {', '.join(bands)}, {SIZE_PX} × {SIZE_PX} px"
        raise InputError(where, f"shape {reflectance.shape}", expected)
    lowest, highest = float(reflectance.min()), float(reflectance.max())
    if not (lowest >= 0 and highest <= 1):  # also of NaN
        raise InputError(where, f"values {lowest:g} to {highest:g}", "reflectance, 0 (no data) to 1")
    pixels = np.empty(reflectance.shape, np.float32)
    for layer, band, out in zip(reflectance, known, pixels, strict=True):
        dn = layer.astype(np.float64) * DN_PER_REFLECTANCE
        out[...] = np.where(layer == 0, 0, (dn - band.mean_dn) / band.std_dn)
    return pixels


def encode_time(times: Sequence[datetime], *, hour: Hour = "noon") -> Floats:
    """(times, 4): sin and cos of 2π·ISO week/52, sin and cos of 2π·hour/24, of the time in UTC.

    Args:
        times: aware.
        hour: `noon` gives every chip hour 12; `real` the whole hour of sensing, without minutes, as Clay's code does.

    Raises:
        InputError: a time without zone, or another `hour`.
    """
    if hour not in ("noon", "real"):
        raise InputError("hour", hour, "noon or real")
    naive = [str(time) for time in times if not isinstance(time, datetime) or time.tzinfo is None]
    if naive:
        raise InputError("time", naive[0], "an aware datetime")
    utc = [time.astimezone(UTC) for time in times]
    week = np.array([time.isocalendar().week for time in utc], np.float64) / WEEKS_PER_YEAR
    of_day = np.array([12 if hour == "noon" else time.hour for time in utc], np.float64) / 24
    return _circles(2 * np.pi * week, 2 * np.pi * of_day)


def encode_latlon(lat_deg: npt.ArrayLike, lon_deg: npt.ArrayLike) -> Floats:
    """(places, 4): sin and cos of the latitude, sin and cos of the longitude.

    Args:
        lat_deg, lon_deg: (places,), degrees.

    Raises:
        InputError: a latitude beyond ±90 or a longitude beyond ±180 degrees.
    """
    angles = []
    for name, degrees, most in (("lat", lat_deg, 90), ("lon", lon_deg, 180)):
        values = np.asarray(degrees, np.float64)
        bad = values[~(np.abs(values) <= most)]
        if bad.size:
            raise InputError(name, float(bad[0]), f"-{most} to {most} degrees")
        angles.append(np.radians(values))
    return _circles(*angles)


def waves_um(bands: Sequence[str]) -> Floats:
    """(bands,): central wavelengths, micrometres."""
    return np.array([CLAY_BANDS[band].wave_um for band in check_bands(bands)], np.float32)


def gsd_m() -> Floats:
    """(): ground sampling distance, metres. Clay takes one for all bands; those of 20 m come as 10 m pixels."""
    return np.array(GSD_M, np.float32)


def _circles(first_rad: npt.NDArray[np.float64], second_rad: npt.NDArray[np.float64]) -> Floats:
    angles = (np.sin(first_rad), np.cos(first_rad), np.sin(second_rad), np.cos(second_rad))
    return np.stack(angles, axis=1).astype(np.float32)
