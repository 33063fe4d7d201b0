"""What explain and explain_grad refuse, by whole sentences, and what they take although it is odd."""
from __future__ import annotations

import json
import math
import re
from typing import Any

import numpy as np
import pytest

from minicnn import Tensor, models, nn
from minicnn.inspect import explain, explain_grad
from minicnn.inspect.explaining import explain_call
from minicnn.inspect.explaining.call import called
from minicnn.inspect.recorder import example_input, record
from tests.inspect.explaining.checks import filled
from tests.strategies import floats, integers

CONV = filled(nn.Conv2d(2, 3, 3, padding=1), 0)
ONE, TWO = integers((1, 2, 4, 5), 1), integers((2, 2, 4, 5), 1)


@pytest.mark.parametrize(("x", "index", "error", "sentence"), [
    (ONE, (0, 3, 0, 0), IndexError,
     "index (0, 3, 0, 0) is out of range: f = 3, but the output has shape (1, 3, 4, 5): f goes from 0 to 2, or from -3 to -1"),
    (ONE, (0, 0, -5, 0), IndexError,
     "index (0, 0, -5, 0) is out of range: oh = -5, but the output has shape (1, 3, 4, 5): oh goes from 0 to 3, or from -4 to -1"),
    (ONE, (0, 0), ValueError, "index is (0, 0): the output has shape (1, 3, 4, 5), so give (n, f, oh, ow)"),
    (TWO, (0, 0, 0), ValueError,
     "index is (0, 0, 0): the output has shape (2, 3, 4, 5), so give (n, f, oh, ow); n may be left out for one image only"),
    (ONE, (0, 0, 1.0, 0), TypeError, "index is (0, 0, 1.0, 0): give integers, (n, f, oh, ow)"),
    (ONE, (0, 0, True, 0), TypeError, "index is (0, 0, True, 0): give integers, (n, f, oh, ow)"),
    (ONE, "0,0", TypeError, "index is '0,0': give integers, (n, f, oh, ow)"),
    (ONE[:, :1], (0, 0, 0), ValueError, "conv2d: x has 1 channels (shape (1, 1, 4, 5)), w expects 2 (shape (3, 2, 3, 3))"),
    (ONE.astype(int), (0, 0, 0), TypeError, "conv2d: x is int64; it needs floating point: convert it with .float()"),
    (ONE.astype(float), (0, 0, 0), TypeError,
     "conv2d: dtypes differ: x is float64, w is float32, b is float32; convert with .float() or .double()"),
    ("image", (0, 0, 0), TypeError, "a Tensor holds floats, integers or booleans, not <U5"),
])
def test_refused(x: Any, index: Any, error: type[Exception], sentence: str) -> None:
    with pytest.raises(error, match=f"^{re.escape(sentence)}$"):
        explain(CONV, x, index)


@pytest.mark.parametrize("layer", [nn.ReLU(), nn.Sequential(nn.Conv2d(2, 3, 3)), nn.AdaptiveAvgPool2d(1), "conv"])
def test_another_layer(layer: Any) -> None:
    sentence = (f"{type(layer).__name__} is not a layer whose numbers can be explained; these are: Conv2d, ConvTranspose2d, MaxPool2d, "
                f"AvgPool2d, Linear, BatchNorm2d")
    with pytest.raises(TypeError, match=f"^{re.escape(sentence)}$"):
        explain(layer, ONE, (0, 0, 0))


@pytest.mark.parametrize(("layer", "dy", "wrt", "sentence"), [
    (CONV, (1, 3, 4, 4), "input", f"dy has shape (1, 3, 4, 4), but the output of {CONV!r} has (1, 3, 4, 5)"),
    (CONV, (1, 3, 4, 5), "x", "wrt is 'x': expected 'input', 'weight' or 'bias'"),
    (nn.MaxPool2d(2), (1, 2, 2, 2), "weight", f"{nn.MaxPool2d(2)!r} has no weight"),
    (nn.Conv2d(2, 3, 4, bias=False), (1, 3, 1, 2), "bias", f"{nn.Conv2d(2, 3, 4, bias=False)!r} has no bias"),
    (nn.BatchNorm2d(2, affine=False), (1, 2, 4, 5), "weight", f"{nn.BatchNorm2d(2, affine=False)!r} has no weight"),
])
def test_refused_gradients(layer: nn.Module, dy: tuple[int, ...], wrt: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        explain_grad(layer, ONE, np.ones(dy), 0, wrt)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("layer", [CONV, filled(nn.ConvTranspose2d(2, 3, 2), 0), nn.MaxPool2d(2), nn.AvgPool2d(2), nn.BatchNorm2d(2).eval(),
                                   nn.BatchNorm2d(2), nn.Linear(5, 2)], ids=lambda layer: type(layer).__name__)
def test_what_is_no_number_is_shown(layer: nn.Module, value: float) -> None:
    x = ONE.copy()
    x[0, 1, 1, 1] = value
    y = layer(Tensor(x))
    dy = np.full(y.shape, value, np.float32)
    index = tuple(min(1, n - 1) for n in y.shape)
    for found in (explain(layer, x, index), explain_grad(layer, x, dy, (0, 1, 1, 1))):
        assert "the sum" in str(found)
        assert json.loads(found.to_json())["name"] == found.name
        assert "<table>" in found._repr_html_()
        assert found.figure().axes
    assert not math.isfinite(explain_grad(layer, x, dy, (0, 1, 1, 1)).kernel) or isinstance(layer, nn.MaxPool2d)


def test_a_layer_of_a_network_and_a_function_within_it() -> None:
    found = record(models.create("lenet", 1, 28, 10), example_input((1, 28, 28)))
    pooled = explain_call(called(found, found.layer("max_pool2d")), (0, 3, 3))
    assert pooled.layer == "max_pool2d: max_pool2d"
    assert pooled.error == 0
    conv = explain_call(called(found, found.layer("conv2")), (5, 3, 3))
    assert (len(conv.terms), conv.within) == (150, True)
    assert conv.kernel == found.layer("conv2").output.output[0, 5, 3, 3].item()
    dy = floats(found.layer("conv1").shape, 3)
    assert explain_call(called(found, found.layer("conv1")), (0, 3, 3), dy, "input").within
    sentence = ("layer 'reshape' (reshape) is not one whose numbers can be explained; these are: conv1, max_pool2d, conv2, max_pool2d#2, "
                "fc1, fc2, fc3")
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        called(found, found.layer("reshape"))


def test_empty_and_unreached() -> None:
    with pytest.raises(IndexError, match="n = 0, but the output has shape"):
        explain(nn.MaxPool2d(2), np.ones((0, 1, 4, 4), np.float32), (0, 0, 0, 0))
    layer = filled(nn.Conv2d(1, 1, 1, stride=3), 0)
    found = explain_grad(layer, integers((1, 4, 4), 0), integers((1, 2, 2), 1), (0, 1, 2))
    assert (found.terms, found.total, found.kernel) == ([], 0, 0)
    assert found.words[0] == ("Why col2im adds: it would add the gradients of all copies of a pixel, but no window reads pixel (1, 2) of "
                              "channel 0: im2col copied it nowhere, it cannot change the output, and its gradient is 0, a sum without "
                              "terms.")
    assert "There are no terms" in str(found)
    found.figure()
