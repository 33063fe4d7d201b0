"""Padding in every mode against torch, values and gradients; cropping by negative numbers; errors."""
from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import torch.nn.functional as TF
from hypothesis import given
from hypothesis import strategies as st

import minicnn.nn.functional as F
from minicnn import Tensor
from tests.against_torch import exact
from tests.compare import assert_equal
from tests.strategies import in_layout, integers, layouts, seeds


@given(shape=st.lists(st.integers(1, 4), min_size=1, max_size=4), value=st.sampled_from([None, 0, -3, 2.5]), data=st.data(), seed=seeds,
       layout=layouts)
def test_constant(shape: list[int], value: float | None, data: st.DataObject, seed: int, layout: str) -> None:
    axes = data.draw(st.integers(0, len(shape)))
    sides: list[int] = []
    for n in shape[::-1][:axes]:
        before = data.draw(st.integers(-n + 1, 3))
        sides += [before, data.draw(st.integers(-n + 1 - min(before, 0), 3))]
    x = in_layout(integers(tuple(shape), seed), layout)
    exact(lambda a: F.pad(a, sides, value=value), lambda a: TF.pad(a, sides, value=value), x)


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
@given(lead=st.integers(1, 2), size=st.lists(st.integers(1, 5), min_size=1, max_size=3), data=st.data(), seed=seeds, layout=layouts)
def test_by_index(mode: str, lead: int, size: list[int], data: st.DataObject, seed: int, layout: str) -> None:
    sides: list[int] = []
    for n in size[::-1]:
        most = {"reflect": n - 1, "replicate": 4, "circular": n}[mode]
        sides += [data.draw(st.integers(0, most)), data.draw(st.integers(0, most))]
    x = in_layout(integers((lead, 2, *size), seed), layout)
    exact(lambda a: F.pad(a, sides, mode), lambda a: TF.pad(a, sides, mode), x)


@pytest.mark.parametrize("mode", ["reflect", "replicate"])
def test_cropping_one_side_while_padding_the_other(mode: str) -> None:
    exact(lambda a: F.pad(a, (-1, 2, 1, -2), mode), lambda a: TF.pad(a, (-1, 2, 1, -2), mode), integers((1, 2, 5, 4), 0))


@pytest.mark.parametrize("mode", ["constant", "replicate"])
def test_keeps_integers_and_nan(mode: str) -> None:
    x = np.arange(6).reshape(1, 2, 3)
    assert F.pad(Tensor(x), (1, 1), mode).dtype == np.int64
    y = F.pad(Tensor(np.array([[1.0, np.nan]])), (1, 1), mode, 7 if mode == "constant" else None)
    assert_equal(y, np.array([[7.0, 1, np.nan, 7.0]] if mode == "constant" else [[1.0, 1, np.nan, np.nan]]))


ERRORS: list[tuple[tuple[int, ...], tuple[Any, ...], str]] = [
    ((2, 3), ((1,),), "pad: got 1 numbers, (1,): give a pair (before, after) an axis, last axis first, so at most 4 for shape (2, 3)"),
    ((2,), ((1, 1, 1, 1),),
     "pad: got 4 numbers, (1, 1, 1, 1): give a pair (before, after) an axis, last axis first, so at most 2 for shape (2,)"),
    ((2, 3), ((-2, -2),), "pad: cannot crop axis 1, which has size 3 (shape (2, 3)), by (-2, -2)"),
    ((2, 3), ((-4, 5),), "pad: cannot crop axis 1, which has size 3 (shape (2, 3)), by (-4, 5)"),
    ((2, 3), ((1, 1), "mirror"), "pad: mode is 'mirror': must be 'constant', 'reflect', 'replicate', 'circular'"),
    ((2, 3), ((3, 0), "reflect"), "pad: reflect padding (3, 0) of axis 1, which has size 3 (shape (2, 3)): it may be at most 2"),
    ((2, 3), ((0, 4), "circular"), "pad: circular padding (0, 4) of axis 1, which has size 3 (shape (2, 3)): it may be at most 3"),
    ((2, 0), ((1, 0), "replicate"), "pad: replicate padding (1, 0) of axis 1, which has size 0 (shape (2, 0)): it may be at most 0"),
]


@pytest.mark.parametrize(("shape", "arguments", "message"), ERRORS)
def test_errors(shape: tuple[int, ...], arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        F.pad(Tensor(np.zeros(shape)), *arguments)
