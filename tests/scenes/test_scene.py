import dataclasses
import json
from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given, settings
from hypothesis import strategies as st

from s2chips_core.scenes.scene import Scene
from tests.scenes.samples import scene


@settings(deadline=None)
@given(
    milliseconds=st.integers(0, 10**12),
    platform=st.sampled_from(["S2A", "S2B", "S2C"]),
    cloud_cover=st.floats(0, 100),
    datatake_id=st.none() | st.text(max_size=30),
    flag=st.none() | st.booleans(),
    href=st.none() | st.text(max_size=30),
    bands=st.sets(st.sampled_from(["B02", "B11", "SCL"])),
)
def test_one_line_of_json_keeps_everything(  # type: ignore[no-untyped-def]
    milliseconds, platform, cloud_cover, datatake_id, flag, href, bands
) -> None:
    base = scene()
    given_scene = dataclasses.replace(
        base,
        datetime=datetime(2015, 6, 23, tzinfo=UTC) + timedelta(milliseconds=milliseconds),
        platform=platform,
        cloud_cover=cloud_cover,
        datatake_id=datatake_id,
        boa_offset_flag=flag,
        granule_metadata_href=href,
        assets={band: base.assets[band] for band in bands},
    )
    text = given_scene.to_json()
    assert "\n" not in text
    assert Scene.from_json(text) == given_scene


def test_another_zone_is_read_as_utc() -> None:
    tree = json.loads(scene().to_json())
    tree["datetime"] = datetime.fromisoformat(tree["datetime"]).astimezone(timezone(timedelta(hours=9))).isoformat()
    assert Scene.from_json(json.dumps(tree)) == scene()
