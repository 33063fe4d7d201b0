"""where, maximum, minimum, clamp, masked_fill against torch, ties and NaN included."""
from __future__ import annotations

import itertools
import re

import numpy as np
import pytest
import torch
from hypothesis import given

import minicnn
from minicnn import Tensor
from tests.against_torch import close, exact
from tests.compare import assert_equal
from tests.ops.arrays import SPECIAL, SPECIAL_PAIRS, broadcastable, one

PAIRS = {
    "maximum": lambda t, a, b: t.maximum(a, b),
    "minimum": lambda t, a, b: t.minimum(a, b),
    "max of two": lambda t, a, b: t.max(a, b),
    "min of two": lambda t, a, b: t.min(a, b),
    "where": lambda t, a, b: t.where(a > b, a, b * 2),
    "where number": lambda t, a, b: t.where(a > b, a, 3.0) + t.where(a > b, 2, b),
    "masked_fill": lambda t, a, b: (a + b).masked_fill(b > 0, -7.0),
}
CLAMPS = {
    "both": lambda x: x.clamp(-2, 3), "min": lambda x: x.clamp(min=0), "max": lambda x: x.clamp(max=1.5),
    "crossed": lambda x: x.clamp(2, -1),
}


@pytest.mark.parametrize("name", PAIRS)
@given(arrays=broadcastable(2))
def test_exact(name: str, arrays: list[np.ndarray]) -> None:
    exact(lambda a, b: PAIRS[name](minicnn, a, b), lambda a, b: PAIRS[name](torch, a, b), *arrays)


@pytest.mark.parametrize("name", PAIRS)
def test_special_values(name: str) -> None:
    close(lambda a, b: PAIRS[name](minicnn, a, b), lambda a, b: PAIRS[name](torch, a, b), *SPECIAL_PAIRS)


@pytest.mark.parametrize("name", CLAMPS)
@given(x=one())
def test_clamp(name: str, x: np.ndarray) -> None:
    exact(CLAMPS[name], CLAMPS[name], x)
    close(CLAMPS[name], CLAMPS[name], SPECIAL)


@given(arrays=broadcastable(3))
def test_clamp_between_tensors(arrays: list[np.ndarray]) -> None:
    """(x takes the full shape first: where only a bound has more axes, torch's backward fails.)"""
    exact(lambda x, a, b: minicnn.clamp(x + a + b, a, b), lambda x, a, b: torch.clamp(x + a + b, a, b), *arrays)


def test_clamp_between_special_tensors() -> None:
    triples = (np.array(values) for values in zip(*itertools.product(SPECIAL, SPECIAL, SPECIAL), strict=True))
    close(minicnn.clamp, torch.clamp, *triples)


def test_clamp_keeps_integers() -> None:
    assert_equal(Tensor([1, 5, 9]).clamp(2, 6), torch.tensor([1, 5, 9]).clamp(2, 6))
    assert_equal(Tensor([1, 5, 9]).clamp(min=2), torch.tensor([1, 5, 9]).clamp(min=2))
    assert_equal(Tensor([1, 5, 9]).clamp(2.5, 6), torch.tensor([1, 5, 9]).clamp(2.5, 6))


@given(arrays=broadcastable(3))
def test_where_broadcasts_its_condition(arrays: list[np.ndarray]) -> None:
    condition = arrays[0] > 0
    exact(lambda c, a, b: minicnn.where(c, a, b), lambda c, a, b: torch.where(c, a, b), condition, *arrays[1:])


def test_an_infinite_gradient_stays_where_it_belongs() -> None:
    x = Tensor([1.0, -1.0], requires_grad=True)
    x.maximum(minicnn.zeros(2)).backward(Tensor([np.inf, np.inf]))
    assert_equal(x.grad, np.array([np.inf, 0], np.float32))


def test_errors() -> None:
    x = minicnn.zeros(2)
    with pytest.raises(TypeError, match=r"^where: the condition must be boolean, got float32; compare first, as in x > 0$"):
        minicnn.where(x, x, x)
    with pytest.raises(ValueError, match=r"^clamp: give min, max or both$"):
        x.clamp()
    text = "where: shapes (3,) and (2,) and (2,) do not broadcast: axis -1 has sizes 3 and 2 and 2; they must be equal, or 1"
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        minicnn.where(minicnn.zeros(3) > 0, x, x)
