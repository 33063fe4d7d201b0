"""What all learning-rate schedules share: they count steps and write group["lr"]."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minicnn.optim.optimizer import Optimizer


class LRScheduler:
    """Base of every schedule. Call `step()` after `optimizer.step()`: once an epoch or once a batch, whichever the schedule counts.

    last_epoch, t below, is the number of steps taken. Each schedule tells how the rate of step t follows from that of step t - 1, so
    that several schedules on one optimiser multiply. A new schedule defines `next_lr`, or torch's `get_lr`.
    """

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{type(self).__name__}: optimizer is a {type(optimizer).__name__}, expected an Optimizer")
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise ValueError(f"{type(self).__name__}: last_epoch is {last_epoch}, so training is resumed, but group {i} has no "
                                 "initial_lr: load the optimiser's state_dict first")
        self.optimizer, self.last_epoch = optimizer, last_epoch
        self.base_lrs: list[float] = [group["initial_lr"] for group in optimizer.param_groups]
        self._resuming = last_epoch >= 0
        self.step()
        self._resuming = False

    def next_lr(self, lr: float, base_lr: float) -> float:
        """The rate of step t = self.last_epoch of a group whose rate is now lr and was base_lr at the beginning."""
        raise NotImplementedError(f"{type(self).__name__} must define next_lr(lr, base_lr) or get_lr()")

    def get_lr(self) -> list[float]:
        """The rate of every group at step self.last_epoch."""
        return [group["lr"] if self._resuming else self.next_lr(group["lr"], base_lr)
                for group, base_lr in zip(self.optimizer.param_groups, self.base_lrs, strict=True)]

    def step(self) -> None:
        """Move on by one step."""
        self.last_epoch += 1
        for group, lr in zip(self.optimizer.param_groups, self.get_lr(), strict=True):
            group["lr"] = lr
        self._last_lr: list[float] = [group["lr"] for group in self.optimizer.param_groups]

    def restart(self) -> None:
        """Go back to step 0."""
        for group, base_lr in zip(self.optimizer.param_groups, self.base_lrs, strict=True):
            group["lr"] = base_lr
        self.last_epoch = -1
        self.step()

    def get_last_lr(self) -> list[float]:
        """The rates in use now, one a group."""
        return self._last_lr

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimiser, and but functions."""
        return {key: value for key, value in vars(self).items() if key not in ("optimizer", "lr_lambdas")}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict()` gave, ours or torch's. The optimiser has a state_dict of its own."""
        vars(self).update({key: value for key, value in state_dict.items() if key in self.state_dict()})


def each_group(schedule: str, optimizer: Optimizer, option: str, value: Any) -> list[Any]:
    """One value for all groups, or a list with one a group, as a list."""
    groups = len(optimizer.param_groups)
    if not isinstance(value, Sequence):
        return [value] * groups
    if len(value) != groups:
        raise ValueError(f"{schedule}: {option} has {len(value)} values, the optimiser {groups} parameter groups")
    return list(value)


def check_within(schedule: str, option: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise ValueError(f"{schedule}: {option} is {value}, expected {low}..{high}")


def check_steps(schedule: str, option: str, value: Any, least: int = 1) -> None:
    if not isinstance(value, int) or value < least:
        raise ValueError(f"{schedule}: {option} is {value}, expected a whole number of at least {least}")
