"""Checkpoints while a training runs, and its end between two batches when somebody asks for it."""
from __future__ import annotations

import contextlib
import shlex
import signal
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from minicnn.training import snapshot
from minicnn.training.divergence import Diverged
from minicnn.training.environment import environment
from minicnn.training.history import Epoch, Position
from minicnn.training.interruption import Interrupted, Stop
from minicnn.training.invocation import command
from minicnn.training.loop import Observer
from minicnn.training.run_folder import LAST, Run
from minicnn.training.snapshot import Snapshot
from minicnn.training.training_state import TrainingState

SECONDS = 60.0                                                 # between two checkpoints of one epoch
SHARE = 0.01                                                   # of the time, which writing checkpoints may take


class Autosave(Observer):
    """The last of a training's observers: it writes checkpoints, and stops the training where `stop` was asked to.

    One is written before the first batch, then `every` so many seconds and at the end of every epoch, but not before the time since the
    last one is 100 times what writing that took: however large the network or slow the disk, checkpoints take about 1 % of the time.
    every = 0: after every batch, whatever it takes.

    about: what of the training never changes, and goes into every checkpoint. batches: of an epoch. sound: whether the newest checkpoint
    that is there already is whole.
    """

    def __init__(self, run: Run, state: TrainingState, about: Mapping[str, Any], batches: int, stop: Stop, every: float = SECONDS,
                 sound: bool = True) -> None:
        self.run, self.state, self.about, self.batches, self.stop, self.every, self.sound = run, state, about, batches, stop, every, sound
        self.written, self.cost = time.perf_counter(), 0.0
        self.where = place(state.position, batches)

    def write(self) -> None:
        """Write a checkpoint. Raises OSError; then the one before it is still there."""
        begun = time.perf_counter()
        now = self.state.snapshot()
        arrays = {**now.arrays, **{f"best/{name}": array for name, array in self.run.best.items()}}
        snapshot.write(self.run.folder, Snapshot(arrays, {**self.about, **now.values}), keep=self.sound)
        self.sound, self.where, self.written = True, place(self.state.position, self.batches), time.perf_counter()
        self.cost = self.written - begun

    def batch(self, epoch: int, images: int, loss: float, accuracy: float) -> None:
        self._after(self.every)

    def epoch(self, epoch: Epoch) -> None:
        self._after(0.0)

    def _after(self, seconds: float) -> None:
        """Stop if asked to; write if at least so many seconds have passed, and not too few."""
        if self.stop.asked:
            self.write()
            self.run.save(LAST)
            raise self.interrupted(self.stop.asked)
        passed = time.perf_counter() - self.written
        if not self.every or passed >= max(seconds, self.cost / SHARE):
            self.write()

    def interrupted(self, number: int = 0) -> Interrupted:
        """What to raise at a signal that was heard in time, or at one that ended everything at once."""
        how = "terminated" if number == signal.SIGTERM else "interrupted"
        at = f"{how} {place(self.state.position, self.batches)}" if number else f"stopped at once, with the last checkpoint {self.where}"
        error = Interrupted(f"{at}; go on with: {how_to_go_on(self.run.folder)}")
        error.status = 128 + (number or signal.SIGINT)
        return error


def place(position: Position, batches: int) -> str:
    """in epoch 3, batch 120 of 430"""
    if position.batch:
        return f"in epoch {position.epoch}, batch {position.batch} of {batches}"
    return f"after epoch {position.epoch - 1}" if position.history else "before the first batch"


def how_to_go_on(folder: Path) -> str:
    return f"{command()} train --resume {shlex.quote(str(folder))}"


@contextlib.contextmanager
def noted(run: Run, autosave: Autosave) -> Iterator[None]:
    """Whatever ends the run early is written into its folder, as far as the disk still takes it, and says what is left of it."""
    try:
        if autosave.state.position.at_start:
            run.write_json("environment.json", environment())
            autosave.write()
        yield
    except KeyboardInterrupt as stop:
        run.seconds = autosave.state.position.elapsed
        run.finish("interrupted")
        raise (stop if isinstance(stop, Interrupted) else autosave.interrupted()) from None
    except Exception as error:
        kept = f"the weights of epoch {len(run.history)} are kept in {run.folder / LAST}" if run.history else ""
        said = str(error)
        if isinstance(error, Diverged):
            error, said = error.with_kept(kept), str(error.with_kept(kept))
        elif isinstance(error, FloatingPointError) and kept:
            error = FloatingPointError(f"{error}; {kept}")
        elif isinstance(error, OSError):
            error = OSError(f"{error}; go on with: {how_to_go_on(run.folder)}")
        with contextlib.suppress(OSError):
            run.seconds = autosave.state.position.elapsed
            run.finish("failed", error=said)
        raise error from error.__cause__
