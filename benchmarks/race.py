"""The race: every contestant in a process of its own, its results checked, then timed by turns, so that a slow minute hits all alike."""
from __future__ import annotations

import dataclasses
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from minicnn.benchmarks.contestants import YARDSTICK, Contestant
from minicnn.benchmarks.problems import Arrays
from minicnn.benchmarks.process import Failed, Process
from minicnn.benchmarks.results import Measurement
from minicnn.benchmarks.statistics import quartiles
from minicnn.benchmarks.subnormal import flush_error, with_subnormals
from minicnn.benchmarks.verify import Verified, Wrong, verify

ENOUGH = 5           # rounds there must be, however slow they are
MOST_CALLS = 5_000   # in a turn


@dataclass(frozen=True)
class Settings:
    """How to measure. rounds: turns of each contestant; seconds: of measured calls a turn; limit: when a case's rounds take longer
    than this many seconds, it ends after five."""
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

    def measurement(self, problem: Any, direction: str) -> Measurement:
        calls = [t for turn in self.turns for t in turn]
        q1, middle, q3 = quartiles(calls)
        return Measurement(str(problem), direction, self.contestant.name, turns=tuple(median(turn) for turn in self.turns),
                           calls=len(calls), median=middle, q1=q1, q3=q3, **self.found)


