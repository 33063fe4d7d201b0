"""minicnn explain, as people type it."""
from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.command_line import minicnn, ok, quick_run, random_image

KINDS = ["conv", "conv-transpose", "max-pool", "avg-pool", "linear", "batch-norm"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return quick_run(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_image(tmp_path_factory.mktemp("images") / "x.png")


def test_the_first_example() -> None:
    text = ok("explain", "conv", "--input", "8x8x3", "--kernel", "3", "--at", "0,0")
    assert text.startswith("y[0, 0, 0, 0], one number of the output, layer Conv2d(3, 2, kernel_size=(3, 3), stride=(1, 1))")
    assert "All 27 terms" in text
    assert re.search(r"the kernel's number is +within the bound", text)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("grad", [None, "input", "weight", "bias"])
def test_every_kind(kind: str, grad: str | None) -> None:
    result = minicnn("explain", kind, "--json", *(["--grad", grad] if grad else []))
    if kind.endswith("pool") and grad in ("weight", "bias"):
        assert result.exit_code == 1
        assert f"has no {grad}: its only gradient is --grad input" in result.stderr
        return
    found = json.loads(result.stdout)
    assert found["within"]
    assert found["of"] == (f"gradient of the {grad}" if grad else "output")
    assert ok("explain", kind, "--json", "--seed", "1", *(["--grad", grad] if grad else [])) != result.stdout


def test_geometry() -> None:
    found = json.loads(ok("explain", "conv", "--input", "9x7x4", "--kernel", "3x2", "--stride", "2x1", "--padding", "1,0,2,1",
                          "--dilation", "1x2", "--groups", "2", "--filters", "6", "--images", "2", "--at", "1,-1,0,0", "--json"))
    assert found["window"] == {"kernel": [3, 2], "stride": [2, 1], "dilation": [1, 2], "padding": [1, 0, 2, 1], "groups": 2}
    assert found["index"] == [1, 5, 0, 0]
    assert len(found["terms"]) == 2 * 3 * 2
    assert json.loads(ok("explain", "conv", "--padding", "same", "--at", "7,7", "--json"))["index"] == [0, 0, 7, 7]


@pytest.mark.parametrize("layer", ["conv1", "features.0", "pool1", "norm2", "fc1"])
@pytest.mark.parametrize("grad", [None, "input"])
def test_a_layer_of_a_run_and_an_image(run: Path, image: Path, layer: str, grad: str | None) -> None:
    at = "0" if layer == "fc1" else "0,0"
    found = json.loads(ok("explain", run, "--layer", layer, "--image", image, "--at", at, "--json", *(["--grad", grad] if grad else [])))
    assert found["within"]
    assert found["image"] == str(image)
    assert found["dy_is"] is None if grad is None else re.match(
        r"dy is the gradient of the score of the class that the network sees, '\d'; the score is -?\d+\.\d+\.", found["dy_is"])


def test_an_image_of_the_test_set_and_its_loss(run: Path, tmp_path: Path) -> None:
    result = minicnn("explain", run, "--grad", "weight", "--json", "--picture", tmp_path / "w.png")
    found = json.loads(result.stdout)
    assert found["layer"].startswith("features.0: Conv2d(1, 32")
    assert found["image"].startswith("test image 0, ")
    assert found["dy_is"].startswith("dy is the gradient of the cross-entropy loss for its true class, ")
    assert (tmp_path / "w.png").stat().st_size > 1000
    assert result.stderr.strip() == f"drawn in {tmp_path / 'w.png'}"


def test_a_new_network_and_a_function_in_it() -> None:
    text = ok("explain", "lenet", "--layer", "max_pool2d#2", "--at", "3,1,1")
    assert text.startswith("y[0, 3, 1, 1], one number of the output, layer max_pool2d#2: max_pool2d")
    assert "The 30 largest of 288" in ok("explain", "digits", "--layer", "conv2")
    assert "All 288 terms" in ok("explain", "digits", "--layer", "conv2", "--all")


@pytest.mark.parametrize(("arguments", "sentence"), [
    (["konv"], "'konv' is neither a kind of layer (conv, conv-transpose, max-pool, avg-pool, linear, batch-norm) nor the folder of a run "
               "of minicnn train, nor one of minicnn's networks (digits, lenet, convnet, tinyvgg, resnet8, resnet20, vgg16)"),
    (["conv", "--at", "6,0"], "index (0, 0, 6, 0) is out of range: oh = 6, but the output has shape (1, 2, 6, 6): oh goes from 0 to 5, or "
                              "from -6 to -1"),
    (["conv", "--at", "a"], "--at is 'a': give whole numbers with commas between them, such as 0,3"),
    (["conv", "--kernel", "3y3"], "--kernel is '3y3': give a whole number such as 3, or height x width such as 3x5"),
    (["conv", "--padding", "full"],
     "--padding is 'full': give a whole number such as 3, or height x width such as 3x5, four sides such as 1,1,0,2, same or valid"),
    (["conv", "--grad", "x"], "--grad is 'x': expected input, weight or bias"),
    (["conv", "--groups", "2"], "Conv2d: groups = 2 must divide in_channels = 3, but 3 = 1*2 + 1"),
    (["conv", "--images", "0"], "--images is 0, expected at least 1"),
    (["conv", "--seed", "-1"], "seed is -1, expected at least 0"),
    (["conv", "--layer", "conv1"], "conv is a single layer: --layer, --image and --data are for the folder of a run"),
    (["linear", "--kernel", "3", "--stride", "1"], "linear takes no --kernel and no --stride"),
    (["lenet", "--kernel", "3"], "lenet takes no --kernel: a network has its own geometry"),
    (["conv", "--input", "8by8"], "input is '8by8': give height x width x channels, such as 28x28x1 or 224x224x3"),
    (["conv", "--picture", "x.gif"], "cannot draw x.gif: the name of a picture must end in .png, .svg, .pdf"),
    (["conv", "--kernel", "9"], None),
    (["lenet", "--layer", "fc9"], None),
])
def test_mistakes(arguments: list[str], sentence: str | None) -> None:
    result = minicnn("explain", *arguments)
    assert result.exit_code == 1
    if sentence is not None:
        assert result.stderr == f"error: {sentence}\n"
    assert "Traceback" not in result.stderr
    assert len(result.stderr.splitlines()) == 1
