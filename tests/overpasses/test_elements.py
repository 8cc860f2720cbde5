"""Orbital elements: real ones are taken, invented and damaged ones are not, in every form they come in."""

import csv
import dataclasses
import io
import json
import math
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sgp4.api import Satrec
from sgp4.exporter import export_omm
from sgp4.io import compute_checksum

from s2chips_core.errors import InputError
from s2chips_core.overpasses.elements import (
    MOST_REFUSED,
    Elements,
    RefusedElements,
    parse_elements,
    satrec_of,
    select_elements,
)
from tests.peak_memory import peak_bytes
from tests.reliability import often

# Made for these tests: on the reference track of relative orbit 52.
LINE_1 = "1 40697U 15028A   26150.50000000  .00000100  00000+0  50000-4 0  9990"
LINE_2 = "2 40697  98.5690 225.0984 0001100  90.0000 270.1300 14.30818000571340"
# The example of Wikipedia's article on two-line elements.
ISS = (
    "1 25544U 98067A   08264.51782528 -.00002182  00000-0 -11606-4 0  2927\n"
    "2 25544  51.6416 247.4627 0006703 130.5360 325.0288 15.72125391563537"
)


def summed(line: str) -> str:
    """The line with the checksum that belongs to it."""
    return line[:68] + str(compute_checksum(line))


GOOD = (summed(LINE_1), summed(LINE_2))


def omm_of(line1: str, line2: str) -> dict[str, object]:
    return export_omm(Satrec.twoline2rv(line1, line2), "SENTINEL-2A")


def xml_of(fields: dict[str, object], head: str = '<?xml version="1.0" encoding="UTF-8"?>') -> str:
    def block(name: str, keys: list[str]) -> str:
        return f"<{name}>" + "".join(f"<{k}>{fields[k]}</{k}>" for k in keys) + f"</{name}>"

    parts = {
        "metadata": ["OBJECT_NAME", "OBJECT_ID", "CENTER_NAME", "REF_FRAME", "TIME_SYSTEM", "MEAN_ELEMENT_THEORY"],
        "meanElements": [
            "EPOCH", "MEAN_MOTION", "ECCENTRICITY", "INCLINATION", "RA_OF_ASC_NODE", "ARG_OF_PERICENTER", "MEAN_ANOMALY",
        ],
        "tleParameters": [
            "EPHEMERIS_TYPE", "CLASSIFICATION_TYPE", "NORAD_CAT_ID", "ELEMENT_SET_NO", "REV_AT_EPOCH", "BSTAR",
            "MEAN_MOTION_DOT", "MEAN_MOTION_DDOT",
        ],
    }  # fmt: skip
    meta, mean, tle = (block(name, keys) for name, keys in parts.items())
    return f"{head}<ndm><omm><header/><body><segment>{meta}<data>{mean}{tle}</data></segment></body></omm></ndm>"


def one(text: str | bytes) -> Elements:
    accepted, refused = parse_elements(text, "test")
    assert refused == []
    (elements,) = accepted
    return elements


def refusal(text: str | bytes) -> RefusedElements:
    accepted, refused = parse_elements(text, "test")
    assert accepted == []
    (only,) = refused
    return only


@pytest.mark.shared_data
def test_every_real_set_is_accepted(shared_data: Path) -> None:
    accepted, refused = parse_elements((shared_data / "orbit" / "sentinel2_tle_history.tle").read_bytes(), "history")
    assert refused == []
    assert len(accepted) == 107
    assert {name: sum(e.satellite == name for e in accepted) for name in ("S2A", "S2B", "S2C")} == {
        "S2A": 42,
        "S2B": 37,
        "S2C": 28,
    }
    assert max(abs(e.track_offset_km) for e in accepted) < 2.0
    with (shared_data / "orbit" / "sentinel2_tle_history.csv").open() as file:
        published = sorted((int(row["norad_id"]), row["epoch_utc"]) for row in csv.DictReader(file))
    assert sorted((e.norad_id, f"{e.epoch:%Y-%m-%dT%H:%M:%S.%f}Z") for e in accepted) == published


