"""Reads PTX, the assembly language that NVRTC compiles CUDA C++ to, into lists of instructions.

PTX is close to what a GPU executes, with two differences: it has as many typed registers as it likes (%r1, %f7, %rd12, %p3), and every
thread has a program counter of its own. An instruction is `@%p1 add.s32 %r3, %r1, %r2;`: a guard (a predicate: threads where it is false
skip the instruction), an opcode with its types, the destination, the sources.
"""
from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minicnn.kernels.cuda_backend.simulator.faults import SimulatorError

TYPES: dict[str, type] = {
    "pred": np.bool_, "b8": np.uint8, "u8": np.uint8, "s8": np.int8, "b16": np.uint16, "u16": np.uint16, "s16": np.int16,
    "f16": np.float16, "b32": np.uint32, "u32": np.uint32, "s32": np.int32, "f32": np.float32, "b64": np.uint64, "u64": np.uint64,
    "s64": np.int64, "f64": np.float64,
}
DYNAMIC_ALIGNMENT = 16           # bytes: where dynamic shared memory begins, after the static


@dataclass(frozen=True)
class Instruction:
    """place: its number in the code; opcode: ("ld", "global", "f32"); guard: "%p1" or ""; negated: it is @!%p1; source: "scale.cu:7"."""
    text: str
    place: int
    opcode: tuple[str, ...]
    operands: tuple[str, ...]
    guard: str = ""
    negated: bool = False
    source: str = ""

    @property
    def type(self) -> type:
        """The type it computes in: the last one in its opcode that is one."""
        return TYPES[next(part for part in reversed(self.opcode) if part in TYPES)]

    def __str__(self) -> str:
        return f"{self.source}: {self.text}" if self.source else self.text


@dataclass
class Variable:
    """A variable outside of registers. offset: in its space, bytes; or for a module's variable its initial bytes in `data`."""
    space: str
    offset: int
    size: int
    data: np.ndarray | None = None


@dataclass
class Program:
    """A kernel. parameters: name -> (offset, size) in bytes; registers: name -> dtype; labels, targets: name -> place(s) in the code."""
    name: str
    parameters: dict[str, tuple[int, int]]
    registers: dict[str, type] = field(default_factory=dict)
    variables: dict[str, Variable] = field(default_factory=dict)
    code: list[Instruction] = field(default_factory=list)
    labels: dict[str, int] = field(default_factory=dict)
    targets: dict[str, list[str]] = field(default_factory=dict)
    static_shared: int = 0
    local: int = 0                                             # bytes of a thread's own memory: what does not fit in registers

    @property
    def parameter_bytes(self) -> int:
        return max((offset + size for offset, size in self.parameters.values()), default=0)


def parse(text: str) -> dict[str, Program]:
    """Every kernel (.entry) of a PTX module, by name."""
    files = dict(re.findall(r'^\s*\.file\s+(\d+)\s+"([^"]*)"', text, re.M))
    text = re.sub(r"//.*|/\*.*?\*/", "", text)
    found, outside, end = {}, [], 0
    for entry in re.finditer(r"\.entry\s+(\w+)\s*\((.*?)\)[^{;]*\{", text, re.S):
        outside.append(text[end:entry.start()])
        end = _closing_brace(text, entry.end())
        program = Program(entry[1], _parameters(entry[2]))
        _Body(program, files).read(text[entry.end():end])
        found[entry[1]] = program
    module = "".join((*outside, text[end:]))
    for program in found.values():
        for variable in re.findall(r"\.shared\s+\.align[^;]*\[\d+\]\s*;", module):
            _Body(program, files).variable(variable.strip(" ;"))         # of the whole file: each kernel has it
        program.variables.update(_module_variables(module, program.static_shared))
    return found


