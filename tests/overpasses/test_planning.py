"""The plan of some days from each source, on real elements and acquisition plans, and what is written."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from s2chips_core import layout, tables
from s2chips_core.config import Settings, parse_settings
from s2chips_core.errors import ArchiveError, InputError
from s2chips_core.overpasses.plan import OBSERVED_COLUMNS, PLAN_SCHEMA, Observed
from s2chips_core.overpasses.planning import LOOK_BACK, PlannedDays, plan_overpasses, read_notes, read_swaths
from s2chips_core.overpasses.spans import day_span
from s2chips_core.storage import LocalStorage

TILES = ("20EPT", "24MUV", "30STF", "31TCJ")
PLANNED_DAY = date(2025, 2, 24)
"""ESA's plans of S2B cover it, those of S2C until 15:00; there is none of S2A."""
NOW = datetime(2025, 2, 20, 6, tzinfo=UTC)


class Archive:
    """Answers with the observations that it was given, and remembers what it was asked."""

    def __init__(self, *rows: tuple[str, str, str]) -> None:
        self.rows = rows
        self.asked: list[tuple[tuple[str, ...], datetime, datetime]] = []
        self.fails = False

    def __call__(self, tiles: Sequence[str], start: datetime, end: datetime) -> Observed:
        self.asked.append((tuple(tiles), start, end))
        if self.fails:
            raise ArchiveError("https://archive.example", "no answer")
        frame = pd.DataFrame(
            [(tile, satellite, None, when, None) for tile, satellite, when in self.rows], columns=list(OBSERVED_COLUMNS)
        )
        frame["datetime"] = pd.to_datetime(frame["datetime"], utc=True, format="ISO8601").astype("datetime64[ms, UTC]")
        inside = (frame["datetime"] >= start) & (frame["datetime"] < end)
        return Observed(frame=frame[inside].reset_index(drop=True), requests=2)


def settings_of(source: str, shared_data: Path | None = None, **tracking: Any) -> Settings:
    orbit = shared_data / "orbit" if shared_data else Path("/nowhere")
    plans = ("S2B_MP_ACQ__KML_20250213T120000_20250303T150000.kml", "S2C_MP_ACQ__KML_20250206T120000_20250224T150000.kml")
    tree: Mapping[str, Any] = {
        "source": source,
        "tiles": list(TILES),
        "tle_sources": [str(orbit / "sentinel2_tle_history.tle")],
        "acquisition_plan_sources": [str(orbit / "acquisition_plan" / name) for name in plans],
        **tracking,
    }
    return parse_settings({"satellite_tracking": tree}, "test")


def planned(
    settings: Settings,
    storage: LocalStorage,
    first: date,
    days: int = 1,
    now: datetime = NOW,
    archive: Archive | None = None,
) -> PlannedDays:
    asked = archive or Archive()
    return plan_overpasses(first, days, settings=settings, storage=storage, now=now, observe=asked)


def rows(passes: pd.DataFrame) -> list[tuple[str, str, str]]:
    return list(zip(passes["tile_id"], passes["satellite"], passes["source"], strict=True))


@pytest.mark.shared_data
def test_by_elements(shared_data: Path, storage: LocalStorage) -> None:
    """S2B, 13.9 days before the epoch of its nearest elements; the archive has 13:03:27 and 13:19:23."""
    archive = Archive()
    now = datetime(2025, 7, 31, tzinfo=UTC)
    found = planned(settings_of("tle", shared_data), storage, now.date(), now=now, archive=archive)
    assert rows(found.plan.passes) == [("30STF", "S2B", "tle"), ("24MUV", "S2B", "tle"), ("20EPT", "S2B", "tle")]
    late_s = found.plan.passes["overpass_time"] - pd.to_datetime(
        ["2025-07-31T11:11:11Z", "2025-07-31T13:03:27.058Z", "2025-07-31T13:19:22.930Z"], utc=True, format="ISO8601"
    )
    assert (late_s.dt.total_seconds().abs() < 15).all()
    assert archive.asked == []  # the archive has nothing to say of it
    assert ["S2A" in found.plan.notes[0], "S2C" in found.plan.notes[1], len(found.plan.notes)] == [True, True, 2]
    assert all("14 are allowed" in note for note in found.plan.notes)
    assert read_notes(storage, now.date()) == list(found.plan.notes)


