"""Normalisation layers: y = (x - mean) / √(var + eps) * weight + bias. They differ in which values share a mean."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from minicnn.nn import functional as F
from minicnn.nn import init
from minicnn.nn.arguments import divisible, empty, sizes
from minicnn.nn.module import Module
from minicnn.nn.parameter import Parameter
from minicnn.tensor import Tensor


class _Norm(Module):
    """A weight that starts at one and a bias that starts at zero, or None."""

    def _register_affine(self, shape: tuple[int, ...], weight: bool, bias: bool, dtype: Any) -> None:
        self.register_parameter("weight", Parameter(empty(*shape, dtype=dtype)) if weight else None)
        self.register_parameter("bias", Parameter(empty(*shape, dtype=dtype)) if weight and bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Weight one, bias zero."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)


class _BatchNorm(_Norm):
    """Batch norm for inputs of the ranks in `_axes`."""
    _axes: ClassVar[dict[int, str]]

    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float | None = 0.1, affine: bool = True,
                 track_running_stats: bool = True, *, bias: bool = True, dtype: Any = None) -> None:
        super().__init__()
        sizes(type(self).__name__, num_features=num_features)
        self.num_features, self.eps, self.momentum, self.affine = num_features, eps, momentum, affine
        self.track_running_stats = track_running_stats
        self.register_buffer("running_mean", Tensor(empty(num_features, dtype=dtype)) if track_running_stats else None)
        self.register_buffer("running_var", Tensor(empty(num_features, dtype=dtype)) if track_running_stats else None)
        self.register_buffer("num_batches_tracked", Tensor(np.zeros((), np.int64)) if track_running_stats else None)
        self._register_affine((num_features,), affine, bias, dtype)

    def reset_running_stats(self) -> None:
        """Forget all batches: running mean 0, running variance 1."""
        if self.track_running_stats:
            init.zeros_(self.running_mean)
            init.ones_(self.running_var)
            init.zeros_(self.num_batches_tracked)

    def reset_parameters(self) -> None:
        self.reset_running_stats()
        super().reset_parameters()

    def forward(self, x: Tensor) -> Tensor:
        return self.normalize(F.batch_norm, x)

    def normalize(self, operation: Any, x: Tensor) -> Tensor:
        """`operation`, which is F.batch_norm or one with its arguments, on x with this layer's parameters."""
        name = type(self).__name__
        if x.ndim not in self._axes:
            raise ValueError(f"{name}: x must be {' or '.join(self._axes.values())}, got {x.ndim} axes (shape {x.shape})")
        if x.shape[1] != self.num_features:
            raise ValueError(f"{name}: x has {x.shape[1]} channels (shape {x.shape}), num_features is {self.num_features}")
        update = self.training and self.track_running_stats
        momentum = self.momentum
        if update:
            self.num_batches_tracked.array += 1
            if momentum is None:                             # the plain mean over all batches so far
                momentum = 1 / self.num_batches_tracked.item()
        mean, var = (self.running_mean, self.running_var) if update or not self.training else (None, None)
        result: Tensor = operation(x, mean, var, self.weight, self.bias, training=self.training or mean is None, momentum=momentum or 0.0,
                                   eps=self.eps)
        return result

    def extra_repr(self) -> str:
        return (f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, bias={self.bias is not None}, "
                f"track_running_stats={self.track_running_stats}")


class BatchNorm2d(_BatchNorm):
    """Normalise every channel over the batch and all pixels (Ioffe and Szegedy 2015).

        y[n, c, h, w] = (x[n, c, h, w] - mean[c]) / √(var[c] + eps) * weight[c] + bias[c]

    In training mode mean and (biased) var are the batch's, and move the running ones, running = (1 - momentum)*running + momentum*batch's,
    the variance unbiased; momentum None means the plain mean of all batches. In eval mode the running ones are used, unless
    track_running_stats is False.

    Shapes: x (N, C, H, W) -> the same; C is num_features; weight, bias, running_mean, running_var (C).
    affine, bias: whether there is a weight, and a bias. Raises ValueError for another rank or number of channels, and for a training batch
    with a single value per channel.
    """
    _axes: ClassVar = {4: "(N, C, H, W)"}


class BatchNorm1d(_BatchNorm):
    """Batch norm of features: BatchNorm2d for x (N, C) or (N, C, L), normalised over N, and L if there is one."""
    _axes: ClassVar = {2: "(N, C)", 3: "(N, C, L)"}


class GroupNorm(_Norm):
    """Normalise each image over groups of channels and all pixels (Wu and He 2018); the same in training and eval mode.

    Shapes: x (N, C, ...) -> the same; C is num_channels; weight, bias (C). Raises ValueError when num_groups does not divide num_channels.
    """

    def __init__(self, num_groups: int, num_channels: int, eps: float = 1e-5, affine: bool = True, *, bias: bool = True,
                 dtype: Any = None) -> None:
        super().__init__()
        sizes("GroupNorm", num_groups=num_groups, num_channels=num_channels)
        divisible("GroupNorm", "num_groups", num_groups, num_channels=num_channels)
        self.num_groups, self.num_channels, self.eps, self.affine = num_groups, num_channels, eps, affine
        self._register_affine((num_channels,), affine, bias, dtype)

    def forward(self, x: Tensor) -> Tensor:
        return F.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, bias={self.bias is not None}"


class LayerNorm(_Norm):
    """Normalise over the last axes (Ba et al. 2016); the same in training and eval mode.

    Shapes: x (..., *normalized_shape) -> the same; weight, bias normalized_shape (an int for one axis).
    """

    def __init__(self, normalized_shape: int | Sequence[int], eps: float = 1e-5, elementwise_affine: bool = True, bias: bool = True,
                 *, dtype: Any = None) -> None:
        super().__init__()
        self.normalized_shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        sizes("LayerNorm", **{f"normalized_shape[{i}]": n for i, n in enumerate(self.normalized_shape)})
        self.eps, self.elementwise_affine = eps, elementwise_affine
        self._register_affine(self.normalized_shape, elementwise_affine, bias, dtype)

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}, bias={self.bias is not None}"
