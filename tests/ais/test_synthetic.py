"""Synthetic ships: seeded, well formed, and where they say they are."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pyproj
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s2chips_core import tables
from s2chips_core.ais.fixes import FIX_SCHEMA
from s2chips_core.ais.position import positions_at
from s2chips_core.ais.synthetic import SyntheticShip, synthetic_fixes, synthetic_fleet
from s2chips_core.ais.targets import ship_mmsi_problem

GEOD = pyproj.Geod(ellps="WGS84")
GIBRALTAR = (-6.0, 35.5, -5.0, 36.5)
OVERPASS = datetime(2025, 10, 27, 11, 4, 22, tzinfo=UTC)


def _fixes(tile_id: str = "30STF", ships: int = 60, seed: int = 7, time: datetime = OVERPASS) -> pd.DataFrame:
    return synthetic_fixes(tile_id, GIBRALTAR, time, ships=ships, seed=seed, window_min=5)


def test_fixes_have_the_declared_schema_and_say_they_are_synthetic() -> None:
    fixes = _fixes()
    table = tables.conform(fixes, FIX_SCHEMA, "fixes")
    assert table.num_rows == len(fixes)
    assert set(fixes["ais_source"]) == {"synthetic"}
    assert set(fixes["tile_id"]) == {"30STF"}
    assert (fixes["overpass_time"] == pd.Timestamp(OVERPASS)).all()
    assert ((fixes["time"] - pd.Timestamp(OVERPASS)).abs() <= pd.Timedelta(minutes=5)).all()


def test_no_ships_give_an_empty_table() -> None:
    assert list(_fixes(ships=0).columns) == FIX_SCHEMA.names


def test_same_seed_same_minute_same_fixes() -> None:
    pd.testing.assert_frame_equal(_fixes(), _fixes())


def test_seconds_of_the_overpass_change_no_ship() -> None:
    one = synthetic_fleet("30STF", GIBRALTAR, OVERPASS, ships=20, seed=7)
    two = synthetic_fleet("30STF", GIBRALTAR, OVERPASS + timedelta(seconds=9), ships=20, seed=7)
    assert [(s.mmsi, s.lat, s.lon, s.sog_kn) for s in one] == [(s.mmsi, s.lat, s.lon, s.sog_kn) for s in two]


def test_another_seed_or_minute_gives_other_places_but_the_same_ships() -> None:
    one = synthetic_fleet("30STF", GIBRALTAR, OVERPASS, ships=20, seed=7)
    later = synthetic_fleet("30STF", GIBRALTAR, OVERPASS + timedelta(days=5), ships=20, seed=7)
    other = synthetic_fleet("30STF", GIBRALTAR, OVERPASS, ships=20, seed=8)
    assert [(s.mmsi, s.name, s.length_m) for s in one] == [(s.mmsi, s.name, s.length_m) for s in later]
    assert all(a.lat != b.lat for a, b in zip(one, later, strict=True))
    assert all(a.lat != b.lat for a, b in zip(one, other, strict=True))


def test_numbers_are_known_so_that_no_machine_draws_others() -> None:
    assert [s.mmsi for s in synthetic_fleet("30STF", GIBRALTAR, OVERPASS, ships=3, seed=7)] == [
        382733135,
        585419109,
        399352448,
    ]


@given(tile=st.from_regex(r"[0-5][0-9][C-HJ-NP-X][A-HJ-NP-Z][A-HJ-NP-V]", fullmatch=True), ships=st.integers(0, 60))
@settings(max_examples=20, deadline=None)
def test_mmsis_are_those_of_ships_of_no_country_and_differ(tile: str, ships: int) -> None:
    mmsis = [s.mmsi for s in synthetic_fleet(tile, GIBRALTAR, OVERPASS, ships=ships, seed=1)]
    assert len(set(mmsis)) == ships
    assert all(ship_mmsi_problem(mmsi) is None for mmsi in mmsis)
    # ITU gives every country digits below x80 of its hundred.
    assert all(mmsi // 1_000_000 % 100 >= 80 for mmsi in mmsis)


def test_tiles_share_no_ship() -> None:
    mmsis = [
        s.mmsi
        for tile in ("30STF", "29SQA", "30SUF", "29SQV")
        for s in synthetic_fleet(tile, GIBRALTAR, OVERPASS, ships=50, seed=1)
    ]
    assert len(set(mmsis)) == 200


def test_the_fleet_is_mixed_as_promised() -> None:
    fleet = synthetic_fleet("30STF", GIBRALTAR, OVERPASS, ships=400, seed=7)
    moving = [s for s in fleet if not s.moored]
    assert 0.6 < len(moving) / 400 < 0.8
    assert all(4 <= s.sog_kn <= 22 for s in moving)
    assert all(s.sog_kn <= 0.2 and s.cog_deg is None for s in fleet if s.moored)
    assert {s.ais_class for s in fleet} == {"A", "B"}
    assert {s.ship_type for s in fleet} == {"Cargo", "Tanker", "Passenger", "Fishing", "Tug", "Pleasure Craft"}
    assert all(2.4 <= s.length_m / s.width_m <= 7.5 for s in fleet)
    assert all(len(s.name) <= 20 for s in fleet)
    assert all(GIBRALTAR[0] <= s.lon <= GIBRALTAR[2] and GIBRALTAR[1] <= s.lat <= GIBRALTAR[3] for s in fleet)


def test_moored_ships_lie_in_clusters() -> None:
    moored = [s for s in synthetic_fleet("30STF", GIBRALTAR, OVERPASS, ships=60, seed=7) if s.moored]
    near = 0
    for ship in moored:
        others = [GEOD.inv(ship.lon, ship.lat, o.lon, o.lat)[2] for o in moored if o is not ship]
        near += min(others) < 3000
    assert near > len(moored) / 2


def test_an_area_across_the_antimeridian_holds_its_ships() -> None:
    fleet = synthetic_fleet("01CCV", (179.5, -18.0, -179.5, -17.0), OVERPASS, ships=80, seed=3)
    assert all(s.lon >= 179.5 or s.lon <= -179.5 for s in fleet)
    assert {s.lon > 0 for s in fleet} == {True, False}


def test_a_ship_moves_on_the_ellipsoid() -> None:
    ship = SyntheticShip(
        mmsi=280000001, name="X", ship_type="Cargo", ais_class="A", length_m=100, width_m=15, lat=36.0, lon=-5.5,
        cog_deg=75.0, sog_kn=18.0, heading_deg=75.0, reference_time=OVERPASS,
    )  # fmt: skip
    lon, lat = ship.at(OVERPASS + timedelta(minutes=10))
    azimuth, _, way_m = GEOD.inv(-5.5, 36.0, lon, lat)
    assert azimuth == pytest.approx(75.0, abs=1e-6)
    assert way_m == pytest.approx(18.0 * 1852 / 6, abs=1e-3)
    assert ship.at(OVERPASS) == pytest.approx((-5.5, 36.0), abs=1e-9)


def test_fixes_lie_on_the_true_way_but_for_a_few_metres() -> None:
    fixes = _fixes(ships=40)
    ships = {s.mmsi: s for s in synthetic_fleet("30STF", GIBRALTAR, OVERPASS, ships=40, seed=7)}
    off_m = []
    for row in fixes.itertuples():
        lon, lat = ships[row.mmsi].at(row.time.to_pydatetime())
        off_m.append(GEOD.inv(lon, lat, row.lon, row.lat)[2])
    assert set(fixes["mmsi"]) == set(ships)
    assert max(off_m) < 20
    assert 1 < np.median(off_m) < 6


def test_some_ships_are_heard_badly_and_all_are_placed_near_the_truth() -> None:
    """The trial must need every method: between fixes, beyond them, and silent ships."""
    fixes = _fixes(ships=150)
    fleet = {s.mmsi: s for s in synthetic_fleet("30STF", GIBRALTAR, OVERPASS, ships=150, seed=7)}
    mmsi = np.array(sorted(fleet))
    placed = positions_at(fixes, mmsi, np.full(len(mmsi), np.datetime64("2025-10-27T11:04:22", "ms")), max_gap_s=900)
    assert {"interpolated", "dead_reckoned", "as_reported"} <= set(placed["position_method"])
    by_ship = fixes.groupby("mmsi")["time"].agg(["min", "max", "size"])
    assert (by_ship["max"] < pd.Timestamp(OVERPASS)).sum() >= 5
    assert (by_ship["min"] > pd.Timestamp(OVERPASS)).sum() >= 5
    assert (by_ship["size"] <= 2).sum() >= 5
    assert fixes.groupby("mmsi")["sog_kn"].count().eq(0).sum() >= 2
    truth = np.array([fleet[m].at(OVERPASS) for m in mmsi])
    off_m = GEOD.inv(placed["lon"], placed["lat"], truth[:, 0], truth[:, 1])[2]
    told = placed["refusal"].isna()
    assert np.nanmedian(off_m[told]) < 10
    assert (off_m[told] < 3 * placed["position_sigma_m"][told]).mean() > 0.95


def test_class_a_says_where_its_antenna_is_and_class_b_does_not() -> None:
    fixes = _fixes()
    dimensions = fixes[["to_bow_m", "to_stern_m", "to_port_m", "to_starboard_m"]]
    class_a = fixes["ais_class"] == "A"
    assert class_a.any()
    assert (~class_a).any()
    assert dimensions[class_a].notna().all().all()
    assert dimensions[~class_a].isna().all().all()
    told = fixes[class_a]
    assert (told["to_bow_m"] + told["to_stern_m"] == told["length_m"]).all()
    assert (told["to_port_m"] + told["to_starboard_m"] == told["width_m"]).all()
    assert ((told["to_bow_m"] - told["to_stern_m"]).abs() <= 1).all(), "the middle of the ship"
