"""What was counted, as tables: the rungs side by side, and one rung's requests for memory line by line."""
from __future__ import annotations

import functools
from collections.abc import Sequence

from minicnn.benchmarks.reporting import units
from minicnn.benchmarks.simulation.run import Simulated
from minicnn.document import Block, Column, Table
from minicnn.kernels import label
from minicnn.kernels.cuda_backend.simulator import Access
from minicnn.kernels.cuda_backend.simulator.counts import SECTOR, WARP
from minicnn.kernels.cuda_backend.static import report

LIBRARY = "im2col"               # the rung whose product is cuBLAS's, which is not simulated
ARCH = 80                        # the compute capability that is simulated

CAPTION = (
    "Counted in the simulator, in instructions of PTX, over all kernels of a rung. instructions: of warps, for each 32 multiply-adds that "
    "the convolution needs. FMA: the share of multiply-adds among the instructions of the kernel that makes the product (mma: of products "
    "on tensor cores, 1,024 multiply-adds each). read, written: bytes of the sectors of global memory (32 bytes each) that requests touch. "
    "sectors: of one request of a warp, and as few as its bytes could lie in; fewer are possible where threads ask for the same bytes. "
    "wavefronts: turns that shared memory takes to serve one request, and as few as there could be: more are bank conflicts. registers, "
    "blocks: of the kernel that makes the product, compiled for compute capability 8.0, and how many blocks a multiprocessor holds.")


def side_by_side(found: Sequence[Simulated]) -> list[Block]:
    """A row for each rung."""
    first = found[0]
    columns = [Column("rung", left=True), Column("what it does", left=True, aside=True),
               *(Column(head) for head in ("blocks × threads", "instructions", "FMA", "read", "written", "sectors read", "sectors written",
                                           "wavefronts read", "registers", "blocks"))]
    size = units.size(first.problem.bytes(first.direction))
    title = f"{first.problem}, {first.direction}: {first.macs:,} multiply-adds, {size} in and out"
    notes = [f"{s.name}: the copies alone; its product is a call of cuBLAS, which is not simulated" for s in found if s.name == LIBRARY]
    notes += [_checked(found)]
    return [Table(title, columns, [_row(s) for s in found], notes), CAPTION]


def by_line(s: Simulated) -> list[Block]:
    """A row for each line of source that asks for memory."""
    columns = [Column("line", left=True), Column("memory", left=True), Column("requests"), Column("each"), Column("ideal"),
               Column("in", left=True)]
    table = Table(f"{s.name}: requests for memory, line by line", columns, [])
    for counts in s.launches:
        table.rows.append([f"{counts.kernel.split()[0]}, {_grid(counts.grid)} × {_grid(counts.block)} threads: {counts.instructions:,} "
                           "instructions of warps"])
        for (line, space, kind), access in counts.by_line().items():
            if space in ("global", "shared"):
                table.rows.append([line, f"{space}, {kind}", f"{access.requests:,}", units.short(access.per_request),
                                   units.short(access.ideal_per_request), "sectors" if space == "global" else "wavefronts"])
    return [table, "each: sectors or wavefronts of one request of a warp; fewer than ideal where threads ask for the same bytes."]


def _row(s: Simulated) -> list[str]:
    product, read, written = s.product, s.total("global", "read"), s.total("global", "write")
    needs = _needs().get(product.kernel.split()[0])
    share = f"{product.tensor_products / product.instructions:.0%} mma" if product.tensor_products else f"{product.multiply_add_share:.0%}"
    return [s.name, label(s.rung.load()).partition(": ")[2], f"{_grid(product.grid)} × {_grid(product.block)}",
            units.short(s.instructions * WARP / max(s.macs, 1)), "-" if s.name == LIBRARY else share,
            units.size(read.units * SECTOR), units.size(written.units * SECTOR), _of(read), _of(written), _of(s.total("shared", "read")),
            *([str(needs.registers), str(needs.blocks)] if needs else ["-", "-"])]


@functools.cache
def _needs() -> dict[str, report.Row]:
    """{kernel: what it needs of a multiprocessor}"""
    return {row.kernel: row for row in report.table([ARCH])}


def _of(access: Access) -> str:
    """Such as "4.2 of 4.0"."""
    return f"{access.per_request:.1f} of {access.ideal_per_request:.1f}" if access.requests else "-"


def _grid(sizes: tuple[int, int, int]) -> str:
    """(16, 8, 1) -> "16·8"."""
    used = [str(n) for n in sizes]
    while len(used) > 1 and used[-1] == "1":
        used.pop()
    return "·".join(used)


def _checked(found: Sequence[Simulated]) -> str:
    rounded = [f"{s.name} within {units.percent(s.verified.error)} of its rounding bound" for s in found if s.verified.tier != "exact"]
    return "Every result equals the right one" + (f", but {', '.join(rounded)}." if rounded else ".")


CODE_CAPTION = (
    "Of the machine code (SASS), for GPUs of this compute capability. registers: of a thread. blocks: that a multiprocessor holds at a "
    "time, with the share of its warps, and what allows no more. loop: instructions of the loop that makes the products. FMA: how many of "
    "them are multiply-adds. peak: the share of the GPU's float32 peak that the loop, with the one around it that loads the tiles, cannot "
    "exceed.")


def machine_code(arch: int) -> list[Block]:
    """A row for each kernel of the rungs that makes products, as `static.report` finds it. Raises OSError without NVRTC."""
    columns = [Column("kernel", left=True), *map(Column, ("threads", "registers", "blocks", "warps")), Column("limited by", left=True),
               *map(Column, ("loop", "FMA", "peak")), Column("bound by", left=True, aside=True)]
    table = Table(f"compute capability {arch / 10}", columns, [])
    for row in report.table([arch]):
        share = "-" if row.share is None else f"{units.percent(row.share)} mma" if row.products else units.percent(row.share)
        table.rows.append([row.kernel, str(row.threads), str(row.registers), str(row.blocks), units.percent(row.occupancy), row.limit,
                           "-" if row.instructions is None else str(row.instructions), share,
                           "-" if row.peak is None else units.percent(row.peak), row.bound])
    return [table, CODE_CAPTION]
