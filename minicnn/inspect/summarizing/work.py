"""What one operation computes, counted from shapes: multiply-adds, forward and backward, and what costs no product.

    conv2d, conv_transpose2d, linear, matmul     multiply-adds (MACs)
    all else                                     none; `others` counts what it does instead

Two counts of the multiply-adds of a convolution: `macs` has one for every tap of every window, those in the padding included, as papers
and torchinfo count (N·F·OH·OW · C/G·KH·KW); `inside` leaves out those with a padding zero, which nested loops that look where the image
ends never make. For a transposed convolution the padding is what it cuts off: products that land there are in `macs`, not in `inside`.

Backward, dx takes as many products as y, and dw takes as many again. db, and the gradients of all other operations, are not products
that are summed up, so they count as none.
"""
from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from minicnn.inspect.recorder import Op


@dataclass(frozen=True)
class Work:
    """1 MAC = one multiply-add = 2 FLOP.

    macs, inside: of the forward pass, with and without those whose factor is padding.
    macs_dx, macs_dw: of the backward pass, padding included; inside_dx, inside_dw: without it. 0 where no gradient is wanted.
    others: what the forward pass does that is no multiply-add of a weighted sum: pooling's taps inside the image, one for each value of
        an element-wise operation (batch norm's scale and shift, a comparison, an addition), one for each bias that is added.
    """
    macs: int = 0
    inside: int = 0
    macs_dx: int = 0
    macs_dw: int = 0
    inside_dx: int = 0
    inside_dw: int = 0
    others: int = 0

    @property
    def macs_backward(self) -> int:
        return self.macs_dx + self.macs_dw

    @property
    def inside_backward(self) -> int:
        return self.inside_dx + self.inside_dw

    def __add__(self, other: Work) -> Work:
        return Work(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(Work)))


def work(op: Op, needs_input: bool = True) -> Work:
    """Of a recorded operation. needs_input: whether its first input wants a gradient; of the network's own input nobody wants one.

    Weights that do not require a gradient get none either.
    """
    count = COUNTED.get(op.name)
    if count is None:
        return Work(others=math.prod(op.shape) if op.name not in FREE else 0)
    macs, inside, others = count(op)
    needs_weight = len(op.inputs) > 1 and _wanted(op.inputs[1])
    dx, dw = int(needs_input and macs > 0), int(needs_weight)
    return Work(macs, inside, dx * macs, dw * macs, dx * inside, dw * inside, others)


def _wanted(value: Any) -> bool:
    return isinstance(value, Op) or bool(getattr(value, "requires_grad", False))


def _conv2d(op: Op) -> tuple[int, int, int]:
    x, (F, CG, KH, KW), (N, _, OH, OW) = op.inputs[0].shape, op.inputs[1].shape, op.shape
    return N * F * OH * OW * CG * KH * KW, N * F * CG * op.options["window"].reads(x[2:]), _bias(op)


def _conv_transpose2d(op: Op) -> tuple[int, int, int]:
    (N, C, H, W), (_, FG, KH, KW) = op.inputs[0].shape, op.inputs[1].shape
    return N * C * H * W * FG * KH * KW, N * C * FG * op.options["window"].reads(op.shape[2:]), _bias(op)


def _linear(op: Op) -> tuple[int, int, int]:
    macs = math.prod(op.shape) * op.inputs[1].shape[1]
    return macs, macs, _bias(op)


def _matmul(op: Op) -> tuple[int, int, int]:
    macs = math.prod(op.shape) * np.shape(_array(op.inputs[0]))[-1]
    return macs, macs, 0


def _pool(op: Op) -> tuple[int, int, int]:
    x = op.inputs[0].shape
    return 0, 0, x[0] * x[1] * op.options["window"].reads(x[2:])


def _adaptive(op: Op) -> tuple[int, int, int]:
    (N, C, H, W), (OH, OW) = op.inputs[0].shape, op.options["output_size"]
    rows, columns = (sum(-(-(i + 1) * n // o) - i * n // o for i in range(o)) for n, o in ((H, OH), (W, OW)))
    return 0, 0, N * C * rows * columns


def _bias(op: Op) -> int:
    return math.prod(op.shape) if len(op.inputs) > 2 and op.inputs[2] is not None else 0


def _array(value: Any) -> Any:
    return value.output.array if isinstance(value, Op) else getattr(value, "array", value)


COUNTED: dict[str, Callable[[Op], tuple[int, int, int]]] = {
    "conv2d": _conv2d, "conv2d_relu": _conv2d, "conv_transpose2d": _conv_transpose2d, "linear": _linear, "matmul": _matmul,
    "max_pool2d": _pool, "avg_pool2d": _pool, "adaptive_avg_pool2d": _adaptive, "adaptive_max_pool2d": _adaptive,
}
FREE = ("reshape", "permute", "expand", "flip", "identity", "getitem", "clone")      # they move values, or not even that
