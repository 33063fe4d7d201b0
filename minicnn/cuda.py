"""torch.cuda's questions: `device("cuda" if cuda.is_available() else "cpu")` chooses the CPU for as long as there are no CUDA kernels."""
from __future__ import annotations

from minicnn import kernels


def is_available() -> bool:
    """Whether tensors can live on a CUDA device."""
    return kernels.available()["cuda"] is None


def device_count() -> int:
    """How many CUDA devices minicnn can use."""
    return int(is_available())
