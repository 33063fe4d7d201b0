"""Devices: their names, what moves to them and back, what is refused, and that nothing is copied that nobody asked for."""
from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import minicnn
from minicnn import Tensor, kernels, nn, optim
from minicnn.data import ArrayDataset, DataLoader
from minicnn.kernels import devices
from minicnn.models import MultiLayerCNN
from minicnn.nn import functional as F
from minicnn.training import Predictor, checkpoint, evaluate, fit, metrics
from minicnn.training.checkpoint import Description
from tests import fake_cupy
from tests.compare import TRAINING64, assert_bounded, assert_close64, assert_equal
from tests.device import SIM, needs_simulator, transfers
from tests.strategies import floats, integers
from tests.test_cli import minicnn as command

pytestmark = needs_simulator


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that says it has a GPU."""
    monkeypatch.setitem(kernels._BACKENDS, "cuda", ("cuda_backend", lambda: None))


@pytest.fixture
def cupy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """CuPy's stand-in."""
    with fake_cupy.installed(monkeypatch) as module:
        yield module


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(kernels._BACKENDS, "cuda", ("cuda_backend", lambda: "there is no GPU"))


# Names

def test_names_of_devices(gpu: None) -> None:
    for device, name, kind, index, text in (
        (minicnn.device("cpu"), "cpu", "cpu", None, "device(type='cpu')"),
        (minicnn.device("cuda"), "cuda", "cuda", None, "device(type='cuda')"),
        (minicnn.device("cuda:0"), "cuda:0", "cuda", 0, "device(type='cuda', index=0)"),
        (minicnn.device("cuda", 0), "cuda:0", "cuda", 0, "device(type='cuda', index=0)"),
        (minicnn.device("cuda-sim"), "cuda-sim", "cuda-sim", None, "device(type='cuda-sim')"),
        (minicnn.device(minicnn.device("cuda-sim")), "cuda-sim", "cuda-sim", None, "device(type='cuda-sim')"),
    ):
        assert (device, device.type, device.index, repr(device)) == (name, kind, index, text)


@pytest.mark.parametrize("name", ["tpu", "cuda:x", "", "cuda-sim2"])
def test_unknown_devices(name: str) -> None:
    with pytest.raises(ValueError, match=f"^unknown device '{name}'; there are: cpu, cuda, cuda-sim$"):
        minicnn.device(name)


def test_a_device_is_named_by_a_text() -> None:
    with pytest.raises(TypeError, match=r"^a device is named by a text such as 'cpu' or 'cuda', got 0$"):
        minicnn.device(0)


def test_one_gpu_is_used(gpu: None) -> None:
    with pytest.raises(ValueError, match=r"^no device 'cuda:1': minicnn uses one device of each kind, number 0; the variable "
                                         r"CUDA_VISIBLE_DEVICES says which GPU that is$"):
        minicnn.device("cuda:1")


@pytest.mark.parametrize("ask", [
    lambda: minicnn.device("cuda"), lambda: minicnn.randn(2, device="cuda"), lambda: minicnn.as_tensor(1, device="cuda"),
    lambda: minicnn.ones(1).to("cuda"), lambda: minicnn.ones(1).cuda(), lambda: nn.Linear(1, 1).cuda(),
    lambda: minicnn.zeros(1, device="cuda"), lambda: nn.ReLU().to(device="cuda"), minicnn.cuda.synchronize,
    minicnn.cuda.get_device_name, minicnn.cuda.get_device_capability,
])
def test_a_device_that_is_not_there_says_why(no_gpu: None, ask: Any) -> None:
    with pytest.raises(ValueError, match=r"^no device 'cuda': there is no GPU$"):
        ask()
    assert (minicnn.cuda.is_available(), minicnn.cuda.device_count()) == (False, 0)


def test_the_idiom_of_torch(gpu: None) -> None:
    assert minicnn.device("cuda" if minicnn.cuda.is_available() else "cpu").type == "cuda"
    assert minicnn.cuda.device_count() == 1
    minicnn.cuda.synchronize("cuda-sim")


# Tensors

