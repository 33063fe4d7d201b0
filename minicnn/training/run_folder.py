"""The folder of one training run: what was asked for, how it went, and the network."""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from minicnn.files import write_whole
from minicnn.nn import Module
from minicnn.training import checkpoint
from minicnn.training.checkpoint import Description
from minicnn.training.loop import Epoch, Evaluation, Observer

BEST, LAST = "best.safetensors", "last.safetensors"


class Run(Observer):
    """A new folder `parent`/`name`, and what is written into it: every file whole, as soon as it is known.

        config.json             what was asked for          recipe.toml      the same, to copy, edit and train again
        environment.json        what it is computed on      metrics.jsonl    a line an epoch
        last.safetensors        the network so far          best.safetensors the network when it did best on the validation images
        confusion_matrix.csv    on the test images          result.json      finished, interrupted or failed; the test; seconds of training
        *.png                   pictures, and example images

    The best of several equal epochs is the latest; without validation images it is the last.
    """

    def __init__(self, parent: str | Path, name: str, model: Module, description: Description, config: dict[str, Any],
                 recipe: str = "") -> None:
        self.folder = _new_folder(Path(parent), name)
        self.model, self.description = model, description
        self.history: list[Epoch] = []
        self.seconds = 0.0                                     # of training and validation
        try:
            self.write_json("config.json", config)
            write_whole(self.folder / "recipe.toml", recipe)
        except OSError:
            for name in ("config.json", "recipe.toml"):
                (self.folder / name).unlink(missing_ok=True)
            self.folder.rmdir()
            raise

    def epoch(self, epoch: Epoch) -> None:
        self.history.append(epoch)
        write_whole(self.folder / "metrics.jsonl", "".join(json.dumps(_numbers(e)) + "\n" for e in self.history))
        self.save(LAST)
        if self.best_epoch == epoch.number:
            self.save(BEST)

    @property
    def best_epoch(self) -> int:
        """The number of the best epoch so far."""
        return max(self.history, key=lambda e: (e.validation.accuracy if e.validation else 0, e.number)).number

    def save(self, name: str) -> None:
        checkpoint.save(self.folder / name, self.model, self.description)

    def restore_best(self) -> None:
        """Give the model the best weights again."""
        if self.best_epoch != self.history[-1].number:
            self.model.load_state_dict(checkpoint.load(self.folder / BEST)[0].state_dict())

    def finish(self, status: str, test: Evaluation | None = None, error: str | None = None) -> None:
        """Write result.json and, when there was a test, confusion_matrix.csv."""
        result: dict[str, Any] = {"status": status, "epochs": len(self.history), "error": error, "seconds": self.seconds}
        if self.history:
            result["best_epoch"] = self.best_epoch
        if test:
            result |= {"test_accuracy": test.accuracy, "test_loss": test.loss, "test_images": test.images}
            write_whole(self.folder / "confusion_matrix.csv", _csv(test.confusion, self.description.classes))
        self.write_json("result.json", {key: value for key, value in result.items() if value is not None})

    def write_json(self, name: str, values: dict[str, Any]) -> None:
        write_whole(self.folder / name, json.dumps(values, indent=2) + "\n")


def _new_folder(parent: Path, name: str) -> Path:
    """parent/name, or name-2, name-3, ... when that exists: a run never writes into another's folder."""
    number = 1
    while True:
        folder = parent / (name if number == 1 else f"{name}-{number}")
        try:
            parent.mkdir(parents=True, exist_ok=True)
            folder.mkdir()
            return folder
        except FileExistsError:
            if not parent.is_dir():
                raise OSError(f"cannot save runs in {parent}: it is a file, not a folder") from None
            number += 1
        except OSError as error:
            raise OSError(f"cannot save runs in {parent}: {error.strerror or error}") from error


def _numbers(epoch: Epoch) -> dict[str, float]:
    numbers = {name: value for name, value in vars(epoch).items() if name not in ("number", "validation")}
    found = epoch.validation
    return {"epoch": epoch.number} | numbers | ({"validation_loss": found.loss, "validation_accuracy": found.accuracy} if found else {})


def _csv(counts: np.ndarray, classes: tuple[str, ...]) -> str:
    """Rows are the true classes, columns the predicted ones."""
    quoted = ['"' + name.replace('"', '""') + '"' for name in classes]
    rows = [",".join([name, *map(str, row)]) for name, row in zip(quoted, counts.tolist(), strict=True)]
    return "\n".join([",".join(['"true \\ predicted"', *quoted]), *rows]) + "\n"
