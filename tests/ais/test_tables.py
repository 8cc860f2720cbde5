"""AIS tables that people bring: every row comes back, good or with its reason."""

import csv
import gzip
import io
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import get_args

import numpy as np
import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s2chips_core import tables
from s2chips_core.ais import tables as ais_tables
from s2chips_core.ais.snapshots import write_snapshots
from s2chips_core.ais.synthetic import synthetic_fixes
from s2chips_core.ais.tables import ABCD, COLUMN_ALIASES, read_ais_table
from s2chips_core.ais.targets import DIMENSIONS, TARGET_SCHEMA
from s2chips_core.errors import InputError
from s2chips_core.overpasses.tile_grid import tile_area
from s2chips_core.sections import AisColumn
from s2chips_core.storage import LocalStorage

NOW = datetime(2026, 3, 30, 12, 0, 0, 500_000, tzinfo=UTC)


def _read(text: str | bytes, filename: str = "ships.csv") -> pd.DataFrame:
    return read_ais_table(text.encode() if isinstance(text, str) else text, filename, now=NOW, source_id="file-abc")


def _xlsx(*rows: list[object]) -> bytes:
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    sink = io.BytesIO()
    book.save(sink)
    return sink.getvalue()


def _csv(*rows: list[object], delimiter: str = ",") -> bytes:
    sink = io.StringIO(newline="")
    csv.writer(sink, delimiter=delimiter).writerows(rows)
    return sink.getvalue().encode()


def _reason(cells: str, header: str = "mmsi,lat,lon,overpass_time") -> str | None:
    reason: str | None = _read(f"{header}\n{cells}\n")["invalid_reason"][0]
    return reason


# --- the contract's own example


def test_the_example_of_the_guide() -> None:
    targets = _read(
        "mmsi,lat,lon,overpass_time\n"
        "244660123,36.1251,-5.4302,2025-10-27T10:27:00Z\n"
        "244660124,36.2104,-5.3566,2025-10-27T10:28:30Z\n"
    )
    assert tables.conform(targets, TARGET_SCHEMA, "targets").num_rows == 2
    first = targets.iloc[0]
    assert (first["mmsi"], first["ais_lat"], first["ais_lon"]) == (244660123, 36.1251, -5.4302)
    assert first["ais_time"] == first["overpass_time"] == pd.Timestamp("2025-10-27T10:27:00Z")
    assert (first["ais_source"], first["position_mode"], first["source_id"]) == ("file", "as_reported", "file-abc")
    assert first["row_number"] == 2
    assert not first["time_inferred"]
    assert targets["invalid_reason"].isna().all()
    assert targets["target_id"].tolist() == ["row-2", "row-3"]


def test_all_optional_columns_and_case_and_spaces() -> None:
    row = _read(
        " MMSI ,LAT, Lon,Overpass_Time,captured_time,source,notes,SOG,COG,Heading,Ship_Type,Length,WIDTH\n"
        "244660123,36.1,-5.4,2025-10-27T10:27:00Z,2025-10-27T10:26:11.5Z,me,hello,12.3,45.6,47,Cargo,120,20\n"
    ).iloc[0]
    assert row["overpass_time"] == pd.Timestamp("2025-10-27T10:27:00Z")
    assert row["ais_time"] == pd.Timestamp("2025-10-27T10:26:11.500Z")
    assert (row["sog_kn"], row["cog_deg"], row["heading_deg"]) == (12.3, 45.6, 47.0)
    assert (row["ship_type"], row["length_m"], row["width_m"]) == ("Cargo", 120.0, 20.0)


# --- times