def test_to_and_back() -> None:
    x = minicnn.tensor([[1.0, 2.0], [3.0, 4.0]])
    transfers()
    y = x.to(SIM)
    assert transfers() == (1, 0)
    assert (y.device, y.device.type, x.device) == (SIM, SIM, "cpu")
    assert y.to(SIM) is y is y.to(y) is y.to(SIM, np.float32)
    assert repr(y) == "tensor([[1., 2.],\n        [3., 4.]], device='cuda-sim')"
    assert transfers() == (0, 1)
    assert_equal(y.cpu(), x)
    assert y.cpu().cpu().device == "cpu"
    assert y.double().device == y.to(x.double().to(SIM)).device == SIM
    assert x.to(SIM, np.float64).dtype == x.to(y.double()).dtype == np.float64
    assert Tensor(y.array).array is y.array


def test_a_copy_to_a_device_is_in_row_major_order() -> None:
    for x in (floats((3, 4), 0).T, floats((2, 3, 4, 5), 0).transpose(0, 3, 1, 2), floats((6,), 0)[::-2]):
        y = Tensor(x).to(SIM)
        assert y.is_contiguous()
        assert_equal(y.cpu(), x)
    view = Tensor(floats((3, 4), 0)).to(SIM).T
    assert not view.is_contiguous()
    assert_equal(view.cpu(), floats((3, 4), 0).T)


def test_values_come_out_when_asked() -> None:
    x = minicnn.tensor([2.5], device=SIM)
    transfers()
    assert (x.item(), float(x), int(x), x.tolist(), bool(x > 2), f"{x:.1f}") == (2.5, 2.5, 2, [2.5], True, "2.5")
    assert transfers() == (0, 6)
    for ask, what in ((lambda: x.numpy(), r"numpy\(\)"), (lambda: np.asarray(x), "an array")):
        with pytest.raises(TypeError, match=f"^{what} of a tensor on cuda-sim would be a hidden copy: copy it to the host first, with "
                                            r"\.cpu\(\)$"):
            ask()
    with pytest.raises(BufferError, match=r"^__dlpack__: the memory of a simulated device is nobody else's: use \.cpu\(\)$"):
        np.from_dlpack(x)
    assert x.equal(minicnn.tensor([2.5], device=SIM))
    assert x.allclose(minicnn.tensor([2.5], device=SIM))
    assert transfers()[1] == 2


def test_moving_is_recorded() -> None:
    x = minicnn.tensor([1.0, 2.0], requires_grad=True)
    y = x.to(SIM) * 3
    assert (y.grad_fn.name, y.requires_grad) == ("mul", True)
    y.sum().backward()
    assert x.grad.device == "cpu"
    assert_equal(x.grad, np.array([3, 3], np.float32))
    z = minicnn.tensor([1.0, 2.0], requires_grad=True, device=SIM)
    (z.cpu() * 2).sum().backward()
    assert z.grad.device == SIM
    assert_equal(z.grad.cpu(), np.array([2, 2], np.float32))


CREATION: dict[str, Callable[..., Tensor]] = {
    "zeros": lambda **o: minicnn.zeros(2, 3, **o),
    "ones": lambda **o: minicnn.ones(2, 3, dtype=np.int64, **o),
    "empty": lambda **o: minicnn.empty(2, 3, **o).zero_(),
    "full": lambda **o: minicnn.full((2, 3), 0.1, **o),
    "arange": lambda **o: minicnn.arange(1, 9, 2, **o),
    "arange of floats": lambda **o: minicnn.arange(0, 1, 0.25, **o),
    "linspace": lambda **o: minicnn.linspace(0, 1, 5, **o),
    "eye": lambda **o: minicnn.eye(3, 2, **o),
    "tensor": lambda **o: minicnn.tensor([[1, 2], [3, 4]], **o),
    "as_tensor": lambda **o: minicnn.as_tensor(np.arange(3.0), **o),
    "rand": lambda **o: minicnn.rand(4, **o),
    "randn": lambda **o: minicnn.randn(4, dtype=np.float64, **o),
    "randint": lambda **o: minicnn.randint(0, 9, (4,), **o),
    "randperm": lambda **o: minicnn.randperm(7, **o),
}


