"""unfold and fold against torch, exactly; and that convolution is a matrix product over unfold's columns."""
from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import torch.nn.functional as TF
from hypothesis import given
from hypothesis import strategies as st

import minicnn.nn.functional as F
from minicnn import Tensor, use_backend
from tests.against_torch import exact
from tests.compare import assert_equal
from tests.ops.neural import conv_arguments, each_backend
from tests.strategies import Geometry, conv_geometries, in_layout, integers


@each_backend
@given(g=conv_geometries(symmetric=True), unbatched=st.booleans())
def test_unfold_and_fold(backend: str, g: Geometry, unbatched: bool) -> None:
    options = {"kernel_size": g.window.kernel, **conv_arguments(g)}
    x = in_layout(integers(g.x_shape, g.seed), g.layout)
    OH, OW = g.window.output_size(g.size)
    cols = in_layout(integers((g.N, g.C * int(np.prod(g.window.kernel)), OH * OW), g.seed), g.layout)
    if unbatched:
        x, cols = x[0], cols[0]
    with use_backend(backend):
        exact(lambda a: F.unfold(a, **options), lambda a: TF.unfold(a, **options), x)
        exact(lambda a: F.fold(a, g.size, **options), lambda a: TF.fold(a, g.size, **options), cols)


@given(g=conv_geometries(symmetric=True))
def test_convolution_is_a_product_over_columns(g: Geometry) -> None:
    x, w = Tensor(integers(g.x_shape, g.seed)), Tensor(integers((g.F, g.C, *g.window.kernel), g.seed + 1))
    cols = F.unfold(x, g.window.kernel, **conv_arguments(g))
    y = (w.reshape(g.F, -1) @ cols).reshape(g.y_shape)
    assert_equal(y, F.conv2d(x, w, **conv_arguments(g)))


ERRORS: list[tuple[str, tuple[int, ...], dict[str, Any], str]] = [
    ("unfold", (4, 5), {"kernel_size": 2}, "unfold: x must be (N, C, H, W) or (C, H, W), got 2 axes (shape (4, 5))"),
    ("unfold", (1, 2, 4, 5), {"kernel_size": (5, 2)},
     "unfold: no output: height 4 + padding 0 + 0 = 4 is smaller than the window's extent dilation*(kernel - 1) + 1 = 1*(5 - 1) + 1 = 5; "
     "use a smaller kernel or dilation, or more padding"),
    ("fold", (1, 10, 4), {"output_size": 4, "kernel_size": 3},
     "fold: x has 10 rows (shape (1, 10, 4)), which must be a multiple of KH*KW = 3*3 = 9"),
    ("fold", (1, 9, 4), {"output_size": (4, 5), "kernel_size": 3},
     "fold: x has 4 columns (shape (1, 9, 4)), output_size (4, 5) has 2*3 = 6 patches"),
    ("fold", (9,), {"output_size": 3, "kernel_size": 3}, "fold: x must be (N, C*KH*KW, L) or (C*KH*KW, L), got 1 axes (shape (9,))"),
]


@pytest.mark.parametrize(("name", "shape", "options", "message"), ERRORS)
def test_errors(name: str, shape: tuple[int, ...], options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        getattr(F, name)(Tensor(np.zeros(shape, np.float32)), **options)
