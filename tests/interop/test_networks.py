"""A network trained in torch gives the same outputs here, whichever way it came and on every backend; and the other way round."""
from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import given, settings

import minicnn
from minicnn import Tensor, data, interop, models, nn, optim
from minicnn.inspect.comparing import diff, on
from minicnn.training import Description, load_checkpoint, save_checkpoint
from tests.command_line import quick_run
from tests.compare import assert_equal
from tests.interop.test_layers import assert_same_layer
from tests.strategies import floats, integers
from tests.test_models import torch_digits, torch_tinyvgg
from tests.test_random_networks import Network, networks
from tests.test_ten_steps import TorchLeNet, TorchResNet8

SOME = max(5, settings.default.max_examples // 6)             # a network is many operations, each of which is one example

# Each built by either library: library.Conv2d and so on.
NETWORKS: dict[str, tuple[Callable[[Any], Any], tuple[int, ...]]] = {
    "plain": (lambda t: t.Sequential(t.Conv2d(2, 4, 3, padding=1), t.BatchNorm2d(4), t.ReLU(), t.MaxPool2d(2), t.Flatten(),
                                     t.Linear(4 * 3 * 4, 3)), (2, 6, 8)),
    "grouped": (lambda t: t.Sequential(OrderedDict(
        stem=t.Sequential(t.Conv2d(4, 8, (3, 2), stride=(2, 1), dilation=(1, 2), groups=4, bias=False), t.GroupNorm(2, 8), t.SiLU()),
        pool=t.AvgPool2d(2, 2, 1, ceil_mode=True, count_include_pad=False),
        head=t.Sequential(t.AdaptiveAvgPool2d(1), t.Flatten(), t.Dropout(0.5), t.Linear(8, 3)))), (4, 9, 7)),
    "upsampling": (lambda t: t.Sequential(
        t.Conv2d(1, 4, 3, 2, padding=1, padding_mode="reflect"), t.ELU(), t.ConvTranspose2d(4, 4, 3, 2, 1, 1, groups=2), t.LeakyReLU(0.2),
        t.Upsample(scale_factor=2, mode="bilinear"), t.Conv2d(4, 1, 3, padding="same", dilation=2), t.AdaptiveMaxPool2d((2, 3)),
        t.Flatten(), t.LayerNorm(6), t.Linear(6, 3, bias=False)), (1, 8, 6)),
    "odd norms": (lambda t: t.Sequential(
        t.Conv2d(2, 4, 3, padding=1, padding_mode="replicate"), t.BatchNorm2d(4, momentum=None, eps=0.01), t.GELU("tanh"),
        t.Conv2d(4, 4, 1, groups=4), t.BatchNorm2d(4, affine=False), t.Hardswish(inplace=True), t.Conv2d(4, 4, 1),
        t.BatchNorm2d(4, track_running_stats=False), t.Flatten(), t.Linear(4 * 5 * 4, 3), t.BatchNorm1d(3)), (2, 5, 4)),
}


def trained(name: str, library: Any = torch.nn, optimizers: Any = torch.optim, tensor: Any = torch.tensor, N: int = 4) -> tuple[Any, Any]:
    """The network after a few steps, in eval mode, and a batch for it."""
    build, shape = NETWORKS[name]
    torch.manual_seed(0)
    minicnn.manual_seed(0)
    net = build(library)
    optimizer = optimizers.SGD(net.parameters(), lr=0.05, momentum=0.9)
    for step in range(3):
        optimizer.zero_grad()
        loss = (net(tensor(floats((8, *shape), step))) - tensor(floats((8, 3), 10 + step))).pow(2).mean()
        loss.backward()
        optimizer.step()
    return net.eval(), floats((N, *shape), 20)


def by_module(theirs: Any, build: Any, path: Path) -> Any:
    return interop.from_torch(theirs)


def by_state_dict(theirs: Any, build: Any, path: Path) -> Any:
    ours = build(nn)
    ours.load_state_dict(interop.from_torch(theirs.state_dict()))
    return ours.eval()


def by_file(theirs: Any, build: Any, path: Path) -> Any:
    safetensors.torch.save_file(theirs.state_dict(), path / "theirs")
    ours = build(nn)
    ours.load_state_dict(interop.load_file(path / "theirs"))
    return ours.eval()


def by_model_file(theirs: Any, build: Any, path: Path) -> Any:
    safetensors.torch.save_model(theirs, str(path / "theirs"))
    ours = build(nn)
    interop.load_model(ours, path / "theirs")
    return ours.eval()


@pytest.mark.parametrize("road", [by_module, by_state_dict, by_file, by_model_file], ids=lambda road: road.__name__)
@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_trained_in_torch(tmp_path: Path, name: str, road: Any) -> None:
    """Every layer, forward and backward, is within what rounding allows of torch's, on each backend of the CPU."""
    theirs, x = trained(name)
    ours = road(theirs, NETWORKS[name][0], tmp_path)
    assert_same_layer(ours, theirs)
    for backend in ("numpy", "numba"):
        found = diff(on(ours, backend), theirs, x)
        assert found.verdict == "rounding", found
        assert found.weights is None


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_trained_in_torch_on_a_simulated_gpu(name: str) -> None:
    theirs, x = trained(name, N=1)
    found = diff(on(interop.from_torch(theirs), "cuda-sim"), theirs, x)
    assert found.verdict == "rounding", found


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_trained_here(tmp_path: Path, name: str) -> None:
    ours, x = trained(name, nn, optim, Tensor)
    theirs = interop.to_torch(ours)
    assert_same_layer(theirs, ours)
    for backend in ("numpy", "numba"):
        found = diff(on(ours, backend), theirs, x)
        assert found.verdict == "rounding", found
        assert found.weights is None
    interop.save_file(ours, tmp_path / "ours")
    for load in (lambda net: net.load_state_dict(interop.to_torch(ours.state_dict())),
                 lambda net: net.load_state_dict(safetensors.torch.load_file(tmp_path / "ours")),
                 lambda net: safetensors.torch.load_model(net, tmp_path / "ours")):
        other = NETWORKS[name][0](torch.nn).eval()
        load(other)
        for key, value in ours.state_dict().items():
            assert_equal(other.state_dict()[key], value, key)


@settings(max_examples=SOME)
@given(network=networks())
def test_any_network(tmp_path_factory: pytest.TempPathFactory, network: Network) -> None:
    """Classes with a forward of their own are written twice; the weights go both ways, directly and in files."""
    torch.manual_seed(network.seed)
    theirs, ours, path = network.build(torch), network.build(minicnn), tmp_path_factory.mktemp("weights")
    ours.load_state_dict(interop.from_torch(theirs.state_dict()))
    found = diff(ours, theirs, floats(network.shape, network.seed), training=network.training)
    assert found.verdict == "rounding", found
    interop.save_file(ours, path / "ours")
    for state in (interop.to_torch(ours.state_dict()), safetensors.torch.load_file(path / "ours")):
        again = network.build(torch)
        again.load_state_dict(state)
        for name, value in theirs.state_dict().items():
            assert_equal(again.state_dict()[name], value, name)


@pytest.mark.parametrize("backend", ["numpy", "numba", "cuda-sim"])
def test_exactly_the_same_on_integers(backend: str) -> None:
    """Every sum stays below 2**24, so there is no rounding to hide behind: outputs and gradients are equal."""
    theirs = torch.nn.Sequential(
        torch.nn.Conv2d(2, 4, 3, padding=1, groups=2), torch.nn.ReLU(), torch.nn.MaxPool2d(2), torch.nn.Conv2d(4, 2, 2, dilation=2),
        torch.nn.ConvTranspose2d(2, 2, 2, stride=2), torch.nn.ReLU(inplace=True), torch.nn.Flatten(), torch.nn.Linear(2 * 2 * 4, 3))
    with torch.no_grad():
        for i, p in enumerate(theirs.parameters()):
            p.copy_(torch.tensor(integers(tuple(p.shape), i, -2, 2)))
    ours = interop.from_torch(theirs).to("cuda-sim" if backend == "cuda-sim" else "cpu")
    x, dy = integers((1, 2, 6, 8), 7, -3, 3), integers((1, 3), 8)
    mine = Tensor(x, requires_grad=True)
    with minicnn.use_backend("numpy" if backend == "cuda-sim" else backend):
        y = ours(mine.to(backend) if backend == "cuda-sim" else mine)
        y.backward(Tensor(dy).to(y.device))
    peer = torch.tensor(x.astype(np.float64), requires_grad=True)
    expected = theirs.double()(peer)
    expected.backward(torch.tensor(dy.astype(np.float64)))
    assert expected.abs().max() > 100                          # there is something to be equal
    assert_equal(y.cpu(), expected)
    assert_equal(mine.grad, peer.grad)
    for (name, p), q in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        assert_equal(p.grad.cpu(), q.grad, name)


# The networks of minicnn.models, as `minicnn train` writes them, in torch classes that were written for torch.
TWINS: dict[str, tuple[Description, Callable[[], Any]]] = {
    name: (Description(name, shape[0], shape[1:], tuple("abcdefghij"[:classes]), (0.5,) * shape[0], (0.25,) * shape[0], 0.0), build)
    for name, shape, classes, build in (("lenet", (1, 16, 20), 5, TorchLeNet), ("tinyvgg", (1, 8, 8), 10, torch_tinyvgg),
                                        ("resnet8", (3, 8, 10), 5, TorchResNet8), ("digits", (1, 8, 8), 10, torch_digits))}


@pytest.mark.parametrize(("about", "build"), TWINS.values(), ids=TWINS)
def test_what_minicnn_train_writes_loads_in_torch(tmp_path: Path, about: Description, build: Callable[[], Any]) -> None:
    """With safetensors.torch alone, into the networks of other tests here that were written for torch."""
    minicnn.manual_seed(0)
    ours, shape = about.build(), (2, about.in_channels, *about.image_size)
    ours(Tensor(floats(shape, 0)))                             # running statistics move
    ours.eval()
    save_checkpoint(tmp_path / "best.safetensors", ours, about)
    theirs = build()
    theirs.load_state_dict(safetensors.torch.load_file(tmp_path / "best.safetensors"))
    assert safetensors.torch.load_model(build(), tmp_path / "best.safetensors") == (set(), [])
    found = diff(ours, theirs, floats(shape, 1))
    assert found.verdict == "rounding", found
    assert found.weights is None
    again = models.create(about.model, about.in_channels, about.image_size, len(about.classes))
    again.load_state_dict(interop.from_torch(theirs.state_dict()))
    for name, value in ours.state_dict().items():
        assert_equal(again.state_dict()[name], value, name)


def test_a_run_of_minicnn_train_loads_in_torch(tmp_path: Path) -> None:
    """The files themselves, of a real training, on real images."""
    folder = quick_run(tmp_path)
    ours, about = load_checkpoint(folder / "best.safetensors")
    images = data.load("digits")[1].images[:4] / np.float32(16)
    x = data.Normalize(about.mean, about.std)(images.astype(np.float32))
    for name in ("best", "last"):
        theirs = torch_digits().eval()
        theirs.load_state_dict(safetensors.torch.load_file(folder / f"{name}.safetensors"))
        found = diff(load_checkpoint(folder / f"{name}.safetensors")[0], theirs, x)
        assert found.verdict == "rounding", found
        assert found.weights is None
    assert ours.features[1].num_batches_tracked.item() > 10


def test_a_converted_network_is_its_own() -> None:
    theirs = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))
    ours = interop.from_torch(theirs)
    again = interop.to_torch(ours)
    for tensor in ours.state_dict().values():
        tensor.array[...] = 7
    assert not any((t == 7).any() for t in (*theirs.state_dict().values(), *again.state_dict().values()))
    assert all(p.device.type == "cpu" for p in again.parameters())


