"""How much memory this process holds, and held at most."""
from __future__ import annotations

import contextlib
import ctypes
import signal
import sys
from pathlib import Path

import psutil

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def now() -> int:
    """Resident bytes."""
    return int(psutil.Process().memory_info().rss)


def give_back() -> None:
    """Let the allocator return what it keeps of freed memory, where it has a call for that (glibc)."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)


def forget_peak() -> None:
    """Start the peak anew, where the system lets a process do so (Linux: 5 written to clear_refs resets VmHWM)."""
    with contextlib.suppress(OSError):
        CLEAR.write_text("5")


def peak() -> int:
    """The most resident bytes since `forget_peak`, or where that does nothing since the process began."""
    if STATUS.exists():
        for line in STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    info = psutil.Process().memory_info()
    if hasattr(info, "peak_wset"):                             # Windows
        return int(info.peak_wset)
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def die_with_parent() -> None:
    """Be killed when the parent dies, even while suspended (Linux: PR_SET_PDEATHSIG)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
