"""Batch normalisation on Tensors: every channel gets mean 0 and variance 1, then a learnt scale and shift."""
from __future__ import annotations

import math
from typing import Any

from minicnn import kernels
from minicnn.autograd import fresh, quietly, record
from minicnn.ops.checks import floating
from minicnn.recording import changed
from minicnn.tensor import Tensor


def batch_norm_forward(x: Any, gamma: Any, beta: Any, mean: Any = None, var: Any = None, eps: float = 1e-5,
                       relu: bool = False) -> tuple[Any, Any]:
    """y = (x - mean) / sqrt(var + eps) * gamma + beta, channel by channel; gamma and beta may be None (1 and 0).

    mean, var: (C), given (running statistics), or None: computed from x, the variance with divisor N*H*W. relu: max(y, 0).
    Shapes: x (N, C, ...), gamma, beta (C). Returns (y, mean, var) and the cache.
    """
    k, planes = kernels.of(x), _planes(x)
    of_batch = mean is None
    if of_batch:
        mean, var = k.batch_norm_statistics(planes)
    y = k.batch_norm(planes, gamma, beta, mean, var, eps, relu).reshape(x.shape)
    return (y, mean, var), (k, x, gamma, beta, mean, var, eps, of_batch, relu)


@fresh
def batch_norm_backward(dy: Any, cache: Any, inplace: bool = False) -> tuple[Any, Any, Any]:
    """With x_hat = (x - mean) / sqrt(var + eps) and M values a channel: dbeta = sum of dy, dgamma = sum of dy * x_hat, and

        dx = gamma / sqrt(var + eps) * (dy - dbeta / M - x_hat * dgamma / M)         statistics of this batch: they depend on x too
        dx = gamma / sqrt(var + eps) * dy                                            given statistics: constants

    After relu, dy counts only where y was positive.
    """
    k, x, gamma, beta, mean, var, eps, of_batch, relu = cache
    dx, dgamma, dbeta = k.batch_norm_grad(_planes(dy), _planes(x), gamma, mean, var, eps, of_batch, beta, relu, inplace)
    return dx.reshape(x.shape), None if gamma is None else dgamma, None if beta is None else dbeta


def batch_norm_pool_forward(x: Any, gamma: Any, beta: Any, eps: float = 1e-5) -> tuple[Any, Any]:
    """The largest of every 2 x 2 of relu(batch_norm(x)), with the statistics of x itself: what training does before a pool, as one.

    Shapes: x (N, C, H, W) -> (N, C, H//2, W//2); gamma, beta, mean, var (C). Returns (y, mean, var) and the cache, which holds nothing of
    x's size but x: backward computes anew which pixel won.
    """
    k = kernels.of(x)
    mean, var = k.batch_norm_statistics(x)
    return (k.batch_norm_pool(x, gamma, beta, mean, var, eps), mean, var), (k, x, gamma, beta, mean, var, eps)


@fresh
def batch_norm_pool_backward(dy: Any, cache: Any) -> tuple[Any, Any, Any]:
    """batch_norm_backward for a dy that is 0 but at the winner of each window, the first of equal ones, and there if y is positive."""
    k, x, gamma, beta, mean, var, eps = cache
    dx, dgamma, dbeta = k.batch_norm_pool_grad(dy, x, gamma, beta, mean, var, eps)
    return dx, None if gamma is None else dgamma, None if beta is None else dbeta


PAIR = batch_norm_forward, batch_norm_backward


def _planes(x: Any) -> Any:
    """(N, C), (N, C, L), ... -> (N, C, L, 1), which the kernels take; (N, C, H, W) as it is."""
    return x if x.ndim == 4 else x.reshape(*x.shape[:2], math.prod(x.shape[2:]), 1)


