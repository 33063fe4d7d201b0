"""DataLoader: a dataset in batches, shuffled, augmented, and prepared in the background while the network computes."""
from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from minicnn.data.augment import Transform, single
from minicnn.data.dataset import gather
from minicnn.data.pixel_moves import applied, to_float
from minicnn.tensor import Tensor

Batch = tuple[np.ndarray, np.ndarray]


class DataLoader:
    """Yield (images, labels) batches: Tensors float32 (N, C, H, W) in [0, 1] and int64 (N,).

    len(loader) is ceil(items / batch_size), or floor with drop_last. uint8 images are divided by the dataset's max_value; float
    images stay as they are.

    Parameters
    ----------
    dataset: a Dataset, or anything with __len__ and __getitem__ that gives (image, label).
    shuffle: a new order every epoch.
    drop_last: leave out the last batch when it is not full.
    seed: decides every order and every augmentation; None draws one, kept in `.seed`.
    transform: called with images (N, C, H, W) and a random generator, see augment.py.
    prefetch: how many batches a background thread prepares ahead; 0 works without a thread. Never changes the batches.

    Epoch e is the e-th time the loader is iterated, or what `set_epoch(e)` says. The order depends on (seed, epoch) alone and the
    augmentation of batch b on (seed, epoch, b), so a run that is resumed at any batch sees the batches it would have seen.

    Raises ValueError on an empty dataset or a size out of range.
    """

    def __init__(self, dataset: Any, batch_size: int = 1, shuffle: bool = False, drop_last: bool = False, seed: int | None = None,
                 transform: Transform | None = None, prefetch: int = 2) -> None:
        if len(dataset) == 0:
            raise ValueError(f"DataLoader: the dataset is empty: {dataset!r}")
        for name, value, least in (("batch_size", batch_size, 1), ("prefetch", prefetch, 0), ("seed", seed or 0, 0)):
            if value < least:
                raise ValueError(f"DataLoader: {name} is {value}, expected at least {least}")
        if drop_last and len(dataset) < batch_size:
            raise ValueError(f"DataLoader: drop_last leaves no batch: {len(dataset)} items do not fill one of {batch_size}")
        self.dataset, self.batch_size, self.shuffle, self.drop_last = dataset, batch_size, shuffle, drop_last
        self.seed = int(np.random.SeedSequence().generate_state(1)[0]) if seed is None else seed
        self.transform, self.prefetch, self.epoch, self._first = transform, prefetch, 0, 0

    def set_epoch(self, epoch: int, batch: int = 0) -> None:
        """Make the next iteration epoch number `epoch`, from its batch number `batch` on; the one after it is epoch + 1, from its first."""
        self.epoch, self._first = epoch, batch

    def __len__(self) -> int:
        full, rest = divmod(len(self.dataset), self.batch_size)
        return full if self.drop_last or not rest else full + 1

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        batches = self._batches(self.epoch, self._first)
        self.epoch, self._first = self.epoch + 1, 0
        if self.prefetch:
            batches = in_background(batches, self.prefetch)
        return ((Tensor(images), Tensor(labels)) for images, labels in batches)

    def _batches(self, epoch: int, first: int) -> Iterator[Batch]:
        order = self._rng(epoch).permutation(len(self.dataset)) if self.shuffle else np.arange(len(self.dataset))
        for b in range(first, len(self)):
            images, labels = gather(self.dataset, order[b * self.batch_size:(b + 1) * self.batch_size])
            yield self._prepared(images, epoch, b), labels

    def _prepared(self, images: np.ndarray, epoch: int, b: int) -> np.ndarray:
        max_value = getattr(self.dataset, "max_value", 255) if images.dtype.kind != "f" else None
        if max_value is not None and images.dtype != np.uint8:
            raise TypeError(f"DataLoader: images are {images.dtype}, expected uint8 in 0..{max_value} or floats")
        if self.transform is None:
            return to_float(images, max_value)
        return applied(single(self.transform), images, self._rng(epoch, b), max_value)

    def _rng(self, *key: int) -> np.random.Generator:
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=key))


def in_background(items: Iterable[Batch], ahead: int) -> Iterator[Batch]:
    """The same items, computed by a thread that stays at most `ahead` of the reader.

    An error of the thread is raised here, with its traceback. When the reader stops early the thread ends: it looks at `stop`
    before each put, and the reader empties the queue after setting it, so the at most one put that follows finds room.
    """
    ready: queue.Queue[tuple[str, Any]] = queue.Queue(maxsize=ahead)
    stop = threading.Event()
    threading.Thread(target=_produce, args=(items, ready, stop), name="minicnn-prefetch", daemon=True).start()
    try:
        while True:
            kind, value = ready.get()
            if kind == "end":
                return
            if kind == "error":
                raise value
            yield value
    finally:
        stop.set()
        while not ready.empty():
            ready.get_nowait()


def _produce(items: Iterable[Batch], ready: queue.Queue[tuple[str, Any]], stop: threading.Event) -> None:
    def put(kind: str, value: Any = None) -> bool:
        if not stop.is_set():
            ready.put((kind, value))
        return not stop.is_set()

    try:
        for item in items:
            if not put("item", item):
                return
        put("end")
    except BaseException as error:  # whatever it is, the reader must hear of it
        put("error", error)
