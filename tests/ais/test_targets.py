"""Targets of a capture: one for each ship and pass, nothing dropped in silence."""

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s2chips_core import tables
from s2chips_core.ais.fixes import FIX_SCHEMA
from s2chips_core.ais.synthetic import synthetic_fixes
from s2chips_core.ais.targets import TARGET_SCHEMA, build_capture_targets, is_ship_mmsi, ship_mmsi_problem

PASS = pd.Timestamp("2025-10-27T11:04:22Z")
SHIP = 244660123


def _fix(
    after_s: float = 0.0, *, mmsi: int = SHIP, tile: str = "30STF", overpass: pd.Timestamp | None = PASS, **more: object
) -> dict[str, object]:
    start = PASS if overpass is None else overpass
    return {
        "mmsi": mmsi,
        "time": start + pd.Timedelta(seconds=after_s),
        "lat": 36.0,
        "lon": -5.5,
        "sog_kn": 12.0,
        "cog_deg": 90.0,
        "heading_deg": 91.0,
        "ais_source": "aisstream",
        "tile_id": tile,
        "overpass_time": overpass,
        **more,
    }


def _targets(*fixes: dict[str, object]) -> pd.DataFrame:
    return build_capture_targets(tables.concat([pd.DataFrame(list(fixes))], FIX_SCHEMA), position_mode="at_sensing_time")


def test_the_fix_nearest_to_the_overpass_is_the_target() -> None:
    targets = _targets(_fix(-200, lon=-5.6), _fix(40, lon=-5.49, sog_kn=11.0), _fix(-60, lon=-5.52))
    assert len(targets) == 1
    row = targets.iloc[0]
    assert (row["mmsi"], row["ais_lon"], row["sog_kn"]) == (SHIP, -5.49, 11.0)
    assert row["ais_time"] == PASS + pd.Timedelta(seconds=40)
    assert row["overpass_time"] == PASS
    assert (row["target_id"], row["source_id"], row["position_mode"]) == (f"{SHIP}-1104", "capture", "at_sensing_time")
    assert row["invalid_reason"] is None
    assert not row["time_inferred"]


def test_the_antennas_place_is_the_last_that_was_said() -> None:
    place = {"to_bow_m": 80.0, "to_stern_m": 20.0, "to_port_m": 5.0, "to_starboard_m": 15.0}
    row = _targets(_fix(-200, to_bow_m=1.0), _fix(-100, **place), _fix(0)).iloc[0]
    assert {name: row[name] for name in place} == place


def test_name_and_size_are_the_last_that_were_said() -> None:
    row = _targets(
        _fix(-200, ship_name="OLD", length_m=100.0),
        _fix(-100, ship_name="NEW"),
        _fix(0, ship_type=None),
        _fix(200, ship_type="Cargo"),
    ).iloc[0]
    assert (row["ship_name"], row["length_m"], row["ship_type"]) == ("NEW", 100.0, "Cargo")


def test_two_tiles_of_one_pass_are_one_target_at_the_overpass_heard_nearest_to() -> None:
    second = PASS + pd.Timedelta(seconds=14)
    targets = _targets(_fix(-30), _fix(5, tile="30SUF", overpass=second), _fix(-44, tile="30SUF", overpass=second))
    assert len(targets) == 1
    assert targets["overpass_time"][0] == second


def test_tiles_27_min_apart_are_one_pass_and_an_orbit_later_another() -> None:
    targets = _targets(
        _fix(), _fix(overpass=PASS + pd.Timedelta(minutes=27)), _fix(overpass=PASS + pd.Timedelta(minutes=100))
    )
    assert targets["target_id"].tolist() == [f"{SHIP}-1104", f"{SHIP}-1244"]


def test_ids_are_unique_even_for_the_same_minute_of_two_days() -> None:
    targets = _targets(_fix(), _fix(overpass=PASS + pd.Timedelta(days=1)))
    assert targets["target_id"].tolist() == [f"{SHIP}-1104", f"{SHIP}-1104-2"]


