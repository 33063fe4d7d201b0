"""The tape: sums over paths, what is recorded, what is freed, and every message."""
from __future__ import annotations

import gc
import threading
import weakref
from typing import Any

import numpy as np
import pytest
import torch

import minicnn
from minicnn import Tensor
from minicnn.autograd import record
from tests.against_torch import exact
from tests.compare import assert_close64, assert_equal
from tests.strategies import integers

a, b = integers((2, 3), 1), integers((2, 3), 2)
GRAPHS: dict[str, Any] = {
    "used twice": lambda a, b: a * a + a,
    "diamond": lambda a, b: (lambda y: (y + 1) * (y - b))(a * b),
    "two diamonds": lambda a, b: (lambda y: (lambda z: z * y + z)(y * y + y))(a - b),
    "one path ends": lambda a, b: a * b + (a * 2).detach() * b,
    "unused branch": lambda a, b: [a * b, a.sum(), b * 3][0],
    "through views": lambda a, b: a.T.reshape(3, 2)[::2].flatten() * b.flatten()[:4] + a[0, 0],
    "itself": lambda a, b: a,
}


@pytest.mark.parametrize("name", GRAPHS)
def test_graphs(name: str) -> None:
    exact(GRAPHS[name], GRAPHS[name], a, b)


def test_chains_need_no_recursion() -> None:
    x = Tensor([1.0], requires_grad=True)
    y = x
    for _ in range(5000):
        y = y + x
    y.backward()
    assert_equal(x.grad, np.array([5001], np.float32))
    del y                                                      # nor does taking the chain down


def test_gradients_accumulate_until_they_are_taken_away() -> None:
    x = Tensor([2.0], requires_grad=True)
    for expected in (4, 8, 12):
        (x * x).backward()
        assert_equal(x.grad, np.array([expected], np.float32))
    x.grad = None
    (x * x).backward()
    assert_equal(x.grad, np.array([4], np.float32))


def test_gradients_do_not_share_memory() -> None:
    x, y = minicnn.ones(3, requires_grad=True), minicnn.ones(3, requires_grad=True)
    dy = minicnn.ones(3)
    (x + y).backward(dy)
    x.grad += 1
    assert_equal(y.grad, np.ones(3, np.float32))
    assert_equal(dy, np.ones(3, np.float32))
    z = minicnn.ones(3, requires_grad=True)
    z.backward(dy)
    z.grad += 1
    assert_equal(dy, np.ones(3, np.float32))
    assert x.grad.array.flags.writeable
    x.grad = None
    x.sum().backward()                                         # sum's gradient is a read-only view of one number
    x.grad += 1
    assert_equal(x.grad, np.full(3, 2, np.float32))


def test_the_gradient_has_the_dtype_of_its_tensor() -> None:
    x, y = minicnn.ones(3, requires_grad=True), minicnn.ones(3, dtype=np.float64, requires_grad=True)
    z = x * y
    z.sum().backward()
    assert (z.dtype, x.grad.dtype, y.grad.dtype) == (np.float64, np.float32, np.float64)


@pytest.mark.parametrize("gradient", [3, 3.0, np.array(3.0), np.float64(3), Tensor(3.0)])
def test_any_start_gradient(gradient: Any) -> None:
    x = minicnn.tensor(2.0, requires_grad=True)
    (x * x).backward(gradient)
    assert_equal(x.grad, np.array(12, np.float32))


def test_retain_graph() -> None:
    x = Tensor([3.0], requires_grad=True)
    y = x * x
    y.backward(retain_graph=True)
    y.backward()
    assert_equal(x.grad, np.array([12], np.float32))
    with pytest.raises(RuntimeError) as error:
        y.backward()
    assert str(error.value) == ("backward through mul a second time: the first backward() freed what it had saved; "
                                "call backward(retain_graph=True) the first time to keep it")


def test_retain_grad() -> None:
    x = Tensor([3.0], requires_grad=True)
    y = (x * 2).retain_grad()
    (y * y).backward()
    assert_equal(y.grad, np.array([12], np.float32))
    assert x.retain_grad() is x
    assert (x * 2).grad is None


