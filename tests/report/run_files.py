"""The folder of a run as `minicnn train` leaves it, made without training: every file with known contents."""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from minicnn import random
from minicnn.training import Description, save_checkpoint

DIGITS = tuple("0123456789")
CONFUSION = np.diag([30] * 9 + [20]) + np.eye(10, k=1, dtype=int) * 3        # each taken for the next one 3 times


def epochs(count: int) -> list[dict[str, float]]:
    """The validation accuracy is best in the last epoch but one."""
    return [{"epoch": n, "lr": 0.01 / n, "loss": 2.0 / n, "accuracy": 1 - 0.5 / n, "seconds": 1.5, "images_per_second": 800.0 + n,
             "validation_loss": 2.1 / n, "validation_accuracy": 0.9 if n == count - 1 else 0.5 + n / 100} for n in range(1, count + 1)]


def config(**changes: Any) -> dict[str, Any]:
    return {"name": "digits", "model": "digits", "options": {}, "dataset": "digits", "batch_size": 64, "image_size": 32,
            "optimizer": "adamw", "lr": 0.01, "weight_decay": 0.01, "epochs": 4, "label_smoothing": 0.1, "seeds": [3], "seed": 3,
            "backend": "numba", "parameters": 38442, "classes": list(DIGITS), "train_images": 1200,
            "validation_images": 139, "test_images": 317} | changes


def make_run(folder: Path, *, done: int = 4, network: bool = False, classes: tuple[str, ...] = DIGITS,
             counts: np.ndarray | None = CONFUSION, result: dict[str, Any] | None = None,
             environment: dict[str, Any] | None = None, **settings: Any) -> Path:
    """A finished run of `done` epochs. network: with weights, random ones. counts: None for one that was not tested."""
    folder.mkdir(parents=True)

    def write(name: str, values: Any) -> None:
        (folder / name).write_text(json.dumps(values))

    write("config.json", config(classes=list(classes), **settings))
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in epochs(done)))
    tested = {} if counts is None else {
        "test_accuracy": float(np.trace(counts) / counts.sum()), "test_loss": 0.3, "test_images": int(counts.sum())}
    write("result.json", {"status": "finished", "epochs": done, "best_epoch": max(1, done - 1)} | tested if result is None else result)
    machine = {"date": "2026-01-31T12:00:00+00:00", "command": "minicnn train", "cpu": "A CPU", "cores": 2, "memory": 8_000_000_000,
               "versions": {"minicnn": "0.1.0", "numpy": "2.4.6"}}
    write("environment.json", machine if environment is None else environment)
    (folder / "recipe.toml").write_text('[model]\nname = "digits"\n\n[data]\ndataset = "digits"\n')
    if counts is not None:
        quoted = ['"' + name.replace('"', '""') + '"' for name in ("true \\ predicted", *classes)]
        rows = [",".join([name, *map(str, row)]) for name, row in zip(quoted[1:], counts.tolist(), strict=True)]
        (folder / "confusion_matrix.csv").write_text("\n".join([",".join(quoted), *rows]) + "\n", errors="replace")
    if network:
        about = Description("digits", 1, (8, 8), classes, (0.3,), (0.4,), 0.0)
        random.manual_seed(0)
        save_checkpoint(folder / "best.safetensors", about.build(), about)
    return folder
