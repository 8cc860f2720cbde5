"""The days of the dataset: read from their tables, counted, and laid out in months."""

from collections.abc import Mapping
from datetime import date

import pandas as pd
import pytest

from s2chips_core import layout, tables
from s2chips_core.errors import SchemaError
from s2chips_core.index.outcomes import OUTCOME_SCHEMA, Outcome
from s2chips_core.pages.dataset_days import (
    Day,
    build_months,
    funnel_of_days,
    outcomes_of_days,
    read_days,
    shade,
    shade_steps,
)
from s2chips_core.storage import LocalStorage
from tests.pages.sample_dataset import make_dataset, write_dataset


def a_day(day: date, counts: Mapping[Outcome, int]) -> Day:
    return Day(day=day, counts={(outcome, False): n for outcome, n in counts.items()}, synthetic=0, page=None)


def test_days_are_read_with_their_pages_and_what_the_gate_refused(storage: LocalStorage) -> None:
    made = make_dataset(60, days=30)
    write_dataset(storage, made)
    with_page = min(made.outcomes)
    storage.put(layout.report(with_page), b"<html>")
    storage.put(layout.outcomes_part(with_page, "capture"), b"a part is no day")
    days, refused = read_days(storage)
    assert [day.day for day in days] == sorted(made.outcomes)
    assert {day.day: day.page for day in days if day.page} == {with_page: f"report_{layout.ymd(with_page)}.html"}
    everything = pd.concat(made.outcomes.values())
    assert sum(day.targets for day in days) == len(everything)
    assert outcomes_of_days(days) == everything["outcome"].value_counts().to_dict()
    gated = everything[everything["outcome"].isin(["gate_cloud", "gate_land", "gate_water", "nodata"])]
    assert len(refused) == len(gated) > 0
    assert refused["qa_cloud_frac"].sum() == pytest.approx(gated["qa_cloud_frac"].sum())


def test_no_days_are_no_trouble(storage: LocalStorage) -> None:
    days, refused = read_days(storage)
    assert days == []
    assert refused.empty
    assert [stage.count for stage in funnel_of_days(days)] == [0, 0, 0, 0]
    assert build_months(days) == []
    assert shade_steps(days) == (0, 0, 0)


def test_a_table_of_another_version_is_refused(storage: LocalStorage) -> None:
    frame = tables.empty(OUTCOME_SCHEMA).drop(columns="fingerprint")
    storage.put(layout.outcomes(date(2025, 10, 27)), tables.parquet_bytes(frame_table(frame)))
    with pytest.raises(SchemaError, match="fingerprint"):
        read_days(storage)


def frame_table(frame: pd.DataFrame) -> "tables.pa.Table":
    return tables.pa.Table.from_pandas(frame, preserve_index=False)


def test_over_the_cap_is_lost_where_the_scene_was_known_or_not() -> None:
    counts = {(Outcome.CHIPPED, True): 5, (Outcome.OVER_CAP, False): 3, (Outcome.OVER_CAP, True): 2}
    counts |= {(Outcome.GATE_CLOUD, True): 4, (Outcome.NO_SCENE, False): 6}
    day = Day(day=date(2025, 10, 27), counts=counts, synthetic=0, page=None)
    assert [stage.count for stage in funnel_of_days([day, day])] == [40, 22, 14, 10]
    assert (day.targets, day.chips, day.by_outcome[Outcome.OVER_CAP]) == (20, 5, 5)


def test_months_hold_every_date_once_in_its_weekday() -> None:
    days = [a_day(date(2025, 9, 30), {Outcome.CHIPPED: 2}), a_day(date(2025, 11, 1), {Outcome.NO_SCENE: 7})]
    months = build_months(days)
    assert [month.name for month in months] == ["September 2025", "November 2025"]
    assert [(month.chips, month.targets) for month in months] == [(2, 2), (0, 7)]
    for month, length in zip(months, (30, 30), strict=True):
        cells = [cell for week in month.weeks for cell in week if cell is not None]
        numbers = [cell.day.day if isinstance(cell, Day) else cell for cell in cells]
        assert numbers == list(range(1, length + 1))
        for week in month.weeks:
            for weekday, cell in enumerate(week):
                number = cell.day.day if isinstance(cell, Day) else cell
                assert number is None or date(month.year, month.month, number).weekday() == weekday


def test_days_are_shaded_by_the_quartiles() -> None:
    days = [a_day(date(2025, 10, n + 1), {Outcome.CHIPPED: n}) for n in range(9)]
    steps = shade_steps(days)
    assert [shade(day.chips, steps) for day in days] == [0, 1, 1, 2, 2, 3, 3, 4, 4]
