""".safetensors files under the names of safetensors.torch: what is saved here, torch loads as it is, and the other way round."""
from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from minicnn.files import write_whole
from minicnn.interop.reader import read
from minicnn.kernels import devices
from minicnn.nn import Module
from minicnn.nn.state import IncompatibleKeys
from minicnn.tensor import Tensor


def save_file(source: Module | Mapping[str, Any], path: str | Path, metadata: Mapping[str, str] | None = None) -> None:
    """Write the weights of a network, or a dictionary of Tensors and arrays, as a .safetensors file.

    Of a network, a tensor that has several names (tied weights) is written once, and the metadata say under which other names it is
    known, as safetensors.torch.save_model does. metadata: further text by name; some readers want {"format": "pt"}.

    The file is there whole or not at all, and the same for the same tensors and text. Raises TypeError for what is no tensor, ValueError
    for a dtype or a name that the format has not, OSError.
    """
    from safetensors.numpy import save

    tensors, notes = _named(source)
    arrays = {name: _plain(name, tensor) for name, tensor in tensors.items()}
    notes |= metadata or {}
    for key, text in notes.items():
        if not isinstance(key, str) or not isinstance(text, str):
            raise TypeError(f"save_file: metadata are text by name, got {key!r}: {text!r}")
    write_whole(path, _in_order(save(arrays, notes or None)))


def _in_order(data: bytes) -> bytes:
    """The file with its metadata in alphabetical order: the library writes them in a random one."""
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:end])
    if "__metadata__" not in header:
        return data
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)                            # the numbers after it start at a multiple of 8
    return len(text).to_bytes(8, "little") + text + data[end:]


def load_file(path: str | Path, device: Any = "cpu") -> dict[str, Tensor]:
    """The tensors of any .safetensors file by name, for `load_state_dict`; float16 and bfloat16 as float32, which holds them exactly.

    Raises OSError when it cannot be read at all; ValueError when it is damaged, something else, or holds numbers that a Tensor cannot.
    """
    arrays, _ = read(path)
    for name, array in arrays.items():
        if array.dtype.kind == "c":
            raise ValueError(f"{path}: {name} holds {array.dtype}: minicnn has floats, integers and booleans")
    half = np.dtype(np.float16)
    return {name: Tensor(a.astype(np.float32) if a.dtype == half else a).to(device) for name, a in arrays.items()}


def load_metadata(path: str | Path) -> dict[str, str]:
    """The text that was saved beside the tensors. Raises as `load_file` does."""
    return read(path)[1]


def load_model(model: Module, path: str | Path, strict: bool = True) -> IncompatibleKeys:
    """Load a file of `save_file`, or of safetensors.torch, into a network: of a tensor with several names one is enough.

    Returns the names that only the network has and those that only the file has; strict refuses both. Raises what `load_file` and
    `load_state_dict` raise.
    """
    found = load_file(path)
    for names in _shared(model):
        held = next((name for name in names if name in found), None)
        if held:
            found |= {name: found[held] for name in names if name not in found}
    return model.load_state_dict(found, strict)


def _named(source: Module | Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """What is to be written by name, and for names that are left out the one it is written under."""
    if not isinstance(source, Module):
        if not isinstance(source, Mapping):
            raise TypeError(f"save_file: expected a Module or a dictionary of tensors, got {type(source).__name__}")
        return dict(source), {}
    again = {name: names[0] for names in _shared(source) for name in names[1:]}
    return {name: t for name, t in source.state_dict().items() if name not in again}, again


def _shared(model: Module) -> list[list[str]]:
    """The names of every tensor that has several, the first in the order of the alphabet first."""
    names: dict[int, list[str]] = {}
    for name, tensor in sorted(model.state_dict().items()):
        names.setdefault(id(tensor.array), []).append(name)
    return [found for found in names.values() if len(found) > 1]


def _plain(name: str, value: Any) -> np.ndarray:
    """On the host, in row-major order, which is what the format means by a shape."""
    array = devices.host(value.array) if isinstance(value, Tensor) else value
    if not isinstance(name, str) or not isinstance(array, np.ndarray):
        raise TypeError(f"save_file: expected a Tensor or an array by name, got {name!r}: {type(value).__name__}")
    if name == "__metadata__":
        raise ValueError("save_file: __metadata__ is what a .safetensors file calls its text: give the tensor another name")
    if array.dtype.kind not in "fiub" or array.dtype.itemsize > 8:
        raise ValueError(f"save_file: {name} holds {array.dtype}, which a .safetensors file cannot")
    return np.asarray(array, dtype=array.dtype.newbyteorder("="), order="C")