def hooks(t: Any, a: Any, b: Any) -> Any:
    """On a result and on a leaf, each used twice; seen whole, replaced, removed."""
    seen = []
    y = a * b
    y.retain_grad()
    y.register_hook(seen.append)
    y.register_hook(lambda g: g * 2)
    removed = y.register_hook(lambda g: g * 1000)
    removed.remove()
    with a.register_hook(lambda g: g - 3):
        (y * y + y * a).sum().backward()
    (a * 5).sum().backward()
    return *seen, y.grad, a.grad, b.grad


def gradients(t: Any, a: Any, b: Any) -> Any:
    """Of a leaf, a result and an input that several outputs share; nothing is left in .grad."""
    y = a * b
    z = (y * y).sum()
    first = t.autograd.grad(z, [y, a], retain_graph=True)
    start = t.ones(2, 3, dtype=t.float64)
    second = t.autograd.grad([z, y, a], (a, b, y), grad_outputs=[None, start, start * 3], retain_graph=True)
    unused = t.autograd.grad(z, [t.ones(1, requires_grad=True)], retain_graph=True, allow_unused=True)
    assert (unused, a.grad, b.grad, y.grad if y.is_leaf else None) == ((None,), None, None, None)
    return *first, *second, *t.autograd.grad(z, a)


@pytest.mark.parametrize("program", [hooks, gradients])
def test_beside_torch(program: Any) -> None:
    ours = program(minicnn, *(Tensor(x.astype(np.float64), requires_grad=True) for x in (a, b)))
    theirs = program(torch, *(torch.tensor(x.astype(np.float64), requires_grad=True) for x in (a, b)))
    for got, expected in zip(ours, theirs, strict=True):
        assert_equal(got, expected)


def test_switches() -> None:
    x = Tensor([1.0], requires_grad=True)

    @minicnn.no_grad()
    def quiet(again: bool = True) -> Any:
        return quiet(False) if again else (x * 2)

    @minicnn.enable_grad()
    def loud() -> Any:
        return x * 2

    assert not quiet().requires_grad
    assert (x * 2).requires_grad
    with minicnn.no_grad():
        assert not minicnn.is_grad_enabled()
        assert not (x * 2).requires_grad
        assert loud().requires_grad
        with minicnn.enable_grad():
            assert (x * 2).requires_grad
        with pytest.raises(ZeroDivisionError), minicnn.enable_grad():
            _ = 1 / 0
        assert not (x * 2).requires_grad
    with minicnn.set_grad_enabled(False):
        assert not (x * 2).requires_grad
    assert minicnn.is_grad_enabled()
    minicnn.set_grad_enabled(False)
    assert not (x * 2).requires_grad
    minicnn.set_grad_enabled(True)
    assert (x * 2).requires_grad


def test_each_thread_has_a_switch_of_its_own() -> None:
    inside, done, seen = threading.Event(), threading.Event(), []

    def loader() -> None:
        with minicnn.no_grad():
            inside.set()
            done.wait()
            seen.append(minicnn.is_grad_enabled())

    thread = threading.Thread(target=loader)
    thread.start()
    inside.wait()
    seen.append(minicnn.is_grad_enabled())
    done.set()
    thread.join()
    assert seen == [True, False]


def test_detach_shares_the_array_and_nothing_else() -> None:
    x = Tensor([1.0, 2.0], requires_grad=True)
    y = (x * 2).detach()
    assert (y.requires_grad, y.is_leaf, y.grad_fn) == (False, True, None)
    z = x.detach()
    z[0] = 5
    assert_equal(x, np.array([5, 2], np.float32))


def test_is_leaf_and_grad_fn() -> None:
    x = Tensor([1.0], requires_grad=True)
    y = x * 2
    assert (x.is_leaf, y.is_leaf, x.grad_fn, y.grad_fn.name, (Tensor([1.0]) * 2).grad_fn) == (True, False, None, "mul", None)


class Saved:
    """Stands for an array in a cache: it can be watched."""


