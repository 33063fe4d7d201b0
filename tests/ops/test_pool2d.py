"""Max, average and adaptive pooling on Tensors against torch: geometries, ties, NaN, unbatched input, indices, errors."""
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
from minicnn.kernels import reference
from tests.against_torch import close, exact
from tests.compare import assert_equal
from tests.ops.neural import each_backend, pool_arguments
from tests.strategies import Geometry, floats, in_layout, integers, layouts, pool_geometries, seeds


@each_backend
@given(g=pool_geometries(torch_padding=True), unbatched=st.booleans())
def test_max_pool2d(backend: str, g: Geometry, unbatched: bool) -> None:
    """Against torch; against the reference alone where a window sees only padding: torch 2.13 corrupts its heap there."""
    options = {**pool_arguments(g), "dilation": g.window.dilation}
    x = in_layout(integers(g.x_shape, g.seed, -2, 2), g.layout)
    expected, argmax = reference.max_pool2d(x, g.window)
    with use_backend(backend):
        y, indices = F.max_pool2d(Tensor(x), **options, return_indices=True)
        assert_equal(y, expected)
        assert_equal(indices, argmax)
        if (argmax >= 0).all():
            x = x[0] if unbatched else x
            assert_equal(F.max_pool2d(Tensor(x), **options, return_indices=True)[1],
                         TF.max_pool2d(torch.tensor(x.copy()), **options, return_indices=True)[1])
            exact(lambda a: F.max_pool2d(a, **options), lambda a: TF.max_pool2d(a, **options), x)


@each_backend
@given(g=pool_geometries(dilation=1, torch_padding=True), include=st.booleans(), override=st.none() | st.integers(-2, 9).filter(bool),
       unbatched=st.booleans())
def test_avg_pool2d(backend: str, g: Geometry, include: bool, override: int | None, unbatched: bool) -> None:
    options = {**pool_arguments(g), "count_include_pad": include, "divisor_override": override}
    x = in_layout(integers(g.x_shape, g.seed), g.layout)
    x = x[0] if unbatched else x
    with use_backend(backend):
        close(lambda a: F.avg_pool2d(a, **options), lambda a: TF.avg_pool2d(a, **options), x)
        options["divisor_override"] = 1
        exact(lambda a: F.avg_pool2d(a, **options), lambda a: TF.avg_pool2d(a, **options), x)


@each_backend
@pytest.mark.parametrize("name", ["max_pool2d", "avg_pool2d"])
@pytest.mark.parametrize("arguments", [(2,), ((1, 2),), (4, 2), (2, 1, 1)])
def test_defaults_and_nan(arguments: tuple[Any, ...], name: str, backend: str) -> None:
    x = integers((2, 3, 6, 5), 0)
    x[0, 0, 2, 2], x[1, 1, 0, 1] = np.nan, np.inf
    with use_backend(backend):
        exact(lambda a: getattr(F, name)(a, *arguments), lambda a: getattr(TF, name)(a, *arguments), x)


@given(shape=st.tuples(*(st.integers(1, 2),) * 2, *(st.integers(1, 8),) * 2), output=st.tuples(*(st.none() | st.integers(1, 9),) * 2),
       unbatched=st.booleans(), seed=seeds, layout=layouts)
def test_adaptive(shape: tuple[int, ...], output: tuple[int | None, ...], unbatched: bool, seed: int, layout: str) -> None:
    x = in_layout(integers(shape, seed), layout)
    x = x[0] if unbatched else x
    close(lambda a: F.adaptive_avg_pool2d(a, output), lambda a: TF.adaptive_avg_pool2d(a, output), x)
    exact(lambda a: F.adaptive_max_pool2d(a, output), lambda a: TF.adaptive_max_pool2d(a, output), x)
    assert_equal(F.adaptive_max_pool2d(Tensor(x), output, return_indices=True)[1],
                 TF.adaptive_max_pool2d(torch.tensor(x.copy()), output, return_indices=True)[1])


