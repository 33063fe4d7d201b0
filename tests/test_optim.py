"""Optimisers: twenty steps beside torch for every option, states that travel both ways, and every error by its whole text."""
from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from minicnn import Tensor, optim
from minicnn.nn.utils import clip_grad_norm_, clip_grad_value_
from tests.compare import assert_close64, assert_equal
from tests.strategies import floats, integers

SHAPES = [(3, 2, 2), (5,), ()]
OPTIONS = [
    ("SGD", {}), ("SGD", {"lr": 0.1}), ("SGD", {"lr": 0.1, "momentum": 0.9}), ("SGD", {"lr": 0.1, "weight_decay": 0.3}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.4}), ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.5, "dampening": 0.2, "weight_decay": 0.1, "maximize": True}), ("SGD", {"lr": 0, "momentum": 0.9}),
    ("Adam", {}), ("Adam", {"lr": 0.1, "betas": (0.5, 0.7)}), ("Adam", {"lr": 0.1, "betas": (0.0, 0.0)}),
    ("Adam", {"lr": 0.05, "eps": 0.1}),
    ("Adam", {"lr": 0.1, "weight_decay": 0.3}), ("Adam", {"lr": 0.1, "maximize": True}),
    ("AdamW", {}), ("AdamW", {"lr": 0.1, "weight_decay": 0.3, "betas": (0.8, 0.9), "eps": 1e-3}), ("AdamW", {"lr": 0.1, "maximize": True}),
]
IDS = [f"{name}({', '.join(f'{k}={v}' for k, v in options.items())})" for name, options in OPTIONS]


def parameters(dtype: Any = np.float64) -> tuple[list[Tensor], list[torch.Tensor]]:
    arrays = [np.array(floats(shape, seed, dtype)) for seed, shape in enumerate(SHAPES)]
    return ([Tensor(a.copy(), requires_grad=True) for a in arrays], [torch.tensor(a, requires_grad=True) for a in arrays])


def steps(ours: Any, theirs: Any, mine: list[Tensor], peer: list[torch.Tensor], first: int, last: int) -> None:
    """Steps first..last-1 of both, with the same random gradients; every third step the second parameter has none."""
    for step in range(first, last):
        for i, (p, q) in enumerate(zip(mine, peer, strict=True)):
            g = np.array(floats(p.shape, 1000 * step + i, p.dtype))
            p.grad, q.grad = (None, None) if i == 1 and step % 3 == 0 else (Tensor(g.copy()), torch.tensor(g))
        ours.step()
        theirs.step()
        for i, (p, q) in enumerate(zip(mine, peer, strict=True)):
            assert_close64(p.detach(), q.detach(), f"parameter {i} after step {step}")


@pytest.mark.parametrize(("name", "options"), OPTIONS, ids=IDS)
def test_twenty_steps_follow_torch(name: str, options: dict[str, Any]) -> None:
    mine, peer = parameters()
    steps(getattr(optim, name)(mine, **options), getattr(torch.optim, name)(peer, **options), mine, peer, 0, 20)


@pytest.mark.parametrize(("name", "options"), OPTIONS, ids=IDS)
def test_float32_stays_float32_and_the_same_array(name: str, options: dict[str, Any]) -> None:
    mine, _ = parameters(np.float32)
    arrays = [p.array for p in mine]
    optimizer = getattr(optim, name)(mine, **{**options, "lr": np.float64(0.1)})     # a float64 rate must not leak into the weights
    for _ in range(2):
        for p in mine:
            p.grad = Tensor(np.ones_like(p.array))
        optimizer.step()
    assert all(p.array is array and array.dtype == np.float32 for p, array in zip(mine, arrays, strict=True))
    assert {v.dtype for s in optimizer.state.values() for v in s.values() if isinstance(v, np.ndarray)} <= {np.dtype(np.float32)}


def to_torch(state: dict[str, Any]) -> dict[str, Any]:
    def convert(values: dict[str, Any]) -> dict[str, Any]:
        return {key: torch.tensor(np.asarray(v)) if isinstance(v, Tensor) else v for key, v in values.items()}

    return {"state": {number: convert(values) for number, values in state["state"].items()}, "param_groups": state["param_groups"]}


