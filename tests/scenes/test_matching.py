import dataclasses
import itertools
import json
import math
from datetime import timedelta
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Geod, Transformer

from s2chips_core import tables
from s2chips_core.errors import InputError
from s2chips_core.overpasses.tile_grid import TILE_SIDE_M, tile_corner
from s2chips_core.scenes.footprints import Footprint
from s2chips_core.scenes.items import parse_item
from s2chips_core.scenes.matches import MATCH_SCHEMA
from s2chips_core.scenes.matching import datatakes_of, match_lost_again, match_targets, preference
from s2chips_core.scenes.providers import PROVIDERS
from s2chips_core.scenes.scene import Scene
from tests.scenes.samples import NOW, SENSED, fixes, in_tile, scene, settings, targets

MINUTE = timedelta(minutes=1)


def match(
    rows: list[dict[str, Any]],
    scenes: list[Scene],
    cloudy: list[Scene] | None = None,
    *,
    fix_rows: list[dict[str, Any]] | None = None,
    now: Any = NOW,
    **sections: Any,
) -> pd.DataFrame:
    found = match_targets(
        targets(*rows), fixes(*(fix_rows or [])), scenes, cloudy or [], settings=settings(**sections), now=now
    )
    tables.conform(found, MATCH_SCHEMA, "matches")
    assert list(found["target_id"]) == [row.get("target_id", f"t{n}") for n, row in enumerate(rows)]
    assert all(
        (detail.endswith(".") and any(c.isdigit() for c in detail)) or "missing" in detail for detail in found["detail"]
    )
    return found


def one(row: dict[str, Any], scenes: list[Scene], cloudy: list[Scene] | None = None, **more: Any) -> pd.Series:
    return match([row], scenes, cloudy, **more).iloc[0]


def test_a_ship_of_a_file_gets_the_scene_that_holds_it() -> None:
    got = one({"sog_kn": 0.0}, [scene(), scene("30STF")])
    assert (got["status"], got["scene_id"], got["mgrs_tile"], got["platform"]) == (
        "matched",
        scene().scene_id,
        "32VPH",
        "S2A",
    )
    assert (got["lat"], got["lon"]) == (got["ais_lat"], got["ais_lon"])
    assert (got["position_method"], got["position_gap_s"]) == ("as_reported", pytest.approx(600.0))
    assert got["dt_s"] == pytest.approx(600.0)
    assert got["scene_datetime"] == pd.Timestamp(SENSED)
    assert got["footprint_frac"] == 1.0
    assert got["edge_distance_m"] == pytest.approx(50_000, abs=1)
    assert list(got["sibling_scene_ids"]) == []
    assert Scene.from_json(got["scene"]) == scene()
    assert got["detail"].startswith(f"{scene().scene_id} was sensed 10.0 min after the AIS time;")


def test_files_have_no_limit_but_the_search_window() -> None:
    for hours, status in ((-23.9, "matched"), (23.9, "matched"), (24.1, "pending_l2a"), (-24.1, "pending_l2a")):
        assert one({"ais_time": SENSED + timedelta(hours=hours)}, [scene()])["status"] == status


def test_the_closest_datatake_wins_though_another_is_clearer_and_better_placed() -> None:
    lon, lat = in_tile("32VPH", 500, 50_000)
    close = scene(cloud_cover=29.0, datetime=SENSED)
    far = scene("32VNH", scene_id="far", datatake_id="GS2B_1", cloud_cover=0.0, datetime=SENSED + MINUTE)
    row = {"ais_lon": lon, "ais_lat": lat, "ais_time": SENSED - MINUTE}
    assert one(row, [far, close])["scene_id"] == close.scene_id
    # As close: the clearer one.
    tie = dataclasses.replace(far, datetime=SENSED)
    assert one(row, [close, tie])["scene_id"] == "far"
    before = dataclasses.replace(far, datetime=SENSED - 2 * MINUTE)
    assert one(row, [close, before])["scene_id"] == "far"


