"""Training stopped anywhere, saved as arrays and JSON, restored into new objects: it goes on to the last bit as if it had not stopped."""
from __future__ import annotations

import functools
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minicnn import Tensor, nn, optim
from minicnn.nn import functional as F
from minicnn.optim import lr_scheduler as s
from minicnn.optim import swa_utils
from tests.compare import assert_close64, assert_equal
from tests.strategies import floats

STEPS = 10
Make = Callable[[Any], Any]


def two_groups(net: nn.Module) -> list[dict[str, Any]]:
    weights = list(net.parameters())
    return [{"params": weights[:2]}, {"params": weights[2:], "lr": 0.03}]


OPTIMIZERS: dict[str, Make] = {
    "SGD": lambda net: optim.SGD(two_groups(net), lr=0.1),
    "SGD, momentum": lambda net: optim.SGD(two_groups(net), lr=0.1, momentum=0.9, dampening=0.1, weight_decay=0.01),
    "SGD, nesterov": lambda net: optim.SGD(two_groups(net), lr=0.1, momentum=0.9, nesterov=True),
    "Adam": lambda net: optim.Adam(two_groups(net), lr=0.01, betas=(0.8, 0.97)),
    "AdamW": lambda net: optim.AdamW(two_groups(net), lr=0.01, weight_decay=0.1),
    "Muon": lambda net: optim.Muon(optim.muon_groups(net, 0.05, 0.01), weight_decay=0.05),
}
SCHEDULES: dict[str, Make] = {
    "none": lambda o: None,
    "step": lambda o: s.StepLR(o, 3, 0.3),
    "multi-step": lambda o: s.MultiStepLR(o, [2, 5, 5, 9], 0.5),
    "exponential": lambda o: s.ExponentialLR(o, 0.9),
    "cosine": lambda o: s.CosineAnnealingLR(o, 5, 1e-3),
    "lambda": lambda o: s.LambdaLR(o, [lambda t: 1 / (1 + t), lambda t: 0.9**t]),
    "linear": lambda o: s.LinearLR(o, 0.1, total_iters=7),
    "constant": lambda o: s.ConstantLR(o, 0.2, 6),
    "one-cycle": lambda o: s.OneCycleLR(o, [0.1, 0.02], STEPS + 2, cycle_momentum=o.defaults.get("momentum") != 0),
    "one-cycle, three phases": lambda o: s.OneCycleLR(o, 0.1, STEPS, three_phase=True, anneal_strategy="linear", cycle_momentum=False),
    "swa": lambda o: swa_utils.SWALR(o, [0.05, 0.01], 6),
    "plateau": lambda o: s.ReduceLROnPlateau(o, patience=1, factor=0.5, cooldown=1),
    "warm-up, cosine, one-cycle": lambda o: s.SequentialLR(
        o, [s.LinearLR(o, 0.1, total_iters=3), s.CosineAnnealingLR(o, 4), s.MultiStepLR(o, [1, 3])], [3, 7]),
}
AVERAGES: dict[str, Callable[[], dict[str, Any]]] = {
    "mean": dict, "ema": lambda: {"multi_avg_fn": swa_utils.get_ema_multi_avg_fn(0.9), "use_buffers": True},
}


