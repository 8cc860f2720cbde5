"""A made-up day for the tests of the pages: targets, matches, index rows, quicklooks and chips that fit together."""

import dataclasses
import io
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import shapely
from PIL import Image
from pyproj import Transformer

from s2chips_core import layout, tables
from s2chips_core.chips.artefacts import encode_geotiff, encode_masks
from s2chips_core.chips.chip import Chip, CutRequest
from s2chips_core.chips.gate import GateNumbers, GateVerdict
from s2chips_core.chips.identity import fingerprint
from s2chips_core.config import Settings
from s2chips_core.index.outcomes import OUTCOME_SCHEMA, Outcome
from s2chips_core.index.records import PART_SCHEMA
from s2chips_core.scenes.matches import MATCH_SCHEMA
from s2chips_core.scenes.scene import Scene
from s2chips_core.storage import Storage

SETTINGS = Settings.model_validate({"satellite_tracking": {"tiles": ["30STF"]}})
DAY = date(2025, 10, 27)
GENERATED_AT = datetime(2025, 10, 31, 6, 0, 5, tzinfo=UTC)
SENSED = datetime(2025, 10, 27, 11, 4, 22, 123000, tzinfo=UTC)
TYPES = ("Cargo", "Tanker", "Fishing", "Passenger", None)
REFUSALS = tuple(o for o in Outcome if o is not Outcome.CHIPPED)
BEFORE_MATCH = ("pending_l2a", "no_scene", "time_mismatch", "duplicate", "over_cap", "invalid_ais")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReportDay:
    """What `build_report` takes."""

    outcomes: pd.DataFrame
    index: pd.DataFrame
    matches: pd.DataFrame
    quicklooks: dict[str, bytes]

    def arguments(self) -> dict[str, Any]:
        """As keywords."""
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}


def sea_jpeg(seed: int, size_px: int = 256) -> bytes:
    """A picture of sea with a bright hull in the middle."""
    random = np.random.default_rng(seed)
    sea = np.array([28, 62, 84]) + random.normal(0, 9, (size_px, size_px, 1)) + random.normal(0, 3, (size_px, size_px, 3))
    middle = size_px // 2
    sea[middle - 8 : middle + 9, middle - 2 : middle + 3] = (235, 232, 220)
    sink = io.BytesIO()
    Image.fromarray(np.clip(sea, 0, 255).astype(np.uint8)).save(sink, "JPEG", quality=88)
    return sink.getvalue()


