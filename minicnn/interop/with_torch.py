"""from_torch and to_torch: tensors, state dicts and networks of known layers, both ways."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from minicnn import nn
from minicnn.interop.networks import Conversion
from minicnn.interop.tensors import array_of, converted, torch_tensor_of
from minicnn.kernels import devices
from minicnn.tensor import Tensor


def from_torch(source: Any) -> Any:
    """What torch has, in minicnn.

        a tensor                   a Tensor
        a state_dict               a dict of Tensors for `load_state_dict`; an optimiser's too, and any dicts and lists with tensors in them
        a module                   the same network of minicnn.nn

    Tensors share the memory of torch's on the CPU, whatever their strides: a change of one is seen in the other. Copied are those on a GPU,
    and bfloat16, float16 and float8, which become float32. Gradients and their history stay behind.

    A module is converted when it is made of layers that minicnn.nn has, in Sequential, ModuleList and ModuleDict. The result is a copy with
    a memory of its own: options, parameters (frozen ones stay frozen), buffers, training mode, and what is shared within the network.
    A class with a forward of its own is written again on minicnn.nn, and takes `from_torch(module.state_dict())`.

    Raises TypeError for what cannot be converted, with its name and what to do; ImportError without torch.

    >>> import torch
    >>> from_torch(torch.nn.Sequential(torch.nn.Conv2d(1, 8, 3, bias=False), torch.nn.ReLU()))
    Sequential(
      (0): Conv2d(1, 8, kernel_size=(3, 3), stride=(1, 1), bias=False)
      (1): ReLU()
    )
    >>> weight = torch.zeros(2)
    >>> from_torch({"weight": weight})["weight"][1] = 5
    >>> weight
    tensor([0., 5.])
    """
    torch = _torch("from_torch")
    if isinstance(source, torch.nn.Module):
        conversion = Conversion(
            "from_torch", torch.nn, nn, buffer=lambda t, what: Tensor(array_of(t, what).copy(order="C")), build=_built_here,
            parameter=lambda t, what: nn.Parameter(array_of(t, what).copy(order="C"), requires_grad=t.requires_grad))
        return conversion.network(source)
    if isinstance(source, nn.Module | Tensor):
        raise TypeError(f"from_torch: a {type(source).__name__} of minicnn's was given: the other way is to_torch")
    _check("from_torch", source, torch.Tensor)
    return converted(source, lambda t, what: Tensor(array_of(t, what)), lambda x: isinstance(x, torch.Tensor))


def to_torch(source: Any) -> Any:
    """What minicnn has, in torch: `from_torch` the other way.

        a Tensor, an array         a torch tensor
        a state_dict               a dict of torch tensors that `load_state_dict` of a torch module or optimiser takes as it is
        a Module                   the same torch.nn.Module

    Tensors share the memory of minicnn's on the CPU, whatever their strides. Copied are those on another device, read-only arrays and those
    that run backwards. A Module is converted as `from_torch` does it; the result is on the CPU, with a memory of its own.

    Raises TypeError for what cannot be converted, with its name and what to do; ImportError without torch.
    """
    torch = _torch("to_torch")
    if isinstance(source, nn.Module):
        def copied(t: Any, what: str) -> Any:
            return torch_tensor_of(np.array(devices.host(t.array), order="C"), what)
        conversion = Conversion(
            "to_torch", nn, torch.nn, buffer=copied, build=_built_in_torch,
            parameter=lambda t, what: torch.nn.Parameter(copied(t, what), requires_grad=t.requires_grad))
        return conversion.network(source)
    if isinstance(source, torch.nn.Module | torch.Tensor):
        raise TypeError(f"to_torch: a {type(source).__name__} of torch's was given: the other way is from_torch")
    _check("to_torch", source, (Tensor, np.ndarray))
    return converted(source, torch_tensor_of, lambda x: isinstance(x, Tensor | np.ndarray))


def _built_here(cls: type, options: dict[str, Any]) -> Any:
    """The layer as its class builds it, but for the values that it would draw."""
    made = type(cls.__name__, (cls,), {"reset_parameters": lambda self: None})(**options)
    made.__class__ = cls
    return made


def _built_in_torch(cls: type, options: dict[str, Any]) -> Any:
    import torch

    with torch.device("meta"):                                 # it has shapes, but no memory
        return cls(**options)


def _check(verb: str, source: Any, tensor: Any) -> None:
    if not isinstance(source, tensor) and not isinstance(source, Mapping | list | tuple):
        hint = ": give its .state_dict()" if hasattr(source, "state_dict") else ""
        raise TypeError(f"{verb}: expected a module, a tensor or a state_dict, got {type(source).__name__}{hint}")


def _torch(verb: str) -> Any:
    try:
        import torch
    except ImportError as error:
        raise ImportError(f"{verb} needs torch: pip install torch") from error
    return torch
