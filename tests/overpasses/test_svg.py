"""Pieces of SVG."""

import xml.etree.ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from s2chips_core.overpasses import svg

HOSTILE = "</title><script>alert(1)</script>\" onload='x' \x00\x0b\ud800 &amp;"


def parsed(fragment: str) -> ET.Element:
    return ET.fromstring(f"<svg>{fragment}</svg>")


@given(st.text(st.characters(codec=None), max_size=40))
def test_any_text_is_well_formed_and_stays_text(words: str) -> None:
    document = ET.fromstring(svg.document(300, 200, words, words, svg.text(1, 2, words, size=12)))
    ns = "{http://www.w3.org/2000/svg}"
    assert [child.tag for child in document] == [f"{ns}title", f"{ns}desc", f"{ns}rect", f"{ns}text"]
    assert document.attrib.keys() >= {"role", "aria-label", "viewBox"}


def test_hostile_text_makes_no_element_and_no_attribute() -> None:
    document = ET.fromstring(
        svg.document(300, 200, HOSTILE, HOSTILE, svg.path("M0 0", fill="none", stroke="#000", label=HOSTILE))
    )
    assert not any(name.startswith("on") for node in document.iter() for name in node.attrib)
    assert not any(node.tag.endswith("script") for node in document.iter())
    assert (document[0].text or "").startswith("</title><script>")


def test_texts_are_cut_and_wrapped_to_their_room() -> None:
    assert svg.fit_text("abcdef", 1000, 12) == "abcdef"
    cut = svg.fit_text("abcdefghijklmnop", 60, 12)
    assert cut.endswith("…")
    assert svg.text_width(cut, 12) <= 60
    assert svg.wrap_text("one · two · three", 1000, 12) == ["one · two · three"]
    lines = svg.wrap_text("one · two · three", 70, 12)
    assert lines == ["one · two", "three"]


def test_legend_goes_on_in_the_next_line() -> None:
    items = [svg.LegendItem(sample="<path/>", label=f"label {n}") for n in range(5)]
    drawn, bottom = svg.draw_legend(items, 10, 0, 200)
    places = [node.get("transform", "") for node in parsed(drawn).iter("g")]
    assert len({place.split()[1] for place in places}) == 3, places
    assert bottom == 8 + 2 * 21 + 8
    assert svg.draw_legend([], 10, 0, 200) == ("", 0)


def test_names_do_not_lie_on_each_other() -> None:
    labels = svg.Labels(400, 300)
    box = (100.0, 100.0, 200.0, 200.0)
    drawn = parsed(labels.draw_names([(f"30ST{n}", box) for n in range(9)]))
    heights = [float(node.get("y", "")) for node in drawn.iter("text")]
    assert 3 <= len(heights) <= 5
    assert min(abs(a - b) for n, a in enumerate(heights) for b in heights[:n]) > 12
    assert all(100 < y < 200 for y in heights)
    assert labels.draw_names([("30STF", (0, 0, 20, 20))]) == "", "no room in its tile"


def test_labels_keep_off_edges_and_others() -> None:
    labels = svg.Labels(100, 100)
    assert labels.is_free((10, 10, 50, 30))
    assert not labels.is_free((0, 10, 50, 30))
    assert not labels.is_free((10, 10, 50, 30), [(49, 0, 60, 60)])
    labels.take((10, 10, 50, 30))
    assert not labels.is_free((40, 20, 60, 40))
    assert labels.is_free((50, 30, 60, 40)), "they may touch"
