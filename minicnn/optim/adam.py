"""Adam and AdamW: a step size of its own for every weight."""
from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from minicnn import kernels
from minicnn.optim.optimizer import Group, Optimizer, at_least


class Adam(Optimizer):
    """Adam (Kingma and Ba, 2015): running means of the gradient (m) and of its square (v) scale every step.

        g <- g + weight_decay * p
        m <- beta1 * m + (1 - beta1) * g,      v <- beta2 * v + (1 - beta2) * g²
        p <- p - lr * m̂ / (sqrt(v̂) + eps),    m̂ = m / (1 - beta1^t),   v̂ = v / (1 - beta2^t) at step t = 1, 2, ...

    maximize: climb instead of descend, g <- -g. Raises ValueError for an option out of range.
    """
    decoupled = False

    def __init__(self, params: Iterable[Any], lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
                 weight_decay: float = 0, amsgrad: bool = False, *, maximize: bool = False) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "amsgrad": amsgrad,
                                  "maximize": maximize})

    def check(self, group: Group) -> None:
        check_adam(self, group)
        if group["amsgrad"]:
            raise ValueError(f"{type(self).__name__}: amsgrad is not implemented")

    def update(self, p: Any, g: Any, state: dict[str, Any], group: Group) -> None:
        adam_update(p, g, state, group, self.decoupled)


def check_adam(optimizer: Optimizer, group: Group) -> None:
    """Raise ValueError when an option of Adam's is out of range."""
    at_least(optimizer, group, 0, "lr", "eps", "weight_decay")
    if len(group["betas"]) != 2 or not all(0 <= beta < 1 for beta in group["betas"]):
        raise ValueError(f"{type(optimizer).__name__}: betas are {group['betas']}, expected two numbers in 0 <= beta < 1")


def adam_update(p: Any, g: Any, state: dict[str, Any], group: Group, decoupled: bool) -> None:
    """Adam's step, or with `decoupled` AdamW's, in place."""
    if not state:
        state.update(step=0, exp_avg=np.zeros_like(p), exp_avg_sq=np.zeros_like(p))
    state["step"] += 1
    beta1, beta2 = group["betas"]
    kernels.of(p).adam_step(p, g, state["exp_avg"], state["exp_avg_sq"], state["step"], float(group["lr"]), float(beta1), float(beta2),
                            float(group["eps"]), float(group["weight_decay"]), decoupled)


class AdamW(Adam):
    """AdamW (Loshchilov and Hutter, 2019): Adam whose weight decay shrinks the weights directly instead of passing through m and v.

        p <- p - lr * weight_decay * p,   then Adam's step without weight decay
    """
    decoupled = True

    def __init__(self, params: Iterable[Any], lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
                 weight_decay: float = 1e-2, amsgrad: bool = False, *, maximize: bool = False) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize)