def test_within_a_datatake_the_granule_with_most_of_the_chip_wins() -> None:
    lon, lat = in_tile("32VPH", 1_000, 50_000)  # 1 km inside 32VPH, 8.8 km inside 32VNH
    east, west = scene("32VPH", cloud_cover=0.0), scene("32VNH", cloud_cover=20.0, datetime=SENSED + timedelta(seconds=2))
    got = one({"ais_lon": lon, "ais_lat": lat}, [east, west])
    assert (got["scene_id"], list(got["sibling_scene_ids"])) == (west.scene_id, [east.scene_id])
    assert got["footprint_frac"] == 1.0
    lone = one({"ais_lon": lon, "ais_lat": lat}, [east])
    assert lone["footprint_frac"] == pytest.approx((1_000 + 1_280) / 2_560, abs=5e-3)


def test_then_the_one_whose_edge_is_farther() -> None:
    lon, lat = in_tile("32VPH", 3_000, 50_000)  # 3 km inside 32VPH, 6.8 km inside 32VNH
    got = one({"ais_lon": lon, "ais_lat": lat}, [scene("32VPH"), scene("32VNH")])
    assert got["mgrs_tile"] == "32VNH"
    assert got["edge_distance_m"] == pytest.approx(6_780, abs=30)


def test_then_the_newest_processing() -> None:
    old = scene(scene_id="a", processing_baseline="05.09", revision="2025-09-01")
    cases = [
        (old, scene(scene_id="b", processing_baseline="05.11", revision="2025-08-01")),
        (scene(scene_id="a", sequence=0, revision="9"), scene(scene_id="b", sequence=10, revision="0")),
        (scene(scene_id="a", revision="2025-08-01T00:00:00Z"), scene(scene_id="b", revision="2025-08-02T00:00:00Z")),
        (scene(scene_id="b2"), scene(scene_id="b1")),
        (scene(scene_id="a", processing_baseline=None), scene(scene_id="b", processing_baseline="02.05")),
        (scene(scene_id="a", processing_baseline="99.99"), scene(scene_id="b", processing_baseline="05.00")),
    ]
    for worse, better in cases:
        for given_scenes in itertools.permutations([worse, better]):
            got = one({}, list(given_scenes))
            assert (got["scene_id"], list(got["sibling_scene_ids"])) == (better.scene_id, [worse.scene_id])
    assert list(preference([cases[0][1], cases[0][0]])) == [0, 1]


def test_twins_whose_footprints_differ_by_metres_tie() -> None:
    """A reprocessed product's footprint moves by a few metres; the newer one still wins."""
    old = scene(scene_id="old", processing_baseline="05.09")
    new = scene(scene_id="new", processing_baseline="05.11", data_from_m=20.0)
    assert one({}, [old, new])["scene_id"] == "new"


def test_a_cloudy_scene_is_never_used_and_is_named() -> None:
    cloudy = scene(cloud_cover=78.23)
    for given_scenes, others in (([cloudy], []), ([], [cloudy]), ([cloudy], [cloudy])):
        assert one({}, given_scenes, others)["status"] == "pending_l2a"  # another may still be published
        got = one({}, given_scenes, others, now=SENSED + timedelta(days=15))
        assert (got["status"], got["scene_id"], got["cloud_cover"]) == ("no_scene", cloudy.scene_id, 78.23)
        assert "1 scene(s)" in got["detail"]
        assert "78.2 % cloud, the limit is 30 %" in got["detail"]
        assert got["scene"] is None
    clear = scene(scene_id="clear", cloud_cover=30.0)
    assert one({}, [clear], [cloudy])["scene_id"] == "clear"
    assert one({}, [clear], stac={"cloud_cover_max": 29.9})["status"] == "pending_l2a"


