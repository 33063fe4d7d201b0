"""How far rounding can move the result of one operation away from the exact one, element by element, forward and backward.

A sum of K products, in whatever order, is off by at most gamma_K times the sum of the products' absolute values (`inspect.rounding`), and
that sum is the operation itself on absolute values. Other operations have rules of their own, each a first-order error analysis:

    convolutions by Winograd's tiles (numba)    the sum over all that a tile holds (`inspect.tiled_bounds`)
    selections (relu, max pool, reshape, ...)   nothing forward; backward adds up what was used several times
    element by element (tanh, gelu, ...)        16 roundings, of y and of x times the slope
    interpolation                               a sum, whose weights are themselves rounded
    batch norm                                  the errors of mean and variance, carried through the formula
    softmax                                     the error of each exponent, and that of their sum
    others                                      a rule of thumb: gamma of all terms times the largest value
"""
from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from minicnn.autograd import quietly
from minicnn.inspect import tiled_bounds
from minicnn.inspect.comparing.norm_bounds import norm_bounds
from minicnn.inspect.comparing.replay import Call, run
from minicnn.inspect.rounding import gamma

SELECTIONS = {"identity", "clone", "reshape", "permute", "expand", "flip", "cat", "amax", "amin", "pick", "where", "maximum", "minimum",
              "clamp", "relu", "max_pool2d", "adaptive_max_pool2d", "getitem", "gather", "setitem", "pad", "pad_by_index", "neg", "abs",
              "cast", "move", "unfold", "round", "floor", "ceil", "sign"}
COUNTED = {"conv2d", "conv_transpose2d", "linear", "matmul", "sum", "fold"}      # of ones, they give the number of their terms
SUMS = COUNTED | {"avg_pool2d", "adaptive_avg_pool2d", "interpolate", "mean", "add", "sub", "mul", "div", "add_relu", "dropout"}
SMOOTH = {"exp", "log", "sqrt", "sin", "cos", "tanh", "sigmoid", "elu", "gelu", "silu", "hardswish", "logsigmoid", "leaky_relu"}
ROWS = {"softmax", "log_softmax"}
FEW = 8              # roundings besides those of a sum: a bias, a divisor, a product
SOME = 16            # roundings inside one function such as tanh or gelu


@dataclass(frozen=True)
class Exact:
    """The operation in float64, and how far one computed in `dtype` may be from it; gradients in the order of the operation's arrays."""
    y: np.ndarray
    bound: np.ndarray
    gradients: list[Any]
    bounds: list[Any]
    rough: bool


@quietly
def exact(call: Call, dy: Any, dtype: Any, backends: tuple[str, ...] = ()) -> Exact:
    """Evaluate the call in float64 on the NumPy backend, with the bound for results in `dtype` that one of `backends` gave. dy: None for
    forward alone."""
    wide = call.in64()
    y, backward = run(wide, "numpy")
    dy = None if dy is None else np.asarray(dy, np.float64)
    gradients = [] if dy is None else backward(dy)
    tiny = float(np.finfo(dtype).tiny)                         # results below may be flushed to 0
    bound, bounds, rough = _bounds(wide, y, dy, gradients, dtype)
    if any(tiled_bounds.by_tiles(call.name, backend, call.arrays, y.shape, call.options) for backend in backends):
        bound, bounds = _of_tiles(wide, bound, bounds, y, dy, dtype)
    return Exact(y, np.abs(bound) + tiny, gradients, [None if g is None else np.abs(b) + tiny
                                                      for g, b in zip(gradients, bounds, strict=True)], rough)


def _bounds(call: Call, y: Any, dy: Any, gradients: list[Any], dtype: Any) -> tuple[Any, list[Any], bool]:
    name = call.name
    if name == "batch_norm":
        return (*norm_bounds(call, y, dy, dtype), False)
    if name == "interpolate":
        return (*_interpolated(call, y, dy, gradients, dtype), False)
    if name in SELECTIONS or name in SUMS:
        return (*_linear(call, y, dy, gradients, dtype), False)
    if name in SMOOTH:
        return (*_smooth(call, y, dy, dtype), False)
    if name in ROWS:
        return (*_rows(call, y, dy, dtype), False)
    g = gamma(sum(np.size(a) for a in call.arrays if a is not None) + 64, dtype)
    size = max(largest(y), *(largest(a) for a in call.arrays))
    bounds = [None if d is None else np.full(np.shape(d), g * (largest(d) + (1 + size) * largest(dy))) for d in gradients]
    return np.full(np.shape(y), g * size), bounds, True


