"""The race, with real processes: who is right gets times, who is not gets none, whatever goes wrong."""
import dataclasses
import signal
import subprocess
import sys
import time
from typing import Any

import numpy as np
import psutil
import pytest

from minicnn.benchmarks.contestants import BACKENDS, YARDSTICK, Contestant
from minicnn.benchmarks.problems import Conv, Network, Pool
from minicnn.benchmarks.process import Failed, Process
from minicnn.benchmarks.race import Race, Settings
from minicnn.benchmarks.results import Measurement
from tests.benchmarks.liar import HUNGER

NUMPY = next(c for c in BACKENDS if c.setting == "numpy")
CONV = Conv.parse("mb2ic3ih9iw8oc4kh3kw2sh2ph1")
SETTINGS = Settings(threads=1, rounds=3, seconds=0.001)


def liar(setting: str) -> Contestant:
    return Contestant(f"liar {setting}", "tests.benchmarks.liar", setting, peer=False)


def race(problem: Any, direction: str, contestants: list[Contestant], settings: Settings = SETTINGS) -> dict[str, Measurement]:
    with Race(problem, contestants, settings) as running:
        return {m.contestant: m for m in running.run(direction)}


REFUSED = {
    "wrong": "1 of 80 values of y are wrong, the first at (1, 3, 4, 1): ",
    "wrong later": "1 of 80 values of y are wrong, the first at (1, 3, 4, 1): ",
    "nan": "1 of 80 values of y are wrong, the first at (1, 3, 4, 1): nan, expected ",
    "shape": "y has shape (1, 2, 4, 5, 2), expected (2, 4, 5, 2)",
    "dtype": "y is float64, expected float32",
    "name": "gave z, expected y",
    "raises": "ValueError: cannot do this",
    "dies": "its process ended with status 3: about to die",
    "dies later": "its process ended with status 4",
    "no library": "ImportError: no module named liar",
}


@pytest.fixture(scope="module")
def conv_race() -> dict[str, Measurement]:
    problem = Conv.parse("mb2ic3ih9iw3oc4kh3ph1sh2sw2")      # y (2, 4, 5, 2)
    return race(problem, "forward", [NUMPY, *(liar(setting) for setting in (*REFUSED, "honest", "talks", "slow", "hungry"))])


@pytest.mark.parametrize("setting", REFUSED)
def test_who_is_wrong_gets_no_time(conv_race: dict[str, Measurement], setting: str) -> None:
    m = conv_race[f"liar {setting}"]
    assert m.refused.startswith(REFUSED[setting])
    assert (m.turns, m.median, m.calls, m.verified, m.lacks) == ((), 0.0, 0, "", False)


@pytest.mark.parametrize("name", ["minicnn numpy", "liar honest", "liar talks", "liar slow", "liar hungry"])
def test_who_is_right_gets_times(conv_race: dict[str, Measurement], name: str) -> None:
    m = conv_race[name]
    assert (m.refused, m.verified, m.error) == ("", "exact", 0.0)
    assert len(m.turns) == 3
    assert m.calls >= 3
    assert 0 < m.q1 <= m.median <= m.q3
    assert m.first_call > 0
    assert m.algorithm == ("im2col + matrix product" if name == "minicnn numpy" else "by heart")


def test_times_are_of_the_calls(conv_race: dict[str, Measurement]) -> None:
    """A call that sleeps for 10 ms takes 10 ms: the one figure here that is known beforehand."""
    assert all(turn >= 0.01 for turn in conv_race["liar slow"].turns)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems cannot start a peak anew, so it may be one of the imports")
def test_memory_is_what_the_calls_need(conv_race: dict[str, Measurement]) -> None:
    """50 MiB that a call holds for a moment, and little without."""
    assert HUNGER <= conv_race["liar hungry"].memory < 1.5 * HUNGER
    assert 0 <= conv_race["liar honest"].memory < HUNGER / 5


def test_the_order_is_the_contestants(conv_race: dict[str, Measurement]) -> None:
    assert list(conv_race) == ["minicnn numpy", *(f"liar {setting}" for setting in (*REFUSED, "honest", "talks", "slow", "hungry"))]


