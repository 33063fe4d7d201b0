"""Gradients against differences, in float64 and along a random direction: (f(x + h·v) - f(x - h·v)) / 2h = <gradient, v>."""
from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given

import minicnn
from minicnn import Tensor
from tests.compare import DIFFERENCE64, assert_close64
from tests.strategies import floats, seeds

STEP = 1e-5                                   # the error of the difference is about step² + rounding / step

SMOOTH: dict[str, Any] = {
    "add": lambda a, b: a + b, "sub": lambda a, b: a - b, "mul": lambda a, b: a * b, "div": lambda a, b: a / (b * b + 1),
    "pow": lambda a, b: (a * a + 1) ** b, "matmul": lambda a, b: a @ b.T, "neg": lambda a, b: -a * b,
    "exp": lambda a, b: (a * b).exp(), "log": lambda a, b: (a * a + b * b + 1).log(), "sqrt": lambda a, b: (a * a + b * b + 1).sqrt(),
    "sin": lambda a, b: (a * b).sin(), "cos": lambda a, b: (a * b).cos(), "tanh": lambda a, b: (a * b).tanh(),
    "sigmoid": lambda a, b: (a * b).sigmoid(), "mean": lambda a, b: (a * b).mean(0), "var": lambda a, b: (a * b).var(1),
    "std": lambda a, b: (a * b).std((0, 1)), "logsumexp": lambda a, b: (a * b).logsumexp(1), "norm": lambda a, b: (a - b).norm(),
    "where": lambda a, b: minicnn.where(a.detach() > 0, a * b, b), "cat": lambda a, b: minicnn.cat([a, b, a * b], 1),
    "index": lambda a, b: a[[0, 1, 0]] * b[0], "setitem": lambda a, b: _written(a * 2, b),
}


def _written(a: Tensor, b: Tensor) -> Tensor:
    a[:, 1] = b[:, 0]
    return a * b


@pytest.mark.parametrize("name", SMOOTH)
@given(seed=seeds)
def test_directional(name: str, seed: int) -> None:
    a, b, va, vb = (floats((2, 3), seed + i, np.float64) for i in range(4))
    ta, tb = (Tensor(x, requires_grad=True) for x in (a, b))
    y = SMOOTH[name](ta, tb)
    dy = floats(y.shape, seed + 4, np.float64)
    y.backward(Tensor(dy))
    slope = (ta.grad.array * va).sum() + (tb.grad.array * vb).sum() if tb.grad is not None else (ta.grad.array * va).sum()

    def f(h: float) -> Any:
        return (SMOOTH[name](Tensor(a + h * va), Tensor(b + h * vb)).array * dy).sum()
    scale = np.abs(ta.grad.array).sum() + 1
    assert_close64(slope / scale, (f(STEP) - f(-STEP)) / (2 * STEP) / scale, tolerance=DIFFERENCE64)
