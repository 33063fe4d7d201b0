"""reshape, flatten, squeeze, unsqueeze, permute, transpose, expand, flip against torch, and the errors."""
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
from tests.ops.arrays import one, shapes
from tests.strategies import in_layout, integers, layouts, seeds

x4 = in_layout(integers((2, 1, 4, 3), 0), "channels-last")
ON_FOUR_AXES = {
    "reshape": lambda x: x.reshape(4, 6),
    "reshape -1": lambda x: x.reshape((3, -1)),
    "view": lambda x: x.contiguous().view(-1),
    "view_as": lambda x: x.contiguous().view_as(x.permute(2, 0, 3, 1)),
    "flatten": lambda x: x.flatten(),
    "flatten 1": lambda x: x.flatten(1),
    "flatten 1 2": lambda x: x.flatten(1, -2),
    "squeeze": lambda x: x.squeeze(),
    "squeeze 1": lambda x: x.squeeze(1),
    "squeeze 0": lambda x: x.squeeze(0),
    "squeeze several": lambda x: x.squeeze((0, -3)),
    "unsqueeze": lambda x: x.unsqueeze(0).unsqueeze(-1).unsqueeze(2),
    "permute": lambda x: x.permute(0, 2, -1, 1),
    "permute tuple": lambda x: x.permute((3, 1, 0, 2)),
    "transpose": lambda x: x.transpose(1, -1),
    "swapaxes": lambda x: x.swapaxes(0, 2),
    "T": lambda x: x.flatten(1).T,
    "t": lambda x: x.flatten(1).t(),
    "expand": lambda x: x.expand(2, 5, -1, 3),
    "expand more axes": lambda x: x.expand((3, 2, 2, 4, 3)),
    "expand_as": lambda x: x[:1].expand_as(x),
    "flip": lambda x: x.flip(2, 3),
    "flip one": lambda x: x.flip(-1),
    "flip none": lambda x: x.flip(()),
    "iteration": lambda x: [row * 2 for row in x][1],
    "unbatch": lambda x: x.permute(0, 2, 3, 1).reshape(-1, 1).squeeze(-1),
}


@pytest.mark.parametrize("name", ON_FOUR_AXES)
def test_exact(name: str) -> None:
    exact(ON_FOUR_AXES[name], ON_FOUR_AXES[name], x4)


@given(x=one(), data=st.data())
def test_any_permutation(x: np.ndarray, data: st.DataObject) -> None:
    dims = data.draw(st.permutations(range(x.ndim)))
    exact(lambda t: t.permute(dims).flatten(), lambda t: t.permute(dims).flatten(), x)


@given(shape=shapes(), seed=seeds, layout=layouts, data=st.data())
def test_any_expansion(shape: tuple[int, ...], seed: int, layout: str, data: st.DataObject) -> None:
    shrunk = tuple(data.draw(st.sampled_from([1, n])) for n in shape)[data.draw(st.integers(0, len(shape))):]
    exact(lambda t: minicnn.broadcast_to(t, shape), lambda t: torch.broadcast_to(t, shape), in_layout(integers(shrunk, seed), layout))


@given(x=one(least_side=1), data=st.data())
def test_any_reshape(x: np.ndarray, data: st.DataObject) -> None:
    """To another order of its own sizes, one of them perhaps left out."""
    shape = data.draw(st.permutations(x.shape))
    if shape and data.draw(st.booleans()):
        shape[data.draw(st.integers(0, len(shape) - 1))] = -1
    exact(lambda t: t.reshape(shape), lambda t: t.reshape(shape), x)


def test_views_share_memory() -> None:
    x = minicnn.zeros(2, 6)
    for view in (x.reshape(3, 4), x.T, x.unsqueeze(0), x.flip(0), x[1], x[0, 0], x.expand(2, 2, 6), x.detach()):
        assert np.shares_memory(view.array, x.array)


RULE = "axes are matched from the right, each must be equal or 1, and -1 keeps one that exists"


@pytest.mark.parametrize(("call", "error", "text"), [
    (lambda x: x.reshape(4, 2), ValueError, "reshape: shape (2, 3) has 6 values, they do not fit into shape (4, 2)"),
    (lambda x: x.reshape(-1, 4), ValueError, "reshape: shape (2, 3) has 6 values, they do not fit into shape (-1, 4)"),
    (lambda x: x.reshape(-1, -1), ValueError, "reshape: shape (2, 3) has 6 values, they do not fit into shape (-1, -1)"),
    (lambda x: x.reshape(-2, -3), ValueError, "reshape: shape (2, 3) has 6 values, they do not fit into shape (-2, -3)"),
    (lambda x: x[:0].reshape(-1, 0), ValueError, "reshape: shape (0, 3) has 0 values, they do not fit into shape (-1, 0)"),
    (lambda x: x.flatten(1, 0), ValueError, "flatten: start_dim 1 comes after end_dim 0 (shape (2, 3))"),
    (lambda x: x.flatten(2), IndexError, "flatten: dim 2 is out of range for shape (2, 3): it must be in -2..1"),
    (lambda x: x.squeeze(2), IndexError, "squeeze: dim 2 is out of range for shape (2, 3): it must be in -2..1"),
    (lambda x: x.unsqueeze(3), IndexError, "unsqueeze: dim 3 is out of range for shape (2, 3): it must be in -3..2"),
    (lambda x: x.permute(0, 0), ValueError, "permute: dims (0, 0) must name each of the 2 axes of shape (2, 3) once"),
    (lambda x: x.permute(0), ValueError, "permute: dims (0,) must name each of the 2 axes of shape (2, 3) once"),
    (lambda x: x.transpose(0, 2), IndexError, "transpose: dim 2 is out of range for shape (2, 3): it must be in -2..1"),
    (lambda x: x.expand(2, 4), ValueError, f"expand: shape (2, 3) does not broadcast to (2, 4): {RULE}"),
    (lambda x: x.expand(-1, 2, 3), ValueError, f"expand: shape (2, 3) does not broadcast to (-1, 2, 3): {RULE}"),
    (lambda x: x.expand(3), ValueError, f"expand: shape (2, 3) does not broadcast to (3,): {RULE}"),
    (lambda x: x.flip(0, 0), ValueError, "flip: dim (0, 0) names an axis twice (shape (2, 3))"),
])
def test_errors(call: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error) as raised:
        call(minicnn.ones(2, 3))
    assert str(raised.value) == text


def test_a_single_number() -> None:
    for function in (lambda x: x.flatten(), lambda x: x.unsqueeze(-1), lambda x: x.squeeze(0), lambda x: x.reshape(1, 1)):
        exact(function, function, np.array(3, np.float32))
    assert Tensor(3.0).transpose(0, -1).shape == Tensor(3.0).T.shape == ()
