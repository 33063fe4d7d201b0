"""The tape: sums over paths, what is recorded, what is freed, and every message."""
from __future__ import annotations

import gc
import threading
import weakref
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given

import minicnn
from minicnn import Tensor
from minicnn.autograd import fresh, record
from minicnn.nn import functional as F
from tests.against_torch import exact
from tests.compare import assert_close64, assert_equal
from tests.ops.neural import each_backend
from tests.strategies import in_layout, integers, layouts, seeds

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


def gradient_of(backward: Any, *options: Any) -> tuple[Any, Any]:
    """What a leaf keeps after an operation with this backward function, and what that function returned."""
    returned = []

    def spy(dy: Any, cache: Any) -> Any:
        returned.append(backward(dy))
        return (returned[-1],)

    x = minicnn.ones(3, requires_grad=True)
    for option in options:
        option(x)
    record(lambda x: (x * 1, None), fresh(spy) if backward is twice else spy, x).backward(minicnn.ones(3))
    return x.grad.array, returned[0]


def twice(dy: Any) -> Any:
    return dy * 2


def test_a_leaf_keeps_a_fresh_gradient_and_copies_any_other() -> None:
    kept, returned = gradient_of(twice)
    assert kept is returned
    kept, returned = gradient_of(lambda dy: dy)
    assert not np.shares_memory(kept, returned)
    assert_equal(kept, returned)


def test_a_gradient_that_a_hook_has_seen_is_copied() -> None:
    """The hook may have kept it, or returned something that others hold."""
    mine = np.ones(3, np.float32)
    for hook in (lambda g: None, lambda g: Tensor(mine)):
        kept, returned = gradient_of(twice, lambda x, hook=hook: x.register_hook(hook))
        assert not np.shares_memory(kept, returned)
        assert not np.shares_memory(kept, mine)


def test_fresh_gradients_of_results_are_not_shared_with_those_that_are_handed_on() -> None:
    """A leaf's gradient, a kept one and one that grad() returned stay as they are when one of the others is changed."""
    x = minicnn.ones(1, 1, 2, 2, requires_grad=True)
    w = minicnn.ones(1, 1, 1, 1, requires_grad=True)
    y = minicnn.conv2d(x, w).retain_grad()
    z = y + minicnn.conv2d(x, w)                               # add's backward hands dy on, to y and to the other one
    z.retain_grad()
    z.backward(minicnn.ones(1, 1, 2, 2), retain_graph=True)
    gradients = [t.grad.array for t in (x, w, y, z)]
    gradients += [t.array for t in minicnn.autograd.grad(z, (x, w, y, z), minicnn.ones(1, 1, 2, 2), retain_graph=True)]
    expected = [g.copy() for g in gradients]
    for i, g in enumerate(gradients):
        g[...] = 99
        for j, other in enumerate(gradients):
            if i != j:
                assert_equal(other, expected[j])
        g[...] = expected[i]
    z.backward(minicnn.ones(1, 1, 2, 2))
    assert_equal(x.grad, 2 * expected[0])
    assert_equal(w.grad, 2 * expected[1])


def test_the_same_leaf_twice_in_one_operation() -> None:
    w = minicnn.ones(2, 2, requires_grad=True)
    (w @ w).backward(minicnn.ones(2, 2))
    assert_equal(w.grad, np.full((2, 2), 4, np.float32))
    (w @ w).backward(minicnn.ones(2, 2))
    assert_equal(w.grad, np.full((2, 2), 8, np.float32))


@each_backend
@given(seed=seeds, layout=layouts)
def test_sums_of_images(backend: str, seed: int, layout: str) -> None:
    """Where a residual connection meets its branch; the gradients that meet may lie in memory in different orders."""
    def residual(x: Any, w: Any) -> Any:
        y = x * w
        return (y + y.reshape(6, 20).reshape(2, 3, 4, 5) * w) * w + x

    with minicnn.use_backend(backend):
        exact(residual, residual, in_layout(integers((2, 3, 4, 5), seed, -2, 2), layout), integers((3, 1, 1), seed + 1, -2, 2))


