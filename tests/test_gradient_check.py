"""Tier 4: every neural operation's gradient against differences of its own forward pass, in float64, along random directions.

torch is not asked: an error that we and torch shared would show here.
"""
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minicnn.nn.functional as F
from minicnn import Tensor, use_backend
from minicnn.kernels import CPU_BACKENDS, missing
from tests.compare import DIFFERENCE64, assert_close64
from tests.strategies import floats

BACKENDS = [name for name in CPU_BACKENDS if not missing(name)]
STEP = 1e-3            # of a five-point difference: it errs by STEP⁴/30 times the fifth derivative, and by roundings divided by STEP

LABELS = np.array([2, 0, 3, 3])
BUFFERS = floats((4,), 90, np.float64), np.abs(floats((4,), 91, np.float64)) + 0.5
NORMS = ((3, 4, 5, 2), (4,), (4,))


def permutation(shape: tuple[int, ...]) -> np.ndarray:
    """Values 1 apart in random order: no step of the check changes which is the largest."""
    return np.random.default_rng(5).permutation(int(np.prod(shape))).astype(np.float64).reshape(shape)


# name: (function of Tensors, shapes of its float arguments)
CASES: dict[str, tuple[Callable[..., Any], tuple[tuple[int, ...], ...]]] = {
    "conv2d": (lambda x, w, b: F.conv2d(x, w, b, (2, 1), (1, 2), (1, 2), 2), ((2, 4, 6, 5), (6, 2, 3, 2), (6,))),
    "conv2d same": (lambda x, w: F.conv2d(x, w, stride=(3, 2), padding="same"), ((1, 2, 7, 5), (2, 2, 2, 3))),
    "conv2d four sides": (lambda x, w: F.conv2d(x, w, padding=(0, 2, 1, 0)), ((1, 2, 4, 5), (2, 2, 3, 2))),
    "conv_transpose2d": (lambda x, w, b: F.conv_transpose2d(x, w, b, (2, 3), (1, 0), (1, 2), 2, (1, 2)),
                         ((2, 4, 3, 2), (4, 3, 3, 2), (6,))),
    "linear": (F.linear, ((3, 2, 5), (4, 5), (4,))),
    "avg_pool2d": (lambda x: F.avg_pool2d(x, (3, 2), (2, 1), (1, 0), True, False), ((2, 2, 6, 5),)),
    "adaptive_avg_pool2d": (lambda x: F.adaptive_avg_pool2d(x, (3, 2)), ((2, 2, 7, 5),)),
    "batch_norm training": (lambda x, g, b: F.batch_norm(x, None, None, g, b, training=True), NORMS),
    "batch_norm running": (lambda x, g, b: F.batch_norm(x, *map(Tensor, BUFFERS), g, b), NORMS),
    "group_norm": (lambda x, g, b: F.group_norm(x, 2, g, b), NORMS),
    "layer_norm": (lambda x, g, b: F.layer_norm(x, (4,), g, b), ((3, 5, 4), (4,), (4,))),
    "softmax": (lambda x: F.softmax(x, 1), ((3, 4, 2),)),
    "log_softmax": (lambda x: F.log_softmax(x, -1), ((3, 4),)),
    "cross_entropy": (lambda x: F.cross_entropy(x, Tensor(LABELS)), ((4, 5),)),
    "cross_entropy smoothed": (lambda x: F.cross_entropy(x, Tensor(LABELS), Tensor(np.arange(1, 6.0)), label_smoothing=0.2), ((4, 5),)),
    "cross_entropy soft": (lambda x, t: F.cross_entropy(x, t, reduction="sum"), ((4, 5), (4, 5))),
    "binary_cross_entropy_with_logits": (lambda x: F.binary_cross_entropy_with_logits(x, Tensor(np.eye(4))), ((4, 4),)),
    "mse_loss": (F.mse_loss, ((3, 4), (3, 4))),
    "gelu": (F.gelu, ((3, 5),)),
    "gelu tanh": (lambda x: F.gelu(x, approximate="tanh"), ((3, 5),)),
    "silu": (F.silu, ((3, 5),)),
    "pad reflect": (lambda x: F.pad(x, (1, 2, 0, 3), "reflect"), ((2, 2, 5, 4),)),
    "pad replicate": (lambda x: F.pad(x, (1, 2, 0, 3), "replicate"), ((2, 2, 5, 4),)),
    "interpolate bilinear": (lambda x: F.interpolate(x, (7, 4), mode="bilinear"), ((2, 2, 3, 5),)),
    "unfold": (lambda x: F.unfold(x, (2, 3), 1, (1, 0), (2, 1)), ((2, 2, 5, 4),)),
    "fold": (lambda x: F.fold(x, (5, 4), (2, 3), 1, (1, 0), (2, 1)), ((2, 12, 6),)),
}


def check(function: Callable[..., Any], arrays: list[np.ndarray]) -> None:
    """<gradient, v> against the derivative of <function(x + h*v), c> at h = 0, for a random v and c."""
    tensors = [Tensor(a.copy(), requires_grad=True) for a in arrays]
    y = function(*tensors)
    c = floats(y.shape, 77, np.float64)
    y.backward(Tensor(c))
    directions = [floats(a.shape, 50 + i, np.float64) for i, a in enumerate(arrays)]
    for i, (tensor, v) in enumerate(zip(tensors, directions, strict=True)):

        def along(h: float, i: int = i, v: np.ndarray = v) -> float:
            moved = [Tensor(a + h * v if j == i else a) for j, a in enumerate(arrays)]
            return float(np.vdot(function(*moved).array, c))

        numeric = (8 * (along(STEP) - along(-STEP)) - (along(2 * STEP) - along(-2 * STEP))) / (12 * STEP)
        assert_close64(np.vdot(tensor.grad.array, v), np.float64(numeric), f"argument {i}", DIFFERENCE64)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", CASES)
def test_gradient(name: str, backend: str) -> None:
    function, shapes = CASES[name]
    with use_backend(backend):
        check(function, [floats(shape, i, np.float64) for i, shape in enumerate(shapes)])


@pytest.mark.parametrize("backend", BACKENDS)
def test_gradient_of_max_pooling(backend: str) -> None:
    """On a permutation whose gaps exceed the step: at a tie the function has no derivative."""
    with use_backend(backend):
        check(lambda x: F.max_pool2d(x, (3, 2), (2, 1), (1, 1), (1, 2), ceil_mode=True), [permutation((2, 2, 6, 5))])
        check(lambda x: F.adaptive_max_pool2d(x, (3, 2)), [permutation((2, 2, 7, 5))])


def test_the_check_sees_a_wrong_gradient() -> None:
    with pytest.raises(AssertionError, match="argument 0"):
        check(lambda x: x * x.detach(), [floats((3,), 0, np.float64)])
