"""Each check, on a network that is ill in just that way, and on a healthy one."""
from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import minicnn
from minicnn import Tensor, nn, optim
from minicnn.cli import app
from minicnn.inspect.health import Checkup, Doctor, checkup
from minicnn.training import fit

CLASSES = 4


@cache
def images(seed: int = 0, count: int = 256) -> tuple[np.ndarray, np.ndarray]:
    """A bright bar in one of four directions at any place, in noise: no pixel by itself tells the class."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, CLASSES, count)
    x = rng.standard_normal((count, 1, 8, 8)).astype(np.float32) * 0.3
    for image, label in zip(x[:, 0], labels, strict=True):
        row, column = rng.integers(0, 4, 2)
        for i in range(4):
            r, c = [(row, column + i), (row + i, column), (row + i, column + i), (row + i, column + 3 - i)][label]
            image[r, c] += 3
    return (x - x.mean()) / x.std(), labels


def net(act: Callable[[], Any] = nn.ReLU) -> nn.Sequential:
    minicnn.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), act(), nn.Conv2d(8, 16, 3, padding=1), act(), nn.MaxPool2d(4), nn.Flatten(),
                         nn.Linear(64, CLASSES))


def examined(model: Any, data: Any = None, test: Any = None, steps: int = 60, **options: Any) -> Checkup:
    options = {"optimizer": lambda p: optim.AdamW(p, 3e-3), "batch_size": 32} | options
    return checkup(model, data or images(), test or images(1), steps=steps, **options)


def test_a_healthy_network_is_healthy() -> None:
    model = net()
    before = {name: np.array(t.array) for name, t in model.state_dict().items()}
    found = examined(model, steps=100)
    assert found.worst == "healthy", found
    assert len(found.verdicts) == 10
    assert found.sentence == "Sequential: 10 checks, all healthy"
    assert all(np.array_equal(t.array, before[name]) for name, t in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())


def last_bias_huge() -> Any:
    model = net()
    model[6].bias.array[:] = [0, 40, 0, 0]
    return model


def frozen_conv() -> Any:
    model = net()
    model[0].requires_grad_(False)
    return model


def sigmoids() -> Any:
    minicnn.manual_seed(0)
    layers = [layer for _ in range(12) for layer in (nn.Linear(16, 16), nn.Sigmoid())]
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.Sigmoid(), *layers, nn.Linear(16, CLASSES))


def dead_layer() -> Any:
    model = net()
    model[2].bias.array[:12] = -1e3
    return model


class Detached(nn.Module):
    """Its head sees the images no more: the features are constants, and there are none."""

    def __init__(self) -> None:
        super().__init__()
        self.net = net()

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x).detach() + 0 * self.net[6].bias


ILL: dict[str, tuple[Callable[[], Any], str, str]] = {
    "last bias is huge": (last_bias_huge, "loss at step 0", "the network is sure of wrong answers"),
    "first layer frozen": (frozen_conv, "filters moved", "8 of 8 filters of 0.weight are where they began: frozen"),
    "first layer without gradient": (frozen_conv, "gradient at first layer", "no gradient reaches 0.weight"),
    "sigmoids, 12 deep": (sigmoids, "gradient at first layer", "the gradient vanishes on its way to 1.weight"),
    "biases of -1000": (dead_layer, "dead units", "12 of 16 in 3 are 0 for every image"),
    "detached": (Detached, "one batch overfits", "it cannot even learn one batch by heart"),
}


@pytest.mark.parametrize("illness", ILL)
def test_an_ill_network(illness: str) -> None:
    build, check, words = ILL[illness]
    verdict = examined(build(), steps=40)[check]
    assert verdict.verdict == "ill", verdict
    assert verdict.meaning.startswith(words)


@pytest.mark.parametrize(("lr", "words"), [(1e-7, "the steps do next to nothing"), (10, "each step overthrows the weights")])
def test_the_size_of_steps(lr: float, words: str) -> None:
    found = examined(net(), steps=20, optimizer=lambda p: optim.SGD(p, lr))
    assert found["update / weight"].verdict == "ill"
    assert found["update / weight"].meaning.startswith(words)
    assert found["one batch overfits"].verdict == "ill"


def test_labels_of_other_images_cannot_be_learnt() -> None:
    x, labels = images()
    same = np.repeat(x[:1], len(x), axis=0)                    # a loader that gives one image again and again
    found = examined(net(), (same, labels), (same, labels), steps=30)
    assert found["one batch overfits"].verdict == "ill"
    assert found["predictions vary"].verdict == "ill"
    assert found["predictions vary"].meaning.startswith("every image gets the same class")


def test_features_that_do_not_pay() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, CLASSES, 512)                     # four clusters far apart: any random projection tells them apart
    centres = rng.standard_normal((CLASSES, 1, 8, 8)).astype(np.float32) * 3
    x = (centres[labels] + rng.standard_normal((512, 1, 8, 8)).astype(np.float32)) / 3
    found = examined(net(), (x[:256], labels[:256]), (x[256:], labels[256:]), steps=100)
    assert found["features pay"].verdict == "watch"
    assert found["features pay"].meaning.startswith("random features do as well as trained ones")


def test_a_test_that_asks_the_network_for_its_labels() -> None:
    x, _ = images(1)

    def leaking(model: Any) -> float:
        scores = model.eval()(Tensor(x)).array
        return float((scores.argmax(axis=1) == model(Tensor(x)).array.argmax(axis=1)).mean())

    found = examined(net(), steps=20, evaluate=leaking)
    assert found["shuffled labels"].verdict == "ill"
    assert found["shuffled labels"].number.startswith("accuracy 100.0%, chance")
    assert examined(net(), steps=20)["shuffled labels"].verdict == "healthy"


def test_initial_weights_that_are_trained_already() -> None:
    model = net()
    optimizer = optim.AdamW(model.parameters(), 3e-3)
    fit(model, [(Tensor(images()[0]), Tensor(images()[1]))], [(Tensor(images(1)[0]), Tensor(images(1)[1]))], optimizer, 150)
    found = examined(model, steps=10)
    assert found["loss at step 0"].verdict == "ill"
    assert found["loss at step 0"].meaning.startswith("the network knows the answers before it is trained")


@pytest.mark.parametrize(("change", "verdict", "words"), [
    (lambda x: x * 255, "ill", "initial weights are made for"), (lambda x: 0 * x, "ill", "all pixels are the same"),
    (lambda x: x / 5, "watch", "initial weights"), (lambda x: x * np.float32(np.nan), "ill", "there are NaN")])
def test_inputs(change: Any, verdict: str, words: str) -> None:
    x, labels = images()
    found = examined(net(), (change(x), labels), steps=2)["inputs"]
    assert found.verdict == verdict
    assert found.meaning.startswith(words)


def loader(seed: int = 0) -> list[tuple[Tensor, Tensor]]:
    x, labels = images(seed)
    return [(Tensor(x[i:i + 32]), Tensor(labels[i:i + 32])) for i in range(0, len(x), 32)]


def test_fit_with_a_doctor(capsys: pytest.CaptureFixture[str]) -> None:
    model, plain = net(), net()
    fit(plain, loader(), loader(1), optim.AdamW(plain.parameters(), 3e-3), 2)
    history = fit(model, loader(), loader(1), optim.AdamW(model.parameters(), 3e-3), 2, doctor=True)
    printed = capsys.readouterr()
    assert len(history) == 2
    assert printed.out == ""
    assert "Training doctor: Sequential" in printed.err
    assert "Sequential: 6 checks, all healthy" in printed.err
    assert all(np.array_equal(a.array, b.array) for a, b in zip(model.parameters(), plain.parameters(), strict=True))   # only watched


@pytest.mark.parametrize(("build", "lr", "check"), [
    (last_bias_huge, 3e-3, "loss at step 0"), (frozen_conv, 3e-3, "filters moved"), (frozen_conv, 3e-3, "gradient at first layer"),
    (sigmoids, 3e-3, "gradient at first layer"), (dead_layer, 3e-3, "dead units"), (net, 1e-9, "update / weight"),
    (net, 10, "update / weight")])
def test_the_watching_doctor_sees_it(build: Any, lr: float, check: str) -> None:
    model, doctor = build(), Doctor()
    fit(model, loader(), loader(1), optim.AdamW(model.parameters(), lr), 1, observers=[doctor])
    assert doctor.report()[check].verdict == "ill", doctor.report()


def test_errors() -> None:
    x, labels = images()
    for call, error, text in (
        (lambda: checkup("net", images()), TypeError, "checkup: expected a Module, got str"),
        (lambda: checkup(net(), images(), steps=0), ValueError, "checkup: steps is 0, expected at least 1"),
        (lambda: checkup(net(), []), ValueError, "checkup: train has no image"),
        (lambda: checkup(net(), (x, labels[:9])), ValueError, "checkup: train has 256 images and 9 labels in one batch"),
        (lambda: checkup(net(), (x, labels + 1)), ValueError,
         "checkup: the labels of train must be class numbers from 0 to 3, one for each image"),
        (lambda: checkup(net(), images(), optimizer="sgd"), TypeError,
         "checkup: optimizer is a str: give a function such as lambda p: optim.SGD(p, lr=0.1)"),
        (lambda: Doctor().report(), ValueError,
         "Doctor: there was no step to watch yet: pass it to fit(..., observers=[doctor])"),
    ):
        with pytest.raises(error) as caught:
            call()
        assert str(caught.value) == text
    with pytest.raises(KeyError, match="no check 'x'; there are: inputs"):
        examined(net(), steps=1)["x"]


def test_command(tmp_path: Path) -> None:
    run = CliRunner()
    assert run.invoke(app, ["train", "--epochs", "1", "--out", str(tmp_path), "-q"]).exit_code == 0
    (folder,) = tmp_path.iterdir()
    done = run.invoke(app, ["doctor", str(folder), "--quick", "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["model"] == "DigitsNet"
    assert found["worst"] != "ill"
    assert len(found["verdicts"]) == 10
    new = run.invoke(app, ["doctor", "lenet"])
    assert new.exit_code == 1
    assert "lenet is a new network: give the folder of a run of minicnn train" in new.output


def test_a_training_that_diverges_is_reported_on(capsys: pytest.CaptureFixture[str]) -> None:
    model = net()
    with pytest.raises(FloatingPointError, match=r"^training diverged: "):
        fit(model, loader(), loader(1), optim.SGD(model.parameters(), 1e9), 2, doctor=True)
    assert "each step overthrows the weights" in capsys.readouterr().err


def test_train_with_a_doctor(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["train", "--epochs", "1", "--out", str(tmp_path), "-q", "--doctor"])
    assert done.exit_code == 0, done.output
    assert "Training doctor: DigitsNet" in done.stderr
    assert "Training doctor" not in done.stdout
