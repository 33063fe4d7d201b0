"""Seconds to a target test accuracy: the same network, initial weights, batches and schedule for each contestant, an epoch by turns."""
from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from minicnn.benchmarks.collect import Keep, Progress, add, enter, start
from minicnn.benchmarks.contestants import Contestant
from minicnn.benchmarks.learning import TASKS, Task
from minicnn.benchmarks.process import Failed, Process
from minicnn.benchmarks.race import Settings, load_outputs
from minicnn.benchmarks.results import Case, Entrant, Measurement, Results
from minicnn.benchmarks.statistics import quartiles
from minicnn.benchmarks.verify import Verified, Wrong, verify


@dataclass
class Student:
    """A contestant on its way: one entry in `seconds`, `epochs`, `accuracy` for each seed that it has finished."""
    contestant: Contestant
    process: Process
    seconds: list[float] = field(default_factory=list)
    epochs: list[int] = field(default_factory=list)
    accuracy: list[float] = field(default_factory=list)
    spent: float = 0.0           # seconds of training with the present seed
    done: bool = False
    first_call: float = 0.0
    verified: Verified | None = None
    refused: str = ""
    lacks: str = ""


def collect_accuracy(tasks: Sequence[Task], contestants: Sequence[Contestant], absent: Sequence[Entrant], settings: Settings,
                     progress: Progress = lambda *_: None, keep: Keep = lambda _: None) -> Results:
    """Every task, `rounds` times: with the seeds seed, seed + 1, ..."""
    suite = "accuracy-1" if set(tasks) <= set(TASKS.values()) else "part of accuracy-1"
    results = start("accuracy", suite, contestants, absent, settings, progress, keep, len(tasks))
    for done, task in enumerate(tasks):
        def say(text: str, done: int = done, name: str = task.dataset) -> None:
            progress(done, len(tasks), f"{name}, {text}")

        name, step = f"{task.dataset}:{task.model}:mb{task.batch_size}", task.problem
        case = Case(name, "train", step.macs("step"), step.bytes("step"), task.dataset)
        with tempfile.TemporaryDirectory(prefix="minicnn-bench-") as folder, Course(task, contestants, settings, folder) as course:
            course.run(say)
            enter(results, course.entered)
            add(results, case, [course.measurement(student, case) for student in course.students])
        keep(results)
    return results


class Course:
    """All contestants on one task: they learn by turns, an epoch at a time."""

    def __init__(self, task: Task, contestants: Sequence[Contestant], settings: Settings, folder: str) -> None:
        self.task, self.settings, self.path = task, settings, f"{folder}/logits.npz"
        self.students = [Student(c, Process(settings.threads, settings.cache or folder)) for c in contestants]
        self.entered: dict[str, dict[str, Any]] = {}
        problem, (_, _, x, self.labels) = task.problem, task.images
        self.first = {"x": x[:problem.N], "labels": self.labels[:problem.N]}           # these logits are checked before any training
        self.right, self.bounds = problem.answers("forward", self.first), problem.bounds("forward", self.first)

    def __enter__(self) -> Course:
        return self

    def __exit__(self, *_: object) -> None:
        for student in self.students:
            student.process.stop()

    def run(self, say: Callable[[str], None]) -> None:
        for student in self.students:
            student.lacks = student.contestant.load().lacks(student.contestant.setting, self.task.problem, "step") or ""
            student.refused = student.lacks
            self._attempt(student, self._introduce)
        for seed in range(self.settings.seed, self.settings.seed + self.settings.rounds):
            at_work = [student for student in self.students if self._attempt(student, self._enrol, seed)]
            for epoch in range(1, self.task.epochs + 1):
                say(f"order {seed}: epoch {epoch} of {self.task.epochs}")
                at_work = [student for student in at_work if self._attempt(student, self._epoch, epoch) and not student.done]

    def _attempt(self, student: Student, action: Callable[..., None], *arguments: Any) -> bool:
        """Whether it went well; if not, the student is out, and the reason noted."""
        if not student.refused:
            try:
                action(student, *arguments)
            except (Failed, Wrong) as error:
                student.refused = str(error)
        return not student.refused

    def _introduce(self, student: Student) -> None:
        student.process.start(student.contestant, self.task.problem, self.settings.seed)
        self.entered[student.contestant.name] = student.process.receive(300)

    def _enrol(self, student: Student, seed: int) -> None:
        """Fresh weights; the logits of the first test images must be right."""
        answer = student.process.ask(do="enrol", task=dataclasses.asdict(self.task), seed=seed, save=self.path)
        self.entered[student.contestant.name] |= {"threads": answer["threads"], "blas": answer["blas"]}
        logits = load_outputs(self.path)["logits"][:len(self.first["labels"])]
        student.verified = verify({"logits": logits}, self.right, lambda: self.bounds)
        student.spent, student.done = 0.0, False

    def _epoch(self, student: Student, epoch: int) -> None:
        """Train one epoch and test. A new network's first step compiles: it counts as a median step, and first_call reports the slowest."""
        times = student.process.ask(timeout=1800, do="epoch", save=self.path)["times"]
        if epoch == 1:
            student.first_call, times[0] = max(student.first_call, times[0]), median(times)
        student.spent += sum(times)
        accuracy = float((load_outputs(self.path)["logits"].argmax(axis=1) == self.labels).mean())
        if accuracy >= self.task.target or epoch == self.task.epochs:
            student.done = True
            student.seconds.append(student.spent)
            student.epochs.append(epoch)
            student.accuracy.append(accuracy)

    def measurement(self, student: Student, case: Case) -> Measurement:
        name = student.contestant.name
        if student.refused or student.verified is None:
            return Measurement(case.id, case.direction, name, refused=student.refused, lacks=bool(student.lacks))
        q1, middle, q3 = quartiles(student.seconds)
        extra = {"target": self.task.target, "reached": min(student.accuracy) >= self.task.target, "epochs": max(student.epochs),
                 "accuracy": median(student.accuracy), "seconds": middle}
        return Measurement(case.id, case.direction, name, "SGD, momentum 0.9", student.verified.tier, student.verified.error,
                           first_call=student.first_call, turns=tuple(student.seconds), calls=len(student.seconds), median=middle, q1=q1,
                           q3=q3, extra=extra)
