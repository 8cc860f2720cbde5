"""Which records become fixes of which window, once, with what the ships said of themselves."""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Transformer

from s2chips_core import tables
from s2chips_core.ais.fixes import FIX_SCHEMA, SAME_FIX
from s2chips_core.ais.fixes_of_window import AREA_MARGIN_DEG, build_fixes, in_area
from s2chips_core.ais.journal import POSITION, RECORD_SCHEMA, STATIC
from s2chips_core.ais.windows import Window
from s2chips_core.errors import InputError
from s2chips_core.overpasses.tile_grid import TILE_SIDE_M, tile_area, tile_corner

NOON = datetime(2026, 4, 26, 12, tzinfo=UTC)
SHIP, OTHER = 219000001, 219000002
LAT, LON = 56.3, 10.3
"""In tile 32VNH and nowhere else."""


def window(minute: float = 0, tile: str = "32VNH", *, side_min: float = 5.0) -> Window:
    at, side = NOON + timedelta(minutes=minute), timedelta(minutes=side_min)
    return Window(tile_id=tile, satellite="S2A", overpass_time=at, start=at - side, end=at + side)


def heard(second: float = 0, mmsi: int = SHIP, *, late_s: float = 70, **values: Any) -> dict[str, Any]:
    at = NOON + timedelta(seconds=second)
    return {
        "kind": POSITION,
        "mmsi": mmsi,
        "message_type": "PositionReport",
        "time": at,
        "time_utc": at + timedelta(seconds=1.5),
        "received_at": at + timedelta(seconds=late_s),
        "lat": LAT,
        "lon": LON,
        "ais_class": "A",
    } | values


def said(second: float = 0, mmsi: int = SHIP, **values: Any) -> dict[str, Any]:
    at = NOON + timedelta(seconds=second)
    return {"kind": STATIC, "mmsi": mmsi, "message_type": "ShipStaticData", "received_at": at, "ais_class": "A"} | values


def fixes_of(*records: dict[str, Any], windows: tuple[Window, ...] = (window(),)) -> pd.DataFrame:
    frame = pd.DataFrame([*records], columns=RECORD_SCHEMA.names)
    frame = frame.assign(**{name: pd.to_datetime(frame[name], utc=True) for name in ("time", "time_utc", "received_at")})
    fixes = build_fixes(tables.to_frame(tables.conform(frame, RECORD_SCHEMA, "records")), windows)
    pd.testing.assert_frame_equal(fixes, tables.to_frame(tables.conform(fixes, FIX_SCHEMA, "fixes")))
    return fixes


def test_nothing_heard_or_nothing_asked_is_an_empty_table() -> None:
    assert fixes_of().empty
    assert fixes_of(heard(), windows=()).empty
    assert fixes_of(said()).empty


def test_a_fix_has_all_that_its_message_and_its_window_say() -> None:
    size = {
        "length_m": 120.0,
        "width_m": 20.0,
        "to_bow_m": 100.0,
        "to_stern_m": 20.0,
        "to_port_m": 5.0,
        "to_starboard_m": 15.0,
    }
    words = {"ship_name": "VIVID", "ship_type": "Cargo", "call_sign": "PD2026", "imo": 9074729, "destination": "AARHUS"}
    moving = {"sog_kn": 12.5, "cog_deg": 90.0, "heading_deg": 91.0, "nav_status": 0}
    row = fixes_of(heard(**moving), said(**size, **words)).iloc[0].to_dict()
    times = {"time": NOON, "time_utc": NOON + timedelta(seconds=1.5), "received_at": NOON + timedelta(seconds=70)}
    expected = moving | size | words | {name: pd.Timestamp(value) for name, value in times.items()}
    expected |= {"mmsi": SHIP, "lat": LAT, "lon": LON, "message_type": "PositionReport", "ais_class": "A"}
    expected |= {"ais_source": "aisstream", "tile_id": "32VNH", "overpass_time": pd.Timestamp(NOON)}
    assert row == expected


@pytest.mark.parametrize(("second", "inside"), [(-300, True), (300, True), (-300.001, False), (300.001, False)])
@pytest.mark.parametrize("late_s", [0, 70, 500])
def test_the_time_of_the_message_decides_not_its_arrival(second: float, inside: bool, late_s: float) -> None:
    assert len(fixes_of(heard(second, late_s=late_s))) == inside


def test_a_fix_in_two_windows_is_there_for_each() -> None:
    later = window(8)
    fixes = fixes_of(heard(0), heard(240), heard(300), heard(600), windows=(later, window()))
    assert fixes["overpass_time"].tolist() == [pd.Timestamp(NOON)] * 3 + [pd.Timestamp(later.overpass_time)] * 3
    assert ((fixes["time"] - fixes["overpass_time"]).abs() <= pd.Timedelta("5min")).all()


