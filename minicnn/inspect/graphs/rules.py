"""The wiring of each operation: RULES[name](op) -> how it computes, and a wiring for each operation whose result it reads.

Wirings say what a unit reads. Where the operation is linear they also say with which weight, so that y = sum over the inputs of M @ x, + b.
"""
from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from minicnn.inspect.graphs import axes
from minicnn.inspect.graphs.axes import Axis
from minicnn.inspect.graphs.wiring import Wiring
from minicnn.inspect.recorder import Op
from minicnn.kernels import devices

LINEAR, CHOICE, FUNCTION = "linear", "choice", "function"      # a weighted sum; one of those that are read; anything else


class Wired(NamedTuple):
    """how: LINEAR, CHOICE or FUNCTION. wirings: one for each operation among op.inputs, in order."""
    how: str
    wirings: list[Wiring]


Rule = Callable[[Op], Wired]


def wired(op: Op) -> Wired | None:
    """The wiring of an operation; None where there is no rule for it."""
    if (rule := RULES.get(op.name)) is None:
        return None
    try:
        return rule(op)
    except _Unknown:
        return None


class _Unknown(Exception):
    """A rule that does not cover this use of its operation."""


def array(value: Any) -> np.ndarray:
    """A parameter, constant, array or number as a NumPy array."""
    value = getattr(value, "array", value)
    return np.asarray(value) if np.isscalar(value) else devices.host(value)


def _learnt(value: Any) -> bool:
    return bool(getattr(value, "requires_grad", False))


def _read(op: Op) -> Op:
    """The first input, which must come from the network."""
    if not isinstance(op.inputs[0], Op) or any(isinstance(i, Op) for i in op.inputs[1:]):
        raise _Unknown
    return op.inputs[0]


def _leading(op: Op, until: int) -> list[Axis]:
    """Axes 0..until-1 of the output, along which each unit reads its own place."""
    return [axes.same(n) for n in op.shape[:until]]


def conv2d(op: Op) -> Wired:
    x, w, window = _read(op), op.inputs[1], op.options["window"]
    channels = axes.grouped(op.shape[1], x.shape[1], op.options.get("groups", 1))
    spatial = [axes.windowed(window, x.shape[axis + 2], op.shape[axis + 2], axis) for axis in (0, 1)]
    how = LINEAR if op.name == "conv2d" else FUNCTION
    return Wired(how, [Wiring((*_leading(op, 1), channels, *spatial), array(w), _learnt(w))])


def conv_transpose2d(op: Op) -> Wired:
    x, w, window = _read(op), op.inputs[1], op.options["window"]
    channels = axes.grouped(op.shape[1], x.shape[1], op.options.get("groups", 1), by_input=True)
    spatial = [axes.transposed(window, x.shape[axis + 2], op.shape[axis + 2], axis) for axis in (0, 1)]
    return Wired(LINEAR, [Wiring((*_leading(op, 1), channels, *spatial), array(w), _learnt(w))])


def max_pool2d(op: Op) -> Wired:
    x, window = _read(op), op.options["window"]
    spatial = [axes.windowed(window, x.shape[axis + 2], op.shape[axis + 2], axis) for axis in (0, 1)]
    return Wired(CHOICE, [Wiring((*_leading(op, 2), *spatial))])


def avg_pool2d(op: Op) -> Wired:
    x, window, override = _read(op), op.options["window"], op.options.get("divisor_override")
    count = op.options.get("count_include_pad", True) if override is None else None
    spatial = [axes.averaged(window, x.shape[axis + 2], op.shape[axis + 2], axis, count) for axis in (0, 1)]
    values = None if override is None else np.full(math.prod(window.kernel), 1 / override)
    return Wired(LINEAR, [Wiring((*_leading(op, 2), *spatial), values)])


