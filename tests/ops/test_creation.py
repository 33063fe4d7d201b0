"""New tensors beside torch's: values, dtypes, shared memory; random ones by their distribution and their seed."""
from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import pytest
import torch

import minicnn
from minicnn import Tensor
from tests.compare import assert_equal

SAME: dict[str, Any] = {
    "zeros": lambda t: t.zeros(2, 3),
    "zeros tuple": lambda t: t.zeros((2, 3), dtype=t.int64),
    "zeros ()": lambda t: t.zeros(()),
    "ones": lambda t: t.ones(3, dtype=t.float64),
    "full": lambda t: t.full((2, 2), 1.5),
    "full integers": lambda t: t.full((2,), 3),
    "full booleans": lambda t: t.full((2,), True),
    "full dtype": lambda t: t.full((2,), 1, dtype=t.float64),
    "eye": lambda t: t.eye(3),
    "eye wide": lambda t: t.eye(2, 3, dtype=t.int32),
    "arange": lambda t: t.arange(5),
    "arange from": lambda t: t.arange(2, 9, 3),
    "arange down": lambda t: t.arange(5, 0, -2),
    "arange float": lambda t: t.arange(0, 1, 0.25),
    "arange past the end": lambda t: t.arange(1, 2.4, 0.5, dtype=t.float64),
    "arange of nothing": lambda t: t.arange(0),
    "linspace": lambda t: t.linspace(0, 1, 5),
    "linspace one": lambda t: t.linspace(3, 4, 1),
    "linspace down": lambda t: t.linspace(1, -1, 5, dtype=t.float64),
    "zeros_like": lambda t: t.zeros_like(t.ones(2, 3, dtype=t.float64)),
    "ones_like": lambda t: t.ones_like(t.zeros(2), dtype=t.int64),
    "full_like": lambda t: t.full_like(t.zeros(2), 7),
    "empty": lambda t: t.empty(2, 0),
    "empty_like": lambda t: t.empty_like(t.zeros(0, 3)),
    "tensor": lambda t: t.tensor([[1, 2], [3, 4]]),
    "tensor float": lambda t: t.tensor([1, 2.5]),
    "tensor bool": lambda t: t.tensor([True, False]),
    "tensor number": lambda t: t.tensor(1.5),
    "tensor dtype": lambda t: t.tensor([1, 2], dtype=t.float64),
    "tensor of float64": lambda t: t.tensor(np.array([1.5])),
    "as_tensor": lambda t: t.as_tensor([1.0, 2.0]),
}


@pytest.mark.parametrize("name", SAME)
def test_as_torch(name: str) -> None:
    assert_equal(SAME[name](minicnn), SAME[name](torch))


def test_float_steps_are_those_of_double_precision() -> None:
    assert_equal(minicnn.arange(0, 1, 0.1), np.arange(0, 1, 0.1).astype(np.float32))
    assert_equal(minicnn.linspace(0, 1, 7), np.linspace(0, 1, 7).astype(np.float32))


def test_what_shares_memory() -> None:
    a = np.zeros(3, np.float32)
    assert minicnn.from_numpy(a).array is a
    assert minicnn.as_tensor(a).array is a
    assert Tensor(a).array is a
    t = Tensor(a)
    assert minicnn.as_tensor(t) is t
    assert not np.shares_memory(minicnn.tensor(a).array, a)
    assert not np.shares_memory(minicnn.tensor(t).array, a)


def test_memory_order_is_kept() -> None:
    x = Tensor(np.zeros((2, 4, 5, 3), np.float32).transpose(0, 3, 1, 2))
    for y in (minicnn.zeros_like(x), minicnn.ones_like(x), minicnn.empty_like(x), minicnn.full_like(x, 1)):
        assert y.array.strides == x.array.strides


@pytest.mark.parametrize("create", [minicnn.zeros, minicnn.ones, minicnn.empty, minicnn.rand, minicnn.randn])
def test_requires_grad_and_dtype(create: Any) -> None:
    for dtype in (np.float32, np.float64):
        x = create(2, 3, dtype=dtype, requires_grad=True)
        assert (x.shape, x.dtype, x.requires_grad, x.is_leaf) == ((2, 3), dtype, True, True)
    with pytest.raises(RuntimeError, match=r"^only floating-point tensors can require gradients, this one is int64$"):
        create(2, dtype=np.int64, requires_grad=True)