def test_backward_frees_what_was_saved() -> None:
    """After backward() even a result that is still held keeps none of what its operations saved; without backward, dropping it does."""
    def forward(x: np.ndarray) -> tuple[Any, Any]:
        cache = Saved()
        watched.append(weakref.ref(cache))
        return x * 1, cache

    watched: list[weakref.ref[Saved]] = []
    x = minicnn.ones(2, requires_grad=True)
    y = record(forward, lambda dy, cache: (dy,), x).sum()
    assert watched[0]() is not None
    y.backward()
    assert watched[0]() is None
    gc.disable()                                               # reference counts alone must do it: the tape has no cycles
    try:
        z = record(forward, lambda dy, cache: (dy,), x).retain_grad()
        del z
        assert watched[1]() is None
        with minicnn.no_grad():
            unrecorded = record(forward, lambda dy, cache: (dy,), x)
        assert watched[2]() is None
        assert_equal(unrecorded, np.ones(2, np.float32))
    finally:
        gc.enable()


def test_only_wanted_gradients_are_computed() -> None:
    asked = []

    def spy(dy: Any, cache: Any, needs: Any = (True, True)) -> Any:
        asked.append(tuple(needs))
        return tuple(dy if need else None for need in needs)

    x = minicnn.ones(2, requires_grad=True)
    for inputs in ((x, x), (x, minicnn.ones(2)), (np.ones(2), x), (3.0, x)):
        record(lambda a, b: (np.ones(2, np.float32), None), spy, *inputs).backward(minicnn.ones(2))
    assert asked == [(True, True), (True, False), (False, True), (False, True)]
    assert_equal(x.grad, np.full(2, 5, np.float32))


def test_several_outputs() -> None:
    x = minicnn.ones(2, requires_grad=True)
    y, extra = record(lambda x: ((x * 2, x.shape[0] * np.ones(1)), None), lambda dy, cache: (dy * 2,), x)
    assert (y.requires_grad, extra.requires_grad) == (True, False)
    y.sum().backward()
    assert_equal(x.grad, np.full(2, 2, np.float32))


@pytest.mark.parametrize(("call", "text"), [
    (lambda x: Tensor([1.0]).backward(),
     "backward() on a tensor that does not require a gradient: nothing it was computed from has requires_grad=True"),
    (lambda x: (x * 2).backward(),
     "backward() on a tensor of shape (3,): without an argument it works for scalars only; "
     "reduce it to one number first, for instance with .sum(), or pass the gradient"),
    (lambda x: (x * 2).backward(minicnn.ones(2)), "backward(): the gradient has shape (2,), the tensor (3,)"),
    (lambda x: record(lambda x: (x, None), lambda dy, cache: (dy[:1],), x).backward(minicnn.ones(3)),
     "the backward of <lambda> returned a gradient of shape (1,) for an input of shape (3,)"),
    (lambda x: minicnn.autograd.grad((x * 2).sum(), [x, minicnn.ones(1)]),
     "grad(): the outputs do not depend on input 1; with allow_unused=True its gradient is None"),
    (lambda x: minicnn.autograd.grad(x * 2, x),
     "grad() on a tensor of shape (3,): without an argument it works for scalars only; "
     "reduce it to one number first, for instance with .sum(), or pass the gradient"),
    (lambda x: x.detach().register_hook(print), "register_hook() on a tensor that does not require a gradient: no gradient will come"),
])
def test_errors(call: Any, text: str) -> None:
    with pytest.raises(RuntimeError) as raised:
        call(minicnn.ones(3, requires_grad=True))
    assert str(raised.value) == text


def test_training_steps_beside_torch() -> None:
    """Five steps of a small least-squares fit, written by hand."""
    def fit(t: Any, x: Any, w: Any) -> Any:
        losses = []
        for _ in range(5):
            loss = ((x @ w - 1) ** 2).mean()
            loss.backward()
            losses.append(loss.detach())
            with t.no_grad():
                w -= w.grad / 64
            w.grad = None
        return t.stack(losses), w

    x, w = integers((4, 2), 1).astype(np.float64), integers((2, 1), 2).astype(np.float64)
    ours = fit(minicnn, Tensor(x), Tensor(w.copy(), requires_grad=True))
    theirs = fit(torch, torch.tensor(x), torch.tensor(w, requires_grad=True))
    for got, expected in zip(ours, theirs, strict=True):
        assert_close64(got, expected)
