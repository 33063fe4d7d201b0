"""Tensor: what it is made from, how it prints, how it leaves the framework, and its in-place operations beside torch's."""
from __future__ import annotations

import copy
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch

import minicnn
from minicnn import Tensor
from tests.compare import assert_equal
from tests.strategies import integers

LEAF = "a leaf tensor that requires grad cannot be changed in place: do it inside `with no_grad():`"


@pytest.mark.parametrize(("data", "dtype"), [
    (1, np.int64), (1.5, np.float32), (True, np.bool_), ([1, 2], np.int64), ([1.0, 2], np.float32), (np.float64(1), np.float64),
    (np.ones(2), np.float64), (np.ones(2, np.int32), np.int32), (np.ones(2, np.float32), np.float32), ([], np.float32),
])
def test_dtype_of_data(data: Any, dtype: Any) -> None:
    assert Tensor(data).dtype == dtype


def test_what_it_is() -> None:
    x = minicnn.zeros(2, 3, 4)
    assert (x.shape, x.size(), x.size(-1), x.ndim, x.dim(), len(x)) == ((2, 3, 4), (2, 3, 4), 4, 3, 3, 2)
    assert (x.numel(), x.nelement(), x.dtype, x.device, x.is_leaf) == (24, 24, minicnn.float32, "cpu", True)
    assert (x.is_floating_point(), x.long().is_floating_point(), x.is_contiguous(), x.T.is_contiguous()) == (True, False, True, False)
    assert x.T.contiguous().is_contiguous()
    assert x.contiguous() is x
    assert [row.shape for row in x] == [(3, 4), (3, 4)]
    assert minicnn.is_tensor(x)
    assert not minicnn.is_tensor(x.array)
    assert minicnn.is_tensor(x.data)


@pytest.mark.parametrize(("tensor", "text"), [
    (Tensor([1.0, -2.5]), "tensor([ 1. , -2.5])"),
    (Tensor([[1, 2], [3, 4]]), "tensor([[1, 2],\n        [3, 4]])"),
    (Tensor([True, False]), "tensor([ True, False])"),
    (Tensor(3.0), "tensor(3.)"),
    (Tensor([1.0, np.nan, np.inf]), "tensor([ 1., nan, inf])"),
    (Tensor([1 / 3]), "tensor([0.3333])"),
    (Tensor([1.0]).double(), "tensor([1.], dtype=float64)"),
    (Tensor([1], dtype=np.uint8), "tensor([1], dtype=uint8)"),
    (minicnn.zeros(0, 3), "tensor([], shape=(0, 3))"),
    (minicnn.zeros(100, 3), "tensor([[0., 0., 0.],\n        [0., 0., 0.],\n        [0., 0., 0.],\n        ...,\n        [0., 0., 0.],\n"
                            "        [0., 0., 0.],\n        [0., 0., 0.]], shape=(100, 3))"),
    (Tensor([1.0], requires_grad=True), "tensor([1.], requires_grad=True)"),
    (Tensor([1.0], requires_grad=True) * 2, "tensor([2.], grad_fn=<mul>)"),
])
def test_repr(tensor: Tensor, text: str) -> None:
    assert repr(tensor) == str(tensor) == f"{tensor}" == text


def test_as_a_python_number() -> None:
    x = Tensor([2.5])
    assert (float(x), int(x), x.item(), f"{x.sum():.2f}", bool(x)) == (2.5, 2, 2.5, "2.50", True)
    assert [10, 20, 30][Tensor(1)] == 20
    assert Tensor([[1, 2]]).tolist() == [[1, 2]]


def test_as_an_array() -> None:
    x = minicnn.zeros(2)
    assert x.numpy() is x.array
    assert np.shares_memory(np.asarray(x), x.array)
    assert not np.shares_memory(np.array(x), x.array)
    assert np.asarray(x, dtype=np.float64).dtype == np.float64
    assert_equal(np.exp(x), np.ones(2, np.float32))
    np.testing.assert_array_equal(np.stack([x, x]), np.zeros((2, 2)))


