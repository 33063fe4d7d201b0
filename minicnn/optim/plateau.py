"""ReduceLROnPlateau: a lower rate when a measurement stops getting better."""
from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from minicnn.optim.optimizer import Optimizer
from minicnn.optim.scheduler import LRScheduler, each_group


class ReduceLROnPlateau(LRScheduler):
    """Multiply by `factor` after more than `patience` steps without improvement; never below min_lr. Call `step(measurement)`.

    Better means, for mode "min": below best * (1 - threshold), or below best - threshold when threshold_mode is "abs"; for mode "max"
    above best * (1 + threshold) or best + threshold. After a reduction, `cooldown` steps do not count. A change of at most eps is not made.
    """

    def __init__(self, optimizer: Optimizer, mode: str = "min", factor: float = 0.1, patience: int = 10, threshold: float = 1e-4,
                 threshold_mode: str = "rel", cooldown: int = 0, min_lr: float | Sequence[float] = 0, eps: float = 1e-8) -> None:
        if not 0 <= factor < 1:
            raise ValueError(f"ReduceLROnPlateau: factor is {factor}, expected 0 <= factor < 1")
        for option, value, known in (("mode", mode, ("min", "max")), ("threshold_mode", threshold_mode, ("rel", "abs"))):
            if value not in known:
                raise ValueError(f"ReduceLROnPlateau: {option} is {value!r}, expected {known[0]!r} or {known[1]!r}")
        self.mode, self.factor, self.patience, self.threshold, self.threshold_mode = mode, factor, patience, threshold, threshold_mode
        self.cooldown, self.eps = cooldown, eps
        self.optimizer = optimizer
        self.min_lrs = each_group("ReduceLROnPlateau", optimizer, "min_lr", min_lr)
        self.best = math.inf if mode == "min" else -math.inf
        self.last_epoch = self.num_bad_epochs = self.cooldown_counter = 0
        self._last_lr = [group["lr"] for group in optimizer.param_groups]

    def step(self, metrics: Any) -> None:  # type: ignore[override]  # the one schedule that looks at a result
        value = float(metrics)
        self.last_epoch += 1
        if self._better(value):
            self.best, self.num_bad_epochs = value, 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter, self.num_bad_epochs = self.cooldown_counter - 1, 0
        if self.num_bad_epochs > self.patience:
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0
            for group, least in zip(self.optimizer.param_groups, self.min_lrs, strict=True):
                lr = max(group["lr"] * self.factor, least)
                if group["lr"] - lr > self.eps:
                    group["lr"] = lr
        self._last_lr = [group["lr"] for group in self.optimizer.param_groups]

    def _better(self, value: float) -> bool:
        """NaN is never better."""
        sign = -1 if self.mode == "min" else 1
        if self.threshold_mode == "rel":
            return sign * value > sign * self.best * (1 + sign * self.threshold)
        return sign * value > sign * (self.best + sign * self.threshold)
