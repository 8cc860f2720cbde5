"""What earlier runs decided."""

from s2chips_core import layout, tables
from s2chips_core.index.earlier import read_earlier
from s2chips_core.index.journal import Journal
from s2chips_core.index.outcomes import OUTCOME_SCHEMA, Outcome, outcome_row, outcomes_frame
from s2chips_core.storage import LocalStorage
from tests.index.chips import DAY, commit_chips, index_of, match_of


def test_nothing_is_known_of_a_new_day(storage: LocalStorage) -> None:
    found = read_earlier(storage, DAY, layout.CAPTURE, [DAY])
    assert (found.own, found.others, found.refused, found.replay, found.uncertain) == ({}, {}, {}, None, frozenset())


def test_own_others_and_refusals_are_told_apart(storage: LocalStorage) -> None:
    commit_chips(storage, index_of([1]))
    commit_chips(storage, index_of([2], source_id="file-a"), source="file-a")
    rows = [
        outcome_row(match_of(n), outcome, "said", chip_id=f"{n:016x}", fingerprint="f") for n, outcome in enumerate(Outcome)
    ]
    tables.write_table(storage, layout.outcomes_part(DAY, layout.CAPTURE), outcomes_frame(rows), OUTCOME_SCHEMA)
    found = read_earlier(storage, DAY, layout.CAPTURE, [DAY])
    assert [row["mmsi"] % 1000 for row in found.own.values()] == [1]
    assert [row["mmsi"] % 1000 for row in found.others.values()] == [2]
    assert {row["outcome"] for row in found.refused.values()} == {
        "gate_cloud",
        "gate_land",
        "gate_water",
        "nodata",
        "pruned",
    }


def test_what_a_killed_run_wrote_is_in_doubt_and_what_it_dropped_is_not(storage: LocalStorage) -> None:
    own = Journal(writes={"a.tif": DAY}, drops={"b.tif": DAY})
    other = Journal(writes={"c.tif": DAY}, drops={"d.tif": DAY})
    storage.put(layout.journal(DAY, layout.CAPTURE), own.to_json())
    storage.put(layout.journal(DAY, "file-a"), other.to_json())
    found = read_earlier(storage, DAY, layout.CAPTURE, [])
    assert found.replay == own
    assert found.uncertain == {"a.tif", "c.tif", "d.tif"}
