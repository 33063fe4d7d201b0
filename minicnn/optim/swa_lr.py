"""SWALR: the learning rate goes to a constant one, at which weights are then averaged."""
from __future__ import annotations

import math
from collections.abc import Sequence

from minicnn.optim.optimizer import Optimizer
from minicnn.optim.scheduler import LRScheduler, check_steps, each_group


class SWALR(LRScheduler):
    """From the rate there is to swa_lr in anneal_epochs steps, and swa_lr from then on (Izmailov et al., 2018).

        lr_t = lr_0 + (swa_lr - lr_0) * a(t / anneal_epochs),   a(s) = (1 - cos(pi * s)) / 2, or s with anneal_strategy="linear"

    swa_lr: for all groups, or a list with one a group. Other schedules may change the rate as well: what they did is kept.
    """

    def __init__(self, optimizer: Optimizer, swa_lr: float | Sequence[float], anneal_epochs: int = 10, anneal_strategy: str = "cos",
                 last_epoch: int = -1) -> None:
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"SWALR: anneal_strategy is {anneal_strategy!r}, expected 'cos' or 'linear'")
        check_steps("SWALR", "anneal_epochs", anneal_epochs, 0)
        self.swa_lrs = each_group("SWALR", optimizer, "swa_lr", swa_lr)
        self.anneal_epochs, self.anneal_strategy = anneal_epochs, anneal_strategy
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        rates = [group["lr"] for group in self.optimizer.param_groups]
        if self._resuming:
            return rates
        t = max(1, self.last_epoch) if self.anneal_epochs == 0 else self.last_epoch
        before, now = self._share(t - 1), self._share(t)
        starts = [swa_lr if before == 1 else (lr - before * swa_lr) / (1 - before) for lr, swa_lr in zip(rates, self.swa_lrs, strict=True)]
        return [swa_lr * now + start * (1 - now) for start, swa_lr in zip(starts, self.swa_lrs, strict=True)]

    def _share(self, t: int) -> float:
        """How much of the way is done at step t, 0..1."""
        done = min(1.0, max(0.0, t / max(1, self.anneal_epochs)))
        return done if self.anneal_strategy == "linear" else (1 - math.cos(math.pi * done)) / 2
