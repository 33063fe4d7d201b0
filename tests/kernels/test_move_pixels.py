"""move_pixels of every backend is the reference's, to the last bit: any window, mirrored or not, with any hole, of floats and of bytes."""
from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minicnn import kernels
from minicnn.kernels import reference
from tests.compare import assert_equal, unchanged
from tests.strategies import floats, in_layout, layouts, seeds

sizes = st.integers(1, 6)
DTYPES = [np.float32, np.float64, np.float16]


@pytest.mark.parametrize("backend", kernels.CPU_BACKENDS)
@given(st.integers(0, 4), st.integers(1, 3), st.tuples(sizes, sizes), st.tuples(sizes, sizes), st.sampled_from(DTYPES), st.booleans(),
       st.integers(0, 7), st.sampled_from([1, 3, 30]), layouts, seeds)
def test_it_is_the_references(backend: str, N: int, C: int, size: tuple[int, int], out: tuple[int, int], dtype: Any, from_bytes: bool,
                              side: int, reach: int, layout: str, seed: int) -> None:
    random = np.random.default_rng(seed)
    bytes_ = random.integers(0, 256, (N, C, *size), np.uint8)
    x = in_layout(bytes_ if from_bytes else bytes_.astype(dtype), layout)
    table = floats((C, 256), seed, dtype) if from_bytes else None
    places = [random.integers(-reach, reach + 7, N) for _ in range(2)]
    step = random.choice([-1, 1], N)
    hole = (*(random.integers(-reach, reach + 7, N) for _ in range(2)), side) if side else None
    outside, blank = floats((C,), seed + 1, dtype), floats((C,), seed + 2, dtype)
    arguments = (x, out, *places, step, outside, hole, blank, table)
    with unchanged(x, *places, step, outside, blank, table):
        got = kernels.get(backend).move_pixels(*arguments)
    assert_equal(got, reference.move_pixels(*arguments))
    assert not np.shares_memory(got, x)


def test_not_a_number_is_copied_like_any_other() -> None:
    x = np.full((1, 1, 2, 3), np.nan, np.float32)
    x[0, 0, 0, 0], x[0, 0, 1, 2] = -0.0, np.inf
    zero, none = np.zeros(1, np.int64), np.zeros(1, np.float32)
    for name in kernels.CPU_BACKENDS:
        y = kernels.get(name).move_pixels(x, (2, 3), zero, zero, zero + 1, none, None, none, None)
        assert y.tobytes() == x.tobytes()
