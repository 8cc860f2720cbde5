"""Tracks: repeats and impossible jumps go, honest fixes stay."""

import numpy as np
import pandas as pd
import pyproj
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s2chips_core.ais.tracks import build_tracks, drop_implausible, is_jump, without_jumps

GEOD = pyproj.Geod(ellps="WGS84")


def _fixes(points: list[tuple[int, float, float, float]]) -> pd.DataFrame:
    """MMSI, seconds, longitude, latitude."""
    return pd.DataFrame(
        {
            "mmsi": pd.array([p[0] for p in points], dtype="Int64"),
            "time": pd.to_datetime([round(p[1] * 1000) for p in points], unit="ms", utc=True).astype("datetime64[ms, UTC]"),
            "lon": [p[2] for p in points],
            "lat": [p[3] for p in points],
            "sog_kn": np.nan,
            "cog_deg": np.nan,
        }
    )


def _straight(
    count: int, *, mmsi: int = 244000000, lon: float = 5.0, start_s: float = 0.0
) -> list[tuple[int, float, float, float]]:
    return [(mmsi, start_s + 60.0 * i, lon + 0.005 * i, 55.0) for i in range(count)]  # 320 m a minute: 10 kn


def test_sorted_by_ship_and_time_without_repeats_and_places_that_are_none() -> None:
    points = [(2, 10, 1.0, 1.0), (1, 30, 2.0, 2.0), (1, 20, 2.0, 2.0), (1, 30, 2.0, 2.0), (1, 40, 181.0, 91.0)]
    tracks = build_tracks(_fixes(points))
    assert tracks.mmsi.tolist() == [1, 1, 2]
    assert tracks.time_ms.tolist() == [20_000, 30_000, 10_000]


def test_of_repeats_the_one_that_says_its_speed_stays() -> None:
    fixes = _fixes([(1, 10, 1.0, 1.0), (1, 10, 1.0, 1.0)])
    fixes["sog_kn"] = [np.nan, 12.0]
    assert build_tracks(fixes).sog_kn.tolist() == [12.0]


def test_speeds_no_ship_makes_are_not_believed() -> None:
    fixes = _fixes([(1, 10, 1.0, 1.0), (1, 20, 1.0, 1.0)])
    fixes["sog_kn"] = [102.2, 102.3]
    assert np.isnan(build_tracks(fixes).sog_kn).all()


@given(st.floats(-179, 179), st.floats(-80, 80), st.floats(0, 360), st.floats(0, 200_000), st.floats(1, 7200))
@settings(max_examples=60, deadline=None)
def test_a_jump_is_what_60_kn_cannot_do(lon: float, lat: float, azimuth: float, way_m: float, apart_s: float) -> None:
    limit_m = 250 + 60 * 1852 / 3600 * (round(apart_s * 1000) / 1000)
    there_lon, there_lat, _ = GEOD.fwd(lon, lat, azimuth, way_m)
    tracks = build_tracks(_fixes([(1, 0.0, lon, lat), (1, apart_s, there_lon, there_lat)]))
    jump = bool(is_jump(tracks, np.array([0]), np.array([1]))[0])
    if abs(way_m - limit_m) > 0.01 * limit_m:  # the sphere is good to 0.6 %
        assert jump == (way_m > limit_m)


@pytest.mark.parametrize("at", [0, 1, 5, 9, 10])
def test_a_single_wild_fix_goes_wherever_it_is(at: int) -> None:
    points = _straight(10)
    points.insert(at, (244000000, (at - 0.5) * 60, -30.0, 10.0))
    kept, dropped = drop_implausible(_fixes(points))
    assert dropped["lon"].tolist() == [-30.0]
    assert kept["lon"].tolist() == [p[2] for p in _straight(10)]


def test_a_short_wild_run_goes() -> None:
    points = _straight(6) + [(244000000, 60 * 6 + i, -30.0, 10.0) for i in range(3)] + _straight(6, lon=5.05, start_s=600)
    kept, dropped = drop_implausible(_fixes(points))
    assert len(dropped) == 3
    assert kept["lon"].min() >= 5.0


def test_two_ships_under_one_mmsi_are_told_apart_where_one_is_heard_more() -> None:
    points = _straight(20) + [(244000000, 30 + 120.0 * i, -30.0, 10.0) for i in range(9)]
    kept, dropped = drop_implausible(_fixes(points))
    assert (len(kept), set(dropped["lon"])) == (20, {-30.0})


def test_two_fixes_that_contradict_each_other_both_stay() -> None:
    kept, dropped = drop_implausible(_fixes([(1, 0, 0.0, 0.0), (1, 60, 5.0, 0.0)]))
    assert (len(kept), len(dropped)) == (2, 0)


def test_one_ship_says_nothing_about_the_next() -> None:
    points = _straight(3) + _straight(3, mmsi=244000001, lon=-60.0)
    assert len(drop_implausible(_fixes(points))[1]) == 0


def test_the_antimeridian_is_no_jump() -> None:
    points = [(1, 60.0 * i, (179.98 + 0.005 * i + 180) % 360 - 180, -17.0) for i in range(10)]
    assert len(drop_implausible(_fixes(points))[1]) == 0


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(0, 3600), st.floats(-180, 180), st.floats(-90, 90)), max_size=40))
@settings(max_examples=60, deadline=None)
def test_whatever_comes_it_ends_and_every_fix_is_kept_or_dropped(points: list[tuple[int, float, float, float]]) -> None:
    fixes = _fixes(points)
    kept, dropped = drop_implausible(fixes)
    assert len(kept) + len(dropped) == len(fixes)
    assert set(kept["mmsi"]) == set(fixes["mmsi"])
    again = without_jumps(build_tracks(kept))
    assert len(again) == len(without_jumps(build_tracks(fixes)))


FEW = st.sampled_from([0.0, 0.001, -0.0, 50.0, 179.999])


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(0, 5), FEW, FEW), max_size=40))
@settings(max_examples=60, deadline=None)
def test_repeats_share_the_fate_of_the_one_that_was_looked_at(points: list[tuple[int, float, float, float]]) -> None:
    fixes = _fixes(points)
    survivors = without_jumps(build_tracks(fixes))
    places = {
        (m, t, x, y) for m, t, x, y in zip(survivors.mmsi, survivors.time_ms, survivors.lon, survivors.lat, strict=True)
    }
    good = np.array([(m, s * 1000, x, y) in places for m, s, x, y in points], dtype=bool)
    kept, dropped = drop_implausible(fixes)
    pd.testing.assert_frame_equal(kept, fixes[good].reset_index(drop=True))
    pd.testing.assert_frame_equal(dropped, fixes[~good].reset_index(drop=True))
