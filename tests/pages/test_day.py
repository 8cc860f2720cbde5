"""The page of a day, read as a file; how it looks in a browser is in tests/browser/test_day_page.py."""

import base64
import dataclasses
import html.parser
import json
import re
import zlib
from typing import Any

import pandas as pd
import pytest

from s2chips_core import layout, tables
from s2chips_core.ais.fixes import FIX_SCHEMA
from s2chips_core.ais.snapshots import write_snapshots
from s2chips_core.errors import InputError, SchemaError, StorageError
from s2chips_core.index.outcomes import OUTCOME_SCHEMA, Outcome
from s2chips_core.index.provenance import keep_config
from s2chips_core.index.records import PART_SCHEMA
from s2chips_core.pages.day import SCRIPTS, build_report, write_report
from s2chips_core.pages.day_items import MAX_INLINE_QUICKLOOKS
from s2chips_core.pages.limits import Limits
from s2chips_core.storage import LocalStorage
from tests.pages.sample_day import DAY, GENERATED_AT, SETTINGS, ReportDay, make_day, put_day

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</script><script>alert(2)</script>",
    "{{ 7 * 7 }}",
)
MADE = {"generated_at": GENERATED_AT, "software_version": "0.1.0"}


def read_items(chunks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The items of chunks, as the page describes them in `item_chunks`."""
    found = []
    for chunk in chunks:
        heads, rests = (json.loads(zlib.decompress(base64.b64decode(chunk[part]))) for part in ("head", "rest"))
        assert len(heads) == len(rests) == chunk["count"]
        for head, rest in zip(heads, rests, strict=True):
            item = dict(zip(("id", "outcome", "split", "type", "name", "mmsi", "line", "picture"), head, strict=True))
            assert item.keys().isdisjoint(rest), "a field would be read as another"
            if isinstance(item["picture"], int):
                item["picture"] = chunk["pictures"][item["picture"]]
            found.append(item | rest)
    return found


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
        return read_items(json.loads(self.scripts[0])["chunks"])

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
    assert page.count("script") == 1 + len(SCRIPTS), "the data and our own scripts, nothing else"
    assert page.count("img") == 0
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert {item["name"] for item in page.items} == set(HOSTILE)
    assert HOSTILE[2] in page.text
    assert "{{ 7 * 7 }}" in page.text


def test_the_page_loads_nothing_but_its_pictures() -> None:
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
    policy = next(a["content"] for tag, a in reader.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'; img-src data: 'self'; style-src 'sha256-")
    for script in reader.scripts[1:]:
        assert not re.search(r"\beval\(|new Function|innerHTML|document\.write|fetch\(|XMLHttpRequest", script)


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
                       for f, s in ((day.outcomes, OUTCOME_SCHEMA), (day.index, PART_SCHEMA)))  # fmt: skip
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


def test_write_report_reads_the_day_from_the_dataset(storage: LocalStorage) -> None:
    day = make_day(chips=4, refused=13)
    put_day(storage, day)
    # Sensed on the same day, but made from the AIS of another: not of this page.
    other = make_day(chips=6, refused=0).index.iloc[4:]
    tables.write_table(storage, layout.index_part(DAY, DAY.replace(day=26), "capture"), other, PART_SCHEMA)
    written = write_report(DAY, storage=storage, settings=SETTINGS, **MADE)
    assert written.key == "reports/report_20251027.html"
    assert (written.views.made, written.views.kept, written.views.removed) == (4, 0, 0)
    limits = Limits({SETTINGS.config_hash: SETTINGS.gate})
    expected = build_report(DAY, **day.arguments(), **MADE, views=written.views.views, limits=limits)
    assert storage.get(written.key) == expected
    items = Reader(expected).items
    assert [item["views"]["src"] for item in items[:4]] == [f"views/20251027/{n:016x}.jpg" for n in range(4)]
    assert all(storage.exists(f"reports/{item['views']['src']}") for item in items[:4])
    layouts = json.loads(Reader(expected).scripts[0])["layouts"]
    assert [panel["name"] for panel in layouts[items[0]["views"]["layout"]]["panels"]][:3] == ["natural", "nir", "ndwi"]
    bars = {bar["label"]: bar for bar in items[0]["gate"]["bars"]}
    assert (bars["Water"]["value"], bars["Water"]["limit"], bars["Water"]["holds"]) == (0.97, 0.5, True)
    # Only a target that was measured has bars; it was refused by limits that its fingerprint tells.
    refused = {item["outcome"]: item for item in items[4:]}
    assert refused["no_scene"]["gate"] is None
    assert refused["gate_cloud"]["gate"]["bars"][0]["limit"] == SETTINGS.gate.max_cloud_center_frac


def test_limits_are_those_of_the_configuration_that_made_it(storage: LocalStorage) -> None:
    put_day(storage, make_day(chips=1, refused=13))
    keep_config(storage, SETTINGS)
    other = SETTINGS.override({"gate": {"min_water_center_frac": 0.7, "ndwi_water_thresh": 0.2}})
    written = write_report(DAY, storage=storage, settings=other, **MADE)
    items = {item["outcome"]: item for item in Reader(storage.get(written.key)).items}
    for outcome in ("chipped", "gate_cloud"):
        assert items[outcome]["gate"]["bars"][2]["limit"] == 0.5
    assert {view.layout.ndwi_water_thresh for view in written.views.views.values()} == {0.05}


def test_limits_of_another_configuration_are_not_guessed(storage: LocalStorage) -> None:
    put_day(storage, make_day(chips=1, refused=13))
    other = SETTINGS.override({"gate": {"min_water_center_frac": 0.7, "ndwi_water_thresh": 0.2}})
    written = write_report(DAY, storage=storage, settings=other, **MADE)
    items = {item["outcome"]: item for item in Reader(storage.get(written.key)).items}
    for outcome in ("chipped", "gate_cloud"):
        bars = items[outcome]["gate"]["bars"]
        assert {(bar["limit"], bar["holds"]) for bar in bars} == {(None, None)}
        assert any("not known" in note for note in items[outcome]["gate"]["notes"])
    assert {view.layout.ndwi_water_thresh for view in written.views.views.values()} == {None}


def test_the_track_of_a_ship_is_in_the_pixels_of_its_chip(storage: LocalStorage) -> None:
    day = make_day(chips=2, refused=0)
    put_day(storage, day)
    chip = day.index.iloc[0]
    fixes = pd.DataFrame(
        {
            "mmsi": chip["mmsi"],
            "time": [chip["scene_datetime"] + pd.Timedelta(seconds=s) for s in (-60, 60)],
            "lat": [chip["lat"] - 0.002, chip["lat"] + 0.002],
            "lon": chip["lon"],
            "ais_source": "aisstream",
            "tile_id": "30STF",
        }
    )
    write_snapshots(storage, DAY, tables.to_frame(tables.conform(fixes, FIX_SCHEMA, "fixes")), metadata=None)
    items = Reader(storage.get(write_report(DAY, storage=storage, settings=SETTINGS, **MADE).key)).items
    (south, north), other = items[0]["track"], items[1]["track"]
    assert other == []
    assert (south[2], north[2]) == ("11:03:22", "11:05:22")
    # 0.004 degrees of latitude are 444 m: the track passes through the ship's place, upwards.
    assert south[1] - north[1] == pytest.approx(44.4, abs=0.2)
    middle = [(south[n] + north[n]) / 2 for n in (0, 1)]
    assert middle == pytest.approx(items[0]["place"]["at"], abs=0.1)
    assert [int(value) for value in items[0]["place"]["at"]] == [128, 128]


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
    written = write_report(DAY, storage=storage, settings=SETTINGS, **MADE)
    items = Reader(storage.get(written.key)).items
    assert [item["views"]["src"].split("/")[1] for item in items] == ["20251028"] * 2
    assert sum(item["picture"] is not None for item in items) == 2


def test_write_report_says_what_is_missing(storage: LocalStorage) -> None:
    with pytest.raises(StorageError, match=re.escape("outcomes/20251027.parquet")):
        write_report(DAY, storage=storage, settings=SETTINGS, **MADE)
    day = make_day(chips=1, refused=0)
    put_day(storage, day)
    storage.delete(day.index["path"][0].replace(".tif", "_quicklook.jpg"))
    with pytest.raises(StorageError, match=r"_quicklook\.jpg"):
        write_report(DAY, storage=storage, settings=SETTINGS, **MADE)


def test_beyond_the_cap_quicklooks_are_linked() -> None:
    day = make_day(chips=MAX_INLINE_QUICKLOOKS + 1, refused=0)
    one = dataclasses.replace(day, quicklooks=dict(list(day.quicklooks.items())[:1]))
    items = read(one).items
    assert {item["picture"] for item in items} == {
        "../" + path.replace(".tif", "_quicklook.jpg") for path in day.index["path"]
    }
    assert {item["side_px"] for item in items} == {256}
    with pytest.raises(InputError, match="quicklook of chip"):
        read(dataclasses.replace(day, quicklooks={}))


def test_no_text_of_any_column_is_code() -> None:
    """Not only names: whatever the tables hold as text, the same page with the same tags comes out, and the text in it."""
    free = {
        "index": (
            "ship_name",
            "ship_type",
            "scene_id",
            "collection",
            "processing_baseline",
            "mgrs_tile",
            "software_version",
        ),
        "outcomes": ("ship_name", "ship_type", "detail", "scene_id"),
    }
    plain, hostile = make_day(chips=4, refused=5), make_day(chips=4, refused=5)
    for day, texts in ((plain, ("a", "b", "c", "d", "e")), (hostile, (*HOSTILE, "{% raw %}<!--<script>"))):
        for table, columns in free.items():
            frame = getattr(day, table)
            for column in set(columns) & set(frame.columns):
                frame[column] = [texts[n % len(texts)] for n in range(len(frame))]
    pages = [build_report(DAY, **day.arguments(), **MADE) for day in (plain, hostile)]
    read, wanted = Reader(pages[1]), Reader(pages[0])
    assert [tag for tag, _ in read.tags] == [tag for tag, _ in wanted.tags]
    assert not any(name.startswith("on") for _, attributes in read.tags for name in attributes)
    assert not any(str(value).startswith("javascript:") for _, attributes in read.tags for value in attributes.values())
    assert HOSTILE[0] in read.text or HOSTILE[0] in json.loads(read.scripts[0]).__repr__()