def test_without_any_scene_it_is_pending_until_it_is_given_up() -> None:
    got = one({}, [], now=SENSED + timedelta(days=13))
    assert got["status"] == "pending_l2a"
    assert "0 scene(s) within 24.0 h" in got["detail"]
    got = one({}, [scene("30STF")], now=SENSED + timedelta(days=15))
    assert got["status"] == "no_scene"
    _, _, distance_m = Geod(ellps="WGS84").inv(*in_tile("32VPH", 50_000, 50_000), *in_tile("30STF", 54_900, 54_900))
    km = float(got["detail"].partition("its middle ")[2].partition(" km")[0])
    assert km == pytest.approx(distance_m / 1000, rel=0.01)


def test_a_time_in_the_future_is_pending() -> None:
    got = one({"ais_time": NOW + timedelta(hours=5)}, [scene(datetime=NOW - MINUTE)])
    assert (got["status"], got["detail"]) == (
        "pending_l2a",
        "The AIS time is 5.0 h in the future: nothing can be published yet.",
    )


def captured(**row: Any) -> dict[str, Any]:
    return {"position_mode": "at_sensing_time", "source_id": "capture", "ais_source": "aisstream", **row}


def test_a_captured_ship_is_placed_where_it_was_when_its_tile_was_sensed() -> None:
    """Eastwards at 20 knots: at its fix outside the tile, at the sensing time inside."""
    before, course = 300.0, 90.0
    outside = in_tile("32VPH", -1_500, 50_000)
    rows = [
        {"time": SENSED - timedelta(seconds=before), "lon": outside[0], "lat": outside[1], "sog_kn": 20.0, "cog_deg": course}
    ]
    target = captured(ais_time=rows[0]["time"], ais_lon=outside[0], ais_lat=outside[1])
    got = one(target, [scene()], fix_rows=rows)
    lon, lat, _ = Geod(ellps="WGS84").fwd(*outside, course, 20 * 1852 / 3600 * before)
    assert (got["status"], got["position_method"]) == ("matched", "dead_reckoned")
    assert (got["lon"], got["lat"]) == (pytest.approx(lon, abs=1e-6), pytest.approx(lat, abs=1e-6))
    assert got["position_gap_s"] == before
    assert got["edge_distance_m"] == pytest.approx(20 * 1852 / 3600 * before - 1_500, abs=60)
    # As reported it is outside; westwards it would be, too.
    assert one({**target, "position_mode": "as_reported"}, [scene()])["status"] == "pending_l2a"
    assert one(target, [scene()], fix_rows=[{**rows[0], "cog_deg": 270.0}])["status"] == "pending_l2a"


def test_a_ship_that_cannot_be_placed_is_a_time_mismatch_with_the_reason() -> None:
    lon, lat = in_tile("32VPH", 50_000, 50_000)
    early = SENSED - timedelta(minutes=20)
    rows = [{"time": early, "lon": lon, "lat": lat, "sog_kn": 10.0, "cog_deg": 0.0}]
    got = one(captured(ais_time=early), [scene()], fix_rows=rows)
    assert (got["status"], got["scene_id"]) == ("time_mismatch", scene().scene_id)
    assert scene().scene_id in got["detail"]
    assert np.isnan(got["lat"])
    assert got["scene"] is None
    assert one(captured(ais_time=early), [scene()], fix_rows=rows, ais={"max_gap_min": 21})["status"] == "matched"


def test_captured_ships_have_the_limit_in_time() -> None:
    lon, lat = in_tile("32VPH", 50_000, 50_000)
    early = SENSED - 95 * MINUTE
    rows = [{"time": early, "lon": lon, "lat": lat, "sog_kn": 0.0, "cog_deg": 0.0}]
    more: dict[str, Any] = {"fix_rows": rows, "ais": {"max_gap_min": 120}}
    got = one(captured(ais_time=early), [scene()], now=SENSED + timedelta(days=1), **more)
    assert got["status"] == "pending_l2a"
    got = one(captured(ais_time=early), [scene()], now=SENSED + timedelta(days=15), **more)
    assert (got["status"], got["scene_id"]) == ("time_mismatch", scene().scene_id)
    assert "was sensed 95.0 min after the AIS time, the limit is 60.0 min" in got["detail"]
    assert one(captured(ais_time=early), [scene()], stac={"max_dt_min": 100}, **more)["status"] == "matched"
    # A cloudy one in time says more than a clear one beyond.
    cloudy = scene(scene_id="cloudy", datatake_id="GS2B_2", datetime=early, cloud_cover=90.0)
    assert one(captured(ais_time=early), [scene()], [cloudy], **more)["scene_id"] == "cloudy"


