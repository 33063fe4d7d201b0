"""Memory that is used again: a buffer serves one result at a time, of its size or down to half of it."""
from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from minicnn.kernels.numba_backend import memory
from tests.compare import assert_equal

N = memory.SMALL


def place(array: np.ndarray) -> int:
    return array.ctypes.data


def test_a_buffer_is_used_again_when_nobody_holds_it() -> None:
    pool = memory._Pool()
    first = pool.take(4 * N)
    where, view = place(first), first[10:20]
    del first
    assert place(pool.take(4 * N)) != where, "a view still holds it"
    del view
    assert place(pool.take(4 * N)) == where
    assert pool.held == 8 * N


def test_a_smaller_result_takes_a_larger_buffer_but_not_one_of_more_than_twice_its_size() -> None:
    pool = memory._Pool()
    large, middle = pool.take(4 * N), pool.take(3 * N)
    places = place(large), place(middle)
    del large, middle
    small = pool.take(2 * N)
    assert (place(small), small.nbytes) == (places[1], 2 * N), "the smallest that is large enough"
    other = pool.take(2 * N)
    assert place(other) == places[0]
    del small, other
    assert place(pool.take(N)) not in places
    assert place(pool.take(4 * N)) == places[0], "the size itself comes first, and the whole of it"


@given(st.lists(st.tuples(st.integers(0, 7), st.integers(N, 5 * N)), max_size=30))
def test_arrays_never_share_memory(takes: list[tuple[int, int]]) -> None:
    """Each in its slot, in place of the one before: all of them keep the numbers that they were given."""
    pool, slots = memory._Pool(), dict[int, np.ndarray]()
    for number, (slot, nbytes) in enumerate(takes):
        slots.pop(slot, None)
        array = slots[slot] = pool.take(nbytes)
        assert array.nbytes == nbytes
        assert place(array) % memory.LINE == 0
        array[...] = number + 1
        for other in slots.values():
            assert_equal(other, np.full(other.size, other[0], np.uint8))
        assert len({int(other[0]) for other in slots.values()}) == len(slots)
