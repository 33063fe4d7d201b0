"""Honest backends and torch differ by rounding on any network; every seeded bug is called one, and found where it is."""
from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import minicnn
from minicnn import Tensor, nn
from minicnn.autograd import record
from minicnn.cli import app
from minicnn.inspect.comparing import diff, on
from minicnn.kernels import numpy_backend
from minicnn.ops.batch_norm import batch_norm_backward, batch_norm_forward
from minicnn.ops.conv2d import conv2d_backward, conv2d_forward
from minicnn.ops.relu import relu_forward
from tests.strategies import floats, integers
from tests.test_random_networks import Network, networks

SOME = max(10, settings.default.max_examples // 3)           # a network is many operations, each of which is one example


@settings(max_examples=SOME)
@given(network=networks())
def test_honest_backends_differ_by_rounding(network: Network) -> None:
    minicnn.manual_seed(network.seed % 2**32)
    model = network.build(minicnn)
    found = diff(on(model, "numpy"), on(model, "numba"), floats(network.shape, network.seed), training=network.training)
    assert found.verdict == "rounding", found
    assert found.weights is None


@settings(max_examples=SOME)
@given(network=networks(), labels=st.booleans())
def test_torch_differs_by_rounding(network: Network, labels: bool) -> None:
    torch.manual_seed(network.seed)
    peer, model = network.build(torch), network.build(minicnn)
    model.load_state_dict(peer.state_dict())
    classes = np.arange(network.shape[0]) % 4 if labels else None
    found = diff(model, peer, floats(network.shape, network.seed), classes, training=network.training)
    assert found.verdict == "rounding", found


def test_a_simulated_gpu_differs_by_rounding() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.BatchNorm2d(2), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8, 3))
    found = diff(on(model, "numpy"), on(model, "cuda-sim"), floats((2, 1, 4, 4), 0), [0, 2], training=True)
    assert found.verdict == "rounding", found
    assert [layer.name for layer in found.layers] == list("012345")
    assert all(any(j.direction == d for j in layer.judged) for layer in found.layers for d in ("forward", "backward"))


