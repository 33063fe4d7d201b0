"""NVRTC, NVIDIA's compiler for CUDA C++ as a library, through ctypes: it needs neither a GPU nor a driver nor CuPy.

`pip install nvidia-cuda-nvrtc` brings it; a CUDA toolkit has it too. What it compiles is kept in the user's cache.
"""
from __future__ import annotations

import contextlib
import ctypes
import ctypes.util
import functools
import hashlib
import importlib.util
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from minicnn.kernels import compilation
from minicnn.kernels.user_cache import cache_folder

OPTIONS = ("-std=c++17",)                                      # of every kernel, whoever compiles it
CUPY_OPTIONS = ("-ftz=true", "--device-as-default-execution-space")    # what CuPy 14 adds of its own


class CompileError(Exception):
    """The compiler's messages, with the file and the line."""


def missing() -> str | None:
    """Why nothing can be compiled here, or None."""
    try:
        library()
    except OSError as error:
        return str(error)
    return None


@functools.cache
def library() -> Any:
    """The library. Raises OSError that says how to get it."""
    for path in _candidates():
        with contextlib.suppress(OSError):
            return ctypes.CDLL(path)
    raise OSError("NVRTC, which compiles CUDA C++, is not installed: pip install nvidia-cuda-nvrtc")


def _candidates() -> list[str]:
    spec = importlib.util.find_spec("nvidia")
    folders = [Path(folder) for folder in (spec.submodule_search_locations or () if spec else ())]
    names = ("*/lib/libnvrtc.so.*", "*/bin/nvrtc64_*_0.dll", "*/bin/x86_64/nvrtc64_*_0.dll")
    inside = sorted(str(path) for folder in folders for name in names for path in folder.glob(name))
    system = ctypes.util.find_library("nvrtc")
    return [*reversed(inside), *([system] if system else [])]  # the newest first


@functools.cache
def version() -> str:
    major, minor = ctypes.c_int(), ctypes.c_int()
    library().nvrtcVersion(ctypes.byref(major), ctypes.byref(minor))
    return f"{major.value}.{minor.value}"


def compile(source: str, name: str, arch: int, kind: str = "ptx", options: tuple[str, ...] = ()) -> tuple[bytes, str]:
    """Compile CUDA C++. kind: "ptx" (text for any GPU from compute capability `arch` on) or "cubin" (machine code for sm_`arch` alone).

    name: of the file, for messages; options: such as "-DREAL=float". Returns the result, and the assembler's log: with "cubin" it counts
    each kernel's registers and spills. Kept in the user's cache. Raises CompileError with the compiler's messages, OSError without NVRTC.
    """
    target = f"--gpu-architecture={'sm' if kind == 'cubin' else 'compute'}_{arch}"
    every = (target, *OPTIONS, *CUPY_OPTIONS, *options, *(("--ptxas-options=-v",) if kind == "cubin" else ()))
    key = hashlib.sha256("\0".join([version(), source, kind, *every]).encode()).hexdigest()
    kept = _read(key)
    if kept is None:
        label, start = f"{name} for sm_{arch}", time.perf_counter()
        compilation.began(label)
        kept = _compiled(source, name, kind, every)
        where = _write(key, *kept)
        compilation.ended(label, time.perf_counter() - start, lambda: where)
    return kept


def _compiled(source: str, name: str, kind: str, options: tuple[str, ...]) -> tuple[bytes, str]:
    nvrtc, program = library(), ctypes.c_void_p()
    if nvrtc.nvrtcCreateProgram(ctypes.byref(program), source.encode(), name.encode(), 0, None, None):
        raise CompileError(f"{name}: NVRTC could not begin to compile it")
    try:
        status = nvrtc.nvrtcCompileProgram(program, len(options), (ctypes.c_char_p * len(options))(*(o.encode() for o in options)))
        log = _get(program, "ProgramLog").rstrip(b"\0\n").decode(errors="replace")
        if status:
            raise CompileError(f"{name} does not compile with {' '.join(options)}:\n{log}")
        result = _get(program, kind.upper())
        return (result.rstrip(b"\0") if kind == "ptx" else result), log
    finally:
        nvrtc.nvrtcDestroyProgram(ctypes.byref(program))


def _get(program: ctypes.c_void_p, what: str) -> bytes:
    size = ctypes.c_size_t()
    getattr(library(), f"nvrtcGet{what}Size")(program, ctypes.byref(size))
    buffer = ctypes.create_string_buffer(size.value)
    getattr(library(), f"nvrtcGet{what}")(program, buffer)
    return buffer.raw


# A file of the cache: the SHA-256 of all that follows it, the length of the log, the log, the result.

def _read(key: str) -> tuple[bytes, str] | None:
    folder = cache_folder()
    if folder is None:
        return None
    try:
        data = (folder / "cuda" / key).read_bytes()
    except OSError:
        return None
    if len(data) < 40 or hashlib.sha256(data[32:]).digest() != data[:32]:
        return None                                            # damaged: compile again
    end = 40 + int.from_bytes(data[32:40], "little")
    return data[end:], data[40:end].decode()


def _write(key: str, result: bytes, log: str) -> str:
    """Keep it, if that is possible; says where, as in "kept in ~/.cache/minicnn/cuda"."""
    folder = cache_folder()
    if folder is None:
        return "not kept: there is no home folder"
    text = log.encode()
    data = len(text).to_bytes(8, "little") + text + result
    try:
        (folder / "cuda").mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder / "cuda", delete=False) as file:
            file.write(hashlib.sha256(data).digest() + data)
        os.replace(file.name, folder / "cuda" / key)
    except OSError as error:
        return f"not kept: {error}"
    return f"kept in {folder / 'cuda'}"
