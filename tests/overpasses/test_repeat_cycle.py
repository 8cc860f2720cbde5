"""The plan by repetition, against real tile times, and a satellite that was moved."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sgp4.api import Satrec

from s2chips_core import tables
from s2chips_core.overpasses.orbit import NODAL_PERIOD_S, REPEAT_ORBITS
from s2chips_core.overpasses.plan import OBSERVED_COLUMNS, PLAN_SCHEMA
from s2chips_core.overpasses.repeat_cycle import REPEATS_WITHIN_S, SIGMA_S, plan_by_repeat_cycle

ALL = ("S2A", "S2B", "S2C")


def observed(*rows: tuple[object, ...]) -> pd.DataFrame:
    """`tile_id, satellite, datatake_id, datetime[, relative_orbit]`."""
    whole = [row if len(row) == 5 else (*row, None) for row in rows]
    frame = pd.DataFrame(whole, columns=list(OBSERVED_COLUMNS))
    frame["datetime"] = pd.to_datetime(frame["datetime"], utc=True, format="ISO8601").astype("datetime64[ms, UTC]")
    return frame


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.fixture
def sensed(shared_data: Path) -> pd.DataFrame:
    """Real tile times, as the archive's scenes are observed."""
    real = pd.read_csv(shared_data / "orbit" / "s2_tile_sensing_times.csv")
    return observed(
        *(
            (r.tile, r.satellite, None, r.tile_time, None if pd.isna(r.relative_orbit) else int(r.relative_orbit))
            for r in real.itertuples()
        )
    )


@pytest.mark.shared_data
def test_real_tile_times_come_back_after_ten_days(sensed: pd.DataFrame) -> None:
    """13TDE from 07-11 to 07-19 tells 07-21 to 07-29."""
    here = sensed[sensed["tile_id"] == "13TDE"]
    start, end = utc("2025-07-20"), utc("2025-07-30")
    plan = plan_by_repeat_cycle(
        here[here["datetime"] < start], ["13TDE"], start, end, satellites=["S2B", "S2C"], window_min=5
    )
    after = here[(here["datetime"] >= start) & (here["datetime"] < end)].sort_values("datetime")
    found = plan.passes
    assert list(found["satellite"]) == ["S2B", "S2C", "S2C"]  # S2B's orbit of 07-21 was not seen on 07-11
    errors_s = []
    for row in found.itertuples():
        of_satellite = after[after["satellite"] == row.satellite]
        errors_s.append((of_satellite["datetime"] - row.overpass_time).dt.total_seconds().abs().min())
        assert row.overpass_time - row.source_epoch == timedelta(days=10)
    assert max(errors_s) <= 1.5
    assert set(found["imaging"]) == {"expected"}
    assert set(found["source"]) == {"repeat_cycle"}
    assert set(found["time_sigma_s"]) == {SIGMA_S}
    tables.conform(found, PLAN_SCHEMA, "plan")


@pytest.mark.shared_data
def test_products_of_one_orbit_begin_every_ten_days(shared_data: Path) -> None:
    names = pd.read_csv(shared_data / "orbit" / "s2_product_names.csv")
    here = names[(names["tile"] == "35MNM") & names["datatake_start"].notna()]
    starts = pd.to_datetime(here["datatake_start"], format="%Y%m%dT%H%M%S", utc=True).sort_values()
    seen = observed(*(("35MNM", "S2A", None, when.isoformat(), 78) for when in starts[:2]))
    plan = plan_by_repeat_cycle(
        seen, ["35MNM"], utc("2020-06-12"), utc("2020-08-01"), satellites=["S2A"], window_min=5
    ).passes
    expected = starts[starts > utc("2020-06-12")]
    assert len(expected) == 5
    errors_s = (plan["overpass_time"] - expected.reset_index(drop=True)).dt.total_seconds()
    assert errors_s.abs().max() <= 1
    np.testing.assert_allclose(plan["time_sigma_s"], SIGMA_S * np.sqrt([1, 2, 3, 4, 5]))


