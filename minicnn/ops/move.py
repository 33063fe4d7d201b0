"""The same values on another device."""
from __future__ import annotations

from typing import Any

from minicnn.autograd import fresh, record
from minicnn.kernels import devices
from minicnn.tensor import Tensor


def move_forward(x: Any, device: str) -> tuple[Any, Any]:
    """y = x on `device`"""
    return devices.move(x, device), devices.device_of(x)


@fresh
def move_backward(dy: Any, device: Any) -> tuple[Any]:
    """dx = dy where x is"""
    return (devices.move(dy, device),)


def move(x: Any, device: str) -> Tensor:
    """x on `device`, a kind such as "cuda": x itself if it is there already, else a copy; the gradient flows back."""
    x = x if isinstance(x, Tensor) else Tensor(x)
    return x if devices.device_of(x.array) == device else record(move_forward, move_backward, x, device=device)
