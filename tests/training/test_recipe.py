"""Recipes: their files, what replaces their settings, and every mistake by its whole text."""
from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minicnn import models, nn, optim
from minicnn.data.sources import NAMES
from minicnn.training import Recipe, recipe_file, recipe_for
from minicnn.training.images import load, split
from minicnn.training.recipe import OPTIMIZERS, changed
from tests.data.errors import says

DATASETS = "digits, mnist, fashion-mnist, cifar-10; or the path of a folder with one sub-folder of images a class"
NETWORKS = ", ".join(models.MODELS)


@pytest.mark.parametrize("name", recipe_file.names())
def test_every_recipe_builds_what_it_names(name: str) -> None:
    recipe = recipe_file.read(name)
    C, size = (3, 32) if name in ("cifar-10", "folder") else (1, 8 if name == "digits" else 28)
    model = models.create(recipe.model, C, size, 10, **recipe.options)
    schedule = recipe.build_schedule(recipe.build_optimizer(model), 10)
    assert schedule.total_steps == 10 * recipe.epochs
    assert recipe.name == name
    assert recipe_file.source(name).startswith("# ")


def test_no_settings_are_the_digits() -> None:
    assert recipe_for() == recipe_for("digits") == recipe_for("digits", lr=None, seed=None) == recipe_file.read("digits")


@pytest.mark.parametrize("dataset", [*NAMES, "."])
def test_what_is_given_replaces_the_datasets_own(dataset: str) -> None:
    own = recipe_for(dataset)
    given = recipe_for(dataset, epochs=77, lr=0.5, seed=9)
    assert (given.dataset, given.epochs, given.lr, given.seeds, given.seed) == (dataset, 77, 0.5, (9,), 9)
    assert (given.model, given.batch_size) == (own.model, own.batch_size)


def test_another_model_starts_without_the_options_of_the_first() -> None:
    recipe = Recipe(model="convnet", options={"layers": [4]})
    assert changed(recipe, epochs=2).options == {"layers": [4]}
    assert changed(recipe, model="convnet").options == {"layers": [4]}
    assert changed(recipe, model="lenet").options == {}


def test_a_recipe_and_a_dataset() -> None:
    assert recipe_for("mnist", "digits").dataset == "mnist"
    assert recipe_for(None, "mnist").dataset == "mnist"


recipes = st.builds(
    Recipe, name=st.just(""), model=st.sampled_from(list(models.MODELS)), dataset=st.sampled_from(NAMES), batch_size=st.integers(1, 10**6),
    options=st.fixed_dictionaries({}, optional={
        "layers": st.lists(st.integers(1, 9) | st.just("pool")), "head": st.text() | st.just("\x7f"), "dropout": st.floats(0, 1)}),
    image_size=st.integers(1, 999), validation=st.floats(0, 0.99), flip=st.booleans(), shift=st.integers(0, 9), crop=st.integers(0, 9),
    rotation=st.floats(0, 360), cutout=st.integers(0, 9), optimizer=st.sampled_from(OPTIMIZERS),
    lr=st.floats(1e-9, 1e9), momentum=st.floats(0, 0.99), adamw_lr=st.floats(0, 1), adamw_weight_decay=st.floats(0, 1),
    weight_decay=st.floats(0, 9),
    epochs=st.integers(1, 999), warmup=st.floats(0, 0.99), label_smoothing=st.floats(0, 0.99), ema=st.floats(0, 0.9999),
    seeds=st.lists(st.integers(0, 2**40), min_size=1).map(tuple),
    goal_accuracy=st.floats(0, 1), goal_seconds=st.floats(0, 99), goal_parameters=st.integers(0, 10**6))


@given(recipes)
def test_what_is_written_is_read_again(recipe: Recipe) -> None:
    assert recipe_file.parse(recipe_file.write(recipe)) == recipe