@pytest.mark.parametrize("name", ["adaptive_avg_pool2d", "adaptive_max_pool2d"])
@pytest.mark.parametrize("output", [1, 2, (3, 4)])
def test_adaptive_keeps_nan_and_infinity_in_their_bins(output: Any, name: str) -> None:
    x = floats((1, 2, 6, 8), 0)
    x[0, 0, 1, 3], x[0, 1, 5, 5] = np.nan, np.inf
    close(lambda a: getattr(F, name)(a, output), lambda a: getattr(TF, name)(a, output), x)


def test_padding_in_words_and_four_sides() -> None:
    """Beyond torch: 'same', and unequal sides, as conv2d takes them."""
    x = Tensor(integers((1, 1, 5, 4), 0))
    assert F.max_pool2d(x, 2, stride=1, padding="same").shape == (1, 1, 5, 4)
    padded = F.pad(x, (1, 0, 0, 1), value=-np.inf)
    assert_equal(F.max_pool2d(x, (2, 3), padding=(0, 1, 1, 0)), F.max_pool2d(padded, (2, 3)))


ERRORS: list[tuple[str, tuple[int, ...], dict[str, Any], str]] = [
    ("max_pool2d", (1, 2, 4, 5), {"kernel_size": (3, 2), "padding": (2, 1)},
     "max_pool2d: padding 2 is more than half of the kernel's height 3: it may be at most 1"),
    ("avg_pool2d", (1, 2, 4, 5), {"kernel_size": 3, "padding": (1, 2)},
     "avg_pool2d: padding 2 is more than half of the kernel's width 3: it may be at most 1"),
    ("max_pool2d", (2, 4, 2), {"kernel_size": 3, "dilation": (1, 2)},
     "max_pool2d: no output: width 2 + padding 0 + 0 = 2 is smaller than the window's extent "
     "dilation*(kernel - 1) + 1 = 2*(3 - 1) + 1 = 5; use a smaller kernel or dilation, or more padding"),
    ("avg_pool2d", (4, 5), {"kernel_size": 3}, "avg_pool2d: x must be (N, C, H, W) or (C, H, W), got 2 axes (shape (4, 5))"),
    ("avg_pool2d", (2, 4, 5), {"kernel_size": 3, "divisor_override": 0},
     "avg_pool2d: divisor_override is 0: must be another number, or None for the size of the window"),
    ("max_pool2d", (2, 4, 5), {"kernel_size": 2, "stride": 0}, "max_pool2d: stride is 0: must be at least 1"),
    ("adaptive_avg_pool2d", (2, 4, 5), {"output_size": (0, 2)},
     "adaptive_avg_pool2d: cannot make output_size (0, 2) from shape (1, 2, 4, 5): every size must be at least 1"),
    ("adaptive_max_pool2d", (2, 4, 5), {"output_size": (1, 2, 3)},
     "adaptive_max_pool2d: output_size is (1, 2, 3): give one number, or two (height, width); None keeps a size"),
]


@pytest.mark.parametrize(("name", "shape", "options", "message"), ERRORS)
def test_errors(name: str, shape: tuple[int, ...], options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        getattr(F, name)(Tensor(np.zeros(shape, np.float32)), **options)


@pytest.mark.parametrize("name", ["max_pool2d", "avg_pool2d", "adaptive_avg_pool2d", "adaptive_max_pool2d"])
def test_integers_are_refused(name: str) -> None:
    with pytest.raises(TypeError, match=rf"^{name}: x is int64; it needs floating point: convert it with .float\(\)$"):
        getattr(F, name)(Tensor(np.zeros((1, 1, 4, 4), np.int64)), 2)


def test_same_padding_with_a_stride_keeps_every_pixel_in_a_window() -> None:
    """TensorFlow's rule: ceil(n / stride) outputs."""
    x = Tensor(integers((1, 1, 5, 4), 0))
    assert_equal(F.max_pool2d(x, 2, stride=2, padding="same"), F.max_pool2d(x, 2, stride=2, ceil_mode=True))
