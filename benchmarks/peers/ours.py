"""This project: `cut_scene`, scene by scene, with the gate that it always has."""

import contextlib

from benchmarks.reading import Sink, Work
from benchmarks.workload import BANDS, center_of, scene_of
from s2chips_core.chips.cutting import Chip, CutRequest, cut_scene
from s2chips_core.config import parse_settings
from s2chips_core.fetch import Fetcher


def read(work: Work, sink: Sink) -> None:
    """All chips."""
    settings = parse_settings(
        {
            "satellite_tracking": {"tiles": ["30STE"]},
            "stac": {"allowed_hosts": [work.host]},
            "tiling": {"include_swir": True, "resample": "nearest"},
            "compute": {"workers": 32},
        },
        "benchmark",
    )
    assert settings.tiling.bands == BANDS
    groups: dict[int, list[CutRequest]] = {}
    scenes = [scene_of(item) for item in work.items]
    for place in work.ships:
        lon, lat = center_of(place, scenes[place.scene])
        groups.setdefault(place.scene, []).append(
            CutRequest(target_id=place.ship, mmsi=0, lat=lat, lon=lon, chip_id=place.ship)
        )
    with contextlib.closing(Fetcher(settings.stac.allowed_hosts)) as fetcher:
        for number, requests in groups.items():
            for result in cut_scene(scenes[number], requests, settings=settings, fetcher=fetcher):
                if isinstance(result, Chip):
                    sink.chip(result.request.target_id, result.reflectance)
                else:
                    sink.refused(result.request.target_id, f"{result.reason}: {result.detail}")
