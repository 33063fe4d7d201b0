"""Learning-rate schedules: fifty steps of each beside torch, alone, multiplied, in sequence, resumed; errors by their whole text."""
from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from minicnn import Tensor, optim
from minicnn.optim import lr_scheduler
from tests.compare import assert_close64, assert_equal

Schedule = Callable[[Any, Any], Any]
SCHEDULES: dict[str, Schedule] = {                             # s: our or torch's lr_scheduler, o: its optimiser
    "step": lambda s, o: s.StepLR(o, 7, 0.3),
    "step, every": lambda s, o: s.StepLR(o, 1, 0.9),
    "multi-step": lambda s, o: s.MultiStepLR(o, [3, 9, 9, 30], 0.5),
    "multi-step from 0": lambda s, o: s.MultiStepLR(o, [0, 4]),
    "exponential": lambda s, o: s.ExponentialLR(o, 0.93),
    "cosine": lambda s, o: s.CosineAnnealingLR(o, 50),
    "cosine, waves": lambda s, o: s.CosineAnnealingLR(o, 7, 0.02),
    "cosine, T_max 1": lambda s, o: s.CosineAnnealingLR(o, 1, 0.02),
    "lambda": lambda s, o: s.LambdaLR(o, lambda t: 1 / (1 + t)),
    "lambdas": lambda s, o: s.LambdaLR(o, [lambda t: 0.9**t, lambda t: float(t)]),
    "linear": lambda s, o: s.LinearLR(o),
    "linear down": lambda s, o: s.LinearLR(o, 1.0, 0.25, 30),
    "constant": lambda s, o: s.ConstantLR(o, 0.2, 11),
    "one-cycle": lambda s, o: s.OneCycleLR(o, 0.5, 50),
    "one-cycle, linear": lambda s, o: s.OneCycleLR(o, 0.5, epochs=5, steps_per_epoch=11, anneal_strategy="linear", pct_start=0.21,
                                                   div_factor=3.0, final_div_factor=7.0, base_momentum=0.6, max_momentum=0.8),
    "one-cycle, three phases": lambda s, o: s.OneCycleLR(o, [0.5, 0.1], 50, pct_start=0.4, three_phase=True),
    "one-cycle, pct 0": lambda s, o: s.OneCycleLR(o, 0.5, 50, pct_start=0.0, cycle_momentum=False),
    "warm-up, cosine": lambda s, o: s.SequentialLR(o, [s.LinearLR(o, 0.1, total_iters=5), s.CosineAnnealingLR(o, 20, 0.01)], [5]),
    "three in sequence": lambda s, o: s.SequentialLR(o, [s.ConstantLR(o, 0.1, 3), s.ExponentialLR(o, 0.9), s.StepLR(o, 4, 0.5)], [4, 20]),
    "warm-up, one-cycle": lambda s, o: s.SequentialLR(o, [s.LinearLR(o, 0.5), s.OneCycleLR(o, 0.3, 60)], [6]),
    "lambda second": lambda s, o: s.SequentialLR(o, [s.StepLR(o, 2), s.LambdaLR(o, lambda t: 0.5**t)], [10]),
}


def optimizers(name: str = "SGD", **options: Any) -> tuple[Any, Any]:
    """The same optimiser of both, with two groups of unequal rates."""
    pair = []
    for module, tensor in ((optim, Tensor), (torch.optim, torch.tensor)):
        optimizer = getattr(module, name)([tensor(np.zeros(1))], lr=0.1, **options)
        optimizer.add_param_group({"params": tensor(np.zeros(1)), "lr": 0.03})
        pair.append(optimizer)
    return pair[0], pair[1]


def table(optimizer: Any, scheduler: Any, steps: int, *measurements: Any) -> np.ndarray:
    """(steps + 1, groups * 2): the learning rates and momenta after each step."""
    def now() -> list[float]:
        return [v for g in optimizer.param_groups for v in (g["lr"], g["momentum"] if "momentum" in g else g["betas"][0])]

    rows = [now()]
    for step in range(steps):
        optimizer.step()
        scheduler.step(*(m[step] for m in measurements))
        rows.append(now())
        assert rows[-1][::2] == list(scheduler.get_last_lr())
    return np.array(rows, dtype=np.float64)


@pytest.mark.filterwarnings("ignore:Detected call of")         # torch says so of every scheduler inside a SequentialLR
@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("optimizer", ["SGD", "Adam"])
def test_fifty_steps_follow_torch(name: str, optimizer: str) -> None:
    ours, theirs = optimizers(optimizer)
    mine, peer = SCHEDULES[name](lr_scheduler, ours), SCHEDULES[name](torch.optim.lr_scheduler, theirs)
    assert_close64(table(ours, mine, 50), table(theirs, peer, 50))


