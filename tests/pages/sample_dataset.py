"""A dataset of a year and several seas, as large as one likes: the index and the outcomes of its days, no pixels."""

import dataclasses
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from s2chips_core import layout, tables
from s2chips_core.chips.identity import chip_id, split_of
from s2chips_core.index.outcomes import OUTCOME_SCHEMA, Outcome
from s2chips_core.index.records import INDEX_SCHEMA
from s2chips_core.sections import Splits
from s2chips_core.storage import Storage
from tests.pages.sample_day import square

FIRST_DAY = date(2024, 11, 3)
SEAS = (
    # lon, lat, spread in degrees, share, tiles
    ("Strait of Gibraltar", -5.5, 35.95, 0.25, 0.28, ("30STF", "30STE", "30SUE", "29SQV")),
    ("German Bight", 7.9, 54.1, 0.45, 0.22, ("32ULE", "32UME", "31UGV")),
    ("Singapore", 103.9, 1.15, 0.3, 0.2, ("48NUG", "48NVG")),
    ("Skagerrak", 10.0, 57.9, 0.5, 0.14, ("32VNJ", "32VMJ")),
    ("Houston", -94.6, 29.0, 0.3, 0.1, ("15RUN", "15RUP")),
    ("Fiji", 179.9, -17.6, 0.6, 0.06, ("60KXF", "01KAB")),
)
TYPES = ("Cargo", "Tanker", "Fishing", "Passenger", "Tug", "Pleasure Craft", "Sailing", "Dredging", "Pilot Vessel", None)
TYPE_SHARES = (0.34, 0.2, 0.12, 0.09, 0.08, 0.06, 0.03, 0.02, 0.02, 0.04)
LENGTHS_M = {"Cargo": 150, "Tanker": 180, "Fishing": 24, "Passenger": 90, "Tug": 30, "Pleasure Craft": 14}
WORDS = ("NORTHERN", "EVER", "ATLANTIC", "SEA", "STELLA", "MAERSK", "BALTIC", "OCEAN", "CAPE", "PACIFIC")
THINGS = ("PIONEER", "STAR", "SPIRIT", "TRADER", "HARMONY", "EAGLE", "WIND", "GLORY", "HERON", "DAWN")
CONFIRMATIONS = ("ambiguous", "absent", None, "confirmed")
REFUSED = {
    Outcome.NO_SCENE: 0.3, Outcome.GATE_CLOUD: 0.32, Outcome.GATE_LAND: 0.16, Outcome.GATE_WATER: 0.06,
    Outcome.NODATA: 0.05, Outcome.TIME_MISMATCH: 0.05, Outcome.DUPLICATE: 0.03, Outcome.OVER_CAP: 0.03,
}  # fmt: skip


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SampleDataset:
    """Tables of a dataset."""

    index: pd.DataFrame
    outcomes: dict[date, pd.DataFrame]