@pytest.mark.parametrize("create", CREATION.values(), ids=CREATION)
def test_new_tensors(create: Callable[..., Tensor]) -> None:
    """The same numbers on every device, and what needs no numbers of the host's is made there."""
    minicnn.manual_seed(1)
    expected = create()
    minicnn.manual_seed(1)
    transfers()
    got = create(device=SIM)
    copies = transfers()
    assert copies[1] == 0
    assert copies[0] == (create not in [CREATION[name] for name in ("zeros", "ones", "empty", "full", "arange", "arange of floats")])
    assert got.device == SIM
    assert_equal(got.cpu(), expected)


def test_new_tensors_like_another() -> None:
    x = minicnn.tensor([[1.0, 2.0]], device=SIM)
    for like in (minicnn.zeros_like, minicnn.ones_like, minicnn.empty_like, lambda t, **o: minicnn.full_like(t, 7, **o), minicnn.rand_like,
                 minicnn.randn_like):
        assert (like(x).device, like(x, device="cpu").device, like(x.cpu(), device=SIM).device, like(x).shape) == (SIM, "cpu", SIM, (1, 2))
    assert minicnn.tensor(x).device == minicnn.as_tensor(x).device == SIM
    assert minicnn.tensor(x).array is not x.array
    for name in ("normal_", "uniform_", "zero_"):
        minicnn.manual_seed(0)
        there = getattr(minicnn.zeros(3, device=SIM), name)()
        minicnn.manual_seed(0)
        assert_equal(there.cpu(), getattr(minicnn.zeros(3), name)())


def test_copy_into_a_tensor() -> None:
    x = minicnn.zeros(2, device=SIM)
    x.copy_(minicnn.tensor([1, 2]))
    assert_equal(x.cpu(), np.array([1, 2], np.float32))
    y = minicnn.zeros(2)
    y.copy_(x)
    assert_equal(y, np.array([1, 2], np.float32))
    x[0] = 5
    x[[1]] = minicnn.tensor([7.0])
    assert_equal(x.cpu(), np.array([5, 7], np.float32))
    x.fill_(minicnn.tensor(3.0, device=SIM))
    assert_equal(x.cpu(), np.array([3, 3], np.float32))


