"""Who is believed when, and where sources contradict."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from s2chips_core import tables
from s2chips_core.overpasses.acquisition_plan import parse_acquisition_plan
from s2chips_core.overpasses.combine import (
    COMPARISON_COLUMNS,
    Candidate,
    combine_plans,
    compare_plans,
    describe_comparison,
)
from s2chips_core.overpasses.elements import parse_elements
from s2chips_core.overpasses.plan import PLAN_SCHEMA, Plan, Swath, build_passes
from s2chips_core.overpasses.segment_passes import coverage, plan_by_acquisition
from s2chips_core.overpasses.tle_plan import plan_by_tle

DAY = datetime(2025, 10, 27, tzinfo=UTC)
SIGMA_S = {"backfill": 0.0, "acquisition_plan": 4.0, "tle": 1.0, "repeat_cycle": 3.0}
IMAGING = {"backfill": "planned", "acquisition_plan": "planned", "tle": "unknown", "repeat_cycle": "expected"}
Row = tuple[str, str, float] | tuple[str, str, float, str]


def at(hours: float) -> datetime:
    return DAY + timedelta(hours=hours)


def plan(source: str, *rows: Row, notes: tuple[str, ...] = (), swaths: tuple[Swath, ...] = (), **more: object) -> Plan:
    """`tile, satellite, hours[, another source]`."""
    sources = [row[3] if len(row) == 4 else source for row in rows]
    frame = pd.DataFrame(
        {
            "tile_id": [row[0] for row in rows],
            "satellite": [row[1] for row in rows],
            "relative_orbit": None,
            "absolute_orbit": None,
            "overpass_time": [at(row[2]) for row in rows],
            "time_sigma_s": [SIGMA_S[name] for name in sources],
            "imaging": [IMAGING[name] for name in sources],
            "source": sources,
            "source_epoch": DAY,
        }
    ).assign(**more)
    passes = build_passes(frame, 5) if rows else tables.empty(PLAN_SCHEMA)
    return Plan(passes=passes, notes=notes, swaths=swaths)


def candidate(source: str, *rows: Row, covers: dict[str, tuple[float, float]] | None = None, **more: object) -> Candidate:
    spans = {satellite: [(at(first), at(last))] for satellite, (first, last) in (covers or {}).items()}
    return Candidate(source=source, plan=plan(source, *rows, **more), covers=spans)


def told(found: Plan) -> list[tuple[str, str, float, str]]:
    hours = (found.passes["overpass_time"] - DAY).dt.total_seconds() / 3600
    return list(zip(found.passes["tile_id"], found.passes["satellite"], hours.round(4), found.passes["source"], strict=True))


def test_each_time_has_its_best_source() -> None:
    found = combine_plans(
        [
            candidate("acquisition_plan", ("30STF", "S2B", 11), covers={"S2B": (0, 24)}),
            candidate("tle", ("30STF", "S2B", 11.001), ("30STF", "S2B", 83), ("30STF", "S2C", 35), covers={
                "S2B": (0, 120), "S2C": (0, 120)
            }),
            candidate("repeat_cycle", ("30STF", "S2B", 83.001), ("30STF", "S2B", 155), ("30STF", "S2A", 59)),
        ]
    )  # fmt: skip
    assert told(found) == [
        ("30STF", "S2B", 11, "acquisition_plan"),
        ("30STF", "S2C", 35, "tle"),
        ("30STF", "S2A", 59, "repeat_cycle"),
        ("30STF", "S2B", 83, "tle"),
        ("30STF", "S2B", 155, "repeat_cycle"),
    ]
    tables.conform(found.passes, PLAN_SCHEMA, "plan")
    # The elements do not know whether the camera is on; that it was on ten days ago is something.
    assert list(found.passes["imaging"]) == ["planned", "unknown", "expected", "expected", "expected"]


def test_a_plan_that_is_silent_where_it_covers_means_the_camera_is_off() -> None:
    sources = [
        candidate("acquisition_plan", covers={"S2B": (0, 24)}),
        candidate("tle", ("30STF", "S2B", 11), ("30STF", "S2C", 12), covers={"S2B": (0, 240), "S2C": (0, 240)}),
    ]
    assert told(combine_plans(sources)) == [("30STF", "S2C", 12, "tle")]
    assert combine_plans(sources).notes == ()  # that is what the plan is for, and no contradiction


def test_what_has_happened_is_in_whatever_the_others_say() -> None:
    found = combine_plans(
        [
            candidate("acquisition_plan", ("30STF", "S2B", 11), covers={"S2B": (0, 24)}),
            candidate("repeat_cycle", ("30STF", "S2B", 11.002, "backfill"), ("30STE", "S2B", 11.003, "backfill")),
        ]
    )
    assert told(found) == [("30STF", "S2B", 11.002, "backfill"), ("30STE", "S2B", 11.003, "backfill")]
    [note] = found.notes
    assert note == (
        "S2B: 1 of 2 passes of the archive are not in what ESA's plan says (the first: 30STE, 2025-10-27 11:00:10 UTC)"
    )


def test_a_pass_at_the_end_of_what_is_covered_is_neither_lost_nor_told_twice() -> None:
    """The plan ends at 11:00:00; its reference orbit has the pass just after that, the elements just before, or reversed."""
    lost = combine_plans(
        [
            candidate("acquisition_plan", covers={"S2B": (0, 11)}),
            candidate("tle", ("30STF", "S2B", 11 - 5 / 3600), covers={"S2B": (0, 240)}),
        ]
    )
    assert len(lost.passes) == 1
    twice = combine_plans(
        [
            candidate("acquisition_plan", ("30STF", "S2B", 11 - 5 / 3600), covers={"S2B": (0, 11)}),
            candidate("tle", ("30STF", "S2B", 11 + 5 / 3600), covers={"S2B": (0, 240)}),
        ]
    )
    assert list(twice.passes["source"]) == ["acquisition_plan"]


def test_orbit_numbers_are_taken_from_who_knows_them() -> None:
    found = combine_plans(
        [
            candidate("acquisition_plan", ("30STF", "S2B", 11), covers={"S2B": (0, 24)}, absolute_orbit=44922),
            candidate("tle", ("30STF", "S2B", 11.001), covers={"S2B": (0, 24)}, absolute_orbit=1, relative_orbit=137),
        ]
    ).passes.iloc[0]
    assert (found["source"], found["absolute_orbit"], found["relative_orbit"]) == ("acquisition_plan", 44922, 137)


def test_times_that_differ_by_more_than_their_errors_are_one_sentence_a_satellite() -> None:
    tiles = [f"30ST{letter}" for letter in "ABCDE"]
    late_s = [1, 12.2, 12.6, 40, -25]  # 3 * hypot(4, 1) = 12.37
    sources = [
        candidate("acquisition_plan", *((tile, "S2B", 11) for tile in tiles), covers={"S2B": (0, 24)}),
        candidate(
            "tle", *((tile, "S2B", 11 + s / 3600) for tile, s in zip(tiles, late_s, strict=True)), covers={"S2B": (0, 24)}
        ),
    ]
    found = combine_plans(sources)
    assert len(found.passes) == 5
    [note] = found.notes
    assert note == (
        "S2B: ESA's plan and the orbital elements differ by more than their errors in 3 of 5 passes, by 40 s at worst "
        "(30STD, 2025-10-27 11:00:00 UTC)"
    )
    compared = compare_plans(sources)
    assert list(compared.columns) == list(COMPARISON_COLUMNS)
    assert list(compared["off_s"]) == pytest.approx(late_s, abs=1e-3)
    # By days, for the notes of each.
    assert describe_comparison(compared[compared["overpass_time"] < pd.Timestamp(at(1))]) == []


def test_small_errors_have_a_floor() -> None:
    sources = [
        candidate("tle", ("30STF", "S2B", 11), covers={"S2B": (0, 24)}, time_sigma_s=0.1),
        candidate("repeat_cycle", ("30STF", "S2B", 11 + 4 / 3600), time_sigma_s=0.1),
    ]
    assert combine_plans(sources).notes == ()


def test_elements_that_lack_what_others_have_are_told() -> None:
    found = combine_plans(
        [
            candidate("acquisition_plan", ("30STF", "S2B", 11), ("30STF", "S2B", 23.99), covers={"S2B": (0, 24)}),
            candidate("tle", covers={"S2B": (0, 24)}),
            candidate("repeat_cycle", ("30STG", "S2B", 11.1)),
        ]
    )
    # The pass half a minute before the end of what the elements cover is not held against them; one of three is.
    assert [note.split(" (")[0] for note in found.notes] == [
        "S2B: 1 of 1 passes of ESA's plan are not in what the orbital elements say",
        "S2B: 1 of 1 passes of the repeat cycle are not in what ESA's plan says",
        "S2B: 1 of 1 passes of the repeat cycle are not in what the orbital elements say",
    ]
    assert [row[0] for row in told(found)] == ["30STF", "30STF"]


def test_passes_that_are_lacking_are_counted_among_all() -> None:
    tiles = [f"30{a}{b}" for a in "STU" for b in "ABCDEFGH"]
    sources = [
        candidate("tle", *((tile, "S2B", 11) for tile in tiles[2:]), covers={"S2B": (0, 24)}),
        candidate("repeat_cycle", *((tile, "S2B", 11.0005) for tile in tiles)),
    ]
    [note] = combine_plans(sources).notes
    assert note.startswith("S2B: 2 of 24 passes of the repeat cycle are not in what the orbital elements say")


def test_one_sliver_of_a_tile_among_hundreds_is_no_contradiction() -> None:
    tiles = [f"{zone:02d}S{a}{b}" for zone in range(1, 10) for a in "STU" for b in "ABCDEFGH"]
    for missing, notes in ((1, 0), (2, 1)):
        sources = [
            candidate("acquisition_plan", *((tile, "S2B", 11) for tile in tiles), covers={"S2B": (0, 24)}),
            candidate("tle", *((tile, "S2B", 11) for tile in tiles[missing:]), covers={"S2B": (0, 24)}),
        ]
        assert len(combine_plans(sources).notes) == notes


@pytest.mark.shared_data
def test_a_real_plan_and_real_elements_agree(shared_data: Path) -> None:
    """Sentinel-2A, the first half of 2024-12, on one tile in a hundred: which passes there are, and when."""
    orbit = shared_data / "orbit"
    file = orbit / "acquisition_plan" / "S2A_MP_ACQ__KML_20241128T120000_20241214T150000.kml"
    plans = [parse_acquisition_plan(file.read_bytes(), file.name)]
    sets, _ = parse_elements((orbit / "sentinel2_tle_history.tle").read_bytes(), "history")
    tiles = sorted(pd.read_parquet(orbit / "s2_tile_grid.parquet").iloc[::100, 0])
    span = datetime(2024, 11, 29, tzinfo=UTC), datetime(2024, 12, 13, tzinfo=UTC)
    candidates = [
        Candidate(
            source="acquisition_plan",
            plan=plan_by_acquisition(plans, tiles, *span, satellites=["S2A"], window_min=5),
            covers={"S2A": coverage(plans, "S2A")},
        ),
        Candidate(
            source="tle",
            plan=plan_by_tle(sets, tiles, *span, window_min=5, max_age_days=14, satellites=["S2A"]),
            covers={"S2A": [span]},
        ),
    ]
    compared = compare_plans(candidates)
    assert len(compared) > 300
    assert describe_comparison(compared) == []
    assert set(combine_plans(candidates).passes["source"]) == {"acquisition_plan"}  # it covers all of the time


def swath(source: str, start: float, stop: float) -> Swath:
    return Swath(
        satellite="S2B",
        relative_orbit=137,
        absolute_orbit=None,
        start=at(start),
        stop=at(stop),
        geometry=shapely.box(0, 0, 1, 1),
        imaging="planned",
        source=source,
    )


def test_swaths_are_of_who_covers_their_middle() -> None:
    found = combine_plans(
        [
            candidate(
                "acquisition_plan", covers={"S2B": (0, 24)}, swaths=(swath("acquisition_plan", 11, 11.2),), notes=("a",)
            ),
            candidate(
                "tle", covers={"S2B": (0, 240)}, swaths=(swath("tle", 83, 83.2), swath("tle", 11, 11.3)), notes=("b",)
            ),
        ]
    )
    assert [(s.source, s.start) for s in found.swaths] == [("acquisition_plan", at(11)), ("tle", at(83))]
    assert found.passes.empty
    assert found.notes == ("a", "b")


def test_nobody_says_anything() -> None:
    for candidates in ([], [candidate("tle")], [candidate("acquisition_plan"), candidate("repeat_cycle")]):
        found = combine_plans(candidates)
        assert found.passes.empty
        assert list(found.passes.columns) == PLAN_SCHEMA.names
        assert found.notes == ()


MOMENTS = st.lists(
    st.tuples(st.sampled_from(["30STF", "30STE"]), st.sampled_from(["S2A", "S2B"]), st.integers(0, 96)), max_size=12
)


@settings(max_examples=30, deadline=None)
@given(MOMENTS, MOMENTS, MOMENTS, st.integers(0, 96), st.integers(0, 96))
def test_no_pass_is_lost_or_told_twice(
    planned: list[tuple[str, str, int]],
    computed: list[tuple[str, str, int]],
    repeated: list[tuple[str, str, int]],
    plan_until: int,
    elements_until: int,
) -> None:
    def rows(moments: list[tuple[str, str, int]], offset_s: float) -> list[Row]:
        return [(tile, satellite, 2 * hour + offset_s / 3600) for tile, satellite, hour in sorted(set(moments))]

    sources = [
        candidate("acquisition_plan", *rows(planned, 0), covers=dict.fromkeys(("S2A", "S2B"), (-1, 2 * plan_until + 0.5))),
        candidate("tle", *rows(computed, 7), covers=dict.fromkeys(("S2A", "S2B"), (-1, 2 * elements_until + 0.5))),
        candidate("repeat_cycle", *rows(repeated, -7)),
    ]
    rows_told = told(combine_plans(sources))
    found = {(tile, satellite, round(hour)): source for tile, satellite, hour, source in rows_told}
    assert len(found) == len(rows_told)
    for place in {*planned, *computed, *repeated}:
        tile, satellite, hour = place
        if place in planned:
            expected = "acquisition_plan"
        elif hour <= plan_until:
            expected = None
        elif place in computed:
            expected = "tle"
        elif hour <= elements_until:
            expected = None
        else:
            expected = "repeat_cycle"
        assert found.get((tile, satellite, 2 * hour)) == expected
