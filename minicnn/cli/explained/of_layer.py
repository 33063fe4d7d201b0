"""A single layer with small random whole numbers, which a reader can check by hand."""
from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from minicnn.cli import single_layer
from minicnn.cli.explained.arguments import index, wanted

if TYPE_CHECKING:
    from minicnn.inspect.explaining import Explanation

MOST = 4                                                       # inputs are whole numbers from -4 to 4, weights from -3 to 3


def explain(what: str, input: str, given: Mapping[str, Any], images: int | None, at: str | None, grad: str | None, seed: int,
            device: str) -> Explanation:
    """One number of a layer of this kind, or of a gradient, for random whole numbers."""
    import numpy as np

    from minicnn.cli.network import parse_input
    from minicnn.inspect.explaining import explain_call
    from minicnn.inspect.explaining.call import call
    from minicnn.tensor import Tensor

    if seed < 0:
        raise ValueError(f"seed is {seed}, expected at least 0")
    grad = wanted(grad)
    C, H, W = parse_input(input)
    N = images if images is not None else 2 if what == "batch-norm" else 1
    if N < 1:
        raise ValueError(f"--images is {N}, expected at least 1")
    layer, rng = single_layer.build(what, C, H, W, given, filters_a_group=2), np.random.default_rng(seed)
    x = rng.integers(-MOST, MOST + 1, (N, C * H * W) if what == "linear" else (N, C, H, W)).astype(np.float32)
    for parameter in layer.parameters():
        parameter.array[...] = rng.integers(1 - MOST, MOST, parameter.shape)
    called = call(layer.to(device), Tensor(x).to(device))
    dy = rng.integers(1 - MOST, MOST, called.output.shape).astype(np.float32) if grad else None
    found = explain_call(called, index(at, called, grad), dy, grad or "input")
    found.words.append(f"x{', dy' if grad else ''} and all parameters are random whole numbers (seed {seed}), so that each step can be "
                       f"checked by hand.")
    return found
