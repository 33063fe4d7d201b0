"""The ladder: predictions held to what really happens, and every rung of the registry measured."""
import tracemalloc

import numba
import numpy as np
import pytest

from minicnn import kernels
from minicnn.benchmarks.ladder import LARGE, SMALL, collect_ladder, entrants
from minicnn.benchmarks.problems import Conv
from minicnn.benchmarks.race import Settings
from minicnn.benchmarks.results import GPU, TF32
from minicnn.kernels import reference
from minicnn.kernels.numba_backend import memory, register_tile

USABLE = [rung for rung in kernels.LADDER if not rung.missing() and not rung.on_cuda]
QUICK = [rung for rung in USABLE[1:] if not (numba.config.DISABLE_JIT and rung.module.startswith("numba_backend."))]
SHAPES = ["mb4ic8ih20iw22oc12kh3ph1", "mb40ic32ih28oc32kh3ph1", "g2mb8ic8ih20iw22oc12kh3sh2ph1", "mb8ic8ih20iw22oc12kh3", "mb3ic5ih9oc7kh1",
          "mb30ic64ih28oc8kh3kw2pw1ph0sw2"]


@pytest.mark.parametrize("rung", QUICK, ids=lambda rung: rung.name)
@pytest.mark.parametrize("shape", SHAPES)
def test_workspace_is_what_numpy_allocates(rung: kernels.Rung, shape: str) -> None:
    """Predicted to the byte but for the arrays' own headers, a few KiB. Compiled rungs allocate nothing inside their loops; memory they
    keep for the next call is forgotten first."""
    problem, module = Conv.parse(shape), rung.load()
    x, w = (problem.arrays(0)[name] for name in ("x", "w"))
    module.conv2d(x, w, None, problem.window, problem.groups)
    memory._pool.buffers.clear()
    tracemalloc.start()
    y = module.conv2d(x, w, None, problem.window, problem.groups)
    used = tracemalloc.get_traced_memory()[1] - y.nbytes
    tracemalloc.stop()
    predicted = module.conv2d_cost(problem.x_shape, problem.w_shape, problem.window, problem.groups).workspace
    assert predicted <= used <= predicted + 8192


@pytest.mark.parametrize("rung", USABLE, ids=lambda rung: rung.name)
@pytest.mark.parametrize("shape", SHAPES)
def test_costs_are_possible(rung: kernels.Rung, shape: str) -> None:
    """The multiply-adds of the problem, or with padding more; at least every array once; twice that in float64."""
    problem = Conv.parse(shape)
    arguments = problem.x_shape, problem.w_shape, problem.window, problem.groups
    cost, double = rung.load().conv2d_cost(*arguments), rung.load().conv2d_cost(*arguments, itemsize=8)
    with_padding = int(np.prod(problem.y_shape)) * int(np.prod(problem.w_shape[1:]))
    assert cost.bytes_moved >= 4 * sum(int(np.prod(s)) for s in (problem.x_shape, problem.w_shape, problem.y_shape))
    if rung.name == "simd":                                    # whole tiles, and those of float64 have half the lanes
        for each, itemsize in ((cost, 4), (double, 8)):
            tile = register_tile.tile_of(itemsize)
            assert each.macs == _multiply_adds_of_tiles(problem, tile.rows, tile.columns) >= with_padding
        return
    without = rung.name in ("loops", "compiled", "parallel")   # these ask at each product, or at each row, where the image ends
    assert cost.macs == double.macs == (problem.macs("forward") if without else with_padding) >= problem.macs("forward")
    assert cost.bytes_moved < double.bytes_moved <= 2 * cost.bytes_moved


def _multiply_adds_of_tiles(problem: Conv, rows: int, columns: int) -> int:
    """Counted by going through them: a tile multiplies all its rows and columns, those that hang over the end too."""
    N, F, OH, OW = problem.y_shape
    tiles = sum(1 for _ in range(N * OH) for _ in range(0, OW, rows) for _ in range(problem.groups)
                for _ in range(0, F // problem.groups, columns))
    return tiles * rows * columns * int(np.prod(problem.w_shape[1:]))


def test_bytes_of_the_loops_are_counted_by_watching_them() -> None:
    """Nested loops on an array that counts how often it is read."""
    reads = 0

    class Counting(np.ndarray):
        def __getitem__(self, index: object) -> object:
            nonlocal reads
            reads += 1
            return super().__getitem__(index)

    problem = Conv.parse("mb1ic2ih5iw4oc3kh3")
    x, w = (problem.arrays(0)[name].view(Counting) for name in ("x", "w"))
    y = reference.conv2d(x, w, None, problem.window)
    cost = reference.conv2d_cost(problem.x_shape, problem.w_shape, problem.window)
    assert cost.bytes_moved == 4 * reads + y.size * (8 + 8 + 4)
    assert cost.workspace == 8 * y.size


def test_the_ladder_of_the_registry() -> None:
    problem = Conv.parse("mb1ic2ih5oc3kh3ph1")
    kept = []
    results = collect_ladder(problem, "numpy", False, Settings(1, rounds=2, seconds=0.001), keep=kept.append)
    assert kept[-1] is results
    rows = {m.contestant: m for m in results.measurements}
    assert [name for name in rows if not name.startswith("cuda-")] == [*(rung.name for rung in USABLE), "minicnn numpy"]
    for rung in USABLE:
        m = rows[rung.name]
        assert (m.refused, m.verified, m.algorithm) == ("", "exact", rung.label.split(":")[0])
        cost = rung.load().conv2d_cost(problem.x_shape, problem.w_shape, problem.window)
        assert m.extra == {"macs": cost.macs, "bytes_moved": cost.bytes_moved, "workspace": cost.workspace}
    assert results.peak_flops > 0


def test_who_climbs() -> None:
    on_gpu = ["torch CUDA contiguous", "torch CUDA channels_last", "torch CUDA TF32"]
    rungs = [rung.name for rung in kernels.LADDER]
    assert [c.name for c in entrants(None, True)] == [*rungs, "torch contiguous", "torch channels_last", *on_gpu]
    assert [c.name for c in entrants("numpy", False)] == [*rungs, "minicnn numpy"]


def test_who_climbs_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """What rounds to TF32 is a league of its own."""
    monkeypatch.setitem(kernels._BACKENDS, "cuda", ("cuda_backend", lambda: None))
    found = entrants("cuda", True)
    assert [c.name for c in found] == [*(rung.name for rung in kernels.LADDER if rung.on_cuda), "minicnn cuda", "torch CUDA contiguous",
                                       "torch CUDA channels_last", "torch CUDA TF32"]
    assert [c.name for c in found if c.league == TF32] == ["cuda-tensor-cores", "torch CUDA TF32"]
    assert {c.league for c in found} == {GPU, TF32}


def test_loops_are_not_waited_for() -> None:
    loops = next(c for c in entrants(None, False) if c.name == "loops")
    reasons = [loops.load().lacks(loops.setting, problem, "forward") for problem in (SMALL, LARGE)]
    assert reasons == [None, "nested loops are not waited for: 440,664,064 multiply-adds, at some two million a second"]
