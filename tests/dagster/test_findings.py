"""What is made of measurements: each verdict on both sides of its threshold, and the table."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s2chips_core.config import Settings, parse_settings
from s2chips_dagster import findings
from s2chips_dagster.findings import GIB, Beat, ClockReading, Finding, SourceAnswer

NOW = datetime(2025, 10, 27, 12, 0, 0, tzinfo=UTC)
DAY = date(2025, 10, 28)


def settings_of(source: str = "auto", ais: str = "aisstream") -> Settings:
    return parse_settings({"satellite_tracking": {"source": source, "tiles": ["30STF"]}, "ais": {"source": ais}}, "test")


@pytest.mark.parametrize("verdict", ["warning", "failed"])
def test_what_is_wrong_has_a_remedy(verdict: findings.Verdict) -> None:
    with pytest.raises(ValueError, match="without a remedy"):
        Finding(check="x", verdict=verdict, sentence="bad")


@pytest.mark.parametrize(
    ("key", "source", "verdict"),
    [
        (None, "aisstream", "failed"),
        ("", "aisstream", "failed"),
        ("", "synthetic", "skipped"),
        ("4f3c2b1a", "aisstream", "ok"),
        (' "4f3c2b1a" ', "aisstream", "failed"),
        ("4f3c2b1a\n", "aisstream", "failed"),
    ],
)
def test_the_key_is_judged_and_not_shown(key: str | None, source: str, verdict: str) -> None:
    found = findings.judge_key(key, source)
    assert found.verdict == verdict
    assert "4f3c" not in found.sentence + found.remedy


@pytest.mark.parametrize(
    ("free", "verdict"), [(10 * GIB, "ok"), (10 * GIB - 1, "warning"), (GIB, "warning"), (GIB - 1, "failed")]
)
def test_disk(free: int, verdict: str) -> None:
    assert findings.judge_disk("/data", free, exists=True).verdict == verdict
    assert "will be made" in findings.judge_disk("/data", free, exists=False).sentence


def beat(name: str, age_s: float | None, *errors: str) -> Beat:
    return Beat(daemon=name, at=None if age_s is None else NOW - timedelta(seconds=age_s), errors=errors)


def test_heartbeats() -> None:
    judge = findings.judge_beats
    assert judge("/h", [beat("SENSOR", 10), beat("SCHEDULER", 299)], NOW).verdict == "ok"
    assert "has never run" in judge("/h", [beat("SENSOR", None), beat("SCHEDULER", None)], NOW).sentence
    stopped = judge("/h", [beat("SENSOR", 3600), beat("SCHEDULER", 7200)], NOW)
    assert (stopped.verdict, "since 2025-10-27 11:00" in stopped.sentence) == ("warning", True)
    half = judge("/h", [beat("SENSOR", 10), beat("SCHEDULER", 301)], NOW)
    assert (half.verdict, "SCHEDULER" in half.sentence, "SENSOR" in half.sentence) == ("warning", True, False)
    broken = judge("/h", [beat("SENSOR", 10, "ImportError: no module\n  at line"), beat("SCHEDULER", 10)], NOW)
    assert broken.verdict == "warning"
    assert broken.sentence.endswith("SENSOR reports: ImportError: no module")


@given(
    ahead_s=st.floats(-1e5, 1e5),
    there_and_back_s=st.tuples(st.floats(0, 5), st.floats(0, 5)),
    fraction_s=st.floats(0, 0.999),
)
def test_the_clock_is_read_within_its_uncertainty(
    ahead_s: float, there_and_back_s: tuple[float, float], fraction_s: float
) -> None:
    """A server writes its date, in whole seconds, when the request has come; this machine's clock is ahead of its."""
    there_s, back_s = there_and_back_s
    at_server = NOW + timedelta(seconds=fraction_s)
    sent = at_server + timedelta(seconds=ahead_s - there_s)
    received = at_server + timedelta(seconds=ahead_s + back_s)
    reading = findings.read_clock({"Date": NOW.strftime("%a, %d %b %Y %H:%M:%S GMT")}, sent, received)
    assert reading is not None
    assert abs(reading.ahead_s - ahead_s) <= reading.uncertainty_s + 1e-4


def test_a_cached_answer_is_as_old_as_its_age() -> None:
    headers = {"Date": "Mon, 27 Oct 2025 11:50:00 GMT", "Age": "600"}
    reading = findings.read_clock(headers, NOW, NOW)
    assert reading is not None
    assert abs(reading.ahead_s) <= reading.uncertainty_s
    assert findings.read_clock({"Date": "Mon, 27 Oct 2025 12:00:00 -0000"}, NOW, NOW) is not None


