"""DataLoader: the same batches whatever the prefetch, new ones every epoch, and no thread left behind."""
from __future__ import annotations

import threading
import traceback

import numpy as np
import pytest

from minicnn.data import ArrayDataset, Compose, DataLoader, RandomHorizontalFlip, RandomShift, Subset
from minicnn.tensor import Tensor
from tests.compare import assert_equal
from tests.data.errors import says

RNG = np.random.default_rng(3)
DATA = ArrayDataset(RNG.integers(0, 256, (23, 2, 5, 4), np.uint8), RNG.integers(0, 4, 23), tuple("abcd"))
AUGMENT = Compose([RandomShift(1), RandomHorizontalFlip()])


def epoch(loader):
    return [(images.array, labels.array) for images, labels in loader]


def same(first, second):
    assert len(first) == len(second)
    for (images, labels), (other_images, other_labels) in zip(first, second, strict=True):
        assert_equal(images, other_images)
        assert_equal(labels, other_labels)


def order(loader):
    """Which images came, in order; every image of DATA differs from every other."""
    where = {image.tobytes(): i for i, image in enumerate(DATA.images)}
    return [where[(image * 255).round().astype(np.uint8).tobytes()] for images, _ in epoch(loader) for image in images]


def prefetchers():
    return [thread for thread in threading.enumerate() if thread.name == "minicnn-prefetch"]


@pytest.fixture(autouse=True)
def _no_thread_is_left():
    yield
    for thread in prefetchers():
        thread.join(timeout=30)
    assert prefetchers() == []


def test_a_batch():
    loader = DataLoader(DATA, batch_size=10)
    batches = list(loader)
    assert [images.shape for images, _ in batches] == [(10, 2, 5, 4), (10, 2, 5, 4), (3, 2, 5, 4)]
    images, labels = batches[0]
    assert isinstance(images, Tensor)
    assert isinstance(labels, Tensor)
    assert not images.requires_grad
    assert_equal(images.array, DATA.images[:10].astype(np.float32) / np.float32(255))
    assert_equal(labels.array, DATA.labels[:10])


@pytest.mark.parametrize(("batch_size", "drop_last", "sizes"), [
    (1, False, [1] * 23), (10, False, [10, 10, 3]), (10, True, [10, 10]), (23, False, [23]), (23, True, [23]), (50, False, [23])])
def test_len(batch_size, drop_last, sizes):
    loader = DataLoader(DATA, batch_size, drop_last=drop_last, shuffle=True)
    assert len(loader) == len(sizes)
    assert [len(labels) for _, labels in epoch(loader)] == sizes


@pytest.mark.parametrize("prefetch", [1, 2, 50])
def test_prefetch_changes_nothing(prefetch):
    plain = DataLoader(DATA, 4, shuffle=True, seed=5, transform=AUGMENT, prefetch=0)
    ahead = DataLoader(DATA, 4, shuffle=True, seed=5, transform=AUGMENT, prefetch=prefetch)
    for _ in range(3):
        same(epoch(plain), epoch(ahead))


def test_every_epoch_is_another_order_of_everything():
    loader = DataLoader(DATA, 4, shuffle=True, seed=5)
    orders = [order(loader) for _ in range(3)]
    assert all(sorted(o) == list(range(23)) for o in orders)
    assert len({tuple(o) for o in [*orders, range(23)]}) == 4
    assert order(DataLoader(DATA, 4, seed=5)) == list(range(23))
    assert order(DataLoader(DATA, 4, shuffle=True, seed=6)) not in orders


def test_a_resumed_run_sees_the_same_batches():
    loader = DataLoader(DATA, 4, shuffle=True, seed=5, transform=AUGMENT)
    epochs = [epoch(loader) for _ in range(4)]
    resumed = DataLoader(DATA, 4, shuffle=True, seed=5, transform=AUGMENT)
    resumed.set_epoch(2)
    same(epoch(resumed), epochs[2])
    same(epoch(resumed), epochs[3])


def test_an_abandoned_epoch_counts_as_one():
    loader = DataLoader(DATA, 4, shuffle=True, seed=5)
    next(iter(loader))
    second = order(loader)
    loader.set_epoch(1)
    assert order(loader) == second


