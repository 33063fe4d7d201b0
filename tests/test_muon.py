"""Muon: the orthogonalisation against singular values and torch's bfloat16, everything around it beside torch, and AdamW's groups."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.optim import _muon

import minicnn
from minicnn import Tensor, kernels, nn, optim
from minicnn.optim.lr_scheduler import OneCycleLR
from minicnn.optim.muon import COEFFICIENTS, orthogonalized
from tests.compare import assert_bounded, assert_close64, assert_equal, unchanged
from tests.device import SIM, needs_simulator
from tests.strategies import floats, in_layout, layouts

sizes = st.integers(1, 9)


def by_singular_values(x: np.ndarray, coefficients: Sequence[float], steps: int, eps: float) -> np.ndarray:
    """The definition: s -> a s + b s³ + c s⁵ on every singular value of x / max(|x|, eps)."""
    U, s, Vt = np.linalg.svd(x, full_matrices=False)
    s = s / max(np.sqrt((s**2).sum()), eps)
    a, b, c = coefficients
    for _ in range(steps):
        s = a * s + b * s**3 + c * s**5
    return (U * s) @ Vt


def one_step(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One step in float64, and the same with every term's absolute value."""
    a, b, c = COEFFICIENTS
    x = x.astype(np.float64) / np.linalg.norm(x.astype(np.float64))
    G, size = x @ x.T, abs(x) @ abs(x).T
    return a * x + (b * G + c * G @ G) @ x, a * abs(x) + (-b * size + c * size @ size) @ abs(x)


@pytest.mark.parametrize("backend", kernels.CPU_BACKENDS)
@given(sizes, sizes, st.integers(0, 7), st.integers(0, 99), layouts, st.sampled_from([COEFFICIENTS, (1.5, -0.5, 0.0), [2, -1.5, 0.5]]))
def test_singular_values_go_through_the_polynomial(backend: str, R: int, C: int, steps: int, seed: int, layout: str,
                                                   coefficients: Sequence[float]) -> None:
    x = in_layout(floats((R, C), seed, np.float64), layout)
    with minicnn.use_backend(backend), unchanged(x):
        got = orthogonalized(x, coefficients, steps)
    assert_close64(got, by_singular_values(x, coefficients, steps, 1e-7))


@pytest.mark.parametrize("shape", [(3, 40), (40, 3), (16, 144), (33, 33)])
def test_all_singular_values_come_near_one(shape: tuple[int, int]) -> None:
    x = floats(shape, 5, np.float32)
    s = np.linalg.svd(orthogonalized(x).astype(np.float64), compute_uv=False)
    assert s.max() < 1.25
    assert np.median(s) > 0.65
    assert_equal(orthogonalized(x), orthogonalized(np.float32(1024) * x))      # a power of two changes no rounding