@pytest.mark.parametrize("headers", [{}, {"Date": "yesterday"}, {"Date": "Mon, 27 Oct 2025 12:00:00 GMT", "Age": "old"}])
def test_no_date_is_no_reading(headers: dict[str, str]) -> None:
    assert findings.read_clock(headers, NOW, NOW) is None


@pytest.mark.parametrize(
    ("ahead_s", "verdict", "words"),
    [
        (0.2, "ok", "within 0.5 s"),
        (3.4, "ok", "within 3.4 s"),
        (-4.0, "warning", "4 s behind"),
        (4.0, "warning", "4 s ahead of"),
        (-3600.0, "failed", "3600 s behind"),
    ],
)
def test_clock(ahead_s: float, verdict: str, words: str) -> None:
    found = findings.judge_clock(ClockReading(ahead_s=ahead_s, uncertainty_s=0.5), "")
    assert (found.verdict, words in found.sentence) == (verdict, True)


def test_a_clock_that_is_moved_for_runs_is_told() -> None:
    found = findings.judge_clock(ClockReading(ahead_s=0.0, uncertainty_s=0.5), "S2CHIPS_NOW=2025-10-29")
    assert (found.verdict, found.remedy.startswith("unset S2CHIPS_NOW,")) == ("warning", True)
    assert findings.judge_clock(None, "").verdict == "skipped"
    assert findings.judge_clock(ClockReading(ahead_s=99.0, uncertainty_s=0.5), "S2CHIPS_NOW=x").verdict == "failed"


def test_a_slow_archive_is_a_warning() -> None:
    assert findings.judge_archive("https://a/v1", "c", 5.0).verdict == "ok"
    assert findings.judge_archive("https://a/v1", "c", 5.1).verdict == "warning"
    assert findings.judge_archive("https://a/v1", None, 0.1).sentence == "https://a/v1 answers, after 0.1 s"


@pytest.mark.parametrize(
    ("rows", "source", "ais", "verdict"),
    [
        (0, "auto", "aisstream", "ok"),
        (7, "backfill", "synthetic", "ok"),
        (None, "auto", "aisstream", "warning"),
        (None, "backfill", "aisstream", "warning"),
        (None, "backfill", "synthetic", "skipped"),
    ],
)
def test_plan(rows: int | None, source: str, ais: str, verdict: str) -> None:
    assert findings.judge_plan(DAY, rows, settings_of(source, ais)).verdict == verdict


def answer(usable: tuple[str, ...], key: str = "tle_sources", *notes: str) -> SourceAnswer:
    missing = tuple(s for s in ("S2A", "S2B") if s not in usable)
    return SourceAnswer(what="orbital elements", key=key, usable=usable, missing=missing, notes=notes)


@pytest.mark.parametrize(
    ("mode", "usable", "verdict"),
    [
        ("tle", ("S2A", "S2B"), "ok"),
        ("tle", ("S2A",), "warning"),
        ("tle", (), "failed"),
        ("acquisition_plan", (), "failed"),
        ("auto", (), "warning"),
    ],
)
def test_sources(mode: str, usable: tuple[str, ...], verdict: str) -> None:
    found = findings.judge_sources(mode, [answer(usable, "tle_sources", "one.", "two", "three")], DAY, left_out=False)
    assert found.verdict == verdict
    if verdict != "ok":
        assert "(one; two; and 1 more)" in found.sentence
        assert "satellite_tracking.tle_sources" in found.remedy
    assert ("repeat cycle" in found.remedy) == (mode == "auto")


def test_sources_that_were_not_asked_are_not_judged() -> None:
    assert findings.judge_sources("tle", [answer(())], DAY, left_out=True).verdict == "skipped"
    assert findings.judge_sources("tle", [answer(("S2A", "S2B"))], DAY, left_out=True).verdict == "ok"


def test_shorten_leaves_other_texts_alone() -> None:
    said = (
        "landing page: HTTPSConnectionPool(host='a.b', port=443): Max retries exceeded with url: /v1 (Caused by "
        "NameResolutionError(\"HTTPSConnection(host='a.b', port=443): Failed to resolve 'a.b' ([Errno -2] unknown)\"))"
    )
    assert findings.shorten(said) == "landing page: no answer (NameResolutionError)"
    assert (
        findings.shorten("HTTPConnectionPool(host='a'): Read timed out.") == "HTTPConnectionPool(host='a'): Read timed out."
    )


def test_the_table() -> None:
    table = findings.format_findings(
        [findings.ok("config", "all\nwell"), findings.failed("ais service", "does not open", "look at it")]
    )
    assert table.splitlines() == [
        "config       ok       all well",
        "ais service  failed   does not open",
        "                      → look at it",
        "2 checks: 1 ok, 1 failed",
    ]