def test_one_chip_for_each_ship_and_datatake_of_a_source() -> None:
    rows = [
        {"ais_time": SENSED - 3 * MINUTE},
        {"ais_time": SENSED + MINUTE},
        {"ais_time": SENSED - MINUTE},
        {"mmsi": 1},
        {"source_id": "file-other"},
    ]
    got = match(rows, [scene()])
    assert list(got["status"]) == ["duplicate", "matched", "duplicate", "matched", "matched"]
    assert got["detail"].iat[2] == (
        f"Target t1 of ship 244660123 has the chip of datatake {scene().datatake_id}: its AIS time is 60 s from the sensing "
        "time, this one's 60 s."
    )
    assert list(got["scene"].isna()) == [True, False, True, False, False]
    # Other datatakes are other chips.
    later = scene(scene_id="later", datatake_id="GS2B_1", datetime=SENSED + 20 * MINUTE)
    assert list(match([rows[0], {"ais_time": SENSED + 19 * MINUTE}], [scene(), later])["status"]) == ["matched", "matched"]


def test_the_cap_counts_ships_in_order_of_time() -> None:
    rows: list[dict[str, Any]] = [
        {"mmsi": 5, "ais_time": SENSED - 2 * MINUTE},
        {"mmsi": 4, "ais_time": SENSED - 3 * MINUTE},
        {"mmsi": None, "invalid_reason": "row 3: no MMSI 0."},
        {"mmsi": 3, "ais_time": SENSED - 2 * MINUTE},
    ]
    got = match(rows, [scene()], limits={"max_ships": 2})
    assert list(got["status"]) == ["over_cap", "matched", "invalid_ais", "matched"]
    assert got["detail"].iat[0] == "limits.max_ships is 2, and this is ship 3 of 3 in order of AIS time."
    assert set(match(rows, [scene()], limits={"max_ships": 0})["status"]) == {"over_cap", "invalid_ais"}


def test_what_is_no_target_says_why() -> None:
    got = match(
        [
            {"mmsi": None, "ais_time": None, "ais_lat": None, "ais_lon": None, "invalid_reason": "row 2: MMSI 'x'."},
            {"ais_lat": None},
        ],
        [scene()],
    )
    assert list(got["status"]) == ["invalid_ais", "invalid_ais"]
    assert list(got["detail"]) == ["row 2: MMSI 'x'.", "MMSI, time or place is missing."]


def test_no_targets_and_no_scenes() -> None:
    found = match_targets(targets({}).iloc[:0], fixes(), [], [], settings=settings(), now=NOW)
    assert len(found) == 0
    tables.conform(found, MATCH_SCHEMA, "matches")


def test_a_scene_without_its_own_time_is_not_taken() -> None:
    with pytest.raises(InputError, match="resolve it first"):
        match([{}], [scene(datetime_is="datatake_start")])


def test_datatakes_without_a_name_are_told_apart_by_time() -> None:
    times = [0, 5, 44, 100, 100]
    scenes = [scene(scene_id=str(n), datatake_id=None, datetime=SENSED + m * MINUTE) for n, m in enumerate(times)]
    scenes[4] = dataclasses.replace(scenes[4], platform="S2B")
    names = datatakes_of([*scenes, scene()])
    assert names == [
        "S2A_20250731T103641",
        "S2A_20250731T103641",
        "S2A_20250731T103641",
        "S2A_20250731T121641",
        "S2B_20250731T121641",
        "GS2A_20250731T103031_052780",
    ]


