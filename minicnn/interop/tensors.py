"""Tensors between torch and minicnn, one by one and in state dicts: the same memory wherever that is possible."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from minicnn.kernels import devices
from minicnn.tensor import Tensor


def array_of(tensor: Any, what: str) -> np.ndarray:
    """The array in the memory of a torch tensor, or a copy: of one on a GPU, and of floats that nothing here computes with (bfloat16,
    float16, float8) in float32, which holds them exactly.

    what: how an error names it. Raises TypeError for a tensor without plain numbers in plain memory.
    """
    import torch

    problem = ("has no values: run the module once, so that its shapes are known" if torch.nn.parameter.is_lazy(tensor) else
               "has no values: it is on torch's device 'meta'" if tensor.is_meta else
               "is quantised: .dequantize() gives its numbers" if tensor.is_quantized else
               "is not stored as one block: .to_dense() gives one" if tensor.layout is not torch.strided or tensor.is_nested else
               f"holds {tensor.dtype}: minicnn has floats, integers and booleans" if tensor.is_complex() else None)
    if problem:
        raise TypeError(f"from_torch: {what} {problem}")
    if tensor.is_floating_point() and tensor.dtype not in (torch.float32, torch.float64):
        tensor = tensor.float()
    try:
        return np.asarray(tensor.numpy(force=True))
    except (TypeError, RuntimeError, NotImplementedError) as error:
        raise TypeError(f"from_torch: {what} is a {type(tensor).__name__} of {tensor.dtype} that torch gives nobody: {error}") from error


def torch_tensor_of(value: Any, what: str) -> Any:
    """A torch tensor in the memory of a Tensor or an array, or with a copy: of one on another device, of read-only memory, and of memory
    that runs backwards or in another byte order, none of which torch has.

    what: how an error names it. Raises TypeError for numbers that torch has not.
    """
    import torch

    array = devices.host(value.array if isinstance(value, Tensor) else value)
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    if not array.flags.writeable or min(array.strides, default=0) < 0:
        array = array.copy()
    try:
        return torch.from_numpy(array)
    except TypeError as error:
        raise TypeError(f"to_torch: {what} holds {array.dtype}, which torch has not") from error


def converted(source: Any, convert: Callable[[Any, str], Any], is_tensor: Callable[[Any], bool], path: str = "") -> Any:
    """`source` with every tensor in it, however deep in dictionaries and lists, converted; what is no tensor stays as it is."""
    if is_tensor(source):
        return convert(source, path or "the tensor")
    if isinstance(source, Mapping):
        return {key: converted(value, convert, is_tensor, f"{path}[{key!r}]" if path else str(key)) for key, value in source.items()}
    if type(source) in (list, tuple):
        return type(source)(converted(value, convert, is_tensor, f"{path}[{i}]") for i, value in enumerate(source))
    return source