@pytest.mark.parametrize(
    "text",
    [
        "2025-10-27T10:27:00Z",
        "2025-10-27T10:27:00",
        "2025-10-27 10:27:00",
        "2025-10-27T12:27:00+02:00",
        "2025-10-27T10:27Z",
        "2025-10-27T10:27:00.000000000Z",
        "2025-10-27 10:27:00 +0000 UTC",
        "2025-10-27 10:27:00 UTC",
        "20251027T102700Z",
        "2025-10-27t10:27:00z",
        "2025-10-27 05:27:00-05:00",
    ],
)
def test_iso_times_with_and_without_offset(text: str) -> None:
    row = _read(f"mmsi,lat,lon,overpass_time\n244660123,36,-5,{text}\n").iloc[0]
    assert row["invalid_reason"] is None
    assert row["ais_time"] == pd.Timestamp("2025-10-27T10:27:00Z")


@pytest.mark.parametrize(
    "text",
    [
        "soon",
        "27/10/2025 10:27:00",
        "10/27/2025",
        "45957.4",
        "1761560820",
        "2025-13-01T00:00:00Z",
        "2025-02-30",
        "2025-02-29T12:00:00Z",
        "2016-12-31T23:59:60Z",
        "2025",
        "9999-01-01",
        "0001-01-01",
    ],
)
def test_what_is_no_iso_time_is_a_bad_row(text: str) -> None:
    reason = _reason(f"244660123,36,-5,{text}")
    assert reason is not None
    assert reason.startswith(f"row 2: overpass_time {text!r} is no time (ISO 8601")


def test_a_missing_time_is_now_row_by_row() -> None:
    targets = _read("mmsi,lat,lon,overpass_time\n244660123,36,-5,\n244660123,36,-5,2025-10-27\n244660123,36,-5,NaN\n")
    assert targets["time_inferred"].tolist() == [True, False, True]
    assert targets["ais_time"].tolist() == [pd.Timestamp(NOW), pd.Timestamp("2025-10-27", tz="UTC"), pd.Timestamp(NOW)]
    assert _read("mmsi,lat,lon\n244660123,36,-5\n")["time_inferred"].tolist() == [True]


def test_now_in_another_zone_is_the_same_moment() -> None:
    there = NOW.astimezone(timezone(timedelta(hours=9)))
    targets = read_ais_table(b"mmsi,lat,lon\n244660123,36,-5\n", "a.csv", now=there, source_id="x")
    assert targets["ais_time"][0] == pd.Timestamp(NOW)


def test_a_captured_time_is_when_the_position_was_and_no_overpass_time() -> None:
    row = _read("mmsi,lat,lon,captured_time\n244660123,36,-5,2025-10-27T10:27:00Z\n").iloc[0]
    assert row["ais_time"] == pd.Timestamp("2025-10-27T10:27:00Z")
    assert row["overpass_time"] == pd.Timestamp(NOW)
    assert row["time_inferred"]


@pytest.mark.parametrize(
    "cell",
    [datetime(2025, 10, 27, 10, 27), "2025-10-27T10:27:00Z", 45957 + (10 * 60 + 27) / 1440, "2025-10-27 10:27:00"],  # noqa: DTZ001
)
def test_times_in_spreadsheets(cell: object) -> None:
    row = _read(_xlsx(["mmsi", "lat", "lon", "overpass_time"], [244660123, 36.0, -5.0, cell]), "ships.xlsx").iloc[0]
    assert row["ais_time"] == pd.Timestamp("2025-10-27T10:27:00Z")


def test_days_in_spreadsheets_are_midnight_and_small_numbers_are_no_time() -> None:
    targets = _read(
        _xlsx(["mmsi", "lat", "lon", "overpass_time"], [244660123, 36, -5, date(2025, 10, 27)], [244660123, 36, -5, 12])
    )
    assert targets["ais_time"][0] == pd.Timestamp("2025-10-27", tz="UTC")
    assert targets["invalid_reason"][1].startswith("row 3: overpass_time 12 is no time")


# --- numbers


@pytest.mark.parametrize("cell", ["244660123.0", "2.44660123E8", " 244660123 ", "'244660123", 244660123.0, 244660123])
def test_mmsi_in_every_disguise(cell: object) -> None:
    for data in (_csv(["mmsi", "lat", "lon"], [cell, 1, 2]), _xlsx(["mmsi", "lat", "lon"], [cell, 1, 2])):
        targets = _read(data)
        assert targets["mmsi"].tolist() == [244660123]
        assert targets["invalid_reason"][0] is None