@pytest.mark.parametrize(("operation", "what"), [
    (lambda x, y: x + y, "add"), (lambda x, y: y * x, "mul"), (lambda x, y: x < y, "less"), (lambda x, y: x // y, "floor_divide"),
    (lambda x, y: x.where(y > 0, 0.0), "where"), (lambda x, y: F.linear(x, y), "linear"), (lambda x, y: F.linear(y, x), "linear"),
    (lambda x, y: minicnn.cat([x, y]), "cat"), (lambda x, y: x @ y, "matmul"), (lambda x, y: x.equal(y), "equal"),
    (lambda x, y: F.conv2d(x[None, None], y[None, None]), "conv2d"), (lambda x, y: F.conv2d(y[None, None], x[None, None]), "conv2d"),
    (lambda x, y: F.mse_loss(x, y), "sub"), (lambda x, y: F.cross_entropy(x, y[0].long()), "cross_entropy"),
    (lambda x, y: x.add_(y), "add"),
])
def test_devices_do_not_mix(operation: Callable[[Tensor, Tensor], Any], what: str) -> None:
    x, y = minicnn.ones(2, 2), minicnn.ones(2, 2, device=SIM)
    with pytest.raises(RuntimeError, match=rf"^{what}: expected all tensors to be on the same device, but found cpu and cuda-sim: "
                                           r"move one of them, with \.to\('cuda-sim'\) or \.to\('cpu'\)$"):
        operation(x, y)


def test_single_numbers_of_the_host_go_with_any_device() -> None:
    """As in torch."""
    x, two = minicnn.tensor([1.0, 2.0], device=SIM, requires_grad=True), minicnn.tensor(2.0)
    transfers()
    y = two * x + minicnn.tensor(1) - x / two
    y = y.masked_fill(x < minicnn.tensor(1.5), 4.0).maximum(two)
    y.sum().backward()
    assert transfers() == (0, 0)
    assert_equal(y.cpu(), np.array([4, 4], np.float32))
    assert_equal(x.grad.cpu(), np.array([0, 1.5], np.float32))
    with pytest.raises(TypeError, match=r"^a numpy\.ndarray meets a device array"):
        two.requires_grad_() * x


def test_an_error_that_is_no_mixing_of_devices_stays() -> None:
    with pytest.raises(ValueError, match=r"^add: shapes \(2,\) and \(3,\) do not broadcast"):
        minicnn.ones(2, device=SIM) + minicnn.ones(3, device=SIM)
    with pytest.raises(RuntimeError, match=r"^backward\(\): the gradient is on cpu, the tensor on cuda-sim$"):
        minicnn.ones(2, device=SIM, requires_grad=True).backward(minicnn.ones(2))


def test_where_an_array_is() -> None:
    assert devices.device_of(np.float32(1)) == devices.device_of(np.ma.zeros(2)) == "cpu"
    with pytest.raises(TypeError, match=r"^no backend for an array of type builtins\.list: expected numpy\.ndarray or cupy\.ndarray$"):
        devices.device_of([1, 2])
    x = np.zeros(2)
    assert devices.host(x) is devices.move(x, "cpu") is x
    assert type(devices.host(np.float32(1))) is np.ndarray


# A GPU: the stand-in for CuPy

def test_tensors_on_a_gpu(cupy: Any) -> None:
    transfers()
    x = minicnn.tensor([[1.0, 2.0]], requires_grad=True)
    y = x.cuda() * 2
    assert (y.device, y.device.type, y.device.index, type(y.array)) == ("cuda:0", "cuda", 0, cupy.ndarray)
    y.sum().backward()
    assert transfers() == (1, 1)
    assert_equal(x.grad, np.array([[2, 2]], np.float32))
    z = minicnn.zeros(2, device="cuda") + minicnn.arange(2, device="cuda:0") + minicnn.full((2,), 3, device=y.device)
    assert transfers() == (0, 0)
    assert repr(z) == "tensor([3., 4.], device='cuda:0')"
    assert z.to(SIM).device == SIM
    assert nn.Linear(2, 2).cuda().weight.device == "cuda:0"


def test_what_is_said_of_a_gpu(cupy: Any) -> None:
    assert (minicnn.cuda.is_available(), minicnn.cuda.device_count()) == (True, 1)
    assert (minicnn.cuda.get_device_name(), minicnn.cuda.get_device_capability("cuda:0")) == (fake_cupy.GPU, (8, 0))
    before = fake_cupy.COUNTS["synchronize"]
    minicnn.cuda.synchronize()
    assert fake_cupy.COUNTS["synchronize"] == before + 1
    assert kernels.details("cuda") == ("GPU: Simulated GPU, compute capability 8.0, 8 GiB", "CuPy 14.2.0, CUDA 13.2")
    assert f"{'cuda':10}available" in command("backends").stdout.splitlines()


# Random numbers

def test_dropout_makes_its_mask_on_the_device() -> None:
    x = minicnn.ones(64, 1024, device=SIM)
    masks = []
    for seed in (0, 0, 1):
        minicnn.manual_seed(seed)
        transfers()
        masks += [F.dropout(x, 0.25), F.dropout(x, 0.25)]
        assert transfers() == (0, 0)
    a, b, again, _, other, _ = (mask.cpu().array != 0 for mask in masks)
    assert_equal(a, again)
    assert_equal(masks[0].cpu(), np.where(a, np.float32(1) / np.float32(0.75), 0).astype(np.float32))
    sigma = (0.75 * 0.25 / a.size) ** 0.5
    for mask in (a, b, other):                                 # 5 sigma: one run in a million errs by chance, and the seed is fixed
        assert abs(mask.mean() - 0.75) < 5 * sigma
        for shifted in (np.roll(mask, 1), np.roll(mask, 1, axis=0), np.roll(mask, 2)):      # neighbours know nothing of one another
            assert abs((mask == shifted).mean() - (0.75**2 + 0.25**2)) < 5 * (0.25 / a.size) ** 0.5
    for one, two in ((a, b), (a, other), (b, other)):
        assert abs((one == two).mean() - (0.75**2 + 0.25**2)) < 5 * (0.25 / a.size) ** 0.5
    assert not F.dropout(x, 1.0).cpu().array.any()
    assert F.dropout(x, 1e-12).cpu().array.all()
    planes = F.dropout2d(minicnn.ones(8, 8, 3, 3, device=SIM), 0.5).cpu().array
    assert set(planes.reshape(64, 9).sum(1)) == {0.0, 18.0}


# Modules and optimisers

def small(dtype: Any = np.float32) -> nn.Module:
    minicnn.manual_seed(3)
    net = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.25), nn.Flatten(),
                        nn.Linear(64, 5))
    return net.to(dtype)