@dataclass
class Race:
    """One problem: `run(direction)` measures all contestants. Use it in a with block, which ends their processes."""
    problem: Any
    contestants: Sequence[Contestant]
    settings: Settings
    say: Callable[[str], None] = lambda _: None
    entered: dict[str, dict[str, Any]] = field(default_factory=dict)     # by name: what it is, threads and BLAS kernel read back

    def __enter__(self) -> Race:
        self.folder = tempfile.TemporaryDirectory(prefix="minicnn-bench-")
        self.refusals: dict[str, str] = {}
        starting = [Runner(c, Process(self.settings.threads, self.settings.cache)) for c in self.contestants]
        self.runners: list[Runner] = []
        self.say("starting")
        for runner in starting:                                # all import at once, and are suspended as they finish
            self._try(runner, lambda r: r.process.start(r.contestant, self.problem, self.settings.seed))
        for runner in starting:
            if self._try(runner, lambda r: self.entered.__setitem__(r.contestant.name, r.process.receive(300))):
                self.runners.append(runner)
        return self

    def __exit__(self, *_: object) -> None:
        for runner in self.runners:
            runner.process.stop()
        self.folder.cleanup()

    def run(self, direction: str) -> list[Measurement]:
        """What each contestant did, in their order: times if its results are right, else the reason why it has none."""
        arrays = self.problem.arrays(self.settings.seed)
        answers = self.problem.answers(direction, arrays)
        refused, lacking = dict(self.refusals), dict[str, str]()
        able: list[Runner] = []
        for runner in self.runners:
            name, module = runner.contestant.name, runner.contestant.load()
            lacks = module.lacks(runner.contestant.setting, self.problem, direction)
            if lacks:
                lacking[name] = lacks
            elif self._prepare(runner, direction, arrays, answers, refused):
                able.append(runner)
        able = self._rounds(able, direction, self.settings.rounds, refused)
        able = [runner for runner in able if self._finish(runner, direction, arrays, answers, refused)]
        found = {runner.contestant.name: runner.measurement(self.problem, direction) for runner in able}
        if self.settings.subnormal:
            self._subnormal(able, direction, arrays, found)
        copy = found.pop(YARDSTICK.name, None)
        if copy:
            found = {name: dataclasses.replace(m, extra={**m.extra, "copy": copy.median}) for name, m in found.items()}
        nothing = [Measurement(str(self.problem), direction, name, refused=why, lacks=name in lacking)
                   for name, why in {**refused, **lacking}.items() if name != YARDSTICK.name]
        order = [c.name for c in self.contestants]
        return sorted([*found.values(), *nothing], key=lambda m: order.index(m.contestant))

    def _prepare(self, runner: Runner, direction: str, arrays: Arrays, answers: Arrays, refused: dict[str, str],
                 subnormal: bool = False) -> bool:
        """Set up, compile, call once, and check what came out."""
        self.say(f"{direction}: {runner.contestant.name} compiles and is checked")
        runner.turns, runner.found = [], {}
        path = f"{self.folder.name}/outputs.npz"
        try:
            answer = runner.process.ask(do="prepare", direction=direction, subnormal=subnormal, save=path)
            verified = self._check(path, direction, arrays, answers, subnormal, runner)
        except (Failed, Wrong) as error:
            refused[runner.contestant.name] = str(error)
            return False
        self.entered[runner.contestant.name] |= {"threads": answer["threads"], "blas": answer["blas"]}
        runner.found = {"first_call": answer["first_call"], "algorithm": answer["algorithm"], "verified": verified.tier,
                        "error": verified.error}
        return True

    def _rounds(self, runners: list[Runner], direction: str, rounds: int, refused: dict[str, str]) -> list[Runner]:
        """Turn by turn; whoever began a round ends the next one. Returns those that came through."""
        begin = time.perf_counter()
        for i in range(rounds):
            self.say(f"{direction}: round {i + 1} of {rounds}")
            if i >= ENOUGH and time.perf_counter() - begin > self.settings.limit:
                break
            start = i % max(len(runners), 1)
            for runner in runners[start:] + runners[:start]:
                try:
                    runner.turns.append(runner.process.ask(do="turn", seconds=self.settings.seconds, most=MOST_CALLS)["times"])
                except Failed as error:
                    refused[runner.contestant.name] = str(error)
            runners = [runner for runner in runners if runner.contestant.name not in refused]
        return runners

    def _finish(self, runner: Runner, direction: str, arrays: Arrays, answers: Arrays, refused: dict[str, str]) -> bool:
        """Memory, and a check of the last call's outputs: the times are of calls that were right."""
        path = f"{self.folder.name}/outputs.npz"
        try:
            runner.found["memory"] = runner.process.ask(do="end", save=path)["memory"]
            if direction == "step":                            # ever further from the first step; the loss must still be a number
                if not np.isfinite(load_outputs(path)["loss"]):
                    raise Wrong("the loss became NaN or infinite while it was timed")
            else:
                self._check(path, direction, arrays, answers, False, runner)
        except (Failed, Wrong) as error:
            refused[runner.contestant.name] = str(error)
            return False
        return True

    def _check(self, path: str, direction: str, arrays: Arrays, answers: Arrays, subnormal: bool, runner: Runner) -> Verified:
        if runner.contestant == YARDSTICK:
            return Verified("exact")
        got = load_outputs(path)
        Path(path).unlink()
        flushed = flush_error(self.problem, direction) if subnormal else 0.0
        return verify(got, answers, lambda: self.problem.bounds(direction, arrays), flushed)

    def _subnormal(self, runners: list[Runner], direction: str, arrays: Arrays, found: dict[str, Measurement]) -> None:
        """The same once more on subnormal inputs, in three rounds."""
        arrays = with_subnormals(arrays, direction)
        answers, refused = self.problem.answers(direction, arrays), dict[str, str]()
        able = [r for r in runners if r.contestant != YARDSTICK and self._prepare(r, direction, arrays, answers, refused, subnormal=True)]
        for runner in self._rounds(able, f"{direction}, subnormal", 3, refused):
            name = runner.contestant.name
            found[name] = dataclasses.replace(found[name], subnormal=median(t for turn in runner.turns for t in turn))
        for name, why in refused.items():
            found[name].extra["subnormal refused"] = why

    def _try(self, runner: Runner, action: Callable[[Runner], Any]) -> bool:
        try:
            action(runner)
        except Failed as error:
            self.refusals[runner.contestant.name] = str(error)
            runner.process.stop()
            return False
        return True


def load_outputs(path: str) -> Arrays:
    """What a contestant's process saved. Nothing is unpickled."""
    with np.load(path, allow_pickle=False) as file:
        return dict(file)
