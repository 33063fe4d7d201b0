"""The machine code of a kernel (NVIDIA calls it SASS): its instructions, its loops, and what the hottest of them is made of.

A scheduler issues one instruction of one warp a cycle, so the share of multiply-adds in the loop that does the work bounds the share of
the GPU's peak that it can reach. That needs no GPU to count: `pip install 'minicnn[sass]'` brings NVIDIA's disassembler.
"""
from __future__ import annotations

import functools
import importlib.util
import os
import re
import shutil
import subprocess
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

MULTIPLY_ADDS = ("FFMA", "FFMA2", "DFMA", "HMMA", "DMMA")      # of 32 bits, 64 bits, and on tensor cores
TENSOR = ("HMMA", "DMMA")
LOCAL = ("LDL", "STL")                                         # a thread's own memory, for what found no register


@dataclass(frozen=True)
class Instruction:
    """`@!P0 LDS.128 R4, [R8+0x40]` at its address. opcode: with its modifiers; kind: without."""
    address: int
    opcode: str
    operands: str = ""
    predicate: str = ""

    @property
    def kind(self) -> str:
        return self.opcode.partition(".")[0]

    @property
    def never(self) -> bool:
        """Whether it never runs: such are put in to wait, and take an issue slot all the same."""
        return self.predicate in ("@!PT", "@!UPT")

    @property
    def target(self) -> int | None:
        """Where a branch goes."""
        found = re.search(r"0x([0-9a-f]+)$", self.operands) if self.kind == "BRA" else None
        return int(found[1], 16) if found else None


@dataclass(frozen=True)
class Loop:
    """The instructions from where a branch goes back to, up to that branch."""
    body: tuple[Instruction, ...]

    @property
    def first(self) -> int:
        return self.body[0].address

    @property
    def last(self) -> int:
        return self.body[-1].address

    def count(self, *opcodes: str) -> int:
        """How many instructions there are of these kinds ("LDS"), or of a kind with these modifiers ("LDS.128")."""
        return sum(any(_matches(i, opcode) for opcode in opcodes) for i in self.body if not i.never)

    @property
    def mix(self) -> Counter[str]:
        return Counter(i.kind for i in self.body)

    @property
    def multiply_adds(self) -> int:
        return self.count(*MULTIPLY_ADDS)

    @property
    def share(self) -> float:
        """Of multiply-adds among all instructions."""
        return self.multiply_adds / len(self.body)

    @property
    def divisions(self) -> int:
        """Whole numbers are divided through a reciprocal in floating point; some 20 instructions each."""
        return self.count("MUFU.RCP")

    @property
    def ahead(self) -> int | None:
        """How many multiply-adds stand between a load from global memory and the next store to shared memory, round the loop, at least.

        That is how long a load has to arrive before it is waited for. None without such loads or stores.
        """
        kinds = [i.kind for i in self.body if not i.never]
        if "LDG" not in kinds or "STS" not in kinds:
            return None
        least = None
        for at in (n for n, kind in enumerate(kinds) if kind == "LDG"):
            after = kinds[at:] + kinds[:at]
            between = sum(kind in MULTIPLY_ADDS for kind in after[:after.index("STS")])
            least = between if least is None else min(least, between)
        return least


def parse(text: str) -> dict[str, tuple[Instruction, ...]]:
    """The instructions of every kernel in what `cuobjdump -sass` prints."""
    found = {}
    for part in text.split("Function : ")[1:]:
        name, _, code = part.partition("\n")
        found[name.strip()] = tuple(
            Instruction(int(address, 16), opcode, operands.strip(), predicate or "") for address, predicate, opcode, operands in
            re.findall(r"^\s*/\*([0-9a-f]{4,})\*/\s+(?:\{\s*)?(@!?U?P\w+)?\s*([A-Z]\S*)([^;]*);", code, re.M))
    return found


def loops(code: tuple[Instruction, ...]) -> list[Loop]:
    """Every loop, by the branches that go back; branches to one place are one loop. In the order of where they begin."""
    ends: dict[int, int] = {}
    for i in code:
        if i.target is not None and i.target < i.address:
            ends[i.target] = max(ends.get(i.target, 0), i.address)
    return [Loop(tuple(i for i in code if first <= i.address <= last)) for first, last in sorted(ends.items())]


def hot_loop(code: tuple[Instruction, ...]) -> Loop | None:
    """Of the innermost loops the one with the most multiply-adds; None if no innermost loop has any."""
    every = loops(code)
    innermost = [one for one in every if not any(_inside(other, one) for other in every)]
    best = max(innermost, key=lambda loop: loop.multiply_adds, default=None)
    return best if best and best.multiply_adds else None


def around(code: tuple[Instruction, ...], loop: Loop) -> Loop | None:
    """The smallest loop that the loop lies in."""
    return min((other for other in loops(code) if _inside(loop, other)), key=lambda other: len(other.body), default=None)


def disassemble(cubin: bytes) -> str:
    """What `cuobjdump -sass` prints. Raises OSError if it is not installed, or fails."""
    if why := missing():
        raise OSError(why)
    cuobjdump, nvdisasm = str(_tool("cuobjdump")), str(_tool("nvdisasm"))
    path = os.pathsep.join([str(Path(nvdisasm).parent), os.environ.get("PATH", "")])       # cuobjdump calls nvdisasm
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "kernels.cubin"
        file.write_bytes(cubin)
        done = subprocess.run([cuobjdump, "-sass", str(file)], env={**os.environ, "PATH": path}, capture_output=True, text=True)
    if done.returncode:
        raise OSError(f"cuobjdump failed: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


@functools.cache
def missing() -> str | None:
    """Why nothing can be disassembled here, or None."""
    absent = [name for name in ("cuobjdump", "nvdisasm") if not _tool(name)]
    packages = " ".join(f"nvidia-cuda-{name}" for name in absent)
    return f"{' and '.join(absent)}, which show machine code, are not installed: pip install {packages}" if absent else None


@functools.cache
def _tool(name: str) -> str | None:
    """PyPI's packages put their programs into site-packages/nvidia/cu13/bin; a CUDA toolkit has them on the PATH."""
    spec = importlib.util.find_spec("nvidia")
    folders = [Path(folder) for folder in (spec.submodule_search_locations or () if spec else ())]
    inside = [path for folder in folders for end in ("", ".exe") for path in sorted(folder.glob(f"*/bin/{name}{end}"))]
    return str(inside[-1]) if inside else shutil.which(name)


def _matches(i: Instruction, opcode: str) -> bool:
    parts = i.opcode.split(".")
    wanted = opcode.split(".")
    return parts[0] == wanted[0] and all(part in parts for part in wanted[1:])


def _inside(inner: Loop, outer: Loop) -> bool:
    return outer.first <= inner.first and inner.last <= outer.last and len(inner.body) < len(outer.body)
