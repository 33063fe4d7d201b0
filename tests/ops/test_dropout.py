"""Dropout: which values go, how the rest is scaled, that the same seed drops the same, and that backward uses the forward's mask."""
from __future__ import annotations

import re

import numpy as np
import pytest

import minicnn.nn.functional as F
from minicnn import Tensor, random
from tests.compare import assert_equal
from tests.strategies import integers


def test_values_are_dropped_or_scaled_and_gradients_alike() -> None:
    x = Tensor(np.abs(integers((40, 50), 0)) + 1, requires_grad=True)
    y = F.dropout(x, 0.75)
    kept = y.detach().numpy() != 0
    assert_equal(y, np.where(kept, x.detach().numpy() * 4, 0))
    dy = integers((40, 50), 1)
    y.backward(dy)
    assert x.grad is not None
    assert_equal(x.grad, np.where(kept, dy * 4, 0))


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_share_of_dropped_values(p: float) -> None:
    """Within five standard deviations sqrt(p*(1 - p)/n) of p."""
    random.manual_seed(0)
    y = F.dropout(Tensor(np.ones(100_000, np.float32)), p).numpy()
    assert abs((y == 0).mean() - p) < 5 * (p * (1 - p) / y.size) ** 0.5
    assert y.dtype == np.float32
    assert_equal(y[y != 0], np.full((y != 0).sum(), 1 / (1 - p), np.float32))


def test_same_seed_same_mask() -> None:
    x = Tensor(np.ones((3, 50), np.float32))
    masks = []
    for seed in (1, 1, 2):
        random.manual_seed(seed)
        masks.append(F.dropout(x).numpy())
    assert_equal(masks[0], masks[1])
    assert (masks[0] != masks[2]).any()


def test_dropout2d_drops_whole_channels_of_single_images() -> None:
    random.manual_seed(0)
    x = Tensor(np.ones((20, 30, 4, 5), np.float32))
    y = F.dropout2d(x, 0.5).numpy()
    assert_equal(y, np.broadcast_to(y[:, :, :1, :1], y.shape).copy())
    assert set(np.unique(y)) == {np.float32(0), np.float32(2)}
    assert (y[0, :, 0, 0] != y[1, :, 0, 0]).any()
    assert (F.dropout2d(Tensor(np.ones((20, 30, 4))), 0.5).numpy().std(axis=2) == 0).all()


@pytest.mark.parametrize("name", ["dropout", "dropout2d"])
def test_when_nothing_happens_and_when_all_goes(name: str) -> None:
    x, dropout = Tensor(integers((2, 3, 4, 4), 0), requires_grad=True), getattr(F, name)
    assert dropout(x, 0.5, training=False) is x
    assert dropout(x, 0.0) is x
    y = dropout(x, 1.0)
    y.sum().backward()
    assert x.grad is not None
    assert_equal(y, np.zeros(x.shape, np.float32) * x.detach().numpy())
    assert_equal(x.grad, np.zeros(x.shape, np.float32))
    with pytest.raises(ValueError, match=f"^{name}: p is 1.5: a probability must be between 0 and 1$"):
        dropout(x, 1.5)
    with pytest.raises(TypeError, match=rf"^{name}: x is int64; it needs floating point: convert it with .float\(\)$"):
        dropout(Tensor(np.zeros((2, 3, 4), np.int64)))


def test_in_place() -> None:
    x = Tensor(np.ones((10, 10)))
    assert F.dropout(x, 0.5, inplace=True) is x
    assert set(np.unique(x.numpy())) == {0.0, 2.0}
    assert F.dropout(x, 0.5, training=False, inplace=True) is x


def test_dropout2d_rank() -> None:
    with pytest.raises(ValueError, match=re.escape("dropout2d: x must be (N, C, H, W) or (N, C, L), got 2 axes (shape (2, 3))") + "$"):
        F.dropout2d(Tensor(np.zeros((2, 3))))
