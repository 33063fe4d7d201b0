"""What the compiled CUDA kernels need and what their hot loops are made of, held against budgets: no GPU has a part in it."""
from __future__ import annotations

import pytest

from minicnn.kernels.cuda_backend import nvrtc, source
from minicnn.kernels.cuda_backend.static import report, sass
from minicnn.kernels.cuda_backend.static.budget import ARCHS, BUDGETS, Budget
from minicnn.kernels.cuda_backend.static.occupancy import MULTIPROCESSORS, Occupancy, most_registers, occupancy
from minicnn.kernels.cuda_backend.static.resources import Resources, compiled, read_log, resources
from minicnn.kernels.cuda_backend.static.sass import Instruction, Loop, around, hot_loop, loops, parse

FILES = sorted(path.name for path in source.FOLDER.glob("*.cu"))
CONVOLUTIONS = [file for file in FILES if any(budget.share for budget in BUDGETS.get(file, {}).values())]

needs_compiler = pytest.mark.skipif(bool(nvrtc.missing()), reason=str(nvrtc.missing()))
needs_disassembler = pytest.mark.skipif(bool(nvrtc.missing() or sass.missing()), reason=str(nvrtc.missing() or sass.missing()))
on_every_arch = pytest.mark.parametrize("arch", ARCHS)


# The kernels

@pytest.mark.parametrize("file", FILES)
def test_every_kernel_has_a_budget(file: str) -> None:
    without = set(source.signatures(file)) - set(BUDGETS.get(file, {}))
    archs = ", ".join(map(str, ARCHS))
    rows = "".join(f'\n        "{kernel}": Budget(threads, registers, (blocks on {archs})),' for kernel in sorted(without))
    assert not without, f'{file}: add to kernels/cuda_backend/static/budget.py, with what it may need:\n    "{file}": {{{rows}'
    gone = set(BUDGETS[file]) - set(source.signatures(file))
    assert not gone, f"{file}: kernels/cuda_backend/static/budget.py has rows for kernels that do not exist: {', '.join(sorted(gone))}"


@needs_compiler
@on_every_arch
@pytest.mark.parametrize("file", FILES)
def test_registers_and_blocks(file: str, arch: int) -> None:
    found = resources(file, arch)
    assert set(found) == {kernel for kernel, budget in BUDGETS.get(file, {}).items() if exists(budget, arch)}
    wrong = [f"{kernel} on {arch}: {problem}" for kernel in found for problem in problems(BUDGETS[file][kernel], arch, found[kernel])]
    assert not wrong, f"{file}: beyond kernels/cuda_backend/static/budget.py:\n    " + "\n    ".join(wrong)


@needs_compiler
@on_every_arch
@pytest.mark.parametrize("file", FILES)
def test_doubles_compile_without_spills(file: str, arch: int) -> None:
    spilled = {kernel: needs for kernel, needs in resources(file, arch, "double").items() if needs.spills or needs.stack}
    assert not spilled, f"{file} for double on {arch}: {spilled}"


def test_tensor_cores_need_compute_capability_8() -> None:
    assert {kernel for kernel, budget in BUDGETS["conv2d_tensor_cores.cu"].items() if exists(budget, 75)} == set()


@needs_disassembler
@on_every_arch
@pytest.mark.parametrize("file", CONVOLUTIONS)
def test_hot_loops(file: str, arch: int) -> None:
    kernels = {kernel: budget for kernel, budget in BUDGETS[file].items() if budget.share and exists(budget, arch)}
    codes = parse(sass.disassemble(compiled(file, arch)[0])) if kernels else {}
    for kernel, budget in kernels.items():
        loop = hot_loop(codes[kernel])
        assert loop, f"{kernel} on {arch}: no loop with multiply-adds was found"
        found = f"{kernel} on {arch}: of {len(loop.body)} instructions in the hot loop {loop.multiply_adds} are multiply-adds: {loop.mix}"
        assert loop.share >= budget.share, f"{found}: {loop.share:.3f}, at least {budget.share} is asked for"
        assert not loop.count(*sass.LOCAL), f"{found}: local memory"
        assert (loop.ahead or 0) >= budget.ahead, f"{found}: {loop.ahead} between a load and its store, not {budget.ahead}"
        products = loop.count(*sass.TENSOR)
        assert bool(products) == bool(budget.for_product), found
        assert len(loop.body) <= budget.for_product * products or not products, f"{found}: {len(loop.body) / products:.2f} for each product"
        assert bool(around(codes[kernel], loop)) >= bool(budget.turns), found


