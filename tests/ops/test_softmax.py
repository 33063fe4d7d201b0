"""softmax and log_softmax against torch, along every axis, and far from 0."""
from __future__ import annotations

import re

import numpy as np
import pytest
import torch
import torch.nn.functional as TF
from hypothesis import given
from hypothesis import strategies as st

import minicnn
import minicnn.nn.functional as F
from minicnn import Tensor
from tests.against_torch import close
from tests.compare import assert_close64
from tests.ops.arrays import one
from tests.strategies import floats

NAMES = ["softmax", "log_softmax"]


@pytest.mark.parametrize("name", NAMES)
@given(x=one(floats, least_side=1), data=st.data())
def test_against_torch(name: str, x: np.ndarray, data: st.DataObject) -> None:
    dim = data.draw(st.integers(-max(x.ndim, 1), max(x.ndim, 1) - 1))
    close(lambda a: getattr(F, name)(a, dim), lambda a: getattr(TF, name)(a, dim), 3 * x)


@pytest.mark.parametrize("name", NAMES)
def test_neither_overflows_nor_forgets(name: str) -> None:
    x = np.array([[1e4, 0, -1e4], [-1e4, -1e4 - 1, -np.inf], [700, 710, 720]])
    close(lambda a: getattr(F, name)(a, dim=1), lambda a: getattr(TF, name)(a, dim=1), x)


@pytest.mark.parametrize("dim", [0, 1])
@pytest.mark.parametrize("name", [*NAMES, "logsumexp"])
def test_of_nothing(name: str, dim: int) -> None:
    close(lambda a: getattr(minicnn, name)(a, dim), lambda a: getattr(torch, name)(a, dim), np.zeros((0, 3)))


def test_dtype_converts_first() -> None:
    y = F.softmax(Tensor([[1, 2]]), dim=1, dtype=np.float64)
    assert_close64(y, TF.softmax(torch.tensor([[1, 2]]), dim=1, dtype=torch.float64))


def test_errors() -> None:
    with pytest.raises(ValueError, match=re.escape("softmax: dim 2 is out of range for x of shape (3, 4)") + "$"):
        F.softmax(Tensor(np.zeros((3, 4))), 2)
    with pytest.raises(TypeError, match=r"^log_softmax: x is int64; it needs floating point: convert it with .float\(\)$"):
        F.log_softmax(Tensor([1, 2]), 0)