@pytest.mark.parametrize(("call", "error", "text"), [
    (lambda x: x.numpy(), RuntimeError, "numpy() on a tensor that requires grad would lose its gradient: use detach().numpy()"),
    (np.asarray, RuntimeError, "an array of a tensor that requires grad would lose its gradient: use detach()"),
    (lambda x: x.item(), RuntimeError, "item(): a tensor of shape (2,) has 2 values, not one"),
    (bool, RuntimeError, "a tensor of shape (2,) is neither true nor false: use .any() or .all()"),
    (lambda x: [1, 2][x.sum()], TypeError, "only integer tensors of a single value can be an index, this one is float32"),
    (lambda x: x.reshape(2, 1, 1).t(), ValueError,
     "t(): a tensor of 3 axes (shape (2, 1, 1)) has no one transpose: use permute() or transpose()"),
    (lambda x: len(x.sum()), TypeError, "len() of a 0-d tensor"),
    (lambda x: list(x.sum()), TypeError, "iteration over a 0-d tensor"),
    (lambda x: x.long().requires_grad_(), RuntimeError, "only floating-point tensors can require gradients, this one is int64"),
    (lambda x: (x * 2).requires_grad_(False), RuntimeError,
     "this tensor is the result of a recorded operation, so its requires_grad cannot be switched off: use detach()"),
])
def test_errors(call: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error) as raised:
        call(minicnn.ones(2, requires_grad=True))
    assert str(raised.value) == text


# In place. Each program gets the library, a constant c, a parameter p and a second one q, and returns tensors to compare.

def step(t: Any, c: Any, p: Any, q: Any) -> Any:
    (p * q).sum().backward()
    with t.no_grad():
        p -= p.grad * 0.5
        p.mul_(2)
    return p, p.grad


def old_value_used_before(t: Any, c: Any, p: Any, q: Any) -> Any:
    y = p * 2
    z = y * q                                                  # saves the old y
    w = y + 1
    w += z
    w *= 3
    w -= q
    (w * w).sum().backward()
    return w.detach(), p.grad, q.grad


def constant_becomes_recorded(t: Any, c: Any, p: Any, q: Any) -> Any:
    c += p
    c /= 2
    (c * q).sum().backward()
    return c.detach(), p.grad, q.grad


def methods(t: Any, c: Any, p: Any, q: Any) -> Any:
    y = p * 1
    y.add_(q, alpha=2).sub_(c).mul_(q).div_(4).clamp_(-3, 3)
    y.sub_(c, alpha=0.5)
    y **= 2
    y.backward(c)
    return y.detach(), p.grad, q.grad


def copies(t: Any, c: Any, p: Any, q: Any) -> Any:
    y = p * 3
    y.copy_(q[0])
    (y * p).sum().backward()
    with t.no_grad():
        p.copy_(c * 2)
        q.fill_(1.5)
    c.zero_()
    return p, p.grad, q, q.grad, c


def under_no_grad_of_a_result(t: Any, c: Any, p: Any, q: Any) -> Any:
    y = p + q                                                  # add saves no values, so changing y is allowed
    with t.no_grad():
        y += 10
    (y * c).sum().backward()
    return y.detach(), p.grad, q.grad


@pytest.mark.parametrize("program", [step, old_value_used_before, constant_becomes_recorded, methods, copies, under_no_grad_of_a_result])
def test_in_place_beside_torch(program: Any) -> None:
    in_place_beside_torch(program)


def in_place_beside_torch(program: Any) -> None:
    arrays = [integers((2, 3), seed) for seed in (1, 2, 3)]
    ours = [Tensor(a.copy(), requires_grad=i > 0) for i, a in enumerate(arrays)]
    theirs = [torch.tensor(a.copy(), requires_grad=i > 0) for i, a in enumerate(arrays)]
    for got, expected in zip(program(minicnn, *ours), program(torch, *theirs), strict=True):
        assert_equal(got, expected)


def test_in_place_keeps_the_array_and_its_dtype() -> None:
    p = minicnn.ones(3, requires_grad=True)
    data = p.array
    with minicnn.no_grad():
        p += np.ones(3)
        p -= minicnn.ones(3).double() * 0.5
    assert p.array is data
    assert_equal(data, np.full(3, 1.5, np.float32))
    y = p * 1
    y += minicnn.ones(3).double()
    assert y.dtype == np.float32
    (y * y).sum().backward()
    assert_equal(p.grad, np.full(3, 5, np.float32))


def test_in_place_with_itself() -> None:
    x = Tensor([1.0, 2.0, 3.0])
    x.copy_(x.flip(0))
    x += x
    assert_equal(x, np.array([6, 4, 2], np.float32))


@pytest.mark.parametrize(("change", "text"), [
    (lambda p: p.add_(1), LEAF),
    (lambda p: p.zero_(), LEAF),
    (lambda p: p.normal_(), LEAF),
    (lambda p: p.detach().add_(minicnn.ones(2, 3)), "in-place operation: the result has shape (2, 3), the tensor (3,)"),
    (lambda p: p.long().add_(1.5), "in-place operation: the result is float32, which does not fit into a tensor of int64"),
])
def test_in_place_errors(change: Any, text: str) -> None:
    p = minicnn.ones(3, requires_grad=True)
    with pytest.raises(RuntimeError) as raised:
        change(p)
    assert str(raised.value) == text
    assert_equal(p, np.ones(3, np.float32))


