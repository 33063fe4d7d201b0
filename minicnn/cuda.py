"""torch.cuda's questions: `device("cuda" if cuda.is_available() else "cpu")` is a GPU where there is one and CuPy can use it."""
from __future__ import annotations

from minicnn import kernels
from minicnn.device import device as named
from minicnn.kernels import devices


def is_available() -> bool:
    """Whether tensors can live on a GPU. `kernels.missing("cuda")` says what is missing."""
    return kernels.missing("cuda") is None


def device_count() -> int:
    """How many GPUs minicnn can use: one at most."""
    return int(is_available())


def synchronize(device: str | None = None) -> None:
    """Wait until the GPU has done all it was told to do: what is timed must end with it. Raises ValueError where there is none."""
    devices.synchronize(named(device or "cuda").type)


def get_device_name(device: str | None = None) -> str:
    """Such as "NVIDIA GeForce RTX 4090". Raises ValueError where there is none."""
    named(device or "cuda")
    return devices.gpu_name()


def get_device_capability(device: str | None = None) -> tuple[int, int]:
    """The compute capability, such as (8, 9). Raises ValueError where there is none."""
    named(device or "cuda")
    return devices.gpu_capability()


def allow_tf32(allowed: bool | None = None) -> bool:
    """Whether float32 convolutions may round their factors to TF32, 10 bits of fraction, for the tensor cores; set if `allowed` is given.

    Off at first, unless the variable MINICNN_ALLOW_TF32 is 1. torch's switch for convolutions, torch.backends.cudnn.allow_tf32, is on.
    """
    from minicnn.kernels.cuda_backend.conv2d import allow_tf32

    return allow_tf32(allowed)
