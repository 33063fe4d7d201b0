"""The network that a command is about: one that `minicnn train` saved, or a new one by its name."""
from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from minicnn.nn import Module
    from minicnn.tensor import Tensor
    from minicnn.training.checkpoint import Description


@dataclass(frozen=True)
class Network:
    """model: in eval mode. input_shape: (C, H, W). description, folder: of a trained network and of its run; None for a new one."""
    name: str
    model: Module
    input_shape: tuple[int, int, int]
    description: Description | None = None
    folder: Path | None = None


@dataclass(frozen=True)
class Images:
    """Some images: pixels (N, C, H, W) in 0..1 to show, x to feed the network, labels (N) or None, and what to call each of them."""
    pixels: np.ndarray
    x: Tensor
    labels: np.ndarray | None
    names: list[str]


def parse_input(text: str) -> tuple[int, int, int]:
    """"8x8x3", height x width x channels, as (C, H, W); "8x8" has one channel. Raises ValueError for anything else.

    >>> parse_input("28x32x3")
    (3, 28, 32)
    """
    numbers = [int(n) for n in re.findall(r"\d+", text)] if re.fullmatch(r"\d+x\d+(x\d+)?", text) else []
    if not numbers or min(numbers) < 1:
        raise ValueError(f"input is {text!r}: give height x width x channels, such as 28x28x1 or 224x224x3")
    H, W, C = numbers if len(numbers) == 3 else (*numbers, 1)
    return C, H, W


def open_network(what: str, input: str | None = None, classes: int = 10, device: str = "cpu") -> Network:
    """A run's folder, its weights, or the name of one of minicnn's networks, which then gets random weights.

    input: height x width x channels, for a new network; the size it was made for if None. Raises ValueError when there is no such thing.
    """
    from minicnn import models, random
    from minicnn.training.predictor import Predictor
    from minicnn.training.recipe import known

    if Path(what).exists():
        loaded = Predictor.load(what, device)
        about = loaded.description
        shape = (about.in_channels, *about.image_size)
        if input is not None and parse_input(input) != shape:
            C, H, W = shape
            raise ValueError(f"{what} was trained on {H}x{W}x{C} images, not {input}: leave out --input")
        return Network(about.model, loaded.model, shape, about, Path(what) if Path(what).is_dir() else Path(what).parent)
    known("network", what, models.MODELS, "; or the folder of a run of minicnn train")
    shape = parse_input(input) if input else parse_input(USUAL.get(what, "28x28x1"))
    random.manual_seed(0)
    C, H, W = shape
    return Network(what, models.create(what, C, (H, W), classes).eval().to(device), shape)


LARGEST = 2**20                                                # bytes of a config.json
USUAL = {"digits": "8x8x1", "resnet8": "32x32x3", "resnet20": "32x32x3", "vgg16": "224x224x3"}    # what each was made for; others: 28x28x1


def image_files(network: Network, paths: list[str]) -> Images:
    """Image files, made grey or RGB, resized and normalised as the network was trained. A new network is fed pixels from 0 to 1."""
    import numpy as np

    from minicnn.data import read_image

    C, H, W = network.input_shape
    if C not in (1, 3):
        raise ValueError(f"{network.name} takes images of {C} channels: an image file has 1 (grey) or 3 (RGB)")
    read = [read_image(Path(path), "L" if C == 1 else "RGB", (H, W)) for path in paths]
    return _images(network, np.stack(read).astype(np.float32) / np.float32(255), None, [Path(path).stem for path in paths])


def dataset_images(network: Network, count: int, data: str | None = None, split: str = "test") -> Images:
    """`count` images of the dataset that a run was trained on, spread evenly over its test images (split "train": over those it learnt).

    Raises ValueError for a network that was not trained, and where the dataset's files are not found.
    """
    import numpy as np

    from minicnn.training import images
    from minicnn.training.plots import spread

    about = network.description
    if about is None or network.folder is None:
        raise ValueError(f"{network.name} is a new network: give the folder of a run of minicnn train, or image files")
    config = run_config(network.folder)
    train, test = images.load(config["dataset"], data, about.image_size[0])
    chosen = train if split == "train" else test
    picked = spread(chosen.labels, count)
    pixels = chosen.images[picked].astype(np.float32) / np.float32(chosen.max_value)
    labels = chosen.labels[picked]
    names = [f"{split} image {i}, {chosen.classes[label]}" for i, label in zip(picked, labels, strict=True)]
    return _images(network, pixels, labels, names)


def run_config(folder: Path) -> dict[str, Any]:
    """What a run was asked for: its config.json. Raises ValueError when it is missing or damaged."""
    path = folder / "config.json"
    try:
        values = json.loads(path.read_text() if path.stat().st_size <= LARGEST else "")
        if not isinstance(values, dict) or not isinstance(values.get("dataset"), str):
            raise ValueError("it names no dataset")
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{path}: cannot tell what the network was trained on ({getattr(error, 'strerror', None) or error})") from error
    return values


def _images(network: Network, pixels: np.ndarray, labels: np.ndarray | None, names: list[str]) -> Images:
    from minicnn.data import Normalize
    from minicnn.tensor import Tensor
    from minicnn.training.loop import device_of

    about = network.description
    x = Normalize(about.mean, about.std)(pixels) if about else pixels
    return Images(pixels, Tensor(x).to(device_of(network.model)), labels, names)