class Net(nn.Module):
    """With a function between its layers, and a residual."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(2, 4, (3, 3), padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.act = nn.ReLU()
        self.conv2 = nn.Conv2d(4, 4, 3, padding=1)
        self.fc = nn.Linear(4 * 6 * 5, 3)

    def forward(self, x: Any) -> Any:
        x = self.act(self.norm(self.conv1(x)))
        return self.fc((x + self.conv2(x)).flatten(1))


def faulty(model: Any, path: str, forward: Callable[..., Any]) -> None:
    module = model.get_submodule(path)
    module.forward = lambda x: forward(module, x)


def conv_with(backward: Any = conv2d_backward, change: Any = lambda y: y, weight: Any = lambda w: w) -> Callable[..., Any]:
    """A convolution whose forward or backward is seeded with a fault."""
    def conv2d_forward_(x: Any, w: Any, b: Any, window: Any, groups: int = 1) -> Any:
        y, cache = conv2d_forward(x, weight(w), b, window, groups)
        return change(y), cache
    conv2d_forward_.__name__ = "conv2d_forward"

    def forward(module: Any, x: Tensor) -> Tensor:
        window = minicnn.kernels.window.Window2d.of((3, 3), 1, 1, 1, input_size=x.shape[2:], op="conv2d")
        return record(conv2d_forward_, backward, x, module.weight, module.bias, window=window)
    return forward


def relu_with_slope_at_0(module: Any, x: Tensor) -> Tensor:
    gate = x.array >= 0
    return record(relu_forward, lambda dy, cache: (dy * gate,), x)


def norm_unbiased(module: Any, x: Tensor) -> Tensor:
    def biased(x: Any, gamma: Any, beta: Any, eps: float) -> Any:
        (y, mean, var), cache = batch_norm_forward(x, gamma, beta, eps=eps)
        M = x.size // x.shape[1]
        return ((y - beta.reshape(1, -1, 1, 1)) * np.float32((1 - 1 / M) ** 0.5) + beta.reshape(1, -1, 1, 1), mean, var), cache
    biased.__name__ = "batch_norm_forward"
    return record(biased, batch_norm_backward, x, module.weight, module.bias, eps=module.eps)[0]


def no_bias(m: Any) -> None:
    m.conv2.bias = None


def one_weight(m: Any) -> None:
    m.conv2.weight.array[1, 2, 0, 1] += np.float32(1e-3)


def grad_of_bias_twice(dy: Any, cache: Any, needs: Any = (True, True, True)) -> Any:
    dx, dw, db = conv2d_backward(dy, cache)
    return dx, dw, 2 * db


def grad_of_input_flipped(dy: Any, cache: Any, needs: Any = (True, True, True)) -> Any:
    k, x, w, bias, window, groups = cache
    return conv2d_backward(dy, (k, x, w[..., ::-1, ::-1].copy(), bias, window, groups))[0], *conv2d_backward(dy, cache)[1:]


BUGS: dict[str, tuple[Callable[[Any], Any], str, str, str]] = {
    "padding": (lambda m: setattr(m.conv2, "padding", (0, 0)), "conv2", "forward", "output"),
    "kernel flipped": (lambda m: faulty(m, "conv2", conv_with(weight=lambda w: w[..., ::-1, ::-1].copy())), "conv2", "forward", "output"),
    "KH and KW swapped": (lambda m: faulty(m, "conv2", conv_with(weight=lambda w: w.swapaxes(2, 3).copy())), "conv2", "forward", "output"),
    "eps": (lambda m: setattr(m.norm, "eps", 1e-3), "norm", "forward", "output"),
    "variance unbiased": (lambda m: faulty(m, "norm", norm_unbiased), "norm", "forward", "output"),
    "a weight": (one_weight, "conv2", "forward", "output"),
    "no bias": (no_bias, "conv2", "forward", "output"),
    "float16 inside": (lambda m: faulty(m, "conv2", conv_with(change=lambda y: y.astype(np.float16).astype(np.float32))),
                       "conv2", "forward", "output"),
    "gradient of the bias": (lambda m: faulty(m, "conv2", conv_with(grad_of_bias_twice)), "conv2", "backward", "gradient of bias"),
    "gradient of the input": (lambda m: faulty(m, "conv2", conv_with(grad_of_input_flipped)), "conv2", "backward", "gradient of the input"),
    "relu forgotten": (lambda m: setattr(m, "act", nn.Identity()), "act", "forward", "output"),
}


@pytest.mark.parametrize("bug", BUGS)
def test_a_bug_is_found_where_it_is(bug: str) -> None:
    seed, layer, direction, what = BUGS[bug]
    minicnn.manual_seed(0)
    model = Net()
    broken = copy.deepcopy(model)
    seed(broken)
    found = diff(model, broken, floats((2, 2, 6, 5), 0), training=True)
    assert found.verdict == "bug"
    assert found.first is not None
    assert (found.first.layer, found.first.direction) == (layer, direction), found
    assert found.first.what == what
    assert found.sentence.startswith(f"BUG: layer {layer}, {direction}")
    if bug == "padding":                                       # by itself, that network cannot run
        return
    again = diff(broken, model, floats((2, 2, 6, 5), 0), training=True)
    assert again.first is not None
    assert (again.verdict, again.first.layer, again.first.direction) == ("bug", layer, direction), again


def test_the_slope_of_relu_at_0_is_found() -> None:
    model = nn.Sequential(nn.Conv2d(2, 2, 1), nn.ReLU(), nn.Conv2d(2, 3, 1))
    model[0].load_state_dict({"weight": np.float32([[[[1]], [[1]]], [[[1]], [[-1]]]]), "bias": np.float32([0, 0])})
    broken = copy.deepcopy(model)
    faulty(broken, "1", relu_with_slope_at_0)
    found = diff(model, broken, integers((2, 2, 6, 5), 0))
    assert found.first is not None
    assert (found.first.layer, found.first.direction, found.first.a) == ("1", "backward", 0)


@pytest.mark.parametrize("kernel", ["conv2d", "conv2d_grad_input", "conv2d_grad_weight", "relu_grad", "linear", "channel_sum"])
def test_a_bug_in_a_backend_is_found(kernel: str, monkeypatch: pytest.MonkeyPatch) -> None:
    minicnn.manual_seed(0)
    model = Net()
    true = getattr(numpy_backend, kernel)
    with monkeypatch.context() as patch:
        import minicnn.kernels.numba_backend as numba_backend
        patch.setattr(numba_backend, kernel, lambda *a, **k: true(*a, **k) * np.float32(1 + 1e-3))
        found = diff(on(model, "numpy"), on(model, "numba"), floats((2, 2, 6, 5), 0))
    assert found.first is not None
    first = found.first
    expected = {"conv2d": ("conv1", "output"), "conv2d_grad_input": ("conv2", "gradient of the input"),
                "conv2d_grad_weight": ("conv2", "gradient of weight"), "relu_grad": ("act", "gradient of the input"),
                "linear": ("fc", "output"), "channel_sum": ("fc", "gradient of bias")}
    assert (first.layer, first.what) == expected[kernel]
    assert first.error_b > 1 > first.error_a                   # and it says which of the two is off


class Theirs(torch.nn.Module):
    def __init__(self, act: bool = True, eps: float = 1e-5, residual: bool = True) -> None:
        super().__init__()
        self.residual = residual
        self.conv1 = torch.nn.Conv2d(2, 4, 3, padding=1)
        self.norm = torch.nn.BatchNorm2d(4, eps=eps)
        self.act = torch.nn.ReLU(inplace=True) if act else torch.nn.Identity()
        self.conv2 = torch.nn.Conv2d(4, 4, 3, padding=1)
        self.fc = torch.nn.Linear(4 * 6 * 5, 3)

    def forward(self, x: Any) -> Any:
        x = self.act(self.norm(self.conv1(x)))
        return self.fc((x + self.conv2(x) if self.residual else self.conv2(x)).flatten(1))


@pytest.mark.parametrize(("options", "layer", "what"), [
    ({}, None, ""), ({"act": False}, "act", "output"), ({"eps": 1e-3}, "norm", "output"), ({"residual": False}, "fc", "its input")])
def test_beside_torch(options: dict[str, Any], layer: str | None, what: str) -> None:
    torch.manual_seed(0)
    peer, model = Theirs(**options), Net()
    model.load_state_dict(peer.state_dict())
    for pair in ((model, peer), (peer, model)):
        found = diff(*pair, floats((2, 2, 6, 5), 0), training=True)
        assert (found.first.layer if found.first else None) == layer, found
        assert layer is None or found.first.what == what
    assert found.weights is None


def test_weights_that_differ_are_named() -> None:
    model = Net()
    other = copy.deepcopy(model)
    other.conv2.weight.array[1, 2, 0, 1] = model.conv2.weight.array[1, 2, 0, 1] + 1
    found = diff(model, other, floats((1, 2, 6, 5), 0))
    old = model.conv2.weight.array[1, 2, 0, 1]
    assert found.weights == (f"conv2.weight[1, 2, 0, 1] is {old:.9g} in A, {old + 1:.9g} in B "
                             "(1 of 144 values of conv2.weight differ)")
    assert found.sentence.endswith(found.weights)
    assert json.loads(found.to_json())["verdict"] == "bug"


def test_nothing_is_changed() -> None:
    model = Net()
    before = {name: np.array(t.array) for name, t in model.state_dict().items()}
    modes = [m.training for m in model.modules()]
    found = diff(on(model, "numpy"), on(model, "numpy"), floats((2, 2, 6, 5), 0), [0, 1], training=True)
    assert found.sentence == "rounding: there is no difference at all"
    assert all(np.array_equal(t.array, before[name]) for name, t in model.state_dict().items())
    assert [m.training for m in model.modules()] == modes
    assert all(p.grad is None for p in model.parameters())


def test_nan_equals_nan_only() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU())
    x = floats((1, 1, 5, 5), 0)
    x[0, 0, 2, 2] = np.nan
    assert diff(on(model, "numpy"), on(model, "numba"), x).verdict == "rounding"
    broken = copy.deepcopy(model)
    faulty(broken, "1", lambda _, x: record(lambda x: (np.nan_to_num(x), None), lambda dy, _: (dy,), x))
    assert diff(model, broken, x).verdict == "bug"


def test_networks_of_another_structure_are_told_apart() -> None:
    a = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten())
    b = nn.Sequential(a[0], nn.Tanh(), nn.Flatten(), nn.Linear(18, 2))
    x = floats((1, 1, 5, 5), 0)
    assert diff(a, b, x).sentence.startswith("BUG: layer 1, forward: A computes relu, B tanh")
    assert diff(on(a, "numpy"), on(a[:2], "numba"), x).sentence == "BUG: layer 2, forward: numba has no such layer"
    assert diff(a[:2], a, x).sentence == "BUG: layer 2, forward: A has no such layer"


class Odd(nn.Module):
    """Of operations that have no error analysis of their own."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(5, 4)

    def forward(self, x: Any) -> Any:
        y = self.fc(x)
        return (minicnn.softmax(y, 1) * y.std(dim=1, keepdim=True) + y.abs() ** 1.5).logsumexp(dim=1, keepdim=True)


