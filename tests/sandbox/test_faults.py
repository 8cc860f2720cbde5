from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import urllib3
from urllib3.exceptions import HTTPError, IncompleteRead, ProtocolError

from s2chips_core.sandbox.faults import Faults
from s2chips_core.sandbox.server import Served, serve


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    (tmp_path / "a.tif").write_bytes(bytes(range(250)) * 40)
    with serve(tmp_path) as running:
        yield running


def _get(served: Served, path: str = "data/a.tif", **options: object) -> urllib3.BaseHTTPResponse:
    return urllib3.PoolManager().request("GET", f"http://{served.host}/{path}", retries=False, timeout=5, **options)  # type: ignore[arg-type]


def test_requests_and_bytes_are_counted_by_kind(served: Served) -> None:
    _get(served, headers={"Range": "bytes=0-99"})
    _get(served)
    _get(served, "v1")
    assert served.counters.requests == {"stac": 1, "data": 2}
    assert served.counters.bytes["data"] == 100 + 10_000
    assert served.counters.bytes["stac"] > 500
    served.counters.reset()
    assert served.counters.requests == {"stac": 0, "data": 0}


@pytest.mark.parametrize("kind", ["503", "429", "500", "404"])
def test_a_status(served: Served, kind: str) -> None:
    served.faults.fail(kind, times=1)  # type: ignore[arg-type]
    answer = _get(served)
    assert answer.status == int(kind)
    assert ("retry-after" in answer.headers) == (kind in ("503", "429"))
    assert _get(served).status == 200
    assert served.counters.faults == 1


def test_a_reset(served: Served) -> None:
    served.faults.fail("reset", times=1)
    with pytest.raises(ProtocolError) as caught:
        _get(served)
    assert isinstance(caught.value.args[1], ConnectionResetError)
    assert _get(served).status == 200


def test_a_short_body(served: Served) -> None:
    served.faults.fail("short", match="a.tif", times=1)
    with pytest.raises((IncompleteRead, ProtocolError)) as caught:
        _get(served, headers={"Range": "bytes=0-999"})
    assert "IncompleteRead(500 bytes read, 500 more expected)" in str(caught.value)
    assert len(_get(served).data) == 10_000


def test_a_slow_answer(served: Served) -> None:
    served.faults.fail("slow", delay_s=3, times=1)
    with pytest.raises(HTTPError, match="timed out"):
        urllib3.PoolManager().request("GET", f"http://{served.host}/data/a.tif", retries=False, timeout=0.2)


def test_how_long_to_be_left_alone(served: Served) -> None:
    served.faults.fail("429", times=1, retry_after_s=3)
    assert _get(served).headers["retry-after"] == "3"


@pytest.mark.parametrize(("kind", "others"), [("garbage", range(1000, 1001)), ("damage", range(1, 3))])
def test_other_bytes_of_the_right_length(served: Served, kind: str, others: range) -> None:
    right = _get(served, headers={"Range": "bytes=0-999"})
    served.faults.fail(kind, times=1)  # type: ignore[arg-type]
    wrong = _get(served, headers={"Range": "bytes=0-999"})
    assert (wrong.status, dict(wrong.headers)["etag"]) == (206, dict(right.headers)["etag"])
    assert sum(a != b for a, b in zip(wrong.data, right.data, strict=True)) in others
    assert _get(served, headers={"Range": "bytes=0-999"}).data == right.data


def test_a_mix_takes_its_share_in_equal_parts() -> None:
    faults = Faults()
    faults.mix(("503", "reset", "short"), 0.3)
    struck = [faults.next("/x") for _ in range(6000)]
    counts = Counter(one.kind for one in struck if one is not None)
    assert set(counts) == {"503", "reset", "short"}
    assert all(500 < count < 700 for count in counts.values())


def test_every_third_and_only_what_matches(served: Served) -> None:
    served.faults.fail("503", every_nth=3, match="a.tif")
    assert [_get(served).status for _ in range(7)] == [200, 200, 503, 200, 200, 503, 200]
    assert _get(served, "v1").status == 200
    served.faults.clear()
    assert {_get(served).status for _ in range(4)} == {200}


def test_the_dice_are_seeded() -> None:
    def thrown(seed: int) -> list[bool]:
        faults = Faults()
        faults.fail("503", probability=0.3, seed=seed)
        return [faults.next("/x") is not None for _ in range(200)]

    assert thrown(1) == thrown(1) != thrown(2)
    assert 35 < sum(thrown(1)) < 85


def test_an_unknown_fault_is_refused() -> None:
    with pytest.raises(ValueError, match="known: 503"):
        Faults().fail("418")  # type: ignore[arg-type]
