"""One optimiser step on one parameter p (any shape) with gradient g, *in place*: p and the state arrays change, g does not.

One pass over memory, with the arithmetic of numpy_backend in its order: the results are the same to the last bit.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from minicnn.kernels import numpy_backend
from minicnn.kernels.numba_backend.flat import COMPILED
from minicnn.kernels.numba_backend.jit import jit
from minicnn.kernels.numba_backend.parallel import parallel_for, workers

CHUNK = 1 << 13                                                  # numbers that a thread takes at a time
ADAM_COST = 4                                                    # times what SGD costs: a square root and two divisions


def sgd_step(p: Any, g: Any, velocity: Any, lr: float, momentum: float, dampening: float, weight_decay: float,
             nesterov: bool) -> None:
    """Stochastic gradient descent, torch's convention (the learning rate is outside the velocity).

        for every number:  g <- g + weight_decay * p
                           v <- momentum * v + (1 - dampening) * g
                           p <- p - lr * (g + momentum * v  if nesterov  else  v)

    velocity None means plain SGD, p <- p - lr * g. On its first step torch starts from v = g, undamped: pass v = 0 and
    dampening 0 then.
    """
    if not _alike(p, g, p if velocity is None else velocity):
        numpy_backend.sgd_step(p, g, velocity, lr, momentum, dampening, weight_decay, nesterov)
    elif velocity is None:
        _descend(p.ravel(), g.ravel(), float(lr), float(weight_decay), workers(p.size // 2))
    else:
        _momentum(p.ravel(), g.ravel(), velocity.ravel(), float(lr), float(momentum), float(1 - dampening), float(weight_decay),
                  bool(nesterov), workers(p.size // 2))


def adam_step(p: Any, g: Any, m: Any, v: Any, step: int, lr: float, beta1: float, beta2: float, eps: float, weight_decay: float,
              decoupled: bool) -> None:
    """Adam (Kingma and Ba, 2015); decoupled=True is AdamW (Loshchilov and Hutter, 2019). step counts from 1.

        for every number:  g <- g + weight_decay * p                    (Adam)        p <- p - lr * weight_decay * p        (AdamW)
                           m <- beta1 * m + (1 - beta1) * g,            v <- beta2 * v + (1 - beta2) * g²
                           p <- p - lr * m / (1 - beta1^step) / (sqrt(v / (1 - beta2^step)) + eps)
    """
    if not _alike(p, g, m, v):
        numpy_backend.adam_step(p, g, m, v, step, lr, beta1, beta2, eps, weight_decay, decoupled)
        return
    shrink, decay = (1 - lr * weight_decay, 0.0) if decoupled else (1.0, weight_decay)
    _adam(p.ravel(), g.ravel(), m.ravel(), v.ravel(), lr / (1 - beta1**step), float(beta1), float(1 - beta1), float(beta2),
          float(1 - beta2), (1 - beta2**step) ** 0.5, float(eps), float(decay), float(shrink), workers(ADAM_COST * p.size // 2))


def _alike(p: Any, *others: Any) -> bool:
    """Whether p and the others are runs of the same numbers in memory. What is not is left to NumPy."""
    shape, dtype = p.shape, p.dtype
    for a in others:
        if a.shape != shape or a.dtype != dtype or not a.flags.carray:
            return False
    return dtype in COMPILED and p.flags.carray


@jit()
def _descend(p: Any, g: Any, lr: float, decay: float, threads: int) -> None:
    real = p.dtype.type
    parallel_for(_descend_chunk, -(-p.size // CHUNK), threads, (p, g, real(lr), real(decay)))


@jit()
def _descend_chunk(i: int, worker: int, p: Any, g: Any, lr: float, decay: float) -> None:
    p, g = p[i * CHUNK:(i + 1) * CHUNK], g[i * CHUNK:(i + 1) * CHUNK]
    for j in range(p.size):
        old, gradient = p[j], g[j]
        decayed = gradient + decay * old
        p[j] = old - lr * (decayed if decay != 0 else gradient)


@jit()
def _momentum(p: Any, g: Any, v: Any, lr: float, momentum: float, undamped: float, decay: float, nesterov: bool, threads: int) -> None:
    real = p.dtype.type
    parallel_for(_momentum_chunk, -(-p.size // CHUNK), threads, (p, g, v, real(lr), real(momentum), real(undamped), real(decay), nesterov))


@jit()
def _momentum_chunk(i: int, worker: int, p: Any, g: Any, v: Any, lr: float, momentum: float, undamped: float, decay: float,
                    nesterov: bool) -> None:
    p, g, v = p[i * CHUNK:(i + 1) * CHUNK], g[i * CHUNK:(i + 1) * CHUNK], v[i * CHUNK:(i + 1) * CHUNK]
    for j in range(p.size):
        old, gradient = p[j], g[j]
        decayed = gradient + decay * old
        step = decayed if decay != 0 else gradient
        velocity = v[j] * momentum + undamped * step
        ahead = step + momentum * velocity
        v[j] = velocity
        p[j] = old - lr * (ahead if nesterov else velocity)


@jit()
def _adam(p: Any, g: Any, m: Any, v: Any, lr: float, beta1: float, new1: float, beta2: float, new2: float, root: float, eps: float,
          decay: float, shrink: float, threads: int) -> None:
    real = p.dtype.type
    numbers = real(lr), real(beta1), real(new1), real(beta2), real(new2), real(root), real(eps), real(decay), real(shrink)
    parallel_for(_adam_chunk, -(-p.size // CHUNK), threads, (p, g, m, v, *numbers))


@jit()
def _adam_chunk(i: int, worker: int, p: Any, g: Any, m: Any, v: Any, lr: float, beta1: float, new1: float, beta2: float, new2: float,
                root: float, eps: float, decay: float, shrink: float) -> None:
    part = slice(i * CHUNK, (i + 1) * CHUNK)
    p, g, m, v = p[part], g[part], m[part], v[part]
    for j in range(p.size):
        old, gradient = p[j] * shrink, g[j]
        decayed = gradient + decay * old
        gradient = decayed if decay != 0 else gradient
        first = m[j] * beta1 + new1 * gradient
        second = v[j] * beta2 + new2 * (gradient * gradient)
        m[j], v[j] = first, second
        p[j] = old - lr * first / (np.sqrt(second) / root + eps)
