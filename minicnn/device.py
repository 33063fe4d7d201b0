"""torch.device: where a tensor is. "cpu"; "cuda", an NVIDIA GPU through CuPy; "cuda-sim", a simulated GPU for learning and tests."""
from __future__ import annotations

from typing import Any

from minicnn import kernels
from minicnn.kernels import devices


class device(str):
    """The name of a device that can be used here: device("cpu"), device("cuda"), device("cuda:0"), device("cuda", 0), device("cuda-sim").

    type: the name without the number; index: the number, or None. minicnn uses one GPU, number 0.

    Raises ValueError for another name, and for a device that is not available, with the reason.

    >>> device("cpu").type
    'cpu'
    """

    def __new__(cls, name: str, index: int | None = None) -> device:
        if not isinstance(name, str):
            raise TypeError(f"a device is named by a text such as 'cpu' or 'cuda', got {name!r}")
        kind, _, number = name.partition(":")
        number = number if index is None else str(index)
        if kind not in devices.DEVICES or (number and not number.isdecimal()):
            raise ValueError(f"unknown device {name!r}; there are: {', '.join(devices.DEVICES)}")
        reason = None if kind == "cpu" else kernels.missing(kind)
        if reason:
            raise ValueError(f"no device {name!r}: {reason}")
        if int(number or 0):
            raise ValueError(f"no device {name!r}: minicnn uses one device of each kind, number 0"
                             + ("; the variable CUDA_VISIBLE_DEVICES says which GPU that is" if kind == "cuda" else ""))
        return super().__new__(cls, f"{kind}:{number}" if number else kind)

    @property
    def type(self) -> str:
        return str(self).partition(":")[0]

    @property
    def index(self) -> int | None:  # type: ignore[override]  # torch's name; a text's own search is not asked for
        number = str(self).partition(":")[2]
        return int(number) if number else None

    def __repr__(self) -> str:
        return f"device(type={self.type!r}{'' if self.index is None else f', index={self.index}'})"


def device_of(array: Any) -> device:
    """Where the array is; as in torch, a GPU's name has its number: cuda:0."""
    kind = devices.device_of(array)
    return _NAMES.get(kind) or _NAMES.setdefault(kind, device("cuda:0" if kind == "cuda" else kind))


_NAMES: dict[str, device] = {}


def destination(*args: Any, dtype: Any = None, device: Any = None, non_blocking: bool = False) -> tuple[str | None, Any]:
    """What `to` is given: a dtype, a device, a device and a dtype, or a tensor that has both. Returns the kind of device and the dtype,
    None for what is not given.

    non_blocking: nothing waits for a copy to the device anyway. Raises ValueError for a device that is not there.
    """
    for arg in args:
        if isinstance(arg, str):
            device = arg
        elif hasattr(arg, "requires_grad"):
            device, dtype = arg.device, arg.dtype
        elif not isinstance(arg, bool):                        # torch's third place: non_blocking
            dtype = arg
    return kind_of(device), dtype


def kind_of(name: Any) -> str | None:
    """The kind of the device called `name`; None stays None. Raises ValueError for a device that is not there."""
    return None if name is None else name.type if isinstance(name, device) else device(name).type