def test_without_overpass_the_time_of_the_fix_stands_in() -> None:
    targets = _targets(_fix(60, overpass=None))
    assert targets["overpass_time"][0] == PASS + pd.Timedelta(seconds=60)


def test_not_available_becomes_null() -> None:
    row = _targets(_fix(sog_kn=102.3, cog_deg=360.0, heading_deg=511.0)).iloc[0]
    assert row[["sog_kn", "cog_deg", "heading_deg"]].isna().all()


def test_a_usable_fix_is_taken_before_a_nearer_one_that_is_nowhere() -> None:
    assert _targets(_fix(0, lat=91.0, lon=181.0), _fix(100)).iloc[0]["ais_lat"] == 36.0


def test_a_wild_jump_is_no_target_position() -> None:
    assert _targets(_fix(-60), _fix(0, lat=10.0, lon=40.0), _fix(60)).iloc[0]["ais_lat"] == 36.0


def test_a_ship_that_is_nowhere_is_an_invalid_target() -> None:
    row = _targets(_fix(0, lat=91.0, lon=181.0)).iloc[0]
    assert row["invalid_reason"] == "no usable position: the best is lat 91, lon 181"
    assert np.isnan(row["ais_lat"])


def test_base_stations_are_invalid_targets_with_the_reason() -> None:
    targets = _targets(_fix(), _fix(mmsi=2190064))
    assert targets["invalid_reason"].tolist() == ["mmsi 002190064 is a base station on the coast, not a ship", None]


def test_no_fixes_no_targets() -> None:
    assert list(build_capture_targets(tables.empty(FIX_SCHEMA), position_mode="as_reported").columns) == TARGET_SCHEMA.names


@given(st.integers(1, 30), st.integers(0, 2**31))
@settings(max_examples=15, deadline=None)
def test_every_ship_of_a_capture_is_exactly_one_target(ships: int, seed: int) -> None:
    overpass = datetime(2025, 10, 27, 11, 4, 22, tzinfo=UTC)
    fixes = synthetic_fixes("30STF", (-6, 35.5, -5, 36.5), overpass, ships=ships, seed=seed, window_min=5)
    targets = build_capture_targets(fixes.sample(frac=1, random_state=1), position_mode="as_reported")
    assert sorted(targets["mmsi"]) == sorted(fixes["mmsi"].unique())
    assert targets["target_id"].is_unique
    assert targets["invalid_reason"].isna().all()
    gap = (fixes["time"] - fixes["overpass_time"]).abs().groupby(fixes["mmsi"]).min()
    assert ((targets["ais_time"] - targets["overpass_time"]).abs().to_numpy() == gap.loc[targets["mmsi"]].to_numpy()).all()


@pytest.mark.parametrize("mmsi", [201000000, 244660123, 775999999, 257000000])
def test_ships_are_ships(mmsi: int) -> None:
    assert ship_mmsi_problem(mmsi) is None


@pytest.mark.parametrize(
    ("mmsi", "says"),
    [
        (2190064, "base station"),
        (22442000, "group of ships"),
        (111232506, "aircraft"),
        (970123456, "search and rescue transmitter"),
        (972123456, "man-overboard"),
        (974123456, "emergency beacon"),
        (982571234, "belongs to another ship"),
        (992651000, "aid to navigation"),
        (824412345, "handheld"),
        (200999999, "no ship's number"),
        (776000000, "no ship's number"),
        (0, "no ship's number"),
        (-244660123, "no ship's number"),
        (2446601234, "no ship's number"),
        (123456789, "no ship's number"),
        (3638, "no ship's number"),
    ],
)
def test_what_is_no_ship_is_named(mmsi: int, says: str) -> None:
    problem = ship_mmsi_problem(mmsi)
    assert problem is not None
    assert says in problem


@given(
    st.one_of(st.integers(-10, 10**10), st.sampled_from([201_000_000, 200_999_999, 775_999_999, 776_000_000, 111_232_506]))
)
def test_many_numbers_at_once_are_judged_as_one_by_one(mmsi: int) -> None:
    assert is_ship_mmsi(np.array([mmsi])).tolist() == [ship_mmsi_problem(mmsi) is None]
