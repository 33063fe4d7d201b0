"""Every loss beside torch's: value and gradients, for each reduction."""
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from minicnn import Tensor, nn
from tests.nn.beside_torch import compare
from tests.strategies import floats

SCORES, LABELS = floats((6, 4), 0, np.float64), np.array([0, 3, 1, 1, -100, 2])
MAPS, MAP_LABELS = floats((2, 4, 3, 5), 1, np.float64), np.random.default_rng(2).integers(0, 4, (2, 3, 5))
TARGETS = floats((6, 4), 3, np.float64)
PROBABILITIES = np.exp(TARGETS) / np.exp(TARGETS).sum(axis=1, keepdims=True)


def weights(nn: Any, n: int = 4) -> Any:
    """0.5, 1.5, ... in the framework that `nn` belongs to."""
    values = np.arange(n) + 0.5
    return torch.tensor(values) if nn is torch.nn else Tensor(values)


# (how to build it with a reduction, input, target)
LOSSES: dict[str, tuple[Callable[[Any, str], Any], np.ndarray, np.ndarray]] = {
    "cross entropy": (lambda nn, r: nn.CrossEntropyLoss(reduction=r), SCORES, LABELS),
    "cross entropy, weighted": (lambda nn, r: nn.CrossEntropyLoss(weights(nn), reduction=r), SCORES, LABELS),
    "cross entropy, smoothed": (lambda nn, r: nn.CrossEntropyLoss(weights(nn), label_smoothing=0.1, ignore_index=1, reduction=r),
                                SCORES[:4], LABELS[:4]),
    "cross entropy, images": (lambda nn, r: nn.CrossEntropyLoss(reduction=r), MAPS, MAP_LABELS),
    "cross entropy, probabilities": (lambda nn, r: nn.CrossEntropyLoss(label_smoothing=0.2, reduction=r), SCORES, PROBABILITIES),
    "cross entropy, one": (lambda nn, r: nn.CrossEntropyLoss(reduction=r), SCORES[0], LABELS[1]),
    "nll": (lambda nn, r: nn.NLLLoss(weights(nn), reduction=r), SCORES, LABELS),
    "nll, ignore": (lambda nn, r: nn.NLLLoss(ignore_index=2, reduction=r), MAPS, MAP_LABELS),
    "mse": (lambda nn, r: nn.MSELoss(reduction=r), SCORES, TARGETS),
    "l1": (lambda nn, r: nn.L1Loss(reduction=r), SCORES, TARGETS),
    "smooth l1": (lambda nn, r: nn.SmoothL1Loss(reduction=r), SCORES, TARGETS),
    "smooth l1, beta": (lambda nn, r: nn.SmoothL1Loss(reduction=r, beta=0.4), SCORES, TARGETS),
    "bce": (lambda nn, r: nn.BCEWithLogitsLoss(reduction=r), SCORES, PROBABILITIES),
    "bce, weighted": (lambda nn, r: nn.BCEWithLogitsLoss(weights(nn), pos_weight=weights(nn), reduction=r), SCORES, PROBABILITIES),
}


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize(("build", "x", "target"), LOSSES.values(), ids=LOSSES)
def test_as_torch(build: Callable, x: np.ndarray, target: np.ndarray, reduction: str) -> None:
    ours, theirs = build(nn, reduction), build(torch.nn, reduction)
    assert repr(ours) == repr(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    compare(ours, theirs, x, target)


@pytest.mark.parametrize("loss", ["CrossEntropyLoss", "NLLLoss", "MSELoss", "L1Loss", "SmoothL1Loss", "BCEWithLogitsLoss"])
def test_unknown_reduction(loss: str) -> None:
    with pytest.raises(ValueError, match=f"^{loss}: reduction is 'average': must be one of 'none', 'mean', 'sum'$"):
        getattr(nn, loss)(reduction="average")
