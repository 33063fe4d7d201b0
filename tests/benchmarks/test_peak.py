"""The machine's peak: the loop does the multiply-adds it is credited with, all calls run at once, and the process prints its line."""
import ctypes
import json
import math
import os
import re
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest

from minicnn.benchmarks import peak, threads
from minicnn.benchmarks.fma_loop import FmaLoop


@pytest.fixture(scope="module")
def loop() -> FmaLoop:
    return FmaLoop()


@pytest.mark.parametrize("n", [1, 2, 3, 1000])
def test_the_loop_does_n_multiply_adds_in_every_lane(loop: FmaLoop, n: int) -> None:
    x = np.arange(math.prod(loop.shape), dtype=np.float32).reshape(loop.shape)
    expected = x + np.float32(n * 3 * 5)                       # integers below 2^24: exact
    loop(x, n, 3, 5)
    np.testing.assert_array_equal(x, expected)


def test_the_sums_stay_finite_and_normal_for_ever(loop: FmaLoop) -> None:
    x = np.ones(loop.shape, np.float32)
    loop(x, 2**24 + 2**20, 0.5, 0.5)
    np.testing.assert_array_equal(x, np.full(loop.shape, 2**22, np.float32))


def test_the_loop_takes_only_what_its_registers_hold(loop: FmaLoop) -> None:
    accumulators, lanes = loop.shape
    for wrong, why in ((np.ones((accumulators, lanes), np.float64), "have data type float32"),
                       (np.ones((accumulators, lanes + 1), np.float32), re.escape(f"have shape {loop.shape}")),
                       (np.ones((accumulators, 2 * lanes), np.float32)[:, ::2], r"have flags \['C_CONTIGUOUS', 'WRITEABLE'\]")):
        with pytest.raises(ctypes.ArgumentError, match=f"^argument 1: TypeError: array must {why}$"):
            loop(wrong, 1, 1, 1)


def test_nothing_but_multiply_adds_in_the_loop(loop: FmaLoop) -> None:
    """As compiled for a CPU with FMA: an instruction an accumulator, then count, compare and jump; no register is put aside in memory."""
    if "fmadd" not in loop.assembly and "fmla" not in loop.assembly:
        pytest.skip("a CPU without FMA, or one whose instructions this test does not know")
    lines = [line.split() for line in loop.assembly.splitlines() if line.strip()]
    jump = next(i for i, words in enumerate(lines) if len(words) == 2 and "BB0_1" in words[1] and words[0] != "#")
    label = next(i for i, words in enumerate(lines) if words[0].endswith("BB0_1:"))
    names = [words[0] for words in lines[label + 1:jump + 1]]
    assert sum("fmadd" in name or name.startswith("fmla") for name in names) == loop.shape[0]
    assert len(names) <= loop.shape[0] + 3


def test_all_calls_run_at_once_and_the_slowest_counts() -> None:
    meeting = threading.Barrier(3)                             # breaks unless all three are inside together

    def call(wait: float) -> None:
        meeting.wait(timeout=10)
        time.sleep(wait)

    seconds = peak.fastest([lambda: call(0), lambda: call(0.02), lambda: call(0)], seconds=0)
    assert 0.02 <= seconds < 10


def test_the_best_of_three_repeats_at_least(monkeypatch: pytest.MonkeyPatch) -> None:
    now, lasts = [100.0], [0.5, 0.25, 2.0]
    monkeypatch.setattr(peak, "time", SimpleNamespace(perf_counter=lambda: now[0]))

    def call() -> None:
        now[0] += lasts.pop()

    assert peak.fastest([call], seconds=1) == 0.25             # the second is over after the first repeat
    assert lasts == []
    lasts += [0.5] * 10
    assert peak.fastest([call], seconds=2.5) == 0.5
    assert len(lasts) == 5


def test_a_call_that_fails_is_not_a_fast_one() -> None:
    with pytest.raises(ZeroDivisionError):
        peak.fastest([lambda: 1 / 0], seconds=0)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_rates_are_finite(count: int) -> None:
    rates = (peak.fma_flops(count, seconds=0), peak.matmul_flops(count, seconds=0, size=64),
             peak.copy_bytes(count, size=4 * 1001, seconds=0))
    assert all(0 < rate < math.inf for rate in rates)


def test_every_thread_does_its_own_work_and_all_of_it_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peak, "fastest", lambda calls, seconds: [call() for call in calls] and 2.0)
    assert peak.copy_bytes(3, size=4000) == 4000               # 4000 bytes read and as many written, in 2 seconds
    assert peak.matmul_flops(1, size=8) == 512                 # 2 * 8^3 in 2 seconds
    accumulators, lanes = FmaLoop().shape
    n = round(2**18 * peak.BURST / 2)
    assert peak.fma_flops(3) == 3 * 2 * n * accumulators * lanes / 2


def test_the_process_prints_one_line_of_json() -> None:
    done = subprocess.run([sys.executable, "-m", "minicnn.benchmarks.peak", "1"], capture_output=True, text=True,
                          env={**os.environ, **threads.environment(1)})
    assert (done.stderr, done.stdout.count("\n")) == ("", 1)
    rates = json.loads(done.stdout)
    assert rates.keys() == {"matmul", "fma", "copy"}
    assert all(0 < rate < math.inf for rate in rates.values())