def test_across_the_antimeridian() -> None:
    lon, lat = in_tile("01WCP", 2_000, 50_000)
    assert lon > 178
    got = one({"ais_lon": lon, "ais_lat": lat}, [scene("01WCP"), scene("32VPH", scene_id="other")])
    assert (got["status"], got["mgrs_tile"]) == ("matched", "01WCP")
    assert got["edge_distance_m"] == pytest.approx(2_000, abs=5)


STRIP = st.tuples(
    st.integers(0, 90), st.integers(10, 110), st.integers(0, 3), st.integers(0, 40), st.integers(0, 2), st.integers(-40, 40)
)
SHIP = st.tuples(st.floats(0.01, 109.79), st.floats(2, 107), st.integers(-60, 60))


@hypothesis.settings(deadline=None, max_examples=60)
@given(st.lists(STRIP, max_size=6), st.lists(SHIP, min_size=1, max_size=6))
def test_the_choice_is_that_of_a_plain_search_through_everything(
    strips: list[tuple[int, int, int, int, int, int]], ships: list[tuple[float, float, int]]
) -> None:
    """Strips of one tile, whose arithmetic is plain: kilometres from the western edge."""
    scenes = [
        scene(
            scene_id=f"s{n}",
            data_from_m=start * 1000.0,
            data_width_m=width * 1000.0,
            datatake_id=f"d{take}",
            cloud_cover=float(cloud),
            sequence=sequence,
            datetime=SENSED + (take * 7 + dt) * MINUTE,
        )
        for n, (start, width, take, cloud, sequence, dt) in enumerate(strips)
    ]
    rows = [
        {"mmsi": 100 + n, "ais_time": SENSED + minutes * MINUTE, "ais_lon": lon, "ais_lat": lat}
        for n, (east, south, minutes) in enumerate(ships)
        for lon, lat in [in_tile("32VPH", east * 1000, south * 1000)]
    ]
    got = match(rows, scenes)
    for n, (east, south, minutes) in enumerate(ships):
        usable = []
        for s, (start, width, take, cloud, sequence, dt) in zip(scenes, strips, strict=True):
            stop = min(start + width, TILE_SIDE_M / 1000)
            if min(abs(east - start), abs(east - stop)) < 0.003:
                return  # on the edge: either way is right
            if start < east < stop and cloud <= 30:
                west_px = math.floor(east * 100) - 128
                overlap = min(west_px + 256, stop * 100) - max(west_px, start * 100)
                edge = min(east - start, stop - east, south, 109.8 - south)
                usable.append((abs(take * 7 + dt - minutes), cloud, take, overlap / 256, edge * 1000, sequence, s.scene_id))
        if not usable:
            assert got["status"].iat[n] != "matched"
            continue
        # Of each datatake its closest and clearest granule speak for it.
        takes = {
            u[2]: (min(v[0] for v in usable if v[2] == u[2]), min(v[1] for v in usable if v[2] == u[2]), u[2])
            for u in usable
        }
        _, _, best_take = min(takes.values())
        granules = [u for u in usable if u[2] == best_take]
        if any(abs(u[4] / 100 % 1 - 0.5) < 0.05 or abs(u[3] * 1000 % 1 - 0.5) < 0.05 for u in granules):
            continue  # rounding either way is right
        best = min(granules, key=lambda u: (-round(u[3], 3), -round(u[4] / 100), -u[5], u[6]))
        assert got["scene_id"].iat[n] == best[6]
        assert set(got["sibling_scene_ids"].iat[n]) == {u[6] for u in granules} - {best[6]}
        assert got["footprint_frac"].iat[n] == pytest.approx(best[3], abs=5e-3)
        assert got["edge_distance_m"].iat[n] == pytest.approx(best[4], abs=20)


