"""Seconds to a recipe's test accuracy: the same network, weights, batches and steps for each contestant, an epoch by turns."""
from __future__ import annotations

import dataclasses
import math
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from minicnn.benchmarks.collect import Keep, Progress, add, enter, start
from minicnn.benchmarks.contestants import Contestant
from minicnn.benchmarks.learning import Lesson, store_epoch
from minicnn.benchmarks.process import Failed, Process
from minicnn.benchmarks.race import Settings, load_outputs
from minicnn.benchmarks.results import Case, Entrant, Measurement, Results
from minicnn.benchmarks.verify import Verified, Wrong, verify
from minicnn.training import Recipe, recipe_file

CHECKED = 256        # test images whose first logits are held to the right ones
COMPILING = 2        # steps: the second is the first that moves averages and momenta which are not new


@dataclass(frozen=True)
class Finish:
    """How a training ended. seconds: of steps, until the epoch in which the target was reached, or of all epochs."""
    seconds: float
    epochs: int
    accuracy: float
    reached: bool
    images: int


@dataclass
class Student:
    """A contestant on its way: a Finish for each seed that it is done with."""
    contestant: Contestant
    process: Process
    finished: list[Finish] = field(default_factory=list)
    spent: float = 0.0           # seconds of training with the present seed
    images: int = 0              # trained on with it
    done: bool = False
    first_call: float = 0.0
    verified: Verified | None = None
    refused: str = ""
    lacks: str = ""


def collect_accuracy(recipes: Sequence[Recipe], contestants: Sequence[Contestant], absent: Sequence[Entrant], settings: Settings,
                     progress: Progress = lambda *_: None, keep: Keep = lambda _: None) -> Results:
    """Every recipe with its first `rounds` seeds. Raises ValueError for a recipe that sets no goal, or whose images are not square."""
    for recipe in recipes:
        if not recipe.goal_accuracy:
            raise ValueError(f"recipe {recipe.name}: there is no accuracy to reach: add a section [goal] with accuracy, such as 0.9")
    results = start("accuracy", "accuracy-2", contestants, absent, settings, progress, keep, len(recipes))
    results.settings["recipes"] = {recipe.name: recipe_file.write(recipe) for recipe in recipes}
    for done, recipe in enumerate(recipes):
        def say(text: str, done: int = done, name: str = recipe.name) -> None:
            progress(done, len(recipes), f"{name}, {text}")

        say("reading its images")
        lesson = Lesson.of(recipe)
        step = lesson.problem(0)
        case = Case(f"recipe:{recipe.name}", "train", step.macs("step"), step.bytes("step"), recipe.dataset)
        with tempfile.TemporaryDirectory(prefix="minicnn-bench-") as folder, Course(lesson, contestants, settings, folder) as course:
            course.run(say)
            enter(results, course.entered)
            add(results, case, [course.measurement(student, case) for student in course.students])
        keep(results)
    return results