def aligned(offset: int, alignment: int) -> int:
    return -(-offset // alignment) * alignment


def _closing_brace(text: str, start: int) -> int:
    depth = 1
    for brace in re.finditer(r"[{}]", text[start:]):
        depth += 1 if brace[0] == "{" else -1
        if not depth:
            return start + brace.start()
    raise SimulatorError("PTX: a function without an end")


def _parameters(text: str) -> dict[str, tuple[int, int]]:
    """Parameters lie one after the other, each aligned to its size, or as .align says."""
    pattern = (r"\.param\s+(?:\.align\s+(\d+)\s+)?\.(\w+)\s+"
               r"(?:\.ptr(?:\s+\.(?:global|const|shared|local))?(?:\s+\.align\s+\d+)?\s+)?(\w+)(?:\[(\d+)\])?")
    found, offset = {}, 0
    for alignment, kind, name, count in re.findall(pattern, text):
        item = np.dtype(TYPES[kind]).itemsize
        size = item * int(count or 1)
        offset = aligned(offset, int(alignment or item))
        found[name] = offset, size
        offset += size
    return found


def _module_variables(text: str, static_shared: int) -> dict[str, Variable]:
    """Dynamic shared memory (.extern .shared), which follows the static; .const and .global arrays with their initial values."""
    found = {name: Variable("shared", aligned(static_shared, DYNAMIC_ALIGNMENT), 0)
             for name in re.findall(r"\.extern\s+\.shared[^;]*?(\w+)\[\]\s*;", text)}
    pattern = r"\.(const|global)\s+(?:\.align\s+\d+\s+)?\.(\w+)\s+([\w$]+)((?:\[\d+\])*)\s*(?:=\s*([^;]+))?;"
    for space, kind, name, sizes, values in re.findall(pattern, text):
        data: np.ndarray = np.zeros(int(np.prod([int(n) for n in re.findall(r"\d+", sizes)], initial=1)), TYPES[kind])
        given = re.findall(r"[\w$+-]+", values)
        data[:len(given)] = [number(value, TYPES[kind]) for value in given]
        found[name] = Variable(space, 0, data.nbytes, data.view(np.uint8))
    return found


def number(text: str, dtype: type) -> Any:
    """A literal: 17, -1, 0x1F, 0f3F800000 (the bits of a float), 0d3FF0000000000000 (of a double)."""
    size = np.dtype(dtype).itemsize
    bits = int(text[2:], 16) if text[:2] in ("0f", "0F", "0d", "0D") else int(text.rstrip("U"), 0)
    return np.array([bits % (1 << 8 * size)], f"u{size}").view(dtype)[0]


# A statement begins a scope, ends one, is a label, tells the source line, or is a directive or an instruction that ends with a semicolon.
_STATEMENT = re.compile(r"\s*(?:([{}])|([\w$]+)\s*:(?!:)|\.loc\s+(\d+)\s+(\d+)[^\n]*\n|([^;{}]*(?:\{[^}]*\}[^;{}]*)*);)")
_OPERAND = re.compile(r"\{[^}]*\}|\[[^\]]*\]|[^,\s{\[][^,]*")


class _Body:
    """Reads a kernel's body. Inline assembly may open scopes with registers of its own: those get names of their own."""

    def __init__(self, program: Program, files: dict[str, str]) -> None:
        self.program, self.files = program, files
        self.scopes: list[dict[str, str]] = []
        self.opened = 0
        self.source = self.label = ""

    def read(self, text: str) -> None:
        place, end = 0, len(text.rstrip())
        while place < end:
            found = _STATEMENT.match(text, place)
            if not found:
                raise SimulatorError(f"PTX of {self.program.name}: cannot read {text[place:place + 80].strip()!r}")
            brace, label, file, line, statement = found.groups()
            if brace == "{":
                self.scopes.append({})
                self.opened += 1
            elif brace:
                self.scopes.pop()
            elif label:
                self.label = label
                self.program.labels[label] = len(self.program.code)
            elif line:
                self.source = f"{self.files.get(file, file).rpartition('/')[2]}:{line}"
            elif statement:
                self.statement(" ".join(statement.split()))
            place = found.end()
        self.program.static_shared = aligned(self.program.static_shared, 4)

    def statement(self, text: str) -> None:
        if text.startswith(".reg"):
            self.registers(text)
        elif text.startswith((".shared", ".local")):
            self.variable(text)
        elif text.startswith(".branchtargets"):
            self.program.targets[self.label] = re.findall(r"[\w$]+", text)[1:]
        elif not text.startswith("."):                         # what is left: .pragma "nounroll" and the like
            self.instruction(text)

    def registers(self, text: str) -> None:
        kind, names = text.split(None, 2)[1:]
        for name in names.split(","):
            stem, _, count = name.strip().rstrip(">").partition("<")
            for whole in [f"{stem}{i}" for i in range(int(count))] if count else [stem]:
                if self.scopes:
                    self.scopes[-1][whole] = whole = f"{whole}@{self.opened}"
                self.program.registers[whole] = TYPES[kind[1:]]

    def variable(self, text: str) -> None:
        found = re.match(r"\.(shared|local)\s+(?:\.align (\d+)\s+)?\.(\w+)\s+([\w$]+)((?:\[\d+\])*)", text)
        if not found:
            raise SimulatorError(f"PTX of {self.program.name}: cannot read {text!r}")
        space, alignment, kind, name, sizes = found.groups()
        item = np.dtype(TYPES[kind]).itemsize
        size = item * int(np.prod([int(n) for n in re.findall(r"\d+", sizes)], initial=1))
        used = self.program.static_shared if space == "shared" else self.program.local
        offset = aligned(used, int(alignment or item))
        self.program.variables[name] = Variable(space, offset, size)
        if space == "shared":
            self.program.static_shared = offset + size
        else:
            self.program.local = aligned(offset + size, 16)

    def instruction(self, text: str) -> None:
        found = re.match(r"(?:@(!?)([\w%$]+)\s+)?([a-z][\w.:]*)\s*(.*)$", text)
        if not found:
            raise SimulatorError(f"PTX of {self.program.name}: cannot read {text!r}")
        negated, guard, opcode, rest = found.groups()
        operands = tuple(re.sub(r"[%\w$]+", self.renamed, operand.strip()) for operand in _OPERAND.findall(rest))
        self.program.code.append(Instruction(text, len(self.program.code), tuple(opcode.replace("::", ".").split(".")), operands,
                                             self.name(guard or ""), bool(negated), self.source))

    def renamed(self, found: re.Match[str]) -> str:
        return self.name(found[0])

    def name(self, written: str) -> str:
        return next((scope[written] for scope in reversed(self.scopes) if written in scope), written)
