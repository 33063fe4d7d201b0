"""What to train, and with which settings: good ones for each dataset, each of which can be changed."""
from __future__ import annotations

import difflib
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from minicnn.data import Compose, RandomCrop, RandomHorizontalFlip, RandomRotation, RandomShift
from minicnn.data.augment import Transform
from minicnn.data.sources import NAMES
from minicnn.models import MODELS
from minicnn.nn import Module
from minicnn.optim import SGD, Adam, AdamW, Optimizer
from minicnn.optim.lr_scheduler import OneCycleLR

OPTIMIZERS = ("adamw", "adam", "sgd")


@dataclass(frozen=True)
class Recipe:
    """The settings of one run. The learning rate rises to lr and falls to 0 over the run (OneCycleLR).

    Raises ValueError for a setting out of range, or a name that does not exist (with the closest one that does).
    """
    dataset: str = "digits"
    model: str = "digits"
    epochs: int = 10
    batch_size: int = 64
    lr: float = 0.01
    optimizer: str = "adamw"
    weight_decay: float = 0.01
    label_smoothing: float = 0.1
    augment: bool = False
    seed: int = 0
    image_size: int = 32

    def __post_init__(self) -> None:
        known("model", self.model, MODELS)
        known("optimizer", self.optimizer, OPTIMIZERS)
        if self.dataset not in NAMES and not (self.dataset and Path(self.dataset).is_dir()):
            known("dataset", self.dataset, NAMES, "; or the path of a folder with one sub-folder of images a class")
        for name, least in (("epochs", 1), ("batch_size", 1), ("image_size", 1), ("seed", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name.replace('_', '-')} is {getattr(self, name)}, expected at least {least}")
        if not 0 < self.lr < math.inf:
            raise ValueError(f"lr is {self.lr}, expected a number above 0")
        if not 0 <= self.weight_decay < math.inf:
            raise ValueError(f"weight-decay is {self.weight_decay}, expected a number of at least 0")
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(f"label-smoothing is {self.label_smoothing}, expected 0 <= label-smoothing < 1")

    def build_optimizer(self, model: Module) -> Optimizer:
        parameters = model.parameters()
        if self.optimizer == "sgd":
            return SGD(parameters, self.lr, momentum=0.9, nesterov=True, weight_decay=self.weight_decay)
        return (Adam if self.optimizer == "adam" else AdamW)(parameters, self.lr, weight_decay=self.weight_decay)

    def build_schedule(self, optimizer: Optimizer, batches: int) -> OneCycleLR:
        return OneCycleLR(optimizer, self.lr, epochs=self.epochs, steps_per_epoch=batches)

    def augmentation(self, size: tuple[int, int]) -> Compose:
        """Small changes that leave the class what it is; digits are not mirrored."""
        if not self.augment:
            return Compose([])
        if self.dataset in ("digits", "mnist"):
            return Compose([RandomShift(max(1, min(size) // 14))])
        flip: list[Transform] = [RandomHorizontalFlip(0.5)]
        if self.dataset == "fashion-mnist":
            return Compose([*flip, RandomShift(1)])
        crop = RandomCrop(size, padding=max(1, min(size) // 8))
        return Compose([crop, *flip] if self.dataset == "cifar-10" else [crop, *flip, RandomRotation(10)])


DEFAULTS: dict[str, dict[str, Any]] = {                        # where they differ from Recipe's own
    "mnist": {"model": "lenet", "epochs": 5, "batch_size": 128, "lr": 0.005, "augment": True},
    "fashion-mnist": {"model": "lenet", "epochs": 5, "batch_size": 128, "lr": 0.005},
    "cifar-10": {"model": "resnet8", "epochs": 15, "batch_size": 128, "augment": True},
}
FOLDER: dict[str, Any] = {"model": "tinyvgg", "epochs": 20, "batch_size": 32, "lr": 0.002, "augment": True}


def recipe_for(dataset: str = "digits", **settings: Any) -> Recipe:
    """The recipe for a dataset, with the settings that are given (not None) in place of its own."""
    plain = Recipe(dataset)
    own = {} if dataset == "digits" else DEFAULTS.get(dataset, FOLDER)
    given = {name: value for name, value in settings.items() if value is not None}
    if given.get("optimizer") == "sgd" and "lr" not in given:
        given |= {"lr": 0.05, "weight_decay": given.get("weight_decay", 5e-4)}
    return replace(plain, **{**own, **given})


def known(what: str, name: str, names: Iterable[str], otherwise: str = "") -> None:
    """Raise ValueError, with the closest of `names` and all of them, when `name` is none of them."""
    names = list(names)
    if name not in names:
        close = difflib.get_close_matches(name, names, 1)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        raise ValueError(f"unknown {what} {name!r}{hint}; there are: {', '.join(names)}{otherwise}")
