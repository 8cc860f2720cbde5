"""Matches, scenes and chips made up for the tests of the index; no pixels are read."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from s2chips_core import layout, tables
from s2chips_core.ais.vessels import VESSEL_COLUMNS
from s2chips_core.chips.chip import Chip, CutRequest, Refusal
from s2chips_core.chips.gate import GateNumbers
from s2chips_core.config import Settings
from s2chips_core.fetch import Fetcher
from s2chips_core.index.geojson import feature_bytes
from s2chips_core.index.labels import place_vessels
from s2chips_core.index.records import PART_SCHEMA, ChipKey, chip_key, index_frame, row_from_chip, sidecar
from s2chips_core.index.vessels import SceneVessels
from s2chips_core.scenes.matches import MATCH_SCHEMA
from s2chips_core.scenes.scene import Scene
from s2chips_core.storage import Storage

DAY = date(2025, 10, 27)
NOW = datetime(2025, 10, 30, 12, 0, 0, 250_000, UTC)
SETTINGS = Settings.model_validate(
    {
        "satellite_tracking": {"tiles": ["30STF"]},
        "tiling": {"chip_size_px": 32},
        "gate": {"center_window_px": 16},
    }
)


def scene_of(name: str = "S2B_30STF_20251027_0_L2A", *, when: datetime | None = None, revision: str = "1") -> Scene:
    """A scene of 30STF without assets."""
    return Scene(
        scene_id=name,
        provider="earth_search",
        collection="sentinel-2-l2a",
        datetime=when or datetime(2025, 10, 27, 11, 4, 22, 123_000, UTC),
        platform="S2B",
        datatake_id="GS2B_20251027T105911_045123",
        mgrs_tile="30STF",
        epsg=32630,
        cloud_cover=3.5,
        processing_baseline="05.11",
        sequence=0,
        revision=revision,
        boa_offset_flag=True,
        footprint={"type": "Polygon", "coordinates": [[[-6, 35], [-5, 35], [-5, 37], [-6, 37], [-6, 35]]]},
        assets={},
    )


def match_of(number: int, *, scene: Scene | None = None, **changes: Any) -> dict[str, Any]:
    """The match of ship `number` with a scene."""
    scene = scene or scene_of()
    fields = {
        "target_id": f"t{number:03d}",
        "source_id": layout.CAPTURE,
        "mmsi": 244_660_000 + number,
        "overpass_time": scene.datetime,
        "ais_time": scene.datetime - timedelta(seconds=60),
        "ais_lat": 36.0 + number / 100,
        "ais_lon": -5.5 + number / 100,
        "ais_source": "aisstream",
        "position_mode": "at_sensing_time",
        "ship_name": f"SHIP Ø {number}",
        "sog_kn": 12.5 if number % 2 else None,
        "status": "matched",
        "detail": "matched",
        "scene_id": scene.scene_id,
        "scene_datetime": scene.datetime,
        "provider": scene.provider,
        "collection": scene.collection,
        "datatake": scene.datatake_id,
        "mgrs_tile": scene.mgrs_tile,
        "platform": scene.platform,
        "processing_baseline": scene.processing_baseline,
        "cloud_cover": scene.cloud_cover,
        "dt_s": 60.0,
        "lat": 36.000001 + number / 100,
        "lon": -5.499999 + number / 100,
        "position_method": "interpolated",
        "position_gap_s": 30.0,
        "position_sigma_m": 12.0,
        "sibling_scene_ids": [],
        "scene": scene.to_json(),
    }
    return dict.fromkeys(MATCH_SCHEMA.names) | fields | changes


def unmatched_of(number: int, status: str) -> dict[str, Any]:
    """The match of a ship that got no scene."""
    nothing = ("scene_id", "scene_datetime", "provider", "collection", "scene", "lat", "lon", "dt_s", "position_method")
    return match_of(number, status=status, detail=f"said {status}", **dict.fromkeys(nothing))


def matches_frame(matches: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Matches as the table has them."""
    return tables.to_frame(tables.conform(pd.DataFrame(list(matches), columns=MATCH_SCHEMA.names), MATCH_SCHEMA, "m"))


def write_matches(
    storage: Storage, matches: Sequence[Mapping[str, Any]], day: date = DAY, source: str = layout.CAPTURE
) -> None:
    """Write them as the matches of a source of a day."""
    of_source = [{**match, "source_id": source} for match in matches]
    tables.write_table(storage, layout.matches_part(day, source), matches_frame(of_source), MATCH_SCHEMA)


def numbers_of(**changes: Any) -> GateNumbers:
    """What the gate measured in a clear chip at sea."""
    clear = {"qa_cloud_frac": 0.0, "qa_land_frac": 0.0, "qa_water_frac": 0.97, "qa_nodata_frac": 0.0}
    return GateNumbers(**{**clear, "valid_px": 256, "scl_present": True, **changes})


