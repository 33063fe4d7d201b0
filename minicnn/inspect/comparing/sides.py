"""The two networks that are compared: what they are, where they compute, and whether their weights are the same."""
from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np

from minicnn import kernels
from minicnn.kernels import devices
from minicnn.nn import Module


@dataclass(frozen=True)
class Placed:
    """A network and the backend that computes it: numpy or numba on the CPU, cuda, or cuda-sim. Made by `on`."""
    model: Any
    backend: str


def on(model: Module, backend: str) -> Placed:
    """`model` as it is computed on `backend`, for `diff`: diff(on(model, "numpy"), on(model, "numba"), x).

    Raises TypeError for a model that is no minicnn Module, ValueError for a backend that does not exist or is not available.
    """
    if not isinstance(model, Module):
        raise TypeError(f"on: expected a minicnn Module, got {type(model).__name__}: only minicnn's networks have a choice of backends")
    kernels.get(backend)
    return Placed(model, backend)


@dataclass(frozen=True)
class Side:
    """One of the two. name: what the report calls it. model: a copy, on its device, which may be run and changed. torch: a torch module."""
    name: str
    model: Any
    backend: str
    torch: bool

    @property
    def device(self) -> str:
        return self.backend if self.backend in devices.DEVICES else "cpu"

    @property
    def cpu_backend(self) -> str:
        """What computes on the CPU while this side runs."""
        return self.backend if self.device == "cpu" and not self.torch else kernels.backend()


def sides(model_a: Any, model_b: Any) -> tuple[Side, Side]:
    """Both sides, named by their backends where these differ, else A and B. Raises TypeError for anything that is no network."""
    a, b = _side(model_a, "model_a"), _side(model_b, "model_b")
    if a.torch and b.torch:
        raise TypeError("diff: both are torch modules; one of them must be a network of minicnn")
    if a.backend == b.backend:
        a, b = Side("A", a.model, a.backend, a.torch), Side("B", b.model, b.backend, b.torch)
    return a, b


def _side(given: Any, what: str) -> Side:
    placed = given if isinstance(given, Placed) else None
    model = placed.model if placed else given
    if isinstance(model, Module):
        where = next((devices.device_of(p.array) for p in model.parameters()), "cpu")
        backend = placed.backend if placed else kernels.backend() if where == "cpu" else where
        device = backend if backend in devices.DEVICES else "cpu"
        return Side(backend, copy.deepcopy(model).to(device), backend, False)
    if any(base.__module__.startswith("torch.nn") for base in type(model).__mro__):
        return Side("torch", copy.deepcopy(model).cpu(), "torch", True)
    raise TypeError(f"diff: {what} is a {type(model).__name__}: expected a minicnn Module, on(model, backend), or a torch.nn.Module")


def first_weight(a: Side, b: Side) -> str | None:
    """The first weight or buffer, in A's order, that is not the same, in words; None where all are equal."""
    ours, theirs = _state(a), _state(b)
    for name, value in ours.items():
        if name not in theirs:
            return f"{a.name} has a weight {name}, {b.name} has not"
        other = theirs[name]
        if value.shape != other.shape:
            return f"{name} has shape {value.shape} in {a.name}, {other.shape} in {b.name}"
        unlike = ~((value == other) | ((value != value) & (other != other)))
        if unlike.any():
            index = tuple(int(i) for i in np.argwhere(unlike)[0])
            place = f"[{', '.join(map(str, index))}]" if index else ""
            return (f"{name}{place} is {value[index]:.9g} in {a.name}, {other[index]:.9g} in {b.name} "
                    f"({int(unlike.sum())} of {unlike.size} values of {name} differ)")
    extra = next((name for name in theirs if name not in ours), None)
    return f"{b.name} has a weight {extra}, {a.name} has not" if extra else None


def _state(side: Side) -> dict[str, Any]:
    state = {name: t for name, t in side.model.state_dict().items() if not name.endswith("num_batches_tracked")}
    return {name: t.detach().numpy() if side.torch else devices.host(t.array) for name, t in state.items()}
