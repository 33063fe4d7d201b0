"""occlusion(model, x): how the probability of a class drops when a part of the image is covered."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minicnn.autograd import no_grad
from minicnn.inspect.recorder import in_mode
from minicnn.inspect.showing.about import About
from minicnn.inspect.showing.classes import Target, class_scores, probabilities, targets
from minicnn.inspect.showing.heat import Heat, Manner
from minicnn.inspect.showing.inputs import BATCH, given, host
from minicnn.kernels import devices
from minicnn.kernels.window import pair
from minicnn.nn import Module
from minicnn.tensor import Tensor

MANNER = Manner("occlusion", "drop of the probability where it is covered", overlaid=False, own=False)


def occlusion(model: Module, x: Any, target: Target = None, patch: int | Sequence[int] | None = None,
              stride: int | Sequence[int] | None = None, *, fill: float | Sequence[float] | None = None,
              about: About | None = None) -> Heat:
    """How much the probability of a class drops when a patch is covered (Zeiler and Fergus: "Visualizing and Understanding Convolutional
    Networks", 2013):

        values[n, i, j] = p(target | x[n]) - p(target | x[n] with the patch at (top[i], left[j]) filled)

    heat: for each pixel the mean over the patches that cover it; negative where the class becomes more probable.

    patch: height and width, a number or a pair; a quarter of the image if None. stride: from one patch to the next, half a patch if None;
    a last one always ends at the border. fill: a value, or one for each channel; the mean of the images, channel by channel, if None.
    target: a class, one for each image, or None for the most probable. The model runs in eval mode and is left as it was.

    Raises ValueError for a patch larger than the image, a network that gives no (N, classes), or a class that does not exist.
    """
    x = given("occlusion", model, x)
    pixels = host(x)
    N, _, H, W = pixels.shape
    PH, PW = pair(patch if patch is not None else max(1, min(H, W) // 4), "patch", least=1)
    SH, SW = pair(stride if stride is not None else (max(1, PH // 2), max(1, PW // 2)), "stride", least=1)
    if PH > H or PW > W:
        raise ValueError(f"occlusion: a patch of {PH}x{PW} is larger than the image, {H}x{W}")
    cover = _fill(fill, pixels)
    tops, lefts = _starts(H, PH, SH), _starts(W, PW, SW)
    with in_mode(model, False), no_grad():
        scores = class_scores("occlusion", model(x))
        chosen = targets("occlusion", scores, target)
        covered = np.empty((N, len(tops) * len(lefts)))
        for n in range(N):
            covered[n] = _covered(model, x, pixels[n], int(chosen[n]), cover, tops, lefts, (PH, PW))
    before = probabilities(scores)
    drops = (before[np.arange(N), chosen][:, None] - covered).reshape(N, len(tops), len(lefts))
    settings = {"patch": f"{PH}x{PW}", "stride": f"{SH}x{SW}"}
    heat = _spread(drops, tops, lefts, (PH, PW), (H, W))
    return Heat(MANNER, heat, chosen, before, pixels, (about or About()).named(model), drops, settings)


def _fill(fill: Any, pixels: np.ndarray) -> np.ndarray:
    """What to cover with, (C, 1, 1)."""
    C = pixels.shape[1]
    found = pixels.mean(axis=(0, 2, 3), dtype=np.float64) if fill is None else np.asarray(fill, np.float64)
    if found.ndim > 1 or (found.ndim == 1 and len(found) != C) or not np.isfinite(found).all():
        raise ValueError(f"occlusion: fill is {fill!r}: give one number, or one for each of the {C} channels")
    return np.broadcast_to(found, (C,)).astype(pixels.dtype)[:, None, None]


def _starts(n: int, patch: int, stride: int) -> list[int]:
    """0, stride, 2 * stride, ... and n - patch, so that the last patch ends at the border."""
    return sorted({*range(0, n - patch + 1, stride), n - patch})


def _covered(model: Module, x: Tensor, image: np.ndarray, target: int, cover: np.ndarray, tops: list[int], lefts: list[int],
             patch: tuple[int, int]) -> np.ndarray:
    """The probability of `target` for every place of the patch, row by row."""
    places = [(top, left) for top in tops for left in lefts]
    found = []
    for start in range(0, len(places), BATCH):
        some = places[start:start + BATCH]
        copies = np.repeat(image[None], len(some), axis=0)
        for copy, (top, left) in zip(copies, some, strict=True):
            copy[:, top:top + patch[0], left:left + patch[1]] = cover
        found.append(probabilities(host(model(Tensor(devices.beside(copies, x.array)))))[:, target])
    return np.concatenate(found)


def _spread(drops: np.ndarray, tops: list[int], lefts: list[int], patch: tuple[int, int], size: tuple[int, int]) -> np.ndarray:
    """For each pixel the mean of the drops of the patches that cover it; 0 for pixels between patches. (N, OH, OW) -> (N, H, W)."""
    rows, columns = (np.array([[start <= i < start + p for i in range(n)] for start in starts], np.float64)
                     for starts, p, n in zip((tops, lefts), patch, size, strict=True))
    count = np.einsum("ih,jw->hw", rows, columns)
    return np.einsum("nij,ih,jw->nhw", drops, rows, columns) / np.maximum(count, 1)
