"""One operation by itself: the same numbers go in, on any backend and in any precision."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minicnn import kernels
from minicnn.autograd import quietly
from minicnn.inspect.recorder import Op
from minicnn.kernels import devices
from minicnn.tensor import Tensor


@dataclass(frozen=True)
class Call:
    """forward(*arrays, **options) on the host, and its backward function; None where nothing has a gradient."""
    name: str
    forward: Callable[..., Any]
    backward: Callable[..., Any] | None
    arrays: list[Any]
    options: dict[str, Any]

    def fed(self, arrays: Sequence[Any]) -> Call:
        return Call(self.name, self.forward, self.backward, list(arrays), self.options)

    def in64(self) -> Call:
        """With every floating-point array in float64."""
        def wide(a: Any) -> Any:
            return a.astype(np.float64) if hasattr(a, "dtype") and a.dtype.kind == "f" else a
        return Call(self.name, self.forward, self.backward, [wide(a) for a in self.arrays], {k: wide(v) for k, v in self.options.items()})


def call_of(op: Op) -> Call:
    """What an operation was called with, copied to the host."""
    def array(i: Any) -> Any:
        i = i.output if isinstance(i, Op) else i
        return _host(i.array if isinstance(i, Tensor) else i)

    assert op.function is not None                             # the input is no operation
    node = op.output.node
    options = {name: _host(value) for name, value in op.options.items()}
    backward = node.backward if node and node.forward is op.function else None          # what does nothing has its input's node
    return Call(op.name, op.function, backward, [array(i) for i in op.inputs], options)


@quietly
def run(call: Call, backend: str) -> tuple[Any, Callable[[Any], list[Any]]]:
    """(y, gradients), computed on `backend`: gradients(dy) lists the gradient of each array, None where there is none. All on the host."""
    device = backend if backend in devices.DEVICES else "cpu"

    def placed(a: Any) -> Any:
        return devices.move(a, device) if isinstance(a, np.ndarray) else a

    arrays, options = [placed(a) for a in call.arrays], {name: placed(value) for name, value in call.options.items()}
    with kernels.use_backend(backend if device == "cpu" else kernels.backend()):
        y, cache = call.forward(*arrays, **options)
    y = y[0] if isinstance(y, tuple) else y

    @quietly
    def gradients(dy: Any) -> list[Any]:
        if call.backward is None:
            return []
        with kernels.use_backend(backend if device == "cpu" else kernels.backend()):
            return [_host(g) for g in call.backward(placed(dy), cache)]

    return _host(y), gradients


def _host(value: Any) -> Any:
    return devices.host(value) if hasattr(value, "dtype") and hasattr(value, "shape") else value