@pytest.mark.shared_data
def test_elements_that_are_all_too_old_are_an_error_with_their_ages(shared_data: Path, storage: LocalStorage) -> None:
    with pytest.raises(InputError) as refused:
        planned(settings_of("tle", shared_data), storage, date(2025, 6, 20), 3)
    said = str(refused.value)
    assert said.startswith("satellite_tracking.tle_sources: ")
    for satellite, age in (("S2A", "41.5"), ("S2B", "41.5"), ("S2C", "80.2")):
        assert f"the elements of {satellite} nearest to 2025-06-20T00:00Z" in said
        assert f"{age} days away" in said
    assert storage.list("plan") == []


@pytest.mark.shared_data
def test_invented_elements_are_an_error_with_every_reason(shared_data: Path, storage: LocalStorage, tmp_path: Path) -> None:
    invented = pd.read_csv(shared_data / "orbit" / "sentinel2_tle_not_real.csv")
    folder = tmp_path / "invented"
    folder.mkdir()
    for number, row in enumerate(invented.itertuples()):
        (folder / f"{number:02d}.tle").write_text(f"{row.line1}\n{row.line2}\n")
    with pytest.raises(InputError) as refused:
        planned(settings_of("tle", tle_sources=[str(folder), str(tmp_path / "none")]), storage, date(2025, 7, 31))
    said = str(refused.value)
    assert len(invented) == 15
    assert said.count(" are refused (") == 15
    assert "none: cannot be read" in said


@pytest.mark.shared_data
def test_by_acquisition_plans(shared_data: Path, storage: LocalStorage) -> None:
    archive = Archive()
    found = planned(settings_of("acquisition_plan", shared_data), storage, PLANNED_DAY, 2, archive=archive)
    assert rows(found.by_day[PLANNED_DAY]) == [
        ("30STF", "S2B", "acquisition_plan"), ("24MUV", "S2B", "acquisition_plan"), ("20EPT", "S2B", "acquisition_plan")
    ]  # fmt: skip
    assert rows(found.by_day[PLANNED_DAY + timedelta(days=1)]) == [("31TCJ", "S2B", "acquisition_plan")]
    assert set(found.plan.passes["imaging"]) == {"planned"}
    assert archive.asked == []
    # Each day has the notes of that day.
    assert read_notes(storage, PLANNED_DAY) == [
        "no acquisition plan covers S2A from 2025-02-24 00:00 to 2025-02-25 00:00",
        "no acquisition plan covers S2C from 2025-02-24 15:00 to 2025-02-25 00:00",
    ]


@pytest.mark.shared_data
def test_real_products_are_in_the_plan_of_their_day(shared_data: Path, storage: LocalStorage) -> None:
    names = pd.read_csv(shared_data / "orbit" / "s2_product_names.csv")
    of_plan = names[names["date"].astype(str).str.startswith("201909")]
    assert len(of_plan) == 3
    file = shared_data / "orbit" / "acquisition_plan" / "Sentinel-2A_MP_ACQ_KML_20190912T120000_20190930T150000.kml"
    settings = settings_of("acquisition_plan", tiles=list(of_plan["tile"]), acquisition_plan_sources=[str(file)])
    for row in of_plan.itertuples():
        day = datetime.strptime(str(row.date), "%Y%m%d").replace(tzinfo=UTC).date()
        found = planned(settings, storage, day).by_day[day]
        [one] = found[found["tile_id"] == row.tile].itertuples()
        begun = pd.Timestamp(row.datatake_start, tz="UTC")
        assert (one.satellite, one.relative_orbit) == ("S2A", row.relative_orbit)
        assert timedelta(0) < one.overpass_time - begun < timedelta(minutes=27)  # the longest datatake


