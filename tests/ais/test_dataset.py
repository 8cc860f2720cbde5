"""A dataset is of real or of synthetic AIS."""

import pytest

from s2chips_core import layout
from s2chips_core.ais.dataset import claim_dataset
from s2chips_core.errors import MixedAisError
from s2chips_core.storage import LocalStorage


@pytest.mark.parametrize(("first", "other"), [("aisstream", "synthetic"), ("file", "synthetic"), ("synthetic", "file")])
def test_the_first_ais_decides(storage: LocalStorage, first: str, other: str) -> None:
    claim_dataset(storage, {first})
    claim_dataset(storage, {first})
    with pytest.raises(MixedAisError, match=other):
        claim_dataset(storage, {other})


def test_files_and_captures_are_both_real(storage: LocalStorage) -> None:
    claim_dataset(storage, {"aisstream"})
    claim_dataset(storage, {"file"})


def test_both_at_once_are_refused_and_claim_nothing(storage: LocalStorage) -> None:
    with pytest.raises(MixedAisError):
        claim_dataset(storage, {"aisstream", "synthetic"})
    assert not storage.exists(layout.dataset_note())


def test_nothing_claims_nothing(storage: LocalStorage) -> None:
    claim_dataset(storage, set())
    assert not storage.exists(layout.dataset_note())
