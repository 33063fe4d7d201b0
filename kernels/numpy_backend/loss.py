"""Softmax and cross-entropy in one: logits x (N, K) and labels (N) -> the loss of each sample (N)."""
from __future__ import annotations

from typing import Any

import numpy as np


def softmax_cross_entropy(x: Any, labels: Any) -> tuple[Any, Any]:
    """loss[n] = log(sum over k of exp(x[n, k])) - x[n, labels[n]], and the probabilities that the gradient needs.

    The row's maximum is taken out first, so that exp never overflows. Returns losses (N), probabilities (N, K).
    """
    shifted = x - x.max(axis=1, keepdims=True)
    exp = np.exp(shifted)
    total = exp.sum(axis=1, keepdims=True)
    losses = np.log(total[:, 0]) - np.take_along_axis(shifted, labels[:, None], axis=1)[:, 0]
    return losses, exp / total


def softmax_cross_entropy_grad(dlosses: Any, probabilities: Any, labels: Any) -> Any:
    """dx[n, k] = dlosses[n] * (probabilities[n, k] - [k == labels[n]]): what was predicted minus what is true."""
    one_hot = labels[:, None] == np.arange(probabilities.shape[1], like=labels)
    return dlosses[:, None] * (probabilities - one_hot)