@pytest.mark.shared_data
def test_files_of_a_day(shared_data: Path, storage: LocalStorage) -> None:
    settings = settings_of("acquisition_plan", shared_data)
    found = planned(settings, storage, PLANNED_DAY, 2)
    assert set(found.keys) == {key for key in storage.list("plan") if "/cache/" not in key}
    pd.testing.assert_frame_equal(
        tables.read_table(storage, layout.plan(PLANNED_DAY), PLAN_SCHEMA), found.by_day[PLANNED_DAY]
    )
    collection = json.loads(storage.get(layout.plan_swaths(PLANNED_DAY)))
    assert collection["type"] == "FeatureCollection"
    assert {feature["properties"]["satellite"] for feature in collection["features"]} == {"S2B"}
    swaths = read_swaths(storage, PLANNED_DAY)
    assert len(swaths) == len(collection["features"]) > 0
    start, end = day_span(PLANNED_DAY)
    assert all(swath.start < end and swath.stop >= start for swath in swaths)
    # The passes of a tile lie within a swath of their satellite.
    for row in found.by_day[PLANNED_DAY].itertuples():
        assert any(s.start <= row.overpass_time <= s.stop and s.relative_orbit == row.relative_orbit for s in swaths)
    # Again: the same bytes.
    before = {key: storage.get(key) for key in found.keys}
    planned(settings, storage, PLANNED_DAY, 2)
    assert {key: storage.get(key) for key in found.keys} == before


def test_a_plan_that_was_there_is_replaced_also_by_an_empty_one(storage: LocalStorage) -> None:
    day = date(2025, 10, 12)
    archive = Archive(("30STF", "S2B", "2025-10-12T11:08:22.123Z"))
    settings = settings_of("backfill")
    assert len(planned(settings, storage, day, archive=archive).by_day[day]) == 1
    again = planned(settings, storage, day, archive=Archive())
    assert again.by_day[day].empty
    assert tables.read_table(storage, layout.plan(day), PLAN_SCHEMA).empty
    assert read_notes(storage, day) == []
    assert read_swaths(storage, day) == ()


def test_backfill_asks_for_months_in_parts(storage: LocalStorage) -> None:
    archive = Archive(("30STF", "S2B", "2025-10-12T11:08:22.123Z"), ("30STF", "S2B", "2025-11-21T11:08:22.123Z"))
    found = planned(settings_of("backfill"), storage, date(2025, 10, 1), 70, archive=archive)
    assert [(start, end) for _, start, end in archive.asked] == [
        (day_span(date(2025, 10, 1))[0], day_span(date(2025, 11, 1))[0]),
        (day_span(date(2025, 11, 1))[0], day_span(date(2025, 12, 2))[0]),
        (day_span(date(2025, 12, 2))[0], day_span(date(2025, 12, 10))[0]),
    ]
    assert set(archive.asked[0][0]) == set(TILES)
    assert found.requests == 6
    assert len(found.plan.passes) == 2
    assert len(found.by_day) == 70
    assert found.plan.notes == ()


def test_less_than_a_day_is_a_mistake(storage: LocalStorage) -> None:
    with pytest.raises(ValueError, match="0 days"):
        planned(settings_of("backfill"), storage, PLANNED_DAY, 0)


def test_no_acquisition_plan_at_all_is_an_error_that_says_why(storage: LocalStorage, tmp_path: Path) -> None:
    poem = tmp_path / "poem.kml"
    poem.write_text("shall I compare thee")
    settings = settings_of("acquisition_plan", acquisition_plan_sources=[str(poem), "http://plans.example/x"])
    with pytest.raises(InputError) as refused:
        planned(settings, storage, PLANNED_DAY)
    assert "poem.kml" in str(refused.value)
    assert "http://plans.example/x: plain http:// only to this machine" in str(refused.value)


@pytest.mark.shared_data
def test_plans_of_another_time_are_an_error_and_change_nothing(shared_data: Path, storage: LocalStorage) -> None:
    with pytest.raises(InputError) as refused:
        planned(settings_of("acquisition_plan", shared_data), storage, date(2025, 6, 20), 3)
    assert "the plans of S2B are of 2025-02-13 to 2025-03-03; the plans of S2C" in str(refused.value)
    assert "that cover 2025-06-20 to 2025-06-23" in str(refused.value)
    assert storage.list("plan") == []


