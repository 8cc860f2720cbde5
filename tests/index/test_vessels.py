"""Which AIS the labels of a source's chips rest on."""

from datetime import timedelta
from typing import Any

import pandas as pd
import pytest

from s2chips_core import layout, tables
from s2chips_core.ais.fixes import FIX_SCHEMA
from s2chips_core.ais.snapshots import write_snapshots
from s2chips_core.ais.targets import TARGET_SCHEMA
from s2chips_core.chips.grid import utm_xy
from s2chips_core.index.records import centre_deg
from s2chips_core.index.vessels import read_vessels
from s2chips_core.scenes.matches import MATCH_SCHEMA
from s2chips_core.scenes.scene import Scene
from s2chips_core.storage import LocalStorage
from tests.index.chips import DAY, SETTINGS, match_of, matches_frame, scene_of

FILE = layout.file_source("0123456789abcdef")
SCENE = scene_of()


def fix_of(number: int, after_s: float = 0.0, **changes: Any) -> dict[str, Any]:
    """What ship `number`, which lies still, said; its match puts it elsewhere."""
    base = {"mmsi": 244_660_000 + number, "lat": 36.0 + number / 1000, "lon": -5.5, "sog_kn": 0.0, "tile_id": "30STF"}
    return {**base, "time": SCENE.datetime + timedelta(seconds=after_s), "ais_source": "aisstream", **changes}


def record(storage: LocalStorage, *fixes: dict[str, Any]) -> None:
    frame = tables.to_frame(tables.conform(pd.DataFrame(list(fixes)), FIX_SCHEMA, "fixes"))
    write_snapshots(storage, DAY, frame, metadata=None)


def labels(storage: LocalStorage, *matches: dict[str, Any], source: str = layout.CAPTURE) -> list[dict[str, Any]]:
    """The labels of a chip around the first match, 1,000 px wide."""
    plain = tables.conform(matches_frame(matches), MATCH_SCHEMA, "m").to_pylist()
    vessels = read_vessels(storage, DAY, source, plain, SETTINGS)
    assert set(vessels) == {m["scene"] for m in plain if m["status"] == "matched"}
    of_scene = vessels[plain[0]["scene"]]
    lat, lon = centre_deg(plain[0]["lat"]), centre_deg(plain[0]["lon"])
    x_m, y_m = (float(n) for n in utm_xy(lon, lat, of_scene.epsg))
    transform = (10.0, 0.0, x_m - 5000, 0.0, -10.0, y_m + 5000)
    return of_scene.labels(plain[0], lat=lat, lon=lon, transform=transform, size_px=1000)


def test_a_capture_labels_every_ship_that_it_heard(storage: LocalStorage) -> None:
    record(
        storage,
        fix_of(0, heading_deg=10.0, ship_name="FIX", to_bow_m=9.0),
        fix_of(7, heading_deg=77.0, ship_name="SEVEN", length_m=70.0, width_m=7.0),
        fix_of(8, mmsi=2190064),
        fix_of(9, after_s=-7200.0),
        fix_of(90, lat=36.5),
    )
    found = labels(storage, match_of(0, heading_deg=99.0))
    assert [label["mmsi"] for label in found] == [244_660_000, 244_660_007]
    target, other = found
    # The target is where the chip is; what it did it said with the fix nearest to the sensing.
    assert (target["lat"], target["lon"]) == (36.0, -5.5)
    assert (target["heading_deg"], target["ship_name"], target["position_sigma_m"]) == (10.0, "SHIP Ø 0", 12.0)
    assert (other["lat"], other["ship_name"], other["box_source"]) == (36.007, "SEVEN", "length_width")
    assert other["position_method"] == "as_reported"


def test_a_target_that_is_not_in_the_recordings_is_what_its_match_says(storage: LocalStorage) -> None:
    (found,) = labels(storage, match_of(0, heading_deg=99.0, length_m=80.0, width_m=10.0))
    assert (found["direction_deg"], found["direction_source"], found["box_source"]) == (99.0, "heading", "length_width")


def test_a_file_taken_as_reported_labels_its_other_rows_of_the_datatake(storage: LocalStorage) -> None:
    record(storage, fix_of(50))  # heard by the capture: another source
    neighbour_tile = scene_of("S2B_30STE", when=SCENE.datetime + timedelta(seconds=9))
    other_datatake = Scene.from_json(SCENE.to_json().replace("GS2B_20251027T105911_045123", "GS2A_other"))
    reported = {"position_mode": "as_reported", "lon": -5.5, "ais_lon": -5.5}
    found = labels(
        storage,
        match_of(0, **reported, lat=36.0),
        match_of(1, **reported, lat=36.001),
        match_of(2, **reported, lat=36.002, scene=neighbour_tile),
        match_of(3, **reported, lat=36.003, scene=other_datatake),
        match_of(4, **reported, lat=36.004, status="duplicate", scene_id=None),
        match_of(5, **reported, ais_lat=36.005, status="over_cap", lat=None),
        match_of(6, **{**reported, "ais_time": SCENE.datetime - timedelta(hours=5)}, ais_lat=36.006, status="over_cap"),
        source=FILE,
    )
    assert [label["mmsi"] % 1000 for label in found] == [0, 1, 2, 5]
    assert [label["lat"] for label in found] == [36.0, 36.001, 36.002, 36.005]
    assert found[3]["position_method"] == "as_reported"


def test_a_file_at_the_sensing_time_goes_by_its_rows_also_of_the_days_around(storage: LocalStorage) -> None:
    for days, ship in ((-1, 1), (0, 2), (1, 3), (2, 4)):
        rows = pd.DataFrame(
            [
                {
                    "target_id": f"row-{ship}",
                    "source_id": FILE,
                    "mmsi": 244_660_000 + ship,
                    "ais_time": SCENE.datetime,
                    "ais_lat": 36.0 + ship / 1000,
                    "ais_lon": -5.5,
                    "ais_source": "file",
                    "position_mode": "at_sensing_time",
                    "to_bow_m": 10.0,
                }
            ]
        )
        table = tables.to_frame(tables.conform(rows, TARGET_SCHEMA, "rows"))
        tables.write_table(storage, layout.ais_file(DAY + timedelta(days=days), FILE), table, TARGET_SCHEMA)
    found = labels(storage, match_of(0, ais_source="file"), source=FILE)
    assert [label["mmsi"] % 1000 for label in found] == [0, 1, 2, 3]
    assert [label["to_bow_m"] for label in found[1:]] == [10.0] * 3


def test_without_matches_nothing_is_read(storage: LocalStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("s2chips_core.index.vessels.read_snapshots", pytest.fail)
    assert read_vessels(storage, DAY, layout.CAPTURE, [], SETTINGS) == {}