@needs_disassembler
@on_every_arch
@pytest.mark.parametrize(("file", "opcode"), [("conv2d_blocked.cu", "LDS.128"), ("conv2d_pipelined.cu", "LDS.128"),
                                              ("conv2d_tensor_cores.cu", "LDSM")])
def test_shared_memory_is_read_16_bytes_at_a_time(file: str, opcode: str, arch: int) -> None:
    """But by the weight gradient on tensor cores: its factors lie the other way round, and ldmatrix turns over halves, not floats."""
    codes = parse(sass.disassemble(compiled(file, arch)[0]))
    for kernel in (k for k in codes if BUDGETS[file][k].share and k != "conv2d_tensor_cores_grad_weight"):
        loop = hot_loop(codes[kernel])
        assert loop
        assert loop.count(opcode) == loop.count("LDS", "LDSM") > 0, f"{kernel} on {arch}: {loop.mix}"


def exists(budget: Budget, arch: int) -> bool:
    return budget.blocks[ARCHS.index(arch)] > 0


def problems(budget: Budget, arch: int, needs: Resources) -> list[str]:
    fit = occupancy(arch, budget.threads, needs.registers, needs.shared + budget.shared)
    least = budget.blocks[ARCHS.index(arch)]
    return [f"{found} {what}, {allowed} allowed" for found, what, allowed, fine in (
        (needs.registers, "registers", f"{budget.registers} are", needs.registers <= budget.registers),
        (fit.blocks, f"blocks of {budget.threads} threads, limited by {fit.limit}", f"no fewer than {least} are", fit.blocks >= least),
        (needs.spills, "bytes of spills", "none is", not needs.spills),
        (needs.stack, "bytes of stack", "none is", not needs.stack)) if not fine]


def test_problems_are_told() -> None:
    assert problems(Budget(256, 64, (4, 4, 4, 4, 4)), 80, Resources(64, 8448, 0, 0, 0)) == []
    assert problems(Budget(256, 64, (4, 4, 4, 4, 4)), 80, Resources(65, 8448, 8, 4, 4)) == [
        "65 registers, 64 are allowed", "3 blocks of 256 threads, limited by registers, no fewer than 4 are allowed",
        "8 bytes of spills, none is allowed", "8 bytes of stack, none is allowed"]


# Occupancy

@pytest.mark.parametrize(("arch", "threads", "registers", "shared", "expected"), [
    (80, 256, 128, 16384, Occupancy(2, 0.25, "registers")),        # 8 warps of 4,096 registers: 2 blocks of 32,768
    (80, 256, 32, 0, Occupancy(8, 1.0, "registers and threads")),  # 8 * 256 = 2,048 threads
    (80, 256, 33, 0, Occupancy(6, 0.75, "registers")),             # 33 count as 40: 1,280 a warp, 12 warps a quarter, 48 in all
    (80, 32, 16, 0, Occupancy(32, 0.5, "registers and blocks")),   # a warp a block, and yet each takes a place on all four schedulers
    (80, 64, 16, 0, Occupancy(32, 1.0, "registers and threads and blocks")),
    (80, 128, 32, 48 << 10, Occupancy(3, 12 / 64, "shared memory")),       # (48 + 1) KB each of 164
    (75, 256, 32, 0, Occupancy(4, 1.0, "threads")),                # 1,024 threads
    (75, 128, 32, 32 << 10, Occupancy(2, 0.25, "shared memory")),  # 64 KB, and nothing is reserved
    (75, 128, 32, (32 << 10) + 1, Occupancy(1, 0.125, "shared memory")),
    (86, 256, 40, 0, Occupancy(6, 1.0, "registers and threads")),
    (90, 256, 128, 48 << 10, Occupancy(2, 0.25, "registers")),
    (120, 256, 64, 48 << 10, Occupancy(2, 2 / 6, "shared memory")),        # (48 + 1) KB each of 100
    (89, 1024, 64, 0, Occupancy(1, 32 / 48, "registers and threads")),
])
def test_occupancy(arch: int, threads: int, registers: int, shared: int, expected: Occupancy) -> None:
    assert occupancy(arch, threads, registers, shared) == expected


def test_occupancy_by_hand_for_warps_that_no_scheduler_shares() -> None:
    """168 registers: 5,376 a warp, 3 warps a quarter, 12 in all; a block of 5 warps takes 8 places, for they are given in fours."""
    assert occupancy(90, 160, 168).blocks == 1


def test_most_registers() -> None:
    assert [most_registers(80, 256, blocks) for blocks in (1, 2, 3, 4, 5, 6, 8)] == [255, 128, 80, 64, 48, 40, 32]
    assert most_registers(80, 256, 9) == 0                     # more than its threads allow