@dataclass
class Run:
    """Everything a training has."""
    net: Any
    optimizer: Any
    schedule: Any
    average: Any

    @classmethod
    def new(cls, optimizer: str, schedule: str, average: str) -> Run:
        net = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Conv2d(3, 2, 2), nn.Flatten(), nn.Linear(8, 3))
        for i, p in enumerate(net.parameters()):
            p.data.copy_(Tensor(floats(p.shape, i) / 4))
        made = OPTIMIZERS[optimizer](net)
        return cls(net, made, SCHEDULES[schedule](made), swa_utils.AveragedModel(net, **AVERAGES[average]()))

    def train(self, first: int, last: int) -> None:
        for step in range(first, last):
            self.optimizer.zero_grad()
            loss = F.cross_entropy(self.net(Tensor(floats((4, 1, 5, 5), 100 + step))), Tensor(np.arange(4) * (step + 1) % 3))
            loss.backward()
            self.optimizer.step()
            if isinstance(self.schedule, s.ReduceLROnPlateau):
                self.schedule.step(loss.item())
            elif self.schedule is not None:
                self.schedule.step()
            self.average.update_parameters(self.net)

    def saved(self) -> tuple[dict[str, bytes], str]:
        """The arrays, and all the rest as JSON."""
        arrays: dict[str, Any] = {}

        def flat(name: str, value: Any) -> Any:
            if isinstance(value, Tensor):
                arrays[name] = value.dtype.str, value.shape, value.array.tobytes()
                return {"array": name}
            if isinstance(value, dict):
                return {key: flat(f"{name}.{key}", v) for key, v in value.items()}
            return [flat(f"{name}.{i}", v) for i, v in enumerate(value)] if isinstance(value, list | tuple) else value

        return arrays, json.dumps({name: flat(name, part.state_dict()) for name, part in self.parts()})

    def restore(self, arrays: dict[str, Any], text: str) -> None:
        def whole(value: Any) -> Any:
            if isinstance(value, dict) and set(value) == {"array"}:
                dtype, shape, values = arrays[value["array"]]
                return np.frombuffer(values, dtype).reshape(shape)         # read-only: nobody may keep it as a state
            if isinstance(value, dict):
                return {key: whole(v) for key, v in value.items()}
            return [whole(v) for v in value] if isinstance(value, list) else value

        states = json.loads(text)
        for name, part in self.parts():
            part.load_state_dict(whole(states[name]))

    def parts(self) -> list[tuple[str, Any]]:
        return [(name, part) for name, part in vars(self).items() if part is not None]


@functools.cache
def uninterrupted(*kinds: str) -> tuple[Run, tuple[dict[str, bytes], str]]:
    run = Run.new(*kinds)
    run.train(0, STEPS)
    return run, run.saved()


def stopped(kinds: tuple[str, str, str], stops: list[int]) -> None:
    """A training that ends and begins anew at each of `stops` is the uninterrupted one."""
    run, done = Run.new(*kinds), 0
    for stop in sorted(stops):
        run.train(done, stop)
        saved = run.saved()
        run, done = Run.new(*kinds), stop
        run.restore(*saved)
        assert run.saved() == saved                            # and saving again saves the same
    run.train(done, STEPS)
    whole, (expected, expected_text) = uninterrupted(*kinds)
    arrays, text = run.saved()
    assert (list(arrays), text) == (list(expected), expected_text)
    assert arrays == expected
    for p, q in zip(run.net.parameters(), whole.net.parameters(), strict=True):
        assert_equal(p.detach(), q.detach())


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_stopped_once(optimizer: str, schedule: str) -> None:
    stopped((optimizer, schedule, "ema"), [STEPS // 2])


@given(st.tuples(*(st.sampled_from(list(kinds)) for kinds in (OPTIMIZERS, SCHEDULES, AVERAGES))),
       st.lists(st.integers(0, STEPS), min_size=1, max_size=3))
def test_stopped_at_any_steps(kinds: tuple[str, str, str], stops: list[int]) -> None:
    stopped(kinds, stops)


def test_the_rate_after_the_last_step_can_be_loaded() -> None:
    """A loop that steps the schedule after every batch ends one step past the cycle; torch's straight line is below zero there."""
    run = Run.new("SGD", "one-cycle, three phases", "mean")
    run.train(0, STEPS)
    rates, last = (np.array([group[key] for group in run.optimizer.param_groups]) for key in ("lr", "min_lr"))
    assert_close64(rates, last)
    run.restore(*run.saved())


def test_a_saved_state_is_a_copy_when_it_is_loaded() -> None:
    """Two optimisers that were given one state do not share it."""
    first, second, third = (Run.new("Adam", "one-cycle", "ema") for _ in range(3))
    first.train(0, 3)
    for other in (second, third):
        for (_, part), (_, source) in zip(other.parts(), first.parts(), strict=True):
            part.load_state_dict(source.state_dict())
    expected = first.saved()
    second.train(3, 6)
    assert first.saved() == expected
    assert third.saved() == expected
