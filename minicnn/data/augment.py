"""Augmentation: random changes that keep the label, on a whole batch at once.

A transform is called with images (N, C, H, W) and a numpy.random.Generator and returns new images of the same dtype; it never
writes into what it was given. Every random choice is drawn per image.
"""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minicnn.data.pixel_moves import PixelMoves, PixelTransform, Transform, applied, check_images


class Compose:
    """One transform after the other: y = t_k(... t_2(t_1(x))). Those that only move, blank or scale pixels run together."""

    def __init__(self, transforms: Sequence[Transform]) -> None:
        self.transforms = tuple(transforms)

    def __call__(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return applied(single(self), images, rng)

    def __repr__(self) -> str:
        return f"Compose([{', '.join(map(repr, self.transforms))}])"


def single(transform: Transform | None) -> Iterator[Transform]:
    """The transforms that it is made of, in order; None is none."""
    if type(transform) is Compose:
        for part in transform.transforms:
            yield from single(part)
    elif transform is not None:
        yield transform


@dataclass(frozen=True)
class RandomShift(PixelTransform):
    """Move each image by a whole number of pixels; what comes in from outside is `fill`.

        y[n, c, h, w] = x[n, c, h - dy_n, w - dx_n],   dy_n, dx_n uniform in -pixels..pixels

    Shapes: (N, C, H, W) -> (N, C, H, W).
    """
    pixels: int
    fill: float = 0.0

    def __post_init__(self) -> None:
        _check_range("RandomShift: pixels", self.pixels, 0)

    def fits(self, moves: PixelMoves) -> bool:
        return moves.can_crop()

    def add_to(self, moves: PixelMoves, rng: np.random.Generator) -> None:
        RandomCrop(moves.size, self.pixels, self.fill).add_to(moves, rng)    # cutting H x W out of the padded image is shifting it


@dataclass(frozen=True)
class RandomCrop(PixelTransform):
    """Cut a window of `size` at a random place out of each image, padded with `fill` first.

        y[n, c, h, w] = padded[n, c, top_n + h, left_n + w],   top_n uniform in 0..H + 2*padding - OH, left_n likewise

    Shapes: (N, C, H, W) -> (N, C, OH, OW), size = OH or (OH, OW). Raises ValueError when the padded image is smaller than that.
    """
    size: int | Sequence[int]
    padding: int = 0
    fill: float = 0.0

    def __post_init__(self) -> None:
        _check_range("RandomCrop: padding", self.padding, 0)
        for size in _pair(self.size):
            _check_range("RandomCrop: size", size, 1)

    def fits(self, moves: PixelMoves) -> bool:
        return moves.can_crop()

    def add_to(self, moves: PixelMoves, rng: np.random.Generator) -> None:
        (H, W), (OH, OW), p = moves.size, _pair(self.size), self.padding
        if H + 2 * p < OH or W + 2 * p < OW:
            raise ValueError(f"RandomCrop: size ({OH}, {OW}) does not fit in images of ({H}, {W}) "
                             f"padded to ({H} + 2*{p}, {W} + 2*{p}) = ({H + 2 * p}, {W + 2 * p})")
        top = rng.integers(0, H + 2 * p - OH, len(moves), endpoint=True)
        left = rng.integers(0, W + 2 * p - OW, len(moves), endpoint=True)
        moves.crop(top - p, left - p, (OH, OW), self.fill)


@dataclass(frozen=True)
class RandomHorizontalFlip(PixelTransform):
    """Mirror each image, left to right, with probability p.

        y[n, c, h, w] = x[n, c, h, W - 1 - w] if u_n < p else x[n, c, h, w],   u_n uniform in [0, 1)

    Shapes: (N, C, H, W) -> (N, C, H, W).
    """
    p: float = 0.5

    def __post_init__(self) -> None:
        _check_range("RandomHorizontalFlip: p", self.p, 0, 1)

    def fits(self, moves: PixelMoves) -> bool:
        return moves.can_flip()

    def add_to(self, moves: PixelMoves, rng: np.random.Generator) -> None:
        moves.flip(rng.random(len(moves)) < self.p)


@dataclass(frozen=True)
class RandomRotation:
    """Turn each image about its centre by an angle of at most `degrees`, counter-clockwise when positive.

        y[n, c, h, w] = x[n, c] at (sh, sw), bilinear, 0 outside
        sh = ch + sin(a_n)*(w - cw) + cos(a_n)*(h - ch)      a_n uniform in [-degrees, degrees), in radians
        sw = cw + cos(a_n)*(w - cw) - sin(a_n)*(h - ch)      (ch, cw) = ((H - 1)/2, (W - 1)/2)

    Shapes: (N, C, H, W) -> (N, C, H, W).
    """
    degrees: float

    def __post_init__(self) -> None:
        _check_range("RandomRotation: degrees", self.degrees, 0)

    def __call__(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        check_images("RandomRotation", images)
        N, _, H, W = images.shape
        angle = np.deg2rad(rng.uniform(-self.degrees, self.degrees, (N, 1, 1)))
        sin, cos = np.sin(angle).astype(images.dtype), np.cos(angle).astype(images.dtype)
        ch, cw = (H - 1) / 2, (W - 1) / 2
        h = (np.arange(H) - ch).astype(images.dtype)[:, None]             # (H, 1)
        w = (np.arange(W) - cw).astype(images.dtype)                      # (W,)
        return bilinear(images, ch + (sin * w + cos * h), cw + (cos * w - sin * h))


def bilinear(images: np.ndarray, sh: np.ndarray, sw: np.ndarray) -> np.ndarray:
    """Read images (N, C, H, W) at the points (sh, sw), each (N, OH, OW), between pixels; 0 outside. -> (N, C, OH, OW)

        y = (1 - fh) * ((1 - fw)*x[h, w] + fw*x[h, w+1]) + fh * ((1 - fw)*x[h+1, w] + fw*x[h+1, w+1])

    with h = floor(sh), fh = sh - h, and the same for w.
    """
    N, C, H, W = images.shape
    padded = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)))             # a frame of zeros: the pixels outside
    sh, sw = sh.clip(-1, H)[:, None], sw.clip(-1, W)[:, None]             # (N, 1, OH, OW); what is farther out is zero too
    h, w = np.minimum(np.floor(sh), H - 1), np.minimum(np.floor(sw), W - 1)
    fh, fw = sh - h, sw - w
    first = np.arange(N * C).reshape(N, C, 1, 1) * ((H + 2) * (W + 2))    # where each plane starts in padded, flat
    at = first + (h.astype(np.intp) + 1) * (W + 2) + (w.astype(np.intp) + 1)      # (N, C, OH, OW)
    upper = (1 - fw) * padded.take(at) + fw * padded.take(at + 1)
    lower = (1 - fw) * padded.take(at + (W + 2)) + fw * padded.take(at + (W + 3))
    return (1 - fh) * upper + fh * lower


