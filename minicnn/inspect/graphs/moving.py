"""What follows when an image moves: shifted images, and where the units are that cannot have noticed anything but the shift."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from minicnn.inspect.receptive_fields import Cone
from minicnn.inspect.receptive_fields.lattice import Lattice

AXES = {"height": 0, "width": 1}


def shifted(x: np.ndarray, by: int, axis: int) -> np.ndarray:
    """y[..., i] = x[..., i - by] along axis 2 + `axis` of (N, C, H, W); pixels that come in repeat the border's.

    >>> from minicnn.inspect.graphs.moving import shifted
    >>> shifted(np.arange(5).reshape(1, 1, 1, 5), 2, 1).tolist()
    [[[[0, 0, 0, 1, 2]]]]
    """
    n = x.shape[2 + axis]
    return x.take(np.clip(np.arange(n) - by, 0, n - 1), 2 + axis)


def smooth_noise(shape: Sequence[int], seed: int = 0, dtype: Any = np.float32) -> np.ndarray:
    """Random images whose neighbours are alike, as in photographs: white noise, blurred over 5 x 5 pixels three times, mean 0 and std 1.

    In white noise a shift by one pixel changes everything, so that nothing could follow it by half a step; real images are in between.
    """
    x = np.random.default_rng(seed).standard_normal(tuple(shape))
    for axis in (2, 3):
        for _ in range(3):
            x = sum((np.roll(x, k, axis) for k in range(-2, 3)), np.zeros_like(x)) / 5
    x = x - x.mean(axis=(1, 2, 3), keepdims=True)
    std = x.std(axis=(1, 2, 3), keepdims=True)
    return np.asarray(np.divide(x, std, out=np.zeros_like(x), where=std > 0), dtype)


@dataclass(frozen=True, eq=False)
class Compared:
    """after[..., there] of the shifted image is to equal before[..., here] of the image, along the axis of the shift.

    interior: (OH, OW) over `there`: units that saw neither the border nor what came in, before and after. whole: whether the shift is a
    whole number of units.
    """
    by: int
    whole: bool
    here: slice
    there: slice
    interior: np.ndarray


def compared(cone: Cone, shape: tuple[int, ...], by: int, axis: int, follow: bool) -> Compared:
    """For a map of shape (N, F, OH, OW). follow: units move with the image, by `by` / jump of them, or stay where they are."""
    step = Fraction(0)
    lattice = cone.lattices[axis]
    if follow and lattice is not None:
        step = by / lattice.jump
    units, n = round(step), shape[2 + axis]
    there, here = slice(max(units, 0), n + min(units, 0)), slice(max(-units, 0), n + min(-units, 0))
    size = cone.image[axis]
    pixels = max(by, 0), size - 1 + min(by, 0)                  # those that came from the image
    inside = [_within(cone.lattices[a], shape[2 + a], 0, cone.image[a] - 1) for a in (0, 1)]
    after = _within(lattice, n, *pixels)
    inside[axis] = (after[there] & inside[axis][here])[:max(there.stop - there.start, 0)]
    return Compared(units, step == units, here, there, np.logical_and.outer(*inside))


def _within(lattice: Lattice | None, n: int, first: int, last: int) -> np.ndarray:
    """(n): whether a unit sees nothing but pixels first..last, padding counted as pixels. Units in no regular order see the border."""
    if lattice is None:
        return np.zeros(n, bool)
    spans = [lattice(o) for o in range(n)]
    return np.array([span is None or (span[0] >= first and span[1] <= last) for span in spans], bool)
