"""Where a ship was: geometry against pyproj.Geod, refusals, and errors measured on real tracks."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyproj
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from s2chips_core.ais.position import as_reported_sigma_m, positions_at
from s2chips_core.ais.tracks import drop_implausible

GEOD = pyproj.Geod(ellps="WGS84")
KNOT_M_S = 1852 / 3600
NAN = float("nan")


def _fixes(rows: list[tuple[int, float, float, float, float, float]]) -> pd.DataFrame:
    """MMSI, seconds, longitude, latitude, knots, course."""
    return pd.DataFrame(
        {
            "mmsi": pd.array([r[0] for r in rows], dtype="Int64"),
            "time": pd.to_datetime([round(r[1] * 1000) for r in rows], unit="ms", utc=True).astype("datetime64[ms, UTC]"),
            "lon": [float(r[2]) for r in rows],
            "lat": [float(r[3]) for r in rows],
            "sog_kn": [float(r[4]) for r in rows],
            "cog_deg": [float(r[5]) for r in rows],
        }
    )


def _at(seconds: list[float]) -> npt.NDArray[np.datetime64]:
    return np.array([round(s * 1000) for s in seconds]).astype("datetime64[ms]")


def _one(fixes: pd.DataFrame, seconds: float, *, max_gap_s: float = 900, mmsi: int = 1) -> pd.Series:
    return positions_at(fixes, np.array([mmsi]), _at([seconds]), max_gap_s=max_gap_s).iloc[0]


# --- between two fixes


@given(
    lon=st.floats(-180, 180), lat=st.floats(-85, 85), azimuth=st.floats(0, 360), way_m=st.floats(1, 20_000),
    parts=st.integers(2, 30), data=st.data(),
)  # fmt: skip
@settings(max_examples=80, deadline=None)
def test_without_speeds_the_ship_is_on_the_geodesic(
    lon: float, lat: float, azimuth: float, way_m: float, parts: int, data: st.DataObject
) -> None:
    """The points of pyproj.Geod.npts, which divide the line evenly, also across the antimeridian and near the poles."""
    part = data.draw(st.integers(1, parts - 1))
    end_lon, end_lat, _ = GEOD.fwd(lon, lat, azimuth, way_m)
    fixes = _fixes([(1, 0, lon, lat, NAN, NAN), (1, parts * 60, end_lon, end_lat, NAN, NAN)])
    fixes["time"] = pd.to_datetime([0, parts * 60_000], unit="ms", utc=True).astype("datetime64[ms, UTC]")
    if way_m > 250 + 60 * KNOT_M_S * parts * 60:
        return
    expected_lon, expected_lat = GEOD.npts(lon, lat, end_lon, end_lat, parts - 1)[part - 1]
    got = _one(fixes, part * 60, max_gap_s=1800)
    assert got["position_method"] == "interpolated"
    assert GEOD.inv(expected_lon, expected_lat, got["lon"], got["lat"])[2] < 0.01
    assert -180 <= got["lon"] <= 180


def test_across_the_antimeridian_the_short_way() -> None:
    got = _one(_fixes([(1, 0, 179.99, -17.0, NAN, NAN), (1, 600, -179.99, -17.0, NAN, NAN)]), 300)
    assert abs(abs(got["lon"]) - 180.0) < 1e-9


@given(turn_deg=st.floats(-60, 60), sog_kn=st.floats(3, 25), share=st.floats(0.1, 0.9), lat=st.floats(-70, 70))
@settings(max_examples=60, deadline=None)
def test_on_a_steady_turn_speed_and_course_beat_the_straight_line(
    turn_deg: float, sog_kn: float, share: float, lat: float
) -> None:
    """The truth is an arc of a circle, laid out in a local UTM-like plane by pyproj."""
    plane = pyproj.Proj(proj="tmerc", lat_0=lat, lon_0=10, ellps="WGS84")
    whole_s, turn = 600.0, np.radians(turn_deg)
    way_m = sog_kn * KNOT_M_S * whole_s

    def arc(part: float) -> tuple[float, float]:
        if abs(turn) < 1e-6:
            return plane(0.0, way_m * part, inverse=True)
        radius = way_m / turn
        return plane(radius * (1 - np.cos(turn * part)), radius * np.sin(turn * part), inverse=True)

    first, last, truth = arc(0.0), arc(1.0), arc(share)
    known = _fixes([(1, 0, *first, sog_kn, 0.0), (1, whole_s, *last, sog_kn, turn_deg % 360)])
    silent = known.assign(sog_kn=NAN)
    curved, straight = _one(known, share * whole_s), _one(silent, share * whole_s)
    curved_m = GEOD.inv(*truth, curved["lon"], curved["lat"])[2]
    straight_m = GEOD.inv(*truth, straight["lon"], straight["lat"])[2]
    assert curved_m <= 0.15 * straight_m + 0.01 * way_m


def test_a_ship_moored_between_two_fixes_is_there() -> None:
    got = _one(_fixes([(1, 0, 5.0, 55.0, 0.1, NAN), (1, 600, 5.0, 55.0, 0.0, 217.0)]), 300)
    assert (got["position_method"], got["lat"], got["lon"]) == ("interpolated", pytest.approx(55.0), pytest.approx(5.0))
    assert got["position_sigma_m"] < 20


def test_a_fix_of_the_very_time_is_taken_as_it_is() -> None:
    got = _one(_fixes([(1, 0, 5.0, 55.0, 12, 90), (1, 100, 5.01, 55.0, 12, 90), (1, 200, 5.02, 55.0, 12, 90)]), 100)
    assert (got["position_method"], got["lon"], got["lat"], got["position_gap_s"]) == ("as_reported", 5.01, 55.0, 0.0)
    assert got["position_sigma_m"] == 10.0


# --- beyond the fixes


@given(
    lon=st.floats(-180, 180),
    lat=st.floats(-85, 85),
    sog_kn=st.floats(0.5, 40),
    cog=st.floats(0, 359.9),
    dt_s=st.integers(-900, 900),
)
@settings(max_examples=80, deadline=None)
def test_dead_reckoning_is_the_geodesic_of_speed_and_course(
    lon: float, lat: float, sog_kn: float, cog: float, dt_s: int
) -> None:
    got = _one(_fixes([(1, 5000, lon, lat, sog_kn, cog)]), 5000 + dt_s)
    there_lon, there_lat, _ = GEOD.fwd(lon, lat, cog, sog_kn * KNOT_M_S * dt_s)
    assert got["position_method"] == ("dead_reckoned" if dt_s else "as_reported")
    assert GEOD.inv(there_lon, there_lat, got["lon"], got["lat"])[2] < 0.01
    assert got["position_gap_s"] == abs(dt_s)


def test_five_minutes_at_12_kn_is_a_nautical_mile() -> None:
    got = _one(_fixes([(1, 0, 5.0, 55.0, 12.0, 0.0)]), 300)
    assert GEOD.inv(5.0, 55.0, got["lon"], got["lat"])[2] == pytest.approx(1852.0)
    assert got["lat"] > 55.0


def test_a_silent_ship_goes_on_as_its_last_two_fixes_show() -> None:
    lon, lat, _ = GEOD.fwd(5.0, 55.0, 40.0, 600.0)
    fixes = _fixes([(1, 0, 5.0, 55.0, NAN, NAN), (1, 100, lon, lat, 102.3, 360.0)])
    for seconds, way_m in ((200, 1200.0), (-100, -600.0)):
        got = _one(fixes, seconds)
        there = GEOD.fwd(5.0, 55.0, 40.0, way_m)[:2]
        assert got["position_method"] == "dead_reckoned"
        assert GEOD.inv(*there, got["lon"], got["lat"])[2] < 0.1


def test_a_still_ship_stays() -> None:
    got = _one(_fixes([(1, 0, 5.0, 55.0, 0.3, 90.0)]), 800)
    assert (got["position_method"], got["lon"], got["lat"]) == ("as_reported", 5.0, 55.0)


def test_a_single_silent_fix_holds_for_two_minutes_and_no_longer() -> None:
    fixes = _fixes([(1, 0, 5.0, 55.0, 102.3, 360.0)])
    soon, late = _one(fixes, 100), _one(fixes, 130)
    assert soon["position_method"] == "as_reported"
    assert soon["position_sigma_m"] == as_reported_sigma_m(np.array([NAN]), np.array([100.0]))[0] > 500
    assert np.isnan(late["lat"])
    assert late["position_method"] is None
    assert "130 s" in late["refusal"]
    assert "speed and course" in late["refusal"]


def test_a_speed_without_course_is_silent_too() -> None:
    assert _one(_fixes([(1, 0, 5.0, 55.0, 9.0, 360.0)]), 60)["position_method"] == "as_reported"
    assert _one(_fixes([(1, 0, 5.0, 55.0, 9.0, 360.0)]), 300)["position_method"] is None


# --- refusals


def test_beyond_the_largest_gap_is_refused_with_the_numbers() -> None:
    got = _one(_fixes([(1, 0, 5.0, 55.0, 12, 90)]), 901)
    assert np.isnan(got["lon"])
    assert np.isnan(got["position_sigma_m"])
    assert "901 s" in got["refusal"]
    assert "900 s" in got["refusal"]
    assert (got["position_gap_s"], got["fix_lat"], got["fix_lon"]) == (901.0, 55.0, 5.0)
    assert _one(_fixes([(1, 0, 5.0, 55.0, 12, 90)]), 900)["refusal"] is None


def test_a_far_fix_on_one_side_is_not_interpolated_to() -> None:
    fixes = _fixes([(1, 0, 5.0, 55.0, 12, 90), (1, 2000, 5.3, 55.0, 12, 90)])
    assert _one(fixes, 100)["position_method"] == "dead_reckoned"
    assert _one(fixes, 1000, max_gap_s=1000)["position_method"] == "interpolated"


def test_unknown_ships_and_times_are_refused() -> None:
    fixes = _fixes([(5, 0, 5.0, 55.0, 12, 90)])
    got = positions_at(
        fixes, np.array([4, 5, 6]), np.array(["1970-01-01", "NaT", "1970-01-01"], dtype="datetime64[ms]"), max_gap_s=9
    )
    assert got["lat"].isna().all()
    assert [("no usable fix" in r, "no time" in r) for r in got["refusal"]] == [(True, False), (False, True), (True, False)]
    assert got["fix_time"].isna().all()


def test_no_fixes_at_all_refuse_everything() -> None:
    got = positions_at(_fixes([]), np.array([4]), _at([0]), max_gap_s=9)
    assert got["refusal"].notna().all()
    assert len(positions_at(_fixes([]), np.array([], dtype=np.int64), _at([]), max_gap_s=9)) == 0


def test_places_that_are_none_are_not_used() -> None:
    assert _one(_fixes([(1, 0, 181.0, 91.0, 12, 90)]), 0)["refusal"] == "no usable fix of MMSI 1"


def test_a_jump_between_good_fixes_does_not_matter() -> None:
    fixes = _fixes([(1, 0, 5.0, 55.0, NAN, NAN), (1, 100, 40.0, 10.0, NAN, NAN), (1, 200, 5.01, 55.0, NAN, NAN)])
    got = _one(fixes, 100)
    assert got["position_method"] == "interpolated"
    assert got["lon"] == pytest.approx(5.005, abs=1e-5)


@pytest.mark.parametrize("seconds", [-30, 30, 90])
def test_fixes_that_contradict_each_other_place_no_ship(seconds: float) -> None:
    got = _one(_fixes([(1, 0, 5.0, 55.0, 12, 90), (1, 60, 8.0, 55.0, 12, 90)]), seconds)
    assert np.isnan(got["lat"])
    assert "contradict" in got["refusal"]


# --- many ships


def test_each_query_is_answered_for_its_own_ship_whatever_the_order() -> None:
    rng = np.random.default_rng(1)
    fixes = _fixes([(int(m), float(s), 0.01 * m, 0.0, 10.0, 0.0) for m in range(1, 40) for s in (0, 5000)])
    fixes["lat"] = [(s / 1000) * 0.01 for _ in range(1, 40) for s in (0, 5000)]
    fixes = fixes.sample(frac=1, random_state=1)
    mmsi, seconds = rng.integers(0, 41, 300), rng.integers(-800, 6000, 300)
    got = positions_at(fixes, mmsi, _at(seconds.tolist()), max_gap_s=700)
    for row, (ship, second) in enumerate(zip(mmsi, seconds, strict=True)):
        nearest = min((0, 5000), key=lambda s: abs(s - second))
        expected = 1 <= ship <= 39 and abs(nearest - second) <= 700
        assert (got["refusal"][row] is None) == expected
        if expected:
            assert got["fix_lon"][row] == 0.01 * ship
            assert got["fix_time"][row] == pd.Timestamp(nearest, unit="s", tz="UTC")
            assert got["position_gap_s"][row] == abs(nearest - second)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10**6))
@example(18686)
def test_many_queries_at_once_are_as_each_one_alone(seed: int) -> None:
    """Whatever the fixes: still and fast ships, silent ones, jumps, repeats, and times beyond all of them."""
    rng = np.random.default_rng(seed)
    count = 60
    fixes = _fixes(
        [
            (
                int(rng.integers(1, 8)),
                float(rng.integers(0, 3600)),
                float(rng.normal(179.99, 0.02) % 360 - 360 * (rng.random() < 0.5)),
                float(rng.normal(60, 0.02)),
                float(rng.choice([0.0, 5.0, 18.0, 102.3, NAN])),
                float(rng.choice([0.0, 91.0, 300.0, 360.0])),
            )
            for _ in range(count)
        ]
    )
    fixes = pd.concat([fixes, fixes[:5]], ignore_index=True)
    mmsi, seconds = rng.integers(0, 9, 50), rng.integers(-600, 4200, 50)
    together = positions_at(fixes, mmsi, _at(seconds.tolist()), max_gap_s=400)
    for n in range(50):
        own = fixes[fixes["mmsi"] == mmsi[n]]
        alone = positions_at(own, mmsi[n : n + 1], _at([float(seconds[n])]), max_gap_s=400)
        pd.testing.assert_frame_equal(together[n : n + 1].reset_index(drop=True), alone)


def test_many_queries_take_a_handful_of_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """The geodesics of all ships are asked for at once: as often for 20,000 ships as for two."""
    calls: list[int] = []

    class Counting:
        def inv(self, *args: Any) -> Any:
            calls.append(len(args[0]))
            return GEOD.inv(*args)

        def fwd(self, *args: Any) -> Any:
            calls.append(len(args[0]))
            return GEOD.fwd(*args)

    monkeypatch.setattr("s2chips_core.ais.position._WGS84", Counting())
    counts = []
    for ships in (2, 20_000):
        rng = np.random.default_rng(0)
        mmsi = np.repeat(200_000_000 + np.arange(ships), 5)
        fixes = pd.DataFrame(
            {
                "mmsi": pd.array(mmsi, dtype="Int64"),
                "time": pd.to_datetime(rng.integers(0, 3_600_000, len(mmsi)), unit="ms", utc=True).as_unit("ms"),
                "lat": 50 + rng.random(len(mmsi)) / 1000,
                "lon": rng.random(len(mmsi)) / 1000,
                "sog_kn": rng.random(len(mmsi)),
                "cog_deg": rng.random(len(mmsi)) * 360,
            }
        )
        calls.clear()
        when = np.full(ships, 1_800_000).astype("datetime64[ms]")
        got = positions_at(fixes, 200_000_000 + np.arange(ships), when, max_gap_s=900)
        counts.append(len(calls))
        assert sum(calls) <= 4 * ships
    assert counts[0] == counts[1] <= 5
    assert (got["position_method"] == "interpolated").mean() > 0.3


# --- how far off, on real tracks


def _left_out(fixes: pd.DataFrame, hide_s: float, sides: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """For every fix a ship of its own that lacks all fixes nearer than `hide_s` (and those after, for sides "before")."""
    parts, truths = [], []
    for _, track in fixes.sort_values(["mmsi", "time"]).groupby("mmsi"):
        seconds = track["time"].astype("int64").to_numpy() / 1000
        for row in range(len(track)):
            away = seconds - seconds[row]
            left = (np.abs(away) >= hide_s) if sides == "both" else (away <= -hide_s)
            if left.any() and (sides == "before" or (away[left].min() < 0 < away[left].max())):
                parts.append(track[left].assign(mmsi=len(truths)))
                truths.append(track.iloc[row])
    return pd.concat(parts, ignore_index=True), pd.DataFrame(truths).reset_index(drop=True)


def _real(path: Path) -> pd.DataFrame:
    fixes = pd.read_parquet(path).rename(columns={"sog": "sog_kn", "cog": "cog_deg"})
    return drop_implausible(fixes)[0]


def _errors(fixes: pd.DataFrame, hide_s: float, sides: str) -> pd.DataFrame:
    left, truth = _left_out(fixes, hide_s, sides)
    when = truth["time"].dt.tz_localize(None).to_numpy(dtype="datetime64[ms]")
    got = positions_at(left, np.arange(len(truth)), when, max_gap_s=900)
    got["error_m"] = GEOD.inv(got["lon"], got["lat"], truth["lon"], truth["lat"])[2]
    got["reported_error_m"] = GEOD.inv(got["fix_lon"], got["fix_lat"], truth["lon"], truth["lat"])[2]
    got["moving"] = truth["sog_kn"].to_numpy() > 0.5
    return got[got["refusal"].isna()]


@pytest.mark.shared_data
def test_dead_reckoning_five_minutes_is_off_by_tens_of_metres_where_as_reported_misses_the_chip(shared_data: Path) -> None:
    errors = _errors(_real(shared_data / "ais" / "positions_digitraffic_20250228.parquet"), 240, "before")
    errors = errors[errors["moving"] & (errors["position_method"] == "dead_reckoned") & (errors["position_gap_s"] <= 360)]
    assert len(errors) > 50
    assert errors["error_m"].median() < 30
    assert errors["reported_error_m"].median() > 1450


@pytest.mark.shared_data
def test_interpolation_is_off_by_tens_of_metres(shared_data: Path) -> None:
    for hide_s, count, most_m in ((60, 150, 6), (240, 50, 32)):
        errors = _errors(_real(shared_data / "ais" / "positions_digitraffic_20250228.parquet"), hide_s, "both")
        errors = errors[errors["moving"] & (errors["position_method"] == "interpolated") & (errors["position_gap_s"] <= 360)]
        assert len(errors) > count
        assert errors["error_m"].median() < most_m


@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("table", "hide_s", "sides"),
    [
        ("positions_digitraffic_20250228", 1, "both"),
        ("positions_digitraffic_20250228", 200, "both"),
        ("positions_digitraffic_20250228", 1, "before"),
        ("positions_digitraffic_20250228", 200, "before"),
        ("positions_dma_20260426", 20, "before"),
    ],
)
@pytest.mark.parametrize("moving", [True, False])
def test_sigma_is_honest(shared_data: Path, table: str, hide_s: float, sides: str, moving: bool) -> None:
    """Two thirds of the errors within sigma, 95 % within three, on real tracks; with room for chance."""
    fixes = _real(shared_data / "ais" / f"{table}.parquet")
    if len(fixes) > 5000:
        keep = sorted(fixes["mmsi"].unique())[::6]
        fixes = fixes[fixes["mmsi"].isin(keep)].drop_duplicates(["mmsi", "time"])
    errors = _errors(fixes, hide_s, sides)
    errors = errors[errors["moving"] == moving]
    assert len(errors) > 100
    ratio = errors["error_m"] / errors["position_sigma_m"]
    assert (ratio < 1).mean() >= 0.60
    assert (ratio < 3).mean() >= 0.90
