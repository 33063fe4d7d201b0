"""Group and layer normalisation on Tensors. Neither needs a formula of its own: both are batch normalisation of a reshaped array."""
from __future__ import annotations

import math
from collections.abc import Sequence

from minicnn.autograd import record
from minicnn.ops.batch_norm import batch_norm_backward, batch_norm_forward
from minicnn.ops.checks import floating
from minicnn.tensor import Tensor


def group_norm(input: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5) -> Tensor:
    """Normalise each group of channels of each image by its own mean and variance (Wu and He, 2018): no batch needed.

        y = (x - mean) / sqrt(var + eps) * weight + bias            mean, var: over the C/G channels and all positions of a group

    It is batch norm over one image with N*G channels: (N, C, H, W) -> (1, N*G, C/G*H, W).

    Shapes: x (N, C, ...), weight, bias (C) or None -> that of x. Raises ValueError if num_groups does not divide C.
    """
    floating("group_norm", x=input, weight=weight, bias=bias)
    if input.ndim < 2:
        raise ValueError(f"group_norm: x must be (N, C, ...), got shape {input.shape}")
    N, C, *size = input.shape
    if num_groups < 1 or C % num_groups:
        raise ValueError(f"group_norm: num_groups = {num_groups} must divide the channels C = {C} (shape {input.shape})")
    _check_affine("group_norm", input, (C,), weight, bias)
    weight, bias = (t if t is None else t.reshape(C, *(1 for _ in size)) for t in (weight, bias))
    return _normalised(input, (N * num_groups, C // num_groups * math.prod(size)), weight, bias, eps)


def layer_norm(input: Tensor, normalized_shape: int | Sequence[int], weight: Tensor | None = None, bias: Tensor | None = None,
               eps: float = 1e-5) -> Tensor:
    """Normalise each sample over its last axes by its own mean and variance (Ba and others, 2016).

        y = (x - mean) / sqrt(var + eps) * weight + bias            mean, var: over the axes `normalized_shape`

    It is batch norm over one image with a channel for every position of the other axes.

    Shapes: x (..., *normalized_shape), weight, bias normalized_shape or None -> that of x.
    """
    floating("layer_norm", x=input, weight=weight, bias=bias)
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    if not shape or input.shape[-len(shape):] != shape:
        raise ValueError(f"layer_norm: x must end in normalized_shape {shape}, got shape {input.shape}")
    _check_affine("layer_norm", input, shape, weight, bias)
    return _normalised(input, (math.prod(input.shape[:input.ndim - len(shape)]), math.prod(shape)), weight, bias, eps)


def _normalised(x: Tensor, channels: tuple[int, int], weight: Tensor | None, bias: Tensor | None, eps: float) -> Tensor:
    """Batch norm of x as (1, *channels), how many and how long they are; then weight and bias, which broadcast over x."""
    y, _, _ = record(batch_norm_forward, batch_norm_backward, x.reshape(1, *channels), None, None, eps=eps)
    y = y.reshape(x.shape)
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


def _check_affine(op: str, x: Tensor, shape: tuple[int, ...], weight: Tensor | None, bias: Tensor | None) -> None:
    for name, t in (("weight", weight), ("bias", bias)):
        if t is not None and t.shape != shape:
            raise ValueError(f"{op}: x has shape {x.shape}, so {name} must be {shape}, got {t.shape}")
