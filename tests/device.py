"""What the tests on a device share: the simulated one, which computes on any machine and counts the copies."""
from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minicnn import Tensor, kernels

SIM = "cuda-sim"
needs_simulator = pytest.mark.skipif(kernels.missing(SIM) is not None, reason=f"no simulated device: {kernels.missing(SIM)}")


def transfers() -> tuple[int, int]:
    """Copies to the device and to the host, since it was last asked."""
    from minicnn.kernels.cuda_backend.simulator import TRANSFERS

    found = TRANSFERS.to_device, TRANSFERS.to_host
    TRANSFERS.reset()
    return found


def moved(value: Any, device: str) -> Any:
    """A Tensor or an array, as a leaf Tensor on `device`; anything else as it is."""
    if isinstance(value, Tensor):
        return Tensor(value.array.copy(), value.requires_grad).to(device).detach().requires_grad_(value.requires_grad)
    return Tensor(value).to(device) if isinstance(value, np.ndarray) else value
