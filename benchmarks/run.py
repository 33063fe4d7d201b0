"""What the commands share: checked options, a progress display, and a session that prints and saves as it goes."""
from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from minicnn import document
from minicnn.benchmarks import collect, suites, threads
from minicnn.benchmarks.accuracy import collect_accuracy
from minicnn.benchmarks.contestants import BACKENDS, PEERS, Contestant, check_backend
from minicnn.benchmarks.ladder import LARGE, SMALL, collect_ladder
from minicnn.benchmarks.problems import FAMILIES
from minicnn.benchmarks.race import Settings
from minicnn.benchmarks.recipe_results import RecipeResults, Record
from minicnn.benchmarks.recipes import collect_recipes
from minicnn.benchmarks.reporting import recipes_table, table
from minicnn.benchmarks.results import Entrant, Results
from minicnn.files import write_whole
from minicnn.training import Recipe, recipe_file


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
    """Who takes part, and who cannot. backend: of minicnn's only this one, and peers on the same device. trains: without those that only
    infer."""
    if backend:
        check_backend(backend)
    leagues = {c.league for c in BACKENDS if backend in (None, c.setting)}
    rivals = [c for c in PEERS if peers and c.league in leagues and not (trains and c.module == "with_onnx")]
    return collect.choose(names, [*(c for c in BACKENDS if backend in (None, c.setting)), *rivals])


def recipes(named: Sequence[str], usual: Sequence[str] | None = None) -> list[Recipe]:
    """Those named, or those of `usual` (None: all that set a goal) whose images are on this machine. Raises ValueError for one that is not
    known, or not here."""
    if not named:
        those = map(recipe_file.read, recipe_file.names() if usual is None else usual)
        return [recipe for recipe in those if recipe.goal_accuracy and not _elsewhere(recipe)]
    found = [recipe_file.read(name) for name in named]
    for recipe in found:
        if _elsewhere(recipe):
            raise ValueError(f"the images of recipe {recipe.name} are not here: `minicnn train --dataset {recipe.dataset}` downloads them")
    return found


def _elsewhere(recipe: Recipe) -> bool:
    """Whether the images would have to be downloaded, which no benchmark does."""
    from minicnn.data import locate
    from minicnn.data.sources import SOURCES

    return recipe.dataset in SOURCES and not locate.find(SOURCES[recipe.dataset])


def seeds(text: str | None) -> list[int] | None:
    """Raises ValueError unless they are whole numbers of at least 0, separated by commas."""
    if text is None:
        return None
    words = [word.strip() for word in text.split(",")]
    if not all(word.isdecimal() for word in words):
        raise ValueError(f"seeds are {text!r}, expected whole numbers of at least 0, separated by commas, such as 0,1,2")
    return list(dict.fromkeys(map(int, words)))


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
        self.shown = self.noted = 0
        _check_folder(self.json)
        self.bar = _bar()
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
        """Before the first problem and after each: print what is new, and save all of it. Notes go to stderr: some are reasons to stop."""
        self.results = results
        for note in results.notes[self.noted:]:
            self.bar.console.print(f"note: {note}", markup=False, highlight=False, soft_wrap=True)
        self.noted = len(results.notes)
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


def train_recipes(chosen: Sequence[Recipe], chosen_seeds: Sequence[int] | None, backend: str | None, json: str | None,
                  markdown: bool = False, warm: bool = True) -> RecipeResults:
    """Train recipes, print a line a training and the table at the end, and save after each training, beside what the file holds.

    Returns what was trained now. Raises RuntimeError when a training fails.
    """
    path, trained = Path(json) if json else None, RecipeResults()
    _check_folder(path)
    saved = RecipeResults.load(path) if path and path.exists() else RecipeResults()
    bar = _bar()
    task = bar.add_task("", total=None)

    def say(done: int, total: int, text: str) -> None:
        bar.update(task, completed=done, total=total, description=text[:70])

    def keep(record: Record) -> None:
        saved.add(record)
        if path:
            write_whole(path, saved.to_json())
        if not markdown:
            console().print(recipes_table.line(record))

    if bar.console.is_terminal:
        bar.start()
    try:
        collect_recipes(chosen, chosen_seeds, backend, trained, say, keep, warm)
    finally:
        bar.stop()
        if trained.records:
            shown = recipes_table.blocks(trained)
            if markdown:
                console().print(document.markdown(shown))
            else:
                document.show(shown, console())
            if path:
                console().print(f"saved in {path}")
    return trained


def _bar() -> Progress:
    return Progress(TextColumn("{task.description}", markup=False), BarColumn(20), MofNCompleteColumn(), TimeElapsedColumn(),
                    console=Console(stderr=True), transient=True)


def _check_folder(path: Path | None) -> None:
    if path and not path.parent.is_dir():
        raise ValueError(f"cannot save {path}: there is no folder {path.parent}")


QUICK = {"conv": ["mb2ic3ih9oc4oh9kh3ph1"], "pool": ["max:mb2ic3ih8oh4kh2sh2"], "batch-norm": ["mb2ic3ih8"], "linear": ["mb4ic20oc5"],
         "cross-entropy": ["mb4ic10"], "train": ["lenet:mb2"], "infer": ["lenet:mb2"]}


def everything(out: Path, quick: bool, names: str | None, backend: str | None, peers: bool, count: int | None, seed: int) -> list[str]:
    """Every kind of benchmark, each into its file of `out`. Returns who was refused a time that they should have, with the case and reason.

    quick: one tiny problem of each kind in two short rounds, two epochs of training, and torch.compile, which is slow, in one kind only.
    """
    how = settings(count, 2 if quick else 7, 0.002 if quick else 0.04, seed)
    present, absent = contestants(names, backend, peers)
    out.mkdir(parents=True, exist_ok=True)
    found: list[Results | None] = []
    for kind in suites.SUITES:
        with Session(str(out / f"{kind}.json")) as session:
            session.collect(kind, problems(kind, QUICK[kind] if quick else [], None), directions(kind, None), present, absent, how)
        found.append(session.results)
        if quick:
            present = [c for c in present if c.setting != "compile"]
    for name, problem in (("ladder", SMALL), *(() if quick else (("ladder-large", LARGE),))):
        with Session(str(out / f"{name}.json")) as session:
            session.results = collect_ladder(problem, None, peers, how, session.progress, session.keep)
        found.append(session.results)
    learners = [c for c in present if c.module != "with_onnx"]
    chosen = [dataclasses.replace(recipe_file.read("digits"), name="digits, 2 epochs", epochs=2)] if quick else recipes([], suites.ACCURACY)
    with Session(str(out / "accuracy.json")) as session:
        session.results = collect_accuracy(chosen, learners, [e for e in absent if e.name != "ONNX Runtime"],
                                           dataclasses.replace(how, rounds=1 if quick else 3), session.progress, session.keep)
    found.append(session.results)
    own = [dataclasses.replace(recipe_file.read("digits"), name="digits, 1 epoch", epochs=1)] if quick else recipes([])
    if any(not c.peer for c in learners):
        train_recipes(own, [0] if quick else None, backend, str(out / "recipes.json"), warm=not quick)
    return [f"{m.contestant} on {m.case}, {m.direction}: {m.refused}" for results in found if results for m in results.measurements
            if m.refused and not m.lacks]
