"""The UCI optical digits, inside the package: 1,797 handwritten digits of 8 x 8 pixels in 0..16. See files/ATTRIBUTION.md."""
from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from minicnn.data.dataset import ArrayDataset
from minicnn.data.idx import read_idx

FILES = Path(__file__).parent / "files"
CLASSES = tuple("0123456789")
TEST_PER_CLASS = 36  # 360 of 1,797: a fifth


def load() -> tuple[ArrayDataset, ArrayDataset]:
    """(train, test): 1,437 and 360 images (N, 1, 8, 8), always the same ones."""
    images = read_idx(FILES / "digits-images-idx3-ubyte.gz")[:, None]   # (N, H, W) -> (N, 1, H, W)
    labels = read_idx(FILES / "digits-labels-idx1-ubyte.gz").astype(np.int64)
    test = held_out(images, labels)
    return (ArrayDataset(images[~test], labels[~test], CLASSES, max_value=16),
            ArrayDataset(images[test], labels[test], CLASSES, max_value=16))


def held_out(images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Which images are kept for the test, as bools (N,): of each class, the 36 whose SHA-256 comes first.

    A hash is as good as a draw of lots and depends on no random generator, so the split never changes.
    """
    digests = np.array([hashlib.sha256(image.tobytes()).hexdigest() for image in images])
    test = np.zeros(len(images), bool)
    for label in range(len(CLASSES)):
        members = np.flatnonzero(labels == label)
        test[members[np.argsort(digests[members])[:TEST_PER_CLASS]]] = True
    return test
