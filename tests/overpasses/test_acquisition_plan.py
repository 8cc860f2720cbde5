"""Real plans in both dialects, and whatever could come in their place."""

import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from s2chips_core.errors import InputError
from s2chips_core.overpasses.acquisition_plan import AcquisitionPlan, Segment, parse_acquisition_plan
from s2chips_core.overpasses.segment_passes import plan_by_acquisition
from tests.overpasses.plan_kml import Made, published, resaved

START = datetime(2025, 2, 13, 12, 7, 16, 245_000, tzinfo=UTC)
PERIOD = ("20250213T120000", "20250303T150000")
REAL = {
    "Sentinel-2A_MP_ACQ_KML_20190912T120000_20190930T150000.kml": (
        "S2A",
        660,
        {"NOBS": 615, "VIC": 39, "DARK-O": 4, "SUN": 2},
        605,
    ),
    "S2A_MP_ACQ__KML_20241128T120000_20241214T150000.kml": (
        "S2A",
        758,
        {"NOBS": 721, "VIC": 34, "DARK-O": 2, "SUN": 1},
        721,
    ),
    "S2B_MP_ACQ__KML_20250213T120000_20250303T150000.kml": ("S2B", 1104, {"NOBS": 1063, "VIC": 38, "DARK-O": 3}, 1063),
    "S2C_MP_ACQ__KML_20250206T120000_20250224T150000.kml": (
        "S2C",
        881,
        {"NOBS": 840, "VIC": 36, "DARK-O": 3, "RAW": 2},
        840,
    ),
}


@pytest.mark.shared_data
@pytest.mark.parametrize("name", REAL)
def test_every_segment_of_a_real_plan(shared_data: Path, name: str) -> None:
    data = (shared_data / "orbit" / "acquisition_plan" / name).read_bytes()
    plan = parse_acquisition_plan(data, "renamed.kml")
    satellite, count, modes, distributed = REAL[name]
    assert plan.satellite == satellite
    assert plan.problems == ()
    assert len(plan.segments) == count == data.count(b"<Placemark>")
    assert Counter(s.mode for s in plan.segments) == modes
    assert sum(s.is_distributed for s in plan.segments) == distributed
    assert plan.period_from == "title"
    period = re.findall(r"\d{8}T\d{6}", name)
    assert [f"{t:%Y%m%dT%H%M%S}" for t in (plan.start, plan.stop)] == period
    assert all(plan.start <= s.start < s.stop <= plan.stop for s in plan.segments)
    assert [s.start for s in plan.segments] == sorted(s.start for s in plan.segments)
    assert all(s.segment_id.split("-")[0] == str(s.absolute_orbit) for s in plan.segments)
    # 143 orbits are a cycle: the two numbers go in step, with an offset of each satellite.
    assert len({(s.absolute_orbit - s.relative_orbit) % 143 for s in plan.segments}) == 1


@pytest.mark.parametrize("write", [published, resaved])
def test_a_segment_in_both_dialects(write) -> None:  # type: ignore[no-untyped-def]
    made = Made(start=START)
    plan = parse_acquisition_plan(write("S2B", PERIOD, made), "plan.kml")
    assert plan.segments == (
        Segment(
            segment_id="41476-4",
            satellite="S2B",
            mode="NOBS",
            timeliness="NOMINAL",
            start=START,
            stop=START + timedelta(seconds=130.9),
            absolute_orbit=41476,
            relative_orbit=123,
            polygon=plan.segments[0].polygon,
        ),
    )
    assert plan.segments[0].polygon == tuple(made.ring)
    assert (plan.start, plan.stop) == (datetime(2025, 2, 13, 12, tzinfo=UTC), datetime(2025, 3, 3, 15, tzinfo=UTC))
    assert (plan.period_from, plan.problems, plan.source) == ("title", (), "plan.kml")


