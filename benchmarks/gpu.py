"""The GPU's fingerprint in a result file: model, driver, CUDA, memory, clocks, as the driver's own tool says them."""
from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

# nvidia-smi's names, ours, and what makes ours of theirs
FIELDS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "name": ("name", str), "driver_version": ("driver", str), "compute_cap": ("compute_capability", str),
    "memory.total": ("memory", lambda mib: int(mib) << 20), "clocks.sm": ("clock_mhz", int), "clocks.max.sm": ("clock_max_mhz", int),
    "clocks.mem": ("memory_clock_mhz", int), "clocks.max.mem": ("memory_clock_max_mhz", int), "power.limit": ("power_limit_w", float),
    "temperature.gpu": ("temperature_c", int),
}


def fingerprint() -> dict[str, Any]:
    """{"name", "driver", "compute_capability", "memory" in bytes, "clock_mhz", ..., "cuda_driver", "cuda_cupy"}: what could be learned."""
    return {**_from_nvidia_smi(), **_from_cupy()}


@functools.cache
def driver_missing() -> str | None:
    """Why there is certainly no GPU here, or None: asked of the driver itself, which takes no time."""
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return "there is no NVIDIA driver"
    count = ctypes.c_int()
    if driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)) or not count.value:
        return "the NVIDIA driver finds no GPU"
    return None


def _from_nvidia_smi() -> dict[str, Any]:
    """As far as it is installed, and knows."""
    command = ["nvidia-smi", f"--query-gpu={','.join(FIELDS)}", "--format=csv,noheader,nounits", "-i", _which()]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return {}
    found: dict[str, Any] = {}
    for (name, kind), text in zip(FIELDS.values(), (done.stdout.strip().splitlines() or [""])[0].split(", "), strict=False):
        with contextlib.suppress(ValueError):                  # "[N/A]"
            if not text.startswith("["):
                found[name] = kind(text)
    return found


def _which() -> str:
    """Which GPU computes: its address on the bus, for nvidia-smi counts them in another order than CUDA."""
    with contextlib.suppress(Exception):                       # without CuPy, or without a device
        import cupy

        return str(cupy.cuda.Device().pci_bus_id)
    return os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")[0] or "0"


def _from_cupy() -> dict[str, Any]:
    """Where it is installed: the versions of CUDA, and what nvidia-smi may not have said."""
    with contextlib.suppress(Exception):
        import cupy

        runtime, device = cupy.cuda.runtime, cupy.cuda.Device()
        properties = runtime.getDeviceProperties(device.id)
        return {"name": properties["name"].decode(), "compute_capability": f"{properties['major']}.{properties['minor']}",
                "multiprocessors": int(properties["multiProcessorCount"]), "memory": int(properties["totalGlobalMem"]),
                "cuda_driver": version(runtime.driverGetVersion()), "cuda_cupy": version(runtime.runtimeGetVersion())}
    return {}


def version(number: int) -> str:
    """CUDA's number for one.

    >>> version(13020)
    '13.2'
    """
    return f"{number // 1000}.{number % 1000 // 10}"
