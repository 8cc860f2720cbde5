"""The rules by themselves; each fault through a running server is in test_ais_connection."""

import inspect

from s2chips_core.sandbox.ais_faults import KINDS, AisFaults


def test_every_fault_is_a_method_with_a_docstring() -> None:
    for kind in KINDS:
        method = getattr(AisFaults, kind)
        assert inspect.getdoc(method)
        assert {"times", "probability", "seed"} <= set(inspect.signature(method).parameters)


def test_times_are_counted() -> None:
    faults = AisFaults()
    assert faults.next("refuse") is None
    faults.refuse(status=503, times=1)
    faults.refuse(status=403, times=2)
    rules = [faults.next("refuse") for _ in range(4)]
    assert [rule and rule.value for rule in rules] == [503, 403, 403, None]


def test_the_dice_are_seeded() -> None:
    def thrown(seed: int) -> list[bool]:
        faults = AisFaults()
        faults.duplicates(probability=0.3, seed=seed)
        return [faults.next("duplicates") is not None for _ in range(300)]

    assert thrown(1) == thrown(1) != thrown(2)
    assert 60 < sum(thrown(1)) < 120


def test_only_after_so_many_messages() -> None:
    faults = AisFaults()
    faults.text_frames(after_messages=3, times=1)
    assert [faults.next("text_frames", messages=sent) is not None for sent in range(5)] == [False, False, False, True, False]


def test_a_connection_is_struck_for_good_and_once() -> None:
    faults = AisFaults()
    faults.silence(times=1, after_messages=2, after_s=1.0)
    assert faults.holds("silence", 1, messages=2, age_s=0.5) is None
    assert faults.holds("silence", 1, messages=1, age_s=5.0) is None
    assert faults.holds("silence", 1, messages=2, age_s=1.0) is not None
    assert faults.holds("silence", 2, messages=9, age_s=9.0) is None  # the one time is used up
    assert faults.holds("silence", 1) is not None


def test_the_dice_are_thrown_once_for_a_connection() -> None:
    faults = AisFaults()
    faults.close(probability=0.5)
    struck = {number for number in range(200) if faults.holds("close", number)}
    assert 70 < len(struck) < 130
    assert struck == {number for number in range(200) if faults.holds("close", number)}


def test_clearing_one_and_all() -> None:
    faults = AisFaults()
    assert (faults.on_messages, faults.on_connections) == (False, False)
    faults.garbage()
    faults.silence()
    faults.reset()
    assert faults.on_messages
    assert faults.on_connections
    faults.clear("garbage")
    assert not faults.on_messages
    assert faults.next("garbage") is None
    assert faults.holds("silence", 1)
    faults.clear()
    assert faults.holds("silence", 1) is None
    assert faults.next("reset") is None
    assert not faults.on_connections