def test_deep_copy() -> None:
    p = minicnn.ones(3, requires_grad=True)
    (p * 2).sum().backward()
    q = copy.deepcopy(p)
    assert (q.requires_grad, q.is_leaf, np.shares_memory(q.array, p.array)) == (True, True, False)
    assert_equal(q.grad, p.grad)


# The package

def test_submodules_need_no_import_of_their_own() -> None:
    program = "import sys, minicnn; early = 'minicnn.nn' in sys.modules; minicnn.nn.Conv2d, minicnn.optim.SGD, minicnn.models; print(early)"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "False\n"


def test_public_names() -> None:
    for name in minicnn.__all__:
        assert getattr(minicnn, name) is not None
    with pytest.raises(AttributeError, match=r"^module 'minicnn' has no attribute 'cnn'$"):
        _ = minicnn.cnn
    assert np.dtype(np.float32) == minicnn.float32 == minicnn.zeros(1).dtype


def data_in_place(t: Any, c: Any, p: Any, q: Any) -> Any:
    (p * p * q).sum().backward()
    p.data -= 0.25 * p.grad
    p.data.add_(p.grad.data, alpha=-0.5).mul_(c.data)
    p.grad.data.zero_()
    q.data[0].fill_(2)
    q.data = q.data * 4
    q.data.clamp_(-8, 8)
    y = (p * q).sum()
    y.backward()
    return p, q, p.grad, q.grad, y.data, p.data, p.data.max()


def test_data_is_the_same_values_outside_the_tape() -> None:
    in_place_beside_torch(data_in_place)
    p = minicnn.ones(3, requires_grad=True)
    array, y = p.array, p * 2
    p.data -= 0.25
    assert p.array is array is p.data.array
    assert (p.data.requires_grad, p.is_leaf, p.requires_grad, y.data.is_leaf) == (False, True, True, True)
    p.data = np.zeros(3, np.float32)
    assert_equal(p, np.zeros(3, np.float32))


def test_numpy_functions_of_tensors_are_recorded_where_they_are_operations() -> None:
    p = Tensor(np.array([1.0, 4.0], np.float32), requires_grad=True)
    ones = np.ones(2, np.float32)
    for y, gradient in ((ones * p, [1, 1]), (np.float32(2) * p, [2, 2]), (np.sqrt(p), [0.5, 0.25]), (np.negative(p), [-1, -1])):
        assert isinstance(y, Tensor)
        p.grad = None
        y.sum().backward()
        assert_equal(p.grad, np.array(gradient, np.float32))
    assert_equal(np.array([1, 5], np.float32) == p, np.array([True, False]))
    assert_equal(np.add.reduce(p.detach()), np.array(5, np.float32))
    with pytest.raises(RuntimeError, match=r"^an array of a tensor that requires grad would lose its gradient: use detach\(\)$"):
        np.arctan(p)


def test_the_device_idiom_of_torch() -> None:
    device = minicnn.device("cpu")
    assert repr(device) == "device(type='cpu')"
    x = minicnn.ones(2, device=device)
    assert (x.device, x.device.type) == (device, "cpu")
    layer = minicnn.nn.Linear(2, 3)
    for thing in (x, layer):
        assert thing.to(device) is thing.to(device=device, non_blocking=True) is thing.to(minicnn.float32) is thing.to(x) is thing
    double = minicnn.zeros(1).double()
    for y in (x.to("cpu", np.float64), x.to(device, minicnn.float64, True), x.to(dtype=np.float64), x.to(double), layer.to(double).weight):
        assert y.dtype == np.float64


def test_nothing_is_pickled(tmp_path: Any) -> None:
    """torch.save and load are answered with what to use instead, and that works."""
    with pytest.raises(AttributeError) as error:
        _ = minicnn.load
    assert str(error.value) == ("there is no minicnn.load: a pickle can run any program when it is read; use "
                                "minicnn.interop.save_file(model, path) and model.load_state_dict(minicnn.interop.load_file(path))")
    net, *others = (minicnn.nn.Sequential(minicnn.nn.Linear(2, 3), minicnn.nn.BatchNorm1d(3)) for _ in range(3))
    minicnn.interop.save_file(net, tmp_path / "net.safetensors")
    others[0].load_state_dict(minicnn.interop.load_file(tmp_path / "net.safetensors"))
    np.savez(tmp_path / "net.npz", **net.state_dict())         # NumPy's own files do as well
    with np.load(tmp_path / "net.npz") as saved:
        others[1].load_state_dict(saved)
    for other in others:
        for name, value in net.state_dict().items():
            assert_equal(other.state_dict()[name], value, name)
