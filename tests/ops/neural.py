"""What the tests of the neural operations share: every backend in turn, torch's view of a window, and the gradient check."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from minicnn import kernels
from tests.compare import DIFFERENCE64, assert_close64
from tests.strategies import Geometry, floats

each_backend = pytest.mark.parametrize("backend", [name for name in kernels.CPU_BACKENDS if not kernels.missing(name)])

STEP = 1e-5           # central differences err by STEP² times the third derivative, and by rounding / STEP: both near 1e-10


def conv_arguments(g: Geometry) -> dict[str, Any]:
    """stride, padding and dilation as torch takes them; the geometry must be symmetric."""
    return {"stride": g.window.stride, "padding": g.window.padding[::2], "dilation": g.window.dilation}


def pool_arguments(g: Geometry) -> dict[str, Any]:
    return {"kernel_size": g.window.kernel, "stride": g.window.stride, "padding": g.window.padding[::2], "ceil_mode": g.window.ceil_mode}


def gradient_check(forward: Callable[..., tuple[Any, Any]], backward: Callable[..., Any], *arrays: np.ndarray, **options: Any) -> None:
    """Tier 4, on the pair alone, with no Tensor in sight: along a random direction v of each float array, <dx, v> = d<dy, y> / dv."""
    def objective(inputs: list[np.ndarray]) -> float:
        y = forward(*inputs, **options)[0]
        return float(np.sum(dy * (y[0] if isinstance(y, tuple) else y)))

    y, cache = forward(*arrays, **options)
    y = y[0] if isinstance(y, tuple) else y
    dy = floats(y.shape, 1, np.float64)
    gradients = backward(dy, cache)
    assert len(gradients) == len(arrays)
    for i, (array, gradient) in enumerate(zip(arrays, gradients, strict=True)):
        if array is None or array.dtype.kind != "f":
            assert gradient is None
            continue
        assert type(gradient) is np.ndarray
        assert gradient.shape == array.shape
        v = floats(array.shape, 2 + i, np.float64)
        moved = [[*arrays[:i], array + sign * STEP * v, *arrays[i + 1:]] for sign in (1, -1)]
        slope = (objective(moved[0]) - objective(moved[1])) / (2 * STEP)
        assert_close64(np.sum(gradient * v), slope, f"slope along input {i}", DIFFERENCE64)
