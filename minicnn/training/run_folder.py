"""The folder of one training run: what was asked for, how it went, and the network."""
from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from minicnn.files import write_whole
from minicnn.nn import Module
from minicnn.training import checkpoint
from minicnn.training.checkpoint import Description
from minicnn.training.loop import Epoch, Observer

WEIGHTS = "weights.safetensors"


class Run(Observer):
    """A new folder `parent`/<date>-<name>, and what is written into it: every file whole, as soon as it is known.

        config.json             what was asked for          metrics.jsonl    a line an epoch
        weights.safetensors     the network so far          result.json      finished, interrupted or failed, and the test accuracy
        confusion_matrix.csv    on the test images          *.png            pictures, and example images
    """

    def __init__(self, parent: str | Path, name: str, model: Module, description: Description, config: dict[str, Any]) -> None:
        self.folder = _new_folder(Path(parent), f"{time.strftime('%Y-%m-%d-%H%M%S')}-{name}")
        self.model, self.description = model, description
        self.history: list[Epoch] = []
        try:
            self._write_json("config.json", config)
        except OSError:
            self.folder.rmdir()
            raise

    def epoch(self, epoch: Epoch) -> None:
        self.history.append(epoch)
        write_whole(self.folder / "metrics.jsonl", "".join(json.dumps(_numbers(e)) + "\n" for e in self.history))
        self.save_weights()

    def save_weights(self) -> None:
        checkpoint.save(self.folder / WEIGHTS, self.model, self.description)

    def finish(self, status: str, error: str | None = None) -> None:
        """Write result.json and, when there was a test, confusion_matrix.csv."""
        result: dict[str, Any] = {"status": status, "epochs": len(self.history), "error": error}
        if self.history:
            test = self.history[-1].test
            result |= {"test_accuracy": test.accuracy, "test_loss": test.loss, "test_images": test.images}
            write_whole(self.folder / "confusion_matrix.csv", _csv(test.confusion, self.description.classes))
        self._write_json("result.json", {key: value for key, value in result.items() if value is not None})

    def _write_json(self, name: str, values: dict[str, Any]) -> None:
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
    numbers = {name: value for name, value in vars(epoch).items() if name not in ("number", "test")}
    return {"epoch": epoch.number} | numbers | {"test_loss": epoch.test.loss, "test_accuracy": epoch.test.accuracy}


def _csv(counts: np.ndarray, classes: tuple[str, ...]) -> str:
    """Rows are the true classes, columns the predicted ones."""
    quoted = ['"' + name.replace('"', '""') + '"' for name in classes]
    rows = [",".join([name, *map(str, row)]) for name, row in zip(quoted, counts.tolist(), strict=True)]
    return "\n".join([",".join(['"true \\ predicted"', *quoted]), *rows]) + "\n"
