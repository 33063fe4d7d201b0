"""The fully connected layer against torch, with any leading axes."""
from __future__ import annotations

import re

import numpy as np
import pytest
import torch.nn.functional as TF
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes

import minicnn.nn.functional as F
from minicnn import Tensor
from tests.against_torch import close, exact
from tests.strategies import floats, in_layout, integers, layouts, seeds


@given(lead=array_shapes(min_dims=0, max_dims=3, max_side=3) | st.just((0,)), I=st.integers(1, 4), O=st.integers(1, 4), bias=st.booleans(),
       seed=seeds, layout=layouts)
def test_against_torch(lead: tuple[int, ...], I: int, O: int, bias: bool, seed: int, layout: str) -> None:
    arrays = [in_layout(integers(shape, seed), layout) for shape in ((*lead, I), (O, I), (O,))[:2 + bias]]
    exact(F.linear, TF.linear, *arrays)
    close(F.linear, TF.linear, *(floats(a.shape, seed) for a in arrays))


@pytest.mark.parametrize(("x", "w", "b", "message"), [
    ((2, 3), (5, 4), None, "linear: x has 3 features (shape (2, 3)), w expects 4 (shape (5, 4))"),
    ((2, 3, 8, 8), (5, 192), None, "linear: x has 8 features (shape (2, 3, 8, 8)), w expects 192 (shape (5, 192)); "
                                   "flatten(1) makes one row of each sample"),
    ((), (5, 4), None, "linear: x has no features (shape ()), w expects 4 (shape (5, 4))"),
    ((2, 4), (5,), None, "linear: w must be (out_features, in_features), got shape (5,)"),
    ((2, 4), (5, 4), (4,), "linear: b has shape (4,), w has 5 outputs (shape (5, 4)), so b must be (5,)"),
])
def test_errors(x: tuple[int, ...], w: tuple[int, ...], b: tuple[int, ...] | None, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        F.linear(*(None if shape is None else Tensor(np.zeros(shape)) for shape in (x, w, b)))


def test_mixed_dtypes() -> None:
    with pytest.raises(TypeError, match=r"^linear: dtypes differ: x is float32, w is float64; convert with .float\(\) or .double\(\)$"):
        F.linear(Tensor([1.0]), Tensor(np.zeros((2, 1))))