def batch_norm(input: Tensor, running_mean: Tensor | None, running_var: Tensor | None, weight: Tensor | None = None,
               bias: Tensor | None = None, training: bool = False, momentum: float = 0.1, eps: float = 1e-5) -> Tensor:
    """Normalise every channel over the batch and all positions (Ioffe and Szegedy, 2015).

        y = (x - mean) / sqrt(var + eps) * weight + bias

    training: mean and variance (biased: divisor M) of this batch; the running ones move towards them *in place*, the variance unbiased:
        running <- (1 - momentum) * running + momentum * (mean, or var * M / (M - 1))        M values a channel
    otherwise: the running ones.

    Shapes: x (N, C), (N, C, L) or (N, C, H, W), all others (C) or None -> that of x.

    Raises TypeError for integer input or mixed dtypes, ValueError for shapes that do not fit, for a single value a channel when
    training, and for missing running statistics when not.
    """
    return _recorded(PAIR, {"relu": False}, input, running_mean, running_var, weight, bias, training, momentum, eps)


def batch_norm_relu(input: Tensor, running_mean: Tensor | None, running_var: Tensor | None, weight: Tensor | None = None,
                    bias: Tensor | None = None, training: bool = False, momentum: float = 0.1, eps: float = 1e-5) -> Tensor:
    """relu(batch_norm(x)): the same values and gradients, in fewer passes over memory. Errors speak of batch_norm."""
    return _recorded(PAIR, {"relu": True}, input, running_mean, running_var, weight, bias, training, momentum, eps)


def batch_norm_pool(input: Tensor, running_mean: Tensor | None, running_var: Tensor | None, weight: Tensor | None = None,
                    bias: Tensor | None = None, training: bool = True, momentum: float = 0.1, eps: float = 1e-5) -> Tensor:
    """max_pool2d(batch_norm_relu(x), 2) of images in training: the same values, and gradients that differ by rounding, in fewer passes.

    Errors speak of batch_norm. Raises ValueError, too, without training: then a convolution can take over both (see `minicnn.nn.fusion`).
    """
    if not training:
        raise ValueError("batch_norm_pool: it is for training; without, use max_pool2d(batch_norm_relu(x), 2)")
    pair = (batch_norm_pool_forward, batch_norm_pool_backward)
    return _recorded(pair, {}, input, running_mean, running_var, weight, bias, training, momentum, eps)


def _recorded(pair: Any, options: dict[str, Any], input: Tensor, running_mean: Tensor | None, running_var: Tensor | None,
              weight: Tensor | None, bias: Tensor | None, training: bool, momentum: float, eps: float) -> Tensor:
    floating("batch_norm", x=input, running_mean=running_mean, running_var=running_var, weight=weight, bias=bias)
    if input.ndim < 2:
        raise ValueError(f"batch_norm: x must be (N, C), (N, C, L) or (N, C, H, W), got shape {input.shape}")
    C = input.shape[1]
    for name, t in (("running_mean", running_mean), ("running_var", running_var), ("weight", weight), ("bias", bias)):
        if t is not None and t.shape != (C,):
            raise ValueError(f"batch_norm: x has {C} channels (shape {input.shape}), so {name} must be ({C},), got {t.shape}")
    forward, backward = pair
    if not training:
        if running_mean is None or running_var is None:
            raise ValueError("batch_norm: without training it needs running_mean and running_var; got None")
        statistics = {"mean": running_mean.array.copy(), "var": running_var.array.copy()}     # copies: later batches move the originals
        return record(forward, backward, input, weight, bias, eps=eps, **options, **statistics)[0]
    M = input.numel() // max(C, 1)
    if M < 2:
        raise ValueError(f"batch_norm: expected more than 1 value per channel when training, got {M} (shape {input.shape}); "
                         "use a larger batch, or eval()")
    y, mean, var = record(forward, backward, input, weight, bias, eps=eps, **options)
    _follow((running_mean, running_var), (mean.array, var.array), float(momentum), M)
    return y


@quietly
def _follow(running: tuple[Tensor | None, Tensor | None], now: tuple[Any, Any], momentum: float, M: int) -> None:
    """Move the running statistics towards those of this batch, in place."""
    for old, new, factor in zip(running, now, (momentum, momentum * M / (M - 1)), strict=True):
        if old is not None:
            old.array *= 1 - momentum
            old.array += new * factor
            changed()
