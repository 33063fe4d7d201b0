"""Layers that change the resolution without learning anything."""
from __future__ import annotations

from collections.abc import Sequence

from minicnn.nn import functional as F
from minicnn.nn.module import Module
from minicnn.tensor import Tensor


class Upsample(Module):
    """Resize images, by repeating pixels (mode="nearest") or by linear interpolation between them (mode="bilinear").

    Shapes: x (N, C, H, W) -> (N, C, OH, OW): (OH, OW) is `size`, or (floor(H*scale), floor(W*scale)). Give one of size and
    scale_factor, each a number or a pair. align_corners (bilinear): whether the corner pixels' centres stay in the corners.
    """

    def __init__(self, size: int | Sequence[int] | None = None, scale_factor: float | Sequence[float] | None = None, mode: str = "nearest",
                 align_corners: bool | None = None, recompute_scale_factor: bool | None = None) -> None:
        super().__init__()
        if (size is None) == (scale_factor is None):
            raise ValueError(f"Upsample: give either size or scale_factor, got size={size!r} and scale_factor={scale_factor!r}")
        self.size, self.mode, self.align_corners, self.recompute_scale_factor = size, mode, align_corners, recompute_scale_factor
        self.scale_factor = tuple(map(float, scale_factor)) if isinstance(scale_factor, Sequence) else scale_factor and float(scale_factor)

    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(x, self.size, self.scale_factor, self.mode, self.align_corners, self.recompute_scale_factor)

    def extra_repr(self) -> str:
        which = f"size={self.size!r}" if self.scale_factor is None else f"scale_factor={self.scale_factor!r}"
        return f"{which}, mode={self.mode!r}"
