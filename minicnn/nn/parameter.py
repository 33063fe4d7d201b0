"""Parameter: a Tensor that a Module finds by itself when it is assigned to an attribute."""
from __future__ import annotations

from typing import Any

from minicnn.tensor import Tensor


class Parameter(Tensor):
    """A Tensor to be learned: `requires_grad` is on, and a Module that it is assigned to lists it in `parameters()`.

    data: an array or a Tensor (only its values are taken, not how they were computed).

    >>> Parameter([1.0, 2.0])
    Parameter containing:
    tensor([1., 2.], requires_grad=True)
    """
    __slots__ = ()

    def __init__(self, data: Any, requires_grad: bool = True, dtype: Any = None) -> None:
        super().__init__(data, requires_grad, dtype)

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"
