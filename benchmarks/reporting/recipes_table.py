"""The table of `bench recipes`: accuracy, time and size of each recipe, beside its goal."""
from __future__ import annotations

from minicnn.benchmarks.recipe_results import RecipeResults, Record
from minicnn.benchmarks.reporting import describe, units
from minicnn.document import Block, Bold, Column, Table
from minicnn.training import Recipe, recipe_file

COLUMNS = [Column("recipe", left=True), Column("parameters"), Column("epochs"), Column("accuracy"),
           Column("each seed", left=True, aside=True), Column("training"), Column("images/s"),
           Column("goal", left=True, aside=True), Column("met", left=True)]
CAPTION = ("accuracy: on the test images, which are looked at once, at the end of each training; the mean of the seeds. training: wall "
           "time of the passes over the training images, augmentation included, without validation, test and what is saved between "
           "passes; the mean of the seeds. Kernels were compiled beforehand, which minicnn does once on a machine.")


def table(results: RecipeResults) -> Table:
    """A row a recipe."""
    return Table("", COLUMNS, [_row(record) for record in results.records.values()])


def blocks(results: RecipeResults) -> list[Block]:
    """The table, what its columns mean, and where and when each recipe was measured."""
    where: dict[str, list[str]] = {}
    for record in results.records.values():
        where.setdefault(_where(record), []).append(record.name)
    return [table(results), CAPTION, [f"{', '.join(names)}: measured {place}." for place, names in where.items()]]


def line(record: Record) -> str:
    """The latest training in a sentence."""
    last = max(record.trainings, key=lambda training: training.date)
    held_out = "" if last.validation_accuracy is None else f", validation {last.validation_accuracy:.2%}"
    return (f"{record.name}, seed {last.seed}: test {last.test_accuracy:.2%}{held_out}, {units.seconds(last.seconds)} of training, "
            f"{units.seconds(last.wall)} in all")


def _row(record: Record) -> list[str]:
    goals = record.goals(now(record))
    accuracy, trainings = f"{record.accuracy:.2%}", record.trainings
    speed = sum(training.images_per_second for training in trainings) / len(trainings)
    return [record.name, f"{record.parameters:,}", str(record.recipe.epochs), Bold(accuracy),
            " ".join(f"{100 * training.test_accuracy:.2f}" for training in trainings), units.seconds(record.seconds), units.three(speed),
            ", ".join(goals) or "-", "-" if not goals else "yes" if all(goals.values()) else
            f"not {', '.join(goal for goal, met in goals.items() if not met)}"]


def now(record: Record) -> Recipe:
    """The recipe as its file is now, whose goal counts; as it was measured, if it has none."""
    return recipe_file.read(record.name) if record.name in recipe_file.names() else record.recipe


def _where(record: Record) -> str:
    """The days, the revisions of the code, the backend and the machine."""
    days = sorted({training.date[:10] for training in record.trainings if training.date})
    commits = dict.fromkeys(describe.revision(training.revision) for training in record.trainings if training.revision)
    at = f" at revision {', '.join(commits)}" if commits else ""
    return (f"on {'–'.join(dict.fromkeys((days[0], days[-1])))}{at} with the {record.backend} backend on {describe.machine(record.machine)}"
            if days else f"with the {record.backend} backend on {describe.machine(record.machine)}")
