"""Runs side by side: the settings that differ, what came out, and their learning curves in one picture."""
from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from minicnn import figures
from minicnn.document import Block, Column, Table
from minicnn.report import files, listing
from minicnn.report.numbers import duration, percent, whole
from minicnn.report.record import Record

# What follows from other settings, or is said elsewhere
NO_SETTINGS = {"name", "parameters", "versions", "classes", "train_images", "validation_images", "test_images", "image_shape"}
LONGEST = 120                                                  # characters of a setting
ABSENT = "–"


def blocks(runs: Sequence[Record], width: int) -> list[Block]:
    """A column a run. Where the names are too long for that, they are A, B, C, ..., and a line each says which is which."""
    heads = [run.name for run in runs]
    found = Table("", [Column("", True), *(Column(head) for head in heads)], _figures(runs) + _different(runs))
    lines: list[str] = []
    if max(map(len, heads)) > 12 or len(set(heads)) < len(heads):
        letters = [_letter(i) for i in range(len(runs))]
        lines = [f"{letter}: {run.folder}" for letter, run in zip(letters, runs, strict=True)]
        found.columns = [Column("", True), *(Column(letter) for letter in letters)]
    notes = [listing._note(run) for run in runs if not run.finished or run.problems]
    return [*([lines] if lines else []), found, *([notes] if notes else [])]


def _figures(runs: Sequence[Record]) -> list[list[str]]:
    return [
        ["what came out"],
        ["status", *(run.status for run in runs)],
        ["test accuracy", *(percent(run.test_accuracy) for run in runs)],
        ["validation accuracy", *(percent(run.validation_accuracy) for run in runs)],
        ["best epoch", *(f"{run.best['epoch']:g} of {len(run.epochs)}" if run.best else ABSENT for run in runs)],
        ["parameters", *(whole(run.parameters) for run in runs)],
        ["training", *(duration(run.seconds) for run in runs)],
        ["images/s", *(whole(run.images_per_second) for run in runs)]]


def _different(runs: Sequence[Record]) -> list[list[str]]:
    rows = [[key.replace("_", " "), *map(_shown, values)] for key, values in different(runs).items()]
    return [["settings that differ"], *rows] if rows else [["settings: all the same"]]


def different(runs: Sequence[Record]) -> dict[str, list[Any]]:
    """The settings, and the machine, that are not the same in all runs, with their values; None where one has no such setting."""
    values = _side_by_side([{key: value for key, value in run.config.items() if key not in NO_SETTINGS} for run in runs])
    values |= {key: each for key, each in _side_by_side([_machine(run) for run in runs]).items() if None not in each}
    if all(isinstance(v, list) and v for v in values.get("seeds", [])):
        values.pop("seeds", None)                              # one training takes the first, which is `seed`
    return {key: each for key, each in values.items() if any(other != each[0] or type(other) is not type(each[0]) for other in each)}


def _side_by_side(settings: Sequence[dict[str, Any]]) -> dict[str, list[Any]]:
    return {key: [each.get(key) for each in settings] for key in dict.fromkeys(key for each in settings for key in each)}


def _machine(run: Record) -> dict[str, Any]:
    known = {"machine": files.text(run.environment, "cpu", 60), "cores": files.count(run.environment, "cores"),
             "revision": files.text(run.environment, "revision", 12)}
    versions = run.environment.get("versions")
    known |= {name: files.text(versions, name, 20) for name in ("minicnn", "numpy", "numba") if isinstance(versions, dict)}
    return {key: value for key, value in known.items() if value}


def _shown(value: Any) -> str:
    text = ABSENT if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = " ".join(text.split())
    return text if len(text) <= LONGEST else text[:LONGEST - 1] + "…"


def _letter(i: int) -> str:
    """A, B, ..., Z, AA, AB, ..."""
    return (_letter(i // 26 - 1) if i >= 26 else "") + chr(ord("A") + i % 26)


def as_json(runs: Sequence[Record]) -> dict[str, Any]:
    return {"runs": [listing.as_json(run) for run in runs], "different": different(runs)}


def picture(runs: Sequence[Record], path: str | Path) -> Path:
    """Loss and accuracy of all of them, a colour a run: solid lines for the validation images, dotted ones for the training.

    Raises ValueError for another suffix than .png, .svg and .pdf, or where no run has an epoch; ImportError without matplotlib.
    """
    figures.check_format(path)
    if not any(run.epochs for run in runs):
        raise ValueError("none of these runs has finished an epoch, so there are no curves to draw")
    colours = [figures.BLUE, figures.ORANGE, figures.GREEN, figures.RED, figures.PURPLE, figures.SKY, figures.BLACK, figures.GREY]
    figure = figures.new(10, 4.2)
    for i, key in enumerate(("loss", "accuracy")):
        axes = figure.add_subplot(1, 2, i + 1)
        for number, run in enumerate(runs):
            _draw(axes, run, key, colours[number % len(colours)])
        axes.set(xlabel="epoch", ylabel=key)
        locator: Any = axes.xaxis.get_major_locator()
        locator.set_params(integer=True, min_n_ticks=1)
        axes.grid(alpha=0.3)
    entries = [entry for axes in figure.axes[:1] for entry in zip(*axes.get_legend_handles_labels(), strict=True)]
    legend = figure.legend(*zip(*entries, strict=True), loc="outside lower center", ncols=2 if len(entries) > 1 else 1, fontsize=8)
    for text in legend.get_texts():
        text.set_parse_math(False)                             # a name with dollar signs
    return figures.save(figure, path)


def _draw(axes: Any, run: Record, key: str, colour: str) -> None:
    held_out = [(epoch["epoch"], epoch[f"validation_{key}"]) for epoch in run.epochs if f"validation_{key}" in epoch]
    trained = [(epoch["epoch"], epoch[key]) for epoch in run.epochs if key in epoch]
    for points, style, what in ((held_out, "-", "validation"), (trained, ":", "training")):
        if points:
            axes.plot(*zip(*points, strict=True), style, color=colour, marker="." if len(points) < 40 else None,
                      label=f"{run.name[:60]}, {what}")
