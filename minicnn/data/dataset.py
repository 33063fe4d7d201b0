"""Datasets: something with a length whose items are (image, label) pairs."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


class Dataset:
    """What to subclass for images of your own: write `__len__` and `__getitem__`, which returns (image, label).

    image: uint8 (C, H, W) in 0..max_value, or float (C, H, W), used as it is; label: an int.
    """
    classes: tuple[str, ...] = ()
    max_value: int = 255  # the uint8 that means 1.0

    def __len__(self) -> int:
        raise NotImplementedError(f"{type(self).__name__} must define __len__")

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        raise NotImplementedError(f"{type(self).__name__} must define __getitem__")

    def batch(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The items at `indices`, stacked: images (N, C, H, W) and labels (N,). Override it where there is a faster way."""
        return collate([self[int(i)] for i in indices], indices)


class ArrayDataset(Dataset):
    """Images and labels that are already in memory.

    Parameters: images uint8 (N, C, H, W); labels integers (N,), each in 0..len(classes)-1; classes, their names;
    max_value, the pixel value that means 1.0 (255 for most, 16 for the digits).

    Raises ValueError or TypeError that says which image, label or size does not fit.

    >>> ArrayDataset(np.zeros((3, 1, 8, 8), np.uint8), np.array([0, 1, 1]), classes=("cat", "dog"))
    ArrayDataset(3 images of 1 x 8 x 8, uint8 in 0..255, 2 classes: cat, dog)
    """

    def __init__(self, images: np.ndarray, labels: np.ndarray, classes: Sequence[str], max_value: int = 255) -> None:
        images, labels = np.asarray(images), np.asarray(labels)
        self.classes, self.max_value = tuple(classes), int(max_value)
        _check_images(images, self.max_value)
        _check_labels(labels, images, len(self.classes))
        self.images, self.labels = images, labels.astype(np.int64, copy=False)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        return self.images[index], int(self.labels[index])

    def batch(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self.images[indices], self.labels[indices]

    def __repr__(self) -> str:
        N, C, H, W = self.images.shape
        return (f"ArrayDataset({N} images of {C} x {H} x {W}, uint8 in 0..{self.max_value}, "
                f"{len(self.classes)} classes: {', '.join(self.classes)})")


class Subset(Dataset):
    """The items of `dataset` at `indices`, in that order."""

    def __init__(self, dataset: Any, indices: Sequence[int] | np.ndarray) -> None:
        self.dataset, self.indices = dataset, np.asarray(indices, dtype=np.int64)
        self.classes, self.max_value = getattr(dataset, "classes", ()), getattr(dataset, "max_value", 255)
        outside = np.flatnonzero((self.indices < 0) | (self.indices >= len(dataset)))
        if outside.size:
            raise ValueError(f"Subset: index {self.indices[outside[0]]} at position {outside[0]} is out of range: "
                             f"the dataset has {len(dataset)} items")

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        return self.dataset[int(self.indices[index])]

    def batch(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return gather(self.dataset, self.indices[indices])

    def __repr__(self) -> str:
        return f"Subset({len(self)} of {self.dataset!r})"


def random_split(dataset: Any, lengths: Sequence[int], seed: int = 0) -> list[Subset]:
    """Split `dataset` at random into parts that share no item; the same seed gives the same parts.

    Raises ValueError when the lengths do not add up to the dataset's.
    """
    if sum(lengths) != len(dataset) or min(lengths, default=0) < 0:
        raise ValueError(f"random_split: the lengths {' + '.join(map(str, lengths))} = {sum(lengths)} must add up to "
                         f"the dataset's {len(dataset)} items, none of them negative")
    order = np.random.default_rng(seed).permutation(len(dataset))
    ends = np.cumsum(lengths)
    return [Subset(dataset, order[end - length:end]) for end, length in zip(ends, lengths, strict=True)]


def gather(dataset: Any, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The batch at `indices` of anything with __len__ and __getitem__, by its own `batch` when it has one."""
    if isinstance(dataset, Dataset):
        return dataset.batch(indices)
    return collate([dataset[int(i)] for i in indices], indices)


def collate(items: Sequence[tuple[Any, Any]], indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Stack (image, label) pairs: images (C, H, W) each -> (N, C, H, W), labels -> (N,), integers as int64."""
    images = [np.asarray(image) for image, _ in items]
    for index, image in zip(indices, images, strict=True):
        if image.shape != images[0].shape:
            raise ValueError(f"a batch needs images of one size: item {indices[0]} is {images[0].shape}, item {index} is "
                             f"{image.shape}; resize them first (ImageFolder: size=(H, W))")
    labels = np.asarray([label for _, label in items])
    return np.stack(images), labels.astype(np.int64, copy=False) if labels.dtype.kind in "iu" else labels


def _check_images(images: np.ndarray, max_value: int) -> None:
    if images.dtype != np.uint8:
        raise TypeError(f"ArrayDataset: images are {images.dtype}, expected uint8 in 0..{max_value}")
    if images.ndim != 4:
        raise ValueError(f"ArrayDataset: images have shape {images.shape}, expected (N, C, H, W); "
                         "grey images of shape (N, H, W) become that by images[:, None]")
    if images.size == 0:
        raise ValueError(f"ArrayDataset: the dataset is empty: images have shape {images.shape}")
    if not 1 <= max_value <= 255:
        raise ValueError(f"ArrayDataset: max_value is {max_value}, expected 1..255")
    if max_value < 255 and images.max() > max_value:
        raise ValueError(f"ArrayDataset: a pixel is {images.max()}, more than max_value = {max_value}")


def _check_labels(labels: np.ndarray, images: np.ndarray, classes: int) -> None:
    if labels.dtype.kind not in "iu":
        raise TypeError(f"ArrayDataset: labels are {labels.dtype}, expected integers")
    if labels.shape != images.shape[:1]:
        raise ValueError(f"ArrayDataset: {len(images)} images (shape {images.shape}) need {len(images)} labels, "
                         f"but labels have shape {labels.shape}")
    wrong = np.flatnonzero((labels < 0) | (labels >= classes))
    if wrong.size:
        raise ValueError(f"ArrayDataset: label {labels[wrong[0]]} at index {wrong[0]} is out of range: "
                         f"{classes} classes, so labels are 0..{classes - 1}")