@pytest.mark.parametrize(
    "period", [("a", "b"), ("20251399T120000", "20250303T150000"), ("20190912T120000", "20190930T150000")]
)
def test_a_title_without_a_fitting_period_leaves_the_segments(period: tuple[str, str]) -> None:
    later = Made(start=START + timedelta(hours=30), segment_id="41494-1", absolute_orbit="41494", relative_orbit="141")
    plan = parse_acquisition_plan(published("S2B", period, Made(start=START), later), "plan.kml")
    assert plan.period_from == "segments"
    assert (plan.start, plan.stop) == (plan.segments[0].start, plan.segments[1].stop)
    assert len(plan.problems) == 1


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("<value>2025-02-13T12:07:16.245</value>", "<value>yesterday</value>", "yesterday"),
        ("2025-02-13T12:07:16.245", "2025-02-13T12:07", "12:07"),
        ("2025-02-13T12:07:16.245", "2025-02-31T12:07:16.245", "02-31"),
        ("2025-02-13T12:07:16.245", "0001-01-01T00:00:00+14:00", "0001"),
        ("2025-02-13T12:07:16.245", "2025-02-13T12:09:50.000", "stop after the start"),
        ("2025-02-13T12:07:16.245", "2025-02-13T12:06:16.245", "a strip of 130"),
        ('<Data name="ObservationTimeStart"><value>2025-02-13T12:07:16.245</value></Data>\n', "", None),
        ("2025-02-13T12:07:16.245", "", "ObservationTimeStart"),
        ("<value>NOBS</value>", "<value></value>", "Mode"),
        ("<value>123</value>", "<value>144</value>", "OrbitRelative"),
        ("<value>123</value>", f"<value>{'9' * 5000}</value>", "OrbitRelative"),
        ("<value>41476</value>", "<value>many</value>", "OrbitAbsolute"),
        ("<coordinates>", "<coordinates>NaN,45,0 ", "NaN"),
        ("<coordinates>", "<coordinates>inf,45,0 ", "inf"),
        ("<coordinates>", "<coordinates>1e999,45,0 ", "1e999"),
        ("<coordinates>", "<coordinates>1e99,45,0 ", "1e99"),
        ("<coordinates>", "<coordinates>10,91,0 ", "10,91"),
        ("<coordinates>", "<coordinates>10 ", "longitude,latitude"),
        ("<coordinates>", "<coordinates>9,45,0 ", "closed ring"),
        ("Polygon>", "LineString>", None),
        ("outerBoundaryIs>", "innerBoundaryIs>", "0 polygons"),
    ],
)
def test_a_broken_segment_is_named_and_left_out(old: str, new: str, said: str | None) -> None:
    good = Made(start=START + timedelta(hours=3), segment_id="41478-1", absolute_orbit="41478", relative_orbit="125")
    text = published("S2B", PERIOD, Made(start=START), good).decode("latin-1")
    first, rest = text.split("</Placemark>", 1)
    assert old in first
    plan = parse_acquisition_plan((first.replace(old, new) + "</Placemark>" + rest).encode("latin-1"), "plan.kml")
    if said is None:  # what is missing is written elsewhere, too, or does not matter
        assert (len(plan.segments), plan.problems) == (2, ())
        return
    assert [s.segment_id for s in plan.segments] == ["41478-1"]
    (problem,) = plan.problems
    assert "'41476-4' in line 5" in problem
    assert said in problem
    assert len(problem) < 400


def test_a_segment_twice_is_one() -> None:
    plan = parse_acquisition_plan(published("S2B", PERIOD, Made(start=START), Made(start=START)), "plan.kml")
    assert len(plan.segments) == 1
    assert "already" in plan.problems[0]


def test_the_satellite_is_in_the_style_when_folders_are_gone() -> None:
    data = published("S2B", PERIOD, Made(start=START)).replace(b"<name>S2B</name>", b"<name>My places</name>")
    assert parse_acquisition_plan(data, "plan.kml").satellite == "S2B"
    with pytest.raises(InputError, match="satellite"):
        parse_acquisition_plan(data.replace(b"#S2B_", b"#"), "plan.kml")


