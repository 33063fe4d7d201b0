"""Every hand-written forward and backward, called on plain arrays, passes the directional gradient check in float64."""
from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minicnn import use_backend
from minicnn.kernels.window import Window2d
from minicnn.ops.activation import (
    elu_backward,
    elu_forward,
    gelu_backward,
    gelu_forward,
    hardswish_backward,
    hardswish_forward,
    leaky_relu_backward,
    leaky_relu_forward,
    logsigmoid_backward,
    logsigmoid_forward,
    silu_backward,
    silu_forward,
)
from minicnn.ops.adaptive_pool2d import (
    adaptive_avg_pool2d_backward,
    adaptive_avg_pool2d_forward,
    adaptive_max_pool2d_backward,
    adaptive_max_pool2d_forward,
)
from minicnn.ops.avg_pool2d import avg_pool2d_backward, avg_pool2d_forward
from minicnn.ops.batch_norm import batch_norm_backward, batch_norm_forward, batch_norm_pool_backward, batch_norm_pool_forward
from minicnn.ops.conv2d import conv2d_backward, conv2d_forward, conv2d_relu_backward, conv2d_relu_forward
from minicnn.ops.conv_transpose2d import conv_transpose2d_backward, conv_transpose2d_forward
from minicnn.ops.cross_entropy import cross_entropy_backward, cross_entropy_forward
from minicnn.ops.dropout import dropout_backward, dropout_forward
from minicnn.ops.interpolate import bilinear_taps, interpolate_backward, interpolate_forward, nearest_taps
from minicnn.ops.linear import linear_backward, linear_forward
from minicnn.ops.losses import nll_loss_backward, nll_loss_forward
from minicnn.ops.matmul import matmul_backward, matmul_forward
from minicnn.ops.max_pool2d import max_pool2d_backward, max_pool2d_forward
from minicnn.ops.pad import pad_backward, pad_by_index_backward, pad_by_index_forward, pad_forward
from minicnn.ops.relu import add_relu_backward, add_relu_forward, relu_backward, relu_forward
from minicnn.ops.softmax import log_softmax_backward, log_softmax_forward, softmax_backward, softmax_forward
from minicnn.ops.unfold import fold_backward, fold_forward, unfold_backward, unfold_forward
from tests.ops.neural import each_backend, gradient_check
from tests.strategies import floats


def x(*shape: int, seed: int = 0) -> np.ndarray:
    return floats(shape, seed, np.float64)


def apart(*shape: int) -> np.ndarray:
    """No two values closer than 0.1, none closer than 0.05 to 0: no step of the check changes a pool's winner or crosses a kink at 0."""
    values = np.arange(np.prod(shape)) - np.prod(shape) // 2 + 0.5
    return 0.1 * np.random.default_rng(0).permutation(values).reshape(shape)


