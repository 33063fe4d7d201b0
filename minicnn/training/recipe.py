"""What to train, and with which settings: a recipe. `recipe_file` reads and writes them as TOML."""
from __future__ import annotations

import difflib
import math
import reprlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from minicnn.data import Compose, Cutout, RandomCrop, RandomHorizontalFlip, RandomRotation, RandomShift
from minicnn.data.augment import Transform
from minicnn.data.sources import NAMES
from minicnn.models import MODELS
from minicnn.nn import Module
from minicnn.optim import SGD, Adam, AdamW, Muon, Optimizer, muon_groups
from minicnn.optim.lr_scheduler import OneCycleLR

MOST_PIXELS = 4096                                             # of an image's side
OPTIMIZERS = ("adamw", "adam", "sgd", "muon")


@dataclass(frozen=True)
class Recipe:
    """The settings of a training.

    name: what its runs are called. model: one of minicnn.models, built with `options`, such as {"layers": [16, "pool", 32]}.
    validation: the share of the training images that is held out, to choose the best weights by; the test images choose nothing.
    flip, shift, crop, rotation, cutout: random changes of the training images: mirroring, pixels of shift, pixels of padding to cut
        a whole image out of again, degrees, side of a blanked square.
    optimizer: adamw, adam, sgd (with Nesterov's momentum), or muon for the weights of all layers but the last and AdamW for the rest.
    lr: the highest rate of a one-cycle schedule, reached after the share `warmup` of all steps, then falling to 0.
    momentum: of sgd and muon. adamw_lr, adamw_weight_decay: beside muon, AdamW's; its rate is lr if adamw_lr is 0.
    ema: decay of the moving average of the weights, which is what is tested and saved; 0 for the weights themselves.
    seeds: of the trainings; one training takes the first.
    goal_accuracy, goal_seconds, goal_parameters: what the recipe is for: at least that test accuracy, in the mean of the seeds, in at most
        so many seconds of training, with fewer than so many parameters; 0: not set. They change nothing in a training.

    Raises ValueError for a setting out of range, or a name that does not exist (with the closest one that does).
    """
    name: str = ""
    model: str = "digits"
    options: Mapping[str, Any] = field(default_factory=dict)
    dataset: str = "digits"
    batch_size: int = 64
    image_size: int = 32
    validation: float = 0.1
    flip: bool = False
    shift: int = 0
    crop: int = 0
    rotation: float = 0.0
    cutout: int = 0
    optimizer: str = "adamw"
    lr: float = 0.01
    weight_decay: float = 0.01
    momentum: float = 0.9
    adamw_lr: float = 0.0
    adamw_weight_decay: float = 0.0
    epochs: int = 10
    warmup: float = 0.3
    label_smoothing: float = 0.1
    ema: float = 0.0
    seeds: tuple[int, ...] = (0,)
    goal_accuracy: float = 0.0
    goal_seconds: float = 0.0
    goal_parameters: int = 0

    def __post_init__(self) -> None:
        known("model", self.model, MODELS)
        known("optimizer", self.optimizer, OPTIMIZERS)
        if self.dataset not in NAMES and not (0 < len(self.dataset) < 1000 and Path(self.dataset).is_dir()):
            known("dataset", self.dataset, NAMES, "; or the path of a folder with one sub-folder of images a class")
        for name, least in (("epochs", 1), ("batch_size", 1), ("image_size", 1), ("shift", 0), ("crop", 0), ("cutout", 0),
                            ("goal_parameters", 0)):
            self._check(name, getattr(self, name) >= least, f"at least {least}")
        for name, most in (("image_size", MOST_PIXELS), ("shift", MOST_PIXELS), ("crop", MOST_PIXELS), ("cutout", MOST_PIXELS),
                           ("epochs", 10**6), ("batch_size", 10**9)):
            self._check(name, getattr(self, name) <= most, f"at most {most:,}")
        if not self.seeds or min(self.seeds) < 0:
            raise ValueError(f"seed is {min(self.seeds, default='missing')}, expected at least 0")
        self._check("lr", 0 < self.lr < math.inf, "a number above 0")
        for name in ("weight_decay", "rotation", "goal_seconds", "adamw_lr", "adamw_weight_decay"):
            self._check(name, 0 <= getattr(self, name) < math.inf, "a number of at least 0")
        for name in ("label_smoothing", "validation", "ema", "warmup", "momentum"):
            self._check(name, 0 <= getattr(self, name) < 1, f"0 <= {name.replace('_', '-')} < 1")
        self._check("goal_accuracy", 0 <= self.goal_accuracy <= 1, "0..1")

    def _check(self, name: str, good: bool, expected: str) -> None:
        if not good:
            raise ValueError(f"{name.replace('_', '-')} is {getattr(self, name)}, expected {expected}")

    @property
    def seed(self) -> int:
        return self.seeds[0]

    def build_optimizer(self, model: Module) -> Optimizer:
        parameters = model.parameters()
        if self.optimizer == "sgd":
            return SGD(parameters, self.lr, momentum=self.momentum, nesterov=self.momentum > 0, weight_decay=self.weight_decay)
        if self.optimizer == "muon":
            groups = muon_groups(model, self.lr, self.adamw_lr or self.lr, self.weight_decay, self.adamw_weight_decay)
            return Muon(groups, self.lr, momentum=self.momentum)
        return (Adam if self.optimizer == "adam" else AdamW)(parameters, self.lr, weight_decay=self.weight_decay)

    def build_schedule(self, optimizer: Optimizer, batches: int) -> OneCycleLR:
        highest = [group["lr"] for group in optimizer.param_groups]
        return OneCycleLR(optimizer, highest, epochs=self.epochs, steps_per_epoch=batches, pct_start=self.warmup, cycle_momentum=False)

    def augmentation(self, size: tuple[int, int]) -> Compose:
        """The random changes of training images of this height and width, which leave the class what it is."""
        steps: list[Transform] = []
        if self.crop:
            steps.append(RandomCrop(size, padding=self.crop))
        if self.flip:
            steps.append(RandomHorizontalFlip(0.5))
        if self.rotation:
            steps.append(RandomRotation(self.rotation))
        if self.shift:
            steps.append(RandomShift(self.shift))
        if self.cutout:
            steps.append(Cutout(self.cutout))
        return Compose(steps)

    def without_augmentation(self) -> Recipe:
        return replace(self, flip=False, shift=0, crop=0, rotation=0.0, cutout=0)


def changed(recipe: Recipe, **settings: Any) -> Recipe:
    """The recipe with the settings that are given (not None) in place of its own. seed: one seed instead of `seeds`.

    Another model than the recipe's starts without the options of that one. Another optimiser has a learning rate of its own.
    """
    given = {name: value for name, value in settings.items() if value is not None}
    if "seed" in given:
        given["seeds"] = (given.pop("seed"),)
    if given.get("model", recipe.model) != recipe.model:
        given.setdefault("options", {})
    if given.get("optimizer") == "sgd" != recipe.optimizer and "lr" not in given:
        given |= {"lr": 0.05, "weight_decay": given.get("weight_decay", 5e-4)}
    return replace(recipe, **given)


def known(what: str, name: str, names: Iterable[str], otherwise: str = "") -> None:
    """Raise ValueError, with the closest of `names` and all of them, when `name` is none of them."""
    names = list(names)
    if name not in names:
        close = difflib.get_close_matches(name, names, 1)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        raise ValueError(f"unknown {what} {reprlib.repr(name)}{hint}; there are: {', '.join(names)}{otherwise}")