def test_two_iterators_do_not_disturb_each_other():
    loader = DataLoader(DATA, 4, shuffle=True, seed=5, transform=AUGMENT)
    pairs = list(zip(loader, loader, strict=True))
    loader.set_epoch(0)
    same([(x.array, y.array) for (x, y), _ in pairs], epoch(loader))
    same([(x.array, y.array) for _, (x, y) in pairs], epoch(loader))


def test_each_batch_is_augmented_by_its_own_numbers():
    """The draw of batch b depends on (seed, epoch, b): not on the batches before it, not on the order of the images."""
    draws = []
    loader = DataLoader(DATA, 10, seed=5, prefetch=0, transform=lambda x, rng: (draws.append(rng.integers(1 << 60)), x)[1])
    for _ in range(2):
        epoch(loader)
    assert len(set(draws)) == 6
    before, draws[:] = draws[:], []
    loader.dataset, loader.shuffle = Subset(DATA, range(20)), True
    loader.set_epoch(0)
    epoch(loader)
    assert draws == before[:2]


def test_without_a_seed_one_is_drawn_and_kept():
    first, second = DataLoader(DATA, 4, shuffle=True), DataLoader(DATA, 4, shuffle=True)
    assert first.seed != second.seed
    assert order(first) == order(DataLoader(DATA, 4, shuffle=True, seed=first.seed))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_float_images_stay_as_they_are(dtype):
    images = RNG.normal(size=(3, 1, 2, 2)).astype(dtype)
    (got, labels), = DataLoader(list(zip(images, [2, 0, 1], strict=True)), batch_size=3)
    assert_equal(got.array, images)
    assert_equal(labels.array, np.array([2, 0, 1]))


@pytest.mark.parametrize("prefetch", [1, 2])
@pytest.mark.parametrize("read", range(1, 7))
def test_stopping_early_ends_the_thread(read, prefetch):
    batches = iter(DataLoader(DATA, 4, prefetch=prefetch))
    next(batches)
    (thread,) = prefetchers()      # at least two of the six batches do not fit in the queue, so it is still at work
    for _ in range(read - 1):
        next(batches)
    del batches
    thread.join(timeout=30)
    assert not thread.is_alive()


class Broken(list):
    def __getitem__(self, index):
        if index == 13:
            raise OSError("disk on fire")
        return super().__getitem__(index)


@pytest.mark.parametrize("prefetch", [0, 1, 50])
def test_errors_come_out_where_they_belong(prefetch):
    loader = DataLoader(Broken(zip(DATA.images, DATA.labels, strict=True)), 4, prefetch=prefetch)
    seen = []
    with says(OSError, "disk on fire") as caught:
        seen.extend(len(labels.array) for _, labels in loader)
    assert seen == [4, 4, 4]
    frames = traceback.extract_tb(caught.value.__traceback__)
    assert ("__getitem__", __file__) in [(frame.name, frame.filename) for frame in frames]


@pytest.mark.parametrize(("make", "error", "message"), [
    (lambda: DataLoader([]), ValueError, "DataLoader: the dataset is empty: []"),
    (lambda: DataLoader(Subset(DATA, [])), ValueError, f"DataLoader: the dataset is empty: Subset(0 of {DATA!r})"),
    (lambda: DataLoader(DATA, 0), ValueError, "DataLoader: batch_size is 0, expected at least 1"),
    (lambda: DataLoader(DATA, prefetch=-1), ValueError, "DataLoader: prefetch is -1, expected at least 0"),
    (lambda: DataLoader(DATA, seed=-2), ValueError, "DataLoader: seed is -2, expected at least 0"),
    (lambda: DataLoader(DATA, 24, drop_last=True), ValueError,
     "DataLoader: drop_last leaves no batch: 23 items do not fill one of 24"),
    (lambda: epoch(DataLoader([(np.zeros((1, 2, 2), np.int32), 0)])), TypeError,
     "DataLoader: images are int32, expected uint8 in 0..255 or floats"),
])
def test_refuses(make, error, message):
    with says(error, message):
        make()