@pytest.mark.filterwarnings("ignore:Detected call of")
@pytest.mark.parametrize("name", SCHEDULES)
def test_a_resumed_schedule_goes_on_as_before(name: str) -> None:
    whole, _ = optimizers()
    expected = table(whole, SCHEDULES[name](lr_scheduler, whole), 40)
    first, theirs = optimizers()
    scheduler, peer = SCHEDULES[name](lr_scheduler, first), SCHEDULES[name](torch.optim.lr_scheduler, theirs)
    assert_equal(table(first, scheduler, 23), expected[:24])
    table(theirs, peer, 23)
    for optimizer_state, scheduler_state in ((first.state_dict(), scheduler.state_dict()), (theirs.state_dict(), peer.state_dict())):
        second, _ = optimizers()
        resumed = SCHEDULES[name](lr_scheduler, second)
        resumed.load_state_dict(scheduler_state)
        second.load_state_dict(optimizer_state)
        assert_close64(table(second, resumed, 17), expected[23:])


@pytest.mark.parametrize("options", [
    {}, {"mode": "max"}, {"threshold_mode": "abs", "threshold": 0.05}, {"mode": "max", "threshold_mode": "abs", "threshold": 0.05},
    {"cooldown": 2}, {"min_lr": [0.001, 0.02]}, {"eps": 0.01}, {"factor": 0.0}, {"patience": 0},
], ids=str)
def test_plateau_follows_torch(options: dict[str, Any]) -> None:
    random = np.random.default_rng(3)
    measurements = np.where(random.random(50) < 0.1, np.nan, 1 / np.arange(1, 51) + 0.1 * random.standard_normal(50))
    tables = []
    for optimizer, module in zip(optimizers(), (lr_scheduler, torch.optim.lr_scheduler), strict=True):
        tables.append(table(optimizer, module.ReduceLROnPlateau(optimizer, **{"patience": 2, "factor": 0.5, **options}), 50, measurements))
    assert_close64(*tables)
    assert len(np.unique(tables[0][:, 0])) > 1, "the rate never changed: this compares nothing"


def test_plateau_resumes() -> None:
    tables = []
    for stop in (30, 13):
        optimizer, _ = optimizers()
        scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, patience=3, cooldown=2)
        rows = table(optimizer, scheduler, stop, np.ones(30))
        if stop < 30:
            again, _ = optimizers()
            resumed = lr_scheduler.ReduceLROnPlateau(again)
            resumed.load_state_dict(scheduler.state_dict())
            again.load_state_dict(optimizer.state_dict())
            rows = np.concatenate([rows, table(again, resumed, 30 - stop, np.ones(30))[1:]])
        tables.append(rows)
    assert_equal(*tables)


def test_schedules_on_one_optimiser_multiply() -> None:
    tables = []
    for optimizer, s in zip(optimizers(), (lr_scheduler, torch.optim.lr_scheduler), strict=True):
        rows = []
        schedulers = [s.LinearLR(optimizer, 0.1), s.ExponentialLR(optimizer, 0.9), s.StepLR(optimizer, 4),
                      s.CosineAnnealingLR(optimizer, 9, 1e-3)]
        for _ in range(25):
            optimizer.step()
            for scheduler in schedulers:
                scheduler.step()
            rows.append([group["lr"] for group in optimizer.param_groups])
        tables.append(np.array(rows))
    assert_close64(*tables)


@pytest.mark.parametrize("name", ["step", "exponential", "cosine, waves", "linear", "lambda"])
def test_last_epoch_resumes_as_torch(name: str) -> None:
    make: dict[str, Schedule] = {
        "step": lambda s, o: s.StepLR(o, 7, 0.3, last_epoch=10), "exponential": lambda s, o: s.ExponentialLR(o, 0.93, last_epoch=10),
        "cosine, waves": lambda s, o: s.CosineAnnealingLR(o, 7, 0.02, last_epoch=10), "linear": lambda s, o: s.LinearLR(o, last_epoch=2),
        "lambda": lambda s, o: s.LambdaLR(o, lambda t: 1 / (1 + t), last_epoch=10),
    }
    tables = []
    for optimizer, s in zip(optimizers(), (lr_scheduler, torch.optim.lr_scheduler), strict=True):
        for group, lr in zip(optimizer.param_groups, (0.08, 0.01), strict=True):
            group["initial_lr"], group["lr"] = group["lr"], lr
        tables.append(table(optimizer, make[name](s, optimizer), 20))
    assert_close64(*tables)


def test_a_schedule_of_ones_own_may_define_get_lr() -> None:
    class Halved(lr_scheduler.LRScheduler):
        def get_lr(self) -> list[float]:
            return [base * 0.5**self.last_epoch for base in self.base_lrs]

    optimizer, _ = optimizers()
    assert_close64(table(optimizer, Halved(optimizer), 3)[:, 0], np.array([0.1, 0.05, 0.025, 0.0125]))