def test_decimal_commas() -> None:
    row = _read(_csv(["mmsi", "lat", "lon"], ["244660123", "36,1251", "-5,4302"], delimiter=";")).iloc[0]
    assert (row["ais_lat"], row["ais_lon"]) == (36.1251, -5.4302)
    assert _read('mmsi,lat,lon\n244660123,"36,5","−5,5"\n')["ais_lon"][0] == -5.5


def test_not_available_and_unreadable_extras_are_null() -> None:
    targets = _read(
        "mmsi,lat,lon,sog,cog,heading,length,width,ship_type,name\n"
        "244660123,1,2,102.3,360,511,0,-3,Undefined,@@@@\n"
        "244660123,1,2,fast,north,,unknown,x,70,EVER GIVEN@@@\n"
    )
    assert targets["invalid_reason"].isna().all()
    assert targets[["sog_kn", "cog_deg", "heading_deg", "length_m", "width_m"]].isna().all().all()
    assert targets["ship_type"].tolist() == [None, "Cargo"]
    assert targets["ship_name"].tolist() == [None, "EVER GIVEN"]


# --- bad rows


@pytest.mark.parametrize(
    ("cells", "says"),
    [
        (",36,-5,", "mmsi is missing"),
        ("ship,36,-5,", "mmsi 'ship' is no whole number"),
        ("244660123.5,36,-5,", "is no whole number"),
        ("2190064,36,-5,", "base station"),
        ("244660123,,-5,", "lat is missing"),
        ("244660123,north,-5,", "lat 'north' is no number"),
        ("244660123,inf,-5,", "lat 'inf' is no number"),
        ("244660123,1_0,-5,", "lat '1_0' is no number"),
        ("244660123,91,181,", "lat 91 is what AIS sends when it does not know; lon 181 is what AIS sends"),
        ("244660123,-90.5,0,", "lat -90.5 is not within ±90"),
        ("244660123,0,180.01,", "lon 180.01 is not within ±180"),
        ("244660123,36,-5,2025-10-27,1,2", "has 6 cells where the header has 4"),
        ("244660123,36", "lon is missing"),
    ],
)
def test_bad_rows_say_why(cells: str, says: str) -> None:
    reason = _reason(cells)
    assert reason is not None
    assert reason.startswith("row 2: ")
    assert says in reason


def test_bad_rows_keep_their_number_and_good_ones_go_on() -> None:
    targets = _read("mmsi,lat,lon\n244660123,1,2\n\nx,1,2\n244660124,3,4\n244660124,3,4\n")
    assert targets["row_number"].tolist() == [2, 4, 5, 6]
    assert targets["invalid_reason"].notna().tolist() == [False, True, False, False]
    assert targets["target_id"].is_unique
    assert pd.isna(targets["mmsi"][1])


def test_a_file_of_one_bad_row_or_none_is_still_a_table() -> None:
    assert len(_read("mmsi,lat,lon\n")) == 0
    assert _read("mmsi,lat,lon\nx,y,z\n")["ais_lat"].isna().all()


# --- files that are no AIS table


def test_a_missing_column_names_what_is_there_and_what_is_expected() -> None:
    with pytest.raises(InputError) as error:
        _read("mmsi,breitengrad,lon\n1,2,3\n", "boats.csv")
    for part in ("boats.csv", "breitengrad", "mmsi, lat, lon"):
        assert part in str(error.value)


def test_a_column_twice_is_refused() -> None:
    with pytest.raises(InputError, match="two columns for lat"):
        _read("mmsi,lat,LAT ,lon\n1,2,3,4\n")


