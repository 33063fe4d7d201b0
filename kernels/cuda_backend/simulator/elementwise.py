"""The step of an instruction that computes one value for each thread from the thread's registers."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minicnn.kernels.cuda_backend.simulator.machine import Step, Wave
from minicnn.kernels.cuda_backend.simulator.ptx import Instruction
from minicnn.kernels.cuda_backend.simulator.registers import Operands
from minicnn.kernels.cuda_backend.simulator.rounding import flushed, saturated

Function = Callable[..., Any]


def elementwise(function: Function, instruction: Instruction, operands: Operands, *types: type, exact: bool = False) -> Step:
    """d = function(a, b, ...). types: of d, a, b, ...; exact: the result is subnormal only where an argument is."""
    target, *sources = (operands.slot(o, t) for o, t in zip(instruction.operands, types, strict=True))
    flush, saturate = "ftz" in instruction.opcode, "sat" in instruction.opcode and np.dtype(types[0]).kind == "f"
    if flush or saturate:
        def careful(wave: Wave) -> None:
            values = [wave.slots[s] for s in sources]
            result = function(*map(flushed, values)) if flush and wave.subnormal else function(*values)
            result = result if exact or not flush else flushed(result)
            wave.put(target, saturated(result) if saturate else result)
        return careful
    if isinstance(function, np.ufunc) and len(sources) == 2:
        a, b = sources

        def binary(wave: Wave) -> None:
            slots = wave.slots
            if wave.where is True:
                function(slots[a], slots[b], out=slots[target])
            else:
                np.copyto(slots[target], function(slots[a], slots[b]), where=wave.where)
        return binary

    def step(wave: Wave) -> None:
        wave.put(target, function(*[wave.slots[s] for s in sources]))
    return step


def same_type(function: Function, number: int, exact: bool = False) -> Callable[[Instruction, Operands], Step]:
    """For an instruction with `number` operands in all, each of its type."""
    def decode(instruction: Instruction, operands: Operands) -> Step:
        return elementwise(function, instruction, operands, *[instruction.type] * number, exact=exact)
    return decode