def utm_of(lon: float, lat: float) -> tuple[int, Transformer, float, float]:
    """EPSG code of the UTM zone there, the way into it, x and y."""
    epsg = (32600 if lat >= 0 else 32700) + int((lon + 180) // 6) % 60 + 1
    to_utm = Transformer.from_crs(4326, epsg, always_xy=True)
    return epsg, to_utm, *to_utm.transform(lon, lat)


def transform_of(lon: float, lat: float, size_px: int = 256) -> list[float]:
    """Of the chip whose pixel (size/2, size/2) holds that place."""
    _, _, x, y = utm_of(lon, lat)
    half = size_px // 2
    return [10.0, 0.0, 10.0 * (x // 10 - half), 0.0, -10.0, 10.0 * (-(-y // 10) + half)]


def sea_chip(
    seed: int, *, bands: tuple[str, ...] = ("B02", "B03", "B04", "B08"), masks: bool = False, size_px: int = 256
) -> Chip:
    """Sea with a bright hull in the middle, and a strip of land at the left edge."""
    random = np.random.default_rng(seed)
    dn = random.normal(600, 25, (len(bands), size_px, size_px)) - 90 * np.arange(len(bands))[:, None, None]
    middle, shore = size_px // 2, size_px // 16
    dn[:, middle - 8 : middle + 9, middle - 2 : middle + 3] = 2400
    dn[:, :, :shore] = np.where(np.array(bands) == "B08", 3000, 300)[:, None, None]
    scl = np.full((size_px, size_px), 6, np.uint8)
    scl[:, :shore] = 4
    land = (scl == 4).astype(np.uint8)
    return Chip(
        request=CutRequest(target_id="t", mmsi=1, lat=36.0, lon=-5.4, chip_id="0" * 16),
        bands=bands,
        reflectance=(np.clip(np.rint(dn), 1, 10_000) / 10_000).astype(np.float32),
        epsg=32630,
        transform=(10.0, 0.0, 199980.0, 0.0, -10.0, 4000020.0),
        footprint={},
        numbers=GateNumbers(),
        verdict=GateVerdict.PASS,
        boa_offset_dn=0,
        boa_offset_source="flag",
        scl_present=True,
        masks=np.stack([np.zeros_like(scl), land, 1 - land, np.ones_like(scl), scl]) if masks else None,
    )


def put_day(storage: Storage, day: "ReportDay", *, masks: bool = False) -> None:
    """The tables of a day, and of each chip the quicklook, the `.tif` and, if wanted, the masks."""
    tables.write_table(storage, layout.outcomes(DAY), day.outcomes, OUTCOME_SCHEMA)
    tables.write_table(storage, layout.matches(DAY), day.matches, MATCH_SCHEMA)
    tables.write_table(storage, layout.index_part(DAY, DAY, "capture"), day.index, PART_SCHEMA)
    chip = sea_chip(1, masks=masks)
    tif = encode_geotiff(chip, tags={}, geotiff="gtiff", compression="deflate")
    for row in day.index.itertuples():
        storage.put(row.path.replace(".tif", "_quicklook.jpg"), day.quicklooks[row.chip_id])
        if masks:
            storage.put(row.path.replace(".tif", "_masks.tif"), encode_masks(chip))
        storage.put(row.path, tif)


def square(lon: float, lat: float) -> Any:
    """The outline of a 2.56 km chip around a place, longitudes in [-180, 180], not cut at 180 degrees."""
    _, to_utm, x, y = utm_of(lon, lat)
    corners = [(x - 1280, y + 1280), (x - 1280, y - 1280), (x + 1280, y - 1280), (x + 1280, y + 1280)]
    return shapely.Polygon([to_utm.transform(*corner, direction="INVERSE") for corner in corners])


def make_scene(scene_id: str, lon: float, lat: float, half_deg: float = 0.5) -> Scene:
    """A scene around a place."""

    def turned(value: float) -> float:
        return (value + 180.0) % 360.0 - 180.0

    ring = [(lon - half_deg, lat - half_deg), (lon + half_deg, lat - half_deg), (lon + half_deg, lat + half_deg)]
    ring += [(lon - half_deg * 0.7, lat + half_deg), ring[0]]
    return Scene(
        scene_id=scene_id,
        provider="earth_search",
        collection="sentinel-2-l2a",
        datetime=SENSED,
        platform="S2B",
        datatake_id="GS2B_20251027T110000_042000",
        mgrs_tile="30STF",
        epsg=32630,
        cloud_cover=4.5,
        processing_baseline="05.11",
        sequence=0,
        revision="2025-10-28",
        boa_offset_flag=True,
        footprint={"type": "Polygon", "coordinates": [[(turned(x), y) for x, y in ring]]},
        assets={},
    )


def make_day(
    *,
    chips: int = 12,
    refused: int = 13,
    lon: float = -5.4,
    lat: float = 36.1,
    ais_source: str = "aisstream",
    names: tuple[str, ...] = (),
) -> ReportDay:
    """A day with as many chips and refused targets, in one scene around (lon, lat); `names` are the first ships' names."""
    random = np.random.default_rng(7)
    scene = make_scene("S2B_30STF_20251027_0_L2A", lon, lat)
    outcomes, matches, index, quicklooks = [], [], [], {}
    for n in range(chips + refused):
        outcome = Outcome.CHIPPED if n < chips else REFUSALS[(n - chips) % len(REFUSALS)]
        east, north = (lon + random.uniform(-0.4, 0.4) + 180.0) % 360.0 - 180.0, lat + random.uniform(-0.4, 0.4)
        named = names[n] if n < len(names) else None if n % 6 == 5 else f"MV SAMPLE {n}"
        invalid = outcome is Outcome.INVALID_AIS
        target = {
            "target_id": f"t{n}",
            "source_id": "capture",
            "mmsi": None if invalid else 244660000 + n,
            "overpass_time": SENSED,
            "ais_time": SENSED - timedelta(seconds=20 * (n % 12) + 4),
            "ais_lat": None if invalid else north - 0.001,
            "ais_lon": None if invalid else east,
            "ais_source": ais_source,
            "ship_name": named,
            "ship_type": TYPES[n % len(TYPES)],
            "length_m": None if n % 4 == 3 else 60.0 + 7 * (n % 30),
            "position_mode": "at_sensing_time",
            "detail": f"{outcome}: a sentence with the numbers, {n} of 20",
        }
        has_scene = outcome.value not in BEFORE_MATCH
        at = {
            "scene_id": scene.scene_id,
            "scene_datetime": SENSED,
            "dt_s": 20.0 * (n % 12) + 4.0,
            "lat": north,
            "lon": east,
            "position_method": "interpolated",
            "position_sigma_m": 12.0 + n % 30,
        }
        measured = {"qa_cloud_frac": 0.01, "qa_land_frac": 0.0, "qa_water_frac": 0.97, "qa_nodata_frac": 0.0}
        gated = outcome.value.startswith("gate_") or outcome is Outcome.CHIPPED
        chip_id = f"{n:016x}"
        outcomes.append(
            {
                **target,
                "outcome": str(outcome),
                **(at if has_scene else {}),
                **(measured if gated else {}),
                "fingerprint": _fingerprint(scene, north, east) if has_scene else None,
                "chip_id": chip_id if outcome is Outcome.CHIPPED else None,
            }
        )
        status = "matched" if has_scene else str(outcome)
        matches.append({**target, "status": status, **({**at, "scene": scene.to_json()} if has_scene else {})})
        if outcome is not Outcome.CHIPPED:
            continue
        split = ("train", "train", "train", "val", "test")[n % 5]
        quicklooks[chip_id] = sea_jpeg(n % 40)
        shape = square(east, north)
        index.append(
            {
                **target,
                **at,
                **measured,
                "chip_id": chip_id,
                "path": f"chips/{split}/{target['mmsi']}/20251027/{chip_id}.tif",
                "cloud_cover": 4.5,
                "split": split,
                "bands": ["B02", "B03", "B04", "B08"],
                "has_swir": False,
                "position_gap_s": 14.0,
                "epsg": utm_of(east, north)[0],
                "transform": transform_of(east, north),
                "mgrs_tile": "30STF",
                "platform": "S2B",
                "datatake": scene.datatake_id,
                "sibling_scene_ids": ["S2B_30STE_20251027_0_L2A"] if n % 3 == 0 else [],
                "processing_baseline": "05.11",
                "boa_offset_dn": 0,
                "boa_offset_source": "earthsearch_flag",
                "scl_present": True,
                "gate_verdict": "pass",
                "provider": "earth_search",
                "collection": "sentinel-2-l2a",
                "width_m": 18.0,
                "heading_deg": float(n * 37 % 360),
                "sog_kn": 11.3,
                "cog_deg": float(n * 37 % 360),
                "vessels": 0,
                "labels": [],
                "fingerprint": "f",
                "created_at": GENERATED_AT,
                "software_version": "0.1.0",
                "scene_snapshot": "provenance/scenes/S2B_30STF_20251027_0_L2A-0123456789abcdef.json",
                "config_hash": SETTINGS.config_hash,
                "bbox": dict(zip(("xmin", "ymin", "xmax", "ymax"), shape.bounds, strict=True)),
                "geometry": shape.wkb,
            }
        )
    return ReportDay(
        outcomes=_frame(outcomes, OUTCOME_SCHEMA),
        index=_frame(index, PART_SCHEMA),
        matches=_frame(matches, MATCH_SCHEMA),
        quicklooks=quicklooks,
    )


def _fingerprint(scene: Scene, lat: float, lon: float) -> str:
    return fingerprint(
        config_hash=SETTINGS.config_hash,
        scene_id=scene.scene_id,
        revision=scene.revision,
        processing_baseline=scene.processing_baseline,
        lat=lat,
        lon=lon,
    )


def _frame(rows: list[dict[str, Any]], schema: Any) -> pd.DataFrame:
    return tables.to_frame(tables.conform(pd.DataFrame(rows), schema, "sample")) if rows else tables.empty(schema)


def colours(picture: np.ndarray) -> np.ndarray:
    """Red, green and blue, (rows, cols, 3), of a picture as `stretch.pack` has it."""
    return np.stack([picture >> shift & 255 for shift in (0, 8, 16)], axis=-1).astype(np.uint8)
