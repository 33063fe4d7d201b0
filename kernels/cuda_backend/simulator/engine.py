"""Simulator: compiles a kernel with NVRTC, decodes its PTX, and runs it wave by wave."""
from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from minicnn.kernels.cuda_backend import nvrtc, source
from minicnn.kernels.cuda_backend.launcher import Kernel
from minicnn.kernels.cuda_backend.simulator import access, arithmetic, async_copy, control, conversion, integers, ptx, tensor_core, warp
from minicnn.kernels.cuda_backend.simulator.array import DeviceArray
from minicnn.kernels.cuda_backend.simulator.async_copy import AsyncCopies
from minicnn.kernels.cuda_backend.simulator.counts import Counts, Meter, Request
from minicnn.kernels.cuda_backend.simulator.faults import Fault, SimulatorError
from minicnn.kernels.cuda_backend.simulator.machine import WARP, Control, Image, Launch, Step, Three, Wave
from minicnn.kernels.cuda_backend.simulator.memory import MEMORY, Allocation
from minicnn.kernels.cuda_backend.simulator.ptx import Instruction, Program
from minicnn.kernels.cuda_backend.simulator.registers import Operands, unknown
from minicnn.kernels.cuda_backend.simulator.spaces import GlobalSpace, LocalSpace, Region, SharedSpace

ARCHITECTURE = 80                # the compute capability that is simulated: the first with cp.async and TF32
LANES = 16384                    # threads of a wave, about: more need more cache, fewer more steps of the interpreter
SHARED_LIMIT = 227 << 10         # bytes a block, on the largest GPUs

_DECODERS: dict[str, Callable[[Instruction, Operands], Step]] = {
    **arithmetic.DECODERS, **integers.DECODERS, **conversion.DECODERS, **access.DECODERS, **async_copy.DECODERS, **warp.DECODERS,
    **tensor_core.DECODERS,
}


class Module:
    """A compiled file: its kernels, and its own variables in device memory."""

    def __init__(self, text: str) -> None:
        self.programs = ptx.parse(text)
        self.images: dict[str, Image] = {}
        self.variables: dict[str, Allocation] = {}             # name -> where it lies

    def image(self, name: str) -> Image:
        if name not in self.images:
            self.images[name] = _decoded(self.programs[name], self._addresses(self.programs[name]))
        return self.images[name]

    def _addresses(self, program: Program) -> dict[str, int]:
        found = {name: offset for name, (offset, _) in program.parameters.items()}
        for name, variable in program.variables.items():
            if variable.data is not None and name not in self.variables:
                self.variables[name] = MEMORY.adopt(variable.data.copy())
            found[name] = self.variables[name].address if variable.data is not None else variable.offset
        return found


def _decoded(program: Program, addresses: dict[str, int]) -> Image:
    operands = Operands(program, addresses)
    steps: list[Step] = []
    controls: dict[int, Control] = {}
    for instruction in program.code:
        opcode = instruction.opcode
        if opcode[0] in control.CONTROLS and opcode[:2] != ("bar", "warp"):
            controls[instruction.place] = control.CONTROLS[opcode[0]](instruction, operands)
            steps.append(_no_step)
            continue
        decode = _DECODERS.get("bar.warp" if opcode[0] == "bar" else opcode[0])
        if decode is None:
            raise unknown(instruction)
        step = decode(instruction, operands)
        if instruction.guard:
            step = control.guarded(step, operands.slot(instruction.guard, np.bool_), instruction.negated)
        steps.append(step)
    stops = [len(steps)] * (len(steps) + 1)
    for place in reversed(range(len(steps))):
        stops[place] = place if place in controls else stops[place + 1]
    return Image(program, operands, steps, controls, stops)


def _no_step(wave: Wave) -> None:
    """Where a control instruction stands."""


@functools.cache
def _module(text: str, name: str, options: tuple[str, ...]) -> Module:
    compiled, _ = nvrtc.compile(text, name, ARCHITECTURE, "ptx", ("-lineinfo", *options))
    return Module(compiled.decode())