def test_operations_without_an_analysis_have_a_rule_of_thumb() -> None:
    model = Odd()
    found = diff(on(model, "numpy"), on(model, "numba"), floats((3, 5), 0))
    assert found.verdict == "rounding", found
    assert any(j.rough for layer in found.layers for j in layer.judged)
    assert "~: made of several operations" in str(found)


def test_errors() -> None:
    model, x = Net(), floats((2, 2, 6, 5), 0)
    for call, error, text in (
        (lambda: diff(model, "numpy", x), TypeError,
         "diff: model_b is a str: expected a minicnn Module, on(model, backend), or a torch.nn.Module"),
        (lambda: diff(Theirs(), Theirs(), x), TypeError, "diff: both are torch modules; one of them must be a network of minicnn"),
        (lambda: diff(model, model, x.astype(int)), TypeError, "diff: x has dtype int64, expected floating point: x.astype(np.float32)"),
        (lambda: diff(model, model, x[:0]), ValueError, "diff: x has shape (0, 2, 6, 5): there is nothing to compare"),
        (lambda: diff(model, model, x, [0, 3]), ValueError, "diff: labels go from 0 to 3, the network has 3 classes"),
        (lambda: on(Theirs(), "numpy"), TypeError,
         "on: expected a minicnn Module, got Theirs: only minicnn's networks have a choice of backends"),
    ):
        with pytest.raises(error) as caught:
            call()
        assert str(caught.value) == text