def seconds_after_a_cycle(line1: str, line2: str) -> float:
    """How much later than after 10 days the satellite crosses 40 degrees north southwards again, by sgp4, seconds."""
    satellite = Satrec.twoline2rv(line1, line2)
    steps_s = np.arange(0.0, 6_100.0, 10.0)

    def crossing_s(from_days: float) -> float:
        fraction = satellite.jdsatepochF + from_days + steps_s / 86_400
        _, place, _ = satellite.sgp4_array(np.full(steps_s.size, satellite.jdsatepoch), fraction)
        above = place[:, 2] / np.linalg.norm(place, axis=1) - np.sin(np.radians(40.0))
        [at] = np.flatnonzero((above[:-1] > 0) & (above[1:] <= 0))[:1]
        return float(steps_s[at] + 10.0 * above[at] / (above[at] - above[at + 1]))

    off_s = crossing_s(5) - crossing_s(-5)
    return off_s - round(off_s / NODAL_PERIOD_S) * NODAL_PERIOD_S


@pytest.mark.shared_data
def test_the_error_is_what_element_sets_of_ten_years_say(shared_data: Path) -> None:
    sets = pd.read_csv(shared_data / "orbit" / "sentinel2_tle_history.csv")
    off_s = np.array([seconds_after_a_cycle(a, b) for a, b in zip(sets["line1"], sets["line2"], strict=True)])
    assert len(off_s) == 107
    assert 2.0 < np.sqrt(np.mean(off_s**2)) < SIGMA_S
    assert np.abs(off_s).max() < REPEATS_WITHIN_S / 4


@pytest.mark.shared_data
def test_the_real_move_of_sentinel_2a_is_found(sensed: pd.DataFrame) -> None:
    """13TDE on track 141: 2023-10-08 and, after the move, 2025-07-11 (18:03 UTC, the same track) are 642 days apart."""
    here = sensed[(sensed["tile_id"] == "13TDE") & (sensed["satellite"] == "S2A")].copy()
    # The item of 2025 does not tell its track; passes of 18:03 are track 141, of 17:53 track 98.
    track = np.where(here["datetime"].dt.hour == 18, 141, 98)
    here["relative_orbit"] = track
    arguments = (["13TDE"], utc("2025-07-20"), utc("2025-07-31"))
    moved = plan_by_repeat_cycle(here, *arguments, satellites=["S2A"], window_min=5)
    [note] = moved.notes
    assert "S2A was moved along its orbit before 2025-07-11 18:03 UTC" in note
    assert moved.passes.empty  # two passes since, neither has come again yet
    # A cycle later they have, and the passes of 2023 say nothing any more.
    since = here[here["datetime"].dt.year == 2025]
    later = since.assign(datetime=since["datetime"] + timedelta(days=10, seconds=1))
    again = plan_by_repeat_cycle(
        pd.concat([here, later]), ["13TDE"], utc("2025-07-30"), utc("2025-08-09"), satellites=["S2A"], window_min=5
    )
    assert list(again.passes["overpass_time"].dt.strftime("%m-%d %H:%M")) == ["07-31 18:03", "08-07 17:53"]
    assert "uses the 4 scenes since" in again.notes[0]


FIRST = ("30STF", "S2B", "GS2B_20251012T105629_044924", "2025-10-12T11:08:22.123Z")
SECOND = ("30STF", "S2B", "GS2B_20251022T105629_045067", "2025-10-22T11:08:24.123Z")


def test_a_pass_is_told_by_its_latest_observation() -> None:
    plan = plan_by_repeat_cycle(
        observed(FIRST, SECOND), ["30STF"], utc("2025-10-30"), utc("2025-11-20"), satellites=["S2B"], window_min=7.5
    )
    assert plan.notes == ()
    assert plan.swaths == ()
    first, second = plan.passes.to_dict("records")
    assert first["overpass_time"] == pd.Timestamp("2025-11-01T11:08:24.123Z")
    assert first["window_start"] == pd.Timestamp("2025-11-01T11:00:54.123Z")
    assert first["window_end"] == pd.Timestamp("2025-11-01T11:15:54.123Z")
    assert first["source_epoch"] == second["source_epoch"] == pd.Timestamp("2025-10-22T11:08:24.123Z")
    assert (first["absolute_orbit"], second["absolute_orbit"]) == (45067 + REPEAT_ORBITS, 45067 + 2 * REPEAT_ORBITS)
    assert second["time_sigma_s"] == pytest.approx(SIGMA_S * 2**0.5)