def adaptive_pool2d(op: Op) -> Wired:
    x, mean = _read(op), op.name == "adaptive_avg_pool2d"
    spatial = [axes.binned(x.shape[axis], op.shape[axis], mean) for axis in (2, 3)]
    return Wired(LINEAR if mean else CHOICE, [Wiring((*_leading(op, 2), *spatial))])


def interpolate(op: Op) -> Wired:
    x = _read(op)
    spatial = [axes.resized(op.options[name], x.shape[axis]) for axis, name in ((2, "rows"), (3, "columns"))]
    return Wired(LINEAR, [Wiring((*_leading(op, 2), *spatial))])


def linear(op: Op) -> Wired:
    x, w = _read(op), op.inputs[1]
    return Wired(LINEAR, [Wiring((*_leading(op, len(op.shape) - 1), axes.Full(op.shape[-1], x.shape[-1])), array(w), _learnt(w))])


def matmul(op: Op) -> Wired:
    """x @ a constant matrix: a linear layer."""
    x, b = _read(op), array(op.inputs[1])
    if b.ndim != 2 or len(x.shape) < 1:
        raise _Unknown
    last = axes.Full(b.shape[1], b.shape[0])
    return Wired(LINEAR, [Wiring((*(axes.same(n) for n in x.shape[:-1]), last), b.T, _learnt(op.inputs[1]))])


def batch_norm(op: Op) -> Wired:
    """With given statistics a number for each channel: gamma / sqrt(var + eps)."""
    x, var = _read(op), op.options.get("var")
    if var is None:
        raise _Unknown
    scale = 1 / np.sqrt(array(var).astype(np.float64) + op.options.get("eps", 1e-5))
    gamma = op.inputs[1]
    scale = scale if gamma is None else scale * array(gamma)
    places = [axes.same(n, shared=axis != 1) for axis, n in enumerate(x.shape)]
    return Wired(FUNCTION if op.options.get("relu") else LINEAR, [Wiring(tuple(places), scale, _learnt(gamma))])


def function(op: Op) -> Wired:
    """Each value by itself, or with those at its place in the other operands, through a function that is no weighted sum."""
    return Wired(FUNCTION, [_aligned(i, op) for i in op.sources])


def copy(op: Op) -> Wired:
    """The value as it is."""
    return Wired(LINEAR, [_aligned(_read(op), op)])


def neg(op: Op) -> Wired:
    return Wired(LINEAR, [_aligned(_read(op), op, np.full(1, -1.0))])


def add(op: Op) -> Wired:
    """A weighted sum of two; a constant among them is b."""
    minus = op.name == "sub"
    return Wired(LINEAR, [_aligned(i, op, np.full(1, -1.0) if minus and k else None) for k, i in enumerate(op.inputs) if isinstance(i, Op)])


def mul(op: Op) -> Wired:
    """By a constant: a weight for each value, or one for all. Two values of the network: no weighted sum."""
    constants = [i for i in op.inputs if not isinstance(i, Op)]
    if not constants or (op.name == "div" and isinstance(op.inputs[1], Op)):
        return function(op)
    value = array(constants[0])
    (x,) = op.sources
    weights = 1 / value.astype(np.float64) if op.name == "div" else value
    tap = np.broadcast_to(np.arange(value.size).reshape(value.shape), op.shape)
    wiring = Wiring((axes.listed(_places(x.shape, op.shape), math.prod(x.shape), tap, value.size),), weights.reshape(-1),
                    _learnt(constants[0]))
    return Wired(LINEAR, [wiring])


def _aligned(x: Op, op: Op, values: np.ndarray | None = None) -> Wiring:
    """Every unit reads the one at its place, with broadcasting; all with one weight."""
    if x.shape == op.shape:
        return Wiring(tuple(axes.same(n) for n in op.shape) or (axes.same(1),), values)
    return Wiring((axes.listed(_places(x.shape, op.shape), math.prod(x.shape)),), values)