def test_tiles_that_overlap_share_the_ships_between_them() -> None:
    west, south, east, north = tile_area("32VNH", AREA_MARGIN_DEG)
    at_edge = heard(lat=(south + north) / 2, lon=east - 0.01)
    fixes = fixes_of(at_edge, heard(10), windows=(window(), window(tile="32VPH")))
    assert fixes["tile_id"].tolist() == ["32VNH", "32VNH", "32VPH"]
    assert west < LON < tile_area("32VPH", AREA_MARGIN_DEG)[0]


def test_a_window_of_no_pass_has_no_overpass() -> None:
    start = NOON - timedelta(minutes=1)
    periodic = Window(tile_id="32VNH", satellite="", overpass_time=None, start=start, end=NOON)
    assert fixes_of(heard(), windows=(periodic,))["overpass_time"].isna().all()


def test_a_window_that_names_no_tile_is_refused() -> None:
    with pytest.raises(InputError):
        fixes_of(heard(), windows=(window(tile="99XXX"),))


@pytest.mark.parametrize("tile", ["32VNH", "01CDV", "60WWV", "01WCU", "60CWC", "31NAA", "30STF"])
def test_the_area_holds_the_whole_tile_and_the_margin(tile: str) -> None:
    """Points all along the edge of the tile, also of tiles at the antimeridian, transformed by pyproj."""
    epsg, left, top = tile_corner(tile)
    along = np.linspace(0, TILE_SIDE_M, 400)
    x = np.concatenate([left + along, left + along, np.full(400, left), np.full(400, left + TILE_SIDE_M)])
    y = np.concatenate([np.full(400, top), np.full(400, top - TILE_SIDE_M), top - along, top - along])
    lon, lat = Transformer.from_crs(epsg, 4326, always_xy=True).transform(x, y)
    west, _, _, north = area = tile_area(tile, AREA_MARGIN_DEG)
    assert in_area(lat, lon, area).all()
    beyond = np.array([north + 1e-6, north - 0.01]), np.array([west + 0.01, (west - 0.01 + 180) % 360 - 180])
    assert not in_area(*beyond, area).any()


def test_ships_on_both_sides_of_the_antimeridian_are_in_a_tile_that_crosses_it() -> None:
    west, south, east, north = tile_area("01WCV", AREA_MARGIN_DEG)
    assert west > east
    lat = (south + north) / 2
    fixes = fixes_of(
        heard(0, lat=lat, lon=179.999), heard(1, lat=lat, lon=-179.999), heard(2, lat=lat, lon=180.0),
        heard(3, lat=lat, lon=-180.0), heard(4, lat=lat, lon=0.0), windows=(window(tile="01WCV"),),
    )  # fmt: skip
    assert fixes["lon"].tolist() == [179.999, -179.999, 180.0, -180.0]


@given(
    st.lists(st.tuples(st.floats(-90, 90), st.floats(-180, 180)), min_size=1, max_size=20),
    st.tuples(st.floats(-180, 180), st.floats(-90, 89), st.floats(-180, 180), st.floats(0, 20)),
)
def test_in_area_is_what_shapely_says(places: list[tuple[float, float]], area: tuple[float, float, float, float]) -> None:
    west, south, east, height = area
    north = min(south + height, 90.0)
    lat, lon = (np.array(values) for values in zip(*places, strict=True))
    parts = (
        [shapely.box(west, south, east, north)]
        if west <= east
        else [shapely.box(west, south, 180, north), shapely.box(-180, south, east, north)]
    )
    expected = np.logical_or.reduce([shapely.intersects(part, shapely.points(lon, lat)) for part in parts])
    np.testing.assert_array_equal(in_area(lat, lon, (west, south, east, north)), expected)


def test_what_several_stations_heard_is_one_fix_as_it_came_first() -> None:
    same = [heard(late_s=late, message_type=kind, nav_status=late) for late, kind in ((90, "b"), (45, "a"), (60, "c"))]
    fixes = fixes_of(*same, heard(cog_deg=1.0), heard(mmsi=OTHER), heard(1))
    assert len(fixes) == 4
    once = fixes[(fixes["mmsi"] == SHIP) & (fixes["time"] == pd.Timestamp(NOON)) & fixes["cog_deg"].isna()]
    assert (once["message_type"].item(), once["nav_status"].item()) == ("a", 45)


def test_the_last_that_a_ship_said_counts_also_after_the_window_and_for_no_other_ship() -> None:
    fixes = fixes_of(
        said(900, ship_name="NEW", call_sign=None, destination="AARHUS"),
        said(-900, ship_name="OLD", call_sign="PD2026", destination="ODENSE", ship_type="Cargo"),
        heard(),
        heard(mmsi=OTHER),
    )
    assert fixes.loc[0, ["ship_name", "call_sign", "destination", "ship_type"]].tolist() == [
        "NEW",
        "PD2026",
        "AARHUS",
        "Cargo",
    ]
    assert fixes.loc[1, ["ship_name", "call_sign", "destination", "ship_type"]].tolist() == [None] * 4


