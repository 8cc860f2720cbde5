"""A plan as CSV and back."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s2chips_core import tables
from s2chips_core.errors import InputError
from s2chips_core.overpasses.plan import PLAN_SCHEMA, build_passes
from s2chips_core.overpasses.schedule import IMAGING, SATELLITES, format_schedule, parse_schedule, read_schedule
from tests.reliability import often

HEADER = ",".join(PLAN_SCHEMA.names)
ROW = (
    "30STF,S2B,137,41633,2025-02-24T11:21:07.648000Z,2025-02-24T11:16:07.648000Z,2025-02-24T11:26:07.648000Z,"
    "4.0,planned,acquisition_plan,2025-02-13T12:00:00.000000Z"
)


def test_the_text() -> None:
    plan = parse_schedule(f"{HEADER}\n{ROW}\n", "x.csv")
    assert format_schedule(plan) == f"{HEADER}\n{ROW}\n"
    assert format_schedule(tables.empty(PLAN_SCHEMA)) == f"{HEADER}\n"
    assert parse_schedule(f"{HEADER}\n", "x.csv").empty


times = st.integers(0, 3_000_000_000).map(lambda ms: datetime(2025, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms))
orbits = st.none() | st.integers(1, 99_999)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["01CCV", "30STF", "60XWR"]),
            st.sampled_from(SATELLITES),
            orbits,
            orbits,
            times,
            st.floats(0, 1e6),
            st.sampled_from(IMAGING),
            st.sampled_from(["tle", "backfill", "repeat_cycle", "acquisition_plan"]),
            st.none() | times,
        ),
        unique_by=lambda row: (row[0], row[1], row[4]),
        max_size=8,
    ),
    st.floats(0.1, 60),
)
def test_any_plan_comes_back(rows: list[tuple[object, ...]], window_min: float) -> None:
    columns = ["tile_id", "satellite", "relative_orbit", "absolute_orbit", "overpass_time", "time_sigma_s", "imaging"]
    frame = pd.DataFrame(rows, columns=[*columns, "source", "source_epoch"])
    frame["overpass_time"] = pd.to_datetime(frame["overpass_time"], utc=True)
    plan = build_passes(frame, window_min) if rows else tables.empty(PLAN_SCHEMA)
    pd.testing.assert_frame_equal(parse_schedule(format_schedule(plan), "x.csv"), plan)


def test_a_schedule_written_by_hand(tmp_path: Path) -> None:
    """Byte order mark, columns in another order and one more, blanks, a short tile name, times without seconds or offset."""
    file = tmp_path / "schedule.csv"
    file.write_text(
        "\ufeffnote, satellite ,tile_id,window_start,overpass_time,window_end,time_sigma_s,imaging,source,relative_orbit\n"
        "late,S2C,30STF,2025-10-27T11:14,2025-10-27 11:19:30,2025-10-27T12:24:30+01:00,1,expected,hand,137.0\n"
        "\n"
        "early, S2B ,1CCV,2025-10-27T10:14Z,2025-10-27T10:19Z,2025-10-27T10:24Z,1,expected,hand,\n",
        encoding="utf-8",
    )
    plan = read_schedule(file)
    assert list(plan["tile_id"]) == ["01CCV", "30STF"]
    assert list(plan["satellite"]) == ["S2B", "S2C"]
    late = plan.iloc[1]
    assert late["overpass_time"] == pd.Timestamp("2025-10-27T11:19:30Z")
    assert late["window_end"] == pd.Timestamp("2025-10-27T11:24:30Z")
    assert late["relative_orbit"] == 137
    assert pd.isna(late["absolute_orbit"])
    assert pd.isna(late["source_epoch"])


def test_what_a_spreadsheet_saves_can_be_read(tmp_path: Path) -> None:
    """CR LF at the end of lines and quotes around cells."""
    file = tmp_path / "schedule.csv"
    quoted = ",".join(f'"{cell}"' for cell in ROW.split(","))
    file.write_bytes(f"{HEADER}\r\n{quoted}\r\n".encode())
    assert len(read_schedule(file)) == 1


@pytest.mark.parametrize("separator", [";", "\t"])
def test_a_spreadsheet_of_another_country_writes_other_separators(separator: str) -> None:
    cells = dict(zip(PLAN_SCHEMA.names, ROW.split(","), strict=True)) | {"time_sigma_s": "1,25"}
    text = f"{HEADER.replace(',', separator)}\r\n{separator.join(cells.values())}\r\n"
    [row] = parse_schedule(text, "x.csv").itertuples()
    assert (row.tile_id, row.time_sigma_s) == (cells["tile_id"], 1.25)


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("tile_id", "30SIF", "expected an MGRS tile such as 30STF"),
        ("tile_id", "", "expected an MGRS tile such as 30STF"),
        ("satellite", "S2D", "one of S2A, S2B, S2C"),
        ("relative_orbit", "94.5", "a whole number, or nothing"),
        ("absolute_orbit", "-1", "a whole number, or nothing"),
        ("overpass_time", "27.10.2025 11:19", "a time such as"),
        ("overpass_time", "2025-02-24", "a time such as"),
        ("overpass_time", "2025-02-24T11:31:07Z", "one after the other"),
        ("window_start", "", "a time such as"),
        ("window_end", "1997-02-24T11:26:07Z", "of the years 2015 to 2100"),
        ("time_sigma_s", "-1", "a number of seconds from 0"),
        ("time_sigma_s", "nan", "a number of seconds from 0"),
        ("time_sigma_s", "few", "a number of seconds"),
        ("imaging", "", "one of planned, expected, unknown"),
        ("source", "", "what said so"),
        ("source_epoch", "never", "a time such as"),
    ],
)
def test_a_bad_cell_is_told_with_its_row_and_column(column: str, value: str, said: str) -> None:
    cells = dict(zip(PLAN_SCHEMA.names, ROW.split(","), strict=True)) | {column: value}
    with pytest.raises(InputError, match=re.escape(said)) as refused:
        parse_schedule(f"{HEADER}\n{ROW}\n{','.join(cells.values())}\n", "x.csv")
    assert str(refused.value).startswith("x.csv: row 3, ")
    assert column in refused.value.where


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "among them tile_id"),
        ("tile_id,satellite\n30STF,S2B\n", "among them tile_id"),
        (f"{HEADER},tile_id\n", "each once"),
        (f"{HEADER}\n{ROW},more\n", "row 2: got '12 cells', expected 11"),
        (f"{HEADER}\n{ROW[:20]}\n", "row 2: got "),
        (f'{HEADER}\n"30STF\n', "row 2"),
    ],
)
def test_a_text_that_is_no_schedule_is_refused(text: str, said: str) -> None:
    with pytest.raises(InputError, match=re.escape(said)):
        parse_schedule(text, "x.csv")


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    latin = tmp_path / "latin.csv"
    latin.write_bytes(f"{HEADER}\n".encode() + b"\xff")
    for path, said in ((tmp_path / "none.csv", "a readable CSV file"), (tmp_path, "CSV"), (latin, "UTF-8")):
        with pytest.raises(InputError, match=said):
            read_schedule(path)


@pytest.mark.parametrize("source", ["=HYPERLINK(1)", "+1", "-1", "@SUM(A1)", "x" * 101, "a\0b", "a\u202eb", ""])
def test_a_source_that_is_no_name_is_refused(source: str) -> None:
    with pytest.raises(InputError, match=r"row 2, source"):
        parse_schedule(f"{HEADER}\n{ROW.replace('acquisition_plan', source)}\n", "x.csv")


@settings(max_examples=often(200, 5000), deadline=None)
@given(
    st.text(max_size=100)
    | st.lists(
        st.tuples(
            st.integers(0, 10),
            st.sampled_from(["", "\0", "9" * 400, "NaN", "inf", "-1", "../x", "\ud800", "0001-01-01T00:00Z"]),
        ),
        max_size=3,
    )
)
def test_any_text_is_a_plan_or_refused(change: str | list[tuple[int, str]]) -> None:
    text = change
    if not isinstance(change, str):
        cells = ROW.split(",")
        for at, value in change:
            cells[at] = value
        text = f"{HEADER}\n{','.join(cells)}\n"
    try:
        parse_schedule(str(text), "x.csv")
    except InputError as error:
        str(error).encode()
