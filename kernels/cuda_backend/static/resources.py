"""What a kernel needs of a multiprocessor, as the assembler reports it: registers, shared memory, and whether registers were spilled."""
from __future__ import annotations

import functools
import re
from dataclasses import dataclass

from minicnn.kernels.cuda_backend import nvrtc, source


@dataclass(frozen=True)
class Resources:
    """registers: of a thread. shared: bytes of static shared memory, of a block. The rest: bytes of a thread's local memory, which lies
    in global memory; a spill is a value that found no register and is written there and read back."""
    registers: int
    shared: int
    stack: int
    spill_stores: int
    spill_loads: int

    @property
    def spills(self) -> int:
        return self.spill_stores + self.spill_loads


@functools.cache
def compiled(file: str, arch: int, real: str = "float") -> tuple[bytes, str]:
    """The machine code of a .cu file for sm_`arch`, compiled with the options that CuPy passes, and the assembler's log."""
    return nvrtc.compile(source.text(file), file, arch, "cubin", (f"-DREAL={real}",))


def resources(file: str, arch: int, real: str = "float") -> dict[str, Resources]:
    """What each kernel of a .cu file needs on sm_`arch`; real: "float" or "double"."""
    return read_log(compiled(file, arch, real)[1])


def read_log(log: str) -> dict[str, Resources]:
    """The assembler's log (ptxas -v), by kernel.

        ptxas info    : Compiling entry function 'scale' for 'sm_80'
        ptxas         .     8 bytes stack frame, 4 bytes spill stores, 4 bytes spill loads
        ptxas info    : Used 12 registers, used 1 barriers, 8448 bytes smem, 380 bytes cmem[0]
    """
    found = {}
    for part in log.split("Compiling entry function ")[1:]:
        name = re.match(r"'(\w+)'", part)
        memory = re.search(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", part)
        used = re.search(r"Used (\d+) registers.*", part)
        if not (name and memory and used):
            raise ValueError(f"the assembler's log is not understood: {part.splitlines()[:4]}")
        shared = re.search(r"(\d+) bytes smem", used[0])
        stack, stores, loads = (int(n) for n in memory.groups())
        found[name[1]] = Resources(int(used[1]), int(shared[1]) if shared else 0, stack, stores, loads)
    return found
