"""The matrix product against torch: vectors, matrices, stacks that broadcast, empty sizes."""
from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import minicnn
from tests.against_torch import exact
from tests.strategies import in_layout, integers, layouts, seeds

sides = st.integers(0, 4)


@st.composite
def factors(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Two arrays of 1 to 4 axes that can be multiplied."""
    M, K, N = draw(sides), draw(sides), draw(sides)
    stack = draw(st.lists(st.integers(1, 3), max_size=2))
    a_stack, b_stack = ([draw(st.sampled_from([1, n])) for n in stack[draw(st.integers(0, len(stack))):]] for _ in range(2))
    a = draw(st.sampled_from([(K,), (*a_stack, M, K)]))
    b = draw(st.sampled_from([(K,), (*b_stack, K, N)]))
    return tuple(in_layout(integers(shape, draw(seeds)), draw(layouts)) for shape in (a, b))


@given(factors())
def test_exact(pair: tuple[np.ndarray, np.ndarray]) -> None:
    exact(minicnn.matmul, torch.matmul, *pair)


def test_operators_and_methods() -> None:
    a, b = integers((2, 3), 1), integers((3, 2), 2)
    exact(lambda a, b: a @ b + a.matmul(b) * a.mm(b), lambda a, b: a @ b + a.matmul(b) * a.mm(b), a, b)
    exact(lambda a: a @ a.T, lambda a: a @ a.T, a)
    assert type(a @ minicnn.from_numpy(b)) is minicnn.Tensor


@pytest.mark.parametrize(("a", "b", "text"), [
    (minicnn.ones(2, 4), minicnn.ones(3, 5), "matmul: a has 4 columns (shape (2, 4)), b has 3 rows (shape (3, 5)); they must agree"),
    (minicnn.ones(4), minicnn.ones(3), "matmul: a has 4 columns (shape (4,)), b has 3 rows (shape (3,)); they must agree"),
    (minicnn.ones(2, 2, 3), minicnn.ones(4, 3, 2), "matmul: stacks of matrices: shapes (2,) and (4,) do not broadcast: axis -1 has sizes "
                                                   "2 and 4; they must be equal, or 1"),
    (minicnn.ones(()), minicnn.ones(3), "matmul: a is a single number (shape ()); multiply numbers with *"),
])
def test_sizes_that_do_not_fit(a: minicnn.Tensor, b: minicnn.Tensor, text: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        a @ b


def test_dtypes_that_differ() -> None:
    with pytest.raises(TypeError) as error:
        minicnn.ones(2, 2) @ minicnn.ones(2, 2).double()
    assert str(error.value) == "matmul: dtypes differ: a is float32, b is float64; convert with .float() or .double()"
    with pytest.raises(TypeError, match=r"^matmul: b must be a Tensor or an array, got int$"):
        minicnn.ones(2, 2) @ 2
