"""The race: every contestant in a process of its own, its results checked, then timed by turns, so that a slow minute hits all alike."""
from __future__ import annotations

import contextlib
import dataclasses
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from minicnn.benchmarks.contestants import YARDSTICK, Contestant
from minicnn.benchmarks.problems import Arrays
from minicnn.benchmarks.process import Failed, Process
from minicnn.benchmarks.results import Measurement
from minicnn.benchmarks.statistics import ENOUGH, quartiles
from minicnn.benchmarks.subnormal import flush_error, with_subnormals
from minicnn.benchmarks.verify import Verified, Wrong, verify

MOST_CALLS = 5_000   # in a turn


@dataclass(frozen=True)
class Settings:
    """How to measure. rounds: turns of each contestant; seconds: of measured calls a turn; limit: when a case's rounds take longer
    than this many seconds, it ends after six."""
    threads: int
    rounds: int = 7
    seconds: float = 0.04
    limit: float = 30.0
    seed: int = 0
    subnormal: bool = False
    cache: str = ""


@dataclass
class Runner:
    """A contestant in the race."""
    contestant: Contestant
    process: Process
    turns: list[list[float]] = field(default_factory=list)
    found: dict[str, Any] = field(default_factory=dict)

    def measurement(self, heat: Heat) -> Measurement:
        calls = [t for turn in self.turns for t in turn]
        q1, middle, q3 = quartiles(calls)
        return Measurement(str(heat.problem), heat.direction, self.contestant.name, turns=tuple(median(turn) for turn in self.turns),
                           calls=len(calls), median=middle, q1=q1, q3=q3, **self.found)


@dataclass
class Heat:
    """One direction of a problem: its inputs, the right answers, and who was refused a time, with the reason."""
    problem: Any
    direction: str
    arrays: Arrays
    subnormal: bool = False
    refused: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.answers: Arrays = self.problem.answers(self.direction, self.arrays)

    def check(self, outputs: Arrays) -> Verified:
        """Raises Wrong unless the outputs are right."""
        flushed = flush_error(self.problem, self.direction) if self.subnormal else 0.0
        return verify(outputs, self.answers, lambda: self.problem.bounds(self.direction, self.arrays), flushed)


