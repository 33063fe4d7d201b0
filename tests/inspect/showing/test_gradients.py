"""Saliency, Grad-CAM and gradient flow against torch's autograd, with the same weights, in float64."""
from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import minicnn
from minicnn import Tensor, nn
from minicnn.inspect.showing import grad_cam, gradient_flow, saliency
from tests.compare import TRAINING64, assert_close64, assert_equal
from tests.inspect.showing.nets import both, plain, residual
from tests.strategies import floats, seeds
from tests.test_random_networks import Network, networks

SOME = max(8, settings.default.max_examples // 3)            # a network is many operations, each of which is one example


def theirs_gradient(theirs: Any, x: np.ndarray, target: Any) -> tuple[np.ndarray, np.ndarray]:
    """The gradient of the scores of the targets with respect to x, and the scores."""
    peer = torch.tensor(x, requires_grad=True)
    scores = theirs.eval()(peer)
    chosen = scores.argmax(dim=1) if target is None else torch.tensor(np.broadcast_to(target, len(x)).copy())
    scores.gather(1, chosen[:, None]).sum().backward()
    assert peer.grad is not None
    return peer.grad.numpy(), scores.detach().numpy()


@settings(max_examples=SOME)
@given(network=networks(), backend=st.sampled_from(["numpy", "numba"]))
def test_saliency_of_random_networks(network: Network, backend: str) -> None:
    ours, theirs = both(network.build, network.seed)
    x = floats(network.shape, network.seed, np.float64)
    target = np.arange(len(x)) % 4
    with minicnn.use_backend(backend):
        found = saliency(ours, Tensor(x), target)
    expected, scores = theirs_gradient(theirs, x, target)
    assert_close64(found.values, expected, "gradient", TRAINING64)
    assert_close64(found.heat, np.abs(expected).max(axis=1), "saliency", TRAINING64)
    assert_close64(found.probabilities, torch.softmax(torch.tensor(scores), 1), "probabilities", TRAINING64)


@given(seed=seeds, target=st.sampled_from([None, 2, [0, 4, 1]]), norm=st.booleans())
def test_grad_cam_of_a_residual_network(seed: int, target: Any, norm: bool) -> None:
    ours, theirs = both(residual, seed)
    x = floats((3, 2, 6, 8), seed, np.float64)
    found = grad_cam(ours, Tensor(x), target, "norm" if norm else None)
    assert found.settings["layer"] == ("norm" if norm else "relu#2")
    theirs.eval()
    maps = theirs.norm(theirs.conv1(torch.tensor(x))) if norm else theirs.features(torch.tensor(x))
    maps = maps.detach().requires_grad_()
    scores = theirs.fc(torch.max_pool2d(_rest(theirs, maps) if norm else maps, 2).flatten(1))
    chosen = scores.argmax(dim=1) if target is None else torch.tensor(np.broadcast_to(target, 3).copy())
    scores.gather(1, chosen[:, None]).sum().backward()
    assert maps.grad is not None
    cam = torch.relu((maps.grad.mean(dim=(2, 3), keepdim=True) * maps).sum(dim=1, keepdim=True))
    assert_close64(found.values, cam[:, 0], "cam", TRAINING64)
    large = torch.nn.functional.interpolate(cam, (6, 8), mode="bilinear", align_corners=False)
    assert_close64(found.heat, large[:, 0], "heat", TRAINING64)
    assert_equal(found.target, chosen)


def _rest(theirs: Any, maps: Any) -> Any:
    y = torch.relu(maps)
    return torch.relu(theirs.conv2(y) + y)


def test_grad_cam_is_enlarged() -> None:
    """A 4 x 6 map over an 11 x 15 image."""
    ours, _ = both(plain, 1)
    x = floats((2, 1, 8, 10), 0, np.float64)
    found = grad_cam(ours, Tensor(x))
    assert found.settings == {"layer": "4", "maps": "2x3"}
    assert found.values.shape == (2, 2, 3)
    assert found.heat.shape == (2, 8, 10)
    expected = torch.nn.functional.interpolate(torch.tensor(found.values[:, None]), (8, 10), mode="bilinear", align_corners=False)
    assert_close64(found.heat, expected[:, 0])


def test_grad_cam_by_hand() -> None:
    """Two 1 x 1 convolutions make the maps x and -x; the scores are the first map's sum times 3, and the second's times -1."""
    model = nn.Sequential(nn.Conv2d(1, 2, 1, bias=False), nn.Flatten(), nn.Linear(8, 2, bias=False)).double()
    model[0].weight.array[:] = np.reshape([1.0, -1.0], (2, 1, 1, 1))
    model[2].weight.array[:] = [[3.0] * 4 + [0.0] * 4, [0.0] * 4 + [-1.0] * 4]
    x = np.array([[[[1.0, -2.0], [0.5, 4.0]]]])
    first, second = grad_cam(model, Tensor(x), 0), grad_cam(model, Tensor(x), 1)
    assert_equal(first.heat, np.array([[[3.0, 0.0], [1.5, 12.0]]]))        # max(3x, 0)
    assert_equal(second.heat, np.array([[[1.0, 0.0], [0.5, 4.0]]]))        # max(-1 * -x, 0)
    assert first.peak(0) == (1, 1)
    assert first.area(0) == 0.25                                           # one pixel of four has more than half


@settings(max_examples=SOME)
@given(network=networks(), backend=st.sampled_from(["numpy", "numba"]))
def test_gradient_flow_of_random_networks(network: Network, backend: str) -> None:
    ours, theirs = both(network.build, network.seed)
    theirs.train(network.training)
    x, labels = floats(network.shape, network.seed, np.float64), np.arange(network.shape[0]) % 4
    outputs: dict[Any, Any] = {}

    def keep(module: Any, args: Any, y: Any) -> None:
        if y.requires_grad:
            y.retain_grad()
        outputs[module] = y

    for module in theirs.children():
        module.register_forward_hook(keep)
    loss = torch.nn.functional.cross_entropy(theirs(torch.tensor(x)), torch.tensor(labels))
    loss.backward()
    with minicnn.use_backend(backend):
        found = gradient_flow(ours, Tensor(x), labels, training=network.training)
    assert_close64(np.float64(found.loss), np.float64(loss.item()), "loss", TRAINING64)
    got = {layer.name: layer.norm for layer in found.layers}
    compared = 0
    for name, module in theirs.named_children():
        y = outputs[module]
        if name in got and y.grad is not None and not any(module.children()):
            assert_close64(np.float64(got[name]), np.float64(y.grad.norm().item()), name, TRAINING64)
            compared += 1
    assert compared >= 1                                       # the head, at least
    for p, (name, q) in zip(found.parameters, theirs.named_parameters(), strict=True):
        assert p.name == name
        assert_close64(np.float64(p.weight), np.float64(q.norm().item()), name, TRAINING64)
        assert (p.norm is None) == (q.grad is None)
        if q.grad is not None:
            assert_close64(np.float64(p.norm), np.float64(q.grad.norm().item()), name, TRAINING64)


def chain(scale: float, depth: int = 8) -> nn.Module:
    """Linear layers, all `scale` times the unit matrix."""
    layers = [nn.Linear(4, 4) for _ in range(depth)]
    for layer in layers:
        layer.weight.array[:] = scale * np.eye(4)
        layer.bias.array[:] = 0
    return nn.Sequential(*layers)


@pytest.mark.parametrize(("scale", "state", "said"), [
    (1.0, "fine", "is 1 times that at 7, the last: it neither vanishes (below 0.001) nor explodes (above 1000)."),
    (0.1, "vanishing", "is 1e-07 times that at 7, the last: it vanishes (below 0.001), so the first layers hardly learn."),
    (10.0, "exploding", "is 1e+07 times that at 7, the last: it explodes (above 1000), so the first layers change wildly."),
])
def test_verdicts(scale: float, state: str, said: str) -> None:
    found = gradient_flow(chain(scale).double(), floats((3, 4), 0, np.float64) / 1e9, [0, 1, 2])
    assert found.state == state
    assert found.verdict == f"The gradient at 0, the first layer with weights, {said}"
    assert found.through == pytest.approx(scale**7)            # which is what seven such layers do to it


def test_a_gradient_that_overflows_and_a_frozen_layer() -> None:
    model = chain(1e30)
    found = gradient_flow(model, floats((2, 4), 0), [0, 1])
    assert found.state == "not finite"
    assert found.verdict.startswith("The gradient is not finite; on its way back that is so from ")
    model = chain(1.0)
    model[0].requires_grad_(False)
    found = gradient_flow(model, floats((2, 4), 0), 1)
    assert [p.norm for p in found.parameters[:2]] == [None, None]
    assert found.parameters[2].ratio is not None
    frozen = gradient_flow(model.requires_grad_(False), floats((2, 4), 0), 1)
    assert {p.norm for p in frozen.parameters} == {None}


@given(seed=seeds)
def test_smoothgrad_is_the_mean_over_noisy_copies(seed: int) -> None:
    ours, theirs = both(residual, seed)
    x = floats((2, 2, 6, 8), seed, np.float64)
    found = saliency(ours, Tensor(x), 1, samples=4, noise=0.2, seed=seed)
    rng = np.random.default_rng(seed)
    spread = 0.2 * (x.max(axis=(1, 2, 3), keepdims=True) - x.min(axis=(1, 2, 3), keepdims=True))
    mean = np.mean([theirs_gradient(theirs, x + spread * rng.standard_normal(x.shape), 1)[0] for _ in range(4)], axis=0)
    assert_close64(found.values, mean, "mean gradient", TRAINING64)
    assert_close64(found.heat, np.abs(mean).max(axis=1), "heat", TRAINING64)
    assert_equal(saliency(ours, Tensor(x), 1, samples=4, noise=0.0).heat.shape, np.asarray((2, 6, 8)))
