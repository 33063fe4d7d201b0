"""`minicnn connectivity` and `minicnn shift`, as people type them."""
from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.command_line import ok, refused


def test_connectivity_of_a_network() -> None:
    output = ok("connectivity", "lenet")
    lines = output.splitlines()
    assert lines[0] == "LeNet, the graph of a 1 x 28 x 28 input: 419,868 edges, 61,470 weights"
    assert lines[2].split() == ["conv1", "6x28x28", "107,736", "150", "9..25", "54..150", "3.19", "%"]
    assert max(len(line) for line in lines[1:14]) <= 80


@pytest.mark.parametrize(("what", "units"), [("SimpleConvNet", "32x64x64"), ("ConvMaxPoolNet", "64x64x64"),
                                             ("MultiLayerCNN", "64x16x16")])
def test_connectivity_of_the_textbook_s_networks(what: str, units: str) -> None:
    assert units in ok("connectivity", what)


def test_connectivity_of_a_layer_with_files(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("m.png", "g.graphml", "g.dot")]
    output = ok("connectivity", "conv", "--input", "6x6x1", "--kernel", "3", "--picture", paths[0], "--graphml", paths[1],
                "--dot", paths[2])
    assert output.startswith("Conv2d: 1 x 4 x 4 units that read input (1 x 6 x 6)\n")
    assert output.endswith(f"drawn in {paths[0]}\nwritten to {paths[1]}\nwritten to {paths[2]}\n")
    assert paths[0].read_bytes().startswith(b"\x89PNG")
    assert paths[2].read_text().count(" -> ") == 144
    assert [ok("connectivity", kind).splitlines()[0] for kind in ("max-pool", "linear", "batch-norm", "conv-transpose", "avg-pool")] == [
        "MaxPool2d: 1 x 3 x 3 units that read input (1 x 6 x 6)", "Linear: 1 units that read input (36)",
        "BatchNorm2d: 1 x 6 x 6 units that read input (1 x 6 x 6)", "ConvTranspose2d: 1 x 8 x 8 units that read input (1 x 6 x 6)",
        "AvgPool2d: 1 x 3 x 3 units that read input (1 x 6 x 6)"]


def test_connectivity_as_json() -> None:
    values = json.loads(ok("connectivity", "conv", "--input", "8x8x1", "--padding", "same", "--json"))
    (layer,) = values["layers"]
    assert (layer["edges"], layer["weights"], layer["in_degrees"]) == (484, 9, {"4": 4, "6": 24, "9": 36})


def test_connectivity_refuses() -> None:
    assert refused("connectivity", "lenet", "--kernel", "3") == "error: lenet takes no --kernel: a network has its own geometry"
    assert refused("connectivity", "max-pool", "--groups", "2") == "error: max-pool takes no --groups"
    assert refused("connectivity", "conv", "--kernel", "three") == (
        "error: --kernel is 'three': give a whole number such as 3, or height x width such as 3x5")
    assert refused("connectivity", "lenet", "--layer", "x").startswith("error: LeNet has no layer 'x'; it has: conv1, relu, ")
    assert refused("connectivity", "lenet", "--picture", "a.gif").startswith("error: cannot draw a.gif: the name of a picture must end in ")
    assert "kind of picture" in refused("connectivity", "lenet", "--kind", "pie")


def test_shift(tmp_path: Path) -> None:
    output = ok("shift", "variants", "--most", "1", "--input", "24x24x1", "--picture", tmp_path / "s.png")
    assert output.startswith("equivariance inside: f(shift(x)) against shift(f(x))\nshift  stride 1  max pool  average pool  stride 2\n")
    assert max(map(len, output.splitlines()[:-1])) <= 100
    values = json.loads(ok("shift", "lenet", "--layer", "conv2", "--most", "2", "--json"))
    assert values["equivariance"]["lenet"]["shifts"][2]["interior"] == 0
    assert refused("shift", "variants", "--layer", "x") == "error: variants are compared at their last layer: leave out --layer"
    assert refused("shift", "lenet", "--most", "0") == "error: most is 0, expected at least 1"
    assert refused("shift", "lenet", "--images", "-1") == "error: images is -1, expected at least 0"
    assert refused("shift", "lenet", "--most", "40") == (
        "error: shift is 40: give a number from 0, or several; images of width 28 can be moved by at most 27")


def test_shift_of_a_run_moves_real_images(tmp_path: Path) -> None:
    ok("train", "--epochs", "1", "--out", tmp_path, "--quiet")
    (run,) = tmp_path.iterdir()
    values = json.loads(ok("shift", run, "--most", "1", "--images", "30", "--json"))
    (name,) = values["invariance"]
    rows = values["invariance"][name]["shifts"]
    assert values["invariance"][name]["images"] == 30
    assert rows[0]["changed"] == 0 < rows[1]["changed"] <= 1
    assert len(json.loads(ok("connectivity", run, "--json"))["layers"]) > 5


def test_a_network_is_drawn_as_its_layers(tmp_path: Path) -> None:
    assert ok("connectivity", "digits", "--picture", tmp_path / "layers.svg").endswith(f"drawn in {tmp_path / 'layers.svg'}\n")
    assert "features.10" in (tmp_path / "layers.svg").read_text()
