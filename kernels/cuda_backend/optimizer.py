"""One optimiser step on one parameter p (any shape) with gradient g, *in place*: p and the state arrays change, g does not.

What depends on the step alone is computed here, in float64, and rounded once. Grid: a thread four numbers, in grid strides.
"""
from __future__ import annotations

from typing import Any

from minicnn.kernels import numpy_backend
from minicnn.kernels.cuda_backend.launcher import Kernel, launch
from minicnn.kernels.cuda_backend.layout import COMPILED, STRIDING, contiguous, grid_stride

SGD = Kernel("optimizer.cu", "sgd_step")
MOMENTUM = Kernel("optimizer.cu", "momentum_step")
ADAM = Kernel("optimizer.cu", "adam_step")


def sgd_step(p: Any, g: Any, velocity: Any, lr: float, momentum: float, dampening: float, weight_decay: float,
             nesterov: bool) -> None:
    """Stochastic gradient descent, torch's convention (the learning rate is outside the velocity).

        g <- g + weight_decay * p
        v <- momentum * v + (1 - dampening) * g
        p <- p - lr * (g + momentum * v  if nesterov  else  v)

    velocity None means plain SGD, p <- p - lr * g. On its first step torch starts from v = g, undamped: pass v = 0 and
    dampening 0 then.
    """
    if not _alike(p, g, p if velocity is None else velocity):
        numpy_backend.sgd_step(p, g, velocity, lr, momentum, dampening, weight_decay, nesterov)
    elif velocity is None:
        launch(SGD, grid_stride(p.size), (STRIDING,), (p, contiguous(g), p.size, float(lr), float(weight_decay)))
    else:
        launch(MOMENTUM, grid_stride(p.size), (STRIDING,),
               (p, contiguous(g), velocity, p.size, float(lr), float(momentum), float(1 - dampening), float(weight_decay), int(nesterov)))


def adam_step(p: Any, g: Any, m: Any, v: Any, step: int, lr: float, beta1: float, beta2: float, eps: float, weight_decay: float,
              decoupled: bool) -> None:
    """Adam (Kingma and Ba, 2015); decoupled=True is AdamW (Loshchilov and Hutter, 2019). step counts from 1.

        g <- g + weight_decay * p                    (Adam)        p <- p - lr * weight_decay * p        (AdamW)
        m <- beta1 * m + (1 - beta1) * g,            v <- beta2 * v + (1 - beta2) * g²
        p <- p - lr * m / (1 - beta1^step) / (sqrt(v / (1 - beta2^step)) + eps)
    """
    if not _alike(p, g, m, v):
        numpy_backend.adam_step(p, g, m, v, step, lr, beta1, beta2, eps, weight_decay, decoupled)
        return
    kept, decay = (1 - lr * weight_decay, 0.0) if decoupled else (1.0, float(weight_decay))
    launch(ADAM, grid_stride(p.size), (STRIDING,),
           (p, contiguous(g), m, v, p.size, float(lr / (1 - beta1**step)), float(beta1), float(1 - beta1), float(beta2), float(1 - beta2),
            float((1 - beta2**step) ** 0.5), float(eps), decay, float(kept)))


def _alike(p: Any, g: Any, *state: Any) -> bool:
    """Whether the kernels can work on p and its state where they lie. What they cannot is left to NumPy's functions."""
    return (p.dtype in COMPILED and g.shape == p.shape and g.dtype == p.dtype and p.flags.c_contiguous
            and all(a.shape == p.shape and a.dtype == p.dtype and a.flags.c_contiguous for a in state))
