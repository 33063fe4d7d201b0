"""Fused layers: the same to the bit as the layers one by one where nothing is folded, bounded where it is, and never when someone looks."""
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minicnn import Tensor, nn, no_grad, ops, use_backend
from tests.compare import assert_bounded, assert_equal
from tests.ops.neural import each_backend
from tests.strategies import Geometry, conv_geometries, floats, in_layout

Array = np.ndarray


@pytest.fixture
def fused(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The operations that fused layers called."""
    calls: list[str] = []

    def watched(name: str, operation: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *args, **options: calls.append(name) or operation(*args, **options)

    for name in ("conv2d", "conv2d_relu", "batch_norm_relu", "batch_norm_pool"):  # a Conv2d by itself calls what functional has imported
        monkeypatch.setattr(ops, name, watched(name, getattr(ops, name)))
    return calls


def one_by_one(modules: Sequence[nn.Module], x: Tensor) -> Tensor:
    for module in modules:
        x = module(x)
    return x


def conv_of(g: Geometry, bias: bool = True) -> nn.Conv2d:
    """A layer of this geometry, with random weights."""
    window = g.window
    conv = nn.Conv2d(g.C, g.F, window.kernel, window.stride, window.padding, window.dilation, g.groups, bias)
    for i, p in enumerate(conv.parameters()):
        p.array[...] = floats(p.shape, g.seed + 10 + i)
    return conv


def results(call: Callable[[nn.Sequential, Tensor], Tensor], net: nn.Sequential, x: Array) -> dict[str, Array]:
    """The output, and every gradient for a random dy."""
    image = Tensor(x, requires_grad=True)
    net.zero_grad()
    y = call(net, image)
    y.backward(Tensor(floats(y.shape, 5)))
    found = {"y": y.detach(), "dx": image.grad, **{name: p.grad for name, p in net.named_parameters()}}
    return {name: np.array(t.array) for name, t in found.items()}


@each_backend
@given(g=conv_geometries(), inplace=st.booleans(), unbatched=st.booleans())
def test_relu_is_the_same_to_the_bit(backend: str, g: Geometry, inplace: bool, unbatched: bool) -> None:
    x = in_layout(floats(g.x_shape[unbatched:], g.seed), g.layout)
    net = nn.Sequential(conv_of(g), nn.ReLU(inplace))
    with use_backend(backend):
        got, expected = (results(call, net, x) for call in (nn.Sequential.__call__, one_by_one))
        with no_grad():
            got["y without a tape"], expected["y without a tape"] = net(Tensor(x)).array, expected["y"]
    assert got.keys() == expected.keys()
    for name in expected:
        assert_equal(got[name], expected[name], name)


@each_backend
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("affine", [True, False])
def test_relu_after_batch_norm_is_the_same_to_the_bit(backend: str, training: bool, affine: bool) -> None:
    x, gradients, seen = floats((4, 3, 9, 20), 0), [], []
    with use_backend(backend):
        for call in (nn.Sequential.__call__, one_by_one):
            norm = norm_of(3, affine, affine, 1).train(training)
            net = nn.Sequential(norm, nn.ReLU())
            gradients.append(results(call, net, x))
            seen.append(norm.running_mean.array)
    for name in gradients[1]:
        assert_equal(gradients[0][name], gradients[1][name], name)
    assert_equal(seen[0], seen[1], "running mean")
    assert (gradients[0]["y"] == 0).any()


@each_backend
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("shape", [(4, 3, 9, 20), (2, 5, 2, 3), (3, 32, 8, 8)])
def test_pooling_after_batch_norm_and_relu(backend: str, affine: bool, shape: tuple[int, ...]) -> None:
    """The same output and running statistics to the bit. Gradients are held against the layers one by one in float64: sums of M dy."""
    x, found, seen = floats(shape, 0), [], []
    with use_backend(backend):
        for dtype, call in ((np.float32, nn.Sequential.__call__), (np.float32, one_by_one), (np.float64, one_by_one)):
            norm = norm_of(shape[1], affine, affine, 1).train()
            net = nn.Sequential(norm, nn.ReLU(), nn.MaxPool2d(2)).to(dtype)
            found.append(results(call, net, x.astype(dtype)))
            seen.append((norm.running_mean.array, norm.running_var.array))
    assert_equal(found[0]["y"], found[1]["y"], "y")
    assert_equal(seen[0][0], seen[1][0], "running mean")
    assert_equal(seen[0][1], seen[1][1], "running variance")
    assert (found[0]["y"] == 0).any()
    M = x.size // shape[1]
    for name in found[0].keys() - {"y"}:
        magnitude = abs(found[2][name]) + abs(found[2][name]).max()
        assert_bounded(found[0][name], found[2][name], magnitude, 2 * M, name)


@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate"])
def test_relu_with_every_padding(mode: str) -> None:
    net, x = nn.Sequential(nn.Conv2d(2, 3, 3, padding=1, padding_mode=mode), nn.ReLU()), floats((2, 2, 5, 6), 0)
    got, expected = (results(call, net, x) for call in (nn.Sequential.__call__, one_by_one))
    for name in expected:
        assert_equal(got[name], expected[name], name)


def norm_of(F: int, affine: bool, bias: bool, seed: int) -> nn.BatchNorm2d:
    """In eval mode, with statistics and parameters away from 0 and 1."""
    norm = nn.BatchNorm2d(F, affine=affine, bias=bias).eval()
    for i, t in enumerate((norm.weight, norm.bias, norm.running_mean, norm.running_var)):
        if t is not None:
            t.array[...] = floats((F,), seed + i) if t is not norm.running_var else floats((F,), seed) ** 2 + 0.1
    return norm


@each_backend
@given(g=conv_geometries(), conv_bias=st.booleans(), affine=st.booleans(), norm_bias=st.booleans(), relu=st.booleans())
def test_folded_batch_norm_differs_by_rounding(backend: str, g: Geometry, conv_bias: bool, affine: bool, norm_bias: bool,
                                               relu: bool) -> None:
    """The expected value: the same layers one by one, in float64. Its terms: the products, the bias, the mean and the shift."""
    conv, norm = conv_of(g, conv_bias), norm_of(g.F, affine, norm_bias, g.seed + 20)
    net = nn.Sequential(conv, norm, *[nn.ReLU()] * relu)
    x = in_layout(floats(g.x_shape, g.seed), g.layout)
    with use_backend(backend), no_grad():
        y = net(Tensor(x))
        net.double()
        expected = one_by_one(net, Tensor(x.astype(np.float64)))
        for t in (conv.weight, conv.bias, norm.weight, norm.bias):
            if t is not None:
                t.array[...] = abs(t.array)
        norm.running_mean.array[...] = -abs(norm.running_mean.array)
        magnitude = one_by_one((conv, norm), Tensor(abs(x).astype(np.float64)))
    assert_bounded(y, expected, magnitude, g.terms + 12)       # 12: scale, its product with the weight, and the bias, each a few roundings


LAYERS: dict[str, tuple[Callable[[], list[nn.Module]], bool, list[str]]] = {      # layers, recording, the fused operations
    "conv, relu": (lambda: [nn.Conv2d(2, 2, 1), nn.ReLU()], True, ["conv2d_relu"]),
    "conv, relu, no tape": (lambda: [nn.Conv2d(2, 2, 1), nn.ReLU()], False, ["conv2d_relu"]),
    "twice, and others between": (lambda: [nn.Conv2d(2, 2, 1), nn.ReLU(), nn.Tanh(), nn.Conv2d(2, 2, 1), nn.ReLU()], True,
                                  ["conv2d_relu"] * 2),
    "conv, norm": (lambda: [nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2).eval()], False, ["conv2d"]),
    "conv, norm, relu": (lambda: [nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2).eval(), nn.ReLU()], False, ["conv2d_relu"]),
    "conv, norm, tanh": (lambda: [nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2).eval(), nn.Tanh()], False, ["conv2d"]),
    "conv, norm, recorded": (lambda: [nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2).eval(), nn.ReLU()], True, ["batch_norm_relu"]),
    "conv, norm, training": (lambda: [nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2), nn.ReLU()], False, ["batch_norm_relu"]),
    "norm, relu": (lambda: [nn.BatchNorm2d(2), nn.ReLU()], True, ["batch_norm_relu"]),
    "norm, relu, pool": (lambda: [nn.BatchNorm2d(2), nn.ReLU(), nn.MaxPool2d(2)], True, ["batch_norm_pool"]),
    "conv, norm, relu, pool, relu": (lambda: [nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2), nn.ReLU(), nn.MaxPool2d((2, 2), 2), nn.ReLU()], False,
                                     ["batch_norm_pool"]),
    "norm, relu, pool in eval": (lambda: [nn.BatchNorm2d(2).eval(), nn.ReLU(), nn.MaxPool2d(2)], True, ["batch_norm_relu"]),
    "norm without statistics, relu, pool": (lambda: [nn.BatchNorm2d(2, track_running_stats=False), nn.ReLU(), nn.MaxPool2d(2)], True,
                                            ["batch_norm_pool"]),
    "norm, relu, pool of 3": (lambda: [nn.BatchNorm2d(2), nn.ReLU(), nn.MaxPool2d(3)], True, ["batch_norm_relu"]),
    "norm, relu, pool by 1": (lambda: [nn.BatchNorm2d(2), nn.ReLU(), nn.MaxPool2d(2, 1)], True, ["batch_norm_relu"]),
    "norm, relu, padded pool": (lambda: [nn.BatchNorm2d(2), nn.ReLU(), nn.MaxPool2d(2, padding=1)], True, ["batch_norm_relu"]),
    "norm, relu, dilated pool": (lambda: [nn.BatchNorm2d(2), nn.ReLU(), nn.MaxPool2d(2, dilation=2)], True, ["batch_norm_relu"]),
    "norm, relu, pool with ceil_mode": (lambda: [nn.BatchNorm2d(2), nn.ReLU(), nn.MaxPool2d(2, ceil_mode=True)], True, ["batch_norm_relu"]),
    "norm, relu, average pool": (lambda: [nn.BatchNorm2d(2), nn.ReLU(), nn.AvgPool2d(2)], True, ["batch_norm_relu"]),
    "norm, relu, hook on the pool": (lambda: [nn.BatchNorm2d(2), nn.ReLU(), hooked(nn.MaxPool2d(2))], True, ["batch_norm_relu"]),
    "norm, hook on the relu, pool": (lambda: [nn.BatchNorm2d(2), hooked(nn.ReLU()), nn.MaxPool2d(2)], True, []),
    "norm, tanh": (lambda: [nn.BatchNorm2d(2), nn.Tanh()], True, []),
    "a norm's subclass, relu": (lambda: [type("Norm", (nn.BatchNorm2d,), {})(2), nn.ReLU()], True, []),
    "norm, hook on the relu": (lambda: [nn.BatchNorm2d(2), hooked(nn.ReLU())], True, []),
    "norm without statistics": (lambda: [nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2, track_running_stats=False).eval()], False, []),
    "a norm's subclass": (lambda: [nn.Conv2d(2, 2, 1), type("Norm", (nn.BatchNorm2d,), {})(2).eval()], False, []),
    "a conv's subclass": (lambda: [type("Conv", (nn.Conv2d,), {})(2, 2, 1), nn.ReLU()], True, []),
    "a relu's subclass": (lambda: [nn.Conv2d(2, 2, 1), type("Gate", (nn.ReLU,), {})()], True, []),
    "transposed": (lambda: [nn.ConvTranspose2d(2, 2, 1), nn.ReLU()], True, []),
    "hook on conv": (lambda: [hooked(nn.Conv2d(2, 2, 1)), nn.ReLU()], True, []),
    "hook before conv": (lambda: [hooked(nn.Conv2d(2, 2, 1), before=True), nn.ReLU()], True, []),
    "hook on relu": (lambda: [nn.Conv2d(2, 2, 1), hooked(nn.ReLU())], True, []),
    "hook before relu": (lambda: [nn.Conv2d(2, 2, 1), hooked(nn.ReLU(), before=True)], True, []),
    "hook on norm": (lambda: [nn.Conv2d(2, 2, 1), hooked(nn.BatchNorm2d(2).eval()), nn.ReLU()], False, []),
    "hook on the relu after norm": (lambda: [nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2).eval(), hooked(nn.ReLU())], False, ["conv2d"]),
    "a forward of its own": (lambda: [nn.Conv2d(2, 2, 1), replaced(nn.ReLU())], True, []),
    "relu alone": (lambda: [nn.ReLU(), nn.Conv2d(2, 2, 1)], True, []),
    "nothing": (list, True, []),
}


def hooked(module: nn.Module, before: bool = False) -> nn.Module:
    """With a hook that doubles what it sees."""
    if before:
        module.register_forward_pre_hook(lambda module, args: args[0] * 2)
    else:
        module.register_forward_hook(lambda module, args, y: y * 2)
    return module


def replaced(module: nn.Module) -> nn.Module:
    module.forward = lambda x: x + 1
    return module


@pytest.mark.parametrize(("layers", "recording", "expected"), LAYERS.values(), ids=LAYERS)
def test_what_is_fused(fused: list[str], layers: Callable[[], list[nn.Module]], recording: bool, expected: list[str]) -> None:
    """And whatever is, the values are those of the layers one by one."""
    net, x = nn.Sequential(*layers()), Tensor(floats((2, 2, 4, 5), 0))
    with no_grad():
        separate = one_by_one(net, x).array.astype(np.float64)
    if recording:
        y = net(x).detach()
    else:
        with no_grad():
            y = net(x)
    assert fused == expected
    assert_bounded(y, separate, abs(separate) + 4, 16)


def test_folding_leaves_everything_as_it_was() -> None:
    net = nn.Sequential(nn.Conv2d(2, 3, 3), norm_of(3, True, True, 0), nn.ReLU())
    before = {name: t.array.copy() for name, t in net.state_dict().items()}
    with no_grad():
        first = net(Tensor(floats((1, 2, 5, 5), 1))).array.copy()
        for name, t in net.state_dict().items():
            assert_equal(t, before[name], name)
        net[0].weight.array *= 2                               # a change of the weights counts at once
        net[0].bias.array[...] = 0
        net[1].running_mean.array[...] = 0
        net[1].bias.array[...] = 0
        assert not np.array_equal(net(Tensor(floats((1, 2, 5, 5), 1))).array, first)


WRONG = {
    "channels of x": (nn.Sequential(nn.Conv2d(2, 2, 1), nn.ReLU()), np.zeros((1, 3, 4, 4), np.float32)),
    "an array": (nn.Sequential(nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2), nn.ReLU()), None),
    "features": (nn.Sequential(nn.Conv2d(2, 3, 1), nn.BatchNorm2d(2), nn.ReLU()), np.zeros((1, 2, 4, 4), np.float32)),
    "no batch axis": (nn.Sequential(nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2)), np.zeros((2, 4, 4), np.float32)),
    "dtypes": (nn.Sequential(nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2, dtype=np.float64)), np.zeros((1, 2, 4, 4), np.float32)),
    "dtype of x": (nn.Sequential(nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2)), np.zeros((1, 2, 4, 4))),
}


@pytest.mark.parametrize(("net", "x"), WRONG.values(), ids=WRONG)
def test_errors_are_those_of_the_layers(net: nn.Sequential, x: Array | None) -> None:
    net.eval()
    given: Any = np.zeros((1, 2, 4, 4), np.float32) if x is None else Tensor(x)
    with no_grad():
        with pytest.raises((TypeError, ValueError)) as separate:
            one_by_one(net, given)
        with pytest.raises(separate.type) as raised:
            net(given)
    assert str(raised.value) == str(separate.value)
