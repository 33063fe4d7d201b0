"""Linear: one row of x times one row of the weight, and its gradients."""
from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minicnn.inspect.explaining.call import Call
from minicnn.inspect.explaining.conv2d import explained
from minicnn.inspect.explaining.explanation import Explanation
from minicnn.inspect.explaining.position import full_index
from minicnn.inspect.explaining.terms import Term


def output(call: Call, index: Any) -> Explanation:
    names = _names(call.output.shape, "o")
    at = full_index("the output", index, call.output.shape, names)
    x, w, bias = call.read(0), call.read(1), call.given(2)
    *rows, o = at
    terms = [Term.of(x[(*rows, i)], w[o, i], i=i) for i in range(w.shape[1])]
    return explained(
        call, terms, call.output[at], of="output", name=f"y[{_text(at)}]", index=at, factors=("x", "weight"),
        equation=[f"y[{', '.join(names)}] = {'bias[o] + ' if bias is not None else ''}sum over i of x[{', '.join((*names[:-1], 'i'))}] * "
                  f"weight[o, i]"],
        bias=None if bias is None else float(bias[o]),
        matrix={"cell": [_row(rows, x.shape), o]},
        words=[f"As a matrix product: cell ({_row(rows, x.shape)}, {o}) of x, as {(math.prod(x.shape[:-1]), x.shape[-1])}, times weight "
               f"transposed, {w.shape[::-1]}."])


def gradient_of_input(call: Call, dy: np.ndarray, index: Any) -> Explanation:
    dx = call.gradient(dy, "input").reshape(call.source.shape)
    names = _names(dx.shape, "i")
    at = full_index("x", index, dx.shape, names)
    w, values = call.read(1), dy.astype(np.float64)
    *rows, i = at
    terms = [Term.of(values[(*rows, o)], w[o, i], o=o) for o in range(len(w))]
    return explained(
        call, terms, dx[at], of="gradient of the input", name=f"dx[{_text(at)}]", index=at, factors=("dy", "weight"),
        equation=[f"dx[{', '.join(names)}] = sum over o of dy[{', '.join((*names[:-1], 'o'))}] * weight[o, i]"],
        matrix={"cell": [_row(rows, dx.shape), i]},
        words=[f"Feature {i} went into all {len(w)} outputs, each time through another weight: what it did to the loss through each of "
               f"them adds up. As a matrix product: cell ({_row(rows, dx.shape)}, {i}) of dy times weight."])


def gradient_of_weight(call: Call, dy: np.ndarray, index: Any) -> Explanation:
    dw = call.gradient(dy, "weight")
    o, i = at = full_index("the weight", index, dw.shape, ("o", "i"))
    x, values = call.read(0), dy.astype(np.float64)
    terms = [Term.of(values[(*row, o)], x[(*row, i)], n=row[0] if len(row) == 1 else row) for row in np.ndindex(*x.shape[:-1])]
    return explained(
        call, terms, dw[at], of="gradient of the weight", name=f"dweight[{o}, {i}]", index=at, factors=("dy", "x"),
        equation=["dweight[o, i] = sum over all rows of dy[row, o] * x[row, i]"], matrix={"cell": [o, i]},
        words=[f"The weight was used once for each of the {len(terms)} rows of x. As a matrix product: cell ({o}, {i}) of dy transposed "
               f"times x."])


def gradient_of_bias(call: Call, dy: np.ndarray, index: Any) -> Explanation:
    db = call.gradient(dy, "bias")
    (o,) = at = full_index("the bias", index, db.shape, ("o",))
    values = dy.astype(np.float64)
    terms = [Term.of(values[(*row, o)], 1, n=row[0] if len(row) == 1 else row) for row in np.ndindex(*dy.shape[:-1])]
    return explained(call, terms, db[at], of="gradient of the bias", name=f"dbias[{o}]", index=at, factors=("dy", "one"),
                     equation=["dbias[o] = sum over all rows of dy[row, o]"],
                     words=[f"The bias was added in each of the {len(terms)} rows, so each dy is its own too, with a factor of 1."])


def _names(shape: Sequence[int], last: str) -> tuple[str, ...]:
    """n and the last axis; axes between them by number."""
    leading = ("n",) if len(shape) == 2 else tuple(f"n{k}" if k else "n" for k in range(len(shape) - 1))
    return (*leading, last)


def _row(index: Sequence[int], shape: Sequence[int]) -> int:
    """Of the matrix that all leading axes make."""
    return int(np.ravel_multi_index(tuple(index), tuple(shape[:-1]))) if len(index) else 0


def _text(index: Sequence[int]) -> str:
    return ", ".join(map(str, index))
