"""The images of a training run: one of the known datasets, or a folder of one's own."""
from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from minicnn import data
from minicnn.data import ArrayDataset, ImageFolder, Normalize
from minicnn.data.sources import NAMES

GREY = {"1", "L", "LA", "I", "I;16", "I;16B", "F"}             # Pillow's modes without colour


@dataclass(frozen=True)
class Statistics:
    """Of the training pixels in 0..1: mean and std of each channel, and the mean of each image's outermost pixels."""
    mean: tuple[float, ...]
    std: tuple[float, ...]
    background: float

    @classmethod
    def of(cls, dataset: ArrayDataset) -> Statistics:
        images, scale = dataset.images, dataset.max_value
        mean, std = zip(*(_mean_and_std(images[:, c], scale) for c in range(images.shape[1])), strict=True)
        edges = (images[:, :, 0], images[:, :, -1], images[..., 0], images[..., -1])
        return cls(mean, std, sum(float(edge.mean()) for edge in edges) / len(edges) / scale)

    def normalize(self) -> Normalize:
        return Normalize(self.mean, self.std)


def load(dataset: str, root: str | Path | None = None, image_size: int = 32, progress: Any = None) -> tuple[ArrayDataset, ArrayDataset]:
    """(train, test): of a dataset that `minicnn.data.load` knows, or of the folder `dataset` with one sub-folder of images a class.

    A folder that holds `train` and `test` (or `val`) is taken as split already; otherwise a fifth of each class is held out, always the
    same. Its images are resized to image_size x image_size, grey when all of them are.
    """
    if dataset in NAMES:
        return data.load(dataset, root, progress=progress)
    folder = Path(dataset)
    test_folder = next((folder / name for name in ("test", "val") if (folder / name).is_dir()), None)
    if test_folder and (folder / "train").is_dir():
        train, test = ImageFolder(folder / "train"), ImageFolder(test_folder)
        _check_classes(folder, train)
        if train.classes != test.classes:
            raise ValueError(f"{folder}: train has the classes {', '.join(train.classes)}, {test_folder.name} {', '.join(test.classes)}")
        mode = _mode(train)
        return _in_memory(train, image_size, mode), _in_memory(test, image_size, mode)
    images = ImageFolder(folder)
    _check_classes(folder, images)
    whole = _in_memory(images, image_size, _mode(images))
    kept, held_out = split(whole, 0.2)
    if held_out is None:
        raise ValueError(f"{folder}: no class has the 5 images that are needed to hold out one for the test")
    return kept, held_out


def split(dataset: ArrayDataset, share: float) -> tuple[ArrayDataset, ArrayDataset | None]:
    """(kept, held out): that share of each class, rounded down, always the same images; None where that is no image at all."""
    held_out = _held_out(dataset.labels, len(dataset.classes), share)
    if not held_out.any():
        return dataset, None
    kept, out = (ArrayDataset(dataset.images[part], dataset.labels[part], dataset.classes, dataset.max_value)
                 for part in (~held_out, held_out))
    return kept, out


def _check_classes(folder: Path, images: ImageFolder) -> None:
    if len(images.classes) < 2:
        raise ValueError(f"{folder}: there is one class only, {images.classes[0]}: give each of at least two classes a sub-folder")


def _in_memory(folder: ImageFolder, image_size: int, mode: str) -> ArrayDataset:
    """Every image of a folder, read once: (N, C, S, S) bytes."""
    folder.size, folder.mode = image_size, mode
    shape = (len(folder), 1 if mode == "L" else 3, image_size, image_size)
    if math.prod(shape) > memory():
        size = f"{math.prod(shape) / 2**30:,.1f} GiB"
        raise ValueError(f"{folder.root}: {shape[0]:,} images of {shape[1]}x{image_size}x{image_size} are {size}, more than this machine's "
                         "memory: give a smaller image_size")
    pixels, labels = np.empty(shape, np.uint8), np.empty(len(folder), np.int64)
    for i in range(len(folder)):
        pixels[i], labels[i] = folder[i]
    return ArrayDataset(pixels, labels, folder.classes)


def memory() -> int:
    """Bytes of this machine's memory; 32 GiB where the system does not say."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):              # Windows
        return 2**35


def _mode(folder: ImageFolder) -> str:
    from PIL import Image

    for path, _ in folder.samples:
        try:
            with Image.open(path) as image:
                if image.mode not in GREY:
                    return "RGB"
        except (OSError, Image.DecompressionBombError) as error:
            raise ValueError(f"{path}: cannot read this image ({error})") from error
    return "L"


def _held_out(labels: np.ndarray, classes: int, share: float) -> np.ndarray:
    """A share of each class, drawn with a seed of its own, as bools (N,): the same images whatever the seed of the training."""
    rng, held_out = np.random.default_rng(0), np.zeros(len(labels), bool)
    for label in range(classes):
        members = rng.permutation(np.flatnonzero(labels == label))
        held_out[members[:int(len(members) * share + 1e-9)]] = True
    return held_out


def _mean_and_std(pixels: np.ndarray, scale: int) -> tuple[float, float]:
    """Of one channel (N, H, W), exactly, from how often each of the 256 values occurs."""
    counts = sum(np.bincount(part.ravel(), minlength=256) for part in np.array_split(pixels, max(1, len(pixels) // 1000)))
    values = np.arange(256) / scale
    mean = float(np.average(values, weights=counts))
    std = float(np.average((values - mean) ** 2, weights=counts)) ** 0.5
    return mean, max(std, 1 / 255)                             # a channel of one colour has nothing to divide by
