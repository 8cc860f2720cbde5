from datetime import timedelta

import numpy as np
import pytest
from pyproj import Transformer

from s2chips_core.scenes.candidates import Limits, Pairs, Ships, build_pairs, chip_fit, scene_times_ms
from s2chips_core.scenes.footprints import Footprint
from s2chips_core.scenes.scene import Scene
from tests.scenes.samples import SENSED, fixes, in_tile, scene

LIMITS = Limits(window_s=86_400.0, max_dt_s=3_600.0, max_gap_s=900.0, cloud_cover_max=30.0)
SENSED_MS = round(SENSED.timestamp() * 1000)


def ships(*rows: tuple[int, float, tuple[float, float], bool]) -> Ships:
    """MMSI, minutes after the sensing, place, captured or not."""
    mmsi, minutes, places, captured = zip(*rows, strict=True)
    lon, lat = zip(*places, strict=True)
    return Ships(
        mmsi=np.array(mmsi),
        time_ms=np.array([SENSED_MS + round(m * 60_000) for m in minutes]),
        lon=np.array(lon),
        lat=np.array(lat),
        sog_kn=np.full(len(mmsi), np.nan),
        at_sensing=np.array(captured),
        captured=np.array(captured),
    )


def build(given_ships: Ships, scenes: list[Scene], *fix_rows: dict[str, object]) -> Pairs:
    return build_pairs(given_ships, fixes(*fix_rows), scenes, [Footprint.of(s) for s in scenes], LIMITS)


def test_pairs_are_marked_for_cloud_and_reach() -> None:
    inside = in_tile("32VPH", 50_000, 50_000)
    scenes = [scene(), scene(scene_id="cloudy", cloud_cover=30.1), scene("30STF")]
    given_ships = ships((1, 0, inside, False), (2, 120, inside, True), (3, 25 * 60, inside, False))
    pairs = build(given_ships, scenes)
    assert list(zip(pairs.ship, pairs.scene, strict=True)) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert list(pairs.clear) == [True, False, True, False]
    assert list(pairs.in_reach) == [True, True, False, False]
    assert list(pairs.usable) == [True, False, False, False]
    assert list(pairs.dt_ms) == [0, 0, -7_200_000, -7_200_000]


def test_each_ship_and_time_is_placed_once_and_every_pair_gets_it() -> None:
    place = in_tile("32VPH", 5_000, 50_000)  # 32VNH holds it too
    later = SENSED + timedelta(seconds=10)
    scenes = [scene("32VPH"), scene("32VNH"), scene("32VPH", scene_id="later", datetime=later)]
    fix = {"mmsi": 7, "time": SENSED, "lon": place[0], "lat": place[1], "sog_kn": 10.0, "cog_deg": 0.0}
    pairs = build(ships((7, 0, place, True), (8, 0, place, True)), scenes, fix)
    assert list(pairs.ship) == [0, 0, 0, 1, 1, 1]
    assert list(pairs.refused) == [False] * 3 + [True] * 3
    assert pairs.lat[0] == pairs.lat[1] == place[1]
    assert (pairs.lat[2] - pairs.lat[0]) * 111_300 == pytest.approx(51.4, abs=0.5)
    assert (pairs.lon[3], pairs.lat[3]) == place


def test_places_are_in_the_metres_of_each_scene() -> None:
    place = in_tile("32VPH", 5_000, 50_000)
    pairs = build(ships((1, 0, place, False)), [scene("32VPH"), scene("32VNH")])
    x, y = Transformer.from_crs(4326, 32632, always_xy=True).transform(*place)
    assert list(pairs.x_m) == pytest.approx([x, x])
    assert list(pairs.y_m) == pytest.approx([y, y])
    share, edge_m = chip_fit(pairs, [Footprint.of(scene("32VPH")), Footprint.of(scene("32VNH"))], 256)
    assert list(share) == [1.0, 1.0]
    assert list(edge_m) == pytest.approx([5_000, 4_780], abs=10)


def test_times_are_utc_to_the_millisecond() -> None:
    assert list(scene_times_ms([scene()])) == [SENSED_MS]
    assert scene_times_ms([]).shape == (0,)