def _places(shape: tuple[int, ...], wider: tuple[int, ...]) -> np.ndarray:
    return np.broadcast_to(np.arange(math.prod(shape)).reshape(shape), wider)


def moved(op: Op) -> Wired:
    """Reshape, pad, cat, an index, ...: the operation itself says where each value comes from when it is given their numbers."""
    if op.function is None:
        raise _Unknown
    given: list[Any] = []
    for i in op.inputs:                                        # 1, 2, 3, ... through all inputs; 0 is a value from outside
        start = 1 + sum(g.size for g, j in zip(given, op.inputs, strict=False) if isinstance(j, Op))
        given.append(np.arange(start, start + math.prod(i.shape)).reshape(i.shape) if isinstance(i, Op)
                     else np.zeros(np.shape(array(i)), np.int64))
    options = {**op.options, "value": 0} if op.name == "pad" else op.options
    number = np.asarray(op.function(*given, **options)[0]) - 1
    wirings, start = [], 0
    for x in op.sources:
        n = math.prod(x.shape)
        wirings.append(Wiring((axes.listed(np.where((number >= start) & (number < start + n), number - start, -1), n),)))
        start += n
    return Wired(LINEAR, wirings)


def reduction(op: Op) -> Wired:
    """Along some axes every value, along the others the own place."""
    x = _read(op)
    dims = [d % len(x.shape) for d in ((op.options["dim"],) if "dim" in op.options else op.options["dims"])]
    n = math.prod(x.shape[d] for d in dims)
    found = tuple(axes.Full(1, size) if d in dims else axes.same(size) for d, size in enumerate(x.shape))
    how = {"sum": LINEAR, "mean": LINEAR, "amax": CHOICE, "amin": CHOICE, "pick": CHOICE}.get(op.name, FUNCTION)
    values = np.full(math.prod(axis.taps for axis in found), 1 / n) if op.name == "mean" else None
    return Wired(how, [Wiring(found, values)])


def along_axis(op: Op) -> Wired:
    """softmax: every value along the axis reads all of them."""
    axis, shape = op.options["axis"] % len(op.shape), op.shape
    return Wired(FUNCTION, [Wiring(tuple(axes.Full(n, n) if d == axis else axes.same(n) for d, n in enumerate(shape)))])


def reshape(op: Op) -> Wired:
    """Every value keeps its number."""
    return Wired(LINEAR, [Wiring((axes.same(math.prod(op.shape)),))])


FUNCTIONS = ("relu", "leaky_relu", "elu", "gelu", "silu", "hardswish", "logsigmoid", "exp", "log", "sqrt", "sin", "cos", "tanh", "sigmoid",
             "abs", "round", "floor", "ceil", "sign", "add_relu", "pow", "remainder", "maximum", "minimum", "where", "clamp", "dropout")
MOVES = ("permute", "flip", "getitem", "gather", "setitem", "expand", "cat", "pad", "pad_by_index")
RULES: dict[str, Rule] = {
    **dict.fromkeys(FUNCTIONS, function), **dict.fromkeys(MOVES, moved), **dict.fromkeys(("identity", "clone", "cast", "move"), copy),
    **dict.fromkeys(("sum", "mean", "var", "std", "logsumexp", "amax", "amin", "pick"), reduction),
    **dict.fromkeys(("softmax", "log_softmax"), along_axis), **dict.fromkeys(("add", "sub"), add), **dict.fromkeys(("mul", "div"), mul),
    **dict.fromkeys(("adaptive_avg_pool2d", "adaptive_max_pool2d"), adaptive_pool2d),
    "conv2d": conv2d, "conv2d_relu": conv2d, "conv_transpose2d": conv_transpose2d, "max_pool2d": max_pool2d, "avg_pool2d": avg_pool2d,
    "interpolate": interpolate, "linear": linear, "matmul": matmul, "batch_norm": batch_norm, "neg": neg, "reshape": reshape,
}
