"""KML read without trusting it: what is refused, and that nothing hangs."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s2chips_core.errors import InputError
from s2chips_core.overpasses import kml
from s2chips_core.overpasses.kml import read_kml

PLACEMARK = (
    '<Placemark id="p"><name> 22-1 </name><TimeSpan><begin>a</begin><end>b</end></TimeSpan><styleUrl>#S2A_X</styleUrl>'
    '<ExtendedData><Data name="ID"><displayName>d</displayName><value>7 &lt; 8</value></Data></ExtendedData>'
    "<Polygon><outerBoundaryIs><LinearRing><coordinates>\n1,2 3,4\n</coordinates></LinearRing></outerBoundaryIs>"
    "<innerBoundaryIs><LinearRing><coordinates>9,9</coordinates></LinearRing></innerBoundaryIs></Polygon></Placemark>"
)


def document(inner: str, declaration: str = '<?xml version="1.0"?>') -> bytes:
    folder = f"<Folder><name>S2A</name>{inner}</Folder>"
    return f'{declaration}<kml xmlns="x"><Document><name>T</name>{folder}</Document></kml>'.encode()


def test_texts_of_a_placemark() -> None:
    read = read_kml(document("\n" + PLACEMARK), "plan.kml")
    assert read.title == "T"
    assert read.placemarks == [
        kml.Placemark(
            line=2,
            folders=("T", "S2A"),
            name="22-1",
            begin="a",
            end="b",
            style_url="#S2A_X",
            data={"ID": "7 < 8"},
            rings=["1,2 3,4"],
        )
    ]


def test_prefixes_do_not_matter() -> None:
    placemark = b"<k:Placemark><k:name>1</k:name></k:Placemark>"
    data = b"<k:kml xmlns:k='x'><k:Document><k:name>T</k:name>" + placemark + b"</k:Document></k:kml>"
    read = read_kml(data, "plan.kml")
    assert (read.title, [p.name for p in read.placemarks]) == ("T", ["1"])


@pytest.mark.parametrize("encoding", ["utf-8", "iso-8859-1", "utf-16", "windows-1252"])
def test_encodings(encoding: str) -> None:
    text = document("<Placemark><name>é</name></Placemark>", f'<?xml version="1.0" encoding="{encoding}"?>').decode()
    assert read_kml(text.encode(encoding), "plan.kml").placemarks[0].name == "é"


BILLION_LAUGHS = (
    '<!DOCTYPE kml [<!ENTITY a0 "ha">' + "".join(f'<!ENTITY a{i} "{f"&a{i - 1};" * 10}">' for i in range(1, 12)) + "]>"
)


@pytest.mark.parametrize(
    ("data", "got"),
    [
        (b"", "no element found"),
        (b"\xff\xfe\x00", "well-formed"),
        (b"PK\x03\x04 a KMZ archive", "PK"),
        (b"<!DOCTYPE html><html><body>Acquisition plans</body></html>", "<!DOCTYPE html"),
        (b"<html><body>Not found</body></html>", "<html>"),
        (b"<kml><Document>", "no element found"),
        (document("&nothing;"), "undefined entity"),
        (document("", BILLION_LAUGHS).replace(b"S2A", b"&a11;"), "<!DOCTYPE kml"),
        (document("", '<!DOCTYPE kml [<!ENTITY x SYSTEM "file:///etc/passwd">]>').replace(b"S2A", b"&x;"), "<!DOCTYPE kml"),
        (document("", '<!DOCTYPE kml SYSTEM "http://127.0.0.1:1/kml.dtd">'), "<!DOCTYPE kml"),
        (document("", '<?xml version="1.0" encoding="no-such-code"?>'), "unknown encoding"),
        (document("", '<?xml version="1.0" encoding="rot13"?>'), "rot13"),
        (document("", '<?xml version="1.0" encoding="utf-7"?>'), "utf-7"),
        (document("<Folder>" * 100_000), "nested deeper"),
        (document("<Placemark/>" * 20_001), "more than 20,000"),
        (document(" " * (33 << 20)), "bytes"),
    ],
)
def test_what_is_no_kml_is_refused_at_once(data: bytes, got: str) -> None:
    with pytest.raises(InputError) as refused:
        read_kml(data, "plan.kml")
    assert got.casefold() in str(refused.value).casefold()
    assert refused.value.where == "plan.kml"
    assert len(str(refused.value)) < 400


def test_a_text_without_end_is_cut() -> None:
    read = read_kml(document(f"<Placemark><name>{'1' * 3_000_000}</name></Placemark>"), "plan.kml")
    assert len(read.placemarks[0].name) == kml.MAX_TEXT_CHARS


@given(
    st.binary(max_size=300)
    | st.text(max_size=300).map(str.encode)
    | st.text("<>/!&;=[]' kmlPacerDoutn", max_size=200).map(str.encode)
)
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for candidate in (data, b"<kml>" + data + b"</kml>", document("").replace(b"S2A", data)):
        with contextlib.suppress(InputError):
            read_kml(candidate, "any")
