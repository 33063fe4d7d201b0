"""What holds for every function: the model is left as it was, devices agree, pictures are labelled, mistakes end in a clear sentence."""
from __future__ import annotations

import json
import re
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minicnn
from minicnn import Tensor, nn, random
from minicnn.inspect.result import Result
from minicnn.inspect.showing import (
    About,
    activation_statistics,
    dead_units,
    feature_maps,
    filters,
    grad_cam,
    gradient_flow,
    maximal_patches,
    occlusion,
    saliency,
)
from tests.device import SIM, needs_simulator
from tests.inspect.showing.nets import residual
from tests.strategies import floats

X = floats((3, 2, 6, 8), 0)
ABOUT = About("a-net", classes=("shoe", "T-shirt/top", "a class with a very long name", "bag", "coat"), labels=np.array([0, 1, 4]))
CALLS: dict[str, Callable[[Any, Any], Result]] = {
    "filters": lambda model, x: filters(model, about=ABOUT),
    "feature_maps": lambda model, x: feature_maps(model, x, about=ABOUT),
    "activation_statistics": lambda model, x: activation_statistics(model, x, about=ABOUT),
    "dead_units": lambda model, x: dead_units(model, x, about=ABOUT),
    "gradient_flow": lambda model, x: gradient_flow(model, x, [0, 1, 4], about=ABOUT),
    "saliency": lambda model, x: saliency(model, x, about=ABOUT),
    "smoothgrad": lambda model, x: saliency(model, x, samples=2, about=ABOUT),
    "occlusion": lambda model, x: occlusion(model, x, patch=3, stride=2, about=ABOUT),
    "grad_cam": lambda model, x: grad_cam(model, x, about=ABOUT),
    "maximal_patches": lambda model, x: maximal_patches(model, x, top=2, about=ABOUT),
}


class Net(nn.Module):
    """The residual network with dropout, which draws random numbers in training mode."""

    def __init__(self) -> None:
        super().__init__()
        self.net, self.drop = residual(minicnn), nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        return self.drop(self.net(x))


def model() -> nn.Module:
    minicnn.manual_seed(0)
    return Net()


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("taped", [True, False])
def test_the_model_is_left_as_it_was(name: str, taped: bool) -> None:
    net = model()
    net.net.norm.eval()                                        # a mixture of modes
    for i, p in enumerate(net.parameters()):
        p.grad = Tensor(np.full_like(p.array, i)) if i % 2 else None
    before = {key: value.array.copy() for key, value in net.state_dict().items()}
    grads = [p.grad for p in net.parameters()]
    values = [None if g is None else g.array.copy() for g in grads]
    modes = [m.training for m in net.modules()]
    state = random.generator().bit_generator.state
    x = X.copy()
    with minicnn.set_grad_enabled(taped):
        CALLS[name](net, Tensor(x))
        assert minicnn.is_grad_enabled() == taped
    assert all(np.array_equal(value.array, before[key]) for key, value in net.state_dict().items())
    assert all(p.grad is g for p, g in zip(net.parameters(), grads, strict=True))
    assert all(g is None or np.array_equal(g.array, v) for g, v in zip(grads, values, strict=True))
    assert [m.training for m in net.modules()] == modes
    assert random.generator().bit_generator.state == state
    assert np.array_equal(x, X)


def net(device: str) -> nn.Module:
    """Without dropout, whose random numbers are others on a device."""
    minicnn.manual_seed(0)
    return residual(minicnn).to(device)


@needs_simulator
@pytest.mark.parametrize("name", CALLS)
def test_on_a_device(name: str) -> None:
    """The same numbers, but for rounding, which come back to the host by themselves."""
    here, there = (CALLS[name](net(device), x) for device, x in (("cpu", X), (SIM, Tensor(X))))
    got, expected = (json.loads(r.to_json()) for r in (there, here))
    numbers(got, expected, name)
    assert there.figure() is not None