class Simulator:
    """What runs kernels without a GPU. races: look for races too, which takes some of the time."""
    gpu = "simulator"
    compute_capability = ARCHITECTURE

    def __init__(self) -> None:
        self.races = True
        self._counting: list[list[Counts]] = []
        self._tracing: list[tuple[str, Three, int, list[Request]]] = []

    def launch(self, kernel: Kernel, real: str, grid: Three, block: Three, args: tuple[Any, ...], shared: int) -> None:
        """Raises Fault for what the kernel does wrong, SimulatorError for what is not simulated."""
        module = _module(source.text(kernel.file), kernel.file, (f"-DREAL={real}",))
        names = [(p.name, p.constant) for p in kernel.parameters]
        self._run(module, kernel.name, f"{kernel.name} ({kernel.file.rpartition('/')[2]})", names, grid, block, args, shared)

    def run_source(self, text: str, name: str, grid: Sequence[int], block: Sequence[int], args: Sequence[Any], shared: int = 0,
                   options: tuple[str, ...] = ()) -> None:
        """Run the kernel `name` of CUDA C++ in a string. args: DeviceArrays or None, and NumPy scalars of exactly the parameters' types."""
        module = _module(text, "source.cu", options)
        values = tuple(a if a is None or isinstance(a, DeviceArray) else np.asarray(a) for a in args)
        names = [(f"argument {i}", False) for i in range(len(values))]
        self._run(module, name, name, names, _three(grid), _three(block), values, shared)

    @contextlib.contextmanager
    def counting(self) -> Iterator[list[Counts]]:
        """with ENGINE.counting() as counts: ... -- the counts of each launch in it, in order."""
        found: list[Counts] = []
        self._counting.append(found)
        try:
            yield found
        finally:
            self._counting = [other for other in self._counting if other is not found]

    @contextlib.contextmanager
    def tracing(self, kernel: str, block: Sequence[int] = (0, 0, 0), warp: int = 0) -> Iterator[list[Request]]:
        """The memory requests of one warp of each launch of a kernel, in order."""
        found: list[Request] = []
        entry = (kernel, _three((*block, *(0,) * (3 - len(block)))), warp, found)
        self._tracing.append(entry)
        try:
            yield found
        finally:
            self._tracing = [other for other in self._tracing if other is not entry]

    def _run(self, module: Module, name: str, label: str, names: list[tuple[str, bool]], grid: Three, block: Three, args: tuple[Any, ...],
             shared: int) -> None:
        if name not in module.programs:
            raise SimulatorError(f"there is no kernel {name}, only {', '.join(module.programs)}")
        image = module.image(name)
        program, operands = image.program, image.operands
        dynamic = max((v.offset for v in program.variables.values() if v.space == "shared" and not v.size), default=program.static_shared)
        shared_bytes = dynamic + shared if shared else program.static_shared
        if shared_bytes > SHARED_LIMIT:
            raise Fault(label, f"{shared_bytes} bytes of shared memory a block, more than the {SHARED_LIMIT} that there are")
        memory = GlobalSpace(_regions(names, args, module), operands.granule("global"), self.races)
        launch = Launch(label, image, grid, block, _parameter_bytes(label, program, args), shared_bytes, memory,
                        executed=np.zeros(len(program.code), np.int64))
        counts = Counts(label, grid, block, shared_bytes, program.code, launch.executed)
        launch.meter = self._meter(name, counts, grid)
        blocks, padded = grid[0] * grid[1] * grid[2], -(-block[0] * block[1] * block[2] // WARP) * WARP
        together = max(1, LANES // padded)
        with np.errstate(all="ignore"):
            for first in range(0, blocks, together):
                self._run_wave(launch, first, min(together, blocks - first))
        for found in self._counting:
            found.append(counts)

    def _run_wave(self, launch: Launch, first: int, count: int) -> None:
        wave = Wave(launch, first, count)
        wave.shared = SharedSpace(wave, launch.shared_bytes, launch.image.operands.granule("shared"), self.races)
        wave.local = LocalSpace(wave, launch.image.program.local)
        wave.copies = AsyncCopies(wave.lanes)
        wave.run()

    def _meter(self, name: str, counts: Counts, grid: Three) -> Meter | None:
        traced = next((entry for entry in self._tracing if entry[0] == name), None)
        if traced is not None:
            _, (x, y, z), warp_number, requests = traced
            return Meter(counts, requests, (x + grid[0] * (y + grid[1] * z), warp_number))
        return Meter(counts) if self._counting else None


def _three(sizes: Sequence[int]) -> Three:
    x, y, z = (*(int(n) for n in sizes), 1, 1)[:3]
    return x, y, z


def _parameter_bytes(label: str, program: Program, args: tuple[Any, ...]) -> np.ndarray:
    """The arguments as the kernel finds them. CUDA would copy as many bytes as the kernel declares from wherever they are."""
    data = np.zeros(program.parameter_bytes, np.uint8)
    if len(args) != len(program.parameters):
        raise Fault(label, f"{len(args)} arguments for {len(program.parameters)} parameters")
    for i, ((offset, size), a) in enumerate(zip(program.parameters.values(), args, strict=True)):
        value = np.uint64(0) if a is None else np.uint64(a.address) if isinstance(a, DeviceArray) else a
        given = np.frombuffer(value.tobytes(), np.uint8)
        if len(given) != size:
            raise Fault(label, f"argument {i} has {len(given)} bytes ({value.dtype}), the kernel takes {size}")
        data[offset:offset + size] = given
    return data


def _regions(names: list[tuple[str, bool]], args: tuple[Any, ...], module: Module) -> list[Region]:
    """The arrays that the kernel may touch; two arguments may be in one."""
    found: dict[int, Region] = {}
    for (name, constant), a in zip(names, args, strict=False):
        if isinstance(a, DeviceArray):
            region = found.setdefault(a.allocation.address, Region(a.allocation, name, f"{a.dtype}, shape {a.shape}", False))
            region.writable |= not constant
    own = [Region(allocation, name, "a variable of the module", True) for name, allocation in module.variables.items()]
    return [*found.values(), *own]


ENGINE = Simulator()
