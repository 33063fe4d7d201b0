"""x[...] and x[...] = v against torch (against NumPy where torch refuses): every kind of index and its gradient."""
from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import minicnn
from minicnn import Tensor
from tests.against_torch import exact
from tests.compare import assert_equal
from tests.strategies import in_layout, integers

x = in_layout(integers((3, 4, 5, 2), 0), "strided")
mask = integers((3, 4), 1) > 0
INDICES: dict[str, Any] = {
    "integer": 1,
    "negative": -1,
    "NumPy integer": np.int64(2),
    "integers": (1, -2, 3, 0),
    "slice": slice(1, 3),
    "steps": (slice(None, None, 2), slice(1, None, 3)),
    "empty slice": slice(2, 2),
    "None": (None, 0, None),
    "ellipsis": (..., 1),
    "ellipsis in the middle": (1, ..., slice(None, 1)),
    "all": (),
    "list": [0, 2],
    "repeated": [0, 0, 2, 0],
    "negative list": [-1, 0, -1],
    "range": (slice(None), range(3)),
    "array": np.array([[0, 1], [1, 2]]),
    "two arrays": (np.array([0, 1, 1]), np.array([3, 0, 0])),
    "arrays that broadcast": (np.array([[0], [2]]), np.array([1, 3, 1])),
    "arrays with a slice between": (np.array([0, 1, 1]), slice(None), np.array([4, 0, 0])),
    "array behind a slice": (slice(None), np.array([1, 1, 0])),
    "integer beside array": (0, slice(None), np.array([1, 1, 3])),
    "integer between arrays": (np.array([0, 1]), 1, np.array([2, 2])),
    "None beside array": (None, np.array([0, 0, 1])),
    "ellipsis and array": (..., np.array([1, 1, 0])),
    "mask": mask,
    "mask behind a slice": (slice(None), integers((4,), 2) > 0),
    "mask and integer": (mask, 2),
    "mask of everything": integers((3, 4, 5, 2), 3) > 0,
    "empty list": [],
}


def for_torch(index: Any) -> Any:
    if isinstance(index, tuple):
        return tuple(for_torch(i) for i in index)
    return torch.tensor(index) if isinstance(index, np.ndarray) else list(index) if isinstance(index, range) else index


def for_minicnn(index: Any) -> Any:
    if isinstance(index, tuple):
        return tuple(for_minicnn(i) for i in index)
    return Tensor(index) if isinstance(index, np.ndarray) else index


@pytest.mark.parametrize("name", INDICES)
def test_getitem(name: str) -> None:
    index = INDICES[name]
    exact(lambda t: t[index] * 2, lambda t: t[for_torch(index)] * 2, x)
    exact(lambda t: t[for_minicnn(index)], lambda t: t[for_torch(index)], x)


@pytest.mark.parametrize("index", [slice(None, None, -1), (slice(3, 0, -2), 0, slice(-1, None, -1))], ids=str)
def test_negative_steps_as_in_numpy(index: Any) -> None:
    t = Tensor(x, requires_grad=True)
    y = t[index]
    assert_equal(y, x[index])
    dy = integers(y.shape, 1)
    y.backward(Tensor(dy))
    expected = np.zeros_like(x)
    expected[index] = dy
    assert_equal(t.grad, expected)


def written(t: Any, value: Any, index: Any) -> Any:
    t = t * 2
    t[index] = value * 3
    return t * t


positions = np.arange(x.size).reshape(x.shape)
ONCE = [name for name, index in INDICES.items() if np.unique(positions[index]).size == positions[index].size]


@pytest.mark.parametrize("name", ONCE)
def test_setitem(name: str) -> None:
    """Recorded like any operation. (Where an index repeats, it is not defined which value stays.)"""
    index = INDICES[name]
    value = integers(Tensor(x)[index].shape[-1:], 5)
    exact(lambda t, v: written(t, v, index), lambda t, v: written(t, v, for_torch(index)), x, value)
    exact(lambda t, v: written(t, v.sum(), index), lambda t, v: written(t, v.sum(), for_torch(index)), x, value)
    a, b = Tensor(x.copy()), torch.tensor(x.copy())
    a[index], b[for_torch(index)] = -9, -9
    assert_equal(a, b)


def test_setitem_in_place() -> None:
    data = np.zeros((2, 3), np.float32)
    t = Tensor(data)
    t[0] = 1
    t[1, [0, 2]] = Tensor([2.0, 3.0])
    t[1] += 1
    assert_equal(data, np.array([[1, 1, 1], [3, 1, 4]], np.float32))
    leaf = minicnn.zeros(3, requires_grad=True)
    with pytest.raises(RuntimeError) as error:
        leaf[0] = 1
    assert str(error.value) == "a leaf tensor that requires grad cannot be changed in place: do it inside `with no_grad():`"
    with minicnn.no_grad():
        leaf[0] = 1
    assert_equal(leaf, np.array([1, 0, 0], np.float32))


def test_a_single_value_is_a_view() -> None:
    t = minicnn.zeros(2, 2)
    t[1, 1].fill_(5)
    assert_equal(t, np.array([[0, 0], [0, 5]], np.float32))


def test_errors_are_numpys() -> None:
    t = minicnn.zeros(2, 3)
    for index, text in ((2, "index 2 is out of bounds for axis 0 with size 2"), ([3], "index 3 is out of bounds for axis 0 with size 2"),
                        ((0, 0, 0), "too many indices for array: array is 2-dimensional, but 3 were indexed"),
                        (Tensor([0.5]), "arrays used as indices must be of integer (or boolean) type")):
        with pytest.raises(IndexError) as error:
            t[index]
        assert str(error.value) == text
