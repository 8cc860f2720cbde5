"""Judging chips by recorded AIS: numbers against pyproj, ends of tolerances, kinds of AIS, several sources."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyproj
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s2chips_core import tables
from s2chips_core.ais.fixes import FIX_SCHEMA
from s2chips_core.ais.position import positions_at
from s2chips_core.ais.tracks import EARTH_RADIUS_M
from s2chips_core.index.prune_selection import (
    CHIP_COLUMNS,
    PRUNE_SCHEMA,
    PruneReason,
    Tolerances,
    haversine_m,
    judge_chips,
)
from tests.index.chips import index_row, match_of
from tests.index.recorded_ais import fixes_of

TOLERANCES = Tolerances(time_s=600.0, distance_m=500.0)
SPHERE = pyproj.Geod(a=EARTH_RADIUS_M, b=EARTH_RADIUS_M)
MAX_GAP_S = 900.0


def chips_of(*matches: dict[str, Any]) -> pd.DataFrame:
    rows = pd.DataFrame([index_row(match) for match in matches])[list(CHIP_COLUMNS)]
    return rows.astype({"scene_datetime": "datetime64[ms, UTC]"})


def judge(
    chips: pd.DataFrame, *fixes: pd.DataFrame, tolerances: Tolerances = TOLERANCES, max_gap_s: float = MAX_GAP_S
) -> list[dict[str, Any]]:
    table = judge_chips(chips, tables.concat(fixes, FIX_SCHEMA), tolerances=tolerances, max_gap_s=max_gap_s)
    tables.conform(table, PRUNE_SCHEMA, "judged")
    return [{str(k): v for k, v in row.items()} for row in table.to_dict("records")]


@given(
    st.lists(
        st.tuples(*[st.floats(-90, 90), st.floats(-180, 180)] * 2),
        min_size=1,
        max_size=20,
    )
)
def test_haversine_is_the_geodesic_of_the_sphere(pairs: list[tuple[float, ...]]) -> None:
    lat1, lon1, lat2, lon2 = np.array(pairs).T
    _, _, expected = SPHERE.inv(lon1, lat1, lon2, lat2)
    # A chord loses half of the digits near the other side of the earth: 1e-8 of a radius.
    np.testing.assert_allclose(haversine_m(lat1, lon1, lat2, lon2), expected, rtol=1e-6, atol=0.2)


def test_a_ship_that_is_where_its_chip_is_stays() -> None:
    [row] = judge(chips_of(match_of(0)), fixes_of(match_of(0)))
    assert (row["stays"], row["reason"]) == (True, "within")
    assert row["dt_s"] == -30.0, "scene minus the nearest fix"
    assert row["distance_m"] < 1.0
    assert row["distance_from"] == "track"


def test_a_track_that_passes_elsewhere() -> None:
    match = match_of(0)
    [row] = judge(chips_of(match), fixes_of(match, north_deg=0.01))
    _, _, expected = SPHERE.inv(row["lon"], row["lat"], match["lon"], match["lat"] + 0.01)
    assert row["distance_m"] == pytest.approx(expected, abs=0.01)
    assert (row["stays"], row["reason"]) == (False, "distance")
    assert f"{expected:.1f} m" in row["detail"]
    assert "tolerance 500 m" in row["detail"]


def test_the_distance_is_to_the_track_at_sensing_time_not_to_the_fix() -> None:
    """Ten knots: 154 m to the nearest fix, and on the line between the two all the same."""
    match = match_of(0)
    fixes = fixes_of(match)
    fixes["lat"] = match["lat"] + np.array([-40, 30]) * 10 * 1852 / 3600 / 111_000
    fixes[["sog_kn", "cog_deg"]] = [10.0, 0.0]
    [row] = judge(chips_of(match), fixes)
    assert row["distance_m"] < 5.0
    [row] = judge(chips_of(match_of(0, position_method="as_reported")), fixes)
    assert row["distance_from"] == "fix"
    assert row["distance_m"] == pytest.approx(154.3, abs=2.0)


@pytest.mark.parametrize(
    ("late_s", "stays"), [(600 + 40, True), (600 + 40.001, False), (-600 - 30, True), (-630.001, False)]
)
def test_the_end_of_the_time_tolerance_belongs_to_it(late_s: float, stays: bool) -> None:
    match = match_of(0, position_method="as_reported")
    [row] = judge(chips_of(match), fixes_of(match, late_s=late_s))
    assert row["stays"] is stays
    assert row["reason"] == ("within" if stays else "time")


def test_the_end_of_the_distance_tolerance_belongs_to_it() -> None:
    match = match_of(0)
    fixes = fixes_of(match, north_deg=0.004)
    [row] = judge(chips_of(match), fixes)
    at = Tolerances(time_s=600.0, distance_m=row["distance_m"])
    below = Tolerances(time_s=600.0, distance_m=float(np.nextafter(row["distance_m"], 0)))
    assert judge(chips_of(match), fixes, tolerances=at)[0]["stays"]
    assert not judge(chips_of(match), fixes, tolerances=below)[0]["stays"]


def test_too_late_and_too_far() -> None:
    match = match_of(0, position_method="as_reported")
    [row] = judge(chips_of(match), fixes_of(match, late_s=3600.0, north_deg=0.1))
    assert row["reason"] == "time_and_distance"
    assert "59.3 min (3560.0 s)" in row["detail"]


def test_beyond_the_largest_gap_no_place_is_made_up() -> None:
    match = match_of(0)
    wide = Tolerances(time_s=7200.0, distance_m=500.0)
    [row] = judge(chips_of(match), fixes_of(match, late_s=3600.0), tolerances=wide)
    assert row["reason"] == "place_unknown"
    assert np.isnan(row["distance_m"])
    assert "more than the 900 s allowed" in row["detail"]


def test_a_ship_without_ais() -> None:
    rows = judge(chips_of(match_of(0), match_of(1)), fixes_of(match_of(1)))
    assert [row["reason"] for row in rows] == ["no_ais", "within"]
    assert rows[0]["detail"] == "no real AIS of MMSI 244660000 is recorded around 2025-10-27"
    assert np.isnan(rows[0]["dt_s"])


@pytest.mark.parametrize(
    ("chip", "ais", "stays"),
    [
        ("aisstream", "aisstream", True),
        ("aisstream", "file", True),
        ("file", "aisstream", True),
        ("aisstream", "synthetic", False),
        ("file", "synthetic", False),
        ("synthetic", "synthetic", True),
        ("synthetic", "file", False),
    ],
)
def test_synthetic_ais_vouches_for_synthetic_chips_only(chip: str, ais: str, stays: bool) -> None:
    match = match_of(0, ais_source=chip)
    [row] = judge(chips_of(match), fixes_of(match, ais_source=ais))
    assert row["stays"] is stays
    assert row["reason"] == ("within" if stays else "no_ais")


def test_synthetic_fixes_beside_real_ones_change_nothing() -> None:
    match = match_of(0)
    real, made_up = fixes_of(match, north_deg=0.01), fixes_of(match, ais_source="synthetic")
    assert judge(chips_of(match), real, made_up) == judge(chips_of(match), real)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_chip_of_two_sources_stays_when_it_holds_for_one(order: tuple[int, int]) -> None:
    """The nearest fix is far, the track at the sensing time is not."""
    fixes = fixes_of(match_of(0))
    fixes["lat"] += np.array([-40, 30]) * 50 * 1852 / 3600 / 111_000  # fast, for the sake of the numbers
    fixes[["sog_kn", "cog_deg"]] = [50.0, 0.0]
    both = [match_of(0), match_of(0, position_method="as_reported", source_id="file-a")]
    [row] = judge(chips_of(*[both[n] for n in order]), fixes)
    assert row["stays"]
    assert row["source_id"] == "capture"
    [alone] = judge(chips_of(both[1]), fixes)
    assert not alone["stays"]


EIGHT = [match_of(n, position_method=("interpolated", "as_reported")[n % 2]) for n in range(8)]
EIGHT_CHIPS = chips_of(*EIGHT)
EIGHT_TRACKS = [fixes_of(m, late_s=150.0 * n, north_deg=0.002 * n) for n, m in enumerate(EIGHT)]


@settings(max_examples=40, deadline=None)
@given(st.floats(0.1, 1500), st.floats(0.1, 3000), st.floats(1, 100), st.floats(1, 100))
def test_a_wider_tolerance_removes_nothing_more(time_s: float, distance_m: float, more_s: float, more_m: float) -> None:
    narrow = judge(EIGHT_CHIPS, *EIGHT_TRACKS, tolerances=Tolerances(time_s=time_s, distance_m=distance_m))
    wide = Tolerances(time_s=time_s + more_s, distance_m=distance_m + more_m)
    for before, after in zip(narrow, judge(EIGHT_CHIPS, *EIGHT_TRACKS, tolerances=wide), strict=True):
        assert after["stays"] or not before["stays"]


def test_nothing_is_judged_of_nothing() -> None:
    assert judge(chips_of(match_of(0))[:0], fixes_of(match_of(0))) == []
    assert set(PruneReason) == {"within", "distance", "time", "time_and_distance", "place_unknown", "no_ais"}


def test_real_ships(shared_data: Path) -> None:
    """Finnish waters, 60 ships: a chip that was cut on the track stays, one that is moved goes, by as much as it is."""
    real = pd.read_parquet(shared_data / "ais" / "positions_digitraffic_20250228.parquet")
    fixes = pd.DataFrame(
        {
            **{name: real[name] for name in ("mmsi", "time", "lat", "lon")},
            "sog_kn": real["sog"],
            "cog_deg": real["cog"],
            "ais_source": "file",
        }
    )
    fixes = tables.to_frame(tables.conform(fixes, FIX_SCHEMA, "real"))
    ships = fixes.groupby("mmsi").agg(first=("time", "min"), last=("time", "max")).reset_index()
    when = (ships["first"] + (ships["last"] - ships["first"]) / 2).astype("datetime64[ms, UTC]")
    placed = positions_at(fixes, ships["mmsi"].to_numpy(), when.to_numpy("datetime64[ms]"), max_gap_s=MAX_GAP_S)
    good = placed["position_method"].isin(["interpolated", "dead_reckoned"])
    assert good.sum() > 30
    moved_m = np.where(np.arange(len(ships)) % 3 == 0, 750.0, 0.0)
    lon, lat, _ = SPHERE.fwd(placed["lon"], placed["lat"], np.full(len(ships), 30.0), moved_m)
    chips = pd.DataFrame(
        {
            "chip_id": [f"{n:016x}" for n in range(len(ships))],
            "mmsi": ships["mmsi"],
            "ship_name": None,
            "scene_datetime": when,
            "lat": lat,
            "lon": lon,
            "position_method": placed["position_method"],
            "ais_source": "aisstream",
            "source_id": "capture",
            "path": "chips/x.tif",
        }
    )[good]
    judged = judge_chips(chips, fixes, tolerances=TOLERANCES, max_gap_s=MAX_GAP_S)
    np.testing.assert_allclose(judged["distance_m"], moved_m[good], atol=0.01)
    assert list(judged["stays"]) == list(moved_m[good] == 0)
    assert judged["dt_s"].abs().max() <= timedelta(seconds=MAX_GAP_S).total_seconds()