def test_command() -> None:
    done = CliRunner().invoke(app, ["diff", "digits", "--backend", "numpy", "--backend", "numba", "--batch", "2"])
    assert done.exit_code == 0, done.output
    assert "rounding: the largest difference is" in done.output
    as_json = CliRunner().invoke(app, ["diff", "digits", "--json", "--training"])
    assert json.loads(as_json.output)["verdict"] == "rounding"
    assert "--backend was given 3 times, expected once or twice: two sides are compared" in CliRunner().invoke(
        app, ["diff", "digits", *["--backend", "numpy"] * 3]).output


@pytest.mark.parametrize("kind", [nn.Conv2d, nn.ConvTranspose2d])
def test_fewer_products_are_rounding_too(kind: Any) -> None:
    """Where the plain sum has no terms but zeros, Winograd's tile may hold others, and their rounding."""
    rng = np.random.default_rng(0)
    x = np.where(rng.random((8, 16, 17, 18)) < 0.01, rng.standard_normal((8, 16, 17, 18)), 0).astype(np.float32)
    minicnn.manual_seed(0)
    layers = nn.Sequential(kind(16, 32, 3, padding=1), nn.ReLU(), kind(32, 16, 3, padding=1))
    found = diff(on(layers, "numpy"), on(layers, "numba"), x)
    assert found.verdict == "rounding", found
    assert all(one.largest > 0 for one in found.layers[2].judged if one.what != "gradient of bias"), "the layers are not computed by tiles"
    theirs = (torch.nn.Conv2d if kind is nn.Conv2d else torch.nn.ConvTranspose2d)(16, 32, 3, padding=1)
    ours = kind(16, 32, 3, padding=1)
    ours.load_state_dict(theirs.state_dict())
    assert diff(ours, theirs, x).verdict == "rounding"
