"""The ladder's benchmark: its counts against the reference's own loop, its refusal to time a wrong result, and fair turns."""
import subprocess
import sys

import numpy as np
import pytest

from minicnn import kernels
from minicnn.benchmarks import ladder, timing
from minicnn.kernels import reference

SMALL = ladder.Layer(N=1, C=2, H=4, W=5, F=3, K=3)


def test_every_rung_is_measured_under_its_label() -> None:
    rows = {row.name: row for row in ladder.measure(SMALL, peers=False, seconds=0.01)}
    assert {name: row.label for name, row in rows.items()} == {rung.name: rung.label for rung in kernels.LADDER}
    assert all(row.seconds > 0 for row in rows.values())


def test_a_backend_may_take_part() -> None:
    rows = ladder.measure(SMALL, peers=False, seconds=0.01, backend="numpy")
    assert [row.name for row in rows] == [*(rung.name for rung in kernels.LADDER), "numpy backend"]
    assert rows[-1].label == (kernels.get("numpy").conv2d.__doc__ or "").splitlines()[0]


def test_the_seed_decides_the_numbers() -> None:
    assert all(np.array_equal(a, b) for a, b in zip(SMALL.arrays(1), SMALL.arrays(1), strict=True))
    assert not any(np.array_equal(a, b) for a, b in zip(SMALL.arrays(1), SMALL.arrays(2), strict=True))


def test_torch_does_not_talk_about_even_kernels() -> None:
    """Its warning, which comes once a process, would stand above the table."""
    code = ("from minicnn.benchmarks import ladder, timing; timing.PAUSE = 0; "
            "print([row.name for row in ladder.measure(ladder.Layer(1, 1, 5, 5, 1, 2), seconds=0)][-1])")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("torch\n", "")


def test_the_table_says_how_the_times_compare() -> None:
    rows = [ladder.Row("loops", "Nested loops: one", 3e-3), ladder.Row("im2col", "im2col: fast", 5e-4), ladder.Row("torch", "peer", 2.5e-4)]
    _, head, cells = ladder.table(SMALL, rows)
    assert head[2:] == ["ms", "10⁹ MAC/s", "× faster than above", "time ÷ torch's"]
    assert SMALL.macs == 1080
    assert cells == [["loops", "Nested loops", "3", "0.00036", "", "12.00"], ["im2col", "im2col", "0.5", "0.00216", "6.0", "2.00"],
                     ["torch", "peer", "0.25", "0.00432", "", "1.00"]]
    assert [row[-1] for row in ladder.table(SMALL, rows[:2])[2]] == ["", ""]



def test_loops_are_left_out_where_they_would_not_finish() -> None:
    large = ladder.Layer(N=2, C=32, H=32, W=32, F=32, K=3)
    assert large.macs > ladder.LOOPS_LIMIT
    assert "loops" not in [row.name for row in ladder.measure(large, peers=False, seconds=0.01)]


def test_a_wrong_result_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing_but_nan(x: np.ndarray, *_: object) -> np.ndarray:
        """A wrong rung."""
        return np.full((1, 3, 4, 5), np.nan, np.float32)

    monkeypatch.setattr(reference, "conv2d", nothing_but_nan)
    with pytest.raises(RuntimeError, match=r"^shift-and-add and loops disagree on batch 1, 2 -> 3 channels, 4x5, 3x3: no times are given$"):
        ladder.measure(SMALL, peers=False, seconds=0.01)


def test_macs_and_bytes_are_those_of_the_arrays() -> None:
    x, w = SMALL.arrays()
    y = reference.conv2d(x, w, None, SMALL.window, 1)
    assert SMALL.macs == y.size * w[0].size
    assert SMALL.bytes == {"x": x.nbytes, "w": w.nbytes, "y": y.nbytes, "cols": reference.im2col(x, SMALL.window).nbytes}


def test_contestants_take_turns() -> None:
    order: list[str] = []
    times = timing.interleaved({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, most=3)
    turn = 1 + timing.CALLS                                    # a call to warm up, the others measured
    assert "".join(order) == ("a" * turn + "b" * turn) * 3
    assert {name: len(t) for name, t in times.items()} == {"a": 3 * timing.CALLS, "b": 3 * timing.CALLS}


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pause only matters to times, which are not tested."""
    monkeypatch.setattr(timing, "PAUSE", 0.001)