def test_the_seed_decides() -> None:
    def draw() -> list[Tensor]:
        x = minicnn.zeros(2, 3)
        return [minicnn.rand(4), minicnn.randn(2, 2), minicnn.randint(9, (5,)), minicnn.randperm(10), minicnn.rand_like(x),
                minicnn.randn_like(x.double()), x.clone().normal_(), x.clone().uniform_(-1, 1)]
    minicnn.manual_seed(3)
    first, other = draw(), draw()
    minicnn.manual_seed(3)
    for a, b, c in zip(first, draw(), other, strict=True):
        assert_equal(a, b)
        assert not minicnn.equal(a, c)


def test_a_fork_leaves_the_stream_alone() -> None:
    minicnn.manual_seed(3)
    expected = minicnn.rand(4)
    minicnn.manual_seed(3)
    with minicnn.random.fork_rng():
        assert_equal(minicnn.rand(4), expected)                # it goes on from here
    with contextlib.suppress(ValueError), minicnn.random.fork_rng(3):
        minicnn.rand(9)
        minicnn.manual_seed(7)
        raise ValueError("whatever ends the block")
    assert_equal(minicnn.rand(4), expected)


def test_distributions() -> None:
    minicnn.manual_seed(0)
    n = 20_000                                                 # the mean of n draws is within 5 standard errors, always with this seed
    for x, mean, std in ((minicnn.rand(n), 0.5, 12**-0.5), (minicnn.randn(n), 0, 1), (minicnn.zeros(n).normal_(3, 2), 3, 2),
                         (minicnn.zeros(n).uniform_(-3, 1), -1, 4 * 12**-0.5), (minicnn.randint(2, 5, (n,)).float(), 3, (2 / 3)**0.5)):
        assert abs(x.mean().item() - mean) < 5 * std / n**0.5
        assert abs(x.std().item() / std - 1) < 5 / n**0.5
    x = minicnn.rand(n, dtype=np.float64)
    assert ((x.array >= 0) & (x.array < 1)).all()
    assert (x.array != x.array.astype(np.float32)).any()          # really drawn in double precision
    assert set(minicnn.randint(2, 5, (n,)).tolist()) == {2, 3, 4}
    assert sorted(minicnn.randperm(n).tolist()) == list(range(n))


@pytest.mark.parametrize("order", ["contiguous", "transposed"])
def test_dlpack_shares_memory_with_torch_and_numpy(order: str) -> None:
    def view(x: Any) -> Any:
        return x.T if order == "transposed" else x

    theirs = torch.zeros(2, 3)
    ours = minicnn.from_dlpack(view(theirs))
    ours[0, 1] = 5
    assert_equal(ours, view(theirs))
    ours = view(minicnn.zeros(2, 3))
    for imported in (torch.from_dlpack(ours), np.from_dlpack(ours), torch.utils.dlpack.from_dlpack(ours)):
        with minicnn.no_grad():
            ours += 1
        assert_equal(ours, imported)
    with pytest.raises(BufferError) as error:
        torch.from_dlpack(minicnn.zeros(2, requires_grad=True))
    assert str(error.value) == "__dlpack__ on a tensor that requires grad would lose its gradient: use detach()"


@pytest.mark.parametrize(("call", "error", "text"), [
    (lambda: minicnn.zeros(2, -1), ValueError, "zeros: sizes must not be negative, got (2, -1)"),
    (lambda: minicnn.arange(0, 3, -1), ValueError, "arange: a step of -1 does not lead from 0 to 3"),
    (lambda: minicnn.arange(0, 3, 0), ValueError, "arange: a step of 0 does not lead from 0 to 3"),
    (lambda: minicnn.linspace(0, 1, -1), ValueError, "linspace: steps must not be negative, got -1"),
    (lambda: minicnn.randint(3, 3, (2,)), ValueError, "randint: there is no integer in 3..2: high must be above low"),
    (lambda: minicnn.from_numpy([1.0]), TypeError, "from_numpy: expected a numpy.ndarray, got list"),
    (lambda: minicnn.tensor(["a"]), TypeError, "a Tensor holds floats, integers or booleans, not <U1"),
    (lambda: minicnn.tensor([1j]), TypeError, "a Tensor holds floats, integers or booleans, not complex128"),
])
def test_errors(call: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error) as raised:
        call()
    assert str(raised.value) == text