def test_what_has_happened_is_backfill_and_not_planned_twice() -> None:
    plan = plan_by_repeat_cycle(
        observed(FIRST, SECOND, ("30STE", "S2B", None, "2025-10-12T11:08:30Z")),
        ["30STF", "30STE"],
        utc("2025-10-22"),
        utc("2025-10-23"),
        satellites=["S2B"],
        window_min=5,
    ).passes
    rows = plan.set_index("tile_id")
    assert list(rows.index) == ["30STF", "30STE"]
    assert dict(rows["source"]) == {"30STF": "backfill", "30STE": "repeat_cycle"}
    assert dict(rows["imaging"]) == {"30STF": "planned", "30STE": "expected"}
    assert rows.loc["30STF", "overpass_time"] == pd.Timestamp("2025-10-22T11:08:24.123Z")
    assert rows.loc["30STF", "time_sigma_s"] == 0


def test_a_pass_at_the_start_counts_and_one_at_the_end_does_not() -> None:
    """11:08:24.123 ten days on is the very start, and the end, of a time."""
    for start, end, count in [
        ("2025-11-01T11:08:24.123", "2025-11-02", 1),
        ("2025-11-01T11:08:24.124", "2025-11-02", 0),
        ("2025-11-01", "2025-11-01T11:08:24.123", 0),
        ("2025-11-01", "2025-11-01T11:08:24.124", 1),
    ]:
        plan = plan_by_repeat_cycle(observed(SECOND), ["30STF"], utc(start), utc(end), satellites=["S2B"], window_min=5)
        assert len(plan.passes) == count, (start, end)


def test_nothing_shows_a_move_when_nothing_repeats() -> None:
    plan = plan_by_repeat_cycle(
        observed(FIRST), ["30STF"], utc("2025-10-20"), utc("2025-10-30"), satellites=["S2B"], window_min=5
    )
    assert len(plan.passes) == 1
    assert plan.notes == ("S2B: no pass in the archive repeats another, so nothing shows whether it was moved",)


def test_nothing_seen_is_nothing_planned() -> None:
    for frame in (observed(), observed(FIRST)):
        plan = plan_by_repeat_cycle(frame, ["31TCJ"], utc("2025-10-20"), utc("2025-10-30"), satellites=ALL, window_min=5)
        assert plan.passes.empty
        assert list(plan.passes.columns) == PLAN_SCHEMA.names
        assert plan.notes == ()


def scenes(satellite: str, first: str, days: list[float], late_s: list[float], tiles: int = 4) -> list[tuple[object, ...]]:
    """Passes over neighbours, `days` after `first`, `late_s` after the 10-day raster."""
    return [
        (f"30ST{'ABCDEFGH'[n]}", satellite, None, pd.Timestamp(first, tz="UTC") + pd.Timedelta(days=d, seconds=s + 15 * n))
        for d, s in zip(days, late_s, strict=True)
        for n in range(tiles)
    ]


TILES = [f"30ST{letter}" for letter in "ABCDEFGH"]


def test_a_drifting_satellite_is_left_out_and_the_others_are_not() -> None:
    drifting = scenes("S2A", "2025-01-01T11:00:00", [0, 10, 20], [0, 90, 200])
    steady = scenes("S2B", "2025-01-06T11:00:00", [0, 10], [0, 4])
    plan = plan_by_repeat_cycle(
        observed(*drifting, *steady), TILES, utc("2025-01-22"), utc("2025-02-01"), satellites=ALL, window_min=5
    )
    assert set(plan.passes["satellite"]) == {"S2B"}
    [note] = plan.notes
    assert note.startswith("S2A was moved along its orbit before 2025-01-21 11:03 UTC")
    assert "3 min" in note
    assert note.endswith("so the repeat cycle is not used for it")


def test_a_moved_satellite_is_used_from_after_the_move() -> None:
    before = scenes("S2A", "2025-01-01T11:00:00", [0, 10], [0, 2])
    after = scenes("S2A", "2025-01-01T11:00:00", [20, 30], [600, 603])
    plan = plan_by_repeat_cycle(
        observed(*before, *after), TILES, utc("2025-02-01"), utc("2025-02-11"), satellites=["S2A"], window_min=5
    )
    assert list(plan.passes["overpass_time"].dt.strftime("%m-%d %H:%M:%S")) == [
        "02-10 11:10:03", "02-10 11:10:18", "02-10 11:10:33", "02-10 11:10:48"
    ]  # fmt: skip
    [note] = plan.notes
    assert "before 2025-01-21 11:10 UTC" in note
    assert "uses the 8 scenes since" in note


