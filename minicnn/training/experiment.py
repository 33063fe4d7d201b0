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
from minicnn.files import alone
from minicnn.nn import CrossEntropyLoss, Module
from minicnn.nn.arguments import at_most
from minicnn.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from minicnn.training import images, plots, recipe_file, snapshot
from minicnn.training.autosave import SECONDS, Autosave, noted
from minicnn.training.checkpoint import Description
from minicnn.training.history import Position
from minicnn.training.images import Statistics
from minicnn.training.interruption import Stop
from minicnn.training.loop import Evaluation, Observer, device_of, evaluate, fit
from minicnn.training.recipe import Recipe
from minicnn.training.run_folder import Run
from minicnn.training.stopped import Stopped, images_are_at, whole_of
from minicnn.training.training_state import TrainingState

Display = Callable[[int, int], AbstractContextManager[Observer]]     # (epochs, images an epoch) -> an observer
Watch = Callable[[Path], Observer]                             # a run's folder -> an observer that writes into it


@dataclass(frozen=True)
class Experiment:
    """A recipe with its images read and its network built: ready to run.

    root: the folder that was searched for the images first. stopped: the run that this one goes on with.
    """
    recipe: Recipe
    train: ArrayDataset
    validation: ArrayDataset | None
    test: ArrayDataset
    statistics: Statistics
    model: Module
    description: Description
    root: str | Path | None = None
    stopped: Stopped | None = None

    @classmethod
    def prepare(cls, recipe: Recipe, data: str | Path | None = None, progress: Any = None, device: str = "cpu",
                largest: at_most | None = None) -> Experiment:
        """Read the images (downloading them where needed; `progress` is told) and build the network with random weights, on `device`.

        largest: how large the network may be; by default so that this machine's memory holds it four times: the weights, their gradients
        and the optimiser's two means. ValueError for a larger one.
        """
        train, test = images.load(recipe.dataset, data, recipe.image_size, progress)
        train, validation = images.split(train, recipe.validation)
        statistics = Statistics.of(train)
        _, C, H, W = train.images.shape
        description = Description(recipe.model, C, (H, W), train.classes, statistics.mean, statistics.std, statistics.background,
                                  recipe.options)
        random.manual_seed(recipe.seed)
        with largest or at_most(images.memory() // 16, limit="this machine's memory allows"):
            model = description.build()
        return cls(recipe, train, validation, test, statistics, model.to(device), description, data)

    @classmethod
    def resume(cls, stopped: Stopped, data: str | Path | None = None, progress: Any = None, device: str = "cpu") -> Experiment:
        """The same for a run that was stopped: `run` goes on with it. data: instead of the folder that the images were found in then.

        Raises ValueError when the images are not those that it was trained on.
        """
        with stopped.checked():
            found = cls.prepare(stopped.recipe, data or stopped.root, progress, device, stopped.size)
            stopped.check_images(found.train, found.validation, found.test)
        return dataclasses.replace(found, stopped=stopped)

    @property
    def backend(self) -> str:
        """What computes: the device of the network, or the backend in use on the CPU."""
        where = device_of(self.model).type
        return kernels.backend() if where == "cpu" else where

    def run(self, out: str | Path, display: Display, doctor: bool = False, name: str | None = None, watch: Watch | None = None,
            every: float = SECONDS) -> Result:
        """Train, test the best weights, and save all into a new folder of `out`, or into that of the run that this goes on with.

        doctor: as in `fit`. name: of the folder, instead of the date, the dataset and the model. watch: makes one more observer, such as
        TensorBoard's. every: seconds between two checkpoints; see `Autosave`.

        Ctrl-C or SIGTERM saves a checkpoint after the batch and raises Interrupted; a second one raises it at once. A failure is noted in
        the folder's result.json and raised on. `Experiment.resume(Stopped.find(folder)).run(...)` goes on after any of them.
        """
        recipe, normalize = self.recipe, self.statistics.normalize()
        loader = DataLoader(self.train, recipe.batch_size, shuffle=True, drop_last=len(self.train) >= recipe.batch_size, seed=recipe.seed,
                            transform=Compose([recipe.augmentation(self.description.image_size), normalize]))
        validation = None if self.validation is None else self._measured(self.validation)
        loss_function = CrossEntropyLoss(label_smoothing=recipe.label_smoothing)
        state = self._state(len(loader))
        if self.stopped:
            with self.stopped.checked():
                state.restore(self.stopped.snapshot)
        with (self._folder(out, name, state) as run, Stop() as stop,
              noted(run, autosave := self._autosave(run, state, len(loader), stop, every))):
            watching = [watch(run.folder)] if watch else []
            with display(recipe.epochs, min(len(loader) * recipe.batch_size, len(self.train))) as shown:
                fit(self.model, loader, validation, state.optimizer, recipe.epochs, state.scheduler, loss_function,
                    (shown, run, *watching, autosave), doctor, state.average, state.position)
                run.seconds = state.position.elapsed
            run.load_best(self.model)
            test = evaluate(self.model, self._measured(self.test), loss_function)
            pictures = self._pictures(run, normalize)
            run.finish("finished", test)
            snapshot.remove(run.folder)
        return Result(run.folder, test, *pictures)

    def _measured(self, part: ArrayDataset) -> DataLoader:
        return DataLoader(part, max(self.recipe.batch_size, 256), transform=self.statistics.normalize())

    def _state(self, batches: int) -> TrainingState:
        """The beginning of the training."""
        optimizer = self.recipe.build_optimizer(self.model)
        scheduler = self.recipe.build_schedule(optimizer, batches)
        ema = self.recipe.ema
        average = AveragedModel(self.model, multi_avg_fn=get_ema_multi_avg_fn(ema), use_buffers=True) if ema else None
        return TrainingState(self.model, optimizer, scheduler, average, Position())

    @contextlib.contextmanager
    def _folder(self, out: str | Path, name: str | None, state: TrainingState) -> Iterator[Run]:
        """The run's folder, a new one or that of the run that was stopped, in which no other process trains meanwhile."""
        if self.stopped:
            with alone(self.stopped.folder):
                run = Run(self.stopped.folder, state.result, self.description)
                run.go_on(state.position.history, self.stopped.best, last=state.position.batch == 0)
                yield run
            return
        name = name or f"{time.strftime('%Y-%m-%d-%H%M%S')}-{self._name()}"
        run = Run.create(out, name, state.result, self.description, self._config(), recipe_file.write(self.recipe))
        with alone(run.folder):
            yield run

    def _autosave(self, run: Run, state: TrainingState, batches: int, stop: Stop, every: float) -> Autosave:
        about = {"recipe": recipe_file.write(images_are_at(self.recipe)), "name": self.recipe.name, "backend": self.backend,
                 "versions": versions(), "root": str(Path(self.root).resolve()) if self.root else None,
                 "images": whole_of(self.train, self.validation, self.test)}
        return Autosave(run, state, about, batches, stop, every, sound=not (self.stopped and self.stopped.problem))

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


def versions() -> dict[str, str]:
    """Of minicnn and what it computes with."""
    installed = [name for name in ("numpy", "numba") if importlib.util.find_spec(name)]
    return {"minicnn": __version__, **{name: importlib.metadata.version(name) for name in installed}}


def parameter_count(model: Module) -> int:
    return sum(p.numel() for p in model.parameters())
