"""Comparisons, any, all, equal, allclose against torch."""
from __future__ import annotations

import operator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given

import minicnn
from minicnn import Tensor
from tests.compare import assert_equal
from tests.ops.arrays import SPECIAL, SPECIAL_PAIRS, broadcastable, one

OPERATORS = ["eq", "ne", "lt", "le", "gt", "ge"]


@pytest.mark.parametrize("name", OPERATORS)
@given(arrays=broadcastable(2))
def test_comparisons(name: str, arrays: list[np.ndarray]) -> None:
    for a, b in (arrays, SPECIAL_PAIRS):
        x, y = Tensor(a, requires_grad=True), Tensor(b)
        expected = getattr(torch, name)(torch.tensor(a.copy()), torch.tensor(b.copy()))
        for got in (getattr(operator, name)(x, y), getattr(minicnn, name)(x, y), getattr(x, name)(y)):
            assert_equal(got, expected)
            assert not got.requires_grad
        assert_equal(getattr(operator, name)(x, 2), getattr(operator, name)(torch.tensor(a.copy()), 2))


def test_a_number_takes_the_dtype_of_the_tensor() -> None:
    assert (Tensor(0.1) == 0.1).item()
    assert (Tensor([3], dtype=np.uint8) < 300).item()


def test_equality_with_other_things() -> None:
    x = minicnn.zeros(2)
    assert (x == None) is False  # noqa: E711  (what is tested)
    assert (x != "text") is True
    assert x in [minicnn.ones(3), x][1:]
    assert len({x, minicnn.zeros(2)}) == 2


def test_bits() -> None:
    a, b = np.array([True, True, False, False]), np.array([True, False, True, False])
    for function in (operator.and_, operator.or_, operator.xor, lambda a, b: ~a):
        assert_equal(function(Tensor(a), Tensor(b)), function(torch.tensor(a), torch.tensor(b)))


@pytest.mark.parametrize("name", ["isnan", "isinf", "isfinite"])
def test_special_values(name: str) -> None:
    assert_equal(getattr(Tensor(SPECIAL), name)(), getattr(torch.tensor(SPECIAL), name)())
    assert_equal(getattr(minicnn, name)(Tensor([1, 2])), getattr(torch, name)(torch.tensor([1, 2])))


@pytest.mark.parametrize("name", ["any", "all"])
@given(x=one(least_axes=1))
def test_any_and_all(name: str, x: np.ndarray) -> None:
    for arguments in ((), (0,), (-1, True), (tuple(range(x.ndim)),)):
        assert_equal(getattr(Tensor(x > 0), name)(*arguments), getattr(torch.tensor(x > 0), name)(*arguments))
        assert_equal(getattr(Tensor(x), name)(*arguments), getattr(torch.tensor(x.copy()), name)(*arguments))


def cases() -> list[Any]:
    one, nan = np.ones(2), np.array([1, np.nan])
    return [(one, one), (one, one + 1e-7), (one, one + 1e-3), (nan, nan), (one, np.array([1, np.inf])), (one * np.inf, one * np.inf)]


@pytest.mark.parametrize("pair", cases(), ids=str)
def test_equal_and_allclose(pair: tuple[np.ndarray, np.ndarray]) -> None:
    ours, theirs = [Tensor(a) for a in pair], [torch.tensor(a) for a in pair]
    assert minicnn.equal(*ours) is torch.equal(*theirs)
    assert minicnn.allclose(*ours) is torch.allclose(*theirs)
    assert ours[0].allclose(ours[1], equal_nan=True) is theirs[0].allclose(theirs[1], equal_nan=True)
    assert not ours[0].equal(minicnn.ones(3))
