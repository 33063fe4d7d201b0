"""The embedded digits: all of them, unchanged, and always split in the same way."""
from __future__ import annotations

import hashlib

import numpy as np

from minicnn.data import DataLoader, digits, load
from tests.compare import assert_equal


def sha256(array):
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def test_the_files():
    files = {path.name: path for path in digits.FILES.iterdir()}
    assert sum(path.stat().st_size for path in files.values()) < 50_000
    text = files["ATTRIBUTION.md"].read_text(encoding="utf-8")
    assert all(word in text for word in ("Alpaydin", "Kaynak", "CC BY 4.0", "10.24432/C50P49", "What was changed"))


def test_the_split_never_changes():
    train, test = load("digits")
    assert (train.images.shape, test.images.shape) == ((1437, 1, 8, 8), (360, 1, 8, 8))
    assert train.classes == test.classes == tuple("0123456789")
    assert_equal(np.bincount(test.labels), np.full(10, 36))
    assert np.bincount(train.labels).tolist() == [142, 146, 141, 147, 145, 146, 145, 143, 138, 144]
    assert {image.tobytes() for image in train.images}.isdisjoint(image.tobytes() for image in test.images)
    assert [sha256(array) for array in (train.images, train.labels, test.images, test.labels)] == SHA256


def test_pixels_reach_one():
    """16, the brightest pixel, is 1.0 in a batch."""
    train, _ = load("digits")
    (images, labels), = DataLoader(train, batch_size=len(train))
    assert_equal(images.array, train.images.astype(np.float32) / np.float32(16))
    assert (images.array.min(), images.array.max()) == (0.0, 1.0)
    assert_equal(labels.array, train.labels)


SHA256 = [
    "5fff083db9a1582daa44d4ff07cb05906b4805d87de43d5eb71571ad6d969912",
    "c313fa77d6f1d26cf9eb00e64e89effcd9d2b981d8293b6632b434dc80371775",
    "e687a4613f10f29f14f277f2e7538165446ad8db729847544d9f945af7591440",
    "9f369ea42276b2e1052f041d881e71e84b66b976e10c1fe0366e58dec27b6d19",
]
