"""Datasets: what they hold, how they split, and what they refuse."""
from __future__ import annotations

import numpy as np
import pytest

from minicnn.data import ArrayDataset, Dataset, Subset, random_split
from minicnn.data.dataset import collate, gather
from tests.compare import assert_equal
from tests.data.errors import says

CLASSES = ("cat", "dog", "newt")


def images_and_labels(N=7):
    rng = np.random.default_rng(N)
    return rng.integers(0, 256, (N, 2, 4, 3), np.uint8), rng.integers(0, 3, N)


class Pairs(Dataset):
    def __init__(self, images, labels):
        self.images, self.labels = images, labels

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return self.images[index], int(self.labels[index])


def test_items():
    images, labels = images_and_labels()
    dataset = ArrayDataset(images, labels.astype(np.uint8), CLASSES)
    assert len(dataset) == 7
    image, label = dataset[-1]
    assert_equal(image, images[-1])
    assert (label, type(label)) == (labels[-1], int)
    assert [label for _, label in dataset] == labels.tolist()
    assert repr(dataset) == "ArrayDataset(7 images of 2 x 4 x 3, uint8 in 0..255, 3 classes: cat, dog, newt)"
    assert dataset.labels.dtype == np.int64
    assert dataset.images is images


@pytest.mark.parametrize("wrap", [lambda x, y: ArrayDataset(x, y, CLASSES), Pairs, lambda x, y: list(zip(x, y, strict=True)),
                                  lambda x, y: Subset(ArrayDataset(x, y, CLASSES), range(len(x))),
                                  lambda x, y: Subset(list(zip(x, y, strict=True)), range(len(x)))])
def test_every_kind_of_dataset_gives_the_same_batch(wrap):
    images, labels = images_and_labels()
    where = np.array([5, 0, 0, 3])
    got_images, got_labels = gather(wrap(images, labels), where)
    assert_equal(got_images, images[where])
    assert_equal(got_labels, labels[where])


def test_random_split():
    dataset = ArrayDataset(*images_and_labels(20), CLASSES)
    parts = random_split(dataset, [12, 5, 3], seed=1)
    assert [len(part) for part in parts] == [12, 5, 3]
    assert sorted(np.concatenate([part.indices for part in parts])) == list(range(20))
    assert parts[0].classes == CLASSES
    assert_equal(parts[1][2][0], dataset.images[parts[1].indices[2]])
    assert_equal(random_split(dataset, [12, 5, 3], seed=1)[0].indices, parts[0].indices)
    assert random_split(dataset, [12, 5, 3], seed=2)[0].indices.tolist() != parts[0].indices.tolist()
    assert repr(parts[2]) == f"Subset(3 of {dataset!r})"
    inner, _ = random_split(parts[0], [2, 10])
    assert_equal(inner[1][0], dataset.images[parts[0].indices[inner.indices[1]]])


X = np.zeros((5, 1, 8, 8), np.uint8)
Y = np.zeros(5, np.int64)


@pytest.mark.parametrize(("make", "error", "message"), [
    (lambda: ArrayDataset(X, Y[:4], CLASSES), ValueError,
     "ArrayDataset: 5 images (shape (5, 1, 8, 8)) need 5 labels, but labels have shape (4,)"),
    (lambda: ArrayDataset(X, Y[:, None], CLASSES), ValueError,
     "ArrayDataset: 5 images (shape (5, 1, 8, 8)) need 5 labels, but labels have shape (5, 1)"),
    (lambda: ArrayDataset(X, np.array([0, 1, 2, 3, 9]), CLASSES), ValueError,
     "ArrayDataset: label 3 at index 3 is out of range: 3 classes, so labels are 0..2"),
    (lambda: ArrayDataset(X, np.array([0, -1, 2, 0, 0]), CLASSES), ValueError,
     "ArrayDataset: label -1 at index 1 is out of range: 3 classes, so labels are 0..2"),
    (lambda: ArrayDataset(X, Y.astype(float), CLASSES), TypeError, "ArrayDataset: labels are float64, expected integers"),
    (lambda: ArrayDataset(X[:0], Y[:0], CLASSES), ValueError,
     "ArrayDataset: the dataset is empty: images have shape (0, 1, 8, 8)"),
    (lambda: ArrayDataset(X[:, 0], Y, CLASSES), ValueError,
     "ArrayDataset: images have shape (5, 8, 8), expected (N, C, H, W); "
     "grey images of shape (N, H, W) become that by images[:, None]"),
    (lambda: ArrayDataset(X / 255, Y, CLASSES), TypeError, "ArrayDataset: images are float64, expected uint8 in 0..255"),
    (lambda: ArrayDataset(X + np.uint8(17), Y, CLASSES, max_value=16), ValueError,
     "ArrayDataset: a pixel is 17, more than max_value = 16"),
    (lambda: ArrayDataset(X, Y, CLASSES, max_value=0), ValueError, "ArrayDataset: max_value is 0, expected 1..255"),
    (lambda: Subset(ArrayDataset(X, Y, CLASSES), [0, 5]), ValueError,
     "Subset: index 5 at position 1 is out of range: the dataset has 5 items"),
    (lambda: random_split(X, [3, 1]), ValueError,
     "random_split: the lengths 3 + 1 = 4 must add up to the dataset's 5 items, none of them negative"),
    (lambda: random_split(X, [6, -1]), ValueError,
     "random_split: the lengths 6 + -1 = 5 must add up to the dataset's 5 items, none of them negative"),
    (lambda: collate([(X[0], 0), (X[0, :, :7], 1)], np.array([4, 9])), ValueError,
     "a batch needs images of one size: item 4 is (1, 8, 8), item 9 is (1, 7, 8); resize them first (ImageFolder: size=(H, W))"),
    (lambda: len(Dataset()), NotImplementedError, "Dataset must define __len__"),
    (lambda: Dataset()[0], NotImplementedError, "Dataset must define __getitem__"),
])
def test_refuses(make, error, message):
    with says(error, message):
        make()
