"""Stochastic gradient descent."""
from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from minicnn import kernels
from minicnn.optim.optimizer import Group, Optimizer, at_least


class SGD(Optimizer):
    """Stochastic gradient descent with momentum, torch's convention.

        g <- g + weight_decay * p
        v <- momentum * v + (1 - dampening) * g            (v = g on the first step)
        p <- p - lr * (g + momentum * v  if nesterov  else  v)

    maximize: climb instead of descend, g <- -g. Raises ValueError for an option out of range.
    """

    def __init__(self, params: Iterable[Any], lr: float = 1e-3, momentum: float = 0, dampening: float = 0, weight_decay: float = 0,
                 nesterov: bool = False, *, maximize: bool = False) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "dampening": dampening, "weight_decay": weight_decay,
                                  "nesterov": nesterov, "maximize": maximize})

    def check(self, group: Group) -> None:
        at_least(self, group, 0, "lr", "momentum", "weight_decay")
        if group["nesterov"] and (group["momentum"] <= 0 or group["dampening"] != 0):
            raise ValueError("SGD: nesterov needs momentum > 0 and dampening 0, "
                             f"got momentum {group['momentum']} and dampening {group['dampening']}")

    def update(self, p: Any, g: Any, state: dict[str, Any], group: Group) -> None:
        velocity, dampening = state.get("momentum_buffer"), float(group["dampening"])
        if group["momentum"] and velocity is None:             # the first step: v = 0 and no dampening make v = g
            velocity, dampening = np.zeros_like(p), 0.0
            state["momentum_buffer"] = velocity
        kernels.of(p).sgd_step(p, g, velocity if group["momentum"] else None, float(group["lr"]), float(group["momentum"]), dampening,
                               float(group["weight_decay"]), group["nesterov"])