@pytest.mark.parametrize("source", ["tle", "acquisition_plan"])
def test_a_source_without_sources_is_said_to_be_so(storage: LocalStorage, source: str) -> None:
    settings = settings_of(source, tle_sources=[], acquisition_plan_sources=[])
    with pytest.raises(InputError, match="no source is configured"):
        planned(settings, storage, PLANNED_DAY)


@pytest.mark.parametrize(("first", "days"), [(date(1, 1, 1), 1), (date(2015, 6, 22), 3), (date(9999, 12, 31), 1)])
def test_days_without_a_satellite_are_refused(storage: LocalStorage, first: date, days: int) -> None:
    with pytest.raises(InputError, match="days from 2015-06-23 to 2099-12-31"):
        planned(settings_of("backfill"), storage, first, days)


@pytest.mark.shared_data
def test_a_satellite_that_is_named_twice_is_planned_once(shared_data: Path, storage: LocalStorage) -> None:
    day = date(2025, 7, 31)
    once, twice = (planned(settings_of("tle", shared_data, satellites=s), storage, day) for s in (["S2B"], ["S2B"] * 2))
    pd.testing.assert_frame_equal(once.plan.passes, twice.plan.passes)
    assert len(once.plan.passes) == 3


S2A_BEFORE = ("30STF", "S2A", "2025-02-04T11:11:20.000Z"), ("30STF", "S2A", "2025-02-14T11:11:21.500Z")
"""Ten days and twenty before PLANNED_DAY."""


@pytest.mark.shared_data
def test_auto_takes_each_satellite_from_its_best_source(shared_data: Path, storage: LocalStorage) -> None:
    archive = Archive(*S2A_BEFORE)
    found = planned(settings_of("auto", shared_data), storage, PLANNED_DAY, archive=archive)
    assert rows(found.plan.passes) == [
        ("30STF", "S2A", "repeat_cycle"),
        ("30STF", "S2B", "acquisition_plan"),
        ("24MUV", "S2B", "acquisition_plan"),
        ("20EPT", "S2B", "acquisition_plan"),
    ]
    assert found.plan.passes.iloc[0]["overpass_time"] == pd.Timestamp("2025-02-24T11:11:21.500Z")
    [(_, start, end)] = archive.asked
    assert (start, end) == (NOW - LOOK_BACK, NOW)
    assert found.requests == 2
    assert found.plan.notes == (
        "S2A: no acquisition plan or fresh elements from 2025-02-24 00:00 to 2025-02-25 00:00",
        (
            "S2C: no acquisition plan or fresh elements from 2025-02-24 15:00 to 2025-02-25 00:00, "
            "and no scene in the archive that could repeat: nothing is planned"
        ),
    )


@pytest.mark.shared_data
def test_auto_does_not_ask_the_archive_when_the_days_to_come_are_covered(shared_data: Path, storage: LocalStorage) -> None:
    archive = Archive()
    settings = settings_of("auto", shared_data, satellites=["S2B"])
    found = planned(settings, storage, PLANNED_DAY, 3, archive=archive)
    assert set(found.plan.passes["source"]) == {"acquisition_plan"}
    assert archive.asked == []
    assert found.plan.notes == ()


@pytest.mark.shared_data
def test_auto_says_of_a_day_where_sources_contradict(shared_data: Path, storage: LocalStorage) -> None:
    """S2B over 30STF on 02-24 is planned for 11:21:07; the archive saw it 100 s later the last times."""
    late = (("30STF", "S2B", "2025-02-04T11:22:47.000Z"), ("30STF", "S2B", "2025-02-14T11:22:47.000Z"))
    found = planned(settings_of("auto", shared_data), storage, PLANNED_DAY, 2, archive=Archive(*late))
    [contradiction] = [note for note in read_notes(storage, PLANNED_DAY) if "differ" in note]
    assert contradiction.startswith("S2B: ESA's plan and the repeat cycle differ by more than their errors in 1 of 1 passes")
    assert "by 99 s at worst (30STF, 2025-02-24 11:21:0" in contradiction
    assert contradiction in found.plan.notes
    assert [note for note in read_notes(storage, PLANNED_DAY + timedelta(days=1)) if "differ" in note] == []
    assert list(found.by_day[PLANNED_DAY].query("tile_id == '30STF'")["source"]) == ["acquisition_plan"]


