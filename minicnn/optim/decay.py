"""Schedules that follow one formula: steps, exponential, cosine, a function of one's own, and warm-ups."""
from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from minicnn.optim.optimizer import Optimizer
from minicnn.optim.scheduler import LRScheduler, check_steps, check_within, each_group


class StepLR(LRScheduler):
    """Multiply by gamma every step_size steps: lr_t = lr_0 * gamma^floor(t / step_size)."""

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1) -> None:
        check_steps("StepLR", "step_size", step_size)
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer, last_epoch)

    def next_lr(self, lr: float, base_lr: float) -> float:
        return lr * self.gamma if self.last_epoch and self.last_epoch % self.step_size == 0 else lr


class MultiStepLR(LRScheduler):
    """Multiply by gamma at each of `milestones` (twice where one is listed twice)."""

    def __init__(self, optimizer: Optimizer, milestones: Iterable[int], gamma: float = 0.1, last_epoch: int = -1) -> None:
        self.milestones, self.gamma = Counter(milestones), gamma
        super().__init__(optimizer, last_epoch)

    def next_lr(self, lr: float, base_lr: float) -> float:
        return lr * self.gamma ** self.milestones[self.last_epoch]

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self.milestones = Counter({int(step): times for step, times in self.milestones.items()})     # JSON has made texts of them


class ExponentialLR(LRScheduler):
    """lr_t = lr_0 * gamma^t."""

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def next_lr(self, lr: float, base_lr: float) -> float:
        return lr * self.gamma if self.last_epoch else lr


class LambdaLR(LRScheduler):
    """lr_t = lr_0 * f(t), with a function f of your own, or a list of them, one a parameter group."""

    def __init__(self, optimizer: Optimizer, lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]],
                 last_epoch: int = -1) -> None:
        self.lr_lambdas = each_group("LambdaLR", optimizer, "lr_lambda", lr_lambda)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        return [base_lr * f(self.last_epoch) for base_lr, f in zip(self.base_lrs, self.lr_lambdas, strict=True)]


class LinearLR(LRScheduler):
    """A straight line: lr_t = lr_0 * (start + (end - start) * min(t, total_iters) / total_iters). The usual warm-up."""

    def __init__(self, optimizer: Optimizer, start_factor: float = 1 / 3, end_factor: float = 1.0, total_iters: int = 5,
                 last_epoch: int = -1) -> None:
        if not 0 < start_factor <= 1:
            raise ValueError(f"LinearLR: start_factor is {start_factor}, expected 0 < start_factor <= 1")
        check_within("LinearLR", "end_factor", end_factor, 0, 1)
        check_steps("LinearLR", "total_iters", total_iters)
        self.start_factor, self.end_factor, self.total_iters = start_factor, end_factor, total_iters
        super().__init__(optimizer, last_epoch)

    def next_lr(self, lr: float, base_lr: float) -> float:
        if self.last_epoch > self.total_iters:
            return lr
        return lr * self._line(self.last_epoch) / (self._line(self.last_epoch - 1) if self.last_epoch else 1)

    def _line(self, t: int) -> float:
        return self.start_factor + (self.end_factor - self.start_factor) * t / self.total_iters


class ConstantLR(LRScheduler):
    """lr_t = lr_0 * factor while t < total_iters, and lr_0 from then on."""

    def __init__(self, optimizer: Optimizer, factor: float = 1 / 3, total_iters: int = 5, last_epoch: int = -1) -> None:
        if not 0 < factor <= 1:
            raise ValueError(f"ConstantLR: factor is {factor}, expected 0 < factor <= 1")
        self.factor, self.total_iters = factor, total_iters
        super().__init__(optimizer, last_epoch)

    def next_lr(self, lr: float, base_lr: float) -> float:
        if self.last_epoch == 0:
            return lr * self.factor
        return lr / self.factor if self.last_epoch == self.total_iters else lr


class CosineAnnealingLR(LRScheduler):
    """Half a wave of the cosine from lr_0 down to eta_min (Loshchilov and Hutter, 2017), and up again after T_max steps:

        lr_t = eta_min + (lr_0 - eta_min) * (1 + cos(pi * t / T_max)) / 2
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1) -> None:
        check_steps("CosineAnnealingLR", "T_max", T_max)
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer, last_epoch)

    def next_lr(self, lr: float, base_lr: float) -> float:
        t = self.last_epoch
        if t == 0:
            return lr
        if (t - 1) % (2 * self.T_max) == self.T_max:           # the wave was at its bottom: nothing left to multiply
            return lr + (base_lr - self.eta_min) * (1 + self._cosine(t)) / 2
        return self.eta_min + (lr - self.eta_min) * (1 + self._cosine(t)) / (1 + self._cosine(t - 1))

    def _cosine(self, t: int) -> float:
        return math.cos(math.pi * t / self.T_max)
