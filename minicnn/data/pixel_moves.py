"""Several transforms in one pass over memory: what they do to a pixel is written down, and done by one kernel."""
from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from minicnn import kernels

Transform = Callable[[np.ndarray, np.random.Generator], np.ndarray]
MeanStd = tuple[tuple[float, ...], tuple[float, ...]]


class PixelMoves:
    """What shall happen to images (N, C, H, W): cut out and mirror, then blank a square, then normalise; `done()` does it.

    Where it starts, and what each transform adds: y[n, :, h, w] is x[n, :, top[n] + h, left[n] + step[n]*w], `fill` outside.

        cutting from (t, l) on:  top += t, left += step*l;      mirroring:  left += step*(W - 1), step = -step
    """

    def __init__(self, images: np.ndarray, max_value: int | None = None) -> None:
        self.images, self.max_value = images, max_value       # max_value: the uint8 that means 1.0, None where images are floats
        N, self.channels, *size = images.shape
        self.size: tuple[int, int] = size[0], size[1]
        self.top, self.left, self.step = np.zeros(N, np.int64), np.zeros(N, np.int64), np.ones(N, np.int64)
        self.fill, self.moved, self.cut = 0.0, False, False
        self.hole: tuple[np.ndarray, np.ndarray, int] | None = None
        self.mean_std: MeanStd | None = None

    def __len__(self) -> int:
        return len(self.images)

    def can_crop(self) -> bool:
        """Not twice: what the first window leaves out would have to stay outside."""
        return self.can_flip() and not self.cut

    def crop(self, top: np.ndarray, left: np.ndarray, size: tuple[int, int], fill: float) -> None:
        self.top, self.left = self.top + top, self.left + self.step * left
        self.size, self.fill, self.moved, self.cut = size, fill, True, True

    def can_flip(self) -> bool:
        return self.hole is None and self.mean_std is None

    def flip(self, which: np.ndarray) -> None:
        self.left = self.left + self.step * which * (self.size[1] - 1)
        self.step, self.moved = np.where(which, -self.step, self.step), True

    def blank(self, top: np.ndarray, left: np.ndarray, side: int) -> None:
        self.hole, self.moved = (top, left, side), True

    def can_normalize(self) -> bool:
        return self.mean_std is None

    def normalize(self, mean: Sequence[float], std: Sequence[float]) -> None:
        self.mean_std = tuple(mean), tuple(std)

    def done(self) -> np.ndarray:
        """The images, floats; always new ones."""
        if not self.moved:
            return _normalized(to_float(self.images, self.max_value), self.mean_std, self.max_value is not None)
        if self.max_value is None:
            constant = np.full(self.channels, self.fill, self.images.dtype), np.zeros(self.channels, self.images.dtype), None
            return _normalized(self._move(*constant), self.mean_std, True)
        return self._move(*_floats(self.max_value, self.channels, self.fill, self.mean_std))

    def _move(self, outside: np.ndarray, blank: np.ndarray, table: np.ndarray | None) -> Any:
        return kernels.of(self.images).move_pixels(self.images, self.size, self.top, self.left, self.step, outside, self.hole, blank, table)


@functools.lru_cache(maxsize=8)                                # a batch is prepared in half a millisecond
def _floats(max_value: int, C: int, fill: float, mean_std: MeanStd | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What becomes, in each channel, of pixels outside (C), of blank ones (C), and of every byte (C, 256)."""
    found = np.concatenate([np.array([fill, 0], np.float32), to_float(np.arange(256, dtype=np.uint8), max_value)])
    found = _normalized(np.broadcast_to(found, (C, 1, 258)), mean_std, False)[:, 0]
    outside, blank, table = found[:, 0].copy(), found[:, 1].copy(), found[:, 2:].copy()
    return outside, blank, table


def _normalized(x: np.ndarray, mean_std: MeanStd | None, ours: bool) -> np.ndarray:
    """(x - mean) / std of images (..., C, H, W), in place if they are `ours`."""
    if mean_std is None:
        return x
    mean, std = (np.asarray(v, x.dtype)[:, None, None] for v in mean_std)
    y = np.subtract(x, mean, out=x if ours else None)
    y /= std
    return y


def to_float(images: np.ndarray, max_value: int | None) -> np.ndarray:
    """uint8 divided by max_value, as float32; floats stay as they are."""
    return images if max_value is None else np.divide(images, np.float32(max_value), dtype=np.float32)


class PixelTransform:
    """A transform that PixelMoves can hold: `add_to` draws and writes it down; called by itself, it is done at once."""

    def fits(self, moves: PixelMoves) -> bool:
        """Whether it can be added after what is written there."""
        raise NotImplementedError

    def add_to(self, moves: PixelMoves, rng: Any) -> None:
        raise NotImplementedError

    def __call__(self, images: np.ndarray, rng: Any = None) -> np.ndarray:
        return applied([self], images, rng)


def applied(transforms: Iterable[Transform], images: np.ndarray, rng: np.random.Generator, max_value: int | None = None) -> np.ndarray:
    """t_k(... t_2(t_1(x))) of the images, as floats; max_value: the uint8 that means 1.0, None where images are floats.

    Everything is drawn in the order of the transforms, as if each had been called; neighbours that fit together move the pixels once.
    """
    moves: PixelMoves | None = None
    for transform in transforms:
        if not isinstance(transform, PixelTransform) or type(transform).__call__ is not PixelTransform.__call__:
            images = to_float(images, max_value) if moves is None else moves.done()
            images, max_value, moves = transform(images, rng), None, None
            continue
        if moves is not None and not transform.fits(moves):
            images, max_value, moves = moves.done(), None, None
        if moves is None:
            check_images(type(transform).__name__, images, max_value)
            moves = PixelMoves(images, max_value)
        transform.add_to(moves, rng)
    return to_float(images, max_value) if moves is None else moves.done()


def check_images(name: str, images: np.ndarray, max_value: int | None = None) -> None:
    """Raise ValueError unless images are floats (N, C, H, W), or bytes with a value that means 1.0."""
    if images.ndim != 4 or (images.dtype.kind != "f" and max_value is None):
        raise ValueError(f"{name}: expected float images (N, C, H, W), got {images.dtype} of shape {images.shape}")
