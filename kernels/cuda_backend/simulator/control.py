"""Instructions that decide what a thread does next: branches, return, barriers."""
from __future__ import annotations

from collections.abc import Callable

import numpy as np

from minicnn.kernels.cuda_backend.simulator.machine import Control, Step, Wave
from minicnn.kernels.cuda_backend.simulator.ptx import Instruction
from minicnn.kernels.cuda_backend.simulator.registers import Operands, unknown


def guarded(step: Step, predicate: int, negated: bool) -> Step:
    """@%p step: only the threads whose predicate is true take part. A warp in which it is false for all still issues the instruction."""
    def run(wave: Wave) -> None:
        chosen = wave.choose(predicate, negated)
        if chosen is None:
            step(wave)
            return
        saved = wave.mask, wave.where, wave.active, wave.size
        wave.activate(chosen)
        wave.where = chosen
        if wave.size:
            step(wave)
        wave.mask, wave.where, wave.active, wave.size = saved
    return run


def _leaving(leave: Callable[[Wave, np.ndarray, int], None]) -> Callable[[Instruction, Operands], Control]:
    """For instructions after which the threads that execute them cannot step on; the others go to the next instruction."""
    def decode(instruction: Instruction, operands: Operands) -> Control:
        predicate = operands.slot(instruction.guard, np.bool_) if instruction.guard else None
        after = instruction.place + 1

        def control(wave: Wave) -> int | None:
            chosen = None if predicate is None else wave.choose(predicate, instruction.negated)
            if chosen is not None and not chosen.any():
                return after
            wave.pc[wave.active] = after
            leave(wave, wave.mask if chosen is None else chosen, after)
            return None
        return control
    return decode


def _return(wave: Wave, mask: np.ndarray, after: int) -> None:
    wave.alive = wave.alive & ~mask


def _wait(wave: Wave, mask: np.ndarray, after: int) -> None:
    wave.waiting |= mask


def _barrier(instruction: Instruction, operands: Operands) -> Control:
    """__syncthreads() is bar.sync 0: no thread of the block goes on before all have arrived."""
    if not {"sync", "cta"} & set(instruction.opcode) or {"red", "arrive"} & set(instruction.opcode) or instruction.operands != ("0",):
        raise unknown(instruction)
    return _leaving(_wait)(instruction, operands)


def _branch(instruction: Instruction, operands: Operands) -> Control:
    target, after = operands.program.labels[instruction.operands[-1]], instruction.place + 1
    if not instruction.guard:
        return lambda wave: target
    predicate, negated = operands.slot(instruction.guard, np.bool_), instruction.negated

    def control(wave: Wave) -> int | None:
        taken = wave.slots[predicate][wave.active]
        number = int(np.count_nonzero(taken))
        if number in (0, wave.size):                           # all go the same way
            return target if (number == 0) == negated else after
        wave.pc[wave.active] = np.where(taken != negated, target, after)
        return None
    return control


def _indexed_branch(instruction: Instruction, operands: Operands) -> Control:
    """brx.idx: a switch."""
    index = operands.slot(instruction.operands[0], np.uint32)
    targets = np.array([operands.program.labels[label] for label in operands.program.targets[instruction.operands[1]]])
    after = instruction.place + 1
    predicate = operands.slot(instruction.guard, np.bool_) if instruction.guard else None

    def control(wave: Wave) -> int | None:
        goes = targets[np.minimum(wave.slots[index], len(targets) - 1)]
        if predicate is not None:
            goes = np.where(wave.slots[predicate] != instruction.negated, goes, after)
        wave.pc[wave.active] = goes[wave.active]
        return None
    return control


CONTROLS: dict[str, Callable[[Instruction, Operands], Control]] = {
    "bra": _branch, "brx": _indexed_branch, "ret": _leaving(_return), "exit": _leaving(_return), "bar": _barrier, "barrier": _barrier,
}


def warp_barrier(instruction: Instruction, operands: Operands) -> Step:
    """__syncwarp(): orders what the threads of a warp do in memory. They step together here, so only the race checks take note."""
    def step(wave: Wave) -> None:
        wave.time += 1
        if wave.warp_time is None:
            wave.warp_time = np.zeros(wave.lanes, np.int64)
        wave.warp_time[wave.active] = wave.time
    return step
