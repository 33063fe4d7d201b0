"""How good predictions are: accuracy, and the confusion matrix that every other number here comes from."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minicnn.tensor import Tensor


def accuracy(logits: Any, labels: Any) -> float:
    """The share of rows of logits (N, K) whose largest value is at the label (N,). The first of equal values counts; NaN is wrong."""
    predicted, labels = predictions(logits), _array(labels)
    if len(labels) == 0:
        raise ValueError("accuracy: there are no labels, so no share of them is right")
    return float((predicted == labels).mean())


def predictions(logits: Any) -> Any:
    """The class of each row of logits (N, K), as (N,), where they are; -1 for a row with a NaN, which is no prediction at all."""
    logits = _array(logits)
    return np.where(np.isnan(logits).any(axis=1), -1, logits.argmax(axis=1))


def _array(values: Any) -> Any:
    """The array of a Tensor, an array as it is, a list as a NumPy array."""
    return values.array if isinstance(values, Tensor) else values if hasattr(values, "dtype") else np.asarray(values)


def confusion_matrix(predicted: Any, labels: Any, classes: int) -> np.ndarray:
    """counts[t, p]: how many images of class t were taken for class p. Shapes: (N,), (N,) -> (K, K), K = classes.

    >>> confusion_matrix([0, 1, 1, 1], [0, 0, 1, 1], classes=2)
    array([[1, 1],
           [0, 2]])
    """
    predicted, labels = np.asarray(predicted, dtype=np.int64), np.asarray(labels, dtype=np.int64)
    if predicted.shape != labels.shape:
        raise ValueError(f"confusion_matrix: predicted has shape {predicted.shape}, labels {labels.shape}")
    for name, values in (("prediction", predicted), ("label", labels)):
        if values.size and not 0 <= values.min() <= values.max() < classes:
            wrong = int(np.flatnonzero((values < 0) | (values >= classes))[0])
            raise ValueError(f"confusion_matrix: {name} {values[wrong]} at {wrong} is out of range: {classes} classes are 0..{classes - 1}")
    return np.bincount(labels * classes + predicted, minlength=classes**2).reshape(classes, classes)


def table(counts: np.ndarray, classes: Sequence[str]) -> str:
    """The confusion matrix as text: a row a true class with its share found (recall), a column a predicted class, `.` for none."""
    names = [name if name == str(i) else f"{i} {short(name)}" for i, name in enumerate(classes)]
    left, width = max(len("true"), *map(len, names)), max(len(str(counts.max())), len(str(len(classes) - 1)), 3) + 1
    lines = [f"{'true':>{left}} |" + "".join(f"{i:>{width}}" for i in range(len(classes))) + "  found"]
    for name, i in zip(names, range(len(classes)), strict=True):
        found = f"{counts[i, i] / counts[i].sum():7.1%}" if counts[i].sum() else "      –"
        lines.append(f"{name:>{left}} |" + "".join(f"{count or '.':>{width}}" for count in counts[i]) + found)
    return "\n".join(lines)


def worst(counts: np.ndarray, classes: Sequence[str], most: int = 3) -> list[str]:
    """The most frequent confusions: ["8 taken for 1: 3", ...]."""
    wrong = counts - np.diag(np.diag(counts))
    order = np.argsort(-wrong, axis=None, kind="stable")[:most]
    pairs = [(int(i) // len(classes), int(i) % len(classes)) for i in order]
    return [f"{short(classes[t])} taken for {short(classes[p])}: {wrong[t, p]}" for t, p in pairs if wrong[t, p]]


def short(name: str, most: int = 24) -> str:
    """A class's name on one line, cut to `most` characters."""
    name = " ".join(name.split())
    return name if len(name) <= most else name[:most - 1] + "…"