def test_converting_draws_no_random_numbers() -> None:
    minicnn.manual_seed(3)
    torch.manual_seed(3)
    expected = minicnn.rand(3), torch.rand(3)
    minicnn.manual_seed(3)
    torch.manual_seed(3)
    interop.to_torch(interop.from_torch(copy.deepcopy(NETWORKS["odd norms"][0](torch.nn).requires_grad_(False))))
    assert_equal(minicnn.rand(3), expected[0])
    torch.manual_seed(3)
    interop.to_torch(nn.Linear(2, 2))
    assert_equal(torch.rand(3), expected[1])


def test_what_is_shared_stays_shared() -> None:
    for library, convert in ((torch.nn, interop.from_torch), (nn, interop.to_torch)):
        relu = library.ReLU()
        net = library.Sequential(library.Linear(3, 3), relu, library.Linear(3, 3), relu)
        net[2].weight = net[0].weight
        made = convert(net)
        assert made[1] is made[3]
        assert made[0].weight is made[2].weight is not net[0].weight
        assert made[0].bias is not made[2].bias


class Blocks(torch.nn.Sequential):
    """Another name for a Sequential."""


def test_containers_frozen_parameters_and_modes() -> None:
    theirs = Blocks(OrderedDict(
        a=torch.nn.Linear(2, 2), b=torch.nn.Sequential(), c=Blocks(torch.nn.BatchNorm1d(2).eval(), torch.nn.Dropout()),
        last=torch.nn.Linear(2, 2).double())).requires_grad_(False)
    theirs.c[1].p = 0.25
    ours = interop.from_torch(theirs)
    assert list(ours._modules) == ["a", "b", "c", "last"]
    assert (type(ours), ours.c[1].p, ours.last.weight.dtype) == (nn.Sequential, 0.25, np.float64)
    assert [m.training for m in ours.modules()] == [m.training for m in theirs.modules()]
    assert not any(p.requires_grad for p in (*ours.parameters(), *interop.to_torch(ours).parameters()))
    lists = torch.nn.ModuleDict({"x": torch.nn.ModuleList([torch.nn.ReLU(), torch.nn.Tanh()])})
    assert repr(interop.from_torch(lists)) == repr(lists) == repr(interop.to_torch(interop.from_torch(lists)))


