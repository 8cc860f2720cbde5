"""What the Dagster UI is given: tables as text, pictures inline, progress not too often."""

import base64
import logging

import pandas as pd
import pytest

from s2chips_dagster import metadata
from s2chips_dagster.plans import notes_list


def test_table_preview_shows_ten_rows_as_text() -> None:
    frame = pd.DataFrame({"mmsi": range(30), "ship_name": ["A"] * 29 + [None], "dt_s": [float("nan")] * 30, "other": 1})
    table = metadata.table_preview(frame, ["mmsi", "ship_name", "dt_s"])
    assert len(table.records) == 10
    assert table.records[3].data == {"mmsi": "3", "ship_name": "A", "dt_s": ""}
    assert [column.name for column in table.schema.columns] == ["mmsi", "ship_name", "dt_s"]


def test_picture_is_a_data_uri() -> None:
    text = metadata.picture(b"\xff\xd8jpeg", "quicklooks").value
    assert text is not None
    assert text.startswith("![quicklooks](data:image/jpeg;base64,")
    assert base64.b64decode(text.split("base64,")[1].rstrip(")")) == b"\xff\xd8jpeg"


def test_other_pictures_name_their_kind() -> None:
    text = metadata.picture(b"<svg/>", "map", "image/svg+xml").value
    assert text == f"![map](data:image/svg+xml;base64,{base64.b64encode(b'<svg/>').decode()})"


def test_records_table_shows_all_rows() -> None:
    table = metadata.records_table([{"n": n, "of": None} for n in range(30)], ["n", "of"])
    assert [record.data for record in table.records][-1] == {"n": "29", "of": ""}
    assert len(table.records) == 30


def test_times_are_short_and_name_their_zone() -> None:
    at = pd.Timestamp("2025-10-27T11:19:09.091Z")
    table = metadata.records_table([{"at": at}, {"at": at.to_pydatetime()}, {"at": pd.NaT}], ["at"])
    assert [record.data["at"] for record in table.records] == ["2025-10-27 11:19:09Z"] * 2 + [""]


def test_counts_table_has_a_row_for_each_outcome() -> None:
    text = metadata.counts_table({"chipped": 3, "gate_cloud": 0}).value
    assert text is not None
    assert "| chipped | 3 |" in text
    assert "| gate_cloud | 0 |" in text
    assert text.startswith("| outcome | targets |")
    other = metadata.counts_table({"tle": 2}, "source", "overpasses").value
    assert other == "| source | overpasses |\n|---|---:|\n| tle | 2 |"


def test_progress_is_logged_at_most_every_so_often(caplog: pytest.LogCaptureFixture) -> None:
    log = logging.getLogger("progress")
    with caplog.at_level(logging.INFO):
        quiet = metadata.throttled(log, every_s=3600)
        lively = metadata.throttled(log, every_s=0)
        for n in range(5):
            quiet(f"quiet {n}")
            lively(f"lively {n}")
    assert sum("lively" in line for line in caplog.messages) == 5
    assert [line for line in caplog.messages if "quiet" in line] == ["quiet 0"], "the first at once, the others too soon"


def test_a_rate_of_nothing_is_nothing() -> None:
    assert (metadata.rate(1, 3), metadata.rate(0, 0), metadata.rate(4, 4)) == (0.3333, 0.0, 1.0)


def test_texts_of_others_are_words_where_the_ui_reads_markdown() -> None:
    """A source that fails is quoted in the notes of a plan, with what it said."""
    hostile = "![x](http://evil.example/x.png) [here](javascript:alert(1)) <img src=x>\n\n# `a` | b &lt;"
    shown = "\\!\\[x\\](http://evil.example/x.png) \\[here\\](javascript:alert(1)) \\<img src=x\\> # \\`a\\` \\| b \\&lt;"
    assert metadata.as_words(hostile) == shown
    assert metadata.counts_table({hostile: 1}).value == f"| outcome | targets |\n|---|---:|\n| {shown} | 1 |"
    assert notes_list([hostile, "gate_cloud"]).value == f"- {shown}\n- gate_cloud"