def test_an_edited_copy(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(recipe_file.source("mnist").replace("epochs = 5", "epochs = 6"))
    found = recipe_for(None, str(tmp_path / "mine.toml"))
    assert found == dataclasses.replace(recipe_for("mnist"), epochs=6, name="mine")


def test_optimizers_and_schedule() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    for name, expected in (("adamw", optim.AdamW), ("adam", optim.Adam), ("sgd", optim.SGD), ("muon", optim.Muon)):
        recipe = recipe_for(optimizer=name, epochs=3)
        optimizer = recipe.build_optimizer(model)
        assert type(optimizer) is expected
        schedule = recipe.build_schedule(optimizer, 5)
        assert (schedule.total_steps, optimizer.param_groups[0]["max_lr"]) == (15, recipe.lr)
    group = recipe_for(optimizer="sgd").build_optimizer(model).param_groups[0]
    assert (group["lr"], group["momentum"], group["nesterov"], group["weight_decay"]) == (0.05, 0.9, True, 5e-4)
    assert recipe_for(optimizer="sgd", lr=0.3).weight_decay == 0.01
    settings = {"lr": 0.3, "momentum": 0.7, "weight_decay": 0.2}
    matrices, rest = Recipe(optimizer="muon", **settings, adamw_lr=0.1, adamw_weight_decay=0.01).build_optimizer(model).param_groups
    assert {name: matrices[name] for name in settings} == settings
    assert (rest["lr"], rest["weight_decay"], rest["use_muon"], len(rest["params"])) == (0.1, 0.01, False, 3)
    assert Recipe(optimizer="muon", lr=0.3).build_optimizer(model).param_groups[1]["lr"] == 0.3


@pytest.mark.parametrize("setting", [
    {"flip": True}, {"shift": 3}, {"crop": 4}, {"rotation": 20.0}, {"cutout": 5}, {"flip": True, "cutout": 3}])
def test_augmentation_keeps_shape_and_dtype(setting: dict[str, Any]) -> None:
    images = np.random.default_rng(0).random((5, 3, 32, 24), dtype=np.float32)
    recipe = Recipe(**setting)
    changed = recipe.augmentation((32, 24))(images, np.random.default_rng(1))
    assert (changed.shape, changed.dtype) == (images.shape, np.float32)
    assert not np.array_equal(changed, images)
    assert recipe.without_augmentation() == Recipe()
    assert Recipe().augmentation((32, 24))(images, np.random.default_rng(1)) is images


def test_validation_images_are_of_every_class_and_in_no_other_part() -> None:
    train, test = load("digits")
    kept, held_out = split(train, 0.1)
    assert held_out is not None
    for label in range(10):
        assert (held_out.labels == label).sum() == (train.labels == label).sum() // 10
    parts = [{image.tobytes() for image in part.images} for part in (kept, held_out, test)]
    assert len(kept) + len(held_out) == len(train)
    assert not parts[1] & parts[2]
    assert not parts[0] & parts[1]
    assert split(train, 0.0) == (train, None)


@pytest.mark.parametrize(("settings", "text"), [
    ({"dataset": "fashion_mnist"}, f"unknown dataset 'fashion_mnist' (did you mean 'fashion-mnist'?); there are: {DATASETS}"),
    ({"dataset": ""}, f"unknown dataset ''; there are: {DATASETS}"),
    ({"dataset": "xyz"}, f"unknown dataset 'xyz'; there are: {DATASETS}"),
    ({"model": "lent"}, f"unknown model 'lent' (did you mean 'lenet'?); there are: {NETWORKS}"),
    ({"optimizer": "adamm"}, f"unknown optimizer 'adamm' (did you mean 'adam'?); there are: {', '.join(OPTIMIZERS)}"),
    ({"epochs": 0}, "epochs is 0, expected at least 1"),
    ({"batch_size": -1}, "batch-size is -1, expected at least 1"),
    ({"image_size": 0}, "image-size is 0, expected at least 1"),
    ({"seed": -1}, "seed is -1, expected at least 0"),
    ({"seeds": ()}, "seed is missing, expected at least 0"),
    ({"lr": -1.0}, "lr is -1.0, expected a number above 0"),
    ({"lr": float("nan")}, "lr is nan, expected a number above 0"),
    ({"label_smoothing": 1.0}, "label-smoothing is 1.0, expected 0 <= label-smoothing < 1"),
    ({"validation": -0.1}, "validation is -0.1, expected 0 <= validation < 1"),
    ({"ema": 1.0}, "ema is 1.0, expected 0 <= ema < 1"),
    ({"goal_accuracy": 99.0}, "goal-accuracy is 99.0, expected 0..1"),
    ({"goal_parameters": -1}, "goal-parameters is -1, expected at least 0"),
    ({"shift": -1}, "shift is -1, expected at least 0"),
    ({"weight_decay": -0.1}, "weight-decay is -0.1, expected a number of at least 0"),
])
def test_errors(settings: dict[str, Any], text: str) -> None:
    with says(ValueError, text):
        recipe_for(**settings)


@pytest.mark.parametrize(("old", "new", "text"), [
    ("[model]", "[models]", f"unknown section 'models' (did you mean 'model'?); there are: {', '.join(recipe_file.SECTIONS)}"),
    ("lr = 0.005", "learning = 1",
     "unknown key in [optimizer]: 'learning'; there are: name, lr, weight_decay, momentum, adamw_lr, adamw_weight_decay"),
    ("epochs = 5", "epochs = 5.5", "schedule.epochs is 5.5, expected a whole number"),
    ("epochs = 5", "epochs = true", "schedule.epochs is True, expected a whole number"),
    ("epochs = 5", "epochs = \"5\"", "schedule.epochs is '5', expected a whole number"),
    ("lr = 0.005", "lr = nan", "optimizer.lr is nan, expected a number"),
    ("shift = 2", "flip = 1", "augment.flip is 1, expected true or false"),
    ("seeds = [0, 1, 2]", "seeds = 0", "training.seeds is 0, expected a list of whole numbers"),
    ("seeds = [0, 1, 2]", "seeds = []", "seed is missing, expected at least 0"),
    ("name = \"lenet\"", "", "it names no model: [model] name is missing"),
    ("dataset = \"mnist\"", "", "it names no dataset: [data] dataset is missing"),
    ("[data]", "[data", "not TOML: Expected ']' at the end of a table declaration (at line 5, column 6)"),
])
def test_mistakes_in_a_file(old: str, new: str, text: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(recipe_file.source("mnist").replace(old, new, 1))
    with says(ValueError, f"{path}: {text}"):
        recipe_file.read(path)


def test_a_value_in_place_of_a_section() -> None:
    with says(ValueError, "model is a value, expected the section [model]"):
        recipe_file.parse("model = 3")


def test_files_that_are_no_recipes(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_bytes(b"\xff\xfe")
    (tmp_path / "b.toml").write_text("#" * 70_000)
    for name, text in (("a", "not a text file, so no recipe"), ("b", "70,000 bytes, a recipe has at most 65,536"),
                       ("c", "cannot read this recipe (No such file or directory)")):
        with says(ValueError, f"{tmp_path}/{name}.toml: {text}"):
            recipe_file.read(tmp_path / f"{name}.toml")
    with says(ValueError, f"unknown recipe 'mnst' (did you mean 'mnist'?); there are: {', '.join(recipe_file.names())}; or the path of a "
                          ".toml file (`minicnn recipes NAME` prints one to start from)"):
        recipe_file.read("mnst")


def test_a_folder_is_a_dataset(tmp_path: Path) -> None:
    recipe = recipe_for(str(tmp_path))
    assert (recipe.model, recipe.dataset, recipe.name) == ("tinyvgg", str(tmp_path), "folder")
