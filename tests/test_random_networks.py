"""Random networks beside torch's: chains and branches of layers of random geometry, one loss, and every gradient in float64.

A layer is a function of the library, minicnn or torch, so that both build the same network; torch's weights are loaded by state_dict.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

import minicnn
from minicnn import Tensor
from minicnn.autograd import Node
from tests.compare import TRAINING64, assert_close64
from tests.nn.beside_torch import same_state
from tests.strategies import floats, in_layout, layouts, seeds

EPS = 0.1                  # of the norms: with 1e-5 a channel without variance would multiply every rounding by 316

Build = Callable[[Any], Any]        # from minicnn or torch to a module


@dataclass
class Images:
    """What a layer is drawn for: its input, and whether pixels may be equal but for rounding, so that a maximum is not unique."""
    N: int
    C: int
    H: int
    W: int
    ties: bool = False


def pairs(draw: st.DrawFn, least: int, most: int) -> tuple[int, int]:
    return draw(st.tuples(st.integers(least, most), st.integers(least, most)))


def window(draw: st.DrawFn, x: Images) -> dict[str, Any]:
    """kernel, stride and padding that fit."""
    KH, KW = draw(st.integers(1, min(3, x.H))), draw(st.integers(1, min(3, x.W)))
    return {"kernel_size": (KH, KW), "stride": pairs(draw, 1, 2), "padding": (draw(st.integers(0, KH // 2)), draw(st.integers(0, KW // 2)))}


def conv(draw: st.DrawFn, x: Images) -> Build:
    groups = draw(st.sampled_from([g for g in (1, 2, x.C) if x.C % g == 0]))
    options = window(draw, x) | {"groups": groups, "bias": draw(st.booleans())}
    F = groups * draw(st.integers(1, 2))
    if options["padding"] != (0, 0):
        options["padding_mode"] = draw(st.sampled_from(["zeros", "replicate"]))
        x.ties |= options["padding_mode"] == "replicate"
    return lambda t: t.nn.Conv2d(x.C, F, **options)


def dilated_conv(draw: st.DrawFn, x: Images) -> Build:
    dilation, F = pairs(draw, 1, 2), draw(st.integers(1, 3))
    return lambda t: t.nn.Conv2d(x.C, F, 3, padding="same", dilation=dilation)


def transposed(draw: st.DrawFn, x: Images) -> Build:
    F, kernel, stride = draw(st.integers(1, 3)), pairs(draw, 1, 3), draw(st.integers(1, 2))
    x.ties = True                                              # pixels that only the bias reaches
    return lambda t: t.nn.ConvTranspose2d(x.C, F, kernel, stride, output_padding=stride - 1)


def max_pool(draw: st.DrawFn, x: Images) -> Build:
    options = window(draw, x) | {"ceil_mode": draw(st.booleans())}
    x.ties = True                                              # one maximum may win several windows
    return lambda t: t.nn.MaxPool2d(**options)


def avg_pool(draw: st.DrawFn, x: Images) -> Build:
    options = window(draw, x) | {"ceil_mode": draw(st.booleans()), "count_include_pad": draw(st.booleans())}
    return lambda t: t.nn.AvgPool2d(**options)


def adaptive_pool(draw: st.DrawFn, x: Images) -> Build:
    size = pairs(draw, 1, 4)
    x.ties = True
    return lambda t: t.nn.AdaptiveAvgPool2d(size)


def upsample(draw: st.DrawFn, x: Images) -> Build:
    options = draw(st.sampled_from([{"mode": "nearest"}, {"mode": "bilinear"}, {"mode": "bilinear", "align_corners": True}]))
    size = pairs(draw, 1, 6)
    x.ties = True
    return lambda t: t.nn.Upsample(size, **options)


def norm(draw: st.DrawFn, x: Images) -> Build:
    several = x.N * x.H * x.W > 1                              # with one value a channel, torch refuses even GroupNorm
    kind = draw(st.sampled_from(["batch", "group", "layer"] if several else ["layer"]))
    if kind == "batch":
        return lambda t: t.nn.BatchNorm2d(x.C, eps=EPS)
    if kind == "group":
        return lambda t: t.nn.GroupNorm(x.C, x.C, eps=EPS)
    return lambda t: t.nn.LayerNorm((x.H, x.W), eps=EPS)


def activation(draw: st.DrawFn, x: Images) -> Build:
    name = draw(st.sampled_from(["ReLU", "LeakyReLU", "ELU", "GELU", "SiLU", "Hardswish", "Sigmoid", "Tanh"]))
    inplace = {"inplace": True} if name in ("ReLU", "SiLU") and draw(st.booleans()) else {}
    return lambda t: t.nn.Sequential(t.nn.Identity(), Plus(t, 0), getattr(t.nn, name)(**inplace))


def Plus(t: Any, number: float) -> Any:
    """x + number: a new tensor, which the next layer may change in place."""
    class Module(t.nn.Module):
        def forward(self, x: Any) -> Any:
            return x + number
    return Module()


def branches(draw: st.DrawFn, x: Images) -> Build:
    """Two convolutions of one input, joined; the second one is used twice, and so is the input."""
    how, (DH, DW) = draw(st.sampled_from(["add", "multiply", "cat", "stack"])), pairs(draw, 1, 2)

    def build(t: Any) -> Any:
        class Branches(t.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.left = t.nn.Conv2d(x.C, x.C, 1)
                self.right = t.nn.Conv2d(x.C, x.C, 3, padding=(DH, DW), dilation=(DH, DW))

            def forward(self, x: Any) -> Any:
                left, right = self.left(x), self.right(t.tanh(self.right(x)))
                if how == "add":
                    return x + left + right
                if how == "multiply":
                    return x * t.sigmoid(left) + right.mean(dim=(2, 3), keepdim=True)
                if how == "cat":
                    return t.cat([left, x, right], dim=1)[:, 1:]
                return t.stack([left, right, x], dim=2).flatten(1, 2).permute(0, 1, 3, 2)
        return Branches()
    return build


KINDS = [conv, conv, dilated_conv, transposed, max_pool, avg_pool, adaptive_pool, upsample, norm, activation, branches]


@dataclass
class Network:
    """A network, built by either library, and what it is fed with."""
    builds: list[Build]
    shape: tuple[int, ...]
    features: int
    layout: str
    training: bool
    seed: int

    def build(self, t: Any) -> Any:
        return t.nn.Sequential(*(b(t) for b in self.builds), t.nn.Flatten(), t.nn.Linear(self.features, 4)).train(self.training)


@st.composite
def networks(draw: st.DrawFn) -> Network:
    N, C, H, W = shape = draw(st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(2, 9), st.integers(2, 9)))
    x, builds = Images(N, C, H, W), []
    for _ in range(draw(st.integers(1, 6))):
        kind = draw(st.sampled_from([k for k in KINDS if k is not max_pool or not x.ties]))
        builds.append(kind(draw, x))
        with torch.no_grad():                                  # torch tells the shape
            _, C, H, W = builds[-1](torch).eval()(torch.zeros(x.N, x.C, x.H, x.W)).shape
        x = Images(N, C, H, W, x.ties)
    return Network(builds, shape, C * H * W, draw(layouts), draw(st.booleans()), draw(seeds))


def run(net: Any, t: Any, x: Any, labels: Any) -> Any:
    y = net(x)
    return t.nn.functional.cross_entropy(y, labels, label_smoothing=0.1) + (y * y).mean()


@given(network=networks(), backend=st.sampled_from(["numpy", "numba"]))
def test_as_torch(network: Network, backend: str) -> None:
    torch.manual_seed(network.seed)
    theirs, ours = network.build(torch).double(), network.build(minicnn).double()
    ours.load_state_dict(theirs.state_dict())
    x, labels = floats(network.shape, network.seed, np.float64), np.arange(network.shape[0]) % 4
    mine, peer = Tensor(in_layout(x, network.layout), requires_grad=True), torch.tensor(x, requires_grad=True)
    with minicnn.use_backend(backend):
        loss = run(ours, minicnn, mine, Tensor(labels))
        loss.backward()
    expected = run(theirs, torch, peer, torch.tensor(labels))
    expected.backward()
    assert_close64(loss, expected, "loss", TRAINING64)
    assert_close64(mine.grad, peer.grad, "gradient of x", TRAINING64)
    for (name, a), b in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        assert_close64(a.grad, b.grad, f"gradient of {name}", TRAINING64)
    same_state(ours, theirs, TRAINING64)


@given(network=networks(), backend=st.sampled_from(["numpy", "numba"]))
def test_float32_stays_float32(network: Network, backend: str) -> None:
    """Every output of every layer, everything saved for backward, and every gradient."""
    net, outputs = network.build(minicnn), []
    for module in net.modules():
        module.register_forward_hook(lambda _, args, y: outputs.append(y))
    x = Tensor(in_layout(floats(network.shape, network.seed), network.layout), requires_grad=True)
    with minicnn.use_backend(backend):
        loss = run(net, minicnn, x, Tensor(np.arange(network.shape[0]) % 4))
        # interpolate keeps a few float64 weights an axis, which it converts when it uses them
        saved = [a for node in tape(loss.node) if node.name != "interpolate" for a in arrays(node.cache)]
        loss.backward()
    gradients = [p.grad for p in (x, *net.parameters()) if p.grad is not None]
    assert {t.dtype.name for t in (loss, *outputs, *saved, *gradients, *net.buffers())} <= {"float32", "int32", "int64", "bool"}


def tape(node: Any, seen: set[Any] | None = None) -> Iterator[Node]:
    """All recorded calls that led to a node."""
    seen = set() if seen is None else seen
    if isinstance(node, Node) and node not in seen:
        seen.add(node)
        yield node
        for source in node.inputs:
            yield from tape(source, seen)


def arrays(cache: Any) -> Iterator[np.ndarray]:
    """The arrays in a cache."""
    if isinstance(cache, np.ndarray | np.generic):
        yield cache
    elif isinstance(cache, tuple | list):
        for part in cache:
            yield from arrays(part)