@pytest.mark.parametrize("data", [b"", b"hello", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"\n\n"])
def test_no_table(data: bytes) -> None:
    with pytest.raises(InputError, match="boats"):
        _read(data, "boats.xlsx")


# --- names of columns


@pytest.mark.parametrize(
    ("column", "alias"), [(c, a) for c, aliases in COLUMN_ALIASES.items() for a in aliases if a not in ABCD]
)
def test_every_alias_is_read_and_the_contracts_name_wins(column: str, alias: str) -> None:
    values = {"mmsi": "244660123", "lat": "1", "lon": "2"} | {column: "11"}
    values["overpass_time"] = values["captured_time"] = "2025-10-27T10:27:00"
    cells = {k: v for k, v in values.items() if k in ("mmsi", "lat", "lon", column)}
    value = {"# timestamp": "27/10/2025 10:27:00", "timestampexternal": "1761560820000"}.get(alias, cells[column])
    renamed = {(alias if k == column else k): (value if k == column else v) for k, v in cells.items()}
    both = {alias: "77"} | cells
    by_name = _read(_csv(list(cells), list(cells.values())))
    pd.testing.assert_frame_equal(_read(_csv(list(renamed), list(renamed.values()))), by_name)
    pd.testing.assert_frame_equal(_read(_csv(list(both), list(both.values()))), by_name)


def test_synthetic_rows_stay_synthetic() -> None:
    targets = _read("mmsi,lat,lon,source\n244660123,1,2,synthetic\n244660123,1,2,aisstream\n")
    assert targets["ais_source"].tolist() == ["synthetic", "file"]


# --- round trips


_ROW = st.tuples(
    st.integers(201_000_000, 775_999_999),
    st.floats(-90, 90),
    st.floats(-180, 180),
    st.datetimes(datetime(2015, 6, 23), datetime(2040, 1, 1)),  # noqa: DTZ001
    st.floats(0, 50) | st.none(),
)


@given(rows=st.lists(_ROW, max_size=20), delimiter=st.sampled_from([",", ";", "\t"]), comma=st.booleans())
@settings(max_examples=60, deadline=None)
def test_csv_round_trip(rows: list[tuple[int, float, float, datetime, float | None]], delimiter: str, comma: bool) -> None:
    def number(value: float) -> str:
        return repr(value).replace(".", ",") if comma else repr(value)

    lines = [[m, number(y), number(x), t.isoformat(), "" if s is None else number(s)] for m, y, x, t, s in rows]
    _check(_read(_csv(["mmsi", "lat", "lon", "overpass_time", "sog"], *lines, delimiter=delimiter)), rows)


@given(rows=st.lists(_ROW, max_size=10), as_text=st.booleans())
@settings(max_examples=25, deadline=None)
def test_xlsx_round_trip(rows: list[tuple[int, float, float, datetime, float | None]], as_text: bool) -> None:
    lines = [[m, y, x, t.isoformat() if as_text else t, s] for m, y, x, t, s in rows]
    if as_text:
        lines = [[None if cell is None else str(cell) for cell in line] for line in lines]
    _check(_read(_xlsx(["mmsi", "lat", "lon", "overpass_time", "sog"], *lines)), rows)


def _check(targets: pd.DataFrame, rows: list[tuple[int, float, float, datetime, float | None]]) -> None:
    assert targets["invalid_reason"].isna().all()
    assert targets["row_number"].tolist() == list(range(2, len(rows) + 2))
    assert targets["mmsi"].tolist() == [r[0] for r in rows]
    np.testing.assert_allclose(targets["ais_lat"].to_numpy(), [r[1] for r in rows], rtol=1e-14)
    np.testing.assert_allclose(targets["ais_lon"].to_numpy(), [r[2] for r in rows], rtol=1e-14)
    for got, row in zip(targets["ais_time"], rows, strict=True):
        assert abs(got - pd.Timestamp(row[3], tz="UTC")) <= pd.Timedelta(milliseconds=1)  # Excel's days are floats
    np.testing.assert_allclose(targets["sog_kn"].to_numpy(), [np.nan if r[4] is None else r[4] for r in rows], rtol=1e-14)


