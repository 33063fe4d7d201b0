"""OneCycleLR: a warm-up, then a long fall, with the momentum moving the other way."""
from __future__ import annotations

import math
from collections.abc import Sequence

from minicnn.optim.optimizer import Optimizer
from minicnn.optim.scheduler import LRScheduler, check_steps, check_within, each_group


class OneCycleLR(LRScheduler):
    """The 1cycle policy (Smith and Topin, 2018), stepped after every batch.

        lr: max_lr/div_factor  ->  max_lr  during the first pct_start of the steps,  ->  max_lr/div_factor/final_div_factor at the end
        momentum (beta1 for Adam): max_momentum -> base_momentum -> max_momentum, when cycle_momentum

    Each arrow is half a wave of the cosine, or a line (anneal_strategy="linear"). three_phase: fall back to the first rate as fast as
    it rose, then to the last. The number of steps is total_steps, or epochs * steps_per_epoch; one step more is a ValueError.
    """

    def __init__(self, optimizer: Optimizer, max_lr: float | Sequence[float], total_steps: int | None = None, epochs: int | None = None,
                 steps_per_epoch: int | None = None, pct_start: float = 0.3, anneal_strategy: str = "cos", cycle_momentum: bool = True,
                 base_momentum: float | Sequence[float] = 0.85, max_momentum: float | Sequence[float] = 0.95, div_factor: float = 25.0,
                 final_div_factor: float = 1e4, three_phase: bool = False, last_epoch: int = -1) -> None:
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise ValueError("OneCycleLR: how long is the cycle? Give total_steps, or epochs and steps_per_epoch")
            check_steps("OneCycleLR", "epochs", epochs)
            check_steps("OneCycleLR", "steps_per_epoch", steps_per_epoch)
            total_steps = epochs * steps_per_epoch
        check_steps("OneCycleLR", "total_steps", total_steps)
        check_within("OneCycleLR", "pct_start", pct_start, 0, 1)
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"OneCycleLR: anneal_strategy is {anneal_strategy!r}, expected 'cos' or 'linear'")
        if cycle_momentum and not {"momentum", "betas"} & optimizer.defaults.keys():
            raise ValueError(f"OneCycleLR: {type(optimizer).__name__} has no momentum to cycle: pass cycle_momentum=False")
        self.total_steps, self.anneal_strategy, self.cycle_momentum = total_steps, anneal_strategy, cycle_momentum
        self.phases = _phases(pct_start * total_steps - 1, total_steps - 1, three_phase)
        if last_epoch == -1:
            for group, high in zip(optimizer.param_groups, each_group("OneCycleLR", optimizer, "max_lr", max_lr), strict=True):
                first = high / div_factor
                group.update(initial_lr=first, max_lr=high, min_lr=first / final_div_factor)
            momenta = [each_group("OneCycleLR", optimizer, name, value)
                       for name, value in (("base_momentum", base_momentum), ("max_momentum", max_momentum))]
            for group, low, high in zip(optimizer.param_groups, *momenta, strict=True) if cycle_momentum else ():
                group.update(base_momentum=low, max_momentum=high)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        if self.last_epoch > self.total_steps:
            raise ValueError(f"OneCycleLR: step {self.last_epoch} of a cycle of {self.total_steps} steps: step() was called too often")
        i = next((i for i, (end, *_) in enumerate(self.phases) if self.last_epoch <= end), len(self.phases) - 1)
        begin = self.phases[i - 1][0] if i else 0.0
        end, lr, momentum = self.phases[i]
        done = (self.last_epoch - begin) / (end - begin) if end > begin else 1.0
        for group in self.optimizer.param_groups if self.cycle_momentum else ():
            value = self._between(group[momentum[0]], group[momentum[1]], done)
            if "betas" in group:
                group["betas"] = (value, group["betas"][1])
            else:
                group["momentum"] = value
        return [self._between(group[lr[0]], group[lr[1]], done) for group in self.optimizer.param_groups]

    def _between(self, start: float, end: float, done: float) -> float:
        if self.anneal_strategy == "linear":
            return start + (end - start) * min(done, 1.0)      # torch goes on past the last step, to a rate below 0
        return end + (start - end) * (1 + math.cos(math.pi * done)) / 2


Phase = tuple[float, tuple[str, str], tuple[str, str]]


def _phases(rise: float, last: int, three_phase: bool) -> list[Phase]:
    """(its last step, learning rate from and to, momentum from and to) of each phase; `rise` is the first phase's last step."""
    up: Phase = (rise, ("initial_lr", "max_lr"), ("max_momentum", "base_momentum"))
    if not three_phase:
        return [up, (last, ("max_lr", "min_lr"), ("base_momentum", "max_momentum"))]
    return [up, (2 * rise, ("max_lr", "initial_lr"), ("base_momentum", "max_momentum")),
            (last, ("initial_lr", "min_lr"), ("max_momentum", "max_momentum"))]
