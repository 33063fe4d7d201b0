"""One optimiser step on one parameter p (any shape) with gradient g, *in place*: p and the state arrays change, g does not."""
from __future__ import annotations

from typing import Any

import numpy as np


def sgd_step(p: Any, g: Any, velocity: Any, lr: float, momentum: float, dampening: float, weight_decay: float,
             nesterov: bool) -> None:
    """Stochastic gradient descent, torch's convention (the learning rate is outside the velocity).

        g <- g + weight_decay * p
        v <- momentum * v + (1 - dampening) * g
        p <- p - lr * (g + momentum * v  if nesterov  else  v)

    velocity None means plain SGD, p <- p - lr * g. On its first step torch starts from v = g, undamped: pass v = 0 and
    dampening 0 then.
    """
    if weight_decay:
        g = g + weight_decay * p
    if velocity is not None:
        velocity *= momentum
        velocity += (1 - dampening) * g
        g = g + momentum * velocity if nesterov else velocity
    p -= lr * g


def adam_step(p: Any, g: Any, m: Any, v: Any, step: int, lr: float, beta1: float, beta2: float, eps: float, weight_decay: float,
              decoupled: bool) -> None:
    """Adam (Kingma and Ba, 2015); decoupled=True is AdamW (Loshchilov and Hutter, 2019). step counts from 1.

        g <- g + weight_decay * p                    (Adam)        p <- p - lr * weight_decay * p        (AdamW)
        m <- beta1 * m + (1 - beta1) * g,            v <- beta2 * v + (1 - beta2) * g²
        p <- p - lr * m / (1 - beta1^step) / (sqrt(v / (1 - beta2^step)) + eps)
    """
    if decoupled:
        p *= 1 - lr * weight_decay
    elif weight_decay:
        g = g + weight_decay * p
    m *= beta1
    m += (1 - beta1) * g
    v *= beta2
    v += (1 - beta2) * np.square(g)
    p -= lr / (1 - beta1**step) * m / (np.sqrt(v) / (1 - beta2**step) ** 0.5 + eps)