@given(st.binary(max_size=300))
@settings(max_examples=200, deadline=None)
def test_any_bytes_give_targets_or_an_input_error(data: bytes) -> None:
    try:
        targets = _read(b"mmsi,lat,lon,overpass_time\n" + data)
    except InputError:
        return
    good = targets[targets["invalid_reason"].isna()]
    assert good[["mmsi", "ais_lat", "ais_lon", "ais_time"]].notna().all().all()


def test_a_number_that_many_rows_say_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[object] = []
    number = ais_tables._number
    monkeypatch.setattr(ais_tables, "_number", lambda cell: read.append(cell) or number(cell))
    line = "244660123,36.1,-5.4,2025-10-27T10:27:00Z,12.3,45.6,47,Cargo,120,20\n"
    text = "mmsi,lat,lon,overpass_time,sog,cog,heading,ship_type,length,width\n" + line * 2_000
    assert len(_read(text)) == 2_000
    assert len(read) < 20


def test_numbers_that_are_equal_but_not_alike_are_told_apart() -> None:
    assert np.isnan(ais_tables._numbers([1, True, "1", 1.0, None, "1"])).tolist() == [False, True, False, False, True, False]


# --- real tables


@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("path", "rows", "lat", "lon", "when", "bad"),
    [
        ("ais/marinecadastre_20230111_first1000.csv", 1000, "LAT", "LON", "BaseDateTime", 2),
        ("ais/dma_aisdk_20260426_first20000.csv.gz", 19_999, "Latitude", "Longitude", "# Timestamp", 2248),
        ("ais/aisstream/snapshot_20260330.csv", 1710, "lat", "lon", "timestamp", 362),
        ("archive-32VPH/ais.csv", 227, "lat", "lon", "overpass_time", 3),
    ],
)
def test_real_tables_are_read_with_every_row_accounted_for(
    shared_data: Path, path: str, rows: int, lat: str, lon: str, when: str, bad: int
) -> None:
    """Held against pandas' own reading of the file."""
    file = shared_data / path
    raw = pd.read_csv(file, dtype=str, keep_default_na=False)
    targets = _read(file.read_bytes(), file.name)
    assert len(raw) == len(targets) == rows
    assert targets["row_number"].tolist() == list(range(2, rows + 2))
    assert targets["mmsi"].tolist() == pd.to_numeric(raw[next(c for c in raw if c.lower() == "mmsi")]).tolist()
    good = targets["invalid_reason"].isna()
    assert (~good).sum() == bad
    np.testing.assert_allclose(targets["ais_lat"][good], pd.to_numeric(raw[lat][good]), rtol=1e-15)
    np.testing.assert_allclose(targets["ais_lon"][good], pd.to_numeric(raw[lon][good]), rtol=1e-15)
    first = int(np.flatnonzero(good)[0])
    written = raw[when][first]
    form = "%d/%m/%Y %H:%M:%S" if "/" in written else "%Y-%m-%d %H:%M:%S"
    expected = datetime.strptime(written[:19].replace("T", " "), form).replace(tzinfo=UTC)
    assert abs(targets["ais_time"][first] - pd.Timestamp(expected)) < pd.Timedelta(seconds=1)
    assert targets["ais_time"].notna().all()


@pytest.mark.shared_data
def test_a_real_csv_saved_from_a_spreadsheet_reads_the_same(shared_data: Path) -> None:
    data = (shared_data / "archive-32VPH" / "ais.csv").read_bytes()
    rows = list(csv.reader(io.StringIO(data.decode(), newline="")))
    by_csv = _read(gzip.compress(data), "ais.csv.gz")
    pd.testing.assert_frame_equal(_read(_xlsx(*[list(row) for row in rows]), "ais.xlsx"), by_csv)


