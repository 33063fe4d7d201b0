"""The rungs of convolution side by side, as their machine code shows them: what `minicnn simulate code` prints."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from minicnn.kernels.cuda_backend.static import sass
from minicnn.kernels.cuda_backend.static.budget import ARCHS, BUDGETS
from minicnn.kernels.cuda_backend.static.occupancy import MULTIPROCESSORS, occupancy
from minicnn.kernels.cuda_backend.static.resources import compiled, resources
from minicnn.kernels.cuda_backend.static.sass import Instruction, Loop

RUNGS = {                        # name: the file whose kernels make the products, or for im2col the copy
    "direct": "conv2d_direct.cu", "im2col": "im2col.cu", "tiled": "conv2d_tiled.cu", "blocked": "conv2d_blocked.cu",
    "pipelined": "conv2d_pipelined.cu", "tensor_cores": "conv2d_tensor_cores.cu",
}
MOST_MULTIPLIERS = 128           # multiply-adds of one instruction a cycle from each of four schedulers


@dataclass(frozen=True)
class Row:
    """A kernel of a rung on an architecture.

    blocks: of `threads` threads on a multiprocessor; occupancy: the share of its warps; limit: what allows no more.
    Of the hot loop, if it has one and there is a disassembler (None otherwise): instructions, share of multiply-adds, products on tensor
    cores. peak: the share of the GPU's float32 peak that it cannot exceed, with the loop around it counted in (None for tensor cores).
    bound: what holds it back, in a phrase.
    """
    rung: str
    kernel: str
    arch: int
    threads: int
    registers: int
    shared: int
    spills: int
    blocks: int
    occupancy: float
    limit: str
    instructions: int | None = None
    share: float | None = None
    products: int | None = None
    peak: float | None = None
    bound: str = ""


def table(archs: Sequence[int] = ARCHS) -> list[Row]:
    """A row for each kernel that makes products (and im2col's copies), rung by rung, and each architecture that it exists on.

    Raises OSError without NVRTC; without a disassembler what it would show is None.
    """
    return [row for rung in RUNGS for arch in archs for row in _rows(rung, arch)]


def _rows(rung: str, arch: int) -> list[Row]:
    file, rows = RUNGS[rung], []
    needs = resources(file, arch)
    codes = None if sass.missing() else sass.parse(sass.disassemble(compiled(file, arch)[0]))
    for kernel, budget in BUDGETS[file].items():
        if kernel not in needs or not (budget.share or rung == "im2col"):
            continue                                           # it does not exist here, or only prepares
        found = needs[kernel]
        shared = found.shared + budget.shared
        fit = occupancy(arch, budget.threads, found.registers, shared)
        row = Row(rung, kernel, arch, budget.threads, found.registers, shared, found.spills, fit.blocks, fit.share, fit.limit)
        rows.append(_with_loop(row, codes[kernel], budget.turns) if codes else row)
    return rows


def _with_loop(row: Row, code: tuple[Instruction, ...], turns: int) -> Row:
    loop = sass.hot_loop(code)
    if loop is None:
        return replace(row, bound="memory: it makes no products")
    outer = sass.around(code, loop) if turns else None
    products = loop.count(*sass.TENSOR)
    return replace(row, instructions=len(loop.body), share=loop.share, products=products,
                   peak=None if products else peak(share_of_all(loop, outer, turns), row.arch), bound=bound(loop, outer))


def share_of_all(loop: Loop, outer: Loop | None, turns: int) -> float:
    """Of multiply-adds among the instructions of a turn of `outer`, which goes through `loop` `turns` times; of `loop` without one."""
    if outer is None:
        return loop.share
    return turns * loop.multiply_adds / (len(outer.body) + (turns - 1) * len(loop.body))


def peak(share: float, arch: int) -> float:
    """The share of the float32 peak that a loop with that share of multiply-adds cannot exceed. A scheduler with multipliers for half an
    instruction a cycle (7.5 and 8.0) has every other cycle free for something else."""
    return min(1.0, share * MOST_MULTIPLIERS / MULTIPROCESSORS[arch].multipliers)


def bound(loop: Loop, outer: Loop | None) -> str:
    """What holds the loop back, in a phrase. outer: the loop that it lies in, which loads the tiles."""
    if products := loop.count(*sass.TENSOR):
        return f"tensor cores, with {len(loop.body) / products:.1f} instructions a product"
    if outer and (between := len(outer.body) - len(loop.body)) > len(loop.body):
        return f"index arithmetic: {between:,} instructions with {outer.divisions} divisions before each tile; then multiply-adds"
    if loop.share >= 0.5:
        return "multiply-adds"
    if loop.divisions:
        return f"index arithmetic: {_count(loop.divisions, 'division')} for {_count(loop.multiply_adds, 'multiply-add')}"
    loads, shared = loop.count("LDG"), loop.count("LDS")
    if loads >= loop.multiply_adds:
        return f"loads from global memory: {loads / loop.multiply_adds:.1f} for a multiply-add"
    if shared >= loop.multiply_adds:
        return f"loads from shared memory: {shared / loop.multiply_adds:.1f} for a multiply-add"
    return f"index arithmetic: {len(loop.body) / loop.multiply_adds:.1f} instructions for a multiply-add"


def _count(n: int, thing: str) -> str:
    return f"{n} {thing}" + ("" if n == 1 else "s")
