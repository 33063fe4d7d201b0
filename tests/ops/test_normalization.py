"""Batch, group and layer normalisation against torch: values, gradients and running statistics."""
from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as TF
from hypothesis import given
from hypothesis import strategies as st

import minicnn.nn.functional as F
from minicnn import Tensor, use_backend
from tests.against_torch import close
from tests.compare import assert_bounded, assert_close64, assert_equal
from tests.ops.neural import each_backend
from tests.strategies import floats, in_layout, layouts, seeds

shapes = st.tuples(st.integers(2, 4), st.integers(1, 4)).flatmap(
    lambda nc: st.lists(st.integers(1, 4), max_size=2).map(lambda size: (*nc, *size)))
affine = st.sampled_from([(False, False), (True, False), (True, True)])


@each_backend
@given(shape=shapes, params=affine, training=st.booleans(), momentum=st.sampled_from([0.1, 0.7, 0.0]), seed=seeds, layout=layouts)
def test_batch_norm(backend: str, shape: tuple[int, ...], params: tuple[bool, bool], training: bool, momentum: float, seed: int,
                    layout: str) -> None:
    """y, all gradients, and the running statistics after the call."""
    C = shape[1]
    x = in_layout(floats(shape, seed), layout)
    arrays = [x, *(floats((C,), seed + i) for i, given_ in enumerate(params) if given_)]
    mean, var = floats((C,), seed + 5, np.float64), np.abs(floats((C,), seed + 6, np.float64)) + 0.5
    after: list[Any] = []

    def call(f: Any, running: Any) -> Any:
        def function(x: Any, weight: Any = None, bias: Any = None) -> Any:
            statistics = running(x, mean), running(x, var)
            after.append(statistics)
            return f.batch_norm(x, *statistics, weight, bias, training, momentum, 1e-3)
        return function

    with use_backend(backend):
        close(call(F, lambda x, a: Tensor(a.astype(x.dtype))), call(TF, lambda x, a: torch.tensor(a)), *arrays)
    (ours, theirs), changed = after[:2], training and momentum > 0
    for got, expected, before in zip(ours, theirs, (mean, var), strict=True):
        assert_close64(got, expected)
        assert bool((got.numpy() != before).any()) == changed


@each_backend
def test_batch_norm_without_running_statistics_and_in_place(backend: str) -> None:
    x = floats((3, 2, 4, 5), 0)
    with use_backend(backend):
        close(lambda a: F.batch_norm(a, None, None, training=True), lambda a: TF.batch_norm(a, None, None, training=True), x)
        mean, var = np.zeros(2, np.float32), np.ones(2, np.float32)
        F.batch_norm(Tensor(x), Tensor(mean), Tensor(var), training=True)
    assert (mean != 0).all()                                           # the arrays themselves were moved
    assert (var != 1).all()


def test_batch_norm_in_eval_keeps_its_statistics_until_backward() -> None:
    x, mean, var = Tensor(floats((3, 2), 0), requires_grad=True), Tensor(np.zeros(2, np.float32)), Tensor(np.full(2, 4, np.float32))
    y = F.batch_norm(x, mean, var, eps=0.0)
    F.batch_norm(x.detach(), mean, var, training=True, momentum=1.0)
    y.sum().backward()
    assert x.grad is not None
    assert_equal(x.grad, np.full((3, 2), 0.5, np.float32))


def test_batch_norm_does_not_cancel() -> None:
    """Variance in two passes: E[x²] - E[x]² would lose all digits in float32 at a mean of 10,000."""
    x = floats((64, 1), 0) + np.float32(1e4)             # 64 values: six pairwise additions to the mean
    y, x64 = F.batch_norm(Tensor(x), None, None, training=True, eps=0.0), x.astype(np.float64)
    assert_bounded(y, (x64 - x64.mean()) / x64.std(), np.abs(x64) / x64.std(), terms=8)