@pytest.mark.shared_data
def test_a_past_day_is_what_the_archive_has(shared_data: Path, storage: LocalStorage) -> None:
    seen = ("30STF", "S2B", "2025-02-24T11:21:05.750Z")
    settings = settings_of("auto", shared_data, satellites=["S2B"])
    # On the day after, what the archive does not have yet is still expected.
    archive = Archive(seen)
    soon = planned(settings, storage, PLANNED_DAY, now=datetime(2025, 2, 25, 6, tzinfo=UTC), archive=archive)
    assert rows(soon.plan.passes) == [
        ("30STF", "S2B", "backfill"), ("24MUV", "S2B", "acquisition_plan"), ("20EPT", "S2B", "acquisition_plan")
    ]  # fmt: skip
    assert archive.asked == [(tuple(sorted(TILES)), *day_span(PLANNED_DAY))]
    exact = soon.plan.passes.iloc[0]
    assert exact["overpass_time"] == pd.Timestamp(seen[2])
    assert (exact["time_sigma_s"], exact["relative_orbit"], exact["absolute_orbit"]) == (0, 137, 41633)
    # After lag_days it was not imaged.
    later = planned(settings, storage, PLANNED_DAY, now=datetime(2025, 2, 28, 6, tzinfo=UTC), archive=archive)
    assert rows(later.plan.passes) == [("30STF", "S2B", "backfill")]
    assert "2 passes were foretold that the archive does not have: not imaged" in read_notes(storage, PLANNED_DAY)


@pytest.mark.shared_data
def test_auto_goes_on_without_the_archive_but_not_without_everything(shared_data: Path, storage: LocalStorage) -> None:
    archive = Archive()
    archive.fails = True
    found = planned(settings_of("auto", shared_data), storage, PLANNED_DAY, archive=archive)
    assert len(found.plan.passes) == 3
    assert "STAC service https://archive.example: no answer" in found.plan.notes
    with pytest.raises(InputError) as refused:
        planned(settings_of("auto"), storage, PLANNED_DAY, archive=archive)
    for what in ("sentinel2_tle_history.tle: cannot be read", ".kml: cannot be read", "archive.example"):
        assert what in str(refused.value)


def test_auto_lives_on_the_repeat_cycle_when_nothing_else_is_there(storage: LocalStorage) -> None:
    found = planned(settings_of("auto"), storage, PLANNED_DAY, archive=Archive(*S2A_BEFORE))
    assert rows(found.plan.passes) == [("30STF", "S2A", "repeat_cycle")]
    assert sum("cannot be read" in note for note in found.plan.notes) == 3


@pytest.mark.shared_data
def test_a_pass_by_elements_that_was_imaged_ten_days_before_is_expected(shared_data: Path, storage: LocalStorage) -> None:
    """S2B over 30STF on 2025-07-31, and on 07-11 and 07-21 in the archive."""
    seen = (("30STF", "S2B", "2025-07-11T11:11:14.000Z"), ("30STF", "S2B", "2025-07-21T11:11:13.000Z"))
    now = datetime(2025, 7, 28, tzinfo=UTC)
    settings = settings_of("auto", shared_data, acquisition_plan_sources=[])
    found = planned(settings, storage, date(2025, 7, 31), now=now, archive=Archive(*seen)).plan.passes
    imaging = dict(zip(found["tile_id"], found["imaging"], strict=True))
    assert imaging == {"30STF": "expected", "24MUV": "unknown", "20EPT": "unknown"}
    assert set(found["source"]) == {"tle"}