class Race:
    """One problem: `run(direction)` measures all contestants. Use it in a with block, which ends their processes.

    entered: by name, what a contestant is, and the threads and BLAS kernel that it read back.
    """

    def __init__(self, problem: Any, contestants: Sequence[Contestant], settings: Settings,
                 say: Callable[[str], None] = lambda _: None) -> None:
        self.problem, self.contestants, self.settings, self.say = problem, contestants, settings, say
        self.entered: dict[str, dict[str, Any]] = {}
        self.never: dict[str, str] = {}                        # who could not even start, with the reason
        self.runners: list[Runner] = []

    def __enter__(self) -> Race:
        self.folder = tempfile.TemporaryDirectory(prefix="minicnn-bench-")
        self.outputs = Path(self.folder.name) / "outputs.npz"
        self.say("starting")
        try:
            for contestant in self.contestants:                # all import at once, and are suspended as they finish
                self.runners.append(Runner(contestant, Process(self.settings.threads, self.settings.cache)))
                with self._noting(contestant.name, self.never):
                    self.runners[-1].process.start(contestant, self.problem, self.settings.seed)
            for runner in self.runners:
                with self._noting(runner.contestant.name, self.never):
                    self.entered[runner.contestant.name] = runner.process.receive(300)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for runner in self.runners:
            runner.process.stop()
        self.folder.cleanup()

    def run(self, direction: str) -> list[Measurement]:
        """What each contestant did, in their order: times if its results are right, else the reason why it has none."""
        heat = Heat(self.problem, direction, self.problem.arrays(self.settings.seed), refused=dict(self.never))
        lacking = self._lacking(direction)
        able = [r for r in self.runners if r.contestant.name not in {**heat.refused, **lacking}]
        able = [r for r in able if self._prepare(r, heat)]
        able = [r for r in self._rounds(able, heat, self.settings.rounds) if self._finish(r, heat)]
        found = {r.contestant.name: r.measurement(heat) for r in able}
        if self.settings.subnormal:
            self._subnormal([r for r in able if r.contestant != YARDSTICK], direction, found)
        copy = found.pop(YARDSTICK.name, None)
        if copy:
            found = {name: dataclasses.replace(m, extra={**m.extra, "copy": copy.median}) for name, m in found.items()}
        for name, why in {**heat.refused, **lacking}.items():
            found[name] = Measurement(str(self.problem), direction, name, refused=why, lacks=name in lacking)
        return [found[c.name] for c in self.contestants if c != YARDSTICK]

    def _lacking(self, direction: str) -> dict[str, str]:
        """Who has no answer to this problem, with the reason."""
        reasons = {c.name: c.load().lacks(c.setting, self.problem, direction) for c in self.contestants}
        return {name: reason for name, reason in reasons.items() if reason}

    def _prepare(self, runner: Runner, heat: Heat) -> bool:
        """Set up, compile, call once, and check what came out."""
        name = runner.contestant.name
        self.say(f"{heat.direction}: {name} compiles and is checked")
        runner.turns, runner.found = [], {}
        with self._noting(name, heat.refused):
            answer = runner.process.ask(do="prepare", direction=heat.direction, subnormal=heat.subnormal, save=str(self.outputs))
            verified = Verified("exact") if runner.contestant == YARDSTICK else heat.check(load_outputs(self.outputs))
            self.entered[name] |= {"threads": answer["threads"], "blas": answer["blas"]}
            runner.found = {"first_call": answer["first_call"], "algorithm": answer["algorithm"], "verified": verified.tier,
                            "error": verified.error}
        return name not in heat.refused

    def _rounds(self, runners: list[Runner], heat: Heat, rounds: int) -> list[Runner]:
        """Turn by turn; whoever began a round ends the next one. Returns those that came through."""
        begin = time.perf_counter()
        for i in range(rounds):
            self.say(f"{heat.direction}: round {i + 1} of {rounds}")
            if i >= ENOUGH and time.perf_counter() - begin > self.settings.limit:
                break
            start = i % max(len(runners), 1)
            for runner in runners[start:] + runners[:start]:
                with self._noting(runner.contestant.name, heat.refused):
                    runner.turns.append(runner.process.ask(do="turn", seconds=self.settings.seconds, most=MOST_CALLS)["times"])
            runners = [runner for runner in runners if runner.contestant.name not in heat.refused]
        return runners

    def _finish(self, runner: Runner, heat: Heat) -> bool:
        """Memory, and a check of the last call's outputs: the times are of calls that were right."""
        name = runner.contestant.name
        with self._noting(name, heat.refused):
            runner.found["memory"] = runner.process.ask(do="end", save=str(self.outputs))["memory"]
            if heat.direction == "step":
                runner.found |= self._grown(runner.contestant, heat.direction)
            outputs = load_outputs(self.outputs)
            if heat.direction == "step":                       # ever further from the first step; the loss must still be a number
                if not np.isfinite(outputs["loss"]):
                    raise Wrong("the loss became NaN or infinite while it was timed")
            elif runner.contestant != YARDSTICK:
                heat.check(outputs)
        return name not in heat.refused

    def _grown(self, contestant: Contestant, direction: str) -> dict[str, Any]:
        """The memory of a training step, in a process of its own, which finds compiled code in the cache: what compilers took for a moment,
        and allocators keep of it, is no part of training."""
        self.say(f"{direction}: memory of {contestant.name}")
        process = Process(self.settings.threads, self.settings.cache)
        try:
            process.start(contestant, self.problem, self.settings.seed)
            process.receive(300)
            return process.ask(do="train", direction=direction)
        finally:
            process.stop()

    def _subnormal(self, runners: list[Runner], direction: str, found: dict[str, Measurement]) -> None:
        """How much longer a call takes on subnormal inputs: turn by turn with usual ones, the median ratio."""
        arrays = with_subnormals(self.problem.arrays(self.settings.seed), direction)
        heat = Heat(self.problem, direction, arrays, subnormal=True)
        runners = [runner for runner in runners if self._prepare(runner, heat)]
        ratios: dict[str, list[float]] = {runner.contestant.name: [] for runner in runners}
        for i in range(min(self.settings.rounds, ENOUGH)):
            self.say(f"{direction}, subnormal: round {i + 1}")
            for runner in runners:
                name = runner.contestant.name
                with self._noting(name, heat.refused):
                    usual, tiny = (median(runner.process.ask(do="turn", seconds=self.settings.seconds, most=MOST_CALLS,
                                                             subnormal=subnormal)["times"]) for subnormal in (False, True))
                    ratios[name].append(tiny / usual)
        for name, each in ratios.items():
            if name not in heat.refused:
                found[name] = dataclasses.replace(found[name], subnormal=median(each))
        for name, why in heat.refused.items():
            found[name].extra["subnormal refused"] = why

    @contextlib.contextmanager
    def _noting(self, name: str, refused: dict[str, str]) -> Iterator[None]:
        """Whatever goes wrong for a contestant is the reason why it has no time; the others go on."""
        try:
            yield
        except (Failed, Wrong) as error:
            refused[name] = str(error)


def load_outputs(path: str | Path) -> Arrays:
    """What a contestant's process saved. Nothing is unpickled."""
    with np.load(path, allow_pickle=False) as file:
        return dict(file)
