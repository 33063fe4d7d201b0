"""Call: a layer that was called for real, with all that its numbers were made of, in the host's memory."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from minicnn import kernels
from minicnn.autograd import grad, quietly
from minicnn.inspect.recorder import Layer, Op, Recording, record
from minicnn.kernels import devices
from minicnn.kernels.window import Window2d
from minicnn.nn import AvgPool2d, BatchNorm2d, Conv2d, ConvTranspose2d, Linear, MaxPool2d, Module
from minicnn.ops.pad import pad_by_index_forward, pad_forward
from minicnn.tensor import Tensor

LAYERS = (Conv2d, ConvTranspose2d, MaxPool2d, AvgPool2d, Linear, BatchNorm2d)
FUNCTIONS = ("conv2d", "conv_transpose2d", "max_pool2d", "avg_pool2d", "linear", "batch_norm")
BEFORE = ("pad", "pad_by_index", "reshape", "unsqueeze")        # what a layer may do to its input first


@dataclass(eq=False)
class Call:
    """op: the operation to explain. source: what the layer read, which is what op read but for padding and the axis of a single image.

    layer: how to call it in text.
    """
    op: Op
    source: Op
    layer: str

    def given(self, i: int) -> np.ndarray | None:
        """Input i of the operation, in float64, or None."""
        value = self.op.inputs[i]
        if value is None:
            return None
        tensor = value.output if isinstance(value, Op) else value
        return devices.host(tensor.array if isinstance(tensor, Tensor) else tensor).astype(np.float64)

    def read(self, i: int) -> np.ndarray:
        """Input i, which is there."""
        found = self.given(i)
        if found is None:
            raise ValueError(f"{self.layer} has no {('input', 'weight', 'bias')[i]}")
        return found

    @property
    def output(self) -> np.ndarray:
        """What the kernel gave."""
        return devices.host(self.op.output.array)

    @property
    def window(self) -> Window2d:
        found: Window2d = self.op.options["window"]
        return found

    @property
    def backend(self) -> str:
        """What computed it: numba, numpy, cuda, cuda-sim."""
        device = devices.device_of(self.op.output.array)
        return kernels.of(self.op.output.array).__name__.split(".")[-1].removesuffix("_backend") if device == "cpu" else device

    @property
    def source_shape(self) -> tuple[int, ...]:
        """That of what the layer read, with the axis of images."""
        shape = self.source.shape
        return (1, *shape) if len(shape) == self.op.output.ndim - 1 else shape

    def origins(self) -> np.ndarray:
        """For every position of the input, padded by the layer and by the window: the flat index h*W + w of the pixel it shows, or -1."""
        H, W = self.source_shape[-2:]
        index = np.arange(H * W).reshape(1, 1, H, W)
        for op in self._before():
            sides = tuple(op.options.get("sides", ()))[-2:]
            if op.name == "pad_by_index":
                index = pad_by_index_forward(index, ((0, 0), (0, 0), *sides), op.options["mode"])[0]
            elif op.name == "pad":
                index = pad_forward(index, ((0, 0), (0, 0), *sides), -1)[0]
        return np.asarray(self.window.pad(index, -1)[0, 0])

    def _before(self) -> list[Op]:
        """The operations between source and op, in order."""
        found: list[Op] = []
        at = self.op.inputs[0]
        while at is not self.source and isinstance(at, Op):
            found.insert(0, at)
            at = at.inputs[0]
        return found

    @property
    def padding(self) -> tuple[int, int, int, int]:
        """In all: by the window, or by the values of the image itself before it."""
        top, bottom, left, right = self.window.padding
        for op in self._before():
            if op.name == "pad_by_index":
                (t, b), (l, r) = tuple(op.options["sides"])[-2:]
                top, bottom, left, right = top + t, bottom + b, left + l, right + r
        return top, bottom, left, right

    @property
    def mode(self) -> str:
        """What the padding holds."""
        return next((op.options["mode"] for op in self._before() if op.name == "pad_by_index"), "zeros")

    def upstream(self, dy: Any) -> np.ndarray:
        """The gradient of the output as an array of its shape and dtype. Raises ValueError for another shape."""
        found = np.asarray(devices.host(dy.detach().array) if isinstance(dy, Tensor) else dy)
        shape = self.op.output.shape
        if found.shape != shape and (1, *found.shape) != shape:
            raise ValueError(f"dy has shape {found.shape}, but the output of {self.layer} has {shape}")
        if found.dtype.kind not in "fiub":
            raise TypeError(f"dy must be numbers, got {found.dtype}")
        return found.reshape(shape).astype(self.op.output.dtype)

    @quietly
    def gradient(self, dy: np.ndarray, wrt: str) -> np.ndarray:
        """What the kernels give for it."""
        there = devices.beside(dy, self.op.output.array)
        node = self.op.output.node
        assert node is not None                                # the tape was on, and the input wants a gradient
        if wrt == "input":
            (dx,) = grad(self.op.output, self.source.output, Tensor(there), retain_graph=True)
            return devices.host(dx.array).reshape(self.source_shape) if dx is not None else np.zeros(self.source_shape)
        found = node.backward(there, node.cache)[1 if wrt == "weight" else 2]
        if found is None:
            raise ValueError(f"{self.layer} has no {wrt}")
        return devices.host(found)


def call(layer: Module, x: Any) -> Call:
    """Call a layer, in the mode it is in. Raises TypeError for a layer of another kind, and what the layer itself raises."""
    if not isinstance(layer, LAYERS):
        raise TypeError(f"{type(layer).__name__} is not a layer whose numbers can be explained; these are: "
                        f"{', '.join(cls.__name__ for cls in LAYERS)}")
    if not isinstance(x, Tensor):
        x = Tensor(devices.move(x, "cpu") if hasattr(x, "get") else np.asarray(x))
        if next(layer.parameters(), None) is not None:
            x = x.to(next(layer.parameters()).device)
    several = isinstance(layer, MaxPool2d) and layer.return_indices
    found = record(_First(layer) if several else layer, x.detach(), training=layer.training)
    return called(found, found.layers[0] if len(found.layers) == 1 else _whole(found), repr(layer))


def called(recording: Recording, layer: Layer, text: str | None = None) -> Call:
    """The call of one layer of a recorded network. Raises ValueError that lists those that can be explained."""
    op = next((op for op in layer.ops if op.name in FUNCTIONS), None)
    if op is None:
        names = [other.name for other in recording.layers if any(op.name in FUNCTIONS for op in other.ops)]
        raise ValueError(f"layer {layer.name!r} ({layer.kind}) is not one whose numbers can be explained; these are: {', '.join(names)}")
    source = op.inputs[0]
    while isinstance(source, Op) and source in layer.ops and source.name in BEFORE:
        source = source.inputs[0]
    if not isinstance(source, Op):
        raise ValueError(f"layer {layer.name!r} reads a constant, not something that was computed from the input")
    return Call(op, source, text or (f"{layer.name}: {layer.module or layer.kind}"))


class _First(Module):
    """The values of a max pooling that returns indices too."""

    def __init__(self, layer: Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layer(x)[0]
        return y


def _whole(recording: Recording) -> Layer:
    """All operations as one layer."""
    return Layer("layer", "", recording.model, recording.ops)