def test_unknown_compute_capability() -> None:
    with pytest.raises(ValueError, match=r"^no limits are known for compute capability 7\.0; there are 7\.5, 8\.0, 8\.6, 8\.9, 9\.0, "
                                         r"10\.0, 12\.0$"):
        occupancy(70, 256, 32)
    assert set(ARCHS) <= set(MULTIPROCESSORS)


# The assembler's log

def test_log() -> None:
    log = """ptxas info    : 12 bytes gmem
ptxas info    : Compiling entry function 'one' for 'sm_80'
ptxas info    : Function properties for one
ptxas         .     24 bytes stack frame, 20 bytes spill stores, 16 bytes spill loads
ptxas info    : Used 128 registers, used 1 barriers, 24 bytes cumulative stack size, 18944 bytes smem, 468 bytes cmem[0]
ptxas info    : Compiling entry function 'two' for 'sm_80'
ptxas info    : Function properties for two
ptxas         .     0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 12 registers, used 0 barriers
"""
    assert read_log(log) == {"one": Resources(128, 18944, 24, 20, 16), "two": Resources(12, 0, 0, 0, 0)}
    assert read_log(log)["one"].spills == 36
    assert read_log("ptxas info    : 12 bytes gmem") == {}


def test_log_that_is_not_understood() -> None:
    with pytest.raises(ValueError, match="the assembler's log is not understood"):
        read_log("ptxas info    : Compiling entry function 'one' for 'sm_80'\nptxas info    : Used many registers")


# Machine code

CODE = """
	code for sm_80
		Function : nested
	.headerflags	@"EF_CUDA_SM80"
        /*0000*/                   MOV R1, c[0x0][0x28] ;               /* 0x00000a0000017a02 */
                                                                        /* 0x000fe40000000f00 */
        /*0010*/                   LDG.E.128 R4, [R2.64] ;              /* 0x0000000402047981 */
        /*0020*/                   FFMA R8, R4, R5, R8 ;                /* 0x0000000504087223 */
        /*0030*/                   FFMA.FTZ R9, R4, R6, R9 ;            /* 0x0000000604097223 */
        /*0040*/              @!PT LDS RZ, [RZ] ;                       /* 0x00000000fffff984 */
        /*0050*/              @!P0 BRA 0x20 ;                           /* 0xffffffd000008947 */
        /*0060*/                   FFMA R8, R4, R5, R8 ;                /* 0x0000000504087223 */
        /*0070*/                   STS.128 [R10], R4 ;                  /* 0x000000040a007388 */
        /*0080*/                   BAR.SYNC 0x0 ;                       /* 0x0000000000007b1d */
        /*0090*/               @P1 BRA.U !UP0, 0x10 ;                   /* 0xffffff7000001947 */
        /*00a0*/                   EXIT ;                               /* 0x000000000000794d */
        /*00b0*/                   BRA 0xb0;                            /* 0xfffffff000007947 */
        /*00c0*/                   NOP;                                 /* 0x0000000000007918 */
		Function : straight
        /*0000*/                   FFMA R8, R4, R5, R8 ;                /* 0x0000000504087223 */
        /*0010*/                   EXIT ;                               /* 0x000000000000794d */
"""


def test_parse() -> None:
    codes = parse(CODE)
    assert list(codes) == ["nested", "straight"]
    assert " ".join(i.kind for i in codes["nested"]) == "MOV LDG FFMA FFMA LDS BRA FFMA STS BAR BRA EXIT BRA NOP"
    assert codes["nested"][1] == Instruction(0x10, "LDG.E.128", "R4, [R2.64]")
    assert codes["nested"][4] == Instruction(0x40, "LDS", "RZ, [RZ]", "@!PT")
    assert codes["nested"][4].never
    assert codes["nested"][5] == Instruction(0x50, "BRA", "0x20", "@!P0")
    assert codes["nested"][5].target == 0x20


def test_loops() -> None:
    code = parse(CODE)["nested"]
    outer, inner = loops(code)                                 # the branch to itself at the end is none
    assert (outer.first, outer.last, len(outer.body)) == (0x10, 0x90, 9)
    assert (inner.first, inner.last, len(inner.body)) == (0x20, 0x50, 4)
    assert hot_loop(code) == inner
    assert around(code, inner) == outer
    assert around(code, outer) is None
    assert hot_loop(parse(CODE)["straight"]) is None
    assert loops(parse(CODE)["straight"]) == []


