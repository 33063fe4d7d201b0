"""How far rounding can move batch normalisation, forward and backward.

With M values a channel, and A = (|x| + mean |x|) / std: a mean is off by up to gamma_M * mean |x|, x - mean by gamma_M * (|x| + mean |x|),
and the standard deviation by E = gamma_M * sqrt(mean A²) of itself, and its own roundings. Together

    error of x_hat <= gamma A + |x_hat| (E + gamma)

which the formulas of y and of the gradients then carry on.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from minicnn.inspect.comparing.replay import Call
from minicnn.inspect.rounding import gamma

FEW = 16


def norm_bounds(call: Call, y: Any, dy: Any, dtype: Any) -> tuple[Any, list[Any]]:
    """The bounds of y and of the gradients of x, gamma and beta, for a batch_norm call in float64."""
    x, weight, bias = (*call.arrays, None, None)[:3]
    mean, var = call.options.get("mean"), call.options.get("var")
    given = mean is not None
    if not given and len(call.arrays) > 3:
        mean, var = call.arrays[3], call.arrays[4]
        given = mean is not None
    axes, M = (0, *range(2, x.ndim)), x.size // x.shape[1]

    def along(a: Any) -> Any:
        return np.asarray(a).reshape(1, -1, *(1 for _ in x.shape[2:]))

    def average(a: Any) -> Any:
        return a.mean(axis=axes, keepdims=True)

    mean = along(mean) if given else average(x)
    std = np.sqrt((along(var) if given else average((x - mean) ** 2)) + call.options.get("eps", 1e-5))
    scale = np.abs(along(weight)) if weight is not None else np.ones_like(std)
    hat = np.abs(x - mean) / std
    A = (np.abs(x) + (np.abs(mean) if given else average(np.abs(x)))) / std
    g = gamma((0 if given else M) + FEW, dtype)
    E = 0 if given else g * np.sqrt(average(A**2))
    off = g * A + hat * (E + E**2 + g)                         # of x_hat
    bound = scale * off + gamma(FEW, dtype) * (scale * hat + (0 if bias is None else np.abs(along(bias))))
    if dy is None:
        return bound, []
    dy, h = np.abs(dy), gamma(M + FEW, dtype)
    total, weighted = dy.sum(axis=axes, keepdims=True), (dy * hat).sum(axis=axes, keepdims=True)
    of_weight = (dy * off).sum(axis=axes, keepdims=True) + h * weighted
    slope, relative = scale / std, E + E**2 + g
    if given:
        dx = slope * dy * relative
    else:
        dx = slope * ((total / M) * (h + relative) + dy * (relative + g)
                      + (off * weighted + hat * of_weight + hat * weighted * (h + relative)) / M)
    return bound, [dx, of_weight.reshape(-1), (h * total).reshape(-1)]