def test_a_node_without_a_gradient_does_not_hold_up_the_others() -> None:
    """z's operation has no gradient to give, so y's never gets one by that way; the other way still counts."""
    x = minicnn.ones(2, requires_grad=True)
    y = x * 3
    z = record(lambda y: (y * 1, None), lambda dy, cache: (None,), y * 5)
    (z + y + z * x).backward(minicnn.ones(2))
    assert_equal(x.grad, np.full(2, 3 + 15, np.float32))
    record(lambda x: (x * 1, None), lambda dy, cache: (None,), x).backward(minicnn.ones(2))
    assert_equal(x.grad, np.full(2, 18, np.float32))


def test_division_by_zero_is_quiet_and_numpys_settings_stay() -> None:
    x = Tensor([1.0, 0.0], requires_grad=True)
    with np.errstate(all="raise"):
        before = np.geterr()
        y = x / 0
        (y * 1e38 * 1e38).backward(minicnn.ones(2))
        assert np.geterr() == before
    assert_equal(y, np.array([np.inf, np.nan], np.float32))
    assert_equal(x.grad, np.array([np.inf, np.inf], np.float32))


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


def gated(x: Tensor) -> Tensor:
    """Two gates: the gradient of the first is made by the second, which nobody else holds."""
    return minicnn.relu(minicnn.relu(x - 1) - 1)


@each_backend
def test_gradients_that_others_hold_are_not_written_over(backend: str) -> None:
    """A gate may close over dy in place; but not over one that the caller gave, that a hook or retain_grad kept, or that was asked for."""
    with minicnn.use_backend(backend):
        x = Tensor(integers((2, 3, 4, 5), 0), requires_grad=True)
        expected, given_dy, kept = (x.array > 2).astype(np.float32), np.ones(x.shape, np.float32), []
        middle = minicnn.relu(x - 1)
        middle.register_hook(kept.append)
        between = middle - 1
        between.retain_grad()
        gated(x + 0).backward(Tensor(given_dy), retain_graph=True)
        minicnn.relu(between).backward(Tensor(given_dy))
        assert_equal(given_dy, np.ones(x.shape, np.float32))
        assert_equal(kept[0], expected)
        assert_equal(between.grad, expected)
        assert_equal(x.grad, 2 * expected)
        gate = minicnn.relu(x)                                 # its gradient is new memory, made by the pooling, and asked for as well
        found = minicnn.autograd.grad(F.max_pool2d(gate, 1), [gate, x], Tensor(given_dy))
        assert_equal(found[0], given_dy)
        assert_equal(found[1], (x.array > 0).astype(np.float32))


@each_backend
def test_a_gradient_that_is_used_twice_is_not_written_over(backend: str) -> None:
    with minicnn.use_backend(backend):
        x = Tensor(integers((2, 3, 4, 5), 1), requires_grad=True)
        both = minicnn.relu(x) + minicnn.relu(-x)              # the sum hands one array to both gates
        minicnn.relu(both).sum().backward()
        assert_equal(x.grad, np.sign(x.array))


@pytest.mark.parametrize("keep", [False, True])
def test_what_backward_lets_go_of_is_gone_before_it_ends(keep: bool) -> None:
    seen = []

    def forward(x: Any) -> Any:
        y = x * 2
        return y, (y,)

    @fresh
    def backward(dy: Any, cache: Any, needs: Any = (True,), inplace: bool = False) -> Any:
        y, = cache
        there = weakref.ref(y)
        del cache, y
        seen.append((there() is None, inplace))
        return (dy * 2,)

    x = minicnn.ones(3, requires_grad=True)
    loss = record(forward, backward, record(forward, backward, x)).sum()
    loss.backward(retain_graph=keep)
    assert seen == [(not keep, False), (not keep, True)]       # sum's gradient is a view of one number
    assert_equal(x.grad, np.full(3, 4, np.float32))


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