def make_dataset(
    chips: int, *, days: int = 365, seed: int = 5, splits_by: str = "chip_id", names: tuple[str, ...] = ()
) -> SampleDataset:
    """So many chips over so many days; `names` are the first vessels' names."""
    random = np.random.default_rng(seed)
    fleet = max(3, chips // 3)
    sea_of = random.choice(len(SEAS), fleet, p=np.array([sea[4] for sea in SEAS]))
    type_of = random.choice(len(TYPES), fleet, p=TYPE_SHARES)
    length_of = np.array([LENGTHS_M.get(TYPES[t] or "", 40) for t in type_of]) * random.lognormal(0, 0.35, fleet)
    name_of = [
        names[n]
        if n < len(names)
        else None
        if n % 17 == 16
        else f"{WORDS[n % 10]} {THINGS[n // 10 % 10]} {n // 100 or ''}".strip()
        for n in range(fleet)
    ]
    passes = np.sort(random.choice(days, max(1, days * 2 // 5), replace=False))  # days on which something is sensed
    vessel = (fleet * random.power(0.6, chips)).astype(int)  # some come again and again
    sensed_day = random.choice(passes, chips, p=weights(passes, random))
    splits, rows = Splits(by="mmsi" if splits_by == "mmsi" else "chip_id"), []
    for n in np.argsort(sensed_day, kind="stable"):
        ship = int(vessel[n])
        _, lon, lat, spread, _, tiles = SEAS[sea_of[ship]]
        rows.append(_chip(ship, FIRST_DAY + timedelta(days=int(sensed_day[n])), random, splits, (
            (lon + random.normal(0, spread) + 180) % 360 - 180, lat + random.normal(0, spread * 0.6),
            tiles[ship % len(tiles)],
            TYPES[type_of[ship]], float(length_of[ship].round()), name_of[ship],
        )))  # fmt: skip
    index = pd.DataFrame(rows, columns=[n for n in INDEX_SCHEMA.names if n in rows[0]] if rows else INDEX_SCHEMA.names)
    index = index.drop_duplicates("chip_id").sort_values(["scene_datetime", "chip_id"], ignore_index=True)
    return SampleDataset(index=index, outcomes=_outcomes(index, passes, random))


def weights(passes: Any, random: np.random.Generator) -> Any:
    """Clear summers have more chips than dark winters."""
    season = 1.1 - np.cos((passes + 305) / 365 * 2 * np.pi)
    raw = season * random.lognormal(0, 0.5, len(passes))
    return raw / raw.sum()


def _chip(ship: int, day: date, random: np.random.Generator, splits: Splits, of_ship: tuple[Any, ...]) -> dict[str, Any]:
    lon, lat, tile, ship_type, length_m, name = of_ship
    lon, lat, mmsi = round(float(lon), 5), round(float(lat), 5), 211000000 + ship * 7
    sensed = datetime(day.year, day.month, day.day, 10, 20, tzinfo=UTC) + timedelta(
        milliseconds=int(random.integers(3_600_000))
    )
    found = chip_id(mmsi, sensed, lat, lon)
    split = split_of(found, mmsi, splits)
    cloud = None if ship % 23 == 0 else round(float(random.choice([0.0, random.uniform(0, 0.05)])), 4)
    speed = None if ship % 31 == 0 else round(abs(float(random.normal(8, 6))), 1)
    shape = square(lon, lat)
    return {
        "chip_id": found, "path": layout.chip(split, mmsi, day, found), "mmsi": mmsi, "lat": lat, "lon": lon,
        "overpass_time": sensed, "scene_id": f"S2B_{tile}_{layout.ymd(day)}_0_L2A", "scene_datetime": sensed,
        "cloud_cover": round(float(random.uniform(0, 30)), 2), "split": split, "bands": ["B02", "B03", "B04", "B08"],
        "has_swir": False, "qa_cloud_frac": cloud, "qa_water_frac": round(1 - abs(float(random.normal(0, 0.08))) % 0.5, 4),
        "qa_land_frac": None if cloud is None else round(abs(float(random.normal(0, 0.04))) % 0.2, 4),
        "qa_nodata_frac": 0.0, "ais_lat": lat + 0.002, "ais_lon": lon - 0.001,
        "ais_time": sensed - timedelta(seconds=40), "ais_source": "aisstream",
        "position_method": "interpolated", "position_gap_s": 40.0, "position_sigma_m": 21.0, "dt_s": 40.0, "epsg": 32630,
        "transform": [10.0, 0.0, 0.0, 0.0, -10.0, 0.0], "mgrs_tile": tile, "platform": f"S2{'ABC'[ship % 3]}",
        "processing_baseline": "05.11", "boa_offset_dn": 0, "boa_offset_source": "flag", "scl_present": cloud is not None,
        "gate_verdict": "pass" if cloud is not None else "pass_ndwi_only", "provider": "earth_search",
        "collection": "sentinel-2-l2a", "ship_name": name, "ship_type": ship_type, "length_m": length_m,
        "width_m": round(length_m / 6.5), "heading_deg": float(ship * 37 % 360), "sog_kn": speed,
        "cog_deg": float(ship * 37 % 360), "target_id": f"{mmsi}-1020", "source_id": layout.CAPTURE, "fingerprint": "f",
        "scene_snapshot": "provenance/scenes/sample.json",
        "vessels": 1 + ship % 3, "confirmation": CONFIRMATIONS[min(ship % 7, 3)],
        "created_at": sensed + timedelta(days=3), "software_version": "0.1.0", "config_hash": "0123456789abcdef",
        "bbox": dict(zip(("xmin", "ymin", "xmax", "ymax"), shape.bounds, strict=True)), "geometry": shape.wkb,
    }  # fmt: skip


def _outcomes(index: pd.DataFrame, passes: Any, random: np.random.Generator) -> dict[date, pd.DataFrame]:
    found = {}
    of_day = index.groupby(index["scene_datetime"].dt.date)
    chips_of = dict(iter(of_day))
    for offset in passes:
        day = FIRST_DAY + timedelta(days=int(offset))
        chipped = chips_of.get(day, index.iloc[:0])
        rows = [
            {"target_id": f"t{n}", "outcome": "chipped", "chip_id": row.chip_id, "fingerprint": "f", "mmsi": row.mmsi}
            for n, row in enumerate(chipped.itertuples())
        ]
        lost = random.choice(len(REFUSED), int(3 + len(chipped) * 1.7), p=list(REFUSED.values()))
        for n, which in enumerate(lost):
            outcome = list(REFUSED)[which]
            gated = outcome.value.startswith("gate_") or outcome is Outcome.NODATA
            cloud = random.uniform(0.05, 1) if outcome is Outcome.GATE_CLOUD else 0.0
            land = random.uniform(0.2, 1) if outcome is Outcome.GATE_LAND else 0.02
            water = random.uniform(0, 0.5) if outcome is Outcome.GATE_WATER else 1 - land
            shares = {"qa_cloud_frac": cloud, "qa_land_frac": land, "qa_water_frac": water}
            shares["qa_nodata_frac"] = random.uniform(0.05, 1) if outcome is Outcome.NODATA else 0.0
            rows.append(
                {
                    "target_id": f"r{n}",
                    "outcome": str(outcome),
                    "fingerprint": "f" if gated else None,
                    **(shares if gated else {}),
                }
            )
        frame = pd.DataFrame(rows).assign(source_id=layout.CAPTURE, detail="", ais_source="aisstream")
        found[day] = tables.to_frame(tables.conform(frame, OUTCOME_SCHEMA, "outcomes"))
    return found


def write_dataset(storage: Storage, dataset: SampleDataset) -> None:
    """Put the index, and the outcomes of each day."""
    tables.write_table(storage, layout.tiles_index(), dataset.index, INDEX_SCHEMA)
    for day, frame in dataset.outcomes.items():
        tables.write_table(storage, layout.outcomes(day), frame, OUTCOME_SCHEMA)
