"""torch.device, for code that chooses one: tensors live on the CPU."""
from __future__ import annotations


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
