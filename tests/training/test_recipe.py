"""Recipes: the settings of each dataset, what replaces them, and every mistake by its whole text."""
from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minicnn import nn, optim
from minicnn.data.sources import NAMES
from minicnn.training import Recipe, recipe_for
from tests.data.errors import says

DATASETS = "digits, mnist, fashion-mnist, cifar-10; or the path of a folder with one sub-folder of images a class"


def test_no_settings_are_the_digits() -> None:
    assert recipe_for() == Recipe()
    assert recipe_for("digits", lr=None, seed=None) == Recipe()


@pytest.mark.parametrize("dataset", [*NAMES, "."])
def test_what_is_given_replaces_the_datasets_own(dataset: str) -> None:
    own = recipe_for(dataset)
    given = recipe_for(dataset, epochs=77, lr=0.5, augment=not own.augment)
    assert (given.epochs, given.lr, given.augment) == (77, 0.5, not own.augment)
    assert (given.model, given.batch_size) == (own.model, own.batch_size)


def test_optimizers_and_schedule() -> None:
    model = nn.Linear(2, 2)
    for name, expected in (("adamw", optim.AdamW), ("adam", optim.Adam), ("sgd", optim.SGD)):
        recipe = recipe_for(optimizer=name, epochs=3)
        optimizer = recipe.build_optimizer(model)
        assert type(optimizer) is expected
        schedule = recipe.build_schedule(optimizer, 5)
        assert (schedule.total_steps, optimizer.param_groups[0]["max_lr"]) == (15, recipe.lr)
    group = recipe_for(optimizer="sgd").build_optimizer(model).param_groups[0]
    assert (group["lr"], group["momentum"], group["nesterov"], group["weight_decay"]) == (0.05, 0.9, True, 5e-4)
    assert recipe_for(optimizer="sgd", lr=0.3).weight_decay == 0.01


@pytest.mark.parametrize("dataset", [*NAMES, "."])
def test_augmentation_keeps_shape_and_dtype(dataset: str) -> None:
    images = np.random.default_rng(0).random((5, 3, 32, 32), dtype=np.float32)
    changed = recipe_for(dataset, augment=True).augmentation((32, 32))(images, np.random.default_rng(1))
    assert (changed.shape, changed.dtype) == (images.shape, np.float32)
    assert not np.array_equal(changed, images)
    assert recipe_for(dataset, augment=False).augmentation((32, 32))(images, np.random.default_rng(1)) is images


@pytest.mark.parametrize(("settings", "text"), [
    ({"dataset": "fashion_mnist"}, f"unknown dataset 'fashion_mnist' (did you mean 'fashion-mnist'?); there are: {DATASETS}"),
    ({"dataset": ""}, f"unknown dataset ''; there are: {DATASETS}"),
    ({"dataset": "xyz"}, f"unknown dataset 'xyz'; there are: {DATASETS}"),
    ({"model": "lent"}, "unknown model 'lent' (did you mean 'lenet'?); there are: digits, lenet, tinyvgg, resnet8, resnet20, vgg16"),
    ({"optimizer": "adamm"}, "unknown optimizer 'adamm' (did you mean 'adam'?); there are: adamw, adam, sgd"),
    ({"epochs": 0}, "epochs is 0, expected at least 1"),
    ({"batch_size": -1}, "batch-size is -1, expected at least 1"),
    ({"image_size": 0}, "image-size is 0, expected at least 1"),
    ({"seed": -1}, "seed is -1, expected at least 0"),
    ({"lr": -1.0}, "lr is -1.0, expected a number above 0"),
    ({"lr": float("nan")}, "lr is nan, expected a number above 0"),
    ({"label_smoothing": 1.0}, "label-smoothing is 1.0, expected 0 <= label-smoothing < 1"),
    ({"weight_decay": -0.1}, "weight-decay is -0.1, expected a number of at least 0"),
])
def test_errors(settings: dict[str, Any], text: str) -> None:
    with says(ValueError, text):
        recipe_for(**settings)


def test_a_folder_is_a_dataset(tmp_path: Path) -> None:
    assert recipe_for(str(tmp_path)).model == "tinyvgg"
