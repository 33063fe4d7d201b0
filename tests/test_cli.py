"""The command as people type it: real training runs, predictions, lists, help, and every mistake by its whole sentence."""
from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from minicnn import __version__, kernels, training
from minicnn.benchmarks.suites import SUITES
from minicnn.data import load
from minicnn.kernels import compilation
from minicnn.models import MODELS
from minicnn.training import load_checkpoint, recipe_file
from minicnn.training.invocation import command
from minicnn.training.plots import png
from tests.command_line import minicnn, ok, quick_run

USABLE = [name for name in kernels.CPU_BACKENDS if not kernels.missing(name)]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A quick run: one epoch."""
    return quick_run(tmp_path_factory.mktemp("runs"))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_train_without_options_learns_the_digits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    monkeypatch.chdir(tmp_path)
    output = ok("train", *(["--seed", seed] if seed else []))
    (folder,) = (tmp_path / "runs").iterdir()
    lines = [line for line in output.splitlines() if not line.startswith("compil")]       # the first run on a machine says so
    assert lines[0] == "dataset  digits: images of 1 x 8 x 8, 10 classes"
    counts = re.fullmatch(r"images   ([\d,]+) training, ([\d,]+) validation, 360 test", lines[1])
    assert counts, lines[1]
    assert sum(int(count.replace(",", "")) for count in counts.groups()) == 1437
    assert re.fullmatch(r"model    digits \(DigitsNet\): [\d,]+ parameters", lines[2])
    assert lines[6] == f"backend  {kernels.backend()}, seed {seed}"
    assert re.fullmatch(r"epoch  1/\d+  loss \d\.\d{4}  accuracy  [ \d]\d\.\d\d%  (validation  [ \d]\d\.\d\d%  )?[\d,]+ images/s", lines[7])
    assert all(len(line) <= 80 for line in lines[:-4]), "what does not fit a terminal of 80 columns"
    assert "true |   0   1   2   3   4   5   6   7   8   9  found" in output
    found = re.fullmatch(r"test accuracy (\d+\.\d\d)% \((\d+) of 360\)", lines[-5])
    assert found, lines[-5]
    assert int(found[2]) / 360 >= 0.98
    assert lines[-4:] == [f"saved in runs/{folder.name}", f"report: runs/{folder.name}/report.html",
                          f"next: minicnn predict runs/{folder.name} runs/{folder.name}/examples/*.png", "      minicnn runs"]

    _, test = load("digits")                                   # what was saved, on PNG files of the test images
    picked = range(0, 360, 9)
    for i in picked:
        (tmp_path / f"{i}.png").write_bytes(png(test.images[i], 16, Image))
    predictions = json.loads(ok("predict", folder, *(tmp_path / f"{i}.png" for i in picked), "--json"))
    assert np.mean([p["class"] == str(test.labels[i]) for p, i in zip(predictions, picked, strict=True)]) >= 0.95


@pytest.mark.parametrize("backend", USABLE)
def test_train_with_options(tmp_path: Path, backend: str) -> None:
    output = ok("train", "--model", "lenet", "--epochs", "1", "--dataset", folder_of_pictures(tmp_path), "--batch-size", "4",
                "--lr", "0.01", "--optimizer", "sgd", "--weight-decay", "0", "--label-smoothing", "0.2", "--no-augment", "--seed", "7",
                "--image-size", "14", "--backend", backend, "--out", tmp_path / "out")
    parameters = 6 * (3 * 25 + 1) + 16 * (6 * 25 + 1) + 120 * (16 + 1) + 84 * (120 + 1) + 2 * (84 + 1)     # 14 x 14 -> 7 -> 3 -> 1 pixel
    assert output.splitlines()[:7] == [
        f"dataset  {tmp_path}/pictures: images of 3 x 14 x 14, 2 classes",
        "images   8 training, 0 validation, 2 test",
        f"model    lenet (LeNet): {parameters:,} parameters",
        "training 1 epoch, batches of 4, label smoothing 0.2",
        "steps    sgd, one-cycle up to lr 0.01, weight decay 0",
        "augment  nothing",
        f"backend  {backend}, seed 7",
    ]
    (folder,) = (tmp_path / "out").iterdir()
    assert folder.name.endswith("-pictures-lenet")
    config = json.loads((folder / "config.json").read_text())
    assert (config["optimizer"], config["crop"], config["flip"], config["backend"], config["seed"]) == ("sgd", 0, False, backend, 7)
    table = ok("predict", folder, tmp_path / "pictures" / "red" / "0.png", "--backend", backend)
    columns, row = (line.split() for line in table.splitlines())
    assert columns == ["image", "class", "probability", "class", "probability"]
    assert (row[0], {row[1], row[3]}) == (f"{tmp_path}/pictures/red/0.png", {"red", "blue"})
    assert kernels.backend() == (os.environ.get("MINICNN_BACKEND") or "numba"), "the command left its backend behind"


def test_many_classes_are_pointed_to_not_printed(tmp_path: Path) -> None:
    for i in range(21):
        (tmp_path / "many" / f"c{i:02}").mkdir(parents=True)
        for j in range(5):
            Image.fromarray(np.full((12, 12), 5 * i + j, np.uint8)).save(tmp_path / "many" / f"c{i:02}" / f"{j}.png")
    output = ok("train", "--dataset", tmp_path / "many", "--model", "lenet", "--image-size", "12", "--epochs", "1",
                "--out", tmp_path / "out")
    (folder,) = (tmp_path / "out").iterdir()
    assert f"\nmatrix    of 21 classes: {folder}/confusion_matrix.csv\n" in output
    assert "true |" not in output
    assert (folder / "confusion_matrix.csv").is_file()


def folder_of_pictures(root: Path) -> Path:
    for colour, name in ((0, "red"), (2, "blue")):
        (root / "pictures" / name).mkdir(parents=True)
        for i in range(5):
            pixels = np.random.default_rng(i).integers(0, 99, (20, 20, 3)).astype(np.uint8)
            pixels[..., colour] += 150
            Image.fromarray(pixels).save(root / "pictures" / name / f"{i}.png")
    return root / "pictures"


def test_fashion_mnist_from_idx_files(tmp_path: Path) -> None:
    """A small dataset in the real format, found by --data."""
    rng = np.random.default_rng(0)
    for part, N in (("train", 64), ("t10k", 16)):
        labels = np.arange(N) % 10
        images = rng.integers(0, 100, (N, 28, 28)) + 15 * labels[:, None, None]
        for name, array in (("images-idx3", images), ("labels-idx1", labels)):
            header = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
            (tmp_path / f"{part}-{name}-ubyte").write_bytes(header + array.astype(np.uint8).tobytes())
    output = ok("train", "--dataset", "fashion-mnist", "--data", tmp_path, "--epochs", "1", "--out", tmp_path / "runs")
    assert output.startswith("dataset  fashion-mnist: images of 1 x 28 x 28, 10 classes\nimages   64 training, 0 validation, 16 test\n")
    assert "9 Ankle boot |" in output
    assert f"fashion-mnist  in {tmp_path}\n" in ok("datasets", "--data", tmp_path)


def test_quiet_prints_the_result_only(tmp_path: Path) -> None:
    assert re.fullmatch(rf"test accuracy \d\d\.\d\d% \(\d+ of 360\)\nsaved in {tmp_path}/[\w-]+\n",
                        ok("train", "--epochs", "1", "--quiet", "--out", tmp_path))


def test_compilation_is_said_once_and_not_when_quiet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fit = training.experiment.fit

    def compile_and_fit(*args: Any, **kwargs: Any) -> Any:
        compilation.began("conv2d.run")
        compilation.ended("conv2d.run", 0.25, lambda: "kept in a folder")
        return fit(*args, **kwargs)

    monkeypatch.setattr(training.experiment, "fit", compile_and_fit)
    lines = ok("train", "--epochs", "1", "--backend", "numpy", "--out", tmp_path).splitlines()
    assert lines[7:9] == ["compiling kernels for this CPU (once)", "compiled 1 kernel in 0.2 s (kept in a folder)"]
    assert lines[9].startswith("epoch 1/1")
    assert "compiled" not in ok("train", "--epochs", "1", "--backend", "numpy", "--quiet", "--out", tmp_path)


def test_predict_prints_a_table_and_json(run: Path) -> None:
    images = [run / "examples" / f"{i}.png" for i in (3, 7)]
    table = ok("predict", run, *images, "--top", "2").splitlines()
    assert table[0].split() == ["image", "class", "probability", "class", "probability"]
    assert [line.split()[0] for line in table[1:]] == list(map(str, images))
    predictions = json.loads(ok("predict", run / "best.safetensors", *images, "--top", "99", "--json"))
    assert [p["image"] for p in predictions] == list(map(str, images))
    for line, p in zip(table[1:], predictions, strict=True):
        assert len(p["top"]) == 10
        assert sum(c["probability"] for c in p["top"]) == pytest.approx(1)
        assert p["top"][0] == {"class": p["class"], "probability": p["probability"]}
        assert line.split()[1:] == [text for c in p["top"][:2] for text in (c["class"], f"{c['probability']:.1%}")]


def test_a_negative_is_noticed(run: Path, tmp_path: Path) -> None:
    paths = []
    for label in (1, 2):
        paths.append(tmp_path / f"{label}.png")
        Image.fromarray(255 - np.asarray(Image.open(run / "examples" / f"{label}.png"))).save(paths[-1])
    hint = "may be the negative of what the network knows; try"
    assert minicnn("predict", run, paths[0]).stderr == f"note: {paths[0]} {hint} with --invert\n"
    assert minicnn("predict", run, *paths).stderr == f"note: {paths[0]} and 1 more {hint} with --invert\n"
    result = minicnn("predict", run, *paths, "--invert", "--json")
    assert result.stderr == ""
    upright = json.loads(ok("predict", run, run / "examples" / "1.png", run / "examples" / "2.png", "--json"))
    assert [p["class"] for p in json.loads(result.stdout)] == [p["class"] for p in upright]
    assert minicnn("predict", run, run / "examples" / "1.png", "--invert").stderr.endswith("try without --invert\n")


def test_lists() -> None:
    backends = ok("backends").splitlines()
    assert f"{kernels.backend():10}available, the default" in backends
    assert [line.split()[0] for line in backends[:-1] if line[0] != " "] == list(kernels.available())
    details = [line.strip() for line in backends if line[0] == " "]
    assert details == [detail for name in kernels.BACKENDS if not kernels.missing(name) for detail in kernels.details(name)]
    assert "a GPU simulated in NumPy, which needs none: for learning and tests, and very slow" in details
    said = ["NUMBA_DISABLE_JIT is set"] if os.environ.get("NUMBA_DISABLE_JIT") else ["threads", "vector registers", "compiled kernels"]
    assert [detail.partition(":")[0] for detail in kernels.details("numba")] == said
    for name, missing in kernels.available().items():
        assert missing is None or f"{name:10}not available: {missing}" in backends
    assert backends[-1].startswith(f"minicnn {__version__}, numpy {np.__version__}, numba ")
    assert [line.split()[0] for line in ok("models").splitlines()] == list(MODELS)
    assert [line.split()[0] for line in ok("datasets").splitlines()] == ["digits", "mnist", "fashion-mnist", "cifar-10", "FOLDER"]
    assert ok("--version") == f"minicnn {__version__}\n"


BENCHMARKS = [f"bench {kind}" for kind in (*SUITES, "ladder", "accuracy", "all")]
LISTS = ["backends", "models", "datasets", "bench report", "bench compare", "bench plot"]


@pytest.mark.parametrize("command", ["train", "predict", *LISTS, *BENCHMARKS])
def test_help_has_an_example(command: str) -> None:
    *groups, name = command.split()
    assert ok(*groups, name, "-h") == ok(*groups, name, "--help")
    text = ok(*groups, name, "--help")
    assert re.search(rf"Examples?:\n +.*minicnn (train|predict|{command}) ?", text)
    for computes in {"train", "predict", *BENCHMARKS} & {command}:
        assert "--seed" in text or command == "bench accuracy", computes      # whose seeds are its recipe's
        assert "--backend" in text, computes
    assert ok(*groups) == ok(*groups, "--help")
    assert re.search(rf"\n  {name} .*[^.]\.\n", ok(*groups)), "the line about it is cut off"


def test_a_default_backend_that_does_not_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINICNN_BACKEND", "numpi")
    sentence = f"error: unknown MINICNN_BACKEND 'numpi' (did you mean 'numpy'?); there are: {BACKENDS}\n"
    listed = minicnn("backends")
    assert (listed.exit_code, listed.stderr) == (1, sentence)
    assert len([line for line in listed.stdout.splitlines() if line[0] != " "]) == len(kernels.available()) + 1
    assert (minicnn("train").exit_code, minicnn("train").stderr) == (1, sentence)
    assert "unknown backend 'numpie'" in minicnn("train", "--backend", "numpie").stderr


BACKENDS = ", ".join(kernels.BACKENDS)
NAMES = "digits, lenet, convnet, tinyvgg, resnet8, resnet20, vgg16"
DATASETS = "digits, mnist, fashion-mnist, cifar-10; or the path of a folder with one sub-folder of images a class"


@pytest.mark.parametrize(("args", "code", "text"), [           # "...": what follows is another library's, or tested elsewhere
    ("train --epochs 0", 1, "error: epochs is 0, expected at least 1"),
    ("train --lr -1", 1, "error: lr is -1.0, expected a number above 0"),
    ("train --batch-size 0", 1, "error: batch-size is 0, expected at least 1"),
    ("train --label-smoothing 1", 1, "error: label-smoothing is 1.0, expected 0 <= label-smoothing < 1"),
    ("train --seed -1", 1, "error: seed is -1, expected at least 0"),
    ("train --dataset digit", 1, f"error: unknown dataset 'digit' (did you mean 'digits'?); there are: {DATASETS}"),
    ("train --model resnet9", 1, f"error: unknown model 'resnet9' (did you mean 'resnet8'?); there are: {NAMES}"),
    ("train --optimizer rms", 1, "error: unknown optimizer 'rms'; there are: adamw, adam, sgd, muon"),
    ("train --backend numpi", 1, f"error: unknown backend 'numpi' (did you mean 'numpy'?); there are: {BACKENDS}"),
    ("train --model vgg16", 1, "error: VGG16: images of 8x8 are too small: height and width must be at least 32 "
                               "(its five max pools divide it by 32)"),
    ("train --dataset=", 1, f"error: unknown dataset ''; there are: {DATASETS}"),
    ("train --dataset mnist --data {tmp}/file", 1, "error: {tmp}/file is a file: name the folder that holds the datasets"),
    ("bench conv mb64", 1, "error: problem 'mb64': ic ih oc kh are missing; needed: mb ic ih oc kh"),
    ("bench conv --match alexnet", 1, "error: no problem of the suite conv-1 matches 'alexnet'; its groups: LeNet, TinyVGG, ..."),
    ("bench conv --directions back", 1, "error: unknown direction 'back'; there are: forward, grad_input, grad_weight"),
    ("bench conv --contestants mxnet", 1, "error: no contestant's name begins with 'mxnet'; there are: minicnn numba, ..."),
    ("bench conv --backend numpi", 1, "error: unknown backend 'numpi'; available: ..."),
    ("bench conv --backend cuda-sim", 1, "error: backend 'cuda-sim' is not timed: a simulated device has no speed of its own"),
    ("bench conv --threads 0", 1, "error: threads is 0, but it must be at least 1"),
    ("bench conv --threads 9999", 1, "error: threads is 9999, but this process may use ..."),
    ("bench conv --rounds 0", 1, "error: rounds is 0, expected at least 1"),
    ("bench conv --json {tmp}/none/x.json", 1, "error: cannot save {tmp}/none/x.json: there is no folder {tmp}/none"),
    ("bench ladder 1x16x14x14", 1, "error: problem '1x16x14x14': expected letters and digits by turns, such as mb64ic32ih28oc32oh28kh3ph1"),
    ("bench ladder --seconds nan", 1, "error: seconds is nan, expected at least 0"),
    ("bench ladder --seed -1", 1, "error: seed is -1, expected at least 0"),
    ("bench ladder --backend numpi", 1, "error: unknown backend 'numpi'; available: ..."),
    ("bench accuracy imagenet", 1, f"error: unknown recipe 'imagenet'; there are: {', '.join(recipe_file.names())}; or the path of a .toml "
                                   "file (`minicnn recipes NAME` prints one to start from)"),
    ("bench compare {tmp}/file {tmp}/file", 1, "error: {tmp}/file: not a JSON file (..."),
    ("bench compare {tmp}/none.json {tmp}/file", 1, "error: {tmp}/none.json: No such file or directory"),
    ("bench report --readme {tmp}/file", 1, "error: {tmp}/file: no markers, ..."),
    ("train --dataset {tmp}/empty", 1,
     "error: ImageFolder: {tmp}/empty has no sub-folders; put each class's images in a folder with the class's name"),
    ("train --out {tmp}/file", 1, "error: cannot save runs in {tmp}/file: it is a file, not a folder"),
    ("train --lr 1e30 --quiet --out {tmp}/runs", 1, "error: training diverged: the loss is ..."),
    ("train --dataset mnist --data {tmp}/mnist", 1, "error: {tmp}/mnist/train-images-idx3-ubyte: ..."),
    ("predict {tmp} x.png", 1, "error: {tmp} is not a run of minicnn train: it has no best.safetensors"),
    ("predict {tmp}/none x.png", 1, "error: {tmp}/none is not a run of minicnn train: there is no such folder or file"),
    ("predict {run} {tmp}/file", 1, "error: {tmp}/file: cannot read this image (..."),
    ("predict {run} {tmp}/none.png", 1, "error: {tmp}/none.png: cannot read this image (No such file or directory)"),
    ("predict {run} {run}/examples/1.png --top 0", 1, "error: top is 0, expected at least 1"),
    ("predict {run} {run}/examples/1.png --seed -1", 1, "error: seed is -1, expected at least 0"),
    ("predict {tmp}/file x.png", 1, "error: {tmp}/file: not a .safetensors file, or a damaged one (..."),
    ("predict {run}", 2, "error: Missing argument 'IMAGE': see minicnn predict --help"),
    ("predict", 2, "error: Missing argument 'RUN': see minicnn predict --help"),
    ("train --epochs two", 2, "error: Invalid value for '--epochs': ..."),
    ("train --epoch 3", 2, "error: No such option..."),
    ("trian", 2, "error: No such command 'trian'. Did you mean 'train'?..."),       # typer's own words vary with its version
    ("--fast", 2, "error: No such option..."),
])
def test_a_mistake_is_one_sentence(tmp_path: Path, run: Path, args: str, code: int, text: str) -> None:
    (tmp_path / "file").write_text("not what you think")
    for name in ("mnist", "empty"):
        (tmp_path / name).mkdir()
    for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        (tmp_path / "mnist" / f"{name}-ubyte").write_bytes(b"\0\0\x08\x03")
    names = {"tmp": str(tmp_path), "run": str(run)}
    result = minicnn(*args.format(**names).split())
    assert result.exit_code == code
    assert result.stderr.count("\n") == 1, result.stderr
    beginning, dots, _ = text.format(**names).partition("...")
    assert result.stderr.startswith(beginning) if dots else result.stderr == beginning + "\n"


def test_debug_shows_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINICNN_DEBUG", "1")
    assert isinstance(minicnn("train", "--epochs", "0").exception, ValueError)


def test_what_is_not_the_users_mistake_is_not_hidden(monkeypatch: pytest.MonkeyPatch, run: Path) -> None:
    def bug(*_: object) -> None:
        raise AssertionError("a bug")

    monkeypatch.setattr(training.predictor.Predictor, "load", bug)
    assert isinstance(minicnn("predict", run, "x.png").exception, AssertionError)


def test_help_is_quick_because_it_imports_little() -> None:
    heavy = "numba scipy PIL matplotlib safetensors minicnn.nn minicnn.training minicnn.data"
    code = ("import sys; from minicnn.cli import app\ntry: app(['train', '--help'])\nexcept SystemExit: pass\n"
            f"print('imported', *[m for m in '{heavy}'.split() if m in sys.modules])")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1].strip() == "imported"


def test_ctrl_c_saves_the_network_and_exits_with_130(tmp_path: Path) -> None:
    """The real process, and a real signal after the first epoch."""
    command = [sys.executable, "-u", "-m", "minicnn.cli", "train", "--epochs", "1000", "--out", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("epoch    1/1000"):
                process.send_signal(signal.SIGINT)
                break
        _, errors = process.communicate()
    (folder,) = tmp_path.iterdir()
    assert process.returncode == 130
    where = r"(in epoch \d+, batch \d+ of \d+|after epoch \d+)"
    assert re.fullmatch(rf"interrupted {where}; go on with: minicnn train --resume {folder}\n", errors)
    load_checkpoint(folder / "last.safetensors")
    assert not list(folder.glob(".*"))


def test_the_next_command_can_be_typed_as_it_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    """After `make train` the program is not on the PATH, so its path is given."""
    monkeypatch.setattr(sys, "argv", [".venv/bin/minicnn", "train"])
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert command() == ".venv/bin/minicnn"
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    assert command() == "minicnn"