@pytest.mark.parametrize("backend", kernels.CPU_BACKENDS)
@given(sizes, sizes, st.integers(0, 99))
def test_a_step_in_float32_is_within_its_bound(backend: str, R: int, C: int, seed: int) -> None:
    """The norm: R·C + 1 roundings under a root, and a division: at most half of that, and two, in each of up to five factors x. The
    products: sums of C, R and R terms, the first twice in G²; six more roundings for a, b, c and the additions."""
    x = floats((R, C), seed)
    with minicnn.use_backend(backend):
        got = orthogonalized(x, steps=1)
    wide = x if R <= C else x.T
    expected, magnitude = (y if R <= C else y.T for y in one_step(wide))
    short, long = wide.shape
    assert_bounded(got, expected, magnitude, 5 * (x.size // 2 + 3) + 2 * long + 2 * short + 6)


@given(sizes, sizes, st.integers(0, 99))
def test_torchs_step_in_bfloat16_is_within_its_bound(R: int, C: int, seed: int) -> None:
    """torch rounds to bfloat16, whose unit roundoff is 2^16 times float32's: x, its norm and the quotient, in up to five factors (15); the
    Gram matrix, twice in G², the two products with it and their sums (8), and a, b, c (3). Its sums are float32's, whose roundings are
    within the one more that is added."""
    x = floats((R, C), seed)
    got = _muon._zeropower_via_newtonschulz(torch.tensor(x), COEFFICIENTS, 1, 1e-7).float()
    expected, magnitude = (y if R <= C else y.T for y in one_step(x if R <= C else x.T))
    assert_bounded(got, expected, magnitude, 27 << 16)
    assert_bounded(orthogonalized(x, steps=1), got.numpy().astype(np.float64), magnitude, 28 << 16)


def test_nothing_stays_nothing_and_nan_spreads() -> None:
    assert_equal(orthogonalized(np.zeros((3, 2), np.float32)), np.zeros((3, 2), np.float32))
    x = floats((3, 4), 0)
    x[1, 1] = np.nan
    assert np.isnan(orthogonalized(x)).all()


def test_the_number_of_threads_does_not_change_a_bit(every_thread_count: list[int]) -> None:
    import numba

    x, found = floats((64, 300), 3), []
    for threads in every_thread_count:
        numba.set_num_threads(threads)
        found.append(orthogonalized(x))
    assert_equal(found[1], found[0])
    assert_equal(found[2], found[0])


# Beside torch

SHAPES = [(3, 4), (5, 2), (1, 7), (4, 4)]
OPTIONS: list[dict[str, Any]] = [
    {}, {"lr": 0.1}, {"lr": 0.1, "momentum": 0.3}, {"lr": 0.1, "momentum": 0.0}, {"lr": 0.1, "nesterov": False, "weight_decay": 0.0},
    {"lr": 0.1, "weight_decay": 0.5, "adjust_lr_fn": "original"}, {"lr": 0.05, "adjust_lr_fn": "match_rms_adamw"},
    {"lr": 0.1, "ns_steps": 2, "eps": 10.0, "ns_coefficients": (1.5, -0.5, 0.0)}, {"lr": 0},
]


@pytest.fixture
def exact_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch's Muon with the definition in place of its bfloat16 iteration."""
    monkeypatch.setattr(_muon, "_zeropower_via_newtonschulz", lambda grad, coefficients, steps, eps: torch.tensor(
        by_singular_values(grad.numpy(), coefficients, steps, eps)))


def parameters(shapes: Sequence[tuple[int, ...]] = SHAPES) -> tuple[list[Tensor], list[torch.Tensor]]:
    arrays = [np.array(floats(shape, seed, np.float64)) for seed, shape in enumerate(shapes)]
    return [Tensor(a.copy(), requires_grad=True) for a in arrays], [torch.tensor(a, requires_grad=True) for a in arrays]


def steps(ours: Any, theirs: Sequence[Any], mine: list[Tensor], peer: list[torch.Tensor], first: int, last: int) -> None:
    """Steps first..last-1 of both, with the same gradients; every third step the second parameter has none."""
    for step in range(first, last):
        for i, (p, q) in enumerate(zip(mine, peer, strict=True)):
            g = np.array(floats(p.shape, 1000 * step + i, np.float64))
            p.grad, q.grad = (None, None) if i == 1 and step % 3 == 0 else (Tensor(g), torch.tensor(g.reshape(q.shape)))
        for optimizer in (ours, *theirs):
            optimizer.step()
        for i, (p, q) in enumerate(zip(mine, peer, strict=True)):
            assert_close64(p.array.reshape(q.shape), q.detach(), f"parameter {i} after step {step}")


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_twenty_steps_follow_torch(exact_torch: None, options: dict[str, Any]) -> None:
    mine, peer = parameters()
    steps(optim.Muon(mine, **options), [torch.optim.Muon(peer, **options)], mine, peer, 0, 20)


def test_a_convolution_is_the_matrix_of_its_filters(exact_torch: None) -> None:
    mine, peer = parameters([(4, 3, 2, 2), (6, 1, 1, 3), (2, 5)])
    peer = [q.detach().reshape(len(q), -1).clone().requires_grad_() for q in peer]
    options: dict[str, Any] = {"lr": 0.1, "weight_decay": 0.2, "adjust_lr_fn": "match_rms_adamw"}
    steps(optim.Muon(mine, **options), [torch.optim.Muon(peer, **options)], mine, peer, 0, 10)


def test_a_state_travels_both_ways(exact_torch: None) -> None:
    mine, peer = parameters()
    ours, theirs = optim.Muon(mine, lr=0.1, nesterov=False), torch.optim.Muon(peer, lr=0.1, nesterov=False)
    steps(ours, [theirs], mine, peer, 0, 4)
    loaded, their_loaded = optim.Muon(mine), torch.optim.Muon(peer)
    loaded.load_state_dict(theirs.state_dict())
    state = ours.state_dict()
    buffers = {n: {k: torch.tensor(v.array) for k, v in values.items()} for n, values in state["state"].items()}
    their_loaded.load_state_dict({"state": buffers, "param_groups": state["param_groups"]})
    steps(loaded, [their_loaded], mine, peer, 4, 8)


def test_a_group_without_muon_is_adamw(exact_torch: None) -> None:
    """One optimiser here, two there; with one schedule for all."""
    mine, peer = parameters([(3, 4), (2, 2), (5,), ()])
    ours = optim.Muon([{"params": mine[:2]}, {"params": mine[2:], "lr": 0.01, "use_muon": False, "betas": (0.8, 0.9), "eps": 1e-3}],
                      lr=0.1, weight_decay=0.3)
    theirs = [torch.optim.Muon(peer[:2], lr=0.1, weight_decay=0.3),
              torch.optim.AdamW(peer[2:], lr=0.01, weight_decay=0.3, betas=(0.8, 0.9), eps=1e-3)]
    steps(ours, theirs, mine, peer, 1, 5)
    schedules = [OneCycleLR(ours, [0.2, 0.02], 20)]
    schedules += [torch.optim.lr_scheduler.OneCycleLR(o, rate, 20) for o, rate in zip(theirs, (0.2, 0.02), strict=True)]
    for step in range(5, 20):
        steps(ours, theirs, mine, peer, step, step + 1)
        for schedule in schedules:
            schedule.step()
    muon, adamw = ours.param_groups
    assert (muon["momentum"], adamw["betas"][0]) == (theirs[0].param_groups[0]["momentum"], theirs[1].param_groups[0]["betas"][0])
    assert ("betas" in muon, "momentum" in adamw) == (False, False)


def test_defaults_of_a_group_without_muon() -> None:
    optimizer = optim.Muon([{"params": Tensor(np.zeros(2)), "use_muon": False}], lr=0.5, weight_decay=0.25)
    assert {k: v for k, v in optimizer.param_groups[0].items() if k != "params"} == {
        "lr": 0.5, "weight_decay": 0.25, "betas": (0.9, 0.999), "eps": 1e-8, "use_muon": False}
    assert [optim.AdamW([Tensor(np.zeros(2))]).defaults[option] for option in ("betas", "eps")] == [(0.9, 0.999), 1e-8]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_parameters_stay_what_and_where_they_are(dtype: Any) -> None:
    p = Tensor(floats((4, 2, 3, 3), 0, dtype), requires_grad=True)
    array, p.grad = p.array, Tensor(in_layout(floats((4, 2, 3, 3), 1, dtype), "channels-last"))
    optimizer = optim.Muon([p], lr=np.float64(0.1))            # a float64 rate must not leak into the weights
    with unchanged(p.grad.array):
        optimizer.step()
        optimizer.step()
    assert (p.array is array, p.dtype, optimizer.state[p]["momentum_buffer"].dtype) == (True, dtype, dtype)


@needs_simulator
def test_on_a_device() -> None:
    found = []
    for device in ("cpu", SIM):
        weights = [Tensor(floats(shape, i)).to(device).requires_grad_() for i, shape in enumerate([(3, 4), (4, 2, 3, 3), (5,)])]
        optimizer = optim.Muon([{"params": weights[:2]}, {"params": weights[2:], "use_muon": False}], lr=0.1)
        for step in range(2):
            for i, p in enumerate(weights):
                p.grad = Tensor(floats(p.shape, 10 * step + i)).to(device)
            optimizer.step()
        assert [str(p.device) for p in weights] == [device] * 3
        found.append([p.detach().cpu().array.astype(np.float64) for p in weights])
    for on_cpu, on_device in zip(*found, strict=True):
        assert_bounded(on_device.astype(np.float32), on_cpu, 1, 200)     # the order of the sums may differ


def test_groups_of_a_network() -> None:
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 6, 3), nn.Flatten(), nn.Linear(24, 10))

    def shapes(**options: Any) -> list[list[tuple[int, ...]]]:
        return [[p.shape for p in group["params"]] for group in optim.muon_groups(net, **options)]

    assert shapes() == [[(4, 1, 3, 3), (6, 4, 3, 3)], [(4,), (4,), (4,), (6,), (10, 24), (10,)]]
    assert shapes(last=True) == [[(4, 1, 3, 3), (6, 4, 3, 3), (10, 24)], [(4,), (4,), (4,), (6,), (10,)]]
    muon, adamw = optim.muon_groups(net, 0.3, 0.01, weight_decay=0.1, adamw_weight_decay=0.0)
    assert {k: v for k, v in muon.items() if k != "params"} == {"lr": 0.3, "use_muon": True, "weight_decay": 0.1}
    assert {k: v for k, v in adamw.items() if k != "params"} == {"lr": 0.01, "use_muon": False, "weight_decay": 0.0}
    assert [g["use_muon"] for g in optim.muon_groups(nn.Linear(2, 2))] == [False]
    assert [g["use_muon"] for g in optim.muon_groups(nn.Linear(2, 2, bias=False), last=True)] == [True]


