"""Recipes as TOML files: those in the folder `recipes` beside this file, by name, and a user's own, by path."""
from __future__ import annotations

import json
import math
import reprlib
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from minicnn.data.sources import NAMES
from minicnn.training.recipe import Recipe, changed, known

FOLDER = Path(__file__).with_name("recipes")
LARGEST = 64 * 1024                                            # bytes of a file

# section: keys, in their order; a key is a field of Recipe, or stands for the one after the colon. [model] takes its options too.
SECTIONS = {
    "model": ("name:model",),
    "data": ("dataset", "batch_size", "image_size", "validation"),
    "augment": ("flip", "shift", "crop", "rotation", "cutout"),
    "optimizer": ("name:optimizer", "lr", "weight_decay", "momentum", "adamw_lr", "adamw_weight_decay"),
    "schedule": ("epochs", "warmup"),
    "training": ("label_smoothing", "ema", "seeds"),
    "goal": ("accuracy:goal_accuracy", "seconds:goal_seconds", "parameters:goal_parameters"),
}
ALWAYS = {"model", "dataset", "batch_size", "optimizer", "lr", "weight_decay", "epochs", "label_smoothing", "seeds"}     # defaults too
WHAT = {"str": "text in quotes", "int": "a whole number", "float": "a number", "bool": "true or false",
        "tuple[int, ...]": "a list of whole numbers"}


def names() -> list[str]:
    """The recipes that come with minicnn."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def recipe_for(dataset: str | None = None, recipe: str | None = None, **settings: Any) -> Recipe:
    """The recipe of that name or file, or of the dataset, with the settings that are given (not None) in place of its own."""
    if recipe is not None:
        return changed(read(recipe), dataset=dataset, **settings)
    dataset = "digits" if dataset is None else dataset
    if dataset in NAMES:
        return changed(read(dataset), **settings)
    Recipe(dataset=dataset)                                    # raises where there is no such folder
    return changed(read("folder"), dataset=dataset, **settings)


def read(recipe: str | Path) -> Recipe:
    """A recipe by its name, or by the path of its file, which ends in .toml. Raises ValueError that says what is wrong, and where."""
    path = Path(recipe)
    if path.suffix != ".toml":
        known("recipe", str(recipe), names(), "; or the path of a .toml file (`minicnn recipes NAME` prints one to start from)")
        path = FOLDER / f"{recipe}.toml"
    try:
        size = path.stat().st_size
        text = path.read_text() if size <= LARGEST else ""
    except UnicodeDecodeError:
        raise ValueError(f"{path}: not a text file, so no recipe") from None
    except OSError as error:
        raise ValueError(f"{path}: cannot read this recipe ({error.strerror or error})") from error
    if size > LARGEST:
        raise ValueError(f"{path}: {size:,} bytes, a recipe has at most {LARGEST:,}")
    try:
        return parse(text, path.stem)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def source(name: str) -> str:
    """The text of a recipe that comes with minicnn, comments and all."""
    known("recipe", name, names())
    return (FOLDER / f"{name}.toml").read_text()


def parse(text: str, name: str = "") -> Recipe:
    """A recipe from TOML. Raises ValueError for text that is none, for unknown sections and keys, and for values of the wrong kind."""
    try:
        tables = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ValueError(f"not TOML: {error}") from None
    values: dict[str, Any] = {"name": name}
    kinds = {f.name: str(f.type) for f in fields(Recipe)}
    for section, table in tables.items():
        known("section", section, SECTIONS)
        if not isinstance(table, Mapping):
            raise ValueError(f"{section} is a value, expected the section [{section}]")
        keys = {key.split(":")[0]: key.split(":")[-1] for key in SECTIONS[section]}
        for key, value in table.items():
            if section == "model" and key not in keys:
                values.setdefault("options", {})[key] = value
                continue
            known(f"key in [{section}]:", key, keys)
            values[keys[key]] = _converted(f"{section}.{key}", value, kinds[keys[key]])
    for needed, key in (("model", "[model] name"), ("dataset", "[data] dataset")):
        if needed not in values:
            raise ValueError(f"it names no {needed}: {key} is missing")
    return Recipe(**values)


def write(recipe: Recipe) -> str:
    """The recipe as TOML, which `parse` reads again."""
    defaults = {f.name: None if f.default is MISSING else f.default for f in fields(Recipe)}
    lines: list[str] = []
    for section, keys in SECTIONS.items():
        pairs = [(key.split(":")[0], key.split(":")[-1]) for key in keys]
        entries = [(key, getattr(recipe, name)) for key, name in pairs if name in ALWAYS or getattr(recipe, name) != defaults[name]]
        entries += list(recipe.options.items()) if section == "model" else []
        if entries:
            lines += ["", f"[{section}]", *(f"{key} = {_toml(value)}" for key, value in entries)]
    return "\n".join(lines[1:]) + "\n"


def _toml(value: Any) -> str:
    """Strings, numbers, booleans and lists look alike in JSON and TOML, but for one character."""
    return json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _converted(where: str, value: Any, kind: str) -> Any:
    """The value as a field of that kind holds it."""
    whole = isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63
    if kind == "float" and (whole or isinstance(value, float)) and math.isfinite(value):
        return float(value)
    if kind == "tuple[int, ...]" and isinstance(value, list) and all(isinstance(v, int) and not isinstance(v, bool) for v in value):
        return tuple(value)
    if (kind == "int" and whole) or (kind == "str" and isinstance(value, str)) or (kind == "bool" and isinstance(value, bool)):
        return value
    raise ValueError(f"{where} is {reprlib.repr(value)}, expected {WHAT[kind]}")
