"""What a run was computed on and with: what somebody needs to know who gets another speed, or other numbers.

Only what is named here is written down: never all variables, no name of a user or a host.
"""
from __future__ import annotations

import ctypes
import importlib.metadata
import os
import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

LIBRARIES = ("minicnn", "numpy", "numba", "llvmlite", "safetensors", "pillow", "matplotlib", "tensorboard", "cupy-cuda13x")
# Variables that set numbers of threads and choose kernels. A path or anything long among them is left out.
VARIABLES = ("MINICNN", "OPENBLAS", "OMP", "GOMP", "KMP", "MKL", "BLIS", "VECLIB", "NUMBA")
LONGEST = 60                                                   # characters of a variable's value
SECRET = ("KEY", "TOKEN", "SECRET", "PASS", "AUTH")


def environment() -> dict[str, Any]:
    """Date, command line, versions, CPU, memory, system, threads, revision: ready for JSON, with None where a thing is not known.

    memory: bytes. cores: physical ones, and threads of them, that this process may run on. variables: those that set numbers of threads
    and choose kernels, and minicnn's own.
    """
    logical = _usable()
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command_line(sys.argv),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "versions": {name: version for name in LIBRARIES if (version := _version(name))},
        "revision": revision(Path(__file__).parent),
        "cpu": cpu_name(),
        "architecture": platform.machine(),
        "cores": _physical(logical),
        "threads": len(logical) or os.cpu_count(),
        "memory": _memory(),
        "os": _system(),
        "blas": _blas(),
        "numba_threads": _numba_threads(),
        "variables": variables(dict(os.environ)),
    }


def command_line(argv: list[str]) -> str:
    """As one would type it again; the program by its name, not by its path."""
    program = Path(argv[0]).name if argv and argv[0] else "python"
    return shlex.join([program, *argv[1:]])[:2000]


def variables(values: dict[str, str]) -> dict[str, str]:
    """Of all variables those that set numbers of threads and choose kernels.

    >>> variables({"OMP_NUM_THREADS": "2", "MINICNN_CACHE": "/home/me/cache", "HOME": "/home/me", "MINICNN_TOKEN": "x"})
    {'OMP_NUM_THREADS': '2'}
    """
    return {name: value for name, value in sorted(values.items())
            if name.split("_")[0] in VARIABLES and len(value) <= LONGEST and not {"/", "\\"} & set(value)
            and not any(word in name.upper() for word in SECRET)}


def cpu_name() -> str | None:
    """What the CPU calls itself, where the system says it without being asked twice."""
    for line in _text("/proc/cpuinfo").splitlines():
        if line.lower().startswith(("model name", "hardware")):
            return line.partition(":")[2].strip()
    if platform.system() == "Darwin":
        return _output("sysctl", "-n", "machdep.cpu.brand_string") or None
    return platform.processor() or None


def revision(folder: Path) -> str | None:
    """The commit that the code in `folder` is from, with "+changes" where its Python files differ from it.

    None where git is missing or does not track the folder: an installed package may lie inside somebody else's checkout.
    """
    if not _output("git", "--no-optional-locks", "-C", str(folder), "ls-files", "--", "."):
        return None
    commit = _output("git", "--no-optional-locks", "-C", str(folder), "rev-parse", "HEAD")
    changes = _output("git", "--no-optional-locks", "-C", str(folder), "status", "--porcelain", "--", ":(top)*.py", ":(top)*.cu")
    return commit + ("+changes" if changes else "") if commit else None


def _output(*command: str) -> str:
    """What a program prints; nothing where it is missing or fails."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10, stdin=subprocess.DEVNULL).stdout.strip()
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return ""


def _text(path: str | Path) -> str:
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""


def _usable() -> list[int]:
    """The logical CPUs that this process may use; none where the system does not say."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def _physical(logical: list[int]) -> int | None:
    """How many cores these are: two threads of one core are one."""
    siblings = {_text(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list").strip() or str(cpu) for cpu in logical}
    return len(siblings) or None


def _memory() -> int | None:
    """Of the machine, in bytes."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):              # Windows
        return None


def _system() -> str:
    try:
        name = platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        name = f"macOS {platform.mac_ver()[0]}" if platform.system() == "Darwin" else ""
    kernel = f"{platform.system()} {platform.release().partition('-')[0]}"     # without the name of the build
    return f"{name}, {kernel}" if name else kernel


def _blas() -> str:
    """The library of NumPy's matrix products; for the OpenBLAS in NumPy's wheel also the kernel it chose and its threads."""
    built_with = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    said = f"{built_with.get('name', 'unknown')} {built_with.get('version', '')}".strip()
    for path in sorted((Path(np.__file__).parent.parent / "numpy.libs").glob("libscipy_openblas*")):
        try:
            library = ctypes.CDLL(str(path))                   # NumPy has loaded it already: this is the same one
            core, threads = library.scipy_openblas_get_corename64_, library.scipy_openblas_get_num_threads64_
        except (OSError, AttributeError):
            continue
        core.restype = ctypes.c_char_p
        return f"{said}, {core().decode(errors='replace')}, threads: {threads()}"
    return said


def _numba_threads() -> int | None:
    """None where Numba is not installed, or not imported yet: asking would import it."""
    numba = sys.modules.get("numba")
    return int(numba.config.NUMBA_NUM_THREADS) if numba else None


def _version(library: str) -> str | None:
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return None