@pytest.mark.parametrize(("name", "options"), [o for o in OPTIONS if o[1]], ids=[i for i, o in zip(IDS, OPTIONS, strict=True) if o[1]])
def test_a_state_travels_both_ways(name: str, options: dict[str, Any]) -> None:
    mine, peer = parameters()
    make = [lambda p, o=o: getattr(o, name)(p, lr=0.7) for o in (optim, torch.optim)]
    ours, theirs = getattr(optim, name)(mine, **options), getattr(torch.optim, name)(peer, **options)
    steps(ours, theirs, mine, peer, 0, 4)
    loaded, their_loaded = make[0](mine), make[1](peer)
    loaded.load_state_dict(theirs.state_dict())
    their_loaded.load_state_dict(to_torch(ours.state_dict()))
    steps(loaded, their_loaded, mine, peer, 4, 8)
    again = make[0](mine)
    again.load_state_dict(loaded.state_dict())
    steps(again, their_loaded, mine, peer, 8, 12)


def test_a_state_dict_has_torchs_layout() -> None:
    for name, options in (("SGD", {"momentum": 0.9}), ("Adam", {}), ("AdamW", {})):
        mine, peer = parameters()
        ours, theirs = getattr(optim, name)(mine, **options), getattr(torch.optim, name)(peer, **options)
        steps(ours, theirs, mine, peer, 1, 2)
        state, expected = ours.state_dict(), theirs.state_dict()
        assert {n: set(s) for n, s in state["state"].items()} == {n: set(s) for n, s in expected["state"].items()}
        for group, theirs_group in zip(state["param_groups"], expected["param_groups"], strict=True):
            assert {k: v for k, v in theirs_group.items() if k in group} == group


def test_groups_have_options_of_their_own() -> None:
    mine, peer = parameters()
    pairs = [(cls(p[:1] and [{"params": p[0]}, {"params": p[1:2], "lr": 0.5, "weight_decay": 0.1}], lr=0.1, momentum=0.9))
             for cls, p in ((optim.SGD, mine), (torch.optim.SGD, peer))]
    for optimizer, p in zip(pairs, (mine, peer), strict=True):
        optimizer.add_param_group({"params": p[2], "lr": 0.01, "nesterov": True})
    steps(*pairs, mine, peer, 0, 10)
    assert [g["params"] for g in pairs[0].state_dict()["param_groups"]] == [[0], [1], [2]]


def test_zero_grad() -> None:
    mine, _ = parameters()
    optimizer = optim.SGD(mine)
    mine[0].grad = Tensor(np.ones(mine[0].shape))
    kept = mine[0].grad
    optimizer.zero_grad(set_to_none=False)
    assert mine[0].grad is kept
    assert_equal(kept, np.zeros(mine[0].shape))
    optimizer.zero_grad()
    assert [p.grad for p in mine] == [None] * 3


def test_a_closure_is_called_with_gradients_on_and_its_result_returned() -> None:
    p = Tensor(np.array([3.0]), requires_grad=True)
    optimizer = optim.SGD([p], lr=1.0)

    def closure() -> str:
        p.grad = Tensor(np.array([2.0]))
        return "the loss"

    assert optimizer.step(closure) == "the loss"
    assert_equal(p.detach(), np.array([1.0]))


def test_nan_and_infinity_reach_the_parameters() -> None:
    for make in (lambda p: optim.SGD(p, lr=0.1, momentum=0.9), lambda p: optim.Adam(p)):
        p = Tensor(np.zeros(3), requires_grad=True)
        p.grad = Tensor(np.array([np.nan, 1.0, -1.0]))
        make([p]).step()
        assert np.isnan(p.array).tolist() == [True, False, False]


def test_repr_is_readable() -> None:
    p = Tensor(np.zeros(1), requires_grad=True)
    assert repr(optim.SGD([p], lr=0.5)).splitlines() == [
        "SGD (", "Parameter Group 0", "    dampening: 0", "    lr: 0.5", "    maximize: False", "    momentum: 0", "    nesterov: False",
        "    weight_decay: 0", ")"]