def test_no_plan_of_one_satellite_is_refused() -> None:
    one = published("S2B", PERIOD, Made(start=START)).decode()
    other = published("S2C", PERIOD, Made(start=START, segment_id="2-1")).decode()
    both = one.replace("</Document>", other[other.index("<Folder>") : other.index("</Document>")] + "</Document>")
    with pytest.raises(InputError, match="S2B, S2C"):
        parse_acquisition_plan(both.encode(), "both.kml")
    with pytest.raises(InputError, match="0 placemarks"):
        parse_acquisition_plan(published("S2B", PERIOD), "empty.kml")
    with pytest.raises(InputError, match="1 placemarks, no segment"):
        parse_acquisition_plan(one.replace("S2B", "S1A").encode(), "sentinel-1.kml")


def test_a_segment_refuses_naive_times() -> None:
    polygon = parse_acquisition_plan(published("S2B", PERIOD, Made(start=START)), "x").segments[0].polygon
    naive = START.replace(tzinfo=None)
    with pytest.raises(InputError, match="aware UTC"):
        Segment(
            segment_id="1-1",
            satellite="S2B",
            mode="NOBS",
            timeliness="",
            start=naive,
            stop=naive + timedelta(minutes=1),
            absolute_orbit=1,
            relative_orbit=1,
            polygon=polygon,
        )


PIECES = [
    b"", b"<", b">", b"&amp;", b"&x;", b"NaN", b"1e999", b"-", b"9" * 400, b"\x00", b"\xff", b"0,0,0 ", b"VIC", b"540,90,0",
    b"<!DOCTYPE kml [<!ENTITY x 'y'>]>", b"<Placemark>", b"</Placemark>", b"<Folder>" * 60, b"<name>S2A</name>",
    b"2025-02-30T00:00:00",
]  # fmt: skip


@st.composite
def changes(draw: st.DrawFn) -> list[tuple[float, int, bytes]]:
    """Where (share of the file), how many bytes go, what comes."""
    piece = st.sampled_from(PIECES) | st.binary(max_size=4)
    return draw(st.lists(st.tuples(st.floats(0.0, 1.0), st.integers(0, 40), piece), min_size=1, max_size=6))


def read_or_refuse(data: bytes) -> None:
    try:
        plan = parse_acquisition_plan(data, "any.kml")
    except InputError as refused:
        sentence = str(refused)
    else:
        sentence = ""
        assert isinstance(plan, AcquisitionPlan)
        assert plan.segments
        plan_by_acquisition([plan], ["32TQS", "01KAB"], plan.start, plan.stop, satellites=[plan.satellite], window_min=5.0)
    assert len(sentence) < 1_000


@given(st.binary(max_size=200))
def test_any_bytes_give_a_plan_or_a_refusal(data: bytes) -> None:
    read_or_refuse(data)


def mutated(data: bytes, edits: list[tuple[float, int, bytes]]) -> bytes:
    for share, gone, come in edits:
        at = int(share * len(data))
        data = data[:at] + come + data[at + gone :]
    return data


@settings(max_examples=150, deadline=None)
@given(changes())
def test_a_mutated_plan_gives_a_plan_or_a_refusal(edits: list[tuple[float, int, bytes]]) -> None:
    read_or_refuse(
        mutated(published("S2B", PERIOD, Made(start=START), Made(start=START, segment_id="2-1", lon=179.5)), edits)
    )


@pytest.mark.shared_data
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edits=changes(), digits=st.lists(st.tuples(st.floats(0.2, 1.0), st.sampled_from(b"0123456789.,-e")), max_size=10))
def test_a_mutated_real_plan_gives_a_plan_or_a_refusal(
    shared_data: Path, edits: list[tuple[float, int, bytes]], digits: list[tuple[float, int]]
) -> None:
    name = "S2C_MP_ACQ__KML_20250206T120000_20250224T150000.kml"
    parts = (shared_data / "orbit" / "acquisition_plan" / name).read_bytes().split(b"</Placemark>")
    data = b"</Placemark>".join([*parts[:8], parts[-1]])
    well_formed = bytearray(data)
    places = [i for i, byte in enumerate(data) if byte in b"0123456789"]
    for share, digit in digits:  # numbers change, the XML stays well-formed
        well_formed[places[int(share * (len(places) - 1))]] = digit
    read_or_refuse(bytes(well_formed))
    read_or_refuse(mutated(bytes(well_formed), edits))