REAL_TABLES = {
    # file: (MMSI, latitude, longitude) as its own header has them
    "ais/dma_aisdk_20260426_first20000.csv.gz": ("MMSI", "Latitude", "Longitude"),
    "ais/positions_dma_20260426.parquet": ("mmsi", "lat", "lon"),
    "ais/positions_digitraffic_20250228.parquet": ("mmsi", "lat", "lon"),
    "ais/marinecadastre_20230111_first1000.csv": ("MMSI", "LAT", "LON"),
    "ais/aisstream/snapshot_20260330.csv": ("mmsi", "lat", "lon"),
}


def _raw(file: Path) -> pd.DataFrame:
    return pd.read_parquet(file) if file.suffix == ".parquet" else pd.read_csv(file)


def _counted_by_pandas(mmsi: "pd.Series[int]", lat: "pd.Series[float]", lon: "pd.Series[float]") -> dict[str, int]:
    """Rows by what is wrong with them, by the ranges of ITU-R M.585-9 and of latitude; a row may have two faults."""
    text = mmsi.map("{:09d}".format)
    faults = {
        "base station": text.str.startswith("00") & (mmsi >= 1_000_000),
        "group of ships": text.str.match("0[1-9]"),
        "aid to navigation": text.str.startswith("99"),
        "handheld radio": text.str.startswith("8"),
        "no ship's number": (~text.str[:3].astype(int).between(201, 775) & ~text.str.match("0|8|99")) | (mmsi < 1_000_000),
        "lat is missing": lat.isna(),
        "lon is missing": lon.isna(),
        "does not know": lat.eq(91) | lon.eq(181),
    }
    bad = pd.DataFrame(faults).any(axis=1)
    return {name: int(found.sum()) for name, found in faults.items()} | {"good": int((~bad).sum())}


@pytest.mark.shared_data
@pytest.mark.parametrize(("path", "titles"), REAL_TABLES.items())
def test_real_tables_count_as_pandas_counts_them(shared_data: Path, path: str, titles: tuple[str, str, str]) -> None:
    file = shared_data / path
    raw = _raw(file)
    expected = _counted_by_pandas(*(raw[title] for title in titles))
    targets = _read(file.read_bytes(), file.name)
    reasons = targets["invalid_reason"].fillna("")
    told = {name: int(reasons.str.contains(name, regex=False).sum()) for name in expected if name != "good"}
    assert told | {"good": int((reasons == "").sum())} == expected
    assert len(targets) == len(raw)
    assert expected["good"] > 0


@pytest.mark.shared_data
@pytest.mark.parametrize("path", REAL_TABLES)
def test_real_tables_under_titles_that_nobody_knows_read_the_same_once_they_are_named(shared_data: Path, path: str) -> None:
    """Every title is replaced; the mapping brings them back."""
    file = shared_data / path
    titles = list(_raw(file).columns)
    known = {alias: name for name, aliases in COLUMN_ALIASES.items() for alias in (name, *aliases)}
    strange = {title: f"Spalte {n}: {title[::-1]}" for n, title in enumerate(titles)}
    named = {known[t.strip().lower()]: strange[t] for t in titles if t.strip().lower() in known}
    # How times are written is known by the title of the column.
    strange |= {t: t for t in titles if t == "# Timestamp"}
    named |= {known[t.lower()]: t for t in titles if t == "# Timestamp"}
    if file.suffix == ".parquet":
        sink = io.BytesIO()
        pd.read_parquet(file).rename(columns=strange).to_parquet(sink)
        data = sink.getvalue()
    else:
        data = pd.read_csv(file, dtype=str, keep_default_na=False).rename(columns=strange).to_csv(index=False).encode()
    renamed = read_ais_table(data, "renamed", now=NOW, source_id="file-abc", named=named)
    pd.testing.assert_frame_equal(renamed, _read(file.read_bytes(), file.name))
    with pytest.raises(InputError, match=r"named in ais\.columns"):
        _read(data, "renamed")


