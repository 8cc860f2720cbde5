import dataclasses
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s2chips_core.errors import InputError, MissingAssetError
from s2chips_core.scenes.sensing_time import METADATA_MOST_BYTES, parse_sensing_time, resolve_sensing_times
from tests.scenes.samples import SENSED, scene

# The head of a granule's MTD_TL.xml, in the form of ESA's product specification.
XML = """<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<n1:Level-2A_Tile_ID xmlns:n1="https://psd-14.sentinel2.eo.esa.int/PSD/S2_PDI_Level-2A_Tile_Metadata.xsd">
  <n1:General_Info>
    <L1C_TILE_ID metadataLevel="Brief">S2C_OPER_MSI_L1C_TL_2CPS_20250330T130000_A002952_T33UWP_N05.11</L1C_TILE_ID>
    <SENSING_TIME metadataLevel="Standard">{time}</SENSING_TIME>
  </n1:General_Info>
</n1:Level-2A_Tile_ID>
"""


def xml(time: str) -> bytes:
    return XML.format(time=time).encode()


@settings(deadline=None)
@given(st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=15_000)))
def test_reads_the_time_to_the_millisecond(since: timedelta) -> None:
    when = datetime(2015, 6, 23, tzinfo=UTC) + since
    text = when.isoformat(timespec="microseconds").replace("+00:00", "Z")
    read = parse_sensing_time(xml(text))
    assert read.tzinfo is UTC
    assert timedelta(0) <= when - read < timedelta(milliseconds=1)
    assert read.microsecond % 1000 == 0


@pytest.mark.parametrize(
    ("body", "got"),
    [
        (b"", "0 sensing times"),
        (xml("2025-03-30T10:04:35Z") + xml("2025-03-30T10:04:36Z"), "2 sensing times"),
        (xml("soon"), "soon"),
        (xml("2025-03-30T10:04:35"), "2025-03-30T10:04:35"),
        (xml("2025-03-30T10:04:35+02:00"), r"\+02:00"),
        (xml("&time;"), "&time;"),
        (b"<SENSING_TIME>" * 100_000, "0 sensing times"),
        (b" " * (METADATA_MOST_BYTES + 1), "bytes"),
    ],
)
def test_anything_else_is_refused(body: bytes, got: str) -> None:
    with pytest.raises(InputError, match=got):
        parse_sensing_time(body)


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_a_time_or_refused(body: bytes) -> None:
    with pytest.raises(InputError):
        parse_sensing_time(b"<SENSING_TIME>" + body)


def test_a_scene_gets_its_own_time_or_is_refused_with_the_reason() -> None:
    known = scene()
    start = dataclasses.replace(known, datetime=SENSED - timedelta(minutes=6), datetime_is="datatake_start")
    good = dataclasses.replace(start, scene_id="good", granule_metadata_href="https://h/good.xml")
    gone = dataclasses.replace(start, scene_id="gone", granule_metadata_href="https://h/gone.xml")
    wrong = dataclasses.replace(start, scene_id="wrong", granule_metadata_href="https://h/wrong.xml")
    bare = dataclasses.replace(start, scene_id="bare")
    asked = []

    def fetch(href: str) -> bytes:
        asked.append(href)
        if "gone" in href:
            raise MissingAssetError(href, "HTTP 404")
        return xml("2025-07-31T10:36:41.024Z" if "good" in href else "2025-07-31T12:36:41.024Z")

    resolved, refused = resolve_sensing_times([known, good, gone, wrong, bare], fetch)
    assert resolved == [known, dataclasses.replace(good, datetime=SENSED, datetime_is="tile")]
    assert asked == ["https://h/good.xml", "https://h/gone.xml", "https://h/wrong.xml"]
    assert [r.item_id for r in refused] == ["gone", "wrong", "bare"]
    assert "HTTP 404" in refused[0].reason
    assert "within 30 min after" in refused[1].reason
    assert "MTD_TL.xml" in refused[2].reason
