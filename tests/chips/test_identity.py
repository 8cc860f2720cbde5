"""Ids, splits and fingerprints, against the published vectors and plain hashlib."""

import doctest
import hashlib
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s2chips_core.chips import identity
from s2chips_core.chips.identity import chip_id, fingerprint, format_time, split_of, split_share
from s2chips_core.sections import Splits

GIBRALTAR = datetime(2025, 10, 27, 11, 4, 22, 123000, tzinfo=UTC)
GULF = datetime(2025, 7, 31, 13, 19, 22, 930000, tzinfo=UTC)
VECTORS = [
    (244660123, GIBRALTAR, 36.1251, -5.4302, "d96fd1987d732223", 0.8493624683),
    (244660124, GIBRALTAR, 36.21040049, -5.3566, "e74e42322ee06e05", 0.9035378811),
    (257000000, GULF, -1e-7, 0.0, "d2bab9b52346b3d1", 0.8231617038),
    (257000000, GULF, -0.0, -0.0, "d2bab9b52346b3d1", 0.8231617038),
]


@pytest.mark.parametrize(("mmsi", "time", "lat", "lon", "expected", "share"), VECTORS)
def test_published_vectors(mmsi: int, time: datetime, lat: float, lon: float, expected: str, share: float) -> None:
    assert chip_id(mmsi, time, lat, lon) == expected
    assert split_share(expected) == pytest.approx(share, abs=5e-11)


@given(
    st.integers(1, 999_999_999),
    st.datetimes(datetime(2015, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    st.floats(-90, 90),
    st.floats(-180, 180),
)
def test_is_the_formula(mmsi: int, time: datetime, lat: float, lon: float) -> None:
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S.") + f"{time.microsecond // 1000:03d}Z"
    text = f"{mmsi}|{stamp}|{round(lat, 5) + 0.0!r}|{round(lon, 5) + 0.0!r}"
    assert chip_id(mmsi, time, lat, lon) == hashlib.sha1(text.encode()).hexdigest()[:16]
    assert chip_id(mmsi, time, round(lat, 5), round(lon, 5)) == chip_id(mmsi, time, lat, lon)


def test_the_same_instant_in_another_zone_is_the_same_chip() -> None:
    there = GIBRALTAR.astimezone(timezone(timedelta(hours=-5)))
    assert chip_id(1, there, 0, 0) == chip_id(1, GIBRALTAR, 0, 0)
    with pytest.raises(ValueError, match="aware"):
        format_time(GIBRALTAR.replace(tzinfo=None))


@pytest.mark.parametrize(
    ("digits", "expected"),
    [("00000000", "train"), ("bfffffff", "train"), ("c0000000", "val"), ("dfffffff", "val"), ("e0000000", "test")],
)
def test_split_bounds(digits: str, expected: str) -> None:
    assert split_of(digits + "0" * 8, 1, Splits(train=0.75, val=0.125, test=0.125)) == expected


def test_split_shares_hold_over_many_chips() -> None:
    ids = [chip_id(mmsi, GIBRALTAR, 36.0, -5.0) for mmsi in range(20_000)]
    splits = [split_of(i, 0, Splits()) for i in ids]
    assert [splits.count(s) / len(ids) for s in ("train", "val", "test")] == pytest.approx([0.8, 0.1, 0.1], abs=0.01)


def test_by_mmsi_a_vessel_is_in_one_split() -> None:
    splits = Splits(by="mmsi")
    for mmsi in range(244_660_000, 244_660_050):
        share = int(hashlib.sha1(str(mmsi).encode()).hexdigest()[:8], 16) / 16**8
        expected = "train" if share < 0.8 else "val" if share < 0.9 else "test"
        assert {split_of(chip_id(mmsi, GIBRALTAR, lat, 0), mmsi, splits) for lat in range(10)} == {expected}


def test_fingerprint_changes_with_everything_it_covers() -> None:
    base = {
        "config_hash": "c",
        "scene_id": "s",
        "revision": "r",
        "processing_baseline": "05.11",
        "lat": 1.0,
        "lon": 2.0,
    }
    others = [{key: 3.0 if key in ("lat", "lon") else "x"} for key in base] + [{"processing_baseline": None}]
    prints = [fingerprint(**{**base, **other}) for other in [{}, *others]]  # type: ignore[arg-type]
    assert len(set(prints)) == len(prints)
    assert all(len(p) == 16 and int(p, 16) >= 0 for p in prints)
    assert fingerprint(**{**base, "lat": 1.000001}) == prints[0]  # type: ignore[arg-type]


def test_docstrings() -> None:
    assert doctest.testmod(identity).failed == 0
