"""Resizing against torch: nearest and bilinear, up and down, by size and by factor."""
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
from tests.strategies import floats, in_layout, integers, layouts, seeds

sizes = st.tuples(st.integers(1, 9), st.integers(1, 9))
factors = st.sampled_from([0.5, 0.7, 1, 1.5, 2, 2.6, 3])


@given(size=sizes, output=sizes | st.integers(1, 9), seed=seeds, layout=layouts)
def test_nearest_to_size(size: tuple[int, int], output: Any, seed: int, layout: str) -> None:
    exact(lambda a: F.interpolate(a, output), lambda a: TF.interpolate(a, output), in_layout(integers((2, 2, *size), seed), layout))


@given(size=sizes, output=sizes | st.integers(1, 9), corners=st.sampled_from([None, False, True]), seed=seeds, layout=layouts)
def test_bilinear_to_size(size: tuple[int, int], output: Any, corners: bool | None, seed: int, layout: str) -> None:
    x = in_layout(floats((2, 2, *size), seed), layout)
    close(lambda a: F.interpolate(a, output, mode="bilinear", align_corners=corners),
          lambda a: TF.interpolate(a, output, mode="bilinear", align_corners=corners), x)


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
@given(size=st.tuples(st.integers(2, 9), st.integers(2, 9)), factor=factors | st.tuples(factors, factors), recompute=st.booleans(),
       seed=seeds)
def test_by_factor(mode: str, size: tuple[int, int], factor: Any, recompute: bool, seed: int) -> None:
    options = {"scale_factor": factor, "mode": mode, "recompute_scale_factor": recompute}
    close(lambda a: F.interpolate(a, **options), lambda a: TF.interpolate(a, **options), floats((1, 2, *size), seed))


def test_nearest_keeps_nan_and_infinity_in_place() -> None:
    x = integers((1, 1, 3, 4), 0)
    x[0, 0, 1, 1], x[0, 0, 2, 3] = np.nan, np.inf
    exact(lambda a: F.interpolate(a, scale_factor=2), lambda a: TF.interpolate(a, scale_factor=2), x)


ERRORS: list[tuple[tuple[int, ...], dict[str, Any], str]] = [
    ((2, 4, 5), {"size": 3}, "interpolate: x must be (N, C, H, W), got 3 axes (shape (2, 4, 5))"),
    ((1, 2, 4, 5), {"size": 3, "mode": "bicubic"}, "interpolate: mode is 'bicubic': must be 'nearest' or 'bilinear'"),
    ((1, 2, 4, 5), {"size": 3, "align_corners": False},
     "interpolate: align_corners has no meaning with mode 'nearest': leave it out, or use 'bilinear'"),
    ((1, 2, 4, 5), {}, "interpolate: give either size or scale_factor, got size=None and scale_factor=None"),
    ((1, 2, 4, 5), {"size": 3, "scale_factor": 2.0}, "interpolate: give either size or scale_factor, got size=3 and scale_factor=2.0"),
    ((1, 2, 4, 5), {"scale_factor": (2, 2, 2)}, "interpolate: scale_factor is (2, 2, 2): give one number, or two (height, width)"),
    ((1, 2, 4, 5), {"scale_factor": 0.2}, "interpolate: no output: size (4, 5) times (0.2, 0.2), rounded down, is (0, 1)"),
    ((1, 2, 4, 5), {"size": 0}, "size is 0: must be at least 1"),
]


@pytest.mark.parametrize(("shape", "options", "message"), ERRORS)
def test_errors(shape: tuple[int, ...], options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        F.interpolate(Tensor(np.zeros(shape, np.float32)), **options)


def test_integers_are_refused() -> None:
    with pytest.raises(TypeError, match=r"^interpolate: x is uint8; it needs floating point: convert it with .float\(\)$"):
        F.interpolate(Tensor(np.zeros((1, 1, 2, 2), np.uint8)), 4)