M, V = (Tensor(np.zeros(shape), requires_grad=True) for shape in ((2, 3), (3,)))
VECTOR = ("Muon: a parameter has shape (3,), expected a matrix (R, C) or a convolution's weight (F, C, KH, KW); give biases and scales to "
          'AdamW, in a group with "use_muon": False: muon_groups(model) makes both groups')
ERRORS = [
    (lambda: optim.Muon([M, V]), VECTOR),
    (lambda: optim.Muon([M]).add_param_group({"params": V}), VECTOR),
    (lambda: optim.Muon([M], lr=-1), "Muon: lr is -1, expected a finite number of at least 0"),
    (lambda: optim.Muon([M], momentum=-1), "Muon: momentum is -1, expected a finite number of at least 0"),
    (lambda: optim.Muon([M], weight_decay=-1), "Muon: weight_decay is -1, expected a finite number of at least 0"),
    (lambda: optim.Muon([M], eps=-1), "Muon: eps is -1, expected a finite number of at least 0"),
    (lambda: optim.Muon([M], ns_steps=100), "Muon: ns_steps is 100, expected a whole number in 0..99"),
    (lambda: optim.Muon([M], ns_coefficients=(1, 2)), "Muon: ns_coefficients are (1, 2), expected three numbers"),
    (lambda: optim.Muon([M], adjust_lr_fn="best"), "Muon: adjust_lr_fn is 'best', expected None, 'original' or 'match_rms_adamw'"),
    (lambda: optim.Muon([{"params": V, "use_muon": False, "betas": (0.9, 1)}]),
     "Muon: betas are (0.9, 1), expected two numbers in 0 <= beta < 1"),
    (lambda: optim.Muon([M]).load_state_dict(optim.Muon([{"params": M, "use_muon": False}]).state_dict()),
     "Muon.load_state_dict: the saved groups have use_muon [False], this optimiser's [True]"),
]


@pytest.mark.parametrize(("call", "text"), ERRORS, ids=[text for _, text in ERRORS])
def test_errors(call: Any, text: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011  # the whole text is compared
        call()
    assert str(caught.value) == text
