"""The state of a module: its parameters and persistent buffers by name. Loading checks everything before it writes anything."""
from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from minicnn.kernels import devices
from minicnn.recording import changed
from minicnn.tensor import Tensor

if TYPE_CHECKING:
    from minicnn.nn.module import Module


class IncompatibleKeys(NamedTuple):
    """What load_state_dict(strict=False) left alone: names only the module has, and names only the loaded dictionary has."""
    missing_keys: list[str]
    unexpected_keys: list[str]


def state_dict(module: Module, prefix: str = "") -> dict[str, Tensor]:
    """Every parameter and persistent buffer, detached but not copied, in torch's order: a module's own parameters, its buffers, then
    its children. What is shared appears under each of its names. `prefix` is put before every name as it is.
    """
    return {prefix + name: tensor.detach() for name, tensor in _tensors(module).items()}


def load_state_dict(module: Module, state: Mapping[str, Any], strict: bool = True) -> IncompatibleKeys:
    """Copy the values of `state` (Tensors or arrays) into the parameters and buffers of the same names, converting dtypes, and
    copying from whichever device they are on to that of the module.

    strict: also refuse names that are missing or unexpected. Values of the wrong shape are refused always.

    Raises RuntimeError that lists every problem; the module is then unchanged. TypeError for something that is no dictionary.
    """
    if not isinstance(state, Mapping):
        raise TypeError(f"load_state_dict: expected a dictionary of tensors, got {type(state).__name__}")
    own = _tensors(module)
    values = {name: value.array if isinstance(value, Tensor) else np.asarray(value) for name, value in state.items()}
    keys = IncompatibleKeys([name for name in own if name not in values], [name for name in values if name not in own])
    problems = []
    if strict and keys.missing_keys:
        problems.append(f"Missing key(s) in state_dict: {_quoted(keys.missing_keys)}.")
    if strict and keys.unexpected_keys:
        problems.append(f"Unexpected key(s) in state_dict: {_quoted(keys.unexpected_keys)}.")
    for name, tensor in own.items():
        if name in values and values[name].dtype.kind not in "fiub":
            problems.append(f"{name} holds no real numbers: got {type(state[name]).__name__}.")
        elif name in values and values[name].shape != tensor.shape:
            problems.append(f"size mismatch for {name}: the shape in state_dict is {values[name].shape}, in the module {tensor.shape}.")
    if problems:
        raise RuntimeError(f"Error(s) in loading state_dict for {type(module).__name__}:\n\t" + "\n\t".join(problems))
    for name, tensor in own.items():
        if name in values:
            tensor.array[...] = devices.beside(values[name], tensor.array)
    changed()
    return keys


def _tensors(module: Module) -> dict[str, Tensor]:
    found = {}
    for path, part in module.named_modules(remove_duplicate=False):
        persistent = {name: buffer for name, buffer in part._buffers.items() if name not in part._non_persistent}
        for name, tensor in {**part._parameters, **persistent}.items():
            if tensor is not None:
                found[f"{path}.{name}" if path else name] = tensor
    return found


def _quoted(names: list[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)