def test_one_cycle_whose_rise_is_one_step() -> None:
    """pct_start * total_steps = 1: the first phase has no length, which is a division by zero in torch."""
    optimizer, _ = optimizers()
    rates = table(optimizer, lr_scheduler.OneCycleLR(optimizer, 0.5, 10, pct_start=0.1), 9)[:, 0]
    assert rates[0] == 0.5
    assert (np.diff(rates) < 0).all()


O = optimizers()[0]
ERRORS: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: lr_scheduler.StepLR(3, 1), TypeError, "StepLR: optimizer is a int, expected an Optimizer"),
    (lambda: lr_scheduler.StepLR(O, 0), ValueError, "StepLR: step_size is 0, expected a whole number of at least 1"),
    (lambda: lr_scheduler.StepLR(optimizers()[0], 1, last_epoch=3), ValueError,
     "StepLR: last_epoch is 3, so training is resumed, but group 0 has no initial_lr: load the optimiser's state_dict first"),
    (lambda: lr_scheduler.LambdaLR(O, [abs]), ValueError, "LambdaLR: lr_lambda has 1 values, the optimiser 2 parameter groups"),
    (lambda: lr_scheduler.LinearLR(O, 0.0), ValueError, "LinearLR: start_factor is 0.0, expected 0 < start_factor <= 1"),
    (lambda: lr_scheduler.LinearLR(O, 0.5, 1.5), ValueError, "LinearLR: end_factor is 1.5, expected 0..1"),
    (lambda: lr_scheduler.ConstantLR(O, 1.5), ValueError, "ConstantLR: factor is 1.5, expected 0 < factor <= 1"),
    (lambda: lr_scheduler.CosineAnnealingLR(O, 0), ValueError, "CosineAnnealingLR: T_max is 0, expected a whole number of at least 1"),
    (lambda: lr_scheduler.OneCycleLR(O, 0.1), ValueError,
     "OneCycleLR: how long is the cycle? Give total_steps, or epochs and steps_per_epoch"),
    (lambda: lr_scheduler.OneCycleLR(O, 0.1, 0), ValueError, "OneCycleLR: total_steps is 0, expected a whole number of at least 1"),
    (lambda: lr_scheduler.OneCycleLR(O, 0.1, epochs=2, steps_per_epoch=0), ValueError,
     "OneCycleLR: steps_per_epoch is 0, expected a whole number of at least 1"),
    (lambda: lr_scheduler.OneCycleLR(O, 0.1, 9, pct_start=1.5), ValueError, "OneCycleLR: pct_start is 1.5, expected 0..1"),
    (lambda: lr_scheduler.OneCycleLR(O, 0.1, 9, anneal_strategy="sin"), ValueError,
     "OneCycleLR: anneal_strategy is 'sin', expected 'cos' or 'linear'"),
    (lambda: lr_scheduler.OneCycleLR(O, [0.1], 9), ValueError, "OneCycleLR: max_lr has 1 values, the optimiser 2 parameter groups"),
    (lambda: table(O, lr_scheduler.OneCycleLR(O, 0.1, 9), 10), ValueError,
     "OneCycleLR: step 10 of a cycle of 9 steps: step() was called too often"),
    (lambda: lr_scheduler.ReduceLROnPlateau(O, "least"), ValueError, "ReduceLROnPlateau: mode is 'least', expected 'min' or 'max'"),
    (lambda: lr_scheduler.ReduceLROnPlateau(O, factor=1), ValueError, "ReduceLROnPlateau: factor is 1, expected 0 <= factor < 1"),
    (lambda: lr_scheduler.SequentialLR(O, [lr_scheduler.StepLR(O, 1)], [3]), ValueError,
     "SequentialLR: 1 schedulers need 0 milestones, one between each two, got 1"),
    (lambda: lr_scheduler.SequentialLR(O, [lr_scheduler.ReduceLROnPlateau(O)], []), ValueError,
     "SequentialLR: schedulers[0] is a ReduceLROnPlateau, whose step() needs a measurement"),
    (lambda: lr_scheduler.SequentialLR(O, [lr_scheduler.StepLR(optimizers()[0], 1)], []), ValueError,
     "SequentialLR: schedulers[0] (StepLR) belongs to another optimiser"),
    (lambda: lr_scheduler.LRScheduler(O), NotImplementedError, "LRScheduler must define next_lr(lr, base_lr) or get_lr()"),
]


@pytest.mark.parametrize(("call", "error", "text"), ERRORS, ids=[text for *_, text in ERRORS])
def test_errors(call: Callable[[], Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error) as caught, warnings.catch_warnings():
        call()
    assert str(caught.value) == text
