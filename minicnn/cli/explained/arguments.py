"""The command's texts as numbers, and what they index."""
from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from minicnn.inspect.explaining.call import Call

WRT = ("input", "weight", "bias")


@dataclass(frozen=True)
class Geometry:
    """What the user wrote of a single layer; None: nothing."""
    kernel: str | None
    stride: str | None
    padding: str | None
    dilation: str | None
    groups: int | None
    filters: int | None
    images: int | None

    def refuse(self, what: str, allowed: Sequence[str] = ()) -> None:
        """Raise ValueError for what the subject has no use for."""
        given = [f.name for f in fields(self) if getattr(self, f.name) is not None and f.name not in allowed]
        if given:
            raise ValueError(f"{what} takes no {' and no '.join(f'--{name}' for name in given)}"
                             + ("" if allowed else ": a network has its own geometry"))


def sizes(name: str, text: str) -> Any:
    """"3", "3x5" or "1,1,0,2" as an int or a tuple. Raises ValueError for anything else.

    >>> sizes("kernel", "3x5"), sizes("padding", "same")
    ((3, 5), 'same')
    """
    if name == "padding" and text in ("same", "valid"):
        return text
    if not re.fullmatch(r"\d+([x,]\d+){0,3}", text):
        raise ValueError(f"--{name} is {text!r}: give a whole number such as 3, or height x width such as 3x5"
                         + (", four sides such as 1,1,0,2, same or valid" if name == "padding" else ""))
    numbers = tuple(map(int, re.split("[x,]", text)))
    return numbers[0] if len(numbers) == 1 else numbers


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
