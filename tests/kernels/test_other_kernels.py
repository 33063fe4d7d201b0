"""Batch norm, relu, softmax cross-entropy and the optimiser steps of every backend and of the reference, beside torch."""
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from minicnn.kernels import reference
from tests.compare import assert_bounded, assert_close64, assert_equal, unchanged
from tests.kernels.on_device import every_backend
from tests.strategies import floats, in_layout, integers, layouts, seeds

shapes = st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(2, 4), st.integers(1, 4))


@every_backend(reference)
@pytest.mark.parametrize("batch_statistics", [True, False])
@given(shape=shapes, seed=seeds, layout=layouts)
def test_batch_norm_against_torch(k: ModuleType, batch_statistics: bool, shape: tuple[int, ...], seed: int, layout: str) -> None:
    C, eps = shape[1], 1e-3
    x, dy = (in_layout(floats(shape, seed + i, np.float64), layout) for i in range(2))
    gamma, beta, mean = (floats((C,), seed + i, np.float64) for i in (2, 3, 4))
    var = np.abs(floats((C,), seed + 5, np.float64)) + 0.1
    tx, tgamma, tbeta = (torch.tensor(a.copy(), requires_grad=True) for a in (x, gamma, beta))
    y = torch.nn.functional.batch_norm(tx, torch.tensor(mean), torch.tensor(var), tgamma, tbeta, batch_statistics, 0.0, eps)
    y.backward(torch.tensor(dy.copy()))
    with unchanged(x, dy, gamma, beta):
        if batch_statistics:
            mean, var = k.batch_norm_statistics(x)
        assert_close64(k.batch_norm(x, gamma, beta, mean, var, eps), y)
        dx, dgamma, dbeta = k.batch_norm_grad(dy, x, gamma, mean, var, eps, batch_statistics)
    assert_close64(dx, tx.grad)
    assert_close64(dgamma, tgamma.grad)
    assert_close64(dbeta, tbeta.grad)


@every_backend(reference)
def test_batch_norm_statistics_do_not_cancel(k: ModuleType) -> None:
    """Values around 4096 with variance 1/4: E[x²] − E[x]² in float32 would lose all of it."""
    x = np.float32(4096) + integers((4, 2, 8, 8), 0, 0, 1)
    mean, var = k.batch_norm_statistics(x)
    expected = x.astype(np.float64)
    assert mean.dtype == var.dtype == np.float32
    assert_bounded(mean, expected.mean(axis=(0, 2, 3)), expected.mean(axis=(0, 2, 3)), 256)
    assert_bounded(var, expected.var(axis=(0, 2, 3)), expected.var(axis=(0, 2, 3)), 2 * 256)


@every_backend(reference)
def test_relu(k: ModuleType) -> None:
    """relu'(0) = 0, NaN stays NaN, an infinite dy does not turn a closed gate into NaN."""
    x = np.array([-1, -0.0, 0, 2, np.nan, np.inf, -np.inf], np.float32)
    assert_equal(k.relu(x), np.array([0, 0, 0, 2, np.nan, np.inf, 0], np.float32))
    dy = np.array([np.inf, 3, 3, 3, 3, 3, np.nan], np.float32)
    for inplace in (False, True):
        assert_equal(k.relu_grad(dy.copy(), k.relu(x), inplace), np.array([0, 0, 0, 3, 0, 3, 0], np.float32))


@every_backend(reference)
@given(shape=shapes, seed=seeds, layout=layouts, other=layouts)
def test_relu_grad_in_place_changes_dy_alone(k: ModuleType, shape: tuple[int, ...], seed: int, layout: str, other: str) -> None:
    a, b = integers(shape, seed), integers(shape, seed + 1)
    dy, y = in_layout(a, layout), in_layout(b, other)
    with unchanged(y):
        assert_equal(k.relu_grad(dy, y, True), np.where(b > 0, a, 0))


@every_backend(reference)
@given(shape=st.lists(st.integers(0, 4), max_size=4).map(tuple), seed=seeds, layout=layouts, other=layouts)
def test_add(k: ModuleType, shape: tuple[int, ...], seed: int, layout: str, other: str) -> None:
    a, b = integers(shape, seed), integers(shape, seed + 1)
    x, y = in_layout(a, layout), in_layout(b, other)
    with unchanged(x, y):
        assert_equal(k.add(x, y), a + b)