def chip_of(request: CutRequest, scene: Scene, settings: Settings = SETTINGS, **changes: Any) -> Chip:
    """A chip whose pixels depend on the request only."""
    size, bands = settings.tiling.chip_size_px, settings.tiling.bands
    pixels = np.random.default_rng(request.mmsi).uniform(0.01, 0.2, (len(bands), size, size)).astype("float32")
    lon, lat, d = request.lon, request.lat, 0.0015
    # Clockwise on purpose: RFC 7946 wants the outer ring counter-clockwise.
    ring = [[lon - d, lat - d], [lon - d, lat + d], [lon + d, lat + d], [lon + d, lat - d], [lon - d, lat - d]]
    fields: dict[str, Any] = {
        "request": request,
        "bands": bands,
        "reflectance": pixels,
        "epsg": scene.epsg,
        "transform": (10.0, 0.0, 300_000.0 + request.mmsi % 1000 * 10, 0.0, -10.0, 4_000_000.0),
        "footprint": {"type": "Polygon", "coordinates": [ring]},
        "numbers": numbers_of(),
        "verdict": "pass",
        "boa_offset_dn": 0,
        "boa_offset_source": "flag",
        "scl_present": True,
        "masks": None,
    }
    return Chip(**fields | changes)


class Cutter:
    """Stands in for `cut_scene`: answers from a table of refusals and remembers what it was asked."""

    def __init__(self, refusals: Mapping[int, Any] | None = None) -> None:
        self.refusals = dict(refusals or {})
        """Reason by MMSI."""
        self.asked: list[str] = []
        """target_ids."""

    def __call__(
        self,
        scene: Scene,
        requests: Sequence[CutRequest],
        *,
        settings: Settings,
        fetcher: Fetcher,
        stop: threading.Event | None = None,
    ) -> Iterator[Chip | Refusal]:
        for request in requests:
            self.asked.append(request.target_id)
            reason = self.refusals.get(request.mmsi)
            if reason is None:
                yield chip_of(request, scene, settings)
            else:
                numbers = numbers_of(qa_cloud_frac=0.5) if "gate" in reason else None
                yield Refusal(request=request, reason=reason, detail=f"said {reason}", numbers=numbers)


def scene_by_scene(cut: Any) -> Any:
    """Something that cuts one scene, such as a `Cutter`, as something that cuts many, such as `cut_scenes`."""

    def cut_all(groups: Any, *, memory: Any = None, opened: Any = None, **kwargs: Any) -> Iterator[Chip | Refusal]:
        for scene, requests in groups:
            for result in cut(scene, requests, **kwargs):
                if memory is not None and isinstance(result, Chip):
                    memory.enter()
                yield result

    return cut_all


def labels_alone(match: Mapping[str, Any], key: ChipKey, chip: Chip, settings: Settings = SETTINGS) -> list[Any]:
    """The labels of a chip with no other ship around."""
    nobody = place_vessels(pd.DataFrame(columns=list(VESSEL_COLUMNS)), chip.epsg)
    alone = SceneVessels(epsg=chip.epsg, placed=nobody, motion={})
    size_px = settings.tiling.chip_size_px
    return alone.labels(match, lat=key.lat, lon=key.lon, transform=chip.transform, size_px=size_px)


def index_row(match: Mapping[str, Any], *, created_at: datetime = NOW, settings: Settings = SETTINGS) -> dict[str, Any]:
    """The index row of a match, without any file."""
    plain = tables.conform(matches_frame([match]), MATCH_SCHEMA, "m").to_pylist()[0]
    key = chip_key(plain, settings)
    request = CutRequest(target_id=plain["target_id"], mmsi=plain["mmsi"], lat=key.lat, lon=key.lon, chip_id=key.chip_id)
    chip = chip_of(request, Scene.from_json(plain["scene"]), settings)
    labels = labels_alone(plain, key, chip, settings)
    facts: dict[str, Any] = {"software_version": "0.1.0", "config_hash": settings.config_hash}
    return row_from_chip(plain, key, chip, labels, created_at=created_at, **facts)


def index_of(numbers: Sequence[int], **changes: Any) -> pd.DataFrame:
    """An index of ships."""
    return index_frame(index_row(match_of(number, **changes)) for number in numbers)


def scenes_of_days(days: int) -> list[Scene]:
    """One scene a day, from `DAY` on."""
    start = scene_of().datetime
    return [scene_of(f"S2B_30STF_{n}", when=start + timedelta(days=n)) for n in range(days)]


def commit_chips(storage: Storage, rows: pd.DataFrame, *, day: date = DAY, source: str = layout.CAPTURE) -> None:
    """Write index parts and artefacts as a run would leave them; the pictures are no pictures."""
    for row in tables.conform(rows, PART_SCHEMA, "rows").to_pylist():
        artefacts = {".geojson": feature_bytes(row), ".json": sidecar(row), "_quicklook.jpg": b"jpg", ".tif": b"tif"}
        for suffix, data in artefacts.items():
            storage.put(layout.chip_artefacts(row["path"], (suffix,))[0], data)
    scene_days = rows["scene_datetime"].dt.date
    for scene_day in sorted(set(scene_days)):
        part = rows[scene_days == scene_day]
        tables.write_table(storage, layout.index_part(scene_day, day, source), part, PART_SCHEMA)
