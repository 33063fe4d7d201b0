"""The losses between equal shapes against torch, with gradients of both arguments."""
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
from tests.against_torch import close, exact
from tests.ops.arrays import one
from tests.strategies import floats, integers, seeds

LOSSES: dict[str, Any] = {
    "mse": lambda f, x, t, r: f.mse_loss(x, t, reduction=r),
    "l1": lambda f, x, t, r: f.l1_loss(x, t, reduction=r),
    "smooth_l1": lambda f, x, t, r: f.smooth_l1_loss(x, t, reduction=r),
    "smooth_l1, beta 0.3": lambda f, x, t, r: f.smooth_l1_loss(x, t, reduction=r, beta=0.3),
    "smooth_l1, beta 0": lambda f, x, t, r: f.smooth_l1_loss(x, t, reduction=r, beta=0.0),
    "bce": lambda f, x, t, r: f.binary_cross_entropy_with_logits(x, t, reduction=r),
    "bce, weighted": lambda f, x, t, r: f.binary_cross_entropy_with_logits(x, t, (t * t).detach(), reduction=r),
    "bce, positives": lambda f, x, t, r: f.binary_cross_entropy_with_logits(x, t, reduction=r, pos_weight=(t * t + 1).detach()),
}
EXACT = ["mse", "l1", "smooth_l1", "smooth_l1, beta 0"]


@pytest.mark.parametrize("name", LOSSES)
@given(x=one(floats, least_side=1), seed=seeds, reduction=st.sampled_from(["none", "mean", "sum"]))
def test_close(name: str, x: np.ndarray, seed: int, reduction: str) -> None:
    loss = LOSSES[name]
    close(lambda a, t: loss(F, a, t, reduction), lambda a, t: loss(TF, a, t, reduction), x, floats(x.shape, seed))


@pytest.mark.parametrize("name", EXACT)
@given(x=one(), seed=seeds)
def test_exact_on_integers(name: str, x: np.ndarray, seed: int) -> None:
    """Ties between x and target are frequent here: |0| has slope 0."""
    loss = LOSSES[name]
    exact(lambda a, t: loss(F, a, t, "none"), lambda a, t: loss(TF, a, t, "none"), x, integers(x.shape, seed))


def test_bce_far_out() -> None:
    x, t = np.array([0, -0.0, 50, -50, 1e3, -1e3, 1e4, np.nan]), np.array([0.5, 1, 0, 1, 1, 0, 0, 1])
    close(lambda a, b: F.binary_cross_entropy_with_logits(a, b, reduction="none"),
          lambda a, b: TF.binary_cross_entropy_with_logits(a, b, reduction="none"), x, t)


def test_pos_weight_broadcasts_over_samples() -> None:
    arrays = floats((3, 4), 0), np.abs(floats((3, 4), 1)), np.abs(floats((4,), 2))
    close(lambda a, t, p: F.binary_cross_entropy_with_logits(a, t, pos_weight=p.detach()),
          lambda a, t, p: TF.binary_cross_entropy_with_logits(a, t, pos_weight=p.detach()), *arrays)


@pytest.mark.parametrize("name", ["mse_loss", "l1_loss", "smooth_l1_loss", "binary_cross_entropy_with_logits"])
def test_errors(name: str) -> None:
    def fails(error: type[Exception], message: str, x: Any, t: Any, **options: Any) -> None:
        with pytest.raises(error, match=f"^{re.escape(f'{name}: {message}')}$"):
            getattr(F, name)(Tensor(x), Tensor(t), **options)

    x = np.zeros((4, 1), np.float32)
    fails(ValueError, "x has shape (4, 1), target (4,): they must be equal, broadcasting would mix samples", x, x[:, 0])
    fails(TypeError, "target is int64; it needs floating point: convert it with .float()", x, np.zeros((4, 1), np.int64))
    fails(TypeError, "dtypes differ: x is float32, target is float64; convert with .float() or .double()", x, np.zeros((4, 1)))
    fails(ValueError, "reduction is 'batchmean': must be 'none', 'mean' or 'sum'", x, x, reduction="batchmean")


def test_negative_beta() -> None:
    with pytest.raises(ValueError, match=r"^smooth_l1_loss: beta is -1: must be at least 0$"):
        F.smooth_l1_loss(Tensor([1.0]), Tensor([1.0]), beta=-1)