@pytest.mark.shared_data
def test_every_invented_set_is_refused_and_the_check_is_named(shared_data: Path) -> None:
    with (shared_data / "orbit" / "sentinel2_tle_not_real.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 15
    for row in rows:
        found = refusal(f"{row['line1']}\n{row['line2']}\n")
        assert found.check == row["reason"] == "checksum"
        assert found.satellite in ("S2A", "S2B")
        assert "checksum" in found.reason


@pytest.mark.shared_data
def test_invented_sets_are_found_out_without_their_checksum_too(shared_data: Path) -> None:
    with (shared_data / "orbit" / "sentinel2_tle_not_real.csv").open() as file:
        texts = [f"{summed(row['line1'])}\n{summed(row['line2'])}" for row in csv.DictReader(file)]
    checks = [refused[0].check for _, refused in (parse_elements(text, "repaired") for text in texts) if refused]
    # One that passes has a plane and a place that the real satellite had on that day.
    assert sorted(checks) == ["inclination"] + ["local time"] * 12 + ["mean motion"]


@pytest.mark.shared_data
def test_all_forms_give_the_same_elements(shared_data: Path) -> None:
    lines = (shared_data / "orbit" / "sentinel2_tle_history.tle").read_text().splitlines()
    for at in range(0, len(lines), 39):
        name, line1, line2 = lines[at : at + 3]
        plain, named = one(f"{line1}\n{line2}"), one(f"0 {name}\r\n{line1}\r\n{line2}\r\n")
        assert plain == named
        fields = omm_of(line1, line2) | {"OBJECT_NAME": name}
        table = io.StringIO()
        writer = csv.DictWriter(table, list(fields))
        writer.writeheader()
        writer.writerow(fields)
        texts = [json.dumps([fields]), json.dumps({k: str(v) for k, v in fields.items()}), table.getvalue(), xml_of(fields)]
        for text in texts:
            other = one(text.encode())
            for field in dataclasses.fields(Elements):
                expected, got = getattr(plain, field.name), getattr(other, field.name)
                if field.name == "epoch":
                    assert abs(got - expected) <= timedelta(microseconds=2)
                elif isinstance(expected, float):
                    assert got == pytest.approx(expected, rel=1e-9, abs=1e-4 if field.name == "track_offset_km" else 1e-12)
                else:
                    assert got == expected


@pytest.mark.shared_data
def test_the_elements_propagate_as_sgp4_reads_the_lines(shared_data: Path) -> None:
    lines = (shared_data / "orbit" / "sentinel2_tle_history.tle").read_text().splitlines()
    for at in range(0, len(lines), 3):
        theirs = Satrec.twoline2rv(lines[at + 1], lines[at + 2])
        ours = satrec_of(one("\n".join(lines[at : at + 3])))
        for days in (-3.0, 0.0, 10.0):
            _, expected, _ = theirs.sgp4(theirs.jdsatepoch, theirs.jdsatepochF + days)
            _, got, _ = ours.sgp4(theirs.jdsatepoch, theirs.jdsatepochF + days)
            assert got == pytest.approx(expected, abs=1e-4)  # 10 cm


def test_others_are_passed_over() -> None:
    assert parse_elements(ISS, "stations") == ([], [])
    assert one(f"ISS (ZARYA)\n{ISS}\nSENTINEL-2A\n" + "\n".join(GOOD)).satellite == "S2A"
    assert parse_elements("[]", "empty answer") == ([], [])
    assert parse_elements(json.dumps([omm_of(*ISS.splitlines()) | {"OBJECT_NAME": "ISS"}]), "stations") == ([], [])


def test_the_same_set_twice_is_one() -> None:
    assert one("\n".join(GOOD * 2)).revolution == 57134


@pytest.mark.parametrize(
    "text",
    [
        "",
        "No GP data found",
        "<html><body>403 Forbidden</body></html>",
        "[1, 2]",
        '{"error": "rate limit"}',
        '[{"NORAD_CAT_ID": 40697}]',
        "[" * 100_000,
        '{"a',
        "NORAD_CAT_ID,EPOCH\n40697,2026-05-30",
        "<ndm><omm><body><segment/></body></omm></ndm>",
        "<ndm>",
        "\ufeff",
    ],
)
def test_what_is_none_of_the_forms_is_an_input_error(text: str) -> None:
    with pytest.raises(InputError, match="orbital elements"):
        parse_elements(text, "answer.txt")


def test_numbers_of_thousands_of_digits_are_refused() -> None:
    """Python refuses to convert them with a plain ValueError."""
    with pytest.raises(InputError, match="broken"):
        parse_elements("[" + "9" * 5_000 + "]", "x")
    record = {"NORAD_CAT_ID": "9" * 5_000, "EPOCH": "", "MEAN_MOTION": 0, "ECCENTRICITY": 0, "INCLINATION": 0}
    assert parse_elements(json.dumps([record]), "x") == ([], [])


def test_an_html_page_in_utf16_is_an_input_error() -> None:
    with pytest.raises(InputError):
        parse_elements("<html/>".encode("utf-16"), "page")


def test_xml_entities_are_refused_and_no_file_is_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("SENTINEL-2A")
    fields = omm_of(*GOOD)
    for head in (
        f'<?xml version="1.0"?><!DOCTYPE ndm [<!ENTITY name SYSTEM "{secret.as_uri()}">]>',
        '<?xml version="1.0"?><!DOCTYPE ndm [<!ENTITY a "aaaaaaaaaa"><!ENTITY name "&a;&a;&a;&a;">]>',
    ):
        with pytest.raises(InputError, match="no entities"):
            parse_elements(xml_of(fields | {"OBJECT_NAME": "&name;"}, head), "omm.xml")


@pytest.mark.parametrize(
    ("text", "check", "says"),
    [
        (GOOD[0], "pair", "stands alone"),
        (GOOD[1], "pair", "stands alone"),
        (f"{GOOD[0]}\n{GOOD[0]}", "pair", "stands alone"),
        (f"{GOOD[0]}\n{ISS.splitlines()[1]}", "pair", "line 2 of 25544"),
        (f"{ISS.splitlines()[0]}\n{GOOD[1]}", "pair", "line 1 is of 25544"),
        (f"{GOOD[0][:60]}\n{GOOD[1]}", "format", "no line 1"),
        (f"{GOOD[0]}\n{GOOD[1]}5", "format", "no line 2"),
        (f"{GOOD[0][:-1]}\n{GOOD[1]}", "format", "no line 1"),
        (f"{summed(LINE_1.replace('26150', '26000'))}\n{GOOD[1]}", "format", "no day of a year"),
        (f"SENTINEL-2B\n{GOOD[0]}\n{GOOD[1]}", "identity", "S2B"),
        (f"SENTINEL-2A\n{ISS}", "identity", "25544"),
        (f"{summed(LINE_1.replace('15028A', '17013A'))}\n{GOOD[1]}", "identity", "2017-013A"),
        (f"{summed(LINE_1[:62] + '4' + LINE_1[63:])}\n{GOOD[1]}", "theory", "ephemeris type 4"),
        (f"{GOOD[0]}\n{summed(LINE_2.replace('98.5690', '98.6214'))}", "inclination", "98.6214"),
        (f"{GOOD[0]}\n{summed(LINE_2.replace('0001100', '0101122'))}", "eccentricity", "0.0101122"),
        (f"{GOOD[0]}\n{summed(LINE_2.replace('14.30818000', '15.21507278'))}", "mean motion", "15.215073"),
        (f"{summed(LINE_1.replace('50000-4', '50000-1'))}\n{GOOD[1]}", "drag", "0.05"),
        (f"{GOOD[0]}\n{summed(LINE_2.replace('225.0984', '227.0984'))}", "local time", "10:36"),
        (f"{GOOD[0]}\n{summed(LINE_2.replace('225.0984', '225.2984'))}", "ground track", "km off"),
    ],
)
def test_each_check_is_named(text: str, check: str, says: str) -> None:
    found = refusal(text)
    assert found.check == check
    assert says in found.reason
    assert found.reason.endswith(".")


@pytest.mark.parametrize(
    ("change", "check"),
    [
        ({"NORAD_CAT_ID": 42063}, "identity"),
        ({"NORAD_CAT_ID": "none"}, "format"),
        ({"OBJECT_ID": "2017-013A"}, "identity"),
        ({"MEAN_ELEMENT_THEORY": "DSST"}, "theory"),
        ({"REF_FRAME": "EME2000"}, "theory"),
        ({"EPHEMERIS_TYPE": 4}, "theory"),
        ({"EPOCH": "yesterday"}, "format"),
        ({"INCLINATION": "nan"}, "inclination"),
        ({"ECCENTRICITY": float("inf")}, "eccentricity"),
        ({"BSTAR": None}, "format"),
        ({"INCLINATION": 51.6}, "inclination"),
    ],
)
def test_omm_is_checked_like_lines(change: dict[str, object], check: str) -> None:
    assert refusal(json.dumps([omm_of(*GOOD) | change])).check == check


def test_a_broken_row_is_refused_and_the_others_are_read() -> None:
    fields = omm_of(*GOOD)
    text = ",".join(fields) + "\r\n" + ",".join(str(v) for v in fields.values()) + "\r\nSENTINEL-2B,2017-013A\r\n"
    accepted, (refused,) = parse_elements(text, "cut.csv")
    assert [e.satellite for e in accepted] == ["S2A"]
    assert (refused.satellite, refused.check) == ("S2B", "format")


def test_omm_without_a_field_says_which() -> None:
    fields = omm_of(*GOOD)
    del fields["REV_AT_EPOCH"]
    assert "REV_AT_EPOCH" in refusal(json.dumps(fields)).reason


@pytest.mark.parametrize("epoch", ["2026-05-30T12:00:00Z", "2026-05-30T14:00:00.000000+02:00", "2026-05-30T12:00:00"])
def test_omm_epochs_are_utc(epoch: str) -> None:
    fields = omm_of(*GOOD) | {"EPOCH": epoch}
    assert one(json.dumps(fields)).epoch == datetime(2026, 5, 30, 12, tzinfo=UTC)


def test_a_satellite_on_the_move_is_accepted_off_the_tracks() -> None:
    # 0.01 orbits a day from its mean motion: 28 km a day along the equator.
    found = one(f"{GOOD[0]}\n{summed(LINE_2.replace('225.0984', '225.2984').replace('14.30818000', '14.29819582'))}")
    assert 5.0 < abs(found.track_offset_km) < 140.0


@given(st.integers(0, 1), st.integers(0, 68), st.sampled_from("0123456789"))
def test_one_wrong_digit_is_never_accepted(line: int, column: int, digit: str) -> None:
    lines = list(GOOD)
    if not lines[line][column].isdigit() or lines[line][column] == digit:
        return
    lines[line] = lines[line][:column] + digit + lines[line][column + 1 :]
    try:
        accepted, _ = parse_elements("\n".join(lines), "damaged")
    except InputError:
        return
    assert accepted == []


@given(st.one_of(st.text(), st.binary(), st.text("12 40697U.+-\n", max_size=300), st.from_regex(r'[\[{<]["a-z:<>{}\[\]]*')))
def test_any_text_gives_lists_or_an_input_error(text: str | bytes) -> None:
    try:
        accepted, _ = parse_elements(text, "any")
    except InputError:
        return
    assert accepted == []


def test_the_nearest_epoch_is_selected_and_the_age_is_limited() -> None:
    base = one("\n".join(GOOD))
    later = dataclasses.replace(base, epoch=base.epoch + timedelta(days=10))
    other = dataclasses.replace(base, satellite="S2B", epoch=base.epoch + timedelta(days=4))
    sets = [later, other, base]
    assert select_elements(sets, "S2A", base.epoch + timedelta(days=4), 14) is base
    assert select_elements(sets, "S2A", base.epoch + timedelta(days=6), 14) is later
    assert select_elements(sets, "S2A", base.epoch - timedelta(days=14), 14) is base
    refused = select_elements(sets, "S2A", base.epoch + timedelta(days=24, hours=2), 14)
    assert isinstance(refused, RefusedElements)
    assert (refused.check, refused.epoch) == ("age", later.epoch)
    assert "14.1 days" in refused.reason
    missing = select_elements(sets, "S2C", base.epoch, 14)
    assert isinstance(missing, RefusedElements)
    assert "S2C" in missing.reason


OMM = {
    "OBJECT_NAME": "SENTINEL-2A",
    "OBJECT_ID": "2015-028A",
    "EPOCH": "2025-03-30T10:04:35.123456",
    "MEAN_MOTION": 14.30818,
    "ECCENTRICITY": 0.0001,
    "INCLINATION": 98.56,
    "RA_OF_ASC_NODE": 163.0,
    "ARG_OF_PERICENTER": 90.0,
    "MEAN_ANOMALY": 270.0,
    "EPHEMERIS_TYPE": 0,
    "CLASSIFICATION_TYPE": "U",
    "NORAD_CAT_ID": 40697,
    "ELEMENT_SET_NO": 999,
    "REV_AT_EPOCH": 50000,
    "BSTAR": 1e-5,
    "MEAN_MOTION_DOT": 1e-7,
    "MEAN_MOTION_DDOT": 0,
}
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=6),
    st.sampled_from(
        [
            *("NaN", "inf", "-1e400", "9" * 400, "\ud800", "\u0663\uff12", "0001-01-01T00:00:00+23:59", "a" * 5_000),
            *("9999-12-31T23:59:59-23:59", 10**400, 1e308, -0.0, [], ["a"], {}, {"a": []}),
        ]
    ),
)


