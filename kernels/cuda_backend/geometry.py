"""What every convolution kernel is told about its problem: the fields of `struct Conv` in geometry.cuh."""
from __future__ import annotations

import functools

from minicnn.kernels.window import Window2d

Shape = tuple[int, ...]


@functools.lru_cache(4096)
def conv(x_shape: Shape, w_shape: Shape, window: Window2d, groups: int) -> dict[str, int]:
    """x_shape (N, C, H, W), w_shape (F, C/G, KH, KW) -> the fields of `struct Conv`, which are not to be changed: they are kept."""
    (N, C, H, W), (F, _, KH, KW) = x_shape, w_shape
    OH, OW = window.output_size((H, W))
    (SH, SW), (DH, DW), (PT, _, PL, _) = window.stride, window.dilation, window.padding
    return {"N": N, "C": C, "H": H, "W": W, "F": F, "KH": KH, "KW": KW, "OH": OH, "OW": OW,
            "SH": SH, "SW": SW, "PT": PT, "PL": PL, "DH": DH, "DW": DW, "G": groups}