WINDOW = Window2d((3, 2), (2, 1), (1, 1, 0, 1), (1, 2))
LABELS = np.array([2, 0, 2])
SIDES = ((0, 0), (0, 0), (1, 2), (2, -1))
PAIRS: dict[str, tuple[Any, Any, tuple[Any, ...], dict[str, Any]]] = {
    "relu": (relu_forward, relu_backward, (apart(2, 3),), {}),
    "leaky_relu": (leaky_relu_forward, leaky_relu_backward, (apart(2, 3),), {"negative_slope": 0.3}),
    "elu": (elu_forward, elu_backward, (apart(2, 3),), {"alpha": 0.7}),
    "gelu": (gelu_forward, gelu_backward, (x(4, 5),), {}),
    "gelu-tanh": (gelu_forward, gelu_backward, (x(4, 5),), {"approximate": "tanh"}),
    "silu": (silu_forward, silu_backward, (x(4, 5),), {}),
    "hardswish": (hardswish_forward, hardswish_backward, (apart(9, 9),), {}),
    "logsigmoid": (logsigmoid_forward, logsigmoid_backward, (x(4, 5),), {}),
    "softmax": (softmax_forward, softmax_backward, (x(2, 4, 3),), {"axis": 1}),
    "log_softmax": (log_softmax_forward, log_softmax_backward, (x(2, 4, 3),), {"axis": -1}),
    "cross_entropy": (cross_entropy_forward, cross_entropy_backward, (x(3, 4), LABELS), {}),
    "cross_entropy, smoothed": (cross_entropy_forward, cross_entropy_backward, (x(3, 4), LABELS), {"label_smoothing": 0.3}),
    "nll_loss": (nll_loss_forward, nll_loss_backward, (x(3, 4), LABELS), {}),
    "linear": (linear_forward, linear_backward, (x(2, 3, 4), x(5, 4), x(5)), {}),
    "linear without bias": (linear_forward, linear_backward, (x(4), x(5, 4), None), {}),
    "conv2d": (conv2d_forward, conv2d_backward, (x(2, 4, 5, 6), x(6, 2, 3, 2), x(6)), {"window": WINDOW, "groups": 2}),
    "conv2d_relu": (conv2d_relu_forward, conv2d_relu_backward,        # the biases keep every gate open or shut
                    (x(2, 4, 5, 6), x(6, 2, 3, 2), np.array([30.0, -30, 30, 30, -30, 30])), {"window": WINDOW, "groups": 2}),
    "conv_transpose2d": (conv_transpose2d_forward, conv_transpose2d_backward, (x(2, 6, 3, 5), x(6, 2, 3, 2), x(4)),
                         {"window": WINDOW, "output_size": (5, 6), "groups": 2}),
    "max_pool2d": (max_pool2d_forward, max_pool2d_backward, (apart(2, 2, 5, 6),), {"window": WINDOW}),
    "avg_pool2d": (avg_pool2d_forward, avg_pool2d_backward, (x(2, 2, 5, 6),), {"window": WINDOW, "count_include_pad": False}),
    "adaptive_avg_pool2d": (adaptive_avg_pool2d_forward, adaptive_avg_pool2d_backward, (x(2, 2, 5, 7),), {"output_size": (2, 3)}),
    "adaptive_max_pool2d": (adaptive_max_pool2d_forward, adaptive_max_pool2d_backward, (apart(2, 2, 5, 7),), {"output_size": (2, 3)}),
    "batch_norm": (batch_norm_forward, batch_norm_backward, (x(3, 2, 4, 5), x(2), x(2)), {}),
    "batch_norm of rows": (batch_norm_forward, batch_norm_backward, (x(5, 3), x(3), None), {}),
    "batch_norm, given statistics": (batch_norm_forward, batch_norm_backward, (x(3, 2, 4, 5), None, x(2)),
                                     {"mean": x(2), "var": np.array([0.5, 2.0])}),
    "batch_norm_pool": (batch_norm_pool_forward, batch_norm_pool_backward, (x(3, 2, 4, 5), x(2), x(2)), {}),
    "batch_norm_pool of rows that are odd": (batch_norm_pool_forward, batch_norm_pool_backward, (x(2, 3, 5, 4), x(3), None), {}),
    "batch_norm, relu": (batch_norm_forward, batch_norm_backward, (x(3, 2, 4, 5), x(2), x(2)), {"relu": True}),
    "relu of a sum": (add_relu_forward, add_relu_backward, (x(3, 2), x(3, 2)), {}),
    "matmul": (matmul_forward, matmul_backward, (x(2, 3, 4), x(4, 5)), {}),
    "matmul of vectors": (matmul_forward, matmul_backward, (x(4), x(4)), {}),
    "matmul of stacks": (matmul_forward, matmul_backward, (x(2, 3, 4), x(2, 4, 5)), {}),
    "dropout": (dropout_forward, dropout_backward, (x(2, 3),), {"mask": np.array([0, 2.0, 2.0])}),
    "pad": (pad_forward, pad_backward, (x(1, 2, 4, 5),), {"sides": SIDES, "value": 3.0}),
    "pad reflect": (pad_by_index_forward, pad_by_index_backward, (x(1, 2, 4, 5),), {"sides": SIDES, "mode": "reflect"}),
    "interpolate": (interpolate_forward, interpolate_backward, (x(2, 1, 3, 4),),
                    {"rows": bilinear_taps(3, 5, 0.6, False), "columns": nearest_taps(4, 3, 4 / 3)}),
    "unfold": (unfold_forward, unfold_backward, (x(2, 2, 5, 6),), {"window": WINDOW}),
    "fold": (fold_forward, fold_backward, (x(2, 12, 15),), {"output_size": (5, 6), "window": WINDOW}),
}


@each_backend
@pytest.mark.parametrize("name", PAIRS)
def test_gradient(name: str, backend: str) -> None:
    forward, backward, arrays, options = PAIRS[name]
    with use_backend(backend):
        gradient_check(forward, backward, *arrays, **options)


FRESH = [name for name, (_, backward, _, _) in PAIRS.items() if hasattr(backward, "fresh")]


def memory(cache: Any) -> list[np.ndarray]:
    """The arrays in a cache, at any depth."""
    if isinstance(cache, np.ndarray):
        return [cache]
    return [array for part in cache for array in memory(part)] if isinstance(cache, tuple | list) else []


@each_backend
@pytest.mark.parametrize("name", FRESH)
def test_fresh_gradients_are_in_memory_of_their_own(name: str, backend: str) -> None:
    """Not that of dy, of an input, of what was saved or of another gradient; nor of those of another call."""
    forward, backward, arrays, options = PAIRS[name]
    with use_backend(backend):
        y, cache = forward(*arrays, **options)
        dy = floats((y[0] if isinstance(y, tuple) else y).shape, 1, np.float64)
        gradients = [*backward(dy, cache), *backward(dy, cache)]
    gradients = [g for g in gradients if g is not None and np.ndim(g)]        # a single number is copied when it becomes a Tensor
    others = [dy, *memory(cache), *memory(list(arrays)), *memory(y)]
    for i, g in enumerate(gradients):
        assert g.flags.writeable
        for other in others + gradients[:i]:
            assert not np.shares_memory(g, other)


def test_the_layers_with_parameters_have_fresh_gradients() -> None:
    assert {"conv2d", "conv2d_relu", "conv_transpose2d", "linear", "batch_norm", "batch_norm_pool", "matmul"} <= set(FRESH)
