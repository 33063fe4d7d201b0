"""What the tests of explanations share: layers of whole numbers or floats on every backend, and what must hold of every explanation."""
from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minicnn import Tensor, kernels, use_backend
from minicnn.inspect import explain, explain_grad
from minicnn.inspect.explaining import Explanation
from minicnn.kernels import devices
from minicnn.nn import Module
from tests.kernels.on_device import needs_nvrtc
from tests.strategies import floats, integers

each_backend = pytest.mark.parametrize("backend", [name for name in kernels.CPU_BACKENDS if not kernels.missing(name)])
in_the_simulator = pytest.mark.parametrize("backend", [pytest.param("cuda-sim", marks=needs_nvrtc)])


def filled(layer: Any, seed: int, whole: bool = True) -> Any:
    """The layer, its parameters and running statistics filled with whole numbers, or floats; variances are positive."""
    for i, tensor in enumerate((*layer.parameters(), *(b for b in layer.buffers() if b.is_floating_point()))):
        tensor.array[...] = integers(tensor.shape, seed + i) if whole else floats(tensor.shape, seed + i)
    if getattr(layer, "running_var", None) is not None:
        layer.running_var.array[...] = np.abs(layer.running_var.array) + 0.5
    return layer


def some_index(shape: tuple[int, ...], seed: int) -> tuple[int, ...]:
    """Any element, counted from either end."""
    rng = np.random.default_rng(seed)
    return tuple(int(rng.integers(-n, n)) for n in shape)


def explained(backend: str, layer: Module, x: np.ndarray, seed: int, wrt: str | None, whole: bool = True) -> tuple[Explanation, np.ndarray]:
    """An explanation of some number on a backend, and dy. wrt None: of the output."""
    device = backend if backend in devices.DEVICES else "cpu"
    with use_backend("numpy" if device != "cpu" else backend):
        layer, there = layer.to(device), Tensor(x).to(device)
        was_training = layer.training
        y = layer.eval()(there)
        layer.train(was_training)
        dy = (integers if whole else floats)(y.shape, seed + 77, dtype=x.dtype) if whole else floats(y.shape, seed + 77, x.dtype)
        if wrt is None:
            found = explain(layer, there, some_index(y.shape, seed))
        else:
            shape = x.shape if wrt == "input" else getattr(layer, wrt).shape
            found = explain_grad(layer, there, Tensor(dy).to(device), some_index(shape, seed), wrt)
    assert found.backend == backend
    holds(found)
    return found, dy


def holds(found: Explanation) -> None:
    """The kernel's number is within the bound, and each term is the product of its sides."""
    assert found.within, str(found)
    if found.function != "max_pool2d":
        products = [term.left * term.right for term in found.terms]
        assert np.allclose([term.product for term in found.terms], products, rtol=1e-15, atol=0)
