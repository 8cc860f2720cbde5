"""The union of a day's parts; what a run of the day makes of it is seen in test_day."""

from s2chips_core import layout, tables
from s2chips_core.index.day_tables import put_day_tables
from s2chips_core.scenes.matches import MATCH_SCHEMA
from s2chips_core.storage import LocalStorage
from tests.index.chips import DAY, match_of, write_matches


def test_each_table_is_there_when_it_has_parts(storage: LocalStorage) -> None:
    write_matches(storage, [match_of(0)])
    write_matches(storage, [match_of(1)], source="file-a")
    put_day_tables(DAY, storage)
    assert tables.read_table(storage, layout.matches(DAY), MATCH_SCHEMA)["source_id"].tolist() == ["capture", "file-a"]
    assert not storage.exists(layout.outcomes(DAY))
    storage.delete_folder(layout.matches_parts_of_day(DAY))
    put_day_tables(DAY, storage)
    assert not storage.exists(layout.matches(DAY))
