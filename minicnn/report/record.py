"""What is known about a run: read from its folder, as far as it can be read."""
from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from minicnn.report import files
from minicnn.training.run_folder import BEST, LAST
from minicnn.training.snapshot import CURRENT, PREVIOUS

SIGNS = ("config.json", "metrics.jsonl", "result.json", BEST, LAST)      # a folder with one of them is a run


@dataclass(frozen=True)
class Record:
    """The files of a run's folder. problems: what is wrong with them, a line each; a file that is not there yet is no problem."""
    folder: Path
    config: dict[str, Any]
    epochs: list[dict[str, float]]
    result: dict[str, Any]
    environment: dict[str, Any]
    confusion: np.ndarray | None
    recipe: str
    problems: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.folder.name or self.folder.resolve().name

    @property
    def status(self) -> str:
        """As result.json says it; "unfinished" where there is none: it runs still, or was killed; "broken" where nothing can be read."""
        if not self.config:
            return "broken"
        return files.text(self.result, "status", 16) or "unfinished"

    @property
    def finished(self) -> bool:
        return self.status == "finished"

    @property
    def dataset(self) -> str:
        """Its name, or that of the folder of images."""
        given = files.text(self.config, "dataset", 1000)
        return Path(given).name or given

    @property
    def model(self) -> str:
        return files.text(self.config, "model")

    @property
    def classes(self) -> tuple[str, ...]:
        given = self.config.get("classes")
        return tuple(map(str, given)) if isinstance(given, list) else ()

    @property
    def planned(self) -> int | None:
        """Epochs."""
        return files.count(self.config, "epochs")

    @property
    def parameters(self) -> int | None:
        return files.count(self.config, "parameters")

    @property
    def test_accuracy(self) -> float | None:
        return files.number(self.result, "test_accuracy")

    @property
    def best(self) -> dict[str, float]:
        """The epoch whose weights are kept: the latest of those with the highest validation accuracy; {} before the first."""
        said = files.count(self.result, "best_epoch")
        found = [epoch for epoch in self.epochs if epoch["epoch"] == said]
        return found[0] if found else max(self.epochs, key=lambda e: (e.get("validation_accuracy", 0), e["epoch"]), default={})

    @property
    def validation_accuracy(self) -> float | None:
        """The highest."""
        return self.best.get("validation_accuracy")

    @property
    def seconds(self) -> float | None:
        """Of training, validation included where the run says it, the reading of images and the test left out."""
        said = files.number(self.result, "seconds")
        return sum(e.get("seconds", 0) for e in self.epochs) if said is None and self.epochs else said

    @property
    def images_per_second(self) -> float | None:
        """The median over the epochs: the first one may have waited for compilation."""
        speeds = [e["images_per_second"] for e in self.epochs if "images_per_second" in e]
        return float(np.median(speeds)) if speeds else None

    @property
    def started(self) -> datetime | None:
        """As environment.json says it, else the time of config.json."""
        try:
            return datetime.fromisoformat(files.text(self.environment, "date")).astimezone(UTC)
        except (ValueError, OverflowError):
            pass
        for path in (self.folder / "config.json", self.folder):
            try:
                return datetime.fromtimestamp(path.stat().st_mtime, UTC)
            except (OSError, ValueError, OverflowError):
                continue
        return None

    @property
    def go_on(self) -> str:
        """The command that goes on with a run that was stopped; "" where there is no checkpoint, or it would only diverge again."""
        stopped = not self.finished and "diverged" not in self.error and any((self.folder / name).exists() for name in (CURRENT, PREVIOUS))
        return f"minicnn train --resume {shlex.quote(str(self.folder))}" if stopped else ""

    @property
    def error(self) -> str:
        return files.text(self.result, "error", 300)


def read(folder: str | Path) -> Record:
    """What a run's folder tells. Raises ValueError where it is no folder of a run; what is wrong inside one is in `problems`."""
    folder = Path(folder)
    if not folder.is_dir():
        what = "a file" if folder.exists() else "there is no such folder"
        raise ValueError(f"{folder} is not a run of minicnn train: {what}")
    if not is_run(folder):
        raise ValueError(f"{folder} is not a run of minicnn train: it has none of {', '.join(SIGNS)}")
    found: dict[str, Any] = {}
    problems = []
    for name, reader, nothing, needed in (
        ("config.json", files.read_object, {}, True), ("metrics.jsonl", files.read_epochs, ([], ""), False),
        ("result.json", files.read_object, {}, False), ("environment.json", files.read_object, {}, False),
        ("confusion_matrix.csv", files.read_confusion, None, False), ("recipe.toml", files.read_text, "", False),
    ):
        try:
            found[name] = reader(folder / name)
        except ValueError as error:
            found[name] = nothing
            if needed or str(error) != "missing":
                problems.append(f"{name}: {error}")
    epochs, wrong = found["metrics.jsonl"]
    problems += [f"metrics.jsonl: {wrong}"] if wrong else []
    return Record(folder, found["config.json"], epochs, found["result.json"], found["environment.json"], found["confusion_matrix.csv"],
                  found["recipe.toml"], problems)


def is_run(folder: Path) -> bool:
    try:
        return any((folder / name).exists() for name in SIGNS)
    except OSError:
        return False


def runs_in(folder: Path) -> tuple[list[Record], list[str]]:
    """All runs of a folder, and the names of other folders in it, hidden ones left out. Raises ValueError where it is none."""
    try:
        inside = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    except OSError as error:
        raise ValueError(f"{folder}: no folder of runs ({error.strerror or error}): give the one of `minicnn train --out`") from None
    return [read(path) for path in inside if is_run(path)], [path.name for path in inside if not is_run(path)]


def named(run: str, parents: Iterable[str] = ("runs",)) -> Path:
    """The folder of a run, by its path, or by its name in one of `parents`."""
    path = Path(run)
    return next((p for p in (path, *(Path(parent) / run for parent in parents)) if p.is_dir()), path)