@pytest.mark.shared_data
def test_the_danish_table_is_the_same_as_csv_and_as_parquet(shared_data: Path) -> None:
    by_csv = _read((shared_data / "ais/dma_aisdk_20260426_first20000.csv.gz").read_bytes())
    by_parquet = _read((shared_data / "ais/positions_dma_20260426.parquet").read_bytes())
    # The Parquet file has no columns for the dimensions A to D.
    pd.testing.assert_frame_equal(by_csv.drop(columns=list(DIMENSIONS)), by_parquet.drop(columns=list(DIMENSIONS)))
    assert by_csv["to_bow_m"].notna().sum() > 2000
    assert by_parquet["to_bow_m"].isna().all()


# --- columns that a user names


NAMED = {"mmsi": "Schiff", "lat": "Breite", "lon": "Länge", "overpass_time": "Seen at"}


def _named(text: str, named: dict[str, str]) -> pd.DataFrame:
    return read_ais_table(text.encode(), "boats.csv", now=NOW, source_id="file-abc", named=named)


def test_a_user_names_the_columns() -> None:
    plain = _read("mmsi,lat,lon,overpass_time\n244660123,36,-5,2025-10-27T10:27:00Z\n")
    for header in ("Schiff,Breite,Länge,Seen at", " SCHIFF ,breite, länge,seen AT", "Schiff;Breite;Länge;Seen at"):
        delimiter = ";" if ";" in header else ","
        row = delimiter.join(("244660123", "36", "-5", "2025-10-27T10:27:00Z"))
        pd.testing.assert_frame_equal(_named(f"{header}\n{row}\n", NAMED), plain)


def test_a_named_column_wins_over_titles_that_are_known() -> None:
    text = "mmsi,lat,lon,time,Seen at\n244660123,36,-5,2020-01-01T00:00:00Z,2025-10-27T10:27:00Z\n"
    assert _named(text, {"overpass_time": "Seen at"})["ais_time"][0] == pd.Timestamp("2025-10-27T10:27:00Z")


def test_a_named_column_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(InputError) as error:
        _named("Schiff;Breite;Länge;Gesehen\n1;2;3;4\n", NAMED)
    said = str(error.value)
    assert "boats.csv: ais.columns.overpass_time: got 'Seen at'" in said
    assert "['Schiff', 'Breite', 'Länge', 'Gesehen']" in said
    with pytest.raises(InputError, match=r"ais\.columns\.lat: got 'Breite'.*'mmsi', 'lat', 'lon'"):
        _named("mmsi,lat,lon\n1,2,3\n", {"lat": "Breite"})


def test_a_named_column_that_is_there_twice_is_refused() -> None:
    with pytest.raises(InputError, match="two columns for lat"):
        _named("mmsi,Breite,breite,lon\n1,2,3,4\n", {"lat": "Breite"})


def test_every_column_that_can_be_named_is_one_of_the_settings() -> None:
    assert get_args(AisColumn) == tuple(COLUMN_ALIASES)


def test_a_parquet_snapshot_of_this_project_reads_as_its_workbook(storage: LocalStorage) -> None:
    """The positions of a capture can be chipped as a file: in both forms they are the same."""
    passed = datetime(2025, 10, 27, 11, 4, 22, 123_000, tzinfo=UTC)
    fixes = synthetic_fixes("30STF", tile_area("30STF", 0.1), passed, ships=5, seed=1, window_min=5)
    keys = write_snapshots(storage, passed.date(), fixes, metadata={})
    by_suffix = {key.rpartition(".")[2]: _read(storage.get(key)) for key in keys}
    assert set(by_suffix) == {"parquet", "xlsx"}
    parquet, xlsx = by_suffix["parquet"], by_suffix["xlsx"]
    assert (parquet["ais_time"] == fixes["time"]).all()
    assert (parquet["overpass_time"] == pd.Timestamp(passed)).all()
    assert (parquet["ais_source"] == "synthetic").all()
    pd.testing.assert_frame_equal(parquet, xlsx)