def test_directions_follow_each_other_in_the_same_processes() -> None:
    with Race(CONV, [NUMPY, liar("forward only")], SETTINGS) as running:
        for direction in Conv.directions:
            ours, other = running.run(direction)
            assert (ours.verified, ours.direction) == ("exact", direction)
            assert other.refused == ("" if direction == "forward" else "it cannot go back")
            assert other.lacks == (direction != "forward")
        assert running.entered["minicnn numpy"]["threads"] == {"openblas": 1}
        assert "openblas" in running.entered["minicnn numpy"]["blas"]


def test_the_yardstick_stands_beside_what_memory_bounds() -> None:
    found = race(Pool.parse("max:mb2ic3ih8kh2sh2"), "backward", [YARDSTICK, NUMPY])
    assert list(found) == ["minicnn numpy"]
    assert found["minicnn numpy"].extra["copy"] > 0


def test_subnormal_inputs() -> None:
    """Right answers are exact there too; a contestant that flushes to zero is right as well, one that is wrong has no figure."""
    settings = dataclasses.replace(SETTINGS, subnormal=True)
    found = race(CONV, "grad_input", [NUMPY, liar("honest")], settings)
    assert all(m.subnormal > 0 and m.verified == "exact" for m in found.values())
    forward = race(CONV, "forward", [liar("flushes"), liar("stumbles"), liar("fails on subnormals")], settings)
    assert forward["liar flushes"].subnormal > 0
    assert forward["liar stumbles"].subnormal > 10, "it sleeps on them"
    failed = forward["liar fails on subnormals"]
    assert (failed.subnormal, failed.refused) == (0.0, "")
    assert " values of y are wrong" in failed.extra["subnormal refused"]


def test_a_whole_step() -> None:
    """Its memory is measured once more, in a process of its own: what the steps add, and all of the process."""
    found = race(Network("lenet", 4, 1, 28), "step", [NUMPY, liar("hungry")])
    m, hungry = found["minicnn numpy"], found["liar hungry"]
    assert m.verified == "bounded", m.refused
    assert 0 < m.error <= 1
    assert m.memory < HUNGER / 2 < m.process
    if sys.platform == "linux":
        assert 0.99 * HUNGER <= hungry.memory < 1.2 * HUNGER  # the system counts pages some at a time
        assert hungry.process > 1.2 * HUNGER


def test_a_process_sleeps_between_its_turns(tmp_path: Any) -> None:
    process = Process(1, "")
    try:
        process.start(NUMPY, CONV, 0)
        process.receive(60)
        state = psutil.Process(process.popen.pid)
        assert _becomes(lambda: state.status() == psutil.STATUS_STOPPED)
        assert process.ask(do="prepare", direction="forward", subnormal=False, save=str(tmp_path / "outputs.npz"))["algorithm"]
        assert _becomes(lambda: state.status() == psutil.STATUS_STOPPED)
    finally:
        process.stop()
    assert not psutil.pid_exists(process.popen.pid)
    with pytest.raises(Failed, match=r"^stopped$"):
        process.send(do="turn", seconds=0, most=1)


def test_a_process_that_does_not_answer() -> None:
    process = Process(1, "")
    with pytest.raises(Failed, match=r"^no answer after 0\.2 s$"):
        process.receive(0.2)
    assert not psutil.pid_exists(process.popen.pid)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can bind a child's life to its parent's")
def test_processes_end_with_their_parent() -> None:
    """Even when the parent is killed while they are suspended."""
    code = ("from minicnn.benchmarks.process import Process; from tests.benchmarks.test_race import NUMPY, CONV; import time; "
            "p = Process(1, ''); p.start(NUMPY, CONV, 0); p.receive(60); print(p.popen.pid, flush=True); time.sleep(60)")
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    assert _becomes(lambda: not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE)


def _becomes(condition: Any, seconds: float = 20) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def test_nothing_is_unpickled(tmp_path: Any) -> None:
    from minicnn.benchmarks.race import load_outputs

    np.savez(tmp_path / "evil.npz", y=np.array([{"a": 1}], dtype=object))
    with pytest.raises(ValueError, match="allow_pickle=False"):
        load_outputs(str(tmp_path / "evil.npz"))
