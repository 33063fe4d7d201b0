"""Whole runs, small ones: what is saved, how a run ends early, and that no run touches another."""
from __future__ import annotations

import csv
import errno
import hashlib
import json
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from minicnn.data import load
from minicnn.training import Experiment, Interrupted, Predictor, Result, load_checkpoint, recipe_file, recipe_for
from minicnn.training.plots import png, spread
from minicnn.training.progress import Quiet
from minicnn.training.run_folder import Run
from tests.compare import assert_equal
from tests.data.errors import says

QUICK = recipe_for("digits", epochs=2, model="digits", batch_size=128, validation=0.2)
FILES = ["best.safetensors", "config.json", "confusion_matrix.csv", "environment.json", "examples", "last.safetensors",
         "learning_curve.png", "metrics.jsonl", "predictions.png", "recipe.toml", "result.json"]


def quiet(epochs: int, images: int) -> Quiet:
    return Quiet()


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    return Experiment.prepare(QUICK).run(tmp_path_factory.mktemp("runs"), quiet)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_everything_is_saved(result: Result) -> None:
    assert names(result.folder) == FILES
    assert names(result.folder / "examples") == [f"{label}.png" for label in range(10)]
    config = json.loads((result.folder / "config.json").read_text())
    assert (config["dataset"], config["seed"], config["train_images"], config["image_shape"]) == ("digits", 0, 1153, [1, 8, 8])
    assert (config["validation_images"], config["test_images"]) == (284, 360)
    metrics = [json.loads(line) for line in (result.folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in metrics] == [1, 2]
    assert set(metrics[0]) == {"epoch", "lr", "loss", "accuracy", "validation_loss", "validation_accuracy", "seconds", "images_per_second"}
    best = max(metrics, key=lambda line: (line["validation_accuracy"], line["epoch"]))["epoch"]
    ended = json.loads((result.folder / "result.json").read_text())
    assert 0 < ended.pop("seconds") < 3600
    assert ended == {"status": "finished", "epochs": 2, "best_epoch": best,
                     "test_accuracy": result.test.accuracy, "test_loss": result.test.loss, "test_images": 360}
    assert recipe_file.read(result.folder / "recipe.toml") == replace(QUICK, name="recipe")
    assert result.test.accuracy > 0.8
    for picture in ("learning_curve.png", "predictions.png"):
        with Image.open(result.folder / picture) as image:
            image.load()
            assert image.width > 500


def test_the_confusion_matrix_is_that_of_the_saved_network(result: Result) -> None:
    rows = list(csv.reader((result.folder / "confusion_matrix.csv").read_text().splitlines()))
    assert rows[0] == ["true \\ predicted", *"0123456789"]
    saved = np.array([[int(count) for count in row[1:]] for row in rows[1:]])
    assert_equal(saved, result.test.confusion)

    predictor = Predictor.load(result.folder)
    _, test = load("digits")
    images = test.images.astype(np.float32) / 16
    mean, std = np.float32(predictor.description.mean[0]), np.float32(predictor.description.std[0])
    from minicnn import Tensor, no_grad
    with no_grad():
        found = predictor.model(Tensor((images - mean) / std)).array.argmax(axis=1)
    counted = np.zeros((10, 10), np.int64)
    for label, guess in zip(test.labels, found, strict=True):
        counted[label, guess] += 1
    assert_equal(counted, saved)


def test_png_files_are_predicted_as_the_images_were(result: Result, tmp_path: Path) -> None:
    _, test = load("digits")
    picked = spread(test.labels, 60)
    paths = [tmp_path / f"{i}.png" for i in picked]
    for i, path in zip(picked, paths, strict=True):
        path.write_bytes(png(test.images[i], 16, Image))
    predictor = Predictor.load(result.folder / "best.safetensors")
    predictions = predictor.predict(paths)
    assert [p.path for p in predictions] == paths
    right = np.mean([p.top(1) == [test.labels[i]] for p, i in zip(predictions, picked, strict=True)])
    assert right > result.test.accuracy - 0.1
    assert all(p.probabilities.dtype == np.float32 and abs(p.probabilities.sum() - 1) < 1e-5 for p in predictions)
    assert not any(p.looks_inverted for p in predictions)

    negative = tmp_path / "negative.png"                       # black on white, larger, in colour
    Image.fromarray(255 - np.asarray(Image.open(paths[0])).repeat(8, 0).repeat(8, 1)).convert("RGB").save(negative)
    assert predictor.predict([negative])[0].looks_inverted
    inverted = predictor.predict([negative], invert=True)[0]
    assert (inverted.top(1), inverted.looks_inverted) == (predictions[0].top(1), False)


def test_the_same_seed_gives_the_same_network(result: Result, tmp_path: Path) -> None:
    again = Experiment.prepare(QUICK).run(tmp_path, quiet)
    for name in ("best.safetensors", "last.safetensors"):
        digests = [hashlib.sha256((r.folder / name).read_bytes()).hexdigest() for r in (result, again)]
        assert digests[0] == digests[1]


def test_a_run_never_writes_into_another(tmp_path: Path) -> None:
    experiment = Experiment.prepare(QUICK)
    folders = [Run.create(tmp_path / "a" / "b", "50% off", experiment.model, experiment.description, {}).folder for _ in range(3)]
    assert [f.name for f in folders] == [f"50% off{n}" for n in ("", "-2", "-3")]
    assert [names(f) for f in folders] == [["config.json", "recipe.toml"]] * 3


def test_a_place_that_cannot_hold_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = Experiment.prepare(QUICK)
    file = tmp_path / "file"
    file.write_text("mine")
    for out, why in ((file, "it is a file, not a folder"), (file / "runs", "Not a directory")):
        with says(OSError, f"cannot save runs in {out}: {why}"):
            experiment.run(out, quiet)

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"^cannot write .*/config\.json: No space left on device$"):
        experiment.run(tmp_path / "runs", quiet)
    assert names(tmp_path) == ["file", "runs"]
    assert names(tmp_path / "runs") == []
    assert file.read_text() == "mine"


