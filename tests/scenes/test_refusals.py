from datetime import timedelta

import numpy as np
import pytest

from s2chips_core.scenes.candidates import Limits, Ships, build_pairs
from s2chips_core.scenes.footprints import Footprint
from s2chips_core.scenes.refusals import Refusals, duration, explain_refusals, side
from s2chips_core.scenes.scene import Scene
from tests.scenes.samples import SENSED, fixes, in_tile, scene

LIMITS = Limits(window_s=86_400.0, max_dt_s=3_600.0, max_gap_s=900.0, cloud_cover_max=30.0)
SENSED_MS = round(SENSED.timestamp() * 1000)
DAY_MS = 86_400_000


def explain(scenes: list[Scene], *, captured: bool, now_ms: int = SENSED_MS + DAY_MS, minutes: float = 0) -> Refusals:
    lon, lat = in_tile("32VPH", 50_000, 50_000)
    given = Ships(
        mmsi=np.array([1, 2]),
        time_ms=np.array([SENSED_MS - 10 * DAY_MS, SENSED_MS - round(minutes * 60_000)]),
        lon=np.array([0.0, lon]),
        lat=np.array([0.0, lat]),
        sog_kn=np.array([np.nan, 3.0]),
        at_sensing=np.array([captured, captured]),
        captured=np.array([captured, captured]),
    )
    footprints = [Footprint.of(s) for s in scenes]
    pairs = build_pairs(given, fixes(), scenes, footprints, LIMITS)
    return explain_refusals(np.array([1]), given, pairs, scenes, footprints, LIMITS, now_ms=now_ms, give_up_s=14 * 86_400.0)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (119.4, "119 s"), (-120, "2.0 min"), (7_199, "120.0 min"), (7_200, "2.0 h"), (172_800, "2.0 days")],
)
def test_lengths_of_time(seconds: float, text: str) -> None:
    assert duration(seconds) == text
    assert (side(-1), side(1)) == ("before", "after")


def test_the_reasons_in_the_order_of_what_they_say() -> None:
    """Not to be placed, then too cloudy, then too far in time, then nothing there."""
    clear = scene(scene_id="clear")
    cloudy = scene(scene_id="cloudy", cloud_cover=80.0, datetime=SENSED + timedelta(minutes=1))
    cloudier = scene(scene_id="cloudier", cloud_cover=99.0, datetime=SENSED + timedelta(minutes=2))
    beyond = scene(scene_id="beyond", datetime=SENSED + timedelta(hours=5))
    elsewhere = scene("32VMH", scene_id="elsewhere")
    everything = [elsewhere, beyond, cloudier, cloudy, clear]
    cases = [
        (everything, "time_mismatch", "(scene clear)."),
        (
            everything[:4],
            "pending_l2a",
            "2 scene(s) of this place within 60.0 min, all too cloudy: the closest, cloudy, has",
        ),
        (everything[:2], "pending_l2a", "beyond, was sensed 5.0 h after the AIS time, the limit is 60.0 min"),
        (everything[:1], "pending_l2a", "1 scene(s) within 24.0 h of the AIS time looked at, the nearest is elsewhere, its"),
        (
            [],
            "pending_l2a",
            "0 scene(s) within 24.0 h of the AIS time looked at; until 14.0 days after the AIS time (13",
        ),
    ]
    for scenes, status, sentence in cases:
        refusals = explain(scenes, captured=True)
        assert [str(s) for s in refusals.status] == [status]
        assert sentence in refusals.detail[0]
        assert refusals.detail[0].endswith(".")
        assert ".." not in refusals.detail[0]


def test_after_giving_up_nothing_is_pending() -> None:
    late = SENSED_MS + 14 * DAY_MS
    assert [str(s) for s in explain([], captured=False, now_ms=late - 1).status] == ["pending_l2a"]
    assert [str(s) for s in explain([], captured=False, now_ms=late).status] == ["no_scene"]
    beyond = [scene(datetime=SENSED + timedelta(hours=5))]
    assert [str(s) for s in explain(beyond, captured=True, now_ms=late).status] == ["time_mismatch"]


def test_only_scenes_within_the_window_are_counted() -> None:
    scenes = [scene("32VMH", scene_id="near", datetime=SENSED + timedelta(hours=30)), scene("30STF", scene_id="far")]
    detail = explain(scenes, captured=False).detail[0]
    assert "1 scene(s) within 24.0 h of the AIS time looked at, the nearest is far" in detail
