"""What `bench recipes` leaves: one JSON file with a record for each recipe, each with its own machine and day."""
from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean
from typing import Any

from minicnn.training import Recipe, recipe_file

SCHEMA = 1


@dataclass(frozen=True)
class Training:
    """One seed. seconds: wall time of the passes over the training images, batches and their augmentation included, without validation
    and test. wall: all that `minicnn train` does once Python runs: reading images, training, validation, test, saving, pictures.

    validation_accuracy: of the best epoch, whose weights are tested; None without validation images. test_accuracy: measured once, at the
    end. images_per_second: in those passes. date, revision: of the code, "+changes" where the checkout had some.
    """
    seed: int
    test_accuracy: float
    validation_accuracy: float | None
    seconds: float
    wall: float
    images_per_second: float
    date: str = ""
    revision: str | None = None


@dataclass(frozen=True)
class Record:
    """A recipe, and its trainings by seed. text: the recipe as TOML. compiling: seconds of the short training before the first, which
    compiles the kernels for this machine unless an earlier one has."""
    name: str
    text: str
    parameters: int
    backend: str
    machine: dict[str, Any]
    compiling: float = 0.0
    trainings: list[Training] = field(default_factory=list)

    @property
    def recipe(self) -> Recipe:
        return recipe_file.parse(self.text, self.name)

    @property
    def accuracy(self) -> float:
        """Test accuracy, the mean of the seeds."""
        return mean(training.test_accuracy for training in self.trainings)

    @property
    def seconds(self) -> float:
        """Of training, the mean of the seeds."""
        return mean(training.seconds for training in self.trainings)

    def goals(self, recipe: Recipe) -> dict[str, bool]:
        """Each goal of the recipe in words, and whether it is met: accuracy and seconds by the mean of the seeds."""
        found = {}
        if recipe.goal_accuracy:
            found[f"≥ {100 * recipe.goal_accuracy:g} %"] = self.accuracy >= recipe.goal_accuracy
        if recipe.goal_seconds:
            found[f"≤ {recipe.goal_seconds:g} s"] = self.seconds <= recipe.goal_seconds
        if recipe.goal_parameters:
            found[f"< {recipe.goal_parameters:,} parameters"] = self.parameters < recipe.goal_parameters
        return found

    def with_training(self, training: Training) -> Record:
        """This record with one more seed, or with that seed trained anew."""
        others = [other for other in self.trainings if other.seed != training.seed]
        return dataclasses.replace(self, trainings=sorted([*others, training], key=lambda t: t.seed))

    def continues(self, other: Record) -> bool:
        """Whether the trainings of both belong together: same settings, backend and kind of machine."""
        same = [(r.backend, r.parameters, *(r.machine.get(key) for key in ("cpu", "physical_cores"))) for r in (self, other)]
        return same[0] == same[1] and settings_of(self.recipe) == settings_of(other.recipe)


@dataclass
class RecipeResults:
    """The records by the name of their recipe."""
    records: dict[str, Record] = field(default_factory=dict)
    kind: str = "recipes"

    def add(self, record: Record) -> None:
        """Put a record in the place of the one with its name; what that one knows of other seeds stays where it still holds."""
        old = self.records.get(record.name)
        for training in old.trainings if old and record.continues(old) else ():
            if training.seed not in [t.seed for t in record.trainings]:
                record = record.with_training(training)
        self.records[record.name] = record

    def to_json(self) -> str:
        rows = ",\n".join(json.dumps({**dataclasses.asdict(record), "derived": self._derived(record)}, ensure_ascii=False)
                          for record in self.records.values())
        return f'{{\n"schema": {SCHEMA},\n"kind": "recipes",\n"records": [\n{rows}\n]\n}}\n'

    def _derived(self, record: Record) -> dict[str, Any]:
        """For readers of the file; not read back."""
        accuracies = [training.test_accuracy for training in record.trainings]
        return {"mean_accuracy": record.accuracy, "lowest": min(accuracies), "highest": max(accuracies), "mean_seconds": record.seconds,
                "goals": record.goals(record.recipe)}

    @classmethod
    def load(cls, path: str | Path) -> RecipeResults:
        """Read a file that `to_json` wrote. Raises ValueError, with what is wrong, for any other."""
        try:
            data = json.loads(Path(path).read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{path}: not a JSON file ({error})") from None
        if not isinstance(data, dict) or (data.get("schema"), data.get("kind")) != (SCHEMA, "recipes"):
            raise ValueError(f"{path}: not a result file of this version of minicnn bench recipes")
        try:
            records = [Record(**{name: value for name, value in row.items() if name not in ("derived", "trainings")},
                              trainings=[Training(**training) for training in row["trainings"]]) for row in data["records"]]
            for record in records:
                settings_of(record.recipe)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ValueError(f"{path}: a damaged result file ({type(error).__name__}: {error})") from None
        return cls({record.name: record for record in records if record.trainings})


def settings_of(recipe: Recipe) -> Recipe:
    """Without what changes nothing in a training."""
    return dataclasses.replace(recipe, goal_accuracy=0.0, goal_seconds=0.0, goal_parameters=0, seeds=(0,))


def outdated(texts: Mapping[str, str], with_goal: bool = False) -> list[str]:
    """Which of these recipes, by name, their files say otherwise than the texts that were measured. with_goal: also another accuracy.

    A recipe that does not come with minicnn has no file to compare.
    """
    found = []
    for name, text in texts.items():
        if name not in recipe_file.names():
            continue
        now = recipe_file.read(name)
        try:
            then = recipe_file.parse(text, name)
        except ValueError:                                     # of an older version of the format
            found.append(name)
            continue
        if settings_of(now) != settings_of(then) or (with_goal and now.goal_accuracy != then.goal_accuracy):
            found.append(name)
    return found
