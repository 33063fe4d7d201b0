"""Averages of weights: every kind beside torch, on every backend and device, through a saved state, and each error by its whole text."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import minicnn
from minicnn import Tensor, kernels, nn
from minicnn.optim import swa_utils
from minicnn.optim.lerp import lerp_
from tests.compare import assert_bounded, assert_close64, assert_equal, unchanged
from tests.device import SIM, needs_simulator
from tests.strategies import floats

THEIRS = torch.optim.swa_utils
AVERAGES: dict[str, Callable[[Any], dict[str, Any]]] = {       # s: our or torch's swa_utils
    "default": lambda s: {},
    "default, buffers": lambda s: {"use_buffers": True},
    "ema": lambda s: {"multi_avg_fn": s.get_ema_multi_avg_fn()},
    "ema 0.9, buffers": lambda s: {"multi_avg_fn": s.get_ema_multi_avg_fn(0.9), "use_buffers": True},
    "ema 0.25, buffers": lambda s: {"multi_avg_fn": s.get_ema_multi_avg_fn(0.25), "use_buffers": True},
    "ema 0": lambda s: {"multi_avg_fn": s.get_ema_multi_avg_fn(0.0)},
    "ema 1": lambda s: {"multi_avg_fn": s.get_ema_multi_avg_fn(1.0)},
    "swa": lambda s: {"multi_avg_fn": s.get_swa_multi_avg_fn()} if s is swa_utils else {},      # torch's rounds 1/n to float32
    "ema each 0.9, buffers": lambda s: {"avg_fn": s.get_ema_avg_fn(0.9), "use_buffers": True},
    "swa each": lambda s: {"avg_fn": s.get_swa_avg_fn()},
    "own": lambda s: {"avg_fn": lambda a, w, n: a * 0.5 + w * (n + 2)},
}


def network(n: Any) -> Any:
    shared = n.Conv2d(2, 2, 1)
    return n.Sequential(n.Conv2d(2, 2, 3), n.BatchNorm2d(2), n.ReLU(), shared, shared, n.Flatten(), n.Linear(8, 3))


def networks(dtype: Any = np.float64) -> tuple[Any, Any]:
    mine, theirs = network(nn).to(dtype), network(torch.nn).to(torch.float64 if dtype == np.float64 else torch.float32)
    mine.load_state_dict({name: value.numpy() for name, value in theirs.state_dict().items()})
    return mine, theirs


def change(step: int, mine: Any, theirs: Any) -> None:
    """What a step of training does: other weights, and a batch through the norm."""
    for i, (p, q) in enumerate(zip(mine.parameters(), theirs.parameters(), strict=True)):
        p.data = np.array(floats(p.shape, 100 * step + i, p.dtype))
        q.data = torch.tensor(p.array)
    x = np.array(floats((3, 2, 4, 4), 7000 + step, next(mine.parameters()).dtype))
    mine(Tensor(x))
    theirs(torch.tensor(x))


@pytest.mark.parametrize("name", AVERAGES)
@pytest.mark.parametrize("backend", kernels.CPU_BACKENDS)
def test_ten_steps_follow_torch(name: str, backend: str) -> None:
    mine, theirs = networks()
    ours, peer = swa_utils.AveragedModel(mine, **AVERAGES[name](swa_utils)), THEIRS.AveragedModel(theirs, **AVERAGES[name](THEIRS))
    with minicnn.use_backend(backend):
        for step in range(10):
            change(step, mine, theirs)
            before = [p.array.tobytes() for p in mine.parameters()]
            ours.update_parameters(mine)
            peer.update_parameters(theirs)
            assert before == [p.array.tobytes() for p in mine.parameters()]
            assert list(ours.state_dict()) == list(peer.state_dict())
            for (key, got), expected in zip(ours.state_dict().items(), peer.state_dict().values(), strict=True):
                (assert_close64 if got.is_floating_point() else assert_equal)(got, expected, f"{key} after step {step}")
    x = np.array(floats((2, 2, 4, 4), 1, np.float64))
    assert_close64(ours.eval()(Tensor(x)).detach(), peer.eval()(torch.tensor(x)))


def test_integers_follow_torch_over_a_thousand_steps() -> None:
    """num_batches_tracked counts up; its average is cut off after the point at every step, and so lags behind."""
    mine, theirs = nn.BatchNorm1d(1), torch.nn.BatchNorm1d(1)
    ours, peer = (s.AveragedModel(m, multi_avg_fn=s.get_ema_multi_avg_fn(0.99), use_buffers=True)
                  for s, m in ((swa_utils, mine), (THEIRS, theirs)))
    found = []
    for step in range(1000):
        mine.num_batches_tracked.array[...] = 3 * step + 1
        theirs.num_batches_tracked.fill_(3 * step + 1)
        ours.update_parameters(mine)
        peer.update_parameters(theirs)
        found.append((ours.module.num_batches_tracked.item(), peer.module.num_batches_tracked.item()))
    assert [mine for mine, _ in found] == [theirs for _, theirs in found]
    assert len(set(found)) > 100


@pytest.mark.parametrize("backend", kernels.CPU_BACKENDS)
@given(st.floats(0, 1), st.sampled_from([np.float32, np.float64]), st.sampled_from([(), (1,), (3, 5), (2, 1, 3, 3), (9001,)]),
       st.integers(0, 99))
def test_lerp_is_within_its_bound(backend: str, weight: float, dtype: Any, shape: tuple[int, ...], seed: int) -> None:
    """a + weight * (w - a) is three roundings, and one of `weight`, on values of at most |a| + 2|w - a|."""
    average, current = (np.array(floats(shape, seed + i, dtype)) for i in range(2))
    a, w = average.astype(np.longdouble), current.astype(np.longdouble)
    if dtype == np.float32:
        a, w = average.astype(np.float64), current.astype(np.float64)
    expected = a + weight * (w - a)
    with minicnn.use_backend(backend), unchanged(current):
        lerp_(average, current, weight)
    assert_bounded(average, expected, 2 * abs(a) + 2 * abs(w), 4)
    if weight in (0, 1):
        assert_equal(average, (a if weight == 0 else w).astype(dtype))


def test_every_backend_gives_the_same_bits() -> None:
    found = []
    for backend in kernels.CPU_BACKENDS:
        average, current = (np.array(floats((40, 33), seed, np.float32)) for seed in range(2))
        with minicnn.use_backend(backend):
            for weight in (0.001, 0.3, 0.7, 1 / 3):
                lerp_(average, current, weight)
        found.append(average)
    assert_equal(*found)


def test_arrays_that_are_no_run_of_memory() -> None:
    average, current = np.array(floats((4, 6), 0, np.float32)), np.array(floats((6, 4), 1, np.float32)).T
    expected = np.array(average[:, ::2])
    lerp_(expected, current[:, ::2].copy(), 0.1)
    lerp_(average[:, ::2], current[:, ::2], 0.1)
    assert_equal(average[:, ::2], expected)


@needs_simulator
@pytest.mark.parametrize("where", ["model", "average", "both"])
def test_on_a_device(where: str) -> None:
    results = []
    for device in ("cpu", SIM):
        mine, _ = networks(np.float32)
        mine.to(device if where != "average" else "cpu")
        ours = swa_utils.AveragedModel(mine, device=device if where == "average" else "cpu" if where == "model" else None,
                                       multi_avg_fn=swa_utils.get_ema_multi_avg_fn(0.9), use_buffers=True)
        for step in range(3):
            for i, p in enumerate(mine.parameters()):
                p.data.copy_(Tensor(np.array(floats(p.shape, 100 * step + i, np.float32))))
            ours.update_parameters(mine)
        assert {str(p.device) for p in ours.module.parameters()} == {device if where != "model" else "cpu"}
        results.append([p.detach().cpu() for p in ours.state_dict().values()])
    for on_cpu, on_device in zip(*results, strict=True):
        assert_equal(on_device, on_cpu)


def test_it_is_a_copy_and_keeps_what_is_shared() -> None:
    mine, _ = networks()
    mine(Tensor(np.ones((3, 2, 4, 4)))).sum().backward()
    ours = swa_utils.AveragedModel(mine)
    assert all(p.grad is None for p in ours.parameters())
    assert all(p.grad is not None for p in mine.parameters())
    assert ours.module[3] is ours.module[4] is not mine[3]
    before = {name: value.array.copy() for name, value in ours.state_dict().items()}
    for p in mine.parameters():
        p.data.fill_(3)
    for name, value in ours.state_dict().items():
        assert_equal(value, before[name])


def test_a_recorded_network_sees_the_new_average() -> None:
    """What was prepared from the weights before an update must not be used after it."""
    mine, theirs = networks(np.float32)
    ours = swa_utils.AveragedModel(mine, multi_avg_fn=swa_utils.get_ema_multi_avg_fn(0.5)).eval()
    x = minicnn.ones(1, 2, 4, 4)
    fast = minicnn.compile(ours)
    for step in range(3):
        change(step, mine, theirs)
        with minicnn.no_grad():
            fast(x)
            ours.update_parameters(mine)
            assert_equal(fast(x), minicnn.compile(ours)(x))


@given(st.sampled_from(list(AVERAGES)), st.integers(0, 4))
def test_a_saved_state_goes_on_bit_by_bit(name: str, when: int) -> None:
    mine, theirs = networks(np.float32)
    whole = swa_utils.AveragedModel(mine, **AVERAGES[name](swa_utils))
    part: Any = None
    for step in range(6):
        change(step, mine, theirs)
        whole.update_parameters(mine)
        if part is not None:
            part.update_parameters(mine)
        if step == when:
            part = swa_utils.AveragedModel(network(nn), **AVERAGES[name](swa_utils))
            part.load_state_dict({key: np.array(value.array) for key, value in whole.state_dict().items()})
    for key, value in whole.state_dict().items():
        assert_equal(part.state_dict()[key], value, key)


@pytest.mark.parametrize("form", ["batches", "pairs"])
def test_update_bn_follows_torch(form: str) -> None:
    mine, theirs = networks()
    mine[1].eval()
    batches = [np.array(floats((n, 2, 4, 4), n, np.float64)) for n in (2, 3, 4)]
    swa_utils.update_bn([Tensor(x) if form == "batches" else (Tensor(x), None) for x in batches], mine)
    THEIRS.update_bn([torch.tensor(x) for x in batches], theirs)
    for (name, got), expected in zip(mine.named_buffers(), theirs.buffers(), strict=True):
        (assert_close64 if got.is_floating_point() else assert_equal)(got, expected, name)
    assert (mine[1].momentum, mine.training, mine[1].training, mine[0].training) == (0.1, True, False, True)
    swa_utils.update_bn(iter(()), nn.Linear(1, 1))


def test_update_bn_restores_momentum_after_an_error() -> None:
    mine, _ = networks()
    mine.eval()
    with pytest.raises(ValueError, match=r"has 3 channels"):
        swa_utils.update_bn([Tensor(np.ones((2, 3, 4, 4)))], mine)
    assert (mine[1].momentum, mine.training) == (0.1, False)


@pytest.mark.parametrize("options", [{}, {"anneal_epochs": 4}, {"anneal_epochs": 5, "anneal_strategy": "linear"}, {"anneal_epochs": 0}],
                         ids=str)
@pytest.mark.parametrize("swa_lr", [0.05, [0.3, 0.001]])
@pytest.mark.parametrize("beside", [False, True])
def test_swalr_follows_torch(options: dict[str, Any], swa_lr: Any, beside: bool) -> None:
    tables = []
    for o, tensor, s, schedules in ((minicnn.optim, Tensor, swa_utils, minicnn.optim.lr_scheduler),
                                    (torch.optim, torch.tensor, THEIRS, torch.optim.lr_scheduler)):
        optimizer = o.SGD([{"params": [tensor(np.zeros(1))]}, {"params": [tensor(np.zeros(1))], "lr": 0.02}], lr=0.1)
        other = schedules.StepLR(optimizer, 3, 0.5) if beside else None
        schedule, rows = s.SWALR(optimizer, swa_lr, **options), []
        for _ in range(15):
            optimizer.step()
            if other:
                other.step()
            schedule.step()
            rows.append([group["lr"] for group in optimizer.param_groups])
        assert schedule.get_last_lr() == rows[-1]
        tables.append(np.array(rows))
    assert_close64(*tables)


SGD = minicnn.optim.SGD([Tensor(np.zeros(1))])
ERRORS = [
    (lambda: swa_utils.SWALR(SGD, 0.1, anneal_strategy="sin"), "SWALR: anneal_strategy is 'sin', expected 'cos' or 'linear'"),
    (lambda: swa_utils.SWALR(SGD, 0.1, -1), "SWALR: anneal_epochs is -1, expected a whole number of at least 0"),
    (lambda: swa_utils.SWALR(SGD, [0.1, 0.2]), "SWALR: swa_lr has 2 values, the optimiser 1 parameter groups"),
    (lambda: swa_utils.get_ema_multi_avg_fn(1.5), "decay is 1.5, expected 0..1"),
    (lambda: swa_utils.get_ema_avg_fn(-0.1), "decay is -0.1, expected 0..1"),
    (lambda: swa_utils.get_ema_avg_fn(float("nan")), "decay is nan, expected 0..1"),
    (lambda: swa_utils.AveragedModel(nn.Linear(1, 1), avg_fn=swa_utils.get_swa_avg_fn(), multi_avg_fn=swa_utils.get_swa_multi_avg_fn()),
     "AveragedModel: avg_fn and multi_avg_fn are both given, expected at most one of them"),
    (lambda: swa_utils.AveragedModel(nn.Linear(1, 2)).update_parameters(nn.Linear(2, 2)),
     "AveragedModel: the model has tensors of shapes (2, 2), (2,), the average of (2, 1), (2,)"),
]


@pytest.mark.parametrize(("call", "text"), ERRORS, ids=[text for _, text in ERRORS])
def test_errors(call: Any, text: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011  # the whole text is compared
        call()
    assert str(caught.value) == text
