"""Images for training: datasets and where they come from, batches, augmentation."""
from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from minicnn.data.augment import Compose, Cutout, Normalize, RandomCrop, RandomHorizontalFlip, RandomRotation, RandomShift
from minicnn.data.dataset import ArrayDataset, Dataset, Subset, random_split
from minicnn.data.image_folder import ImageFolder, read_image
from minicnn.data.loader import DataLoader
from minicnn.data.locate import DatasetNotFound

if TYPE_CHECKING:
    from minicnn.data.download import Progress
    from minicnn.data.sources import Source

__all__ = [
    "ArrayDataset", "Compose", "Cutout", "DataLoader", "Dataset", "DatasetNotFound", "ImageFolder", "Normalize", "RandomCrop",
    "RandomHorizontalFlip", "RandomRotation", "RandomShift", "Subset", "load", "random_split", "read_image",
]


def load(name: str, root: str | Path | None = None, download: bool = True,
         progress: Progress | None = None) -> tuple[ArrayDataset, ArrayDataset]:
    """(train, test) of "digits" (in the package), "mnist", "fashion-mnist" or "cifar-10".

    Files are looked for in `root`, $MINICNN_DATA, the user's cache and where Debian puts them (locate.py); failing that they are
    downloaded (download.py) into `root`, $MINICNN_DATA or the cache, whichever comes first. progress(file, done, total): bytes.

    Raises ValueError for an unknown name or a damaged file, DatasetNotFound (a FileNotFoundError) when no files are to be had.
    """
    from minicnn.data import digits, sources

    if name == "digits":
        return digits.load()
    if name not in sources.SOURCES:
        raise ValueError(f"unknown dataset {name!r}; known: {', '.join(sources.NAMES)}")
    return _read(sources.SOURCES[name], _files(sources.SOURCES[name], root, download, progress))


def _files(source: Source, root: str | Path | None, download: bool, progress: Progress | None) -> dict[str, Path]:
    from minicnn.data import locate

    if paths := locate.find(source, root):
        return paths
    folder = locate.download_folder(source, root)
    if not download:
        raise DatasetNotFound(source, folder, "downloading is switched off")
    from minicnn.data.download import fetch  # urllib only when needed

    return fetch(source, folder, progress)


def _read(source: Source, paths: dict[str, Path]) -> tuple[ArrayDataset, ArrayDataset]:
    from minicnn.data import cifar, idx

    if source.name == "cifar-10":
        arrays = cifar.read_cifar10(paths)
    else:
        arrays = tuple(idx.read_idx(paths[file.name], axes) for file, axes in zip(source.files, (3, 1, 3, 1), strict=True))
    train_images, train_labels, test_images, test_labels = arrays
    try:
        if train_images.shape[1:] != test_images.shape[1:]:
            raise ValueError(f"training images (N, H, W) are {train_images.shape}, test images {test_images.shape}: H or W differ")
        return (ArrayDataset(_with_channel(train_images), train_labels, source.classes),
                ArrayDataset(_with_channel(test_images), test_labels, source.classes))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{source.name} in {next(iter(paths.values())).parent}: {error}") from error


def _with_channel(images: np.ndarray) -> np.ndarray:
    return images[:, None] if images.ndim == 3 else images  # (N, H, W) -> (N, 1, H, W)
