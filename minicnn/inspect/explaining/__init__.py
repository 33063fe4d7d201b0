"""explain and explain_grad: the products behind one number.

    call          a layer, called for real
    sliding       which positions meet which: windows, taps, padding
    convolution   the three sums of a convolution; conv2d, conv_transpose2d, pooling, linear, batch_norm: one file a layer
    explanation   what comes out; words, text, picture: how it is shown
"""
from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any

from minicnn.inspect.explaining import avg_pool2d, batch_norm, conv2d, conv_transpose2d, linear, max_pool2d
from minicnn.inspect.explaining.call import Call, call
from minicnn.inspect.explaining.explanation import Explanation
from minicnn.inspect.explaining.terms import Panel, Term
from minicnn.nn import Module

__all__ = ["Explanation", "Panel", "Term", "explain", "explain_call", "explain_grad"]

_OF: dict[str, ModuleType] = {"conv2d": conv2d, "conv_transpose2d": conv_transpose2d, "max_pool2d": max_pool2d, "avg_pool2d": avg_pool2d,
                              "linear": linear, "batch_norm": batch_norm}
WRT = ("input", "weight", "bias")


def explain(layer: Module, x: Any, index: int | Sequence[int]) -> Explanation:
    """Every product that makes one output value of a layer, with the index arithmetic, their sum, and what the kernel really gave.

        total = sum of products (+ bias)        |kernel - total| <= gamma(K) * sum of |products|

    layer: a Conv2d, ConvTranspose2d, MaxPool2d, AvgPool2d, Linear or BatchNorm2d, called as it is, on the current backend, in the mode it
    is in (its running statistics stay what they were). x: a Tensor or an array that it takes.
    index: of the output, (n, f, oh, ow), or (f, oh, ow) where there is one image; negative numbers count from the end.

    Returns an Explanation: print it, `.save("window.png")`, `.to_json()`; `.terms`, `.total`, `.kernel`, `.error`, `.bound`.

    Raises TypeError for another layer and an index of what are no integers, ValueError for an index of another length, IndexError for one
    out of range, and what the layer raises.

    >>> from minicnn import nn
    >>> conv = nn.Conv2d(1, 1, 2, bias=False)
    >>> _ = conv.weight.data.copy_(minicnn.tensor([[[[1.0, 0.0], [0.0, -1.0]]]]))
    >>> found = minicnn.inspect.explain(conv, np.arange(9, dtype=np.float32).reshape(1, 3, 3), (0, 1, 1))
    >>> [term.product for term in found.terms], found.total, found.kernel, found.within
    ([4.0, 0.0, 0.0, -8.0], -4.0, -4.0, True)
    """
    return explain_call(call(layer, x), index)


def explain_grad(layer: Module, x: Any, dy: Any, index: int | Sequence[int], wrt: str = "input") -> Explanation:
    """Every contribution to one element of the gradient of a layer's input, weight or bias, given dy, the gradient of its output.

    For the input of a convolution it also says why col2im adds, and why dy is dilated where there is a stride; for that of a max pooling,
    which windows this pixel won; for batch norm in training mode, what the pixel does by itself, through the mean and through the variance.

    layer, x: as in `explain`. dy: a Tensor or an array of the output's shape.
    index: of the input (n, c, h, w), the weight (f, c, kh, kw) or the bias (f,).

    Raises what `explain` raises, ValueError for a dy of another shape, another wrt, and a weight or bias that is not there.

    >>> from minicnn import nn
    >>> conv = nn.Conv2d(1, 1, 2, stride=2, bias=False)
    >>> _ = conv.weight.data.copy_(minicnn.tensor([[[[1.0, 2.0], [3.0, 4.0]]]]))
    >>> found = minicnn.inspect.explain_grad(conv, np.zeros((1, 4, 4), np.float32), [[[5.0, 6.0], [7.0, 8.0]]], (0, 2, 1))
    >>> [(term.place["oh"], term.place["ow"], term.place["kh"], term.place["kw"], term.product) for term in found.terms]
    [(1, 0, 0, 1, 14.0)]
    """
    return explain_call(call(layer, x), index, dy, wrt)


def explain_call(called: Call, index: int | Sequence[int], dy: Any = None, wrt: str = "input") -> Explanation:
    """The same for a layer of a recorded network: see `minicnn.inspect.explaining.call.called`. dy None: the output."""
    explainer = _OF[called.op.name]
    found: Explanation
    if dy is None:
        found = explainer.output(called, index)
        return found
    if wrt not in WRT:
        raise ValueError(f"wrt is {wrt!r}: expected {', '.join(map(repr, WRT[:-1]))} or {WRT[-1]!r}")
    if not hasattr(explainer, f"gradient_of_{wrt}"):
        raise ValueError(f"{called.layer} has no {wrt}")
    found = getattr(explainer, f"gradient_of_{wrt}")(called, called.upstream(dy), index)
    return found