def test_what_a_loop_is_made_of() -> None:
    outer, inner = loops(parse(CODE)["nested"])
    assert (inner.multiply_adds, inner.share) == (2, 0.5)
    assert inner.count("LDS") == 0                             # that one never runs
    assert inner.mix == {"FFMA": 2, "LDS": 1, "BRA": 1}        # but it takes its place
    assert (outer.count("LDG.128"), outer.count("LDG.64"), outer.count("LDG", "STS"), outer.count("LDG.128.E")) == (1, 0, 2, 1)
    assert outer.ahead == 3
    assert inner.ahead is None


def test_branches_to_one_place_are_one_loop() -> None:
    code = (Instruction(0, "FFMA"), Instruction(16, "BRA", "0x0", "@P0"), Instruction(32, "FADD"), Instruction(48, "BRA", "0x0"))
    assert [len(loop.body) for loop in loops(code)] == [4]


def loop_of(*opcodes: str) -> Loop:
    return Loop(tuple(Instruction(16 * n, opcode) for n, opcode in enumerate(opcodes)))


def test_ahead_goes_round() -> None:
    assert loop_of("STS", "FFMA", "LDG", "FFMA", "FFMA", "BRA").ahead == 2             # the store of the next turn
    assert loop_of("FFMA", "LDG", "FFMA", "LDG", "STS", "FFMA", "BRA").ahead == 0      # the load that is waited for at once
    assert loop_of("LDG", "HMMA", "STS").ahead == 1
    assert loop_of("LDG", "FFMA").ahead is None


def test_bounds_are_told() -> None:
    assert report.bound(loop_of("FFMA", "FFMA", "LDS", "BRA"), None) == "multiply-adds"
    assert report.bound(loop_of("LDG", "LDG", "FFMA", "IADD3", "BRA"), None) == "loads from global memory: 2.0 for a multiply-add"
    assert report.bound(loop_of("LDS", "LDS", "FFMA", "BRA"), None) == "loads from shared memory: 2.0 for a multiply-add"
    assert report.bound(loop_of("FFMA", "IMAD", "IMAD", "BRA"), None) == "index arithmetic: 4.0 instructions for a multiply-add"
    assert report.bound(loop_of("FFMA", "MUFU.RCP", "IMAD", "BRA"), None) == "index arithmetic: 1 division for 1 multiply-add"
    assert report.bound(loop_of("HMMA.1688", "LDSM", "BRA"), None) == "tensor cores, with 3.0 instructions a product"
    inner, outer = loop_of("FFMA", "BRA"), loop_of("FFMA", "BRA", *["MUFU.RCP"] * 3, "BRA")
    assert report.bound(inner, outer) == "index arithmetic: 4 instructions with 3 divisions before each tile; then multiply-adds"
    assert report.share_of_all(inner, outer, turns=2) == 2 / 8
    assert report.share_of_all(inner, None, turns=0) == 0.5
    assert (report.peak(0.25, 80), report.peak(0.75, 80), report.peak(0.75, 90)) == (0.5, 1.0, 0.75)


@needs_disassembler
def test_table() -> None:
    rows = {(row.kernel, row.arch): row for row in report.table((75, 90))}
    assert ("conv2d_tensor_cores", 75) not in rows             # there is none
    assert {row.rung for row in rows.values()} == set(report.RUNGS)
    row = rows["conv2d_pipelined", 90]
    assert (row.blocks, row.limit, row.bound, row.products) == (2, "registers", "multiply-adds", 0)
    assert row.peak == row.share
    assert rows["conv2d_tensor_cores", 90].peak is None
    assert rows["im2col", 90].bound == "memory: it makes no products"
    blocked = rows["conv2d_blocked", 90]
    assert blocked.peak
    assert blocked.share
    assert blocked.peak < blocked.share                        # it loads its tiles around that loop
    assert rows["conv2d_direct", 90].bound.startswith("loads from global memory")


@needs_compiler
def test_table_without_a_disassembler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sass, "missing", lambda: "nvdisasm is not installed")
    row = next(row for row in report.table((80,)) if row.kernel == "conv2d_pipelined")
    assert (row.registers <= 128, row.blocks, row.share, row.peak, row.bound) == (True, 2, None, None, "")


def test_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sass, "_tool", lambda name: None)
    sass.missing.cache_clear()
    try:
        with pytest.raises(OSError, match=r"^cuobjdump and nvdisasm, which show machine code, are not installed: "
                                          r"pip install nvidia-cuda-cuobjdump nvidia-cuda-nvdisasm$"):
            sass.disassemble(b"")
    finally:
        sass.missing.cache_clear()


@needs_disassembler
def test_what_is_no_machine_code() -> None:
    with pytest.raises(OSError, match=r"^cuobjdump failed: "):
        sass.disassemble(b"nothing")
