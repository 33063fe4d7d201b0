"""Batch norm, relu, softmax cross-entropy and the optimiser steps of every backend, on arrays. (Their Tensors are tested beside torch.)"""
from types import ModuleType

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from minicnn import kernels
from tests.compare import assert_bounded, assert_close64, assert_equal, unchanged
from tests.strategies import floats, in_layout, integers, layouts, seeds

USABLE = [name for name, missing in kernels.available().items() if not missing]
every_backend = pytest.mark.parametrize("k", [kernels.get(name) for name in USABLE], ids=USABLE)
shapes = st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(2, 4), st.integers(1, 4))


@every_backend
@pytest.mark.parametrize("batch_statistics", [True, False])
@given(shape=shapes, seed=seeds, layout=layouts)
def test_batch_norm_against_torch(k: ModuleType, batch_statistics: bool, shape: tuple[int, ...], seed: int, layout: str) -> None:
    C, eps = shape[1], 1e-5
    x, dy = (in_layout(floats(shape, seed + i, np.float64), layout) for i in range(2))
    gamma, beta, mean = (floats((C,), seed + i, np.float64) for i in (2, 3, 4))
    var = np.abs(floats((C,), seed + 5, np.float64)) + 0.1
    tx, tgamma, tbeta = (torch.tensor(a.copy(), requires_grad=True) for a in (x, gamma, beta))
    y = torch.nn.functional.batch_norm(tx, torch.tensor(mean), torch.tensor(var), tgamma, tbeta, batch_statistics, 0.0, eps)
    y.backward(torch.tensor(dy.copy()))
    with unchanged(x, dy, gamma, beta):
        if batch_statistics:
            mean, var = k.batch_norm_statistics(x)
        assert_close64(k.batch_norm(x, gamma, beta, mean, var, eps), y, 1e-11)
        dx, dgamma, dbeta = k.batch_norm_grad(dy, x, gamma, mean, var, eps, batch_statistics)
    assert_close64(dx, tx.grad, 1e-9)
    assert_close64(dgamma, tgamma.grad, 1e-10)
    assert_close64(dbeta, tbeta.grad, 1e-11)


@every_backend
def test_batch_norm_statistics_do_not_cancel(k: ModuleType) -> None:
    """Values around 4096 with variance 1/4: E[x²] − E[x]² in float32 would lose all of it."""
    x = np.float32(4096) + integers((4, 2, 8, 8), 0, 0, 1)
    mean, var = k.batch_norm_statistics(x)
    expected = x.astype(np.float64)
    assert mean.dtype == var.dtype == np.float32
    assert_bounded(mean, expected.mean(axis=(0, 2, 3)), expected.mean(axis=(0, 2, 3)), 256)
    assert_bounded(var, expected.var(axis=(0, 2, 3)), expected.var(axis=(0, 2, 3)), 2 * 256)


@every_backend
def test_relu(k: ModuleType) -> None:
    """relu'(0) = 0, NaN stays NaN, an infinite dy does not turn a closed gate into NaN."""
    x = np.array([-1, -0.0, 0, 2, np.nan, np.inf, -np.inf], np.float32)
    assert_equal(k.relu(x), np.array([0, 0, 0, 2, np.nan, np.inf, 0], np.float32))
    dy = np.array([np.inf, 3, 3, 3, 3, 3, np.nan], np.float32)
    assert_equal(k.relu_grad(dy, k.relu(x)), np.array([0, 0, 0, 3, 0, 3, 0], np.float32))


@every_backend
@given(N=st.integers(1, 5), K=st.integers(1, 6), seed=seeds, shift=st.sampled_from([0, 1e4, -1e4]))
def test_softmax_cross_entropy_against_torch(k: ModuleType, N: int, K: int, seed: int, shift: float) -> None:
    x, dlosses = floats((N, K), seed, np.float64) + shift, floats((N,), seed + 1, np.float64)
    labels = np.random.default_rng(seed).integers(0, K, N)
    tx = torch.tensor(x, requires_grad=True)
    expected = torch.nn.functional.cross_entropy(tx, torch.tensor(labels), reduction="none")
    expected.backward(torch.tensor(dlosses))
    with unchanged(x, dlosses, labels):
        losses, probabilities = k.softmax_cross_entropy(x, labels)
        assert_close64(losses, expected, 1e-12)
        assert_close64(k.softmax_cross_entropy_grad(dlosses, probabilities, labels), tx.grad, 1e-12)
    losses32, probabilities32 = k.softmax_cross_entropy(x.astype(np.float32), labels)
    assert losses32.dtype == probabilities32.dtype == k.softmax_cross_entropy_grad(losses32, probabilities32, labels).dtype == np.float32


@every_backend
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_optimiser_steps_change_parameter_and_state_in_place_and_nothing_else(k: ModuleType, dtype: type) -> None:
    p, g = floats((3, 4), 0, dtype), floats((3, 4), 1, dtype)
    before, zeros = p.copy(), np.zeros_like(p)
    with unchanged(g):
        k.sgd_step(p, g, None, 0.5, 0.0, 0.0, 0.0, False)
        assert_equal(p, before - dtype(0.5) * g)
        velocity = zeros.copy()
        k.sgd_step(p, g, velocity, 0.5, 0.9, 0.0, 0.1, True)
        assert p.dtype == velocity.dtype == dtype
        assert velocity.any()
        m, v = zeros.copy(), zeros.copy()
        k.adam_step(p, g, m, v, 1, 1e-3, 0.9, 0.999, 1e-8, 0.01, True)
        assert p.dtype == m.dtype == v.dtype == dtype
        g = g.astype(np.float64)
        assert_bounded(m, (1 - 0.9) * g, (1 - 0.9) * g, 8)
        assert_bounded(v, (1 - 0.999) * g**2, (1 - 0.999) * g**2, 8)
