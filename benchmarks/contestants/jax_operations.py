"""The operations in JAX over channels-last arrays, x (N, H, W, C) and w (KH, KW, C/G, F), and the way into that layout and back."""
from __future__ import annotations

import os
from typing import Any

import jax
import numpy as np
from jax import lax
from jax import numpy as jnp

from minicnn.benchmarks.problems.batch_norm import EPS
from minicnn.kernels.window import Window2d

IMAGE = (0, 1, 2)                                                   # the axes N, H, W: all but the channels
LIBRARIES = {"__ynn_fusion": "YNNPACK", "__xnn_fusion": "XNNPACK", "__onednn": "oneDNN"}      # that XLA calls, by their sign in its program

if "JAX_PLATFORMS" not in os.environ:
    jax.config.update("jax_platforms", "cpu")


def to_jax(a: np.ndarray, name: str) -> Any:
    """NCHW -> NHWC; weights, whose name ends in "w" or "weight", OIHW -> HWIO; others as they are, int64 as int32."""
    if a.ndim == 4:
        a = a.transpose(2, 3, 1, 0) if name.endswith(("w", "weight")) else a.transpose(0, 2, 3, 1)
    return jnp.asarray(a)


def to_numpy(a: Any, name: str) -> np.ndarray:
    """The way back."""
    a = np.asarray(a)
    if a.ndim == 4:
        a = a.transpose(3, 2, 0, 1) if name.endswith(("w", "weight")) else a.transpose(0, 3, 1, 2)
    return np.array(a, order="C")


def algorithm(jitted: Any, *arguments: Any) -> str:
    """XLA, and the libraries that its compiled program calls; jitted need not compile again to be called."""
    program = jitted.lower(*arguments).compile().as_text()
    return ", ".join(["XLA", *(library for sign, library in LIBRARIES.items() if sign in program)])


def conv(x: Any, w: Any, window: Window2d, groups: int = 1) -> Any:
    top, bottom, left, right = window.padding
    return lax.conv_general_dilated(x, w, window.stride, ((top, bottom), (left, right)), rhs_dilation=window.dilation,
                                    dimension_numbers=("NHWC", "HWIO", "NHWC"), feature_group_count=groups)


def max_pool(x: Any, window: Window2d) -> Any:
    return lax.reduce_window(x, -jnp.inf, lax.max, *_windows(window))


def avg_pool(x: Any, window: Window2d) -> Any:
    """Padding counts."""
    KH, KW = window.kernel
    return lax.reduce_window(x, 0.0, lax.add, *_windows(window)) / (KH * KW)


def _windows(window: Window2d) -> Any:
    """Kernel, stride and padding of every axis of (N, H, W, C)."""
    top, bottom, left, right = window.padding
    return (1, *window.kernel, 1), (1, *window.stride, 1), ((0, 0), (top, bottom), (left, right), (0, 0))


def batch_norm(x: Any, gamma: Any, beta: Any) -> Any:
    """Training: with the batch's own mean and variance."""
    return normalize(x, *moments(x), gamma, beta)


def moments(x: Any) -> tuple[Any, Any]:
    """Mean and variance of each channel, in two passes."""
    mean = x.mean(axis=IMAGE)
    return mean, jnp.square(x - mean).mean(axis=IMAGE)


def normalize(x: Any, mean: Any, var: Any, gamma: Any, beta: Any) -> Any:
    return (x - mean) * (gamma * lax.rsqrt(var + EPS)) + beta


def batch_norm_backward(x: Any, dy: Any, gamma: Any, mean: Any, var: Any) -> tuple[Any, Any, Any]:
    """dx, dgamma, dbeta."""
    inverse_std, M = lax.rsqrt(var + EPS), x.size // x.shape[-1]
    x_hat = (x - mean) * inverse_std
    dgamma, dbeta = (dy * x_hat).sum(axis=IMAGE), dy.sum(axis=IMAGE)
    return gamma * inverse_std * (dy - dbeta / M - x_hat * (dgamma / M)), dgamma, dbeta


def linear(x: Any, w: Any) -> Any:
    return x @ w.T


def cross_entropy(x: Any, labels: Any, label_smoothing: float = 0.0) -> Any:
    """The mean over the batch of log(sum exp(x)) - (1 - s) * x[label] - s * mean(x), s the label smoothing."""
    right = jnp.take_along_axis(x, labels[:, None], axis=1)[:, 0]
    if label_smoothing:
        right = (1 - label_smoothing) * right + label_smoothing * x.mean(axis=1)
    return (jax.nn.logsumexp(x, axis=1) - right).mean()
