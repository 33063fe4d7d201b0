"""What the commands share: checked options, a progress display, and a session that prints and saves as it goes."""
from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from minicnn.benchmarks import collect, suites, threads
from minicnn.benchmarks.contestants import BACKENDS, PEERS, Contestant
from minicnn.benchmarks.learning import TASKS
from minicnn.benchmarks.problems import FAMILIES
from minicnn.benchmarks.race import Settings
from minicnn.benchmarks.reporting import table
from minicnn.benchmarks.results import Entrant, Results
from minicnn.files import write_whole


def problems(kind: str, strings: Sequence[str], match: str | None) -> list[tuple[str, Any]]:
    """(group, problem): those that the strings name, or the suite's, or those of the suite that match. Raises ValueError for none."""
    if strings:
        family = FAMILIES[suites.SUITES[kind][1]]
        return [("", family.parse(string)) for string in strings]
    version, _, groups = suites.SUITES[kind]
    found = [(group, problem) for group, problem in suites.suite(kind) if not match or match.lower() in f"{group} {problem}".lower()]
    if not found:
        raise ValueError(f"no problem of the suite {version} matches {match!r}; its groups: {', '.join(groups)}")
    return found


def directions(kind: str, names: str | None) -> tuple[str, ...]:
    """Those named, in the usual order. Raises ValueError for an unknown one."""
    known = suites.directions(kind)
    wanted = [name.strip() for name in names.split(",")] if names else list(known)
    for name in wanted:
        if name not in known:
            raise ValueError(f"unknown direction {name!r}; there are: {', '.join(known)}")
    return tuple(name for name in known if name in wanted)


def settings(thread_count: int | None, rounds: int, seconds: float, seed: int, subnormal: bool = False) -> Settings:
    """Raises ValueError for a number out of range."""
    for name, value, least in (("rounds", rounds, 1), ("seconds", seconds, 0), ("seed", seed, 0)):
        if not value >= least:                                 # NaN too
            raise ValueError(f"{name} is {value}, expected at least {least}")
    count = len(threads.cores()) if thread_count is None else thread_count
    threads.check_count(count)
    return Settings(count, rounds, seconds, seed=seed, subnormal=subnormal)


def contestants(names: str | None, backend: str | None, peers: bool, trains: bool = False) -> tuple[list[Contestant], list[Entrant]]:
    """Who takes part, and who cannot. backend: of minicnn's only this one. trains: without those that only infer."""
    from minicnn import kernels

    if backend:
        kernels.get(backend)                                   # an error that lists the backends
    rivals = [c for c in PEERS if peers and not (trains and c.module == "with_onnx")]
    return collect.choose(names, [*(c for c in BACKENDS if backend in (None, c.setting)), *rivals])


def datasets(names: Sequence[str]) -> list[str]:
    """Those named; or digits, and Fashion-MNIST where its files are. Raises ValueError for an unknown one."""
    from minicnn.data import locate
    from minicnn.data.sources import SOURCES

    for name in names:
        if name not in TASKS:
            raise ValueError(f"unknown dataset {name!r}; there are: {', '.join(TASKS)}")
    here = [name for name in TASKS if name == "digits" or locate.find(SOURCES[name], None)]
    for name in names:
        if name not in here:
            raise ValueError(f"{name} is not here: `minicnn train --dataset {name}` downloads it")
    return list(names) or here


def console() -> Console:
    """Where tables are printed. Made anew each time: sys.stdout may have changed."""
    made = Console(highlight=False, markup=False)
    if not made.is_terminal:
        made.width = 10_000                                    # a file has no edge to wrap at
    return made


class Session:
    """A run on the command line: progress on stderr, tables as the cases finish, the file written after each of them."""

    def __init__(self, json: str | None, markdown: bool = False) -> None:
        self.json, self.markdown = Path(json) if json else None, markdown
        self.results: Results | None = None
        self.shown = 0
        if self.json and not self.json.parent.is_dir():
            raise ValueError(f"cannot save {self.json}: there is no folder {self.json.parent}")
        self.bar = Progress(TextColumn("{task.description}", markup=False), BarColumn(20), MofNCompleteColumn(), TimeElapsedColumn(),
                            console=Console(stderr=True), transient=True)
        self.task = self.bar.add_task("", total=None)

    def __enter__(self) -> Session:
        if self.bar.console.is_terminal:
            self.bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.bar.console.is_terminal:
            self.bar.stop()
        if self.results is None:
            return
        if error is not None:
            self.results.notes.append("The run was interrupted: cases are missing.")
            self._save()
        if error is None or isinstance(error, KeyboardInterrupt):
            self._print_end()

    def progress(self, done: int, total: int, text: str) -> None:
        self.bar.update(self.task, completed=done, total=total, description=text[:70])

    def keep(self, results: Results) -> None:
        """After each problem: print what is new, and save all of it."""
        self.results = results
        if not self.markdown:
            for case in results.cases[self.shown:]:
                table.show_case(results, case, console())
        self.shown = len(results.cases)
        self._save()

    def collect(self, kind: str, chosen: Sequence[tuple[str, Any]], ways: Sequence[str], present: Sequence[Contestant],
                absent: Sequence[Entrant], how: Settings) -> None:
        suite = suites.SUITES[kind][0] if list(chosen) == suites.suite(kind) else f"part of {suites.SUITES[kind][0]}"
        self.results = collect.collect(kind, suite, chosen, ways, present, absent, how, self.progress, self.keep)

    def _save(self) -> None:
        if self.json and self.results:
            write_whole(self.json, self.results.to_json())

    def _print_end(self) -> None:
        assert self.results is not None
        if self.markdown:
            console().print(table.markdown(self.results))
        else:
            table.show_end(self.results, console())
        if self.json:
            console().print(f"saved in {self.json}")


QUICK = {"conv": ["mb2ic3ih9oc4oh9kh3ph1"], "pool": ["max:mb2ic3ih8oh4kh2sh2"], "batch-norm": ["mb2ic3ih8"], "linear": ["mb4ic20oc5"],
         "cross-entropy": ["mb4ic10"], "train": ["lenet:mb2"], "infer": ["lenet:mb2"]}


def everything(out: Path, quick: bool, names: str | None, backend: str | None, peers: bool, thread_count: int | None, seed: int) -> None:
    """Every kind of benchmark, each into its file of `out`. quick: one tiny problem of each, in two short rounds."""
    from minicnn.benchmarks.accuracy import collect_accuracy
    from minicnn.benchmarks.ladder import LARGE, SMALL, collect_ladder

    how = settings(thread_count, 2 if quick else 7, 0.002 if quick else 0.04, seed)
    present, absent = contestants(names, backend, peers)
    learners, absent_learners = contestants(names, backend, peers, trains=True)
    out.mkdir(parents=True, exist_ok=True)
    for kind in suites.SUITES:
        console().print(f"\n{kind}\n")
        with Session(str(out / f"{kind}.json")) as session:
            chosen = problems(kind, QUICK[kind] if quick else [], None)
            session.collect(kind, chosen, directions(kind, None), present, absent, how)
    for name, problem in (("ladder", SMALL), *(() if quick else (("ladder-large", LARGE),))):
        with Session(str(out / f"{name}.json")) as session:
            session.results = collect_ladder(problem, None, peers, how, session.progress, session.keep)
    with Session(str(out / "accuracy.json")) as session:
        session.results = collect_accuracy(["digits"] if quick else datasets([]), learners, absent_learners,
                                           dataclasses.replace(how, rounds=1 if quick else 3), session.progress, session.keep)
