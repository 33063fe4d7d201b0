"""The machine's fingerprint in a result file, and what on this machine would bend the results."""
from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import cpuinfo
import llvmlite.binding as llvm
import psutil

from minicnn.benchmarks import threads

LIBRARIES = ("minicnn", "numpy", "numba", "llvmlite", "cupy-cuda13x", "torch", "jax", "jaxlib", "onnx", "onnxruntime", "threadpoolctl")
VARIABLES = ("OPENBLAS", "GOTO", "BLIS", "VECLIB", "MKL", "OMP", "GOMP", "KMP", "NUMBA", "ONEDNN", "DNNL", "XLA", "NPROC", "MINICNN")

# The instruction sets that kernels choose by: LLVM's name -> the usual one.
ISA = {"sse4.1": "sse4_1", "avx": "avx", "avx2": "avx2", "fma": "fma", "avx512f": "avx512f", "avx512bw": "avx512bw",
       "avx512dq": "avx512dq", "avx512vl": "avx512vl", "avx512vnni": "avx512_vnni", "avx512bf16": "avx512_bf16",
       "avx512fp16": "avx512_fp16", "avxvnni": "avx_vnni", "amx-tile": "amx_tile", "amx-bf16": "amx_bf16", "neon": "asimd",
       "bf16": "bf16", "sve": "sve", "sve2": "sve2", "sme": "sme"}


def fingerprint() -> dict[str, Any]:
    """What a reader needs to judge the times, ready for JSON: no name of the host or the user, and no path.

    Memory and caches are in bytes, a cache's size that of one instance. busy: how many logical cores others kept busy for half a second.
    """
    busy = psutil.cpu_percent(interval=0.5) / 100 * (os.cpu_count() or 1)       # while this process sleeps
    return {
        "cpu": cpu_name(),
        "architecture": platform.machine(),
        "physical_cores": physical_cores(),
        "logical_cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        "isa": isa(),
        "caches": caches(),
        "memory": psutil.virtual_memory().total,
        "os": _system(),
        "kernel": f"{platform.system()} {platform.release().partition('-')[0]}",         # without the name of the build
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "libraries": {name: version for name in LIBRARIES if (version := _version(name))},
        "blas": threads.blas_kernel(),
        "revision": revision(Path(__file__).parent),
        "environment": environment(),
        "busy": round(busy, 2),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def warnings(fingerprint: dict[str, Any]) -> list[str]:
    """Sentences about what makes times differ from those that this machine gives otherwise."""
    found, variables = [], fingerprint["environment"]
    if openblas := [f"{name}={variables[name]}" for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE") if name in variables]:
        found.append(f"{' and '.join(openblas)} in the environment: NumPy's matrix product ({fingerprint['blas']}) does not run the way "
                     "OpenBLAS would choose for this CPU, and its times are not those that NumPy has here otherwise; run with "
                     "`env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE`")
    if fingerprint["busy"] >= 0.2:
        found.append(f"other processes kept {fingerprint['busy']:.1f} cores busy when the run began: any time may be too long")
    return found


def physical_cores() -> int:
    """The cores that this process may run on, at least 1; two hardware threads of a core are one."""
    return len(threads.cores())


def cpu_name() -> str:
    """From /proc/cpuinfo where that has it (x86 Linux); py-cpuinfo knows the other systems' ways, and takes a second."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return str(cpuinfo.get_cpu_info().get("brand_raw", "unknown"))


def isa() -> list[str]:
    """The instruction sets of `ISA` that this CPU and its system have."""
    try:
        features = llvm.get_host_cpu_features()
    except RuntimeError:                                       # LLVM does not know this system
        return []
    return [usual for name, usual in ISA.items() if features.get(name)]


def caches() -> dict[str, int]:
    """{"L1d", "L2", "L3"}: bytes, as far as Linux says them (py-cpuinfo confuses them); elsewhere none."""
    sizes = {}
    for cache in sorted(Path(f"/sys/devices/system/cpu/cpu{threads.cores()[0]}/cache").glob("index*")):
        try:
            level, kind, size = ((cache / name).read_text().strip() for name in ("level", "type", "size"))
        except OSError:
            continue
        if kind != "Instruction":
            sizes[f"L{level}{'d' if kind == 'Data' else ''}"] = int(size.rstrip("KM")) * (2**20 if size.endswith("M") else 2**10)
    return sizes


def revision(folder: Path) -> str | None:
    """The commit that the code in `folder` is from, with "+changes" when source files (.py, .cu) of the checkout differ from it.

    None where git is missing or does not track the folder: an installed package may lie inside somebody else's checkout.
    """
    try:
        if not _git(folder, "ls-files", "--", "."):
            return None
        changes = _git(folder, "status", "--porcelain", "--", ":(top)*.py", ":(top)*.cu")
        return _git(folder, "rev-parse", "HEAD") + ("+changes" if changes else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "--no-optional-locks", "-C", str(folder), *arguments]    # no lock: somebody may be committing
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.strip()


def environment() -> dict[str, str]:
    """The variables that set thread pools and choose kernels, without those that hold a path."""
    by_threadpoolctl = "KMP_DUPLICATE_LIB_OK"                  # set when it is imported
    return {name: value for name, value in sorted(os.environ.items())
            if name.split("_")[0] in VARIABLES and name != by_threadpoolctl and not {"/", "\\"} & set(value)}


def _system() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return f"macOS {platform.mac_ver()[0]}" if platform.system() == "Darwin" else f"{platform.system()} {platform.version()}"


def _version(library: str) -> str | None:
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return None