@each_backend
@given(shape=shapes, groups=st.integers(1, 3), params=affine, seed=seeds, layout=layouts)
def test_group_norm(backend: str, shape: tuple[int, ...], groups: int, params: tuple[bool, bool], seed: int, layout: str) -> None:
    N, C, *size = shape
    x = in_layout(floats((N, C * groups, *size), seed), layout)
    arrays = [x, *(floats((C * groups,), seed + i) for i, given_ in enumerate(params) if given_)]
    with use_backend(backend):
        close(lambda *a: F.group_norm(a[0], groups, *a[1:], eps=1e-2), lambda *a: TF.group_norm(a[0], groups, *a[1:], eps=1e-2), *arrays)


@each_backend
@given(shape=shapes, axes=st.integers(1, 2), params=affine, seed=seeds, layout=layouts)
def test_layer_norm(backend: str, shape: tuple[int, ...], axes: int, params: tuple[bool, bool], seed: int, layout: str) -> None:
    last = shape[-axes:]
    arrays = [in_layout(floats(shape, seed), layout), *(floats(last, seed + i) for i, given_ in enumerate(params) if given_)]
    with use_backend(backend):
        close(lambda *a: F.layer_norm(a[0], last, *a[1:], eps=1e-2), lambda *a: TF.layer_norm(a[0], last, *a[1:], eps=1e-2), *arrays)


@each_backend
def test_nan_stays_in_its_channel(backend: str) -> None:
    x = floats((2, 3, 4, 4), 0, np.float64)
    x[1, 2, 0, 0] = np.nan
    with use_backend(backend):
        assert_close64(F.batch_norm(Tensor(x), None, None, training=True),
                       TF.batch_norm(torch.tensor(x), None, None, training=True))


def z(*shape: int) -> Tensor:
    return Tensor(np.zeros(shape, np.float32))


ERRORS: list[tuple[Any, str]] = [
    (lambda: F.batch_norm(z(1, 3, 1, 1), None, None, training=True),
     "batch_norm: expected more than 1 value per channel when training, got 1 (shape (1, 3, 1, 1)); use a larger batch, or eval()"),
    (lambda: F.batch_norm(z(3), None, None, training=True), "batch_norm: x must be (N, C), (N, C, L) or (N, C, H, W), got shape (3,)"),
    (lambda: F.batch_norm(z(2, 3), z(3), None), "batch_norm: without training it needs running_mean and running_var; got None"),
    (lambda: F.batch_norm(z(2, 3), z(3), z(2)), "batch_norm: x has 3 channels (shape (2, 3)), so running_var must be (3,), got (2,)"),
    (lambda: F.batch_norm(z(2, 3), z(3), z(3), z(1, 3)), "batch_norm: x has 3 channels (shape (2, 3)), so weight must be (3,), got (1, 3)"),
    (lambda: F.group_norm(z(2, 6, 4, 4), 4), "group_norm: num_groups = 4 must divide the channels C = 6 (shape (2, 6, 4, 4))"),
    (lambda: F.group_norm(z(6), 2), "group_norm: x must be (N, C, ...), got shape (6,)"),
    (lambda: F.group_norm(z(2, 6), 2, z(6), z(2)), "group_norm: x has shape (2, 6), so bias must be (6,), got (2,)"),
    (lambda: F.layer_norm(z(2, 6, 4), (6,)), "layer_norm: x must end in normalized_shape (6,), got shape (2, 6, 4)"),
    (lambda: F.layer_norm(z(2, 6, 4), 4, z(6, 4)), "layer_norm: x has shape (2, 6, 4), so weight must be (4,), got (6, 4)"),
]


@pytest.mark.parametrize(("call", "message"), ERRORS)
def test_errors(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        call()


def test_mixed_dtypes() -> None:
    message = "batch_norm: dtypes differ: x is float32, weight is float64; convert with .float() or .double()"
    with pytest.raises(TypeError, match=f"^{re.escape(message)}$"):
        F.batch_norm(z(2, 3), None, None, Tensor(np.ones(3)), training=True)
