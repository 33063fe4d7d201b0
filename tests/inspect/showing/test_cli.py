"""minicnn show, as people type it."""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from minicnn.cli.show import ANY_INPUT, WHATS
from tests.command_line import minicnn, ok, quick_run, random_image


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return quick_run(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_image(tmp_path_factory.mktemp("images") / "x.png")


@pytest.mark.parametrize("what", WHATS)
def test_everything_of_a_run(run: Path, what: str) -> None:
    text = ok("show", run, what)
    assert text.endswith(f"\ndrawn in {run / what}.png\n")
    assert text.startswith("digits")
    assert (run / f"{what}.png").stat().st_size > 10_000


@pytest.mark.parametrize("what", WHATS)
def test_json_alone(run: Path, what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    images = [] if what == "filters" else ["--images", "3"]
    found: Any = json.loads(ok("show", run, what, "--json", *images))
    assert found["network"] == "digits"
    assert found["verdict"].endswith(".")
    count = found.get("images", 0)
    assert (count if isinstance(count, int) else len(count)) == (0 if what == "filters" else 3)
    assert list(tmp_path.iterdir()) == []


def test_image_files_a_layer_and_a_class(run: Path, image: Path, tmp_path: Path) -> None:
    result = minicnn("show", run, "gradcam", "--image", image, "--image", image, "--layer", "features.2", "--target", "7", "--json",
                     "--picture", tmp_path / "cam.svg", "--backend", "numpy")
    found = json.loads(result.stdout)
    assert result.stderr == f"drawn in {tmp_path / 'cam.svg'}\n"
    assert found["layer"] == "features.2"
    assert [i["target"] for i in found["images"]] == ["7", "7"]
    assert [i["image"] for i in found["images"]] == ["x", "x"]
    assert [i["true"] for i in found["images"]] == [None, None]
    assert json.loads(ok("show", run, "gradients", "--image", image, "--target", "7", "--json"))["images"] == 1


@pytest.mark.parametrize("what", ANY_INPUT)
def test_a_new_network(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = minicnn("show", "digits", what, "--images", "2")
    assert result.exit_code == 0, result.output
    assert result.stderr == "note: digits is a new network: it is shown 2 images of random pixels\n"
    assert result.stdout.endswith(f"drawn in digits-{what}.png\n")
    assert (tmp_path / f"digits-{what}.png").exists()


def test_filters_of_a_new_network_in_colour(tmp_path: Path) -> None:
    assert "resnet8, conv1: Conv2d, 16 filters of 3 x 3 x 3" in ok("show", "resnet8", "filters", "--picture", tmp_path / "f.png")


def test_help_lists_what_there_is() -> None:
    text = ok("show", "--help")
    assert all(f"\n    {what} " in text for what in WHATS)


@pytest.mark.parametrize(("arguments", "sentence"), [
    (["lenet", "grad-cam"], "unknown WHAT 'grad-cam' (did you mean 'gradcam'?); there are: filters, maps, activations, dead, gradients, "
                            "saliency, occlusion, gradcam, patches"),
    (["lenet", "saliency"], "lenet is a new network: give the folder of a run of minicnn train, or image files"),
    (["lenet", "dead", "--layer", "conv1"], "dead is not about one layer: --layer is for filters, maps, gradcam, patches"),
    (["lenet", "maps", "--target", "1"], "maps is not about one class: --target is for saliency, occlusion, gradcam, gradients"),
    (["lenet", "filters", "--images", "3"], "filters are there without an image: leave out --image and --images"),
    (["lenet", "maps", "--images", "0"], "images is 0, expected at least 1"),
    (["lenet", "maps", "--images", "1", "--image", "x.png"], "give either --image or --images, not both"),
    (["lenet", "maps", "--image", "none.png"], "none.png: cannot read this image (No such file or directory)"),
    (["lenet", "filters", "--layer", "conv9"], "filters: LeNet has no layer 'conv9' with weights; it has: conv1, conv2, fc1, fc2, fc3"),
    (["lenet", "filters", "--picture", "x.bmp"], "cannot draw x.bmp: the name of a picture must end in .png, .svg, .pdf"),
])
def test_mistakes(arguments: list[str], sentence: str) -> None:
    result = minicnn("show", *arguments)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"error: {sentence}\n"


def test_mistakes_with_a_run(run: Path, image: Path) -> None:
    for arguments, sentence in [
            (["gradcam", "--target", "sevn"], "unknown class 'sevn'; there are: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9"),
            (["gradcam", "--target", "12"], "grad_cam: target 12 is out of range: the network has 10 classes, 0 to 9"),
            (["gradients", "--image", str(image)], "gradients need the class of the images, for the loss: give --target"),
            (["maps", "--input", "9x9x1"], f"{run} was trained on 8x8x1 images, not 9x9x1: leave out --input")]:
        result = minicnn("show", run, *arguments)
        assert (result.exit_code, result.stderr) == (1, f"error: {sentence}\n")
