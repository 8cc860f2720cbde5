"""The account of bytes: nobody is let in who does not fit, nobody waits for ever."""

from hypothesis import given
from hypothesis import strategies as st

from s2chips_core.chips.memory import MemoryBudget


def test_pieces_come_in_as_others_leave_in_their_order() -> None:
    memory = MemoryBudget(100)
    came: list[str] = []
    memory.reserve(60, lambda: came.append("a"))
    memory.reserve(50, lambda: came.append("b"))
    memory.reserve(10, lambda: came.append("c"))  # fits, but is not the next
    assert (came, memory.used_bytes, memory.waiting) == (["a"], 60, 2)
    memory.release(10)
    assert came == ["a", "b"]
    memory.release(50)
    assert came == ["a", "b", "c"]
    for size in (0, 50, 10):
        memory.leave(size)
    assert (memory.used_bytes, memory.most_bytes) == (0, 100)


def test_what_is_larger_than_all_of_it_goes_alone() -> None:
    memory = MemoryBudget(100)
    came: list[str] = []
    memory.reserve(10, lambda: came.append("small"))
    memory.reserve(500, lambda: came.append("large"))
    memory.reserve(10, lambda: came.append("next"))
    assert came == ["small"]
    memory.leave(10)
    assert came == ["small", "large"]
    memory.leave(500)
    assert came == ["small", "large", "next"]


def test_what_has_been_left_behind_for_later_stops_nobody() -> None:
    memory = MemoryBudget(100)
    came: list[str] = []
    memory.reserve(90, lambda: came.append("first"))
    memory.leave(10)  # 80 stay, for the piece that follows
    memory.reserve(50, lambda: came.append("second"))
    assert came == ["first", "second"]


def test_a_chip_on_its_way_keeps_others_waiting() -> None:
    memory = MemoryBudget(100)
    came: list[str] = []
    memory.reserve(80, lambda: came.append("piece"))
    memory.enter()
    memory.leave(20)  # the piece is over, its chip is not
    memory.reserve(60, lambda: came.append("next"))
    assert came == ["piece"]
    memory.leave(60)
    assert came == ["piece", "next"]


@given(st.lists(st.integers(0, 150), max_size=40), st.randoms(use_true_random=False))
def test_everybody_gets_in_and_no_two_are_too_large_together(sizes: list[int], random: object) -> None:
    memory = MemoryBudget(100)
    inside: list[int] = []
    came: list[int] = []

    def come(size: int) -> None:
        came.append(size)
        inside.append(size)
        assert sum(inside) <= 100 or len(inside) == 1

    for size in sizes:
        memory.reserve(size, lambda size=size: come(size))  # type: ignore[misc]
    while inside:
        memory.leave(inside.pop(random.randrange(len(inside))))  # type: ignore[attr-defined]
    assert (came, memory.used_bytes, memory.waiting) == (sizes, 0, 0)