class Course:
    """All contestants on one recipe: they learn by turns, an epoch at a time."""

    def __init__(self, lesson: Lesson, contestants: Sequence[Contestant], settings: Settings, folder: str) -> None:
        self.lesson, self.settings, self.folder = lesson, settings, Path(folder)
        self.logits, self.rates = self.folder / "logits.npz", lesson.rates()
        self.students = [Student(c, Process(settings.threads, settings.cache or folder)) for c in contestants]
        self.entered: dict[str, dict[str, Any]] = {}
        np.save(self.folder / "test.npy", lesson.test_images())

    def __enter__(self) -> Course:
        return self

    def __exit__(self, *_: object) -> None:
        for student in self.students:
            student.process.stop()

    @property
    def seeds(self) -> tuple[int, ...]:
        """Those of the recipe, as many as there are rounds; where it has too few, the ones that follow its last."""
        own = self.lesson.recipe.seeds[:self.settings.rounds]
        return (*own, *range(max(own) + 1, max(own) + 1 + self.settings.rounds - len(own)))

    def run(self, say: Callable[[str], None]) -> None:
        for student in self.students:
            student.lacks = student.contestant.load().lacks(student.contestant.setting, self.lesson.problem(0), "step") or ""
            student.refused = student.lacks
            self._attempt(student, self._introduce)
        for seed in self.seeds:
            self._set(seed)
            at_work = [student for student in self.students if self._attempt(student, self._enrol, seed)]
            for epoch in range(1, self.lesson.recipe.epochs + 1):
                if at_work:
                    say(f"seed {seed}: epoch {epoch} of {self.lesson.recipe.epochs}")
                    store_epoch(self.loader, self.folder)
                at_work = [student for student in at_work if self._attempt(student, self._epoch, epoch) and not student.done]

    def _set(self, seed: int) -> None:
        """The batches of a seed, and the right logits of its first weights."""
        self.loader, self.problem = self.lesson.loader(seed), self.lesson.problem(seed)
        some = {"x": np.load(self.folder / "test.npy", mmap_mode="r")[:CHECKED], "labels": self.lesson.test.labels[:CHECKED]}
        self.right, self.bounds = self.problem.answers("forward", some), self.problem.bounds("forward", some)

    def _attempt(self, student: Student, action: Callable[..., None], *arguments: Any) -> bool:
        """Whether it went well; if not, the student is out, and the reason noted."""
        if not student.refused:
            try:
                action(student, *arguments)
            except (Failed, Wrong) as error:
                student.refused = str(error)
        return not student.refused

    def _introduce(self, student: Student) -> None:
        student.process.start(student.contestant, self.lesson.problem(0), self.settings.seed)
        self.entered[student.contestant.name] = student.process.receive(300)

    def _enrol(self, student: Student, seed: int) -> None:
        """Fresh weights; the logits of the first test images must be right."""
        answer = student.process.ask(do="enrol", problem=dataclasses.asdict(self.problem), folder=str(self.folder), save=str(self.logits))
        self.entered[student.contestant.name] |= {"threads": answer["threads"], "blas": answer["blas"]}
        logits = load_outputs(self.logits)["logits"][:CHECKED]
        student.verified = verify({"logits": logits}, self.right, lambda: self.bounds)
        student.spent, student.images, student.done = 0.0, 0, False

    def _epoch(self, student: Student, epoch: int) -> None:
        """Train one epoch and test. A new network's first steps compile: they count as median steps, and first_call reports the slowest."""
        steps, recipe = len(self.loader), self.lesson.recipe
        times = student.process.ask(timeout=1800, do="epoch", rates=self.rates[(epoch - 1) * steps:epoch * steps],
                                    save=str(self.logits))["times"]
        if epoch == 1:
            student.first_call = max(student.first_call, sum(times[:COMPILING]))
            times[:COMPILING] = [median(times)] * len(times[:COMPILING])
        student.spent += sum(times)
        student.images += len(times) * self.loader.batch_size
        accuracy = float((load_outputs(self.logits)["logits"].argmax(axis=1) == self.lesson.test.labels).mean())
        reached = accuracy >= recipe.goal_accuracy
        student.done = reached or epoch == recipe.epochs
        if student.done:
            student.finished.append(Finish(student.spent, epoch, accuracy, reached, student.images))

    def measurement(self, student: Student, case: Case) -> Measurement:
        name = student.contestant.name
        if student.refused or student.verified is None:
            return Measurement(case.id, case.direction, name, refused=student.refused, lacks=bool(student.lacks))
        done = student.finished
        times = [finish.seconds if finish.reached else math.inf for finish in done]       # who has not reached it never will
        reached = math.isfinite(median(times))
        middle = median(times) if reached else median(finish.seconds for finish in done)
        spent = sum(finish.seconds for finish in done)
        extra = {"target": self.lesson.recipe.goal_accuracy, "reached": reached, "times_reached": sum(finish.reached for finish in done),
                 "seeds": list(self.seeds), "epochs": median(finish.epochs for finish in done),
                 "accuracy": median(finish.accuracy for finish in done), "images_per_second": sum(f.images for f in done) / spent,
                 "each": [dataclasses.asdict(finish) for finish in done]}
        seconds = tuple(finish.seconds for finish in done)
        return Measurement(case.id, case.direction, name, str(self.problem.rule), student.verified.tier, student.verified.error,
                           first_call=student.first_call, turns=seconds, calls=len(done), median=middle, q1=min(seconds), q3=max(seconds),
                           extra=extra)
