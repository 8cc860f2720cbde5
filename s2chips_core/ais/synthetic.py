"""Made-up ships for trials: where each one truly is, and the fixes a receiver would have heard.

Pure and seeded: the same seed, tile and overpass minute give the same ships and fixes on every machine. Everything made here
carries `ais_source` "synthetic". Not here: painting the ships into scenes (`sandbox`).
"""

import hashlib
import math
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pyproj

from s2chips_core import tables
from s2chips_core.ais.fixes import FIX_SCHEMA, KNOT_M_S
from s2chips_core.ais.targets import DIMENSIONS

SOURCE = "synthetic"

# Maritime identification digits that ITU has given to no country: no real ship can be mistaken for a made-up one.
_MIDS = tuple(hundreds + tens for hundreds in (200, 300, 400, 500, 600) for tens in range(80, 100))
_BIRDS = ("AVOCET", "CORMORANT", "CURLEW", "EIDER", "GANNET", "GREBE", "HERON", "KNOT", "OSPREY", "PUFFIN", "SKUA", "TERN")
_WGS84 = pyproj.Geod(ellps="WGS84")

MOORED_FRAC = 0.3
FIX_INTERVAL_S = 30.0
"""A class A ship under way reports every 2-10 s (ITU-R M.1371-5, table 1); thinned to this, class B's own rate."""
MOORED_INTERVAL_S = 180.0
"""Class A at anchor or moored, class B below 2 kn (ITU-R M.1371-5, tables 1 and 2)."""
JITTER_M = 3.0
"""Standard deviation of a reported position along each axis."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    """A ship type and the sizes and speeds that go with it."""

    ship_type: str
    share: float
    length_m: tuple[float, float]
    length_to_width: float
    sog_kn: tuple[float, float]
    class_b_share: float


_KINDS = (
    _Kind(ship_type="Cargo", share=0.34, length_m=(80, 366), length_to_width=6.6, sog_kn=(9, 20), class_b_share=0.0),
    _Kind(ship_type="Tanker", share=0.20, length_m=(90, 333), length_to_width=6.0, sog_kn=(8, 16), class_b_share=0.0),
    _Kind(ship_type="Passenger", share=0.10, length_m=(40, 220), length_to_width=6.5, sog_kn=(12, 22), class_b_share=0.0),
    _Kind(ship_type="Fishing", share=0.14, length_m=(12, 60), length_to_width=3.8, sog_kn=(4, 10), class_b_share=0.4),
    _Kind(ship_type="Tug", share=0.09, length_m=(20, 40), length_to_width=2.9, sog_kn=(4, 12), class_b_share=0.0),
    _Kind(ship_type="Pleasure Craft", share=0.13, length_m=(8, 30), length_to_width=3.3, sog_kn=(4, 18), class_b_share=0.9),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SyntheticShip:
    """One made-up ship and its true, straight way past `reference_time`."""

    mmsi: int
    """Nine digits, in a range that belongs to no country."""
    name: str
    ship_type: str
    ais_class: str
    """A or B."""
    length_m: float
    width_m: float
    lat: float
    """At `reference_time`, degrees north."""
    lon: float
    """At `reference_time`, degrees east."""
    cog_deg: float | None
    """Course at `reference_time`, 0-360 clockwise from north; none when moored."""
    sog_kn: float
    """4-22 under way; 0-0.2 moored, which moves nothing."""
    heading_deg: float
    reference_time: datetime
    """Aware UTC."""

    @property
    def moored(self) -> bool:
        """Whether it lies still."""
        return self.cog_deg is None

    def at(self, time: datetime) -> tuple[float, float]:
        """Longitude, latitude at `time`, degrees: along the geodesic that leaves on `cog_deg`, at constant speed."""
        if self.cog_deg is None:
            return self.lon, self.lat
        way_m = self.sog_kn * KNOT_M_S * (time - self.reference_time).total_seconds()
        lon, lat, _ = _WGS84.fwd(self.lon, self.lat, self.cog_deg, way_m)
        return float(lon), float(lat)


def synthetic_fleet(
    tile_id: str, area: tuple[float, float, float, float], overpass_time: datetime, *, ships: int, seed: int
) -> list[SyntheticShip]:
    """The ships on a tile at its overpass.

    A ship (its MMSI, name, type and size) belongs to the seed and tile and comes back on other days; where it is and what it
    does belong to the overpass minute too. About 70 % are under way, anywhere in the area; the rest lie in a few clusters.

    Args:
        tile_id: part of the seed, and of every MMSI.
        area: west, south, east, north, degrees; west > east crosses the antimeridian.
        overpass_time: aware; also `reference_time` of every ship.
        ships: how many.
        seed: same seed, same ships.
    """
    west, south, east, north = area
    width_deg = (east - west) % 360.0 or 360.0
    fixed = _generator("harbours", seed, tile_id)
    harbours = [_place(fixed, west, south, width_deg, north, inset=0.1) for _ in range(1 + ships // 12)]
    shares = np.array([kind.share for kind in _KINDS])
    today = _generator("ways", seed, tile_id, _minute(overpass_time))
    fleet = []
    for index, mmsi in enumerate(_mmsis(tile_id, ships)):
        own = _generator("ship", seed, tile_id, index)
        kind = _KINDS[int(own.choice(len(_KINDS), p=shares / shares.sum()))]
        # The square of a uniform number: many small ships, few large ones.
        length_m = round(kind.length_m[0] + (kind.length_m[1] - kind.length_m[0]) * own.random() ** 2)
        width_m = max(3, round(length_m / kind.length_to_width))
        ais_class = "B" if own.random() < kind.class_b_share else "A"
        name = f"SYN {_BIRDS[int(own.integers(len(_BIRDS)))]} {index:02d}"
        moored = today.random() < MOORED_FRAC
        if moored:
            lon, lat = harbours[int(today.integers(len(harbours)))]
            lon, lat, _ = _WGS84.fwd(lon, lat, today.uniform(0, 360), abs(today.normal(0, 900)))
            lon, lat = _inside(float(lon), float(lat), west, south, width_deg, north)
            sog_kn, cog_deg, heading_deg = round(today.uniform(0, 0.2), 1), None, float(today.integers(360))
        else:
            lon, lat = _place(today, west, south, width_deg, north)
            sog_kn = round(today.uniform(*kind.sog_kn), 1)
            cog_deg = round(today.uniform(0, 359.9), 1)
            heading_deg = float(round(cog_deg + today.normal(0, 2)) % 360)  # wind and current set a ship off its bow
        fleet.append(
            SyntheticShip(
                mmsi=mmsi,
                name=name,
                ship_type=kind.ship_type,
                ais_class=ais_class,
                length_m=float(length_m),
                width_m=float(width_m),
                lat=lat,
                lon=lon,
                cog_deg=cog_deg,
                sog_kn=sog_kn,
                heading_deg=heading_deg,
                reference_time=overpass_time,
            )
        )
    return fleet


def synthetic_fixes(
    tile_id: str,
    area: tuple[float, float, float, float],
    overpass_time: datetime,
    *,
    ships: int,
    seed: int,
    window_min: float,
) -> pd.DataFrame:
    """What a receiver hears of `synthetic_fleet` within `window_min` each side of the overpass.

    Not every ship is heard well: some only before or only after the overpass, some once or twice, a few do not say their
    speed and course. Each ship is heard at least once.

    Returns:
        FIX_SCHEMA, sorted by MMSI and time.
    """
    window_s = window_min * 60.0
    air = _generator("air", seed, tile_id, _minute(overpass_time), window_min)
    heard: list[tuple[SyntheticShip, dict[str, np.ndarray]]] = []
    for ship in synthetic_fleet(tile_id, area, overpass_time, ships=ships, seed=seed):
        offset_s = _heard_at_s(ship, window_s, air)
        count = len(offset_s)
        if ship.cog_deg is None:
            true_lon, true_lat = np.full(count, ship.lon), np.full(count, ship.lat)
        else:
            azimuth = np.full(count, ship.cog_deg)
            way_m = ship.sog_kn * KNOT_M_S * offset_s
            true_lon, true_lat, _ = _WGS84.fwd(np.full(count, ship.lon), np.full(count, ship.lat), azimuth, way_m)
        north_m, east_m = air.normal(0, JITTER_M, (2, count))
        lon, lat, _ = _WGS84.fwd(true_lon, true_lat, np.degrees(np.arctan2(east_m, north_m)), np.hypot(east_m, north_m))
        silent = air.random() < 0.05
        sog_kn = np.full(count, np.nan) if silent else np.round(np.maximum(0, ship.sog_kn + air.normal(0, 0.05, count)), 1)
        if ship.cog_deg is None or silent:
            cog_deg = np.full(count, np.nan)
        else:
            cog_deg = np.round(ship.cog_deg + air.normal(0, 0.5, count), 1) % 360.0
        heard.append((ship, {"offset_s": offset_s, "lat": lat, "lon": lon, "sog_kn": sog_kn, "cog_deg": cog_deg}))
    if not heard:
        return tables.empty(FIX_SCHEMA)
    # One table of all ships: a table for each ship would take ten times as long as what is in it.
    moving = {name: np.concatenate([columns[name] for _, columns in heard]) for name in heard[0][1]}
    lasting = pd.DataFrame([_lasting(ship) for ship, _ in heard])
    fixes = lasting.loc[np.repeat(lasting.index, [len(columns["lat"]) for _, columns in heard])].reset_index(drop=True)
    reference = pd.Timestamp(overpass_time).as_unit("ms")
    fixes["time"] = reference + pd.to_timedelta(np.round(moving["offset_s"] * 1000), unit="ms")
    fixes["lat"], fixes["lon"] = np.round(moving["lat"], 6), np.round(moving["lon"], 6)
    fixes["sog_kn"], fixes["cog_deg"] = moving["sog_kn"], moving["cog_deg"]
    fixes["ais_source"], fixes["tile_id"], fixes["overpass_time"] = SOURCE, tile_id, reference
    return tables.concat([fixes], FIX_SCHEMA).sort_values(["mmsi", "time"], ignore_index=True)


def _lasting(ship: SyntheticShip) -> dict[str, object]:
    """What is the same in all fixes of a ship."""
    return {
        "mmsi": ship.mmsi,
        "heading_deg": ship.heading_deg if ship.ais_class == "A" else math.nan,
        "ship_name": ship.name,
        "ship_type": ship.ship_type,
        "length_m": ship.length_m,
        "width_m": ship.width_m,
        **_dimensions(ship),
        "ais_class": ship.ais_class,
    }


def _heard_at_s(ship: SyntheticShip, window_s: float, air: np.random.Generator) -> np.ndarray:
    """Seconds from the overpass at which the ship is heard, rising, at least one, within ± `window_s`."""
    interval_s = MOORED_INTERVAL_S if ship.moored else FIX_INTERVAL_S
    sent_s = np.arange(-window_s + air.uniform(0, min(interval_s, 2 * window_s)), window_s, interval_s)
    kept = sent_s[air.random(len(sent_s)) >= 0.15]  # messages collide or fade
    luck = air.random()
    if luck < 0.12:
        kept = kept[kept < -0.3 * window_s]
    elif luck < 0.24:
        kept = kept[kept > 0.3 * window_s]
    elif luck < 0.32:
        kept = kept[: int(air.integers(1, 3))]
    heard_s: np.ndarray = kept if len(kept) else sent_s[-1:]
    return heard_s


def _generator(*parts: object) -> np.random.Generator:
    digest = hashlib.sha256("|".join(map(str, parts)).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "big"))


def _minute(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M")


def _dimensions(ship: SyntheticShip) -> dict[str, float]:
    """A to D, whole metres: what is reported is the middle of the ship. Class B does not say where its antenna is."""
    if ship.ais_class == "B":
        return dict.fromkeys(DIMENSIONS, math.nan)
    to_bow_m, to_port_m = ship.length_m // 2, ship.width_m // 2
    return dict(zip(DIMENSIONS, (to_bow_m, ship.length_m - to_bow_m, to_port_m, ship.width_m - to_port_m), strict=True))


def _mmsis(tile_id: str, ships: int) -> list[int]:
    """Different ones; 10⁸ are possible, so that tiles hardly ever share one."""
    taken: dict[int, None] = {}
    index = 0
    while len(taken) < ships:
        number = int.from_bytes(hashlib.sha256(f"{tile_id}|{index}".encode()).digest()[:8], "big")
        taken.setdefault(_MIDS[number % len(_MIDS)] * 1_000_000 + number // len(_MIDS) % 1_000_000)
        index += 1
    return list(taken)


def _place(
    generator: np.random.Generator, west: float, south: float, width_deg: float, north: float, *, inset: float = 0.0
) -> tuple[float, float]:
    """Longitude, latitude, uniform on the sphere within the area less `inset` of it on each side."""
    east_share, north_share = generator.uniform(inset, 1 - inset, 2)
    low, high = math.sin(math.radians(south)), math.sin(math.radians(north))
    lat = math.degrees(math.asin(low + north_share * (high - low)))
    return _wrapped(float(west + east_share * width_deg)), lat


def _inside(lon: float, lat: float, west: float, south: float, width_deg: float, north: float) -> tuple[float, float]:
    east_of_west = (lon - west + 180.0 - width_deg / 2) % 360.0 - 180.0 + width_deg / 2
    return _wrapped(west + min(max(east_of_west, 0.0), width_deg)), min(max(lat, south), north)


def _wrapped(lon: float) -> float:
    return (lon + 180.0) % 360.0 - 180.0
