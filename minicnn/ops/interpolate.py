"""Resizing images on Tensors: nearest pixel, or a weighted mean of the two nearest on each axis."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minicnn.autograd import record
from minicnn.kernels import devices
from minicnn.kernels.window import pair
from minicnn.ops.along_axis import take, take_adjoint
from minicnn.ops.checks import floating
from minicnn.tensor import Tensor

# One axis of a resize: y[o] = sum of weights[o] * x[index[o]] over a few (index (O), weights (O) or None for 1).
Taps = list[tuple[np.ndarray, np.ndarray | None]]


def nearest_taps(n: int, o: int, scale: float) -> Taps:
    """y[i] = x[floor(i * scale)]: O outputs from n inputs, scale inputs to an output."""
    return [(np.minimum((np.arange(o) * scale).astype(np.int64), n - 1), None)]


def bilinear_taps(n: int, o: int, scale: float, align_corners: bool) -> Taps:
    """y[i] = (1 - r) * x[floor(s)] + r * x[floor(s) + 1], where r is the fraction of s, the place of output i among the inputs:

        s = (i + 1/2) * scale - 1/2, at least 0            pixels are squares, and i is the centre of one
        s = i * (n - 1) / (O - 1)                          align_corners: the first and last pixels stay the first and last
    """
    i = np.arange(o)
    if align_corners:
        s = i * ((n - 1) / (o - 1) if o > 1 else 0.0)
    else:
        s = np.maximum((i + 0.5) * scale - 0.5, 0)
    low = np.minimum(s.astype(np.int64), n - 1)
    r = np.minimum(s - low, 1)
    return [(low, 1 - r), (np.minimum(low + 1, n - 1), r)]


def interpolate_forward(x: Any, rows: Taps, columns: Taps) -> tuple[Any, Any]:
    """y = A_rows @ x @ A_columns.T, with interpolation matrices of one or two entries a row. Shapes: (N, C, H, W) -> (N, C, OH, OW)."""
    y = x
    for axis, taps in ((2, rows), (3, columns)):
        y = sum(_weighted(take(y, index, axis), weights, axis) for index, weights in taps)
    return y, (x.shape, rows, columns)


def interpolate_backward(dy: Any, cache: Any) -> tuple[Any]:
    """dx = A_rows.T @ dy @ A_columns: every pixel adds up the gradients of the outputs it went into, with the same weights."""
    shape, rows, columns = cache
    for axis, taps in ((3, columns), (2, rows)):
        dy = sum(take_adjoint(_weighted(dy, weights, axis), index, shape[axis], axis) for index, weights in taps)
    return (dy,)


def _weighted(x: Any, weights: np.ndarray | None, axis: int) -> Any:
    if weights is None:
        return x
    weights = devices.beside(weights.astype(x.dtype), x)
    return x * (weights[:, None] if axis == 2 else weights)


def interpolate(input: Tensor, size: int | Sequence[int] | None = None, scale_factor: float | Sequence[float] | None = None,
                mode: str = "nearest", align_corners: bool | None = None, recompute_scale_factor: bool | None = None) -> Tensor:
    """Resize the last two axes to `size`, or by `scale_factor`.

    Shapes: x (N, C, H, W) -> (N, C, OH, OW) with OH = floor(H * scale_factor), and OW alike.
    mode: 'nearest', or 'bilinear', which takes a weighted mean of four pixels. align_corners (bilinear): the corner pixels stay the corner
    pixels; otherwise the corners of the image do. recompute_scale_factor: count with OH / H, not with the scale_factor that was given.

    Raises TypeError for integer input, ValueError for other modes, for both or neither of size and scale_factor, and for an empty result.
    """
    floating("interpolate", x=input)
    if input.ndim != 4:
        raise ValueError(f"interpolate: x must be (N, C, H, W), got {input.ndim} axes (shape {input.shape})")
    if mode not in ("nearest", "bilinear"):
        raise ValueError(f"interpolate: mode is {mode!r}: must be 'nearest' or 'bilinear'")
    if mode == "nearest" and align_corners is not None:
        raise ValueError("interpolate: align_corners has no meaning with mode 'nearest': leave it out, or use 'bilinear'")
    taps = []
    for n, (o, scale) in zip(input.shape[2:], _sizes(input.shape[2:], size, scale_factor, bool(recompute_scale_factor)), strict=True):
        taps.append(nearest_taps(n, o, scale) if mode == "nearest" else bilinear_taps(n, o, scale, bool(align_corners)))
    return record(interpolate_forward, interpolate_backward, input, rows=taps[0], columns=taps[1])


def _sizes(input_size: Sequence[int], size: Any, scale_factor: Any, recompute: bool) -> list[tuple[int, float]]:
    """For each axis the output size and how many inputs go to an output."""
    if (size is None) == (scale_factor is None):
        raise ValueError(f"interpolate: give either size or scale_factor, got size={size} and scale_factor={scale_factor}")
    if scale_factor is None:
        return [(o, n / o) for n, o in zip(input_size, pair(size, "size", least=1), strict=True)]
    factors = (scale_factor, scale_factor) if isinstance(scale_factor, int | float) else tuple(scale_factor)
    if len(factors) != 2:
        raise ValueError(f"interpolate: scale_factor is {scale_factor}: give one number, or two (height, width)")
    outputs = [int(n * f) for n, f in zip(input_size, factors, strict=True)]
    if min(outputs) < 1 or min(input_size) < 1:
        raise ValueError(f"interpolate: no output: size {tuple(input_size)} times {tuple(factors)}, rounded down, is {tuple(outputs)}")
    return [(o, n / o if recompute else 1 / f) for n, o, f in zip(input_size, outputs, factors, strict=True)]
