"""From a kind of benchmark to its Results: who takes part, the machine and its peak, and race after race."""
from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from minicnn.benchmarks import gpu, machine, threads
from minicnn.benchmarks.contestants import BACKENDS, PEERS, YARDSTICK, Contestant
from minicnn.benchmarks.race import Race, Settings
from minicnn.benchmarks.results import CPU, Case, Entrant, Measurement, Results
from minicnn.benchmarks.statistics import ENOUGH

Progress = Callable[[int, int, str], None]      # (cases done, cases in all, what happens now)
Keep = Callable[[Results], None]


def choose(wanted: str | None, everyone: Sequence[Contestant] = (*BACKENDS, *PEERS)) -> tuple[list[Contestant], list[Entrant]]:
    """Those who take part, and those who cannot, with the reason.

    wanted: names or beginnings of names, separated by commas ("minicnn,torch channels"); None means everyone. Raises ValueError for a
    name that fits nobody, and when a contestant that was named in full cannot take part.
    """
    names = [name.strip().lower() for name in wanted.split(",")] if wanted else [""]
    for name in names:
        if not any(c.name.lower().startswith(name) for c in everyone):
            raise ValueError(f"no contestant's name begins with {name!r}; there are: {', '.join(c.name for c in everyone)}")
    present: list[Contestant] = []
    absent: list[Entrant] = []
    for contestant in (c for c in everyone if any(c.name.lower().startswith(name) for name in names)):
        reason = contestant.missing()
        if reason and contestant.name.lower() in names:
            raise ValueError(f"{contestant.name} cannot take part: {reason}")
        if reason:
            absent.append(Entrant(contestant.name, peer=contestant.peer, missing=reason, league=contestant.league))
        else:
            present.append(contestant)
    return present, absent


def peak(thread_count: int) -> dict[str, float]:
    """Matrix product and FMA loop in FLOP/s, copy in bytes/s, in a process of its own with the same threads as the contestants."""
    with threads.restrict(thread_count):
        done = subprocess.run([sys.executable, "-m", "minicnn.benchmarks.peak", str(thread_count)], capture_output=True, text=True,
                              env={**os.environ, **threads.environment(thread_count)})
    if done.returncode:
        raise RuntimeError(f"the machine's peak could not be measured: {done.stderr.strip().splitlines()[-1:]}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def collect(kind: str, suite: str, problems: Iterable[tuple[str, Any]], directions: Sequence[str], contestants: Sequence[Contestant],
            absent: Sequence[Entrant], settings: Settings, progress: Progress = lambda *_: None,
            keep: Keep = lambda _: None) -> Results:
    """Measure every problem in every direction. `keep` is given the results before the first problem and after each one, so that nothing
    is lost if the run ends."""
    problems = list(problems)
    results = start(kind, suite, contestants, absent, settings, progress, keep, len(problems))
    with tempfile.TemporaryDirectory(prefix="minicnn-bench-cache-") as cache:
        settings = dataclasses.replace(settings, cache=cache)
        for done, (group, problem) in enumerate(problems):
            def say(text: str, done: int = done, problem: Any = problem) -> None:
                progress(done, len(problems), f"{problem}, {text}")

            yardstick = [YARDSTICK] if problem.bound == "memory" and _on_cpu(contestants) else []
            with Race(problem, [*yardstick, *contestants], settings, say) as race:
                for direction in directions:
                    add(results, case_of(problem, direction, group), race.run(direction))
                enter(results, race.entered)
            keep(results)
    if settings.rounds >= ENOUGH and results.peak:             # once more, since the machine may have been busy when the run began
        progress(len(problems), len(problems), "the machine's peak once more")
        results.peak = {name: max(rate, results.peak[name]) for name, rate in peak(settings.threads).items()}
        keep(results)
    return results


def start(kind: str, suite: str, contestants: Sequence[Contestant], absent: Sequence[Entrant], settings: Settings, progress: Progress,
          keep: Keep, cases: int) -> Results:
    """Results with no cases yet: the machine, its peak, who takes part and who cannot."""
    progress(0, cases, "the machine and its peak")
    fingerprint = machine.fingerprint()
    if any(c.league != CPU for c in contestants):
        fingerprint["gpu"] = gpu.fingerprint()
    rates = peak(settings.threads) if _on_cpu(contestants) else {}
    results = Results(kind, suite, _stored(settings), fingerprint, rates, notes=machine.warnings(fingerprint))
    results.entrants = [*(Entrant(c.name, peer=c.peer, league=c.league) for c in contestants), *absent]
    keep(results)
    return results


def _on_cpu(contestants: Sequence[Contestant]) -> bool:
    """Whether any of them computes there: if so, its peak is measured."""
    return any(c.league == CPU for c in contestants)


def case_of(problem: Any, direction: str, group: str) -> Case:
    return Case(str(problem), direction, problem.macs(direction), problem.bytes(direction), group, problem.bound)


def add(results: Results, case: Case, measurements: list[Measurement]) -> None:
    results.cases.append(case)
    results.measurements += measurements


def enter(results: Results, entered: dict[str, dict[str, Any]]) -> None:
    """Keep what each contestant is and the threads it read back, as far as is known; other numbers of threads than were set are noted."""
    for i, entrant in enumerate(results.entrants):
        found = entered.get(entrant.name)
        if found:
            pools = found.get("threads", {})
            results.entrants[i] = dataclasses.replace(entrant, what=found["what"], threads={**entrant.threads, **pools},
                                                      blas=found.get("blas") or entrant.blas)
            wrong = [f"{pool} has {count}" for pool, count in pools.items() if count != results.settings["threads"]]
            note = f"{entrant.name} was not given {results.settings['threads']} threads: {', '.join(wrong)}"
            if wrong and note not in results.notes:
                results.notes.append(note)


def _stored(settings: Settings) -> dict[str, Any]:
    stored = dataclasses.asdict(settings)
    del stored["cache"]
    return {**stored, "dtype": "float32"}