def numbers(got: Any, expected: Any, where: str) -> None:
    """The same structure; numbers as close as float32 arithmetic in another order leaves them."""
    if isinstance(expected, dict):
        assert got.keys() == expected.keys(), where
        for key in expected:
            if key not in ("verdict", "counts", "edges"):      # a value next to an edge may change sides
                numbers(got[key], expected[key], f"{where}.{key}")
    elif isinstance(expected, list):
        assert len(got) == len(expected), where
        for i, (a, b) in enumerate(zip(got, expected, strict=True)):
            numbers(a, b, f"{where}[{i}]")
    elif isinstance(expected, float):
        assert abs(got - expected) <= 2.0**-13 * max(1, abs(expected)), f"{where}: {got}, expected {expected}"
    else:
        assert got == expected, where


@pytest.mark.parametrize("name", CALLS)
def test_results(name: str) -> None:
    """Text, JSON, HTML and a picture, which says of which network it is, and draws without a warning."""
    found = CALLS[name](model(), X)
    assert "a-net" in str(found)
    assert str(found).rstrip().endswith(".")
    assert max(map(len, str(found).splitlines()[:-1])) <= 110
    assert found._repr_html_().startswith("<table>")
    assert json.loads(found.to_json())["network"] == "a-net"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = found.figure()
        figure.canvas.draw()
    assert "a-net" in figure.get_suptitle()
    for text in figure.texts:                                  # the title, and the note below: all of them can be read
        box = text.get_window_extent()
        assert 0 <= box.x0 < box.x1 <= figure.bbox.x1, text.get_text()


@pytest.mark.parametrize("name", ["saliency", "occlusion", "grad_cam"])
def test_headings_say_what_is_true_and_what_was_seen(name: str) -> None:
    found: Any = CALLS[name](model(), X)
    titles = [axes.get_title() for axes in found.figure().axes]
    seen = [f"seen: {ABOUT.class_name(int(c))} ({p:.0%})" for c, p in zip(found.predicted, found.probabilities.max(axis=1), strict=True)]
    assert titles[:3] == [f"true: {true}\n{s}" for true, s in zip(("shoe", "T-shirt/top", "coat"), seen, strict=True)]
    assert ABOUT.class_name(2) == "a class with a ve…"
    assert ABOUT.class_name(7) == "class 7"


def test_many_images_are_not_all_drawn() -> None:
    found = saliency(model(), np.repeat(X, 5, axis=0))
    assert len([axes for axes in found.figure().axes if axes.get_title()]) == 24
    assert found.figure().get_supxlabel() == "12 of 15 images are shown, the first"
    assert "12 of 15 images are shown, the first" in str(found)
    assert len(found.as_dict()["images"]) == 15


def test_maps_without_heat() -> None:
    """Scores that do not depend on the image: the maps are 0, and text and picture say so."""
    net = model()
    net.net.fc.weight.array[:] = 0
    for found in (saliency(net, X), grad_cam(net, X), occlusion(net, X)):
        assert not found.heat.any()
        assert found.verdict.startswith("3 of 3 maps have no positive value: ")
        why = "; try an earlier layer." if "Grad-CAM" in str(found) else ": nothing there speaks for the class asked about."
        assert found.verdict.endswith(why)
        assert found.figure() is not None


def broken(x: np.ndarray) -> np.ndarray:
    x = x.copy()
    x[1, 0, 2, 3] = np.nan
    return x