def test_half_precision_becomes_float32() -> None:
    theirs = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.BatchNorm1d(3)).bfloat16()
    ours = interop.from_torch(theirs)
    assert {t.dtype.name for t in ours.state_dict().values()} == {"float32", "int64"}
    assert_equal(ours[0].weight, theirs[0].weight.float())


def test_from_a_device() -> None:
    ours = nn.Linear(2, 3)
    assert_same_layer(interop.to_torch(copy.deepcopy(ours).to("cuda-sim")), ours)


class Net(torch.nn.Module):
    def forward(self, x: Any) -> Any:
        return x


class OurNet(nn.Module):
    def forward(self, x: Any) -> Any:
        return x


class OptimizedModule(torch.nn.Module):
    """What torch.compile makes has this name."""


class Convolution(torch.nn.Conv2d):
    """It might compute anything."""


def changed(layer: Any, change: Callable[[Any], Any]) -> Any:
    change(layer)
    return layer


OWN = ("a class with a forward of its own, which cannot be carried over: write the same class on minicnn.nn and load the weights into it, "
       "with .load_state_dict(from_torch(module.state_dict()))")
HOOKS = "it has forward hooks (of spectral norm, of pruning, ...), which cannot be carried over: remove them first"
t = torch.nn


@pytest.mark.parametrize(("build", "text"), [
    (lambda: Net(), f"the module (Net): {OWN}"),
    (lambda: t.Sequential(t.ReLU(), t.Sequential(Net())), f"1.0 (Net): {OWN}"),
    (lambda: Convolution(1, 1, 1), f"the module (Convolution): {OWN}"),
    (lambda: t.Module(), "the module (Module): minicnn.nn has no such layer"),
    (lambda: t.Sequential(t.Conv3d(1, 1, 1)), "0 (Conv3d): minicnn.nn has no such layer"),
    (lambda: t.Sequential(t.Conv2d(1, 1, 1, padding_mode="circular")),
     "0 (Conv2d): Conv2d: padding_mode is 'circular': must be one of 'zeros', 'reflect', 'replicate'"),
    (lambda: t.Softmax(), "the module (Softmax): without dim it guesses the axis: give it one"),
    (lambda: t.Upsample(scale_factor=2, mode="bicubic"),
     "the module (Upsample): its mode is 'bicubic': minicnn has 'nearest' and 'bilinear'"),
    (lambda: t.Sequential(t.LazyLinear(3)), "0 (LazyLinear): its shapes are not known yet: run it once"),
    (lambda: t.utils.parametrizations.weight_norm(t.Linear(2, 3)), "the module (ParametrizedLinear): it is parametrised: "
     "torch.nn.utils.parametrize.remove_parametrizations makes it plain"),
    (lambda: t.utils.spectral_norm(t.Linear(2, 3)), f"the module (Linear): {HOOKS}"),
    (lambda: changed(t.Sequential(t.ReLU()), lambda net: net.register_forward_hook(print)), f"the module (Sequential): {HOOKS}"),
    (lambda: changed(t.ReLU(), lambda layer: setattr(layer, "forward", abs)),
     "the module (ReLU): its forward was replaced, which cannot be carried over: put the class's own back first"),
    (lambda: changed(t.Linear(1, 1), lambda layer: layer.register_buffer("mask", torch.ones(1))),
     "the module (Linear): its buffers are not those of its class: mask"),
    (lambda: OptimizedModule(),
     "the module (OptimizedModule): it was made by torch.compile: give the module inside, ._orig_mod"),
    (lambda: t.Sequential(t.DataParallel(t.ReLU())), "0 (DataParallel): it is a wrapper: give the module inside, .module"),
    (lambda: t.Linear(2, 2, device="meta"), "weight has no values: it is on torch's device 'meta'"),
], ids=lambda v: "" if callable(v) else v.split(":")[0])
def test_errors_from_torch(build: Callable[[], Any], text: str) -> None:
    with pytest.raises(TypeError) as error:
        interop.from_torch(build())
    assert str(error.value) == f"from_torch: {text}"