def test_a_module_moves_with_everything_it_has() -> None:
    net = small()
    parameters = list(net.parameters())
    F.cross_entropy(net(Tensor(floats((4, 1, 8, 8), 0))), minicnn.tensor([0, 1, 2, 3])).backward()
    gradients = [p.grad.array.copy() for p in parameters]
    assert net.to(SIM) is net
    assert list(net.parameters()) == parameters or all(p is q for p, q in zip(net.parameters(), parameters, strict=True))
    assert {t.device for t in (*net.parameters(), *net.buffers(), *(p.grad for p in parameters))} == {SIM}
    assert net[1].num_batches_tracked.dtype == np.int64
    net.to(SIM, np.float64).to(dtype=np.float32)
    net.cpu()
    for p, gradient in zip(parameters, gradients, strict=True):
        assert_equal(p.grad, gradient)
    net.zero_grad(set_to_none=False)
    assert repr(nn.Parameter(minicnn.ones(1, device=SIM))) == "Parameter containing:\ntensor([1.], device='cuda-sim', requires_grad=True)"


def test_initial_values_do_not_depend_on_the_device() -> None:
    for init in (nn.init.kaiming_normal_, nn.init.xavier_uniform_, nn.init.trunc_normal_, nn.init.orthogonal_, nn.init.ones_):
        minicnn.manual_seed(5)
        here = init(minicnn.empty(4, 3))
        minicnn.manual_seed(5)
        assert_equal(init(minicnn.empty(4, 3, device=SIM)).cpu(), here)


