"""The network that a command is about: trained or new, and images for it. Every mistake by its whole sentence."""
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from minicnn import training
from minicnn.cli.network import dataset_images, image_files, open_network, parse_input, run_config
from minicnn.data import load


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run's folder as `minicnn train` leaves it, without the training."""
    folder = tmp_path_factory.mktemp("run")
    about = training.Description("digits", 1, (8, 8), tuple("0123456789"), (0.25,), (0.5,), 0.0)
    training.save_checkpoint(folder / "best.safetensors", about.build(), about)
    (folder / "config.json").write_text(json.dumps({"dataset": "digits"}))
    return folder


def test_inputs() -> None:
    assert parse_input("28x32x3") == (3, 28, 32)
    assert parse_input("8x9") == (1, 8, 9)
    for text in ("", "8", "8x8x", "8x0", "axb", "8x8x3x1", "-8x8"):
        with pytest.raises(ValueError, match=re.escape(f"input is {text!r}: give height x width x channels, such as 28x28x1 or 224x224x3")):
            parse_input(text)


def test_a_new_network() -> None:
    network = open_network("lenet", "32x32x3", classes=7)
    assert (network.name, network.input_shape, network.description, network.folder) == ("lenet", (3, 32, 32), None, None)
    assert network.model.fc3.out_features == 7
    assert not network.model.training
    assert open_network("resnet8").input_shape == (3, 32, 32)
    with pytest.raises(ValueError, match=re.escape("unknown network 'lennet' (did you mean 'lenet'?); there are: digits, lenet, ")):
        open_network("lennet")
    with pytest.raises(ValueError, match="lenet is a new network: give the folder of a run of minicnn train, or image files"):
        dataset_images(network, 3)


def test_a_trained_network(run: Path) -> None:
    for what in (run, run / "best.safetensors"):
        network = open_network(str(what))
        assert (network.name, network.input_shape, network.folder) == ("digits", (1, 8, 8), run)
    with pytest.raises(ValueError, match=re.escape(f"{run} was trained on 8x8x1 images, not 9x9: leave out --input")):
        open_network(str(run), "9x9")


def test_images_are_prepared_as_for_training(run: Path, tmp_path: Path) -> None:
    network, (train, test) = open_network(str(run)), load("digits")
    found = dataset_images(network, 4)
    assert found.labels is not None
    assert found.labels.tolist() == test.labels[[0, 119, 239, 359]].tolist()
    assert np.array_equal(found.pixels[1] * 16, test.images[119])
    assert np.array_equal(found.x.array, (found.pixels - 0.25) / 0.5)
    assert found.names[1] == f"test image 119, {test.classes[test.labels[119]]}"
    assert np.array_equal(dataset_images(network, 1, split="train").pixels[0] * 16, train.images[0])

    Image.fromarray(np.full((16, 16, 3), 255, np.uint8)).save(tmp_path / "white.png")
    found = image_files(network, [str(tmp_path / "white.png")])
    assert (found.names, found.labels, found.pixels.shape) == (["white"], None, (1, 1, 8, 8))
    assert (found.x.array == 1.5).all()
    found = image_files(open_network("lenet"), [str(tmp_path / "white.png")])
    assert (found.x.array == 1).all()
    with pytest.raises(ValueError, match=re.escape("lenet takes images of 2 channels: an image file has 1 (grey) or 3 (RGB)")):
        image_files(open_network("lenet", "28x28x2"), ["a.png"])


@pytest.mark.parametrize("text", ["", "{", "[1]", "{}", '{"dataset": 3}'])
def test_a_damaged_config(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ValueError, match=re.escape(f"{tmp_path}/config.json: cannot tell what the network was trained on (")):
        run_config(tmp_path)


def test_a_missing_config(tmp_path: Path) -> None:
    message = f"{tmp_path}/config.json: cannot tell what the network was trained on (No such file or directory)"
    with pytest.raises(ValueError, match=re.escape(message)):
        run_config(tmp_path)