@pytest.mark.parametrize(("build", "text"), [
    (lambda: models.LeNet(), "the module (LeNet): a class with a forward of its own, which cannot be carried over: write the same class on "
     "torch.nn and load the weights into it, with .load_state_dict(to_torch(model.state_dict()))"),
    (lambda: nn.Sequential(nn.Conv2d(1, 1, 3, padding=(1, 2, 3, 4))), "0 (Conv2d): its padding (top, bottom, left, right) = (1, 2, 3, 4) "
     "is not the same on both sides: put a ZeroPad2d before it"),
    (lambda: nn.Conv2d(1, 1, 3, 2, padding="same"), "the module (Conv2d): padding='same' is not supported for strided convolutions"),
    (lambda: changed(nn.ReLU(), lambda layer: layer.register_forward_pre_hook(print)), f"the module (ReLU): {HOOKS}"),
    (lambda: changed(nn.ReLU(), lambda layer: setattr(layer, "forward", abs)),
     "the module (ReLU): its forward was replaced, which cannot be carried over: put the class's own back first"),
])
def test_errors_to_torch(build: Callable[[], Any], text: str) -> None:
    with pytest.raises(TypeError) as error:
        interop.to_torch(build())
    assert str(error.value) == f"to_torch: {text}"


def test_four_sides_that_torch_has_too() -> None:
    assert interop.to_torch(nn.Conv2d(1, 1, 3, padding=(1, 1, 2, 2))).padding == (1, 2)
