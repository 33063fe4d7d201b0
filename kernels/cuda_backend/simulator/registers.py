"""Registers: for each register of a thread an array with one element a thread, a lane, and so one NumPy operation steps all threads.

An operand is found when the kernel is decoded, once, as a number of a slot; while it runs, `wave.slots[number]` is its array. A
register that is used with several types (%r1 as unsigned and as signed) has a slot for each: views of the same memory. Literals and
special registers (%tid.x) have slots too, so that an instruction need not know what its operands are.
"""
from __future__ import annotations

import re
from typing import Any

import numpy as np

from minicnn.kernels.cuda_backend.simulator import ptx
from minicnn.kernels.cuda_backend.simulator.faults import SimulatorError
from minicnn.kernels.cuda_backend.simulator.ptx import Instruction, Program

SPECIAL = re.compile(r"%(?:(?:n?tid|n?ctaid)\.[xyz]|laneid|warpid|lanemask_(?:eq|le|lt|ge|gt)|smid|clock|clock64|dynamic_smem_size)$")
SINK = "_"                       # PTX for a destination that nobody reads


class Operands:
    """The slots of a kernel. addresses: of its variables, as its code sees them."""

    def __init__(self, program: Program, addresses: dict[str, int]) -> None:
        self.program, self.addresses = program, addresses
        self._slots: dict[tuple[str, type], int] = {}
        self._narrowest = {"shared": 16, "global": 16}         # bytes of the narrowest access to each memory

    def touches(self, space: str, width: int) -> None:
        """An instruction accesses `width` bytes."""
        for memory in ("shared", "global") if space == "generic" else (space,):
            self._narrowest[memory] = min(width, self._narrowest.get(memory, width))

    def granule(self, space: str) -> int:
        """Bytes of a memory that no access takes apart."""
        return self._narrowest[space]

    def slot(self, operand: str, dtype: type) -> int:
        """The number of the slot of an operand that is read or written as `dtype`."""
        if not self.is_register(operand) and not SPECIAL.match(operand):
            self.literal(operand, dtype)                       # refuses what is none
        elif np.dtype(dtype).itemsize != np.dtype(self.natural(operand)).itemsize:
            raise SimulatorError(f"kernel {self.program.name}: {operand} has {np.dtype(self.natural(operand)).itemsize} bytes, used as "
                                 f"{np.dtype(dtype)}")
        return self._slots.setdefault((operand, dtype), len(self._slots))

    def is_register(self, operand: str) -> bool:
        return operand in self.program.registers or operand == SINK

    def natural(self, operand: str) -> type:
        """The type that a register was declared with; of a special register unsigned."""
        return self.program.registers.get(operand, np.uint64 if operand.endswith("64") else np.uint32)

    def sized(self, operand: str, dtype: type) -> int:
        """The slot of a register that may be wider than `dtype` (an 8-bit value in a 16-bit register): unsigned, of the register's size."""
        if not self.is_register(operand):
            return self.slot(operand, dtype)
        size = np.dtype(self.natural(operand)).itemsize
        return self.slot(operand, dtype if size == np.dtype(dtype).itemsize else np.dtype(f"u{size}").type)

    def literal(self, text: str, dtype: type) -> Any:
        name, _, offset = text.partition("+")
        if name in self.addresses:
            return ptx.number(str(self.addresses[name] + int(offset or 0)), dtype)
        if text == "WARP_SZ":
            return ptx.number("32", dtype)
        try:
            return ptx.number(text, dtype)
        except ValueError:
            raise SimulatorError(f"kernel {self.program.name}: unknown operand {text!r}") from None

    def allocate(self, lanes: int, special: dict[str, np.ndarray]) -> list[np.ndarray]:
        """The array of each slot, for a number of lanes. special: the values of special registers, (lanes,) or ()."""
        registers: dict[str, np.ndarray] = {}
        found: list[np.ndarray] = []
        for operand, dtype in self._slots:
            if self.is_register(operand):
                size = np.dtype(dtype).itemsize
                base = registers.setdefault(operand if operand != SINK else f"{SINK}{size}", np.zeros(lanes, dtype))
                found.append(base.view(dtype))
            elif operand in special:
                found.append(np.broadcast_to(special[operand], lanes).view(dtype))
            elif SPECIAL.match(operand):
                raise SimulatorError(f"kernel {self.program.name}: the special register {operand} is not simulated")
            else:
                found.append(np.broadcast_to(self.literal(operand, dtype), lanes))
        return found


def parts(operand: str) -> list[str]:
    """{%f1, %f2} -> ["%f1", "%f2"]; %f1 -> ["%f1"]"""
    return [part.strip() for part in operand.strip("{} ").split(",")]


def unknown(instruction: Instruction) -> SimulatorError:
    return SimulatorError(f"the simulator does not know the instruction {'.'.join(instruction.opcode)!r}: {instruction}")
