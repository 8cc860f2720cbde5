"""This project: `cut_scenes` with its default settings but for the bands, and the gate that it always has."""

import contextlib

from benchmarks.reading import Sink, Work
from benchmarks.workload import BANDS, center_of
from s2chips_core.chips.cutting import Chip, CutRequest, cut_scenes
from s2chips_core.config import parse_settings
from s2chips_core.fetch import Fetcher


def read(work: Work, sink: Sink) -> None:
    """All chips through one engine."""
    settings = parse_settings(
        {
            "satellite_tracking": {"tiles": ["30STE"]},
            "stac": {"allowed_hosts": [work.host]},
            "tiling": {"include_swir": True, "resample": "nearest"},
        },
        "benchmark",
    )
    assert settings.tiling.bands == BANDS
    groups: dict[int, list[CutRequest]] = {}
    for place in work.ships:
        lon, lat = center_of(place, work.scenes[place.scene])
        groups.setdefault(place.scene, []).append(
            CutRequest(target_id=place.ship, mmsi=0, lat=lat, lon=lon, chip_id=place.ship)
        )
    scenes = [(work.scenes[number], requests) for number, requests in groups.items()]
    with contextlib.closing(Fetcher(settings.stac.allowed_hosts, connections=settings.compute.workers)) as fetcher:
        for result in cut_scenes(scenes, settings=settings, fetcher=fetcher):
            if isinstance(result, Chip):
                sink.chip(result.request.target_id, result.reflectance)
            else:
                sink.refused(result.request.target_id, f"{result.reason}: {result.detail}")
