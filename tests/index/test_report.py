"""The page of a day, read as a file; how it looks in a browser is in tests/browser/test_report_page.py."""

import dataclasses
import html.parser
import json
import re
from typing import Any

import pytest

from s2chips_core import layout, tables
from s2chips_core.errors import InputError, SchemaError, StorageError
from s2chips_core.index.outcomes import OUTCOME_SCHEMA, Outcome
from s2chips_core.index.records import INDEX_SCHEMA, PART_SCHEMA
from s2chips_core.index.report import build_report, write_report
from s2chips_core.scenes.matches import MATCH_SCHEMA
from s2chips_core.storage import LocalStorage
from tests.index.report_day import DAY, GENERATED_AT, ReportDay, make_day

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</script><script>alert(2)</script>",
    "{{ 7 * 7 }}",
)
MADE = {"generated_at": GENERATED_AT, "software_version": "0.1.0"}


class Reader(html.parser.HTMLParser):
    """What a browser would find: every tag with its attributes, the text of the scripts, and all other text."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.text = ""
        self._in_script = self._in_style = False
        self.feed(page.decode("utf-8"))
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._in_script, self._in_style = tag == "script", tag == "style"
        if self._in_script:
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self._in_script = self._in_style = False

    def handle_data(self, data: str) -> None:
        if self._in_script:
            self.scripts[-1] += data
        elif not self._in_style:
            self.text += data

    @property
    def items(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.scripts[0])["items"]
        return found

    def count(self, tag: str, **attributes: str) -> int:
        return sum(t == tag and all(a.get(k) == v for k, v in attributes.items()) for t, a in self.tags)


def read(day: ReportDay, **extras: Any) -> Reader:
    return Reader(build_report(DAY, **day.arguments(), **MADE, **extras))


def test_every_chip_and_every_refused_target_is_on_the_page() -> None:
    page = read(make_day(chips=12, refused=25))
    chips = [item for item in page.items if item["picture"] is not None]
    refused = [item for item in page.items if item["picture"] is None]
    assert (len(chips), len(refused)) == (12, 25)
    assert {item["outcome"] for item in refused} == {str(o) for o in Outcome} - {"chipped"}
    assert page.count("g", **{"class": "chip o-chipped"}) == 12
    # An invalid row has no place; every other refused target has.
    assert sum(tag == "g" and (a.get("class") or "").startswith("spot") for tag, a in page.tags) == 25 - 2
    rows = [a["data-id"] for tag, a in page.tags if tag == "tr" and "data-id" in a]
    assert rows == [item["id"] for item in refused]
    for n in range(12, 37):
        assert f"a sentence with the numbers, {n} of 20" in page.text


def test_names_of_ships_stay_text() -> None:
    day = make_day(chips=2, refused=2, names=HOSTILE)
    day.outcomes["detail"] = HOSTILE
    day.outcomes["ship_type"] = HOSTILE
    page = read(day)
    assert page.count("script") == 2, "the data and our own script, nothing else"
    assert page.count("img") == 0
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert {item["name"] for item in page.items} == set(HOSTILE)
    assert HOSTILE[2] in page.text
    assert "{{ 7 * 7 }}" in page.text


def test_the_page_needs_nothing_else() -> None:
    page = build_report(DAY, **make_day().arguments(), **MADE)
    reader = Reader(page)
    for tag, attributes in reader.tags:
        for name in ("src", "href", "srcset", "data", "action", "poster"):
            address = attributes.get(name)
            assert address is None or re.match(r"#|data:", address), (tag, address)
        assert "style" not in attributes, "an inline style would break the policy"
    style = page.decode().partition("<style>")[2].partition("</style>")[0]
    assert "url(" not in style
    assert "@import" not in style
    assert not re.search(r"\beval\(|new Function|innerHTML|document\.write|fetch\(|XMLHttpRequest", reader.scripts[1])


def test_the_same_day_makes_the_same_bytes() -> None:
    assert build_report(DAY, **make_day().arguments(), **MADE) == build_report(DAY, **make_day().arguments(), **MADE)


def test_synthetic_ais_is_marked_and_real_ais_is_not() -> None:
    assert "Synthetic AIS: for trials only." not in read(make_day()).text
    assert "Synthetic AIS: for trials only. All targets" in " ".join(read(make_day(ais_source="synthetic")).text.split())
    mixed = make_day(chips=3, refused=2)
    mixed.outcomes.loc[0, "ais_source"] = "synthetic"
    assert "Synthetic AIS: for trials only. 1 of the 5 targets" in " ".join(read(mixed).text.split())


def test_an_empty_day_says_so() -> None:
    page = read(make_day(chips=0, refused=0))
    assert "There are no AIS targets on 2025-10-27" in page.text
    assert page.scripts == []
    assert page.count("dialog") == page.count("table") == page.count("form") == 0


def test_one_chip_of_two_sources_is_shown_once() -> None:
    day = make_day(chips=2, refused=0)
    outcomes, index = (tables.concat([f, f.assign(source_id="file-0123456789ab")], s)
                       for f, s in ((day.outcomes, OUTCOME_SCHEMA), (day.index, INDEX_SCHEMA)))  # fmt: skip
    items = read(dataclasses.replace(day, outcomes=outcomes, index=index)).items
    assert len(items) == 2
    assert ["Source", "capture; file-0123456789ab"] in [fact for _, group in items[0]["facts"] for fact in group]


def test_a_refused_target_may_know_the_chip_it_would_have_got() -> None:
    day = make_day(chips=1, refused=13)
    day.outcomes.loc[day.outcomes["outcome"] == "gate_cloud", "chip_id"] = "00000000000000ff"
    assert "was it pruned" not in read(day).text


def test_what_does_not_fit_together_is_said() -> None:
    day = make_day(chips=4, refused=1)
    page = read(dataclasses.replace(day, index=day.index.iloc[1:]))
    assert "1 of the targets are recorded as chipped, but the index has no such chip" in page.text
    assert sum(item["picture"] is not None for item in page.items) == 3
    page = read(dataclasses.replace(day, outcomes=day.outcomes.iloc[1:]))
    assert "1 of the chips in the index belong to no target" in page.text


def test_a_chip_without_quicklook_is_refused() -> None:
    day = make_day(chips=2)
    with pytest.raises(InputError, match="quicklook of chip 0000000000000001"):
        read(dataclasses.replace(day, quicklooks={"0000000000000000": day.quicklooks["0000000000000000"]}))
    for broken in (b"GIF89a", day.quicklooks["0000000000000000"][:2000]):
        with pytest.raises(InputError, match="expected a whole JPEG"):
            read(dataclasses.replace(day, quicklooks=dict.fromkeys(day.quicklooks, broken)))
    with pytest.raises(SchemaError, match="outcomes"):
        read(dataclasses.replace(day, outcomes=day.outcomes.drop(columns="target_id")))


def test_title_and_credit() -> None:
    page = read(make_day(), title="Strait of Gibraltar", imagery_credit="Synthetic imagery.")
    assert "Strait of Gibraltar" in page.text
    assert "Synthetic imagery." in page.text
    assert "Copernicus" not in page.text
    assert "Contains modified Copernicus Sentinel data 2025." in read(make_day()).text


def put_day(storage: LocalStorage, day: ReportDay) -> None:
    tables.write_table(storage, layout.outcomes(DAY), day.outcomes, OUTCOME_SCHEMA)
    tables.write_table(storage, layout.matches(DAY), day.matches, MATCH_SCHEMA)
    tables.write_table(storage, layout.index_part(DAY, DAY, "capture"), day.index, PART_SCHEMA)
    for row in day.index.itertuples():
        storage.put(row.path.replace(".tif", "_quicklook.jpg"), day.quicklooks[row.chip_id])


def test_write_report_reads_the_day_from_the_dataset(storage: LocalStorage) -> None:
    day = make_day(chips=4, refused=3)
    put_day(storage, day)
    # Sensed on the same day, but made from the AIS of another: not of this page.
    other = make_day(chips=6, refused=0).index.iloc[4:]
    tables.write_table(storage, layout.index_part(DAY, DAY.replace(day=26), "capture"), other, PART_SCHEMA)
    key = write_report(DAY, storage=storage, **MADE)
    assert key == "reports/report_20251027.html"
    assert storage.get(key) == build_report(DAY, **day.arguments(), **MADE)


def test_write_report_follows_chips_to_the_day_of_their_scene(storage: LocalStorage) -> None:
    day = make_day(chips=2, refused=0)
    one_day = 24 * 3600 * 1000
    for frame in (day.outcomes, day.matches, day.index):
        frame["scene_datetime"] = (
            (frame["scene_datetime"].astype("int64") + one_day).astype("datetime64[ms]").dt.tz_localize("UTC")
        )
    put_day(storage, day)
    storage.delete(layout.index_part(DAY, DAY, "capture"))
    tables.write_table(storage, layout.index_part(DAY.replace(day=28), DAY, "capture"), day.index, PART_SCHEMA)
    items = Reader(storage.get(write_report(DAY, storage=storage, **MADE))).items
    assert sum(item["picture"] is not None for item in items) == 2


def test_write_report_says_what_is_missing(storage: LocalStorage) -> None:
    with pytest.raises(StorageError, match=re.escape("outcomes/20251027.parquet")):
        write_report(DAY, storage=storage, **MADE)
    day = make_day(chips=1, refused=0)
    put_day(storage, day)
    storage.delete(day.index["path"][0].replace(".tif", "_quicklook.jpg"))
    with pytest.raises(StorageError, match=r"_quicklook\.jpg"):
        write_report(DAY, storage=storage, **MADE)
