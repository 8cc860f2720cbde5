"""Which limits stand behind a row."""

import pytest

from s2chips_core import layout
from s2chips_core.index.provenance import keep_config
from s2chips_core.pages.limits import Limits, read_limits
from s2chips_core.sections import Gate
from s2chips_core.storage import LocalStorage
from tests.pages.sample_day import SETTINGS


def test_limits_are_found_by_what_a_decision_rests_on() -> None:
    strict, loose = Gate(max_cloud_center_frac=0.01), Gate(max_cloud_center_frac=0.5)
    limits = Limits({"aa": strict, "bb": loose})
    assert limits.of_hash("bb") is loose
    assert limits.of_hash("cc") is None
    assert limits.of_fingerprint("f2", {"aa": "f1", "bb": "f2"}) is loose
    assert limits.of_fingerprint("f3", {"aa": "f1", "bb": "f2"}) is None
    assert limits.of_fingerprint(None, {"aa": "f1"}) is None


def test_limits_of_every_configuration_that_is_kept(storage: LocalStorage) -> None:
    stricter = SETTINGS.override({"gate": {"max_cloud_center_frac": 0.01}})
    assert read_limits(storage, SETTINGS).hashes == [SETTINGS.config_hash]
    keep_config(storage, stricter)
    limits = read_limits(storage, SETTINGS)
    found = limits.of_hash(stricter.config_hash)
    assert found is not None
    assert found.max_cloud_center_frac == 0.01
    assert limits.of_hash(SETTINGS.config_hash) == SETTINGS.gate


def test_a_configuration_that_was_changed_is_not_believed(storage: LocalStorage, caplog: pytest.LogCaptureFixture) -> None:
    stricter = SETTINGS.override({"gate": {"max_cloud_center_frac": 0.01}})
    keep_config(storage, stricter)
    key = layout.deciding_config(stricter.config_hash)
    storage.put(key, storage.get(key).replace(b"0.01", b"0.99"))
    assert read_limits(storage, SETTINGS).of_hash(stricter.config_hash) is None
    assert "was changed since it was written" in caplog.text