OPTIMIZERS: dict[str, Callable[[Any], optim.Optimizer]] = {
    "sgd": lambda p: optim.SGD(p, lr=0.05, momentum=0.9, weight_decay=0.01),
    "adamw": lambda p: optim.AdamW(p, lr=0.01),
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_state_moves_between_devices(optimizer: Callable[[Any], optim.Optimizer]) -> None:
    """A run that goes on elsewhere: network and optimiser through their state_dicts, in both directions."""
    def step(net: nn.Module, stepper: optim.Optimizer, seed: int) -> None:
        where = next(net.parameters()).device
        stepper.zero_grad()
        x, labels = Tensor(floats((4, 1, 8, 8), seed, np.float64)).to(where), minicnn.tensor([0, 1, 2, 3], device=where)
        F.cross_entropy(net(x), labels).backward()
        stepper.step()

    def fresh() -> nn.Module:
        """Without dropout, and without a bias before batch norm: its gradient is rounding, of which Adam makes a step by chance."""
        minicnn.manual_seed(3)
        return nn.Sequential(nn.Conv2d(1, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
                             nn.Linear(64, 5)).double()

    net = fresh()
    stepper = optimizer(net.parameters())
    for seed in range(3):
        step(net, stepper, seed)
    one = fresh()
    first = optimizer(one.parameters())
    step(one, first, 0)
    two = fresh().to(SIM)
    second = optimizer(two.parameters())
    two.load_state_dict(one.state_dict())
    second.load_state_dict(first.state_dict())
    step(two, second, 1)
    assert {v.device for state in second.state_dict()["state"].values() for v in state.values() if isinstance(v, Tensor)} == {SIM}
    three = fresh()
    third = optimizer(three.parameters())
    three.load_state_dict(two.state_dict())
    third.load_state_dict(second.state_dict())
    step(three, third, 2)
    for name, value in net.state_dict().items():
        if value.is_floating_point():
            assert_close64(three.state_dict()[name], value, name, TRAINING64)


def test_an_optimiser_whose_state_stayed_behind_says_so() -> None:
    net = nn.Linear(2, 2)
    stepper = optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    net(minicnn.ones(1, 2)).sum().backward()
    stepper.step()
    net.to(SIM)
    with pytest.raises(RuntimeError, match=r"^SGD\.step: expected all tensors to be on the same device, but found cpu and cuda-sim"):
        stepper.step()
    stepper.load_state_dict(stepper.state_dict())              # copies it to where the parameters are
    stepper.step()


def test_clipping_stays_on_the_device() -> None:
    net, there = nn.Linear(3, 2), nn.Linear(3, 2).to(SIM)
    for module in (net, there):
        for p in module.parameters():
            p.grad = Tensor(integers(p.shape, 1)).to(p.device)
    transfers()
    norm = nn.utils.clip_grad_norm_(there.parameters(), 1.0)
    nn.utils.clip_grad_value_(there.parameters(), 0.5)
    assert transfers() == (0, 0)
    expected = nn.utils.clip_grad_norm_(net.parameters(), 1.0)
    nn.utils.clip_grad_value_(net.parameters(), 0.5)
    for got, p in zip([norm, *(p.grad for p in there.parameters())], [expected, *(p.grad for p in net.parameters())], strict=True):
        assert_bounded(got.cpu(), p.array.astype(np.float64), np.abs(p.array), terms=16)
    there.weight.grad.fill_(np.nan)
    with pytest.raises(RuntimeError, match=r"^clip_grad_norm_: the norm of order 2\.0 of the gradients is nan"):
        nn.utils.clip_grad_norm_(there.parameters(), 1.0, error_if_nonfinite=True)


def test_labels_on_a_device_are_not_looked_at() -> None:
    """One out of range gives NaN; ignored ones and class weights count as on the CPU."""
    x, labels = floats((6, 4), 0, np.float64), np.array([0, 3, -100, 2, 1, -100])
    weight = Tensor(np.array([1.0, 2.0, 0.5, 3.0]))
    for options in ({}, {"weight": weight}, {"label_smoothing": 0.1}, {"weight": weight, "label_smoothing": 0.1}, {"reduction": "none"},
                    {"reduction": "sum", "weight": weight}):
        for loss in (F.cross_entropy, F.nll_loss):
            if loss is F.nll_loss and "label_smoothing" in options:
                continue
            results = []
            for device in ("cpu", SIM):
                t = Tensor(x).to(device).requires_grad_()
                on_device = {name: value.to(device) if isinstance(value, Tensor) else value for name, value in options.items()}
                target = Tensor(labels).to(device)
                transfers()
                y = loss(t, target, **on_device)
                y.sum().backward()
                assert transfers() == (0, 0)
                results.append((y.detach().cpu(), t.grad.cpu()))
            for got, expected in zip(*results[::-1], strict=True):
                assert_close64(got, expected, str(options))
    wrong = Tensor(np.array([0, 4, 1, -1, 2, 3])).to(SIM)
    for loss in (F.cross_entropy, F.nll_loss):
        assert np.isnan(loss(Tensor(x).to(SIM), wrong).item())
        each = loss(Tensor(x).to(SIM), wrong, reduction="none")
        assert_equal(each.isnan().cpu(), np.array([False, True, False, True, False, False]))
    assert np.isnan(F.cross_entropy(Tensor(x).to(SIM), Tensor(np.full(6, -100)).to(SIM)).item())
    assert_equal(F.one_hot(minicnn.tensor([2, 0], device=SIM)).cpu(), np.array([[0, 0, 1], [1, 0, 0]]))


# Training

@pytest.mark.parametrize("device", [SIM, "cuda"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_a_step_copies_nothing_but_the_batch_and_the_loss(optimizer: Callable[[Any], optim.Optimizer], device: str, cupy: Any) -> None:
    net = small().to(device)
    stepper, criterion = optimizer(net.parameters()), nn.CrossEntropyLoss(label_smoothing=0.1)
    images, labels = Tensor(floats((4, 1, 8, 8), 0)), minicnn.tensor([0, 1, 2, 3])
    for _ in range(2):
        transfers()
        x, t = images.to(device), labels.to(device)
        assert transfers() == (2, 0)
        stepper.zero_grad()
        loss = criterion(net(x), t)
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        stepper.step()
        assert transfers() == (0, 0)
        assert np.isfinite(loss.item())
        assert transfers() == (0, 1)


class Classifier(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features, self.head = MultiLayerCNN(1, 3, 3, 2), nn.Linear(6 * 2 * 2, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x).flatten(1))


@pytest.mark.parametrize(("optimizer", "dtype"), [("sgd", np.float32), ("sgd", np.float64), ("adam", np.float64)])
def test_two_steps_are_those_of_numpy(optimizer: str, dtype: Any) -> None:
    """float32 is held to the roundings of two steps. Not so Adam, which takes a full step where a gradient is all rounding: float64."""
    nets = []
    for device in ("cpu", SIM):
        minicnn.manual_seed(0)
        net = Classifier().to(dtype).to(device)
        stepper = (optim.SGD(net.parameters(), lr=0.05, momentum=0.9, weight_decay=0.01) if optimizer == "sgd"
                   else optim.Adam(net.parameters(), lr=0.01))
        with minicnn.use_backend("numpy"):
            for step in range(2):
                stepper.zero_grad()
                x, labels = Tensor(floats((4, 1, 8, 8), step, dtype)).to(device), Tensor(np.arange(4)).to(device)
                F.cross_entropy(net(x), labels).backward()
                stepper.step()
        nets.append(net.cpu())
    for name, expected in nets[0].state_dict().items():
        got = nets[1].state_dict()[name]
        if dtype == np.float64:
            assert_close64(got, expected, name, TRAINING64)
        else:                                                  # a gradient sums 4 images of 64 pixels, over values that sum 27 products
            assert_bounded(got, expected.array.astype(np.float64), np.abs(expected.array).max(), 4 * 64 + 27, name)


class Batches:
    """A dataset of tiny images whose class is where they are bright."""

    def __init__(self, count: int) -> None:
        self.labels = np.arange(count) % 4
        self.images = np.zeros((count, 1, 8, 8), np.uint8)
        for i, label in enumerate(self.labels):
            self.images[i, 0, 4 * (label // 2):4 * (label // 2) + 4, 4 * (label % 2):4 * (label % 2) + 4] = 200 + i % 50

    def loader(self, size: int) -> DataLoader:
        return DataLoader(ArrayDataset(self.images, self.labels, tuple("abcd")), size, prefetch=0)


def test_fit_moves_batches_and_fetches_once_a_batch() -> None:
    data, results = Batches(16), []
    for device in ("cpu", SIM):
        minicnn.manual_seed(0)
        net = Classifier().to(device)
        loader = data.loader(8)
        transfers()
        history = fit(net, loader, loader, optim.SGD(net.parameters(), lr=0.1, momentum=0.9), epochs=1)
        if device == SIM:      # 2 training batches; 2 test batches, where predictions come back too; the weights, looked at once an epoch
            assert transfers() == (2 * 2 + 2 * 2, 2 + 2 * 2 + len(net.state_dict()))
        results.append(history[0])
    here, there = results
    assert abs(here.loss - there.loss) < 1e-4
    assert (here.validation.correct, here.accuracy) == (there.validation.correct, there.accuracy)
    assert isinstance(there.loss, float)
    for p in net.parameters():
        p.array.fill(np.nan)
    with pytest.raises(FloatingPointError, match=r"^training diverged: the loss is nan in epoch 1, batch 1"):
        fit(net, loader, loader, optim.SGD(net.parameters(), lr=0.1), epochs=1)
    with pytest.raises(FloatingPointError, match=r"^the network's output is NaN"):
        evaluate(net, loader)


def test_accuracy_of_tensors_on_a_device() -> None:
    logits = minicnn.tensor([[1.0, 2.0], [3.0, 0.0], [float("nan"), 1.0]], device=SIM)
    assert metrics.accuracy(logits, minicnn.tensor([1, 0, 1], device=SIM)) == pytest.approx(2 / 3)


def test_a_checkpoint_knows_no_device(tmp_path: Path) -> None:
    minicnn.manual_seed(0)
    about = Description("digits", 1, (8, 8), tuple("abcde"), (0.5,), (0.25,), 0.0)
    net = about.build().to(SIM)
    checkpoint.save(tmp_path / "there.safetensors", net, about)
    checkpoint.save(tmp_path / "here.safetensors", net.cpu(), about)
    assert (tmp_path / "there.safetensors").read_bytes() == (tmp_path / "here.safetensors").read_bytes()
    loaded, _ = checkpoint.load(tmp_path / "there.safetensors")
    assert {t.device for t in loaded.state_dict().values()} == {"cpu"}
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(tmp_path / "x.png")
    here, there = (Predictor.load(tmp_path / "there.safetensors", device).predict([tmp_path / "x.png"])[0] for device in ("cpu", SIM))
    assert_bounded(there.probabilities, here.probabilities.astype(np.float64), 1, terms=1000)


def test_compiled_networks() -> None:
    net, x = small().eval(), Tensor(floats((2, 1, 8, 8), 0))
    fast = minicnn.compile(net)
    with minicnn.no_grad():
        expected = fast(x)
        net.to(SIM)
        got = fast(x.to(SIM))
        transfers()
        assert_equal(fast(x.to(SIM)).cpu(), got.cpu())
        assert transfers() == (1, 2)
        assert_bounded(got.cpu(), expected.array.astype(np.float64), np.abs(expected.array).max(), terms=1000)
        with pytest.raises(RuntimeError, match=r"^conv2d_relu: expected all tensors to be on the same device, but found cpu and cuda-sim"):
            fast(x)


# The command

def test_train_and_predict_on_the_simulated_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for colour, name in ((0, "red"), (2, "blue")):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for i in range(5):
            pixels = np.zeros((8, 8, 3), np.uint8)
            pixels[..., colour] = 150 + i
            Image.fromarray(pixels).save(tmp_path / "pictures" / name / f"{i}.png")
    arguments = ["--dataset", tmp_path / "pictures", "--model", "digits", "--image-size", "8", "--epochs", "1", "--batch-size", "4"]
    result = command("train", *arguments, "--backend", SIM, "--out", tmp_path / "one")
    assert result.exit_code == 0, result.output
    assert f"backend  {SIM}, seed 0" in result.stdout.splitlines()
    (folder,) = (tmp_path / "one").iterdir()
    assert json.loads((folder / "config.json").read_text())["backend"] == SIM
    monkeypatch.setenv("MINICNN_BACKEND", SIM)                 # the variable does the same
    image = tmp_path / "pictures" / "red" / "0.png"
    transfers()
    there = command("predict", folder, image, "--json")
    assert there.exit_code == 0, there.output
    assert transfers()[1] == 1
    here = command("predict", folder, image, "--json", "--backend", "numpy")
    assert transfers() == (0, 0)
    assert json.loads(there.stdout)[0]["class"] == json.loads(here.stdout)[0]["class"]
    assert json.loads(there.stdout)[0]["probability"] == pytest.approx(json.loads(here.stdout)[0]["probability"], abs=1e-4)
    result = command("backends")
    assert f"{SIM:10}available, the default" in result.stdout.splitlines()


def test_a_gpu_that_is_not_there(monkeypatch: pytest.MonkeyPatch, no_gpu: None) -> None:
    expected = f"error: backend 'cuda' is not available; available: {', '.join([*kernels.CPU_BACKENDS, SIM])}; not cuda: there is no GPU\n"
    assert re.fullmatch(re.escape(expected), command("train", "--backend", "cuda").stderr)
    monkeypatch.setenv("MINICNN_BACKEND", "cuda")
    assert (command("train").stderr, command("backends").stderr) == (expected, expected)
