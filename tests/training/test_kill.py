"""kill -9 at any moment, between any two renamings, in the middle of a write, and a full disk: nothing is lost but the last steps."""
from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from minicnn.training import snapshot
from tests.training.tiny import outcome, recipe, small, train

__all__ = ["small"]                                            # a fixture
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are begun by fork(), which this system has not")
DEEP = settings.default.max_examples > 1000


class Killing:
    """A folder, and processes that train in it one after the other until one of them is not killed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        environment = {**os.environ, "MINICNN_BACKEND": "numpy", "OPENBLAS_NUM_THREADS": "1"}
        self.process = subprocess.Popen([sys.executable, "-m", "tests.training.killed", str(folder)], env=environment, text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2])

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def _say(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def start(self, how: str) -> int:
        self._say(how)
        return int(self._line())

    def end(self) -> tuple[int, list[str]]:
        """The signal that ended it, or 0, and what it said."""
        self._say("")
        lines = [self._line()]
        while not lines[-1].startswith("status "):
            assert self.process.poll() is None, lines
            lines.append(self._line())
        status = int(lines[-1].split()[1])
        assert not os.WIFEXITED(status) or os.WEXITSTATUS(status) == 0, "it failed by itself"
        return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0, lines[:-1]


@pytest.fixture
def killing(tmp_path: Path) -> Iterator[Killing]:
    processes = Killing(tmp_path / "run")
    with processes.process:                                    # which closes its pipes, and waits for it
        yield processes


def until_finished(killing: Killing) -> None:
    killing.start("-")
    assert killing.end() == (0, [])
    assert (killing.folder / "result.json").is_file()


@pytest.mark.parametrize("seed", range(30 if DEEP else 1))
def test_kill_9_at_any_moment(killing: Killing, tmp_path: Path, small: None, seed: int) -> None:
    train(tmp_path / "undisturbed", recipe(epochs=5, ema=0.9))
    rng = random.Random(seed)
    killed = 0
    for _ in range(40 if DEEP else 12):
        how = rng.choice(["-", "FILES", "FILES", "HALF"])
        pid = killing.start(f"{how} {rng.randint(1, 25)}")
        if how == "-":
            time.sleep(rng.uniform(0, 0.2))
            os.kill(pid, signal.SIGKILL)                       # which is not yet waited for, so it is still this process
        number, said = killing.end()
        assert not said
        if number == 0:
            break
        assert number == signal.SIGKILL
        killed += 1
    else:
        until_finished(killing)
    assert killed
    assert outcome(killing.folder) == outcome(tmp_path / "undisturbed")
    assert sorted(path.name for path in killing.folder.glob("checkpoint*")) == []


def test_a_disk_that_is_full(killing: Killing, tmp_path: Path, small: None) -> None:
    """What is there is larger than what may be written: the system itself says no, in the middle of a file."""
    train(tmp_path / "undisturbed", recipe(epochs=5, ema=0.9))
    killing.start("FILES 60")
    assert killing.end()[0] == signal.SIGKILL
    size = (killing.folder / snapshot.CURRENT).stat().st_size
    before = {path.name: path.read_bytes() for path in killing.folder.iterdir()}
    killing.start(f"LIMIT {size - 1000}")
    number, said = killing.end()
    assert (number, said) == (0, [f"cannot write {killing.folder / snapshot.CURRENT}: File too large; "
                                  f"go on with: minicnn train --resume {killing.folder}"])
    for name in (snapshot.CURRENT, snapshot.PREVIOUS):
        assert (killing.folder / name).read_bytes() == before[name]
    assert not list(killing.folder.glob(".*"))
    until_finished(killing)
    assert outcome(killing.folder) == outcome(tmp_path / "undisturbed")
