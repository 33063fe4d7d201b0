"""torch.device, for code that chooses one: tensors live on the CPU."""
from __future__ import annotations

from typing import Any


class device(str):
    """The name of a device, such as device("cpu").

    >>> device("cpu").type
    'cpu'
    """

    def __new__(cls, name: str) -> device:
        if name != "cpu":
            raise ValueError(f"no device {name!r}: this version of minicnn has no CUDA kernels, so tensors live on 'cpu'")
        return super().__new__(cls, name)

    @property
    def type(self) -> str:
        return str(self)

    def __repr__(self) -> str:
        return f"device(type={str(self)!r})"


def destination(*args: Any, dtype: Any = None, device: Any = None, non_blocking: bool = False) -> Any:
    """The dtype, or None, of what `to` is given: a dtype, a device, a device and a dtype, or a tensor that has both.

    non_blocking means nothing on a CPU. Raises ValueError for any other device.
    """
    for arg in args:
        if isinstance(arg, str):
            device = arg
        elif hasattr(arg, "requires_grad"):
            dtype = arg.dtype
        elif not isinstance(arg, bool):                        # torch's third place: non_blocking
            dtype = arg
    check_device(device)
    return dtype


def check_device(name: Any) -> None:
    """Raise ValueError unless the device that was asked for is the CPU, or None."""
    if name is not None:
        device(name)
