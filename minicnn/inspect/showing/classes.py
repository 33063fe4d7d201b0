"""Classes: the scores of a network, its probabilities, and the class that a question is about."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minicnn.inspect.showing.inputs import host
from minicnn.tensor import Tensor

Target = int | Sequence[int] | np.ndarray | Tensor | None


def class_scores(what: str, y: Tensor) -> np.ndarray:
    """The scores (N, K) of a network that classifies. Raises ValueError for an output of another shape."""
    if y.ndim != 2:
        raise ValueError(f"{what}: the network must give one score a class, (N, classes), its output has shape {y.shape}")
    return host(y)


def probabilities(scores: np.ndarray) -> np.ndarray:
    """softmax(scores), row by row, in float64."""
    e = np.exp(scores.astype(np.float64) - scores.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def targets(what: str, scores: np.ndarray, target: Target) -> np.ndarray:
    """The class asked about, for each image (N): the one with the highest score for None, one for all, or one each.

    Raises ValueError for a class that does not exist and for a wrong number of them.
    """
    N, K = scores.shape
    if target is None:
        return scores.argmax(axis=1)
    chosen: Any = host(target) if isinstance(target, Tensor) else np.asarray(target)
    if chosen.dtype.kind not in "iu":
        raise TypeError(f"{what}: target is {target!r}: give the number of a class, 0 to {K - 1}, or one for each image")
    if chosen.ndim > 1 or (chosen.ndim == 1 and len(chosen) != N):
        raise ValueError(f"{what}: target has shape {chosen.shape}: give one class, or one for each of the {N} images")
    chosen = np.broadcast_to(chosen, (N,)).astype(np.int64)
    if chosen.min() < 0 or chosen.max() >= K:
        wrong = int(chosen[(chosen < 0) | (chosen >= K)][0])
        raise ValueError(f"{what}: target {wrong} is out of range: the network has {K} classes, 0 to {K - 1}")
    return chosen


def one_hot(chosen: np.ndarray, like: np.ndarray) -> np.ndarray:
    """The gradient of the chosen scores with respect to all scores: 1 at (i, chosen[i])."""
    dy = np.zeros_like(like)
    dy[np.arange(len(chosen)), chosen] = 1
    return dy
