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
    """The folder of a run, and what is written into it: every file whole, as soon as it is known.

        config.json             what was asked for          recipe.toml      the same, to copy, edit and train again
        environment.json        what it is computed on      metrics.jsonl    a line an epoch
        last.safetensors        the network so far          best.safetensors the network when it did best on the validation images
        confusion_matrix.csv    on the test images          result.json      finished, interrupted or failed; the test; seconds of training
        *.png                   pictures, and example images
        checkpoint.safetensors, checkpoint-previous.safetensors    to go on from, until it is finished: see `minicnn.training.snapshot`

    The best of several equal epochs is the latest; without validation images it is the last.

    model: the network that is saved. history: its epochs. best: its weights after the best of them, where that is not simply the last.
    """

    def __init__(self, folder: Path, model: Module, description: Description) -> None:
        self.folder, self.model, self.description = folder, model, description
        self.history: list[Epoch] = []
        self.best: dict[str, np.ndarray] = {}
        self.seconds = 0.0                                     # of training and validation

    @classmethod
    def create(cls, parent: str | Path, name: str, model: Module, description: Description, config: dict[str, Any],
               recipe: str = "") -> Run:
        """A new folder of `parent`. Raises OSError, and leaves no folder, when it cannot be written into."""
        run = cls(_new_folder(Path(parent), name), model, description)
        try:
            run.write_json("config.json", config)
            write_whole(run.folder / "recipe.toml", recipe)
        except OSError:
            for file in ("config.json", "recipe.toml"):
                (run.folder / file).unlink(missing_ok=True)
            run.folder.rmdir()
            raise
        return run

    def go_on(self, history: list[Epoch], best: dict[str, np.ndarray], last: bool) -> None:
        """Take up a run that was stopped: what its folder says of later epochs, or may not have been told yet, is as it was then.

        last: whether the model is what it was after the last of these epochs.
        """
        self.history, self.best = list(history), best
        (self.folder / "result.json").unlink(missing_ok=True)
        if not history:
            (self.folder / "metrics.jsonl").unlink(missing_ok=True)
            return
        self._write_metrics()
        if last:
            self.save(LAST)
        if best:
            checkpoint.save_arrays(self.folder / BEST, best, self.description)
        elif last:
            self.save(BEST)

    def epoch(self, epoch: Epoch) -> None:
        self.history.append(epoch)
        self._write_metrics()
        weights = checkpoint.arrays_of(self.model)
        checkpoint.save_arrays(self.folder / LAST, weights, self.description, flush_folder=False)
        if self.best_epoch == epoch.number:
            checkpoint.save_arrays(self.folder / BEST, weights, self.description, flush_folder=False)
            self.best = weights if epoch.validation else {}

    def _write_metrics(self) -> None:
        write_whole(self.folder / "metrics.jsonl", "".join(json.dumps(_numbers(e)) + "\n" for e in self.history),
                    flush_folder=False)

    @property
    def best_epoch(self) -> int:
        """The number of the best epoch so far."""
        return max(self.history, key=lambda e: (e.validation.accuracy if e.validation else 0, e.number)).number

    def save(self, name: str) -> None:
        checkpoint.save(self.folder / name, self.model, self.description)

    def load_best(self, model: Module) -> None:
        """Give a model of the same kind the best weights."""
        model.load_state_dict(self.best or checkpoint.arrays_of(self.model))

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