@dataclass(frozen=True)
class Cutout(PixelTransform):
    """Blank a square of each image, so that no single part decides (DeVries & Taylor 2017, arXiv:1708.04552).

        y[n, c, h, w] = 0 if top_n <= h < top_n + size and left_n <= w < left_n + size else x[n, c, h, w]

    top_n = ch_n - size//2 with the centre ch_n uniform in 0..H-1, left_n likewise: at the border part of the square is outside.
    Shapes: (N, C, H, W) -> (N, C, H, W).
    """
    size: int

    def __post_init__(self) -> None:
        _check_range("Cutout: size", self.size, 1)

    def fits(self, moves: PixelMoves) -> bool:
        return moves.can_flip()                                # after a flip, before another: for the square would be mirrored too

    def add_to(self, moves: PixelMoves, rng: np.random.Generator) -> None:
        top, left = (rng.integers(0, length, len(moves)) - self.size // 2 for length in moves.size)
        moves.blank(top, left, self.size)


@dataclass(frozen=True)
class Normalize(PixelTransform):
    """Give each channel mean 0 and variance 1, when `mean` and `std` are the data's own.

        y[n, c, h, w] = (x[n, c, h, w] - mean[c]) / std[c]

    Shapes: (N, C, H, W) -> (N, C, H, W), mean and std of length C. Raises ValueError when they are not, or a std is not positive.
    """
    mean: Sequence[float]
    std: Sequence[float]

    def __post_init__(self) -> None:
        if len(self.mean) != len(self.std) or not all(s > 0 for s in self.std):
            raise ValueError(f"Normalize: mean {tuple(self.mean)} and std {tuple(self.std)} need one value a channel each, "
                             "and every std must be positive")

    def fits(self, moves: PixelMoves) -> bool:
        return moves.can_normalize()

    def add_to(self, moves: PixelMoves, rng: Any) -> None:
        if len(self.mean) != moves.channels:
            raise ValueError(f"Normalize: images have {moves.channels} channels (shape {moves.images.shape}), "
                             f"mean and std have {len(self.mean)}")
        moves.normalize(self.mean, self.std)


def _pair(size: int | Sequence[int]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else (size[0], size[1])


def _check_range(name: str, value: float, low: float, high: float = np.inf) -> None:
    if not low <= value <= high:
        raise ValueError(f"{name} is {value}, expected " + (f"{low}..{high}" if high < np.inf else f"at least {low}"))