def test_a_tile_seen_just_before_the_move_is_not_used() -> None:
    """Its own next pass has not come yet, but others' have."""
    rows = scenes("S2A", "2025-01-01T11:00:00", [0, 10, 20], [0, 900, 903])
    lonely = ("30STH", "S2A", None, "2025-01-08T11:07:00Z")
    plan = plan_by_repeat_cycle(
        observed(*rows, lonely), TILES, utc("2025-01-27"), utc("2025-02-02"), satellites=["S2A"], window_min=5
    )
    assert "30STH" not in set(plan.passes["tile_id"])
    assert len(plan.passes) == 4


def test_orbit_numbers_show_a_move_before_anything_has_repeated() -> None:
    """7 and 3 days apart no two passes repeat, but the time that 43 orbits take is known."""
    steady = [
        ("13TDE", "S2C", "GS2C_20250716T175001_004500", "2025-07-16T17:53:22.342Z"),
        ("13TDE", "S2C", "GS2C_20250719T180001_004543", "2025-07-19T18:03:18.659Z"),
    ]
    arguments = (["13TDE"], utc("2025-07-25"), utc("2025-08-01"))
    assert len(plan_by_repeat_cycle(observed(*steady), *arguments, satellites=["S2C"], window_min=5).passes) == 2
    moved = [steady[0], (*steady[1][:3], "2025-07-19T18:43:34.659Z")]
    plan = plan_by_repeat_cycle(observed(*moved), *arguments, satellites=["S2C"], window_min=5)
    assert plan.passes.empty
    assert "S2C was moved" in plan.notes[0]


def test_another_track_ten_days_on_is_a_move() -> None:
    rows = [("30STF", "S2A", None, "2025-01-01T11:00:00Z", 94), ("30STF", "S2A", None, "2025-01-11T11:00:01Z", 95)]
    plan = plan_by_repeat_cycle(
        observed(*rows), ["30STF"], utc("2025-01-15"), utc("2025-01-25"), satellites=["S2A"], window_min=5
    )
    assert plan.passes.empty
    assert "moved" in plan.notes[0]


def test_one_odd_scene_is_no_move() -> None:
    rows = scenes("S2A", "2025-01-01T11:00:00", [0, 10], [0, 1], tiles=6)
    rows[3] = (*rows[3][:3], "2025-01-01T11:04:00Z")  # minutes off the others
    plan = plan_by_repeat_cycle(
        observed(*rows), TILES, utc("2025-01-15"), utc("2025-01-25"), satellites=["S2A"], window_min=5
    )
    assert len(plan.passes) == 5
    [note] = plan.notes
    assert note.startswith("S2A: 2 scenes are not used")
    assert "30STD" in note


@settings(max_examples=40, deadline=None)
@given(
    seen=st.lists(st.tuples(st.sampled_from(TILES), st.sampled_from(ALL), st.integers(0, 25 * 86_400)), max_size=25),
    first=st.integers(0, 40),
    days=st.integers(1, 15),
)
def test_every_row_repeats_an_observation_and_no_pass_is_told_twice(
    seen: list[tuple[str, str, int]], first: int, days: int
) -> None:
    zero = pd.Timestamp("2025-06-01T00:00:00Z")
    frame = observed(*((tile, sat, None, (zero + pd.Timedelta(seconds=s)).isoformat()) for tile, sat, s in seen))
    start = (zero + pd.Timedelta(days=first)).to_pydatetime()
    plan = plan_by_repeat_cycle(frame, TILES, start, start + timedelta(days=days), satellites=ALL, window_min=5).passes
    times = frame.groupby(["tile_id", "satellite"])["datetime"].agg(set).to_dict()
    for row in plan.itertuples():
        assert start <= row.overpass_time < start + timedelta(days=days)
        assert row.source_epoch in times[row.tile_id, row.satellite]
        assert (row.overpass_time - row.source_epoch) % timedelta(days=10) == timedelta(0)
        assert (row.source == "backfill") == (row.overpass_time == row.source_epoch)
    gaps = plan.sort_values("overpass_time").groupby(["tile_id", "satellite"])["overpass_time"].diff().dropna()
    assert (gaps > pd.Timedelta(minutes=30)).all()
