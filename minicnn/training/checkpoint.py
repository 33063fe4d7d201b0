"""Checkpoints: a network's weights in a .safetensors file, with all that is needed to build the network again and to feed it.

safetensors holds arrays and text, nothing that runs when it is read. A SHA-256 over both tells a damaged file from a good one.
"""
from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from minicnn import models
from minicnn.files import write_whole
from minicnn.interop.reader import read
from minicnn.kernels import devices
from minicnn.nn import Module
from minicnn.nn.arguments import at_most

KEY, VERSION = "minicnn", 1
LONGEST = 2**20                                                # characters of a description
MOST_PIXELS = 4096                                             # of an image's side


@dataclass(frozen=True)
class Description:
    """What the weights belong to: a network of minicnn.models, its classes, and how its images are prepared.

    mean, std: of each channel, for pixels in 0..1. background: the mean of the training images' outermost pixels, in 0..1.
    options: of the network, such as ConvNet's layers.
    """
    model: str
    in_channels: int
    image_size: tuple[int, int]
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    background: float
    options: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_json(cls, text: str) -> Description:
        """From what a file says. Raises ValueError or TypeError for what is no description."""
        values = json.loads(text)
        H, W = values["image_size"]
        sides = _within("image_size", H, 1, MOST_PIXELS), _within("image_size", W, 1, MOST_PIXELS)
        channels = _within("in_channels", values["in_channels"], 1, MOST_PIXELS)
        mean, std = (tuple(_within(name, value, -1e6, 1e6) for value in values[name]) for name in ("mean", "std"))
        if not len(mean) == len(std) == channels or min(std) < 1e-6:
            raise ValueError(f"mean and std are {str(mean)[:80]} and {str(std)[:80]}, expected numbers for {channels} channels, "
                             "std at least 1e-6")
        if not isinstance(values["classes"], list) or not values["classes"]:
            raise ValueError("classes is no list of names")
        return cls(str(values["model"]), int(channels), (int(sides[0]), int(sides[1])), tuple(map(str, values["classes"])), mean, std,
                   _within("background", values["background"], -1e6, 1e6), dict(values.get("options", {})))

    def build(self) -> Module:
        """The network, with new random weights."""
        return models.create(self.model, self.in_channels, self.image_size, len(self.classes), **self.options)


def _within(name: str, value: Any, low: float, high: float) -> float:
    """A number of a file, where it is one and in that range."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high or (low == 1 and value != int(value)):
        raise ValueError(f"{name} is {str(value)[:80]}, expected a number in {low:g}..{high:g}")
    return value


def save(path: str | Path, model: Module, description: Description) -> None:
    """Write the state_dict of `model`, from whichever device it is on, and its description.

    Raises OSError; then no file is left, or the old one.
    """
    save_arrays(path, arrays_of(model), description)


def save_arrays(path: str | Path, arrays: dict[str, np.ndarray], description: Description, flush_folder: bool = True) -> None:
    """The same, of weights that `arrays_of` gave. flush_folder: see `write_whole`."""
    from safetensors.numpy import save as serialize

    text = json.dumps(asdict(description), sort_keys=True)
    header = json.dumps({"version": VERSION, "sha256": digest(arrays, text), "description": text})
    # One key, for safetensors writes several in random order.
    write_whole(path, serialize(arrays, {KEY: header}), flush_folder=flush_folder)


def arrays_of(module: Module) -> dict[str, np.ndarray]:
    """Copies of all weights and buffers, on the CPU, in row-major order: safetensors reads memory from front to back, whatever the
    strides say.
    """
    return {name: np.array(devices.host(tensor.array), order="C") for name, tensor in module.state_dict().items()}


def load(path: str | Path) -> tuple[Module, Description]:
    """The network that `save` wrote, in eval mode and on the CPU, and its description.

    Raises ValueError, naming the file and what to do, when it is not a checkpoint, damaged, or of another network; OSError when it cannot
    be read at all.
    """
    arrays, metadata = read(path)
    if "minicnn-training" in metadata:
        raise ValueError(f"{path}: the state of a training, to go on from with minicnn train --resume; the network alone is in "
                         "last.safetensors and best.safetensors beside it")
    if KEY not in metadata:
        raise ValueError(f"{path}: these are weights, but not a checkpoint of minicnn: load them into a network with load_state_dict()")
    text = _checked_description(path, arrays, metadata[KEY])
    try:
        description = Description.from_json(text)
        held = sum(array.size for array in arrays.values())
        with at_most(held, len(arrays), f"what the file holds, {held:,} numbers in {len(arrays):,} arrays"):
            model = description.build()
        model.load_state_dict(arrays)
    except (RuntimeError, TypeError, ValueError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        what = " ".join(str(error).split())[:1000]
        raise ValueError(f"{path}: the weights do not fit this version of the network: {what}; train again") from error
    return model.eval(), description


def _checked_description(path: str | Path, arrays: Mapping[str, Any], header: str) -> str:
    """The description inside the header, once version and SHA-256 are right."""
    try:
        values = json.loads(header if len(header) <= LONGEST else "")
        version, text = values["version"], values["description"]
        whole = digest(arrays, text) == values["sha256"]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        version, text, whole = VERSION, "", False
    if version != VERSION:
        raise ValueError(f"{path}: a checkpoint of version {str(version)[:20]}, this minicnn reads version {VERSION}: "
                         "use the minicnn that saved it, or train again")
    if not whole:
        raise ValueError(f"{path}: damaged: the weights do not have the SHA-256 they were saved with; copy the file again or train again")
    return text


def digest(arrays: Mapping[str, Any], text: str) -> str:
    """SHA-256 of the description and of every array's name, dtype, shape and bytes."""
    found = hashlib.sha256(text.encode())
    for name in sorted(arrays):
        found.update(f"\n{name} {arrays[name].dtype} {arrays[name].shape}\n".encode())
        found.update(arrays[name].tobytes())
    return found.hexdigest()