P = Tensor(np.zeros(2), requires_grad=True)
ERRORS = [
    (lambda: optim.SGD([], lr=0.1), ValueError, "SGD: there are no parameters to optimise: the list is empty"),
    (lambda: optim.SGD(P), TypeError, "SGD: params is one tensor, expected a list of them: [tensor]"),
    (lambda: optim.SGD([1.0]), TypeError, "SGD: a parameter is a float, expected a Tensor"),
    (lambda: optim.SGD([P * 2]), ValueError, "SGD: a parameter of shape (2,) is the result of an operation, so no step can change it"),
    (lambda: optim.SGD([P, P]), ValueError, "SGD: a parameter was given twice, so it would be changed twice a step"),
    (lambda: optim.SGD([{"params": P}, {"params": P}]), ValueError,
     "SGD: a parameter was given twice, so it would be changed twice a step"),
    (lambda: optim.SGD([P], lr=-1), ValueError, "SGD: lr is -1, expected a finite number of at least 0"),
    (lambda: optim.SGD([P], lr=float("nan")), ValueError, "SGD: lr is nan, expected a finite number of at least 0"),
    (lambda: optim.SGD([{"params": P, "momentum": -2}]), ValueError, "SGD: momentum is -2, expected a finite number of at least 0"),
    (lambda: optim.SGD([P], weight_decay=-0.5), ValueError, "SGD: weight_decay is -0.5, expected a finite number of at least 0"),
    (lambda: optim.SGD([P], nesterov=True), ValueError, "SGD: nesterov needs momentum > 0 and dampening 0, got momentum 0 and dampening 0"),
    (lambda: optim.Adam([P], eps=-1), ValueError, "Adam: eps is -1, expected a finite number of at least 0"),
    (lambda: optim.AdamW([P], betas=(0.9, 1.0)), ValueError, "AdamW: betas are (0.9, 1.0), expected two numbers in 0 <= beta < 1"),
    (lambda: optim.Adam([P], amsgrad=True), ValueError, "Adam: amsgrad is not implemented"),
    (lambda: optim.SGD([P]).load_state_dict({"state": {}, "param_groups": [{"params": [0, 1]}]}), ValueError,
     "SGD.load_state_dict: the saved groups have [2] parameters, this optimiser's have [1]"),
    (lambda: optim.SGD([P]).load_state_dict({"state": {7: {}}, "param_groups": [{"params": [0]}]}), ValueError,
     "SGD.load_state_dict: there is a state for parameter 7, but parameters are 0..0"),
    (lambda: optim.SGD([P]).load_state_dict({"state": {0: {"momentum_buffer": np.zeros(3)}}, "param_groups": [{"params": [0]}]}),
     ValueError, "SGD.load_state_dict: momentum_buffer of parameter 0 has shape (3,), the parameter (2,)"),
    (lambda: optim.Optimizer([P], {}).update(None, None, {}, {}), NotImplementedError, "Optimizer must define update(p, g, state, group)"),
]


@pytest.mark.parametrize(("call", "error", "text"), ERRORS, ids=[text for *_, text in ERRORS])
def test_errors(call: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == text


@pytest.mark.parametrize("norm_type", [2.0, 1.0, 3.0, float("inf")])
@pytest.mark.parametrize("max_norm", [0.5, 1e6])
def test_clip_grad_norm(norm_type: float, max_norm: float) -> None:
    mine, peer = parameters()
    for i, (p, q) in enumerate(zip(mine, peer, strict=True)):
        if i != 1:                                             # the second has no gradient
            p.grad, q.grad = Tensor(np.array(floats(p.shape, i, np.float64))), torch.tensor(np.array(floats(p.shape, i, np.float64)))
    total = clip_grad_norm_(iter(mine), max_norm, norm_type)
    assert_close64(total, torch.nn.utils.clip_grad_norm_(peer, max_norm, norm_type))
    for p, q in zip(mine, peer, strict=True):
        if q.grad is not None:
            assert_close64(p.grad, q.grad)


def test_clip_grad_norm_of_what_is_not_finite() -> None:
    p = Tensor(np.zeros(2, np.float32), requires_grad=True)
    for bad, expected in ((np.nan, [np.nan, np.nan]), (np.inf, [np.nan, 0.0])):
        p.grad = Tensor(np.array([bad, 1], np.float32))
        with pytest.raises(RuntimeError) as caught:
            clip_grad_norm_(p, 1.0, error_if_nonfinite=True)
        assert str(caught.value) == (f"clip_grad_norm_: the norm of order 2.0 of the gradients is {bad}, so they cannot be clipped; "
                                     "error_if_nonfinite=False scales them all the same")
        with np.errstate(invalid="ignore"):
            clip_grad_norm_(p, 1.0)
        assert_equal(p.grad, np.array(expected, np.float32))
    assert clip_grad_norm_([], 1.0).item() == 0


def test_clip_grad_value() -> None:
    p = Tensor(np.zeros((2, 3), np.float32), requires_grad=True)
    p.grad = Tensor(integers((2, 3), 1))
    expected = torch.tensor(np.asarray(p.grad)).clamp(-2, 2)
    clip_grad_value_(p, 2)
    assert_equal(p.grad, expected)
