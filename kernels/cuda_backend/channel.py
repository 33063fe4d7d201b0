"""How the values of a channel are shared out among blocks: the numbers of channel.cuh."""
from __future__ import annotations

import math
from typing import Any

from minicnn.kernels.cuda_backend.launcher import blocks

THREADS = 256                    # a block
EACH = 16                        # values of each thread, in registers
PART = THREADS * EACH            # values of a block


def images(x: Any) -> dict[str, int]:
    """The fields of `struct Images` for x (N, C, ...)."""
    N, C, *rest = x.shape
    return {"N": N, "C": C, "HW": math.prod(rest), "parts": blocks(N * math.prod(rest), PART)}