@every_backend(reference)
@given(N=st.integers(1, 5), K=st.integers(1, 6), seed=seeds, shift=st.sampled_from([0, 1e4, -1e4]))
def test_softmax_cross_entropy_against_torch(k: ModuleType, N: int, K: int, seed: int, shift: float) -> None:
    x, dlosses = floats((N, K), seed, np.float64) + shift, floats((N,), seed + 1, np.float64)
    labels = np.random.default_rng(seed).integers(0, K, N)
    tx = torch.tensor(x, requires_grad=True)
    expected = torch.nn.functional.cross_entropy(tx, torch.tensor(labels), reduction="none")
    expected.backward(torch.tensor(dlosses))
    with unchanged(x, dlosses, labels):
        losses, probabilities = k.softmax_cross_entropy(x, labels)
        assert_close64(losses, expected)
        assert_close64(k.softmax_cross_entropy_grad(dlosses, probabilities, labels), tx.grad)
    losses32, probabilities32 = k.softmax_cross_entropy(x.astype(np.float32), labels)
    assert losses32.dtype == probabilities32.dtype == k.softmax_cross_entropy_grad(losses32, probabilities32, labels).dtype == np.float32


SGD = [dict(zip(("momentum", "dampening", "weight_decay", "nesterov"), v, strict=True))
       for v in ((0.9, 0, 0, False), (0.9, 0, 0.1, True), (0.5, 0.2, 0.1, False), (0, 0, 0.1, False))]
ADAM = [{"betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.1}, {"betas": (0.5, 0.8), "eps": 1e-3, "weight_decay": 0.0}]


def steps_of_torch(optimizer: type, p: np.ndarray, gradients: list[np.ndarray], **options: Any) -> np.ndarray:
    tp = torch.tensor(p, requires_grad=True)
    peer = optimizer([tp], lr=0.1, **options)
    for g in gradients:
        tp.grad = torch.tensor(g)
        peer.step()
    return tp.detach().numpy()


@every_backend(reference)
@pytest.mark.parametrize("options", SGD, ids=str)
def test_sgd_step_against_torch(k: ModuleType, options: dict[str, Any]) -> None:
    p, gradients = floats((3, 4), 0, np.float64), [floats((3, 4), i, np.float64) for i in (1, 2, 3)]
    expected = steps_of_torch(torch.optim.SGD, p.copy(), gradients, **options)
    velocity = np.zeros_like(p) if options["momentum"] else None
    for i, g in enumerate(gradients):
        with unchanged(g):
            k.sgd_step(p, g, velocity, 0.1, options["momentum"], options["dampening"] if i else 0, options["weight_decay"],
                       options["nesterov"])
    assert_close64(p, expected)


@every_backend(reference)
@pytest.mark.parametrize(("peer", "decoupled"), [(torch.optim.Adam, False), (torch.optim.AdamW, True)], ids=["Adam", "AdamW"])
@pytest.mark.parametrize("options", ADAM, ids=str)
def test_adam_step_against_torch(k: ModuleType, options: dict[str, Any], peer: type, decoupled: bool) -> None:
    p, gradients = floats((3, 4), 0, np.float64), [floats((3, 4), i, np.float64) for i in (1, 2, 3)]
    expected = steps_of_torch(peer, p.copy(), gradients, **options)
    m, v = np.zeros_like(p), np.zeros_like(p)
    for step, g in enumerate(gradients, 1):
        with unchanged(g):
            k.adam_step(p, g, m, v, step, 0.1, *options["betas"], options["eps"], options["weight_decay"], decoupled)
    assert_close64(p, expected)


@every_backend(reference)
def test_optimiser_steps_keep_float32(k: ModuleType) -> None:
    """In place, in the dtype of p, and near the float64 step."""
    p, g = floats((3, 4), 0), floats((3, 4), 1)
    big, m, v = p.astype(np.float64), np.zeros_like(p), np.zeros_like(p)
    with unchanged(g):
        k.sgd_step(p, g, m, 0.5, 0.9, 0.0, 0.0, True)
        k.adam_step(p, g, m, v, 1, 1e-3, 0.9, 0.999, 1e-8, 0.01, True)
    big_m, big_v = np.zeros_like(big), np.zeros_like(big)
    reference.sgd_step(big, g, big_m, 0.5, 0.9, 0.0, 0.0, True)
    reference.adam_step(big, g, big_m, big_v, 1, 1e-3, 0.9, 0.999, 1e-8, 0.01, True)
    assert p.dtype == m.dtype == v.dtype == np.float32
    for got, expected in ((p, big), (m, big_m), (v, big_v)):
        assert_bounded(got, expected, np.abs(expected) + np.abs(g) + 1, 16)