def test_many_targets_are_matched_and_few_pairs_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """10,000 ships and 150 scenes: what is projected is what lies near a scene in time and place."""
    rng = np.random.default_rng(3)
    tiles = [f"32V{a}{b}" for a in "LMNPQ" for b in "HJK"]
    scenes = [
        scene(tile, scene_id=f"{tile}{take}", datatake_id=f"d{take}", datetime=SENSED + timedelta(minutes=100 * take))
        for tile in tiles
        for take in range(10)
    ]
    count = 10_000
    frame = targets(*[{"mmsi": 200_000_000 + n} for n in range(50)])
    frame = pd.concat([frame] * (count // 50), ignore_index=True)
    frame["target_id"] = [f"t{n}" for n in range(count)]
    frame["mmsi"] = np.arange(count)
    frame["ais_lon"], frame["ais_lat"] = rng.uniform(5, 14, count), rng.uniform(55, 60, count)
    frame["ais_time"] = frame["ais_time"] + pd.to_timedelta(rng.integers(0, 900, count), unit="min")
    projected: list[int] = []
    project = Footprint.project

    def counted(self: Footprint, lon: Any, lat: Any) -> Any:
        projected.append(len(lon))
        return project(self, lon, lat)

    monkeypatch.setattr(Footprint, "project", counted)
    found = match_targets(frame, fixes(), scenes, [], settings=settings(), now=NOW)
    matched = found[found["status"] == "matched"]
    assert len(matched) > 5_000
    # Each scene once, with the ships of its own box: of 1,500,000 pairs a fifteenth.
    assert len(projected) == len(scenes)
    assert sum(projected) < 100_000
    by_id = {s.scene_id: s for s in scenes}
    for row in matched.sample(50, random_state=1).itertuples():
        # No other scene in which the ship lies is closer in time.
        assert abs(row.dt_s) <= min(
            abs((s.datetime - row.ais_time).total_seconds()) for s in by_id.values() if s.mgrs_tile == row.mgrs_tile
        )
        _, ulx_m, _ = tile_corner(row.mgrs_tile)
        assert ulx_m % 20 == 0


def test_the_real_ships_of_a_real_tile(shared_data: Path) -> None:
    """All 227 AIS rows of T32VPH, whose column and row in the tile are known from elsewhere, against the real items."""
    rows = pd.read_csv(shared_data / "archive-32VPH" / "ais.csv")
    when = pd.to_datetime(rows["overpass_time"], utc=True)
    asked = [
        {"mmsi": int(row.mmsi), "ais_lat": row.lat, "ais_lon": row.lon, "ais_time": at}
        for row, at in zip(rows.itertuples(), when, strict=True)
    ]
    provider = PROVIDERS["earth_search"]
    found = {}
    for collection in ("sentinel-2-l2a", "sentinel-2-c1-l2a"):
        tree = json.loads((shared_data / "archive-32VPH" / f"item-{collection}.json").read_text(encoding="utf-8"))
        given_scene = parse_item(tree, provider, provider.collections[collection])
        found[collection] = match(asked, [given_scene], now=given_scene.datetime + timedelta(days=20))
    x, y = Transformer.from_crs(4326, 32632, always_xy=True).transform(rows["lon"], rows["lat"])
    inside = (x > 600_000) & (x < 709_800) & (y < 6_300_000) & (y > 6_190_200)
    expected = np.where(inside, np.where(rows["mmsi"].duplicated(), "duplicate", "matched"), "no_scene")
    for matches in found.values():
        assert list(matches["status"]) == list(expected)
        edge = np.minimum.reduce([x - 600_000, 709_800 - x, 6_300_000 - y, y - 6_190_200])
        assert matches["edge_distance_m"][inside].to_numpy() == pytest.approx(edge[inside], abs=30)
    first, second = (matches.drop(columns=["scene", "scene_id", "collection", "detail"]) for matches in found.values())
    pd.testing.assert_frame_equal(first[first["status"] == "matched"], second[second["status"] == "matched"])


@pytest.mark.parametrize("mode", ["as_reported", "at_sensing_time"])
def test_captured_ships_are_held_to_their_limits_whatever_their_mode(mode: str) -> None:
    """A capture of 20 h before is out of reach, one of 40 min before is beyond the gap: also as reported."""
    late = SENSED + timedelta(days=20)
    for before, reason in ((timedelta(hours=20), "the limit is 60.0 min"), (timedelta(minutes=40), "")):
        row = {"source_id": "capture", "position_mode": mode, "ais_time": SENSED - before, "sog_kn": 12.0}
        got = one(row, [scene()], now=late)
        assert got["status"] == "time_mismatch"
        assert reason in got["detail"]
    near = {"source_id": "capture", "position_mode": "as_reported", "ais_time": SENSED - timedelta(minutes=4)}
    assert one(near, [scene()], now=late)["status"] == "matched"


def test_rows_of_a_file_have_no_such_limit() -> None:
    row = {"source_id": "file-abc", "position_mode": "as_reported", "ais_time": SENSED - timedelta(hours=20), "sog_kn": 0.0}
    assert one(row, [scene()])["status"] == "matched"


MANY_TILES = ("32VNH", "32VPH", "32VNJ", "32VPJ")


def many(count: int, seed: int, *, named: bool = True) -> tuple[pd.DataFrame, pd.DataFrame, list[Scene], list[Scene]]:
    """Ships of a capture and of a file over four tiles, their fixes, clear scenes and too cloudy ones."""
    rng = np.random.default_rng(seed)
    scenes = [
        scene(
            tile,
            scene_id=f"{tile}-{take}-{sequence}",
            datatake_id=f"d{take}" if named else None,
            platform=("S2A", "S2B")[take % 2],
            datetime=SENSED + timedelta(minutes=int(minutes), seconds=11 * number),
            cloud_cover=float(rng.integers(0, 100)),
            sequence=sequence,
            data_width_m=float(rng.integers(20, 110)) * 1000.0,
        )
        for take, minutes in enumerate((0, 30, 50, 700))
        for number, tile in enumerate(MANY_TILES)
        for sequence in range(int(rng.integers(0, 3)))
    ]
    # Two rows of each ship, which goes north at 12 knots: a minute of latitude in five minutes.
    ship = np.arange(count) // 2
    captured, mmsi = (ship % 3 > 0), 244_000_000 + ship
    away_s = rng.integers(-5400, 5400, count)
    lon, start = rng.uniform(8.9, 12.5, count)[ship], rng.uniform(55.8, 57.9, count)[ship]

    def lat_at(n: int, seconds: float) -> float:
        return float(start[n] + seconds / 300.0 / 60.0)

    rows = targets(
        *(
            {
                "mmsi": int(mmsi[n]),
                "ais_lon": lon[n],
                "ais_lat": lat_at(n, away_s[n]),
                "ais_time": SENSED + timedelta(seconds=int(away_s[n])),
                "sog_kn": 12.0,
                **({"source_id": "capture", "position_mode": "at_sensing_time"} if captured[n] else {}),
            }
            for n in range(count)
        )
    )
    heard = fixes(
        *(
            {
                "mmsi": int(mmsi[n]),
                "time": SENSED + timedelta(seconds=int(seconds)),
                "lat": lat_at(n, seconds),
                "lon": float(lon[n]),
                "sog_kn": 12.0,
                "cog_deg": 0.0,
            }
            for n in np.flatnonzero(captured)
            for seconds in away_s[n] + 60 * np.arange(rng.integers(1, 6))
        )
    )
    return rows, heard, [s for s in scenes if s.cloud_cover <= 30], [s for s in scenes if s.cloud_cover > 30]


QUICKLY = hypothesis.settings(deadline=None, max_examples=10, phases=[hypothesis.Phase.generate])
"""A smaller seed is no simpler."""


@QUICKLY
@given(st.integers(0, 10**6), st.booleans(), st.sampled_from([None, 25]), st.sampled_from([1, 400]))
def test_matching_the_lost_ones_again_is_matching_all_again(
    seed: int, named: bool, max_ships: int | None, after_days: int
) -> None:
    rows, heard, clear, cloudy = many(40, seed, named=named)
    rows.loc[3, "invalid_reason"] = "row 3: no place 1."
    rows = rows.sample(frac=1, random_state=1)  # any index
    how: dict[str, Any] = {
        "settings": settings(limits={"max_ships": max_ships}),
        "now": SENSED + timedelta(days=after_days, minutes=-1420),
    }
    first = match_targets(rows, heard, clear, [], **how)
    again = match_lost_again(first, rows, heard, clear, cloudy, **how)
    pd.testing.assert_frame_equal(again, match_targets(rows, heard, clear, cloudy, **how))


def test_a_clear_scene_among_the_cloudy_ones_is_taken() -> None:
    """The archive got it between two searches; a ship that had another row of it before is a duplicate now."""
    rows, heard, clear, cloudy = many(60, 7)
    how: dict[str, Any] = {"settings": settings(), "now": NOW}
    first = match_targets(rows, heard, clear[1:], [], **how)
    again = match_lost_again(first, rows, heard, clear[1:], [clear[0], *cloudy], **how)
    everything = match_targets(rows, heard, clear[1:], [clear[0], *cloudy], **how)
    pd.testing.assert_frame_equal(again, everything)
    assert not again.equals(first)


@hypothesis.settings(QUICKLY, max_examples=3)
@given(st.integers(0, 10**6))
def test_every_ship_alone_is_matched_as_among_the_others(seed: int) -> None:
    """The plain way: one ship after the other, and who comes first is told by sorting."""
    rows, heard, clear, cloudy = many(30, seed)
    how: dict[str, Any] = {"settings": settings(), "now": NOW}
    together = match_targets(rows, heard, clear, cloudy, **how)
    alone = [match_targets(rows[n : n + 1], heard, clear, cloudy, **how) for n in range(len(rows))]
    owners: dict[tuple[str, int, str], list[tuple[float, int]]] = {}
    for n, row in enumerate(found.iloc[0] for found in alone):
        if row["status"] == "matched":
            owners.setdefault((row["source_id"], row["mmsi"], row["datatake"]), []).append((abs(row["dt_s"]), n))
    later = {n for same in owners.values() for _, n in sorted(same)[1:]}
    for n, found in enumerate(alone):
        got = together[n : n + 1].reset_index(drop=True)
        if n in later:
            assert (got["status"][0], got["scene_id"][0]) == ("duplicate", found["scene_id"][0])
        else:
            pd.testing.assert_frame_equal(got, found)


@QUICKLY
@given(st.integers(0, 10**6))
def test_ships_are_where_a_loop_over_their_fixes_puts_them(seed: int) -> None:
    """All ships go due north at 12 knots: from the nearest fix on along the meridian, by pyproj."""
    rows, heard, clear, cloudy = many(40, seed)
    found = match_targets(rows, heard, clear, cloudy, settings=settings(), now=NOW)
    geod, checked = Geod(ellps="WGS84"), 0
    for row in found.itertuples():
        if row.status != "matched" or row.position_mode != "at_sensing_time" or row.position_method != "dead_reckoned":
            continue
        own = heard[heard["mmsi"] == row.mmsi]
        away_s = (own["time"] - row.scene_datetime).dt.total_seconds()
        nearest = own.loc[away_s.abs().idxmin()]
        way_m = 12 * 1852 / 3600 * (row.scene_datetime - nearest["time"]).total_seconds()
        lon, lat, _ = geod.fwd(nearest["lon"], nearest["lat"], 0.0, way_m)
        assert geod.inv(lon, lat, row.lon, row.lat)[2] < 0.01
        assert row.position_gap_s == pytest.approx(away_s.abs().min())
        checked += 1
    hypothesis.event(f"{checked > 0} that some were dead reckoned")
