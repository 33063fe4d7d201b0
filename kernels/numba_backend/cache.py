"""Compiled kernels on disk, so that only the first process on a machine compiles.

Numba's own cache watches the file of the cached function alone, so a change in `simd.py` would leave stale machine code in use; it misses
functions that factories make; and two processes that write its index at once lose entries. Here a file is one kernel for one signature,
and its name is a digest of everything that the machine code depends on.
"""
from __future__ import annotations

import functools
import hashlib
import platform
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import llvmlite
import llvmlite.binding as llvm
import numba
import numpy as np
from numba.core import sigutils
from numba.core.caching import _Cache as Interface
from numba.core.compiler import CompileResult
from numba.core.errors import NumbaWarning
from numba.core.runtime import rtsys
from numba.core.serialize import dumps, loads

from minicnn.kernels import compilation
from minicnn.kernels.numba_backend import store
from minicnn.kernels.numba_backend.parallel import pool

# Settings of Numba that say where, how many and how loud, not what code is made. Any other may change the code.
HARMLESS = {"CACHE_DIR", "CACHE_LOCATOR_CLASSES", "COLOR_SCHEME", "DEBUG_CACHE", "DEVELOPER_MODE", "DISABLE_PERFORMANCE_WARNINGS",
            "FULL_TRACEBACKS", "FUNCTION_CACHE_SIZE", "GDB_BINARY", "NUMBA_DEFAULT_NUM_THREADS", "NUMBA_NUM_THREADS", "SHOW_HELP",
            "THREADING_LAYER", "THREADING_LAYER_PRIORITY"}


def _sources(backend: Path) -> str:
    """A digest of the backend's files, and of the one that it shares with others."""
    digest = hashlib.sha256()
    for path in (*sorted(backend.glob("*.py")), backend.parent / "window.py"):
        digest.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


SOURCES = _sources(Path(__file__).parent)                      # as they are when they are imported
VERSIONS = (sys.version, platform.python_implementation(), numba.__version__, llvmlite.__version__, np.__version__)


@functools.cache
def _host() -> tuple[str, str]:
    return llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()


def _surroundings(codegen: Any) -> str:
    """A digest of all that the code depends on beside the kernel: sources, versions, the CPU, Numba's settings."""
    settings = {name: repr(value) for name, value in vars(numba.config).items()
                if name.isupper() and name not in HARMLESS and not name.startswith("CUDA")}
    text = repr((SOURCES, VERSIONS, codegen.magic_tuple(), _host(), sorted(settings.items())))
    return hashlib.sha256(text.encode()).hexdigest()


class KernelCache(Interface):
    """One kernel's files. identity: what distinguishes it from all other kernels of the same sources."""

    def __init__(self, name: str, identity: str) -> None:
        self._name, self._identity, self._enabled, self._began = name, identity, True, 0.0

    @property
    def cache_path(self) -> str | None:
        folder = store.kernels().folder
        return str(folder) if folder else None

    def enable(self) -> None:
        self._enabled = True

    def disable(self) -> None:
        self._enabled = False

    def flush(self) -> None:
        """Nothing to do: a file is right for as long as anybody asks for it."""

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The kernel as it was compiled before, or None: Numba then compiles it and calls save_overload."""
        payload = store.kernels().read(self._file(sig, target_context.codegen())) if self._enabled else None
        if payload is None:
            self._began = time.perf_counter()
            compilation.began(self._name)
            return None
        rtsys.initialize(target_context)                       # these two make known the symbols that machine code refers to; loading all
        pool()                                                 # of Numba's typing, as it does before it compiles, would take 0.2 s
        return CompileResult._rebuild(target_context, *loads(payload))

    def save_overload(self, sig: Any, cres: Any) -> None:
        if cres.library.has_dynamic_globals:
            warnings.warn(f"{self._name} is compiled by every process anew, because its code holds addresses of this one: a large global "
                          "array, or a compiled function that is handed to another", NumbaWarning, stacklevel=2)
        elif self._enabled:
            store.kernels().write(self._file(sig, cres.codegen), dumps(cres._reduce()))
        compilation.ended(self._name, time.perf_counter() - self._began, lambda: str(store.kernels()))

    def _file(self, sig: Any, codegen: Any) -> str:
        surroundings = _surroundings(codegen)
        arguments, result = sigutils.normalize_signature(sig)
        text = repr((surroundings, self._identity, [str(argument) for argument in arguments], str(result)))
        return f"{surroundings[:16]}-{hashlib.sha256(text.encode()).hexdigest()}"