def _linear(call: Call, y: Any, dy: Any, gradients: list[Any], dtype: Any) -> tuple[Any, list[Any]]:
    """Sums of products: the operation on absolute values. Selections: the values themselves; their gradients are sums."""
    terms = 1.0
    if call.name in SELECTIONS:
        magnitude = np.abs(y)
        same, counting = call, call
    else:
        same, counting = call.fed([_abs(a) for a in call.arrays]), call.fed([_ones(a) for a in call.arrays])
        magnitude, counted = run(same, "numpy")[0], run(counting, "numpy")[0]
        if call.name == "sub":
            magnitude = np.abs(call.arrays[0]) + np.abs(call.arrays[1])
        terms = largest(counted) if call.name in COUNTED else _size(call.arrays[0]) / max(1, np.size(y)) + 1
        if call.name == "avg_pool2d":
            terms = math.prod(call.options["window"].kernel)
    if np.asarray(magnitude).dtype.kind != "f":
        magnitude = np.zeros(np.shape(y))
    bound = gamma(math.ceil(terms) + FEW, dtype) * magnitude
    if dy is None:
        return bound, []
    magnitudes = run(same, "numpy")[1](np.abs(dy))
    counts = run(counting, "numpy")[1](np.ones_like(dy))
    bounds: list[Any] = []
    for g, size, count in zip(gradients, magnitudes, counts, strict=True):
        if g is None:
            bounds.append(None)
            continue
        terms = max(largest(count), np.size(dy) / max(1, np.size(g)) + 1)
        if call.name == "avg_pool2d":
            terms = max(terms, math.prod(call.options["window"].kernel))
        bounds.append(gamma(math.ceil(terms) + FEW, dtype) * np.abs(size))
    return bound, bounds


def _of_tiles(call: Call, bound: Any, bounds: list[Any], y: Any, dy: Any, dtype: Any) -> tuple[Any, list[Any]]:
    """For each number the larger one of the bounds of a plain sum and of one over whole tiles."""
    x, w, b = (*call.arrays, None)[:3]
    window = call.options["window"]
    terms, sizes = tiled_bounds.forward(call.name, x, w, b, y.shape, window)
    found = [] if dy is None else tiled_bounds.backward(call.name, x, w, dy, window)
    wider = [old if old is None else np.maximum(old, gamma(terms, dtype) * sizes)
             for old, (terms, sizes) in zip(bounds, found, strict=False)]
    return np.maximum(bound, gamma(terms, dtype) * sizes), [*wider, *bounds[len(wider):]]


def _interpolated(call: Call, y: Any, dy: Any, gradients: list[Any], dtype: Any) -> tuple[Any, list[Any]]:
    """Besides the sum: a library may compute where a pixel lies, a number up to H or W, in `dtype`; that error is one of the share that
    each of its neighbours gets."""
    bound, bounds = _linear(call, y, dy, gradients, dtype)
    x, off = call.arrays[0], gamma(FEW, dtype)
    (H, W), (OH, OW) = x.shape[-2:], y.shape[-2:]
    bound = bound + off * (H + W) * largest(x)
    if dy is None:
        return bound, []
    readers = (2 * math.ceil(OH / H) + 1) * (2 * math.ceil(OW / W) + 1)          # of one pixel of x, at most
    return bound, [bounds[0] + off * (H + W) * readers * largest(dy), *bounds[1:]]


def _smooth(call: Call, y: Any, dy: Any, dtype: Any) -> tuple[Any, list[Any]]:
    """y' (1 + small) and x (1 + small): |y| + |x * slope|; gelu and its like take a difference, which costs |x| more."""
    x = np.abs(call.arrays[0])
    slope = np.abs(run(call, "numpy")[1](np.ones_like(y))[0]) if call.backward else np.zeros_like(y)
    g = gamma(SOME, dtype)
    difference = x if call.name in ("gelu", "hardswish") else 0
    bound = g * (np.abs(y) + x * slope + difference)
    return bound, [] if dy is None else [g * np.abs(dy) * (1 + slope) * (1 + x)]


def _rows(call: Call, y: Any, dy: Any, dtype: Any) -> tuple[Any, list[Any]]:
    axis = call.options.get("axis", -1)
    g = gamma(y.shape[axis] + SOME, dtype)
    reach = 1 + 2 * np.abs(call.arrays[0]).max(axis=axis, keepdims=True)
    bound = g * reach * (np.abs(y) if call.name == "softmax" else np.ones_like(y))
    return bound, [] if dy is None else [2 * g * reach * (np.abs(dy) + np.abs(dy).sum(axis=axis, keepdims=True))]


def _abs(a: Any) -> Any:
    """Of numbers; masks and None as they are."""
    return a if a is None or np.asarray(a).dtype.kind not in "fiu" else np.abs(a)


def _ones(a: Any) -> Any:
    return np.ones_like(a) if isinstance(a, np.ndarray) and a.dtype.kind == "f" else a


def _size(a: Any) -> int:
    return int(np.size(a))


def largest(a: Any) -> float:
    if a is None or not np.size(a) or np.asarray(a).dtype.kind not in "fiu":
        return 0.0
    with np.errstate(invalid="ignore"):
        found = float(np.nanmax(np.abs(a)))
    return found if math.isfinite(found) else 1.0
