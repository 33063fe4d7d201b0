"""A single layer with small random whole numbers, which a reader can check by hand."""
from __future__ import annotations

from typing import TYPE_CHECKING, Any

from minicnn.cli.explained.arguments import Geometry, index, sizes, wanted

if TYPE_CHECKING:
    from minicnn.inspect.explaining import Explanation
    from minicnn.nn import Module

CONV = ("kernel", "stride", "padding", "dilation", "groups", "filters", "images")
KINDS = {                                                      # the kind, and what of a geometry it has
    "conv": CONV, "conv-transpose": CONV, "max-pool": ("kernel", "stride", "padding", "dilation", "images"),
    "avg-pool": ("kernel", "stride", "padding", "images"), "linear": ("filters", "images"), "batch-norm": ("images",),
}
MOST = 4                                                       # inputs are whole numbers from -4 to 4, weights from -3 to 3


def knows(what: str) -> bool:
    """Whether it is the name of a kind of layer."""
    return what in KINDS


def explain(what: str, input: str, geometry: Geometry, at: str | None, grad: str | None, seed: int, device: str) -> Explanation:
    """One number of a layer of this kind, or of a gradient, for random whole numbers."""
    import numpy as np

    from minicnn.cli.network import parse_input
    from minicnn.inspect.explaining import explain_call
    from minicnn.inspect.explaining.call import call
    from minicnn.tensor import Tensor

    if seed < 0:
        raise ValueError(f"seed is {seed}, expected at least 0")
    geometry.refuse(what, KINDS[what])
    grad = wanted(grad)
    C, H, W = parse_input(input)
    N = geometry.images if geometry.images is not None else 2 if what == "batch-norm" else 1
    if N < 1:
        raise ValueError(f"--images is {N}, expected at least 1")
    layer, rng = _layer(what, C, H, W, geometry), np.random.default_rng(seed)
    x = rng.integers(-MOST, MOST + 1, (N, C * H * W) if what == "linear" else (N, C, H, W)).astype(np.float32)
    for parameter in layer.parameters():
        parameter.array[...] = rng.integers(1 - MOST, MOST, parameter.shape)
    called = call(layer.to(device), Tensor(x).to(device))
    dy = rng.integers(1 - MOST, MOST, called.output.shape).astype(np.float32) if grad else None
    found = explain_call(called, index(at, called, grad), dy, grad or "input")
    found.words.append(f"x{', dy' if grad else ''} and all parameters are random whole numbers (seed {seed}), so that each step can be "
                       f"checked by hand.")
    return found


def _layer(what: str, C: int, H: int, W: int, geometry: Geometry) -> Module:
    """A new layer for inputs of C channels."""
    from minicnn import nn

    given: dict[str, Any] = {name: sizes(name, text) for name in ("kernel", "stride", "padding", "dilation")
                             if (text := getattr(geometry, name)) is not None}
    groups = 1 if geometry.groups is None else geometry.groups
    filters = geometry.filters if geometry.filters is not None else 2 * max(groups, 1)
    kernel = given.pop("kernel", 2 if what.endswith("pool") else 3)
    if what == "conv":
        return nn.Conv2d(C, filters, kernel, groups=groups, **given)
    if what == "conv-transpose":
        return nn.ConvTranspose2d(C, filters, kernel, groups=groups, **given)
    if what == "max-pool":
        return nn.MaxPool2d(kernel, **given)
    if what == "avg-pool":
        return nn.AvgPool2d(kernel, **given)
    return nn.Linear(C * H * W, filters) if what == "linear" else nn.BatchNorm2d(C)