MISTAKES: list[tuple[Callable[[nn.Module], Any], type[Exception], str]] = [
    (lambda net: saliency(print, X), TypeError, "saliency: expected a Module, got builtin_function_or_method"),
    (lambda net: filters(3), TypeError, "filters: expected a Module, got int"),
    (lambda net: grad_cam(net, X.astype(np.int64)), TypeError,
     "grad_cam: x is int64; a network needs floating point: convert it with .float()"),
    (lambda net: occlusion(net, X[0, 0]), ValueError, "occlusion: x must be (N, C, H, W), or (C, H, W) for one image, got shape (6, 8)"),
    (lambda net: saliency(net, X[:0]), ValueError, "saliency: x has shape (0, 2, 6, 8): there is nothing to look at"),
    (lambda net: saliency(net, broken(X)), ValueError,
     "saliency: x holds 1 values that are not finite, the first at index 1, 0, 2, 3"),
    (lambda net: saliency(net, X, 5), ValueError, "saliency: target 5 is out of range: the network has 5 classes, 0 to 4"),
    (lambda net: saliency(net, X, -1), ValueError, "saliency: target -1 is out of range: the network has 5 classes, 0 to 4"),
    (lambda net: saliency(net, X, [1, 2]), ValueError, "saliency: target has shape (2,): give one class, or one for each of the 3 images"),
    (lambda net: saliency(net, X, 0.5), TypeError, "saliency: target is 0.5: give the number of a class, 0 to 4, or one for each image"),
    (lambda net: saliency(net, X, samples=0), ValueError, "saliency: samples is 0, expected a number from 1"),
    (lambda net: saliency(net, X, samples=2, noise=-1), ValueError, "saliency: noise is -1, expected a number of at least 0"),
    (lambda net: occlusion(net, X, patch=7), ValueError, "occlusion: a patch of 7x7 is larger than the image, 6x8"),
    (lambda net: occlusion(net, X, fill=[0, 0, 0]), ValueError,
     "occlusion: fill is [0, 0, 0]: give one number, or one for each of the 2 channels"),
    (lambda net: grad_cam(net, X, layer="conv9"), ValueError,
     "Net has no layer 'conv9'; it has: net.conv1, net.norm, net.relu, net.conv2, "),
    (lambda net: grad_cam(net, X, layer="net.fc"), ValueError,
     "grad_cam: the output of net.fc has shape (3, 5): choose a layer with height and width (N, C, H, W)"),
    (lambda net: feature_maps(net, X, "net.fc"), ValueError,
     "feature_maps: the output of net.fc has shape (3, 5): choose a layer with height"),
    (lambda net: filters(net, "net.relu"), ValueError,
     "filters: Net has no layer 'net.relu' with weights; it has: net.conv1, net.conv2, net.fc"),
    (lambda net: filters(nn.ReLU()), ValueError, "filters: ReLU has no layer with a weight of two or four axes"),
    (lambda net: dead_units(nn.Flatten(), X), ValueError, "dead_units: Flatten has no ReLU"),
    (lambda net: dead_units(net, []), ValueError, "dead_units: the loader has no image"),
    (lambda net: dead_units(net, 3), TypeError, "dead_units: expected images (N, C, H, W), or a loader of them, got int"),
    (lambda net: gradient_flow(net, X, [0, 1]), ValueError,
     "gradient_flow: target has shape (2,): give one class, or one for each of the 3 images"),
    (lambda net: gradient_flow(net, X, None), ValueError, "gradient_flow: the loss needs labels: one class for each image"),
    (lambda net: maximal_patches(net, X, top=0), ValueError, "maximal_patches: top is 0, expected a number from 1"),
    (lambda net: maximal_patches(net, X, channels=4), ValueError,
     "maximal_patches: channels is 4; net.relu#2 has 4: give numbers from 0 to 3"),
    (lambda net: maximal_patches(net, X, "net.nothing"), ValueError, "Net has no layer 'net.nothing'; it has: "),
    (lambda net: saliency(net.net.conv1, X), ValueError,
     "saliency: the network must give one score a class, (N, classes), its output has shape (3, 4, 6, 8)"),
    (lambda net: grad_cam(nn.Sequential(nn.Flatten(), nn.Linear(96, 2)), X), ValueError,
     "grad_cam: Sequential has no convolution with feature maps: choose a layer; it has: 0, 1"),
]


@pytest.mark.parametrize(("call", "kind", "sentence"), MISTAKES, ids=[s[:40] for _, _, s in MISTAKES])
def test_mistakes(call: Callable[[nn.Module], Any], kind: type[Exception], sentence: str) -> None:
    with pytest.raises(kind, match=f"^{re.escape(sentence)}"):
        call(model())
