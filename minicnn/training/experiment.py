"""One training run from a recipe to a folder: images, network, training, test, everything saved."""
from __future__ import annotations

import contextlib
import dataclasses
import importlib.metadata
import importlib.util
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minicnn import __version__, kernels, random
from minicnn.data import ArrayDataset, Compose, DataLoader
from minicnn.data.sources import NAMES
from minicnn.nn import CrossEntropyLoss, Module
from minicnn.training import images, plots, recipe_file
from minicnn.training.checkpoint import Description
from minicnn.training.environment import environment
from minicnn.training.images import Statistics
from minicnn.training.loop import Evaluation, Observer, device_of, evaluate, fit
from minicnn.training.recipe import Recipe
from minicnn.training.run_folder import LAST, Run

Display = Callable[[int, int], AbstractContextManager[Observer]]     # (epochs, images an epoch) -> an observer
Watch = Callable[[Path], Observer]                             # a run's folder -> an observer that writes into it


@dataclass(frozen=True)
class Experiment:
    """A recipe with its images read and its network built: ready to run."""
    recipe: Recipe
    train: ArrayDataset
    validation: ArrayDataset | None
    test: ArrayDataset
    statistics: Statistics
    model: Module
    description: Description

    @classmethod
    def prepare(cls, recipe: Recipe, data: str | Path | None = None, progress: Any = None, device: str = "cpu") -> Experiment:
        """Read the images (downloading them where needed; `progress` is told) and build the network with random weights, on `device`."""
        train, test = images.load(recipe.dataset, data, recipe.image_size, progress)
        train, validation = images.split(train, recipe.validation)
        statistics = Statistics.of(train)
        _, C, H, W = train.images.shape
        description = Description(recipe.model, C, (H, W), train.classes, statistics.mean, statistics.std, statistics.background,
                                  recipe.options)
        random.manual_seed(recipe.seed)
        return cls(recipe, train, validation, test, statistics, description.build().to(device), description)

    @property
    def backend(self) -> str:
        """What computes: the device of the network, or the backend in use on the CPU."""
        where = device_of(self.model).type
        return kernels.backend() if where == "cpu" else where

    def run(self, out: str | Path, display: Display, doctor: bool = False, name: str | None = None, watch: Watch | None = None) -> Result:
        """Train, test the best weights, and save all into a new folder of `out`. doctor: as in `fit`.
        name: of the folder, instead of the date, the dataset and the model. watch: makes one more observer, such as TensorBoard's.

        Ctrl-C saves the network as it is and raises Interrupted. A failure is noted in the folder's result.json and raised on.
        """
        recipe, normalize = self.recipe, self.statistics.normalize()
        loader = DataLoader(self.train, recipe.batch_size, shuffle=True, drop_last=len(self.train) >= recipe.batch_size, seed=recipe.seed,
                            transform=Compose([recipe.augmentation(self.description.image_size), normalize]))
        measured = [part and DataLoader(part, max(recipe.batch_size, 256), transform=normalize) for part in (self.validation, self.test)]
        optimizer = recipe.build_optimizer(self.model)
        scheduler = recipe.build_schedule(optimizer, len(loader))
        loss_function = CrossEntropyLoss(label_smoothing=recipe.label_smoothing)
        run = Run(out, name or f"{time.strftime('%Y-%m-%d-%H%M%S')}-{self._name()}", self.model, self.description, self._config(),
                  recipe_file.write(recipe))
        per_epoch = min(len(loader) * recipe.batch_size, len(self.train))
        with _noted(run):
            run.write_json("environment.json", environment())
            watching = [watch(run.folder)] if watch else []
            with display(recipe.epochs, per_epoch) as shown:
                started = time.perf_counter()
                fit(self.model, loader, measured[0], optimizer, recipe.epochs, scheduler, loss_function, (shown, run, *watching), doctor)
                run.seconds = time.perf_counter() - started
            run.restore_best()
            test = evaluate(self.model, measured[1], loss_function)
            run.finish("finished", test)
        return Result(run.folder, test, *self._pictures(run, normalize))

    def _name(self) -> str:
        recipe = self.recipe
        data = recipe.dataset if recipe.dataset in NAMES else Path(recipe.dataset).resolve().name[:40]
        return f"{data}-{recipe.model}" if recipe.name in (*NAMES, "folder", "") else recipe.name[:60]

    def _config(self) -> dict[str, Any]:
        return {**dataclasses.asdict(self.recipe), "seed": self.recipe.seed, "backend": self.backend,
                "parameters": parameter_count(self.model), "classes": self.train.classes, "train_images": len(self.train),
                "validation_images": len(self.validation or ()), "test_images": len(self.test),
                "image_shape": self.train.images.shape[1:], "versions": versions()}

    def _pictures(self, run: Run, normalize: Any) -> tuple[list[Path], bool]:
        """Example images, and whether the two figures could be drawn: they need matplotlib."""
        examples = plots.example_images(run.folder / "examples", self.test)
        try:
            plots.learning_curve(run.folder / "learning_curve.png", run.history)
            plots.prediction_grid(run.folder / "predictions.png", self.model, self.test, normalize)
        except ImportError:
            return examples, False
        return examples, True


@dataclass(frozen=True)
class Result:
    """A finished run: its folder, the test, example images to predict, and whether the figures were drawn."""
    folder: Path
    test: Evaluation
    examples: list[Path]
    figures: bool


class Interrupted(KeyboardInterrupt):
    """Ctrl-C during training; the text says where the network was saved."""


def versions() -> dict[str, str]:
    """Of minicnn and what it computes with."""
    installed = [name for name in ("numpy", "numba") if importlib.util.find_spec(name)]
    return {"minicnn": __version__, **{name: importlib.metadata.version(name) for name in installed}}


def parameter_count(model: Module) -> int:
    return sum(p.numel() for p in model.parameters())


@contextlib.contextmanager
def _noted(run: Run) -> Iterator[None]:
    """Whatever ends the run early is written into its folder, as far as the disk still takes it."""
    try:
        yield
    except KeyboardInterrupt:
        run.save(LAST)
        run.finish("interrupted")
        raise Interrupted(f"interrupted in epoch {len(run.history) + 1}; the network so far is saved in {run.folder}") from None
    except Exception as error:
        with contextlib.suppress(OSError):
            run.finish("failed", error=str(error))
        raise
