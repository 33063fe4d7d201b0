"""The command's texts as numbers, and what they index."""
from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from minicnn.inspect.explaining.call import Call

WRT = ("input", "weight", "bias")


def wanted(grad: str | None) -> str | None:
    """The gradient's name, checked."""
    if grad is not None and grad not in WRT:
        raise ValueError(f"--grad is {grad!r}: expected input, weight or bias")
    return grad


def index(at: str | None, called: Call, grad: str | None) -> tuple[int, ...]:
    """"0,3" as an index of the output or the gradient; axes that are left out are 0. None: the middle of the last two axes."""
    shape = _shape(called, grad)
    if at is None:
        return tuple(n // 2 if len(shape) > 2 and axis >= len(shape) - 2 else 0 for axis, n in enumerate(shape))
    if not re.fullmatch(r"\s*-?\d+(\s*,\s*-?\d+)*\s*", at):
        raise ValueError(f"--at is {at!r}: give whole numbers with commas between them, such as 0,3")
    given = tuple(map(int, at.split(",")))
    return (0,) * (len(shape) - len(given)) + given


def _shape(called: Call, grad: str | None) -> tuple[int, ...]:
    if grad is None:
        return called.output.shape
    if grad == "input":
        return called.source.shape if called.op.name == "linear" else called.source_shape
    if called.op.name in ("max_pool2d", "avg_pool2d"):
        raise ValueError(f"{called.layer} has no {grad}: its only gradient is --grad input")
    return called.read(WRT.index(grad)).shape