def test_sizes_of_two_messages_are_not_mixed() -> None:
    whole = {
        "length_m": 120.0,
        "width_m": 20.0,
        "to_bow_m": 100.0,
        "to_stern_m": 20.0,
        "to_port_m": 5.0,
        "to_starboard_m": 15.0,
    }
    fixes = fixes_of(said(0, **whole), said(1, length_m=118.0, width_m=21.0), said(2), heard())
    assert fixes.loc[0, ["length_m", "width_m"]].tolist() == [118.0, 21.0]
    assert fixes.loc[0, ["to_bow_m", "to_stern_m", "to_port_m", "to_starboard_m"]].isna().all()


def test_the_services_word_stands_in_for_a_name_that_was_not_heard() -> None:
    fixes = fixes_of(heard(0, ship_name="OLD"), heard(1, ship_name="NEW"), heard(2), heard(mmsi=OTHER, ship_name="SERVICE"))
    assert fixes["ship_name"].tolist() == ["NEW", "NEW", "NEW", "SERVICE"]
    fixes = fixes_of(heard(0, ship_name="SERVICE"), said(0, ship_name="SHIP"), said(1, ship_name=None))
    assert fixes["ship_name"].tolist() == ["SHIP"]


def test_the_class_of_a_long_range_message_is_known_from_others() -> None:
    long_range = {"message_type": "LongRangeAisBroadcastMessage", "ais_class": None}
    fixes = fixes_of(heard(**long_range), said(), heard(mmsi=OTHER, **long_range), heard(mmsi=OTHER + 1, ais_class="B"))
    assert fixes["ais_class"].tolist() == ["A", None, "B"]


def dma(shared_data: Path) -> pd.DataFrame:
    """19,999 raw rows of Danish AIS, which has repeats, base stations and places that are none, as records."""
    raw = pd.read_parquet(shared_data / "ais" / "positions_dma_20260426.parquet")
    times = raw["time"].dt.tz_convert("UTC") if raw["time"].dt.tz else raw["time"].dt.tz_localize("UTC")
    names = {"sog": "sog_kn", "cog": "cog_deg", "heading": "heading_deg", "name": "ship_name"}
    frame = raw.rename(columns=names).assign(kind=POSITION, message_type="PositionReport", time=times, time_utc=times)
    frame["received_at"] = times + pd.to_timedelta(np.arange(len(raw)) % 60, unit="s")
    frame = frame.drop(columns=[name for name in frame.columns if name not in RECORD_SCHEMA.names])
    return tables.to_frame(tables.conform(frame, RECORD_SCHEMA, "dma"))


@pytest.mark.shared_data
def test_real_repeats_are_kept_once_and_every_place_is_counted(shared_data: Path) -> None:
    records = dma(shared_data)
    start = records["time"].min().to_pydatetime()
    windows = [
        Window(tile_id=tile, satellite="S2A", overpass_time=start, start=start, end=start + timedelta(minutes=2))
        for tile in ("32VNH", "32VNJ", "32UNG", "33UUB", "32UPG")
    ]
    fixes = build_fixes(records, windows)
    assert len(fixes) > 1000
    assert not fixes.duplicated([*SAME_FIX, "tile_id"]).any()
    for one in windows:
        west, south, east, north = tile_area(one.tile_id, AREA_MARGIN_DEG)
        there = records[records["lat"].between(south, north) & records["lon"].between(west, east)]
        rows = {tuple(None if pd.isna(v) else v for v in row) for row in there[list(SAME_FIX)].itertuples(index=False)}
        assert len(fixes[fixes["tile_id"] == one.tile_id]) == len(rows) < 0.8 * len(there)


def test_three_hundred_thousand_records_and_thirty_windows_take_seconds() -> None:
    rng = np.random.default_rng(1)
    count = 300_000
    frame = pd.DataFrame(
        {"kind": POSITION, "mmsi": 219_000_000 + rng.integers(0, 3000, count), "message_type": "PositionReport"}
    )
    frame["time"] = pd.Timestamp(NOON) + pd.to_timedelta(rng.integers(0, 900, count), unit="s")
    frame = frame.assign(time_utc=frame["time"], received_at=frame["time"], ship_name="SHIP", ais_class="A")
    frame = frame.assign(lat=55 + 3 * rng.random(count), lon=7 + 6 * rng.random(count))
    records = tables.to_frame(tables.conform(frame, RECORD_SCHEMA, "records"))
    tiles = [
        f"32{band}{column}{row}" for band, row in (("U", "F"), ("U", "G"), ("V", "H"), ("V", "J")) for column in "KLMNPQR"
    ]
    windows = [window(minute, tile) for minute, tile in enumerate([*tiles[:26], *tiles[:4]])]
    began = time.process_time()
    fixes = build_fixes(records, windows)
    assert time.process_time() - began < 15  # 1 s on the machine this was written on
    assert len(fixes) > 50_000