def test_the_antennas_place_is_read_from_four_columns() -> None:
    text = "mmsi,lat,lon,Size A,Size B,to_port,to_starboard_m\n244660123,36,-5.5,77,13,0,14\n244660124,36,-5.5,-1,x,,nan\n"
    targets = _read(text.encode())
    dimensions = targets[["to_bow_m", "to_stern_m", "to_port_m", "to_starboard_m"]].to_numpy()
    np.testing.assert_array_equal(dimensions[0], [77.0, 13.0, 0.0, 14.0])
    assert np.isnan(dimensions[1]).all()
    assert targets["invalid_reason"].isna().all()


def test_one_letter_alone_is_no_dimension() -> None:
    head = "mmsi,lat,lon,overpass_time"
    row = "244660123,36,-5.5,2025-10-27T10:27:00Z"
    assert _read(f"{head},A,B,C\n{row},7,8,9\n".encode())["to_bow_m"].isna().all()
    assert _read(f"{head},A,B,C,D\n{row},7,8,2,3\n".encode())["to_bow_m"].tolist() == [7.0]


@pytest.mark.shared_data
def test_danish_dimensions_add_up_to_length_and_width(shared_data: Path) -> None:
    file = shared_data / "ais/dma_aisdk_20260426_first20000.csv.gz"
    targets = _read(file.read_bytes(), file.name)
    told = targets[targets["to_bow_m"].notna() & targets["to_starboard_m"].notna()]
    assert len(told) > 2_000
    lengthwise = (told["to_bow_m"] + told["to_stern_m"] == told["length_m"]).mean()
    across = (told["to_port_m"] + told["to_starboard_m"] == told["width_m"]).mean()
    assert min(lengthwise, across) > 0.98


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("EVER\0GIVEN", "EVERGIVEN"),
        ("a\u202eb\u2066c", "abc"),
        ("two\nlines\tof\xa0it", "two lines of it"),
        ("x" * 100_000, "x" * 120),
        ("<script>alert(1)</script>", "<script>alert(1)</script>"),
        ("=1+1", "=1+1"),
        ("../../etc", "../../etc"),
        ("\u200b", None),
    ],
)
def test_names_keep_what_can_be_seen(name: str, kept: str | None) -> None:
    """A formula and a tag stay as they are: what is written for people quotes them there."""
    quoted = name.replace('"', '""')
    [row] = _read(f'mmsi,lat,lon,ship_name\n244660123,36,-5,"{quoted}"\n').to_dict("records")
    assert row["ship_name"] == kept


@pytest.mark.parametrize(
    "mmsi", ["../../244660123", "/etc/passwd", "244660123/..", "..\\244660123", "244660123\0", "2446\u0666123"]
)
def test_no_mmsi_becomes_a_path(mmsi: str) -> None:
    [row] = _read(f"mmsi,lat,lon\n{mmsi},36,-5\n").to_dict("records")
    assert row["invalid_reason"] is not None
    assert row["invalid_reason"].isprintable()


@pytest.mark.parametrize("column", ["overpass_time", "captured_time", "lat", "mmsi", "length"])
@pytest.mark.parametrize("cell", [f"2025{' ' * 3_000_000}x", f"2025{' ' * 3_000_000}UTC x", f"{'1' * 3_000_000}x"])
def test_a_cell_takes_no_time_that_grows_with_its_square(column: str, cell: str) -> None:
    """With patterns that can match in more ways than one each of these took hours."""
    row: dict[str, object] = {"mmsi": 244660123, "lat": 36.1, "lon": -5.4, column: cell}
    sink = io.BytesIO()
    pq.write_table(pa.table({name: [value] for name, value in row.items()}), sink)
    [target] = read_ais_table(sink.getvalue(), "ships.parquet", now=NOW, source_id="file-abc").to_dict("records")
    assert (target["invalid_reason"] is None) == (column == "length")
    assert len(target["invalid_reason"] or "") < 300