def test_a_disk_that_fills_up_keeps_the_last_whole_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace = os.replace

    def fills_up(source: Path, target: Path) -> None:
        if target.name == "last.safetensors" and target.exists():
            raise OSError(errno.ENOSPC, "No space left on device")
        replace(source, target)

    monkeypatch.setattr(os, "replace", fills_up)
    with pytest.raises(OSError, match=r"^cannot write .*/last\.safetensors: No space left on device; go on with: minicnn train --resume "):
        Experiment.prepare(QUICK).run(tmp_path, quiet)
    (folder,) = tmp_path.iterdir()
    assert names(folder) == ["best.safetensors", "checkpoint.safetensors", "config.json", "environment.json", "last.safetensors",
                             "metrics.jsonl", "recipe.toml", "result.json"]
    for name in ("best.safetensors", "last.safetensors"):
        load_checkpoint(folder / name)
    ended = json.loads((folder / "result.json").read_text())
    assert (ended["status"], ended["error"]) == ("failed", f"cannot write {folder}/last.safetensors: No space left on device")


class Stopping(Quiet):
    def batch(self, epoch: int, images: int, loss: float, accuracy: float) -> None:
        if (epoch, images) == (2, 384):
            signal.raise_signal(signal.SIGINT)


def test_ctrl_c_saves_the_network_as_it_is(tmp_path: Path) -> None:
    experiment = Experiment.prepare(QUICK)
    with pytest.raises(Interrupted) as caught:
        experiment.run(tmp_path, lambda epochs, images: Stopping())
    (folder,) = tmp_path.iterdir()
    assert str(caught.value) == f"interrupted in epoch 2, batch 3 of 9; go on with: minicnn train --resume {folder}"
    assert json.loads((folder / "result.json").read_text())["status"] == "interrupted"
    loaded, _ = load_checkpoint(folder / "last.safetensors")
    for name, tensor in experiment.model.state_dict().items():
        assert_equal(loaded.state_dict()[name], tensor, name)


def test_a_run_that_diverges_says_so_and_leaves_a_note(tmp_path: Path) -> None:
    recipe = recipe_for("digits", epochs=2, lr=1e30)
    with pytest.raises(FloatingPointError, match=r"^training diverged: the loss is nan in epoch 1, batch "):
        Experiment.prepare(recipe).run(tmp_path, quiet)
    (folder,) = tmp_path.iterdir()
    assert names(folder) == ["checkpoint.safetensors", "config.json", "environment.json", "recipe.toml", "result.json"]
    assert json.loads((folder / "result.json").read_text())["status"] == "failed"


def test_without_matplotlib_there_are_no_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    ended = Experiment.prepare(recipe_for("digits", epochs=1, batch_size=512)).run(tmp_path, quiet)
    assert not ended.figures
    assert names(ended.folder) == [name for name in FILES if name not in ("learning_curve.png", "predictions.png")]


def test_what_is_no_run(tmp_path: Path) -> None:
    for run, why in ((tmp_path, "it has no best.safetensors"), (tmp_path / "x", "there is no such folder or file")):
        with says(ValueError, f"{run} is not a run of minicnn train: {why}"):
            Predictor.load(run)
