"""How the values of a channel are shared out among blocks: the numbers of channel.cuh."""
from __future__ import annotations

import math
from typing import Any

from minicnn.kernels.cuda_backend.divide import divisor
from minicnn.kernels.cuda_backend.launcher import blocks

THREADS = 256                    # a block
EACH = 16                        # values of each thread, in registers
PART = THREADS * EACH            # values of a block


def images(x: Any) -> dict[str, int]:
    """The fields of `struct Images` for x (N, C, ...)."""
    N, C, HW = x.shape[0], x.shape[1], math.prod(x.shape[2:])
    (C_multiplier, C_shift), (HW_multiplier, HW_shift) = divisor(max(C, 1)), divisor(max(HW, 1))
    return {"N": N, "C": C, "HW": HW, "parts": blocks(N * HW, PART), "C_multiplier": C_multiplier, "C_shift": C_shift,
            "HW_multiplier": HW_multiplier, "HW_shift": HW_shift}
