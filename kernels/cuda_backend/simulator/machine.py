"""A wave: blocks that are on the simulated GPU at the same time, and how their threads step.

A GPU steps the 32 threads of a warp together while they agree where to go. Where a branch sends them different ways, it steps one side
with the others switched off, and then the other side, and joins them again. Here all threads of all blocks of a wave step together, by
one rule: of the threads that can step, those with the lowest program counter do. So threads that ran ahead wait for the rest where the
ways meet again, as the compiler lays out the code. Threads at a barrier wait until no thread can step.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from minicnn.kernels.cuda_backend.simulator.faults import Fault, SimulatorError
from minicnn.kernels.cuda_backend.simulator.ptx import Instruction, Program
from minicnn.kernels.cuda_backend.simulator.races import who_of
from minicnn.kernels.cuda_backend.simulator.registers import Operands

if TYPE_CHECKING:
    from minicnn.kernels.cuda_backend.simulator.async_copy import AsyncCopies
    from minicnn.kernels.cuda_backend.simulator.counts import Meter
    from minicnn.kernels.cuda_backend.simulator.spaces import GlobalSpace, LocalSpace, SharedSpace

WARP = 32                        # threads
NEVER = 1 << 40                  # a program counter beyond every kernel

Three = tuple[int, int, int]
Step = Callable[["Wave"], None]
Control = Callable[["Wave"], int | None]    # the next program counter of all active threads, or None: they differ


@dataclass
class Image:
    """A kernel, decoded. steps: what each instruction does; controls: the ones that change the program counter; stops: for each
    place the next control instruction from there on."""
    program: Program
    operands: Operands
    steps: list[Step]
    controls: dict[int, Control]
    stops: list[int]


@dataclass
class Launch:
    """What all waves of a launch share. kernel: for messages; executed: how often each instruction was, in warps."""
    kernel: str
    image: Image
    grid: Three
    block: Three
    parameters: np.ndarray                                     # their bytes, as the kernel declares them
    shared_bytes: int                                          # a block, static and dynamic
    memory: GlobalSpace
    meter: Meter | None = None
    executed: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))


class Wave:
    """Blocks first .. first + count - 1. A block's threads are padded to whole warps: lane = block · padded + thread.

    mask, (lanes,), is true for the threads that step now, the active ones; `active` is the same as an index (a slice when it is every
    lane) and `size` their number. `where` is for arithmetic, which may write what it likes into threads that have returned: True when
    every thread alive is active, otherwise the mask.
    """

    def __init__(self, launch: Launch, first: int, count: int) -> None:
        self.launch, self.first, self.count = launch, first, count
        x, y, z = launch.block
        self.threads = x * y * z
        self.padded = -(-self.threads // WARP) * WARP
        self.lanes = lanes = count * self.padded
        self.thread = np.tile(np.arange(self.padded), count)   # (lanes,): the thread's number in its block
        self.exists = self.thread < self.threads
        self.alive = self.exists.copy()
        self.waiting = np.zeros(lanes, bool)
        self.pc = np.zeros(lanes, np.int64)                    # of the threads that are not active
        self.time = 0                                          # barriers passed, of a block or a warp
        self.barrier_time = 0                                  # `time` at the last block barrier
        self.warp_time: np.ndarray | None = None               # (lanes,): `time` at the warp's last barrier, if there was one
        self.subnormal = False                                 # a subnormal number was loaded
        self.slots = launch.image.operands.allocate(lanes, self._special())
        self.who = who_of(self)                                # (lanes,): block and thread, for the race checks
        self.shared: SharedSpace
        self.local: LocalSpace
        self.copies: AsyncCopies
        self.mask = self.alive
        self.where: Any = True
        self.active: Any = slice(None)
        self.size = self.warps = 0
        self.place = self.until = 0

    def _special(self) -> dict[str, np.ndarray]:
        """The special registers."""
        block = np.repeat(np.arange(self.first, self.first + self.count), self.padded)
        values: dict[str, Any] = {"%laneid": self.thread % WARP, "%warpid": self.thread // WARP, "%smid": 0,
                                  "%dynamic_smem_size": self.launch.shared_bytes - self.launch.image.program.static_shared}
        thread, below, behind = self.thread, 1, 1
        for axis, threads, blocks in zip("xyz", self.launch.block, self.launch.grid, strict=True):
            values[f"%tid.{axis}"], values[f"%ctaid.{axis}"] = thread // below % threads, block // behind % blocks
            values[f"%ntid.{axis}"], values[f"%nctaid.{axis}"] = threads, blocks
            below, behind = below * threads, behind * blocks
        bit = np.left_shift(1, self.thread % WARP)
        values |= {"%lanemask_eq": bit, "%lanemask_lt": bit - 1, "%lanemask_le": 2 * bit - 1, "%lanemask_ge": (1 << WARP) - bit,
                   "%lanemask_gt": (1 << WARP) - 2 * bit}
        return {name: np.asarray(value, np.uint32) for name, value in values.items()}

    # Scheduling

    def run(self) -> None:
        image, executed = self.launch.image, self.launch.executed
        while self._select():
            place: int | None = self.place
            while place is not None and place < self.until:
                stop = min(image.stops[place], self.until)
                if stop > place:
                    executed[place:stop] += self.warps
                    for step in image.steps[place:stop]:
                        step(self)
                self.place = stop
                if stop < self.until:
                    executed[stop] += self.warps
                    place = image.controls[stop](self)
                else:
                    place = stop
            if place is not None:
                self.pc[self.active] = place

    def _select(self) -> bool:
        """Choose the threads that step next. False: all have returned."""
        runnable = self.alive & ~self.waiting
        if not runnable.any():
            if not self.waiting.any():
                return False
            self._open_barrier()
            runnable = self.alive
        pc = np.where(runnable, self.pc, NEVER)
        self.place = int(pc.min())
        mask = pc == self.place
        self.activate(mask)
        self.where = True if self.size == np.count_nonzero(self.alive) else mask
        rest = pc[~mask]
        self.until = min(int(rest.min()) if rest.size else NEVER, len(self.launch.image.steps))
        self.warps = int(np.count_nonzero(mask.reshape(-1, WARP).any(1)))
        if self.place >= len(self.launch.image.steps):
            raise SimulatorError(f"kernel {self.launch.kernel} runs past its end")
        return True

    def activate(self, mask: np.ndarray) -> None:
        self.mask = mask
        self.size = int(np.count_nonzero(mask))
        self.active = slice(None) if self.size == self.lanes else np.flatnonzero(mask)

    def choose(self, predicate: int, negated: bool) -> np.ndarray | None:
        """The active threads whose guard is true; None when it is all of them."""
        guard = self.slots[predicate]
        chosen = self.mask & ~guard if negated else self.mask & guard
        return None if np.count_nonzero(chosen) == self.size else chosen

    def _open_barrier(self) -> None:
        """No thread can step. In each block all must wait, and at the same barrier."""
        waiting = self.waiting.reshape(self.count, self.padded)
        exists = self.exists.reshape(self.count, self.padded)
        pc = self.pc.reshape(self.count, self.padded)
        last = np.where(waiting, pc, -1).max(1, keepdims=True)
        missing = waiting.any(1, keepdims=True) & exists & ~(waiting & (pc == last))
        if missing.any():
            lane = int(np.flatnonzero(missing)[0])
            at = self.code[int(last.ravel()[lane // self.padded]) - 1]
            does = f"waits at another barrier, {self.code[int(self.pc[lane]) - 1]}" if self.waiting[lane] else "has returned"
            self.fault(at, lane, f"divergent barrier: the thread {does}, while other threads of its block wait at this one")
        self.waiting[:] = False
        self.time += 1
        self.barrier_time = self.time
        if self.shared.races is not None:
            self.shared.races.forget()

    # For instructions

    @property
    def code(self) -> list[Instruction]:
        return self.launch.image.program.code

    def put(self, slot: int, values: Any) -> None:
        """Write a register of the active threads. values: (lanes,) or (), of the slot's type."""
        np.copyto(self.slots[slot], values, where=self.where)

    def active_lanes(self) -> np.ndarray:
        return np.arange(self.lanes) if isinstance(self.active, slice) else self.active

    def fault(self, instruction: Instruction, lane: int, message: str) -> None:
        """Raise a Fault of a thread."""
        raise Fault(self.launch.kernel, f"{self.name(lane)}: {message}; at {instruction}")

    def name(self, lane: int) -> str:
        return named(self.first + lane // self.padded, lane % self.padded, self.launch)


def named(block: int, thread: int, launch: Launch) -> str:
    """block (1, 0, 0), thread (31, 0, 0)"""
    return f"block {_three(block, launch.grid)}, thread {_three(thread, launch.block)}"


def _three(number: int, sizes: Three) -> Three:
    return number % sizes[0], number // sizes[0] % sizes[1], number // (sizes[0] * sizes[1])
