"""cat, stack, split, chunk against torch."""
from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import minicnn
from minicnn import Tensor
from tests.against_torch import exact
from tests.compare import assert_equal
from tests.ops.arrays import one, shapes
from tests.strategies import in_layout, integers, layouts, seeds


@st.composite
def parts(draw: st.DrawFn) -> tuple[list[np.ndarray], int]:
    """One to three arrays whose sizes differ along one axis, and that axis."""
    shape = draw(shapes(least_axes=1))
    dim = draw(st.integers(-len(shape), len(shape) - 1))
    sizes = draw(st.lists(st.integers(0, 3), min_size=1, max_size=3))
    return [in_layout(integers(tuple(n if i == dim % len(shape) else s for i, s in enumerate(shape)), draw(seeds)), draw(layouts))
            for n in sizes], dim


@given(parts())
def test_cat(case: tuple[list[np.ndarray], int]) -> None:
    arrays, dim = case
    exact(lambda *t: minicnn.cat(t, dim), lambda *t: torch.cat(t, dim), *arrays)
    exact(lambda *t: minicnn.cat([t[0], *t], dim=dim), lambda *t: torch.cat([t[0], *t], dim=dim), *arrays)


def test_an_empty_list_joins_anything() -> None:
    """So that results can be gathered from tensor([]) on."""
    for dtype in ("float32", "int64"):
        x = np.ones((2, 3), dtype)
        assert_equal(minicnn.cat((minicnn.tensor([]), Tensor(x))), torch.cat((torch.tensor([]), torch.tensor(x))))


@given(x=one(), data=st.data())
def test_stack(x: np.ndarray, data: st.DataObject) -> None:
    dim = data.draw(st.integers(-x.ndim - 1, x.ndim))
    exact(lambda a: minicnn.stack([a, -a, a], dim), lambda a: torch.stack([a, -a, a], dim), x)


@given(x=one(least_axes=1), size=st.integers(1, 5), data=st.data())
def test_split_and_chunk(x: np.ndarray, size: int, data: st.DataObject) -> None:
    dim = data.draw(st.integers(-x.ndim, x.ndim - 1))
    cut = data.draw(st.integers(0, x.shape[dim]))
    sizes = [cut, x.shape[dim] - cut]
    for name, argument in (("split", size), ("split", sizes), ("chunk", size)):
        got, expected = getattr(Tensor(x), name)(argument, dim), getattr(torch.tensor(x.copy()), name)(argument, dim)
        assert [t.shape for t in got] == [tuple(t.shape) for t in expected]

        def weighted(t: Any, name: str = name, argument: Any = argument) -> Any:
            return sum(part.sum() * (i + 1) for i, part in enumerate(getattr(t, name)(argument, dim)))
        exact(weighted, weighted, x)


def test_cat_finds_a_common_dtype() -> None:
    a, b, c = np.array([1, 2]), np.array([1.5], np.float32), np.array([True])
    assert_equal(minicnn.cat([Tensor(a), Tensor(b), Tensor(c)]), torch.cat([torch.tensor(a), torch.tensor(b), torch.tensor(c)]))


@pytest.mark.parametrize(("call", "error", "text"), [
    (lambda x: minicnn.cat([x, x[:, :2]]), ValueError, "cat: tensor 1 has shape (2, 2), tensor 0 has (2, 3): only axis 0 may differ"),
    (lambda x: minicnn.cat([x, x[0]], 1), ValueError, "cat: tensor 1 has shape (3,), tensor 0 has (2, 3): only axis 1 may differ"),
    (lambda x: minicnn.cat([x], 2), IndexError, "cat: dim 2 is out of range for shape (2, 3): it must be in -2..1"),
    (lambda x: minicnn.cat([]), ValueError, "cat: expected at least one Tensor, the sequence is empty"),
    (lambda x: minicnn.cat([x.sum()]), ValueError, "cat: single numbers (shape ()) have no axis to join along: use stack()"),
    (lambda x: minicnn.cat(x), TypeError, "cat: expected a list or tuple of Tensors"),
    (lambda x: minicnn.stack([x, 1]), TypeError, "stack: expected a list or tuple of Tensors"),
    (lambda x: minicnn.stack([x, x.T]), ValueError, "stack: tensor 1 has shape (3, 2), tensor 0 has (2, 3): they must be equal"),
    (lambda x: minicnn.stack([x], 3), IndexError, "stack: dim 3 is out of range for shape (2, 3): it must be in -3..2"),
    (lambda x: x.split(0), ValueError, "split: split_size must be at least 1, got 0"),
    (lambda x: x.split([1, 2]), ValueError, "split: the sizes [1, 2] add up to 3, axis 0 has 2 (shape (2, 3))"),
    (lambda x: x.sum().split(1), ValueError, "split: a single number (shape ()) has no axis to split"),
    (lambda x: x.chunk(0), ValueError, "chunk: chunks must be at least 1, got 0"),
])
def test_errors(call: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error) as raised:
        call(minicnn.ones(2, 3))
    assert str(raised.value) == text