@settings(max_examples=often(200, 5000), deadline=None)
@given(
    st.dictionaries(st.sampled_from([*OMM, "REF_FRAME", "TIME_SYSTEM", "MEAN_ELEMENT_THEORY"]), ODD, min_size=1, max_size=3)
)
def test_an_omm_with_anything_in_any_field(changes: dict[str, object]) -> None:
    for text in (json.dumps([OMM | changes]), ",".join(OMM) + "\n" + ",".join(map(str, (OMM | changes).values()))):
        try:
            accepted, refused = parse_elements(text, "x")
        except InputError as error:
            assert str(error).startswith("x: ")  # noqa: PT017
        else:
            assert all(math.isfinite(one.node_rad + one.anomaly_rad) for one in accepted)
            assert all(len(one.reason) < 1000 for one in refused)


@pytest.mark.parametrize("field", OMM)
def test_a_field_that_is_deeper_than_python_writes_out(field: str) -> None:
    text = json.dumps(OMM | {field: "@"}).replace('"@"', "[" * 900 + "]" * 900)
    try:
        accepted, _ = parse_elements(text, "x")
    except InputError as error:
        assert len(str(error)) < 5000  # noqa: PT017
    else:
        # What says nothing is as a field that is not there: the name, and what Sentinel-2's orbit does not hang on.
        assert not accepted or field in ("OBJECT_NAME", "CLASSIFICATION_TYPE")


def test_of_a_million_refusals_a_thousand_are_told(tmp_path: Path) -> None:
    rows = often(300_000, 3_000_000)
    _, refused = parse_elements("".join(f"1 40697U {n:07d}\n" for n in range(5000)), "x")
    assert len(refused) == MOST_REFUSED + 1
    assert refused[-1].reason == f"{5000 - MOST_REFUSED} more element sets in x are refused."
    script = """
from s2chips_core.overpasses.elements import parse_elements
text = "".join(f"1 40697U {n:07d}\\n" for n in range(int(sys.argv[1])))
print(len(text))
# measured
parse_elements(text, "x")
"""
    peak, said = peak_bytes(script, str(rows))
    assert peak < 40_000_000 + 8 * int(said), f"{peak:,} bytes for a text of {said}"
