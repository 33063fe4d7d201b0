"""Losses: how far the output is from the target, as one number to minimise.

reduction: "mean" (the default), "sum", or "none" for a loss per element (CrossEntropyLoss, NLLLoss: per label).
"""
from __future__ import annotations

from minicnn.nn import functional as F
from minicnn.nn.arguments import one_of
from minicnn.nn.module import Module
from minicnn.tensor import Tensor


class _Loss(Module):
    def __init__(self, reduction: str = "mean") -> None:
        super().__init__()
        one_of(type(self).__name__, "reduction", reduction, ("none", "mean", "sum"))
        self.reduction = reduction


class CrossEntropyLoss(_Loss):
    """The surprise at the right class: the loss of a classifier.

        loss[n] = -weight[t] * log softmax(x[n])[t], t = target[n]

    Shapes: x (N, C), scores before the softmax (logits), and target (N), labels 0..C-1; or x (N, C, ...) and target (N, ...); or x (C)
    and a single label; or target as probabilities in the shape of x.

    weight (C): how much a class counts; the mean is then weighted too. ignore_index: a label that counts nothing.
    label_smoothing: the share of the target that is spread evenly over all classes. Raises ValueError for a label out of range.
    """

    def __init__(self, weight: Tensor | None = None, *, ignore_index: int = -100, reduction: str = "mean",
                 label_smoothing: float = 0.0) -> None:
        super().__init__(reduction)
        self.register_buffer("weight", weight)
        self.ignore_index, self.label_smoothing = ignore_index, label_smoothing

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(x, target, weight=self.weight, ignore_index=self.ignore_index, reduction=self.reduction,
                               label_smoothing=self.label_smoothing)


class NLLLoss(_Loss):
    """CrossEntropyLoss for log-probabilities, such as LogSoftmax's output: loss[n] = -weight[t] * x[n, t], t = target[n]."""

    def __init__(self, weight: Tensor | None = None, *, ignore_index: int = -100, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.register_buffer("weight", weight)
        self.ignore_index = ignore_index

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        return F.nll_loss(x, target, weight=self.weight, ignore_index=self.ignore_index, reduction=self.reduction)


class MSELoss(_Loss):
    """loss = (x - target)². Shapes: x and target the same."""

    def __init__(self, *, reduction: str = "mean") -> None:
        super().__init__(reduction)

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        return F.mse_loss(x, target, reduction=self.reduction)


class L1Loss(_Loss):
    """loss = |x - target|. Shapes: x and target the same."""

    def __init__(self, *, reduction: str = "mean") -> None:
        super().__init__(reduction)

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        return F.l1_loss(x, target, reduction=self.reduction)


class SmoothL1Loss(_Loss):
    """loss = d²/(2·beta) where d = |x - target| < beta, d - beta/2 elsewhere. Shapes: x and target the same."""

    def __init__(self, *, reduction: str = "mean", beta: float = 1.0) -> None:
        super().__init__(reduction)
        self.beta = beta

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        return F.smooth_l1_loss(x, target, reduction=self.reduction, beta=self.beta)


class BCEWithLogitsLoss(_Loss):
    """Binary cross-entropy for scores before the sigmoid, p = sigmoid(x).

        loss = -weight * (pos_weight * target * log p + (1 - target) * log(1 - p))

    Shapes: x and target (0..1) the same; weight and pos_weight broadcast against them.
    """

    def __init__(self, weight: Tensor | None = None, *, reduction: str = "mean", pos_weight: Tensor | None = None) -> None:
        super().__init__(reduction)
        self.register_buffer("weight", weight)
        self.register_buffer("pos_weight", pos_weight)

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(x, target, weight=self.weight, reduction=self.reduction, pos_weight=self.pos_weight)
